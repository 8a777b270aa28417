#define _GNU_SOURCE 1

#include <string.h>

#include "help.h"
#include "options.h"

#define WIDTH       80
#define HELP_COLUMN 30

static const char *const group_titles[GROUP_COUNT] = {
    [GROUP_WHERE] = "Where and what",    [GROUP_PROTOCOL] = "Protocol",
    [GROUP_SOCKETS] = "Connections",     [GROUP_SECURITY] = "Security",
    [GROUP_LIMITS] = "Limits",           [GROUP_RETRY] = "Reconnecting",
    [GROUP_PROCESS] = "Log and process", [GROUP_BENCH] = "Measuring",
    [GROUP_OUTPUT] = "Output",
};

/* Writes words from column `at` on, with the following lines indented to HELP_COLUMN. */
static void put_wrapped(FILE *out, const char *text, int at)
{
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (at + 1 + len > WIDTH && at > HELP_COLUMN) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
        }
        at += fprintf(out, "%s%.*s", at == HELP_COLUMN ? "" : " ", len, text);
        text += len + (text[len] == ' ');
    }
    fputc('\n', out);
}

/* Writes "  -l, --listen, --localaddr ADDR" and returns the column behind it. */
static int put_names(FILE *out, const struct option_spec *spec)
{
    int at = spec->letter != 0 ? fprintf(out, "  -%c, ", spec->letter) : fprintf(out, "      ");

    at += fprintf(out, "--%s", spec->name);
    if (spec->alias != NULL) {
        at += fprintf(out, ", --%s", spec->alias);
    }
    if (spec->argument != NULL) {
        at += spec->kind == OPTION_MASK ? fprintf(out, "[=%s]", spec->argument)
                                        : fprintf(out, " %s", spec->argument);
    }
    return at;
}

static void put_option(FILE *out, const struct option_spec *spec)
{
    char text[400];
    int at = put_names(out, spec);

    if (at >= HELP_COLUMN) {
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    } else {
        fprintf(out, "%*s", HELP_COLUMN - at, "");
    }
    snprintf(text, sizeof(text), spec->initial == NULL ? "%s" : "%s [%s]", spec->help,
             spec->initial);
    put_wrapped(out, text, HELP_COLUMN);
}

static void put_group(FILE *out, const struct command *command, enum option_group group)
{
    const struct option_spec *spec;
    bool titled = false;

    for (size_t at = 0; (spec = options_next(command, &at)) != NULL;) {
        if (spec->stage != STAGE_READY || spec->group != group) {
            continue;
        }
        if (!titled) {
            fprintf(out, "\n%s\n", group_titles[group]);
            titled = true;
        }
        put_option(out, spec);
    }
}

/* Writes each line of a synopsis behind the name of the program. */
static void put_synopsis(FILE *out, const char *synopsis)
{
    const char *lead = "usage:";

    while (*synopsis != '\0') {
        int len = (int)strcspn(synopsis, "\n");
        fprintf(out, "%6s %s %.*s\n", lead, SMUX_TOOL_NAME, len, synopsis);
        synopsis += len + (synopsis[len] == '\n');
        lead = "";
    }
}

void options_help(const struct command *command, FILE *out)
{
    put_synopsis(out, command->synopsis);
    fprintf(out, "\n%s\n", command->about);
    for (int group = 0; group < GROUP_COUNT; group++) {
        put_group(out, command, (enum option_group)group);
    }
}
