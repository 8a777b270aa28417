#include "spec.h"

#include "conn.h"
#include "steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- how a case ends ------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 0))) static _Noreturn void leave(struct conn *c,
                                                                  enum spec_verdict verdict,
                                                                  const char *format, va_list args)
{
    struct spec_test *test = c->test;

    test->verdict = verdict;
    vsnprintf(test->text, sizeof test->text, format, args);
    longjmp(test->out, 1);
}

void spec_fail(struct conn *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    leave(c, SPEC_FAILED, format, args);
}

void spec_skip(struct conn *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    leave(c, SPEC_SKIPPED, format, args);
}

/* --- what the subject told ------------------------------------------------------------------ */

/** Finds "name=" in the hello, returns what follows. */
static const char *told(const struct spec_run *run, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = run->hello; *at != '\0'; at += strcspn(at, " "), at += *at == ' ') {
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            return at + len + 1;
        }
    }
    return NULL;
}

bool spec_has_verb(const struct spec_run *run, const char *verb)
{
    const char *at = told(run, "verbs");
    size_t len = strlen(verb);

    while (at != NULL && *at != '\0' && *at != ' ') {
        if (strncmp(at, verb, len) == 0 && strchr(", ", at[len]) != NULL) {
            return true;
        }
        at += strcspn(at, ", ");
        at += *at == ',';
    }
    return false;
}

unsigned long spec_setting(const struct spec_run *run, const char *name, unsigned long otherwise)
{
    const char *text = told(run, name);

    return text != NULL ? strtoul(text, NULL, 10) : otherwise;
}

/* --- running -------------------------------------------------------------------------------- */

/** Tells why a case is not applicable, NULL if it is. `word` holds the reason. */
static const char *not_applicable(const struct spec_run *run, const struct spec_case *spec,
                                  char *word, size_t size)
{
    const char *at = spec->needs;

    if ((spec->scope & (run->version == 1 ? V1 : V2)) == 0) {
        return run->version == 1 ? "about version 2" : "about version 1";
    }
    if ((spec->scope & AUTO) != 0 && !run->autodetect) {
        return "about servers that detect the version (--auto)";
    }
    while (*at != '\0') {
        size_t len = strcspn(at, " ");

        snprintf(word, size, "%.*s", (int)len, at);
        if (!spec_has_verb(run, word) && told(run, word) == NULL) {
            size_t end = strlen(word);

            snprintf(word + end, size - end, ": the subject has no such %s",
                     strchr(word, '_') != NULL ? "setting" : "verb");
            return word;
        }
        at += len;
        at += *at == ' ';
    }
    return NULL;
}

void spec_execute(struct spec_test *test)
{
    const struct spec_case *spec = test->spec;
    uint64_t start = clock_us();
    char word[64];
    const char *why = not_applicable(test->run, spec, word, sizeof word);

    test->verdict = SPEC_PASSED;
    test->text[0] = '\0';
    if (why != NULL) {
        test->verdict = SPEC_SKIPPED;
        snprintf(test->text, sizeof test->text, "%s", why);
        return;
    }
    if (setjmp(test->out) == 0) {
        spec->run(conn_open(test));
    }
    for (size_t i = 0; i < test->n_conns; i++) {
        conn_free(test->conns[i]);
    }
    test->ms = (unsigned)((clock_us() - start) / 1000);
}

/* A subject that has just been started may take longer than later on. */
#define GREET_PATIENCE 5

/* --- the greeting --------------------------------------------------------------------------- */

static void greet(struct conn *c)
{
    struct stream *s = command(c, "hello");

    answer_line(c, s);
}

bool spec_greet(struct spec_run *run, char reason[SPEC_TEXT])
{
    static const struct spec_case hello = {"", "hello", BOTH, "", greet, 0, 0};
    struct spec_run honest = *run;
    struct spec_test test = {.run = &honest, .spec = &hello};
    bool ok;

    honest.sabotage = NULL;
    honest.patience_ms *= GREET_PATIENCE;
    if (setjmp(test.out) == 0) {
        struct conn *c = conn_open(&test);

        greet(c);
        if (strcmp(c->text, "!hello\n") != 0) {
            snprintf(run->hello, sizeof run->hello, "%.*s", (int)strcspn(c->text, "\n"), c->text);
        }
    }
    ok = test.verdict == SPEC_PASSED;
    snprintf(reason, SPEC_TEXT, "%s", test.text);
    for (size_t i = 0; i < test.n_conns; i++) {
        conn_free(test.conns[i]);
    }
    return ok;
}
