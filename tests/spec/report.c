#include "report.h"

#include <stdio.h>
#include <string.h>

static const char *const k_verdicts[] = {"ok", "FAIL", "n/a"};

struct counts {
    size_t of[3];
};

static struct counts count(const struct spec_test *tests, size_t n)
{
    struct counts counts = {{0, 0, 0}};

    for (size_t i = 0; i < n; i++) {
        counts.of[tests[i].verdict]++;
    }
    return counts;
}

/** The first word of the hello is the subject's name. */
static void subject(const struct spec_run *run, char *out, size_t size)
{
    const char *name = strstr(run->hello, "name=");

    if (name == NULL) {
        snprintf(out, size, "an echo %s", run->listen_fd < 0 ? "server" : "client");
        return;
    }
    snprintf(out, size, "%.*s, %s", (int)strcspn(name + 5, " "), name + 5,
             run->listen_fd < 0 ? "server" : "client");
}

static void print_table(const struct spec_test *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct spec_test *t = &tests[i];

        printf("%-4s  %-14s  %-62s %5u ms", k_verdicts[t->verdict], t->spec->clauses, t->spec->name,
               t->ms);
        printf(t->text[0] != '\0' ? "  %s\n" : "%s\n", t->text);
    }
}

static void print_markdown(const struct spec_test *tests, size_t n)
{
    printf("\n| Clause | Case | Verdict | Remark |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        const struct spec_test *t = &tests[i];

        printf("| %s | %s | %s | ", t->spec->clauses, t->spec->name, k_verdicts[t->verdict]);
        for (const char *at = t->text; *at != '\0'; at++) {
            printf(*at == '|' ? "\\%c" : "%c", *at);
        }
        printf(" |\n");
    }
    printf("\n");
}

/** Prints `"name": "text"`. */
static void print_string(const char *name, const char *text)
{
    printf("\"%s\": \"", name);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte < 0x20 || byte >= 0x7f) {
            printf("\\u%04x", byte);
        } else {
            printf(byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
        }
    }
    printf("\"");
}

static void print_json(const struct spec_run *run, const struct spec_test *tests, size_t n)
{
    printf("{");
    print_string("hello", run->hello);
    printf(", \"role\": \"%s\", \"smuxver\": %u, \"cases\": [",
           run->listen_fd < 0 ? "server" : "client", run->version);
    for (size_t i = 0; i < n; i++) {
        const struct spec_test *t = &tests[i];

        printf(i > 0 ? ",\n{" : "\n{");
        print_string("clauses", t->spec->clauses);
        printf(", ");
        print_string("name", t->spec->name);
        printf(", \"verdict\": \"%s\", \"ms\": %u, ", k_verdicts[t->verdict], t->ms);
        print_string("text", t->text);
        printf("}");
    }
    printf("]}\n");
}

size_t report_print(enum report_format format, const struct spec_run *run,
                    const struct spec_test *tests, size_t n, double seconds)
{
    struct counts counts = count(tests, n);
    char name[SPEC_TEXT];

    if (format == REPORT_JSON) {
        print_json(run, tests, n);
        return counts.of[SPEC_FAILED];
    }
    subject(run, name, sizeof name);
    printf("smuxspec: %s, smux %u\n", name, run->version);
    if (format == REPORT_MARKDOWN) {
        print_markdown(tests, n);
    } else {
        print_table(tests, n);
    }
    printf("%zu passed, %zu failed, %zu not applicable, %.1f s\n", counts.of[SPEC_PASSED],
           counts.of[SPEC_FAILED], counts.of[SPEC_SKIPPED], seconds);
    return counts.of[SPEC_FAILED];
}

void report_list(const struct spec_test *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct spec_case *spec = tests[i].spec;
        unsigned versions = spec->scope & BOTH;

        printf("%-14s  %-62s  %s%s%s\n", spec->clauses, spec->name,
               versions == BOTH ? ""
               : versions == V1 ? "smux 1 "
                                : "smux 2 ",
               (spec->scope & AUTO) != 0 ? "--auto " : "", spec->needs);
    }
}
