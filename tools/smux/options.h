/*
 * options.h - the command line, driven by tables.
 *
 * A command has one or two lists of option_spec. Everything the user sees of an option comes
 * from its row: name, alias, how the value is read, range, default, help text, and whether this
 * build has it. `smux help COMMAND`, the error messages and the man page test read the same rows.
 *
 * Long options take one dash or two, `=` or a space, and may be shortened while unambiguous
 * (getopt_long_only). The full name of another command's option is never taken for such a
 * shortened one.
 */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "settings.h"

/* How a value is read, and the type of the field it goes to. */
enum option_kind {
    OPTION_FLAG,     /* no value; bool becomes true */
    OPTION_SWITCH,   /* on or off; bool */
    OPTION_NUMBER,   /* uint32_t within min..max */
    OPTION_SIZE,     /* uint32_t, bytes within min..max */
    OPTION_DURATION, /* uint32_t, milliseconds within min..max */
    OPTION_CHOICE,   /* uint32_t, value of one of the choices */
    OPTION_MASK,     /* uint32_t, bits of the choices; value optional: all of them */
    OPTION_TEXT,     /* const char * */
    OPTION_TEXTS,    /* struct text_list, repeatable */
    OPTION_HELP,     /* prints the help of the command */
    OPTION_VERSION   /* prints the version */
};

/* Whether it can be used. Those that cannot are known, so that the answer is a clear one. */
enum option_stage {
    STAGE_READY,
    STAGE_ABSENT,  /* not available in this build: refused, exit code 64 */
    STAGE_KCP,     /* kcptun's, about the KCP transport: one notice, ignored */
    STAGE_KCP_KEY, /* kcptun's, protects its KCP transport: refused, exit code 78 */
    STAGE_NO_OP    /* accepted; asks for what is the case anyway */
};

/* Sections of the help. */
enum option_group {
    GROUP_WHERE,
    GROUP_PROTOCOL,
    GROUP_SOCKETS,
    GROUP_SECURITY,
    GROUP_LIMITS,
    GROUP_RETRY,
    GROUP_PROCESS,
    GROUP_BENCH,
    GROUP_OUTPUT,
    GROUP_COUNT
};

/* Which commands have the option; bits. */
enum option_command {
    FOR_SERVER = 1,
    FOR_CLIENT = 2,
    FOR_BENCH = 4,
    FOR_DECODE = 8
};

/* A word that an option of kind CHOICE or MASK takes. The list ends with a NULL name. */
struct option_choice {
    const char *name;
    uint32_t value;
};

struct option_spec {
    const char *name;  /* long name without dashes; NULL when there is only the letter */
    const char *alias; /* second long name, or NULL */
    char letter;       /* short name, or 0 */
    enum option_kind kind;
    enum option_stage stage;
    enum option_group group;
    unsigned commands;                   /* enum option_command */
    size_t field;                        /* offset in the struct that options_parse() fills */
    uint32_t min;                        /* lowest value */
    uint32_t max;                        /* highest value; 0 for none */
    const struct option_choice *choices; /* for CHOICE and MASK */
    const char *initial;                 /* default, as one would type it; NULL for none */
    const char *argument;                /* what the help calls the value */
    const char *help;
};

struct option_list {
    const struct option_spec *specs;
    size_t n;
};

/* A subcommand. */
struct command {
    const char *name;
    enum option_command id;             /* selects the rows of the lists */
    const char *synopsis;               /* lines of usage without the program's name */
    const char *about;                  /* paragraphs that follow */
    const struct option_list *lists[2]; /* searched in this order; the second may be NULL */
    size_t settings_size;               /* of the struct to fill; begins with struct settings */
    size_t max_operands;                /* words that are no options */
};

/* The rows of `server`, `client` and (masked by FOR_BENCH) `bench`. */
extern const struct option_list common_options;

/* options_parse() succeeded; other results are exit codes. */
#define OPTIONS_GO_ON (-1)

/*
 * Fills `settings`, a struct that begins with struct settings, with the defaults and then with
 * what stands in argv, of which argv[0] is the subcommand. Prints and returns the exit code when
 * there is an error or when help or the version was asked for.
 *
 * `operands` gets up to command->max_operands words that are no options; the rest is NULL.
 */
int options_parse(const struct command *command, int argc, char **argv, void *settings,
                  const char **operands);

/* Returns the next row of a command, starting with *at = 0; NULL after the last. */
const struct option_spec *options_next(const struct command *command, size_t *at);

/* Writes the help of a command. */
void options_help(const struct command *command, FILE *out);

/* Reads one value into its field. Returns NULL, or why not; the text may be static or in `why`. */
const char *option_apply(const struct option_spec *spec, const char *text, void *settings,
                         char *why, size_t why_size);

/* Returns the name an option is spoken of by, with its dashes, such as "--listen" or "-L". */
const char *option_display_name(const struct option_spec *spec, char *out, size_t size);

/* Returns the name among the options of a command that `word` is most likely meant to be, or NULL
 * when all of them are other words. */
const char *option_nearest(const struct command *command, const char *word);

/*
 * Tells whether an option, written with its dashes and without a value, is none of this command
 * but of others, whose names are then in `owners`, such as "server and client".
 */
bool option_is_foreign(const struct command *command, const char *written, char *owners,
                       size_t size);

#endif
