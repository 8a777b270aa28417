#define _GNU_SOURCE 1

#include "options.h"

#include <assert.h>
#include <getopt.h>
#include <smux/base.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "help.h"
#include "usage.h"

/* getopt reports the long option with index i of a scan as FIRST_LONG + i. */
#define FIRST_LONG 256

/* What getopt needs, made of the rows of a command. */
struct scan {
    const struct command *command;
    const struct option_spec **specs; /* of each long option; ends with NULL */
    struct option *longs;             /* ends with zeros */
    size_t n_longs;
    char shorts[3 * 64];
    size_t shorts_len;
};

const char *option_display_name(const struct option_spec *spec, char *out, size_t size)
{
    if (spec->name == NULL) {
        snprintf(out, size, "-%c", spec->letter);
    } else {
        snprintf(out, size, "--%s", spec->name);
    }
    return out;
}

/* --- the rows of a command --------------------------------------------------------------- */

static size_t row_count(const struct command *command, size_t list)
{
    return command->lists[list] == NULL ? 0 : command->lists[list]->n;
}

const struct option_spec *options_next(const struct command *command, size_t *at)
{
    size_t first = row_count(command, 0);
    size_t total = first + row_count(command, 1);

    while (*at < total) {
        size_t i = (*at)++;
        const struct option_spec *spec =
            i < first ? &command->lists[0]->specs[i] : &command->lists[1]->specs[i - first];
        if ((spec->commands & command->id) != 0) {
            return spec;
        }
    }
    return NULL;
}

static const struct option_spec *find_letter(const struct command *command, int letter)
{
    const struct option_spec *spec;

    for (size_t at = 0; (spec = options_next(command, &at)) != NULL;) {
        if (spec->letter != 0 && spec->letter == letter) {
            return spec;
        }
    }
    return NULL;
}

/* --- scanning with getopt ---------------------------------------------------------------- */

static int value_rule(const struct option_spec *spec)
{
    switch (spec->kind) {
    case OPTION_FLAG:
    case OPTION_HELP:
    case OPTION_VERSION:
        return no_argument;
    case OPTION_MASK:
        return optional_argument;
    default:
        return required_argument;
    }
}

static void scan_add_long(struct scan *scan, const struct option_spec *spec, const char *name)
{
    if (name != NULL) {
        scan->longs[scan->n_longs] = (struct option){
            .name = name, .has_arg = value_rule(spec), .val = FIRST_LONG + (int)scan->n_longs};
        scan->specs[scan->n_longs++] = spec;
    }
}

static void scan_add_short(struct scan *scan, const struct option_spec *spec)
{
    if (spec->letter != 0) {
        scan->shorts[scan->shorts_len++] = spec->letter;
        if (value_rule(spec) == required_argument) {
            scan->shorts[scan->shorts_len++] = ':';
        }
    }
}

static void scan_deinit(struct scan *scan)
{
    free(scan->specs);
    free(scan->longs);
}

static bool scan_init(struct scan *scan, const struct command *command)
{
    size_t rows = row_count(command, 0) + row_count(command, 1);
    const struct option_spec *spec;

    memset(scan, 0, sizeof(*scan));
    scan->command = command;
    scan->specs = calloc(2 * rows + 1, sizeof(*scan->specs));
    scan->longs = calloc(2 * rows + 1, sizeof(*scan->longs));
    if (scan->specs == NULL || scan->longs == NULL) {
        scan_deinit(scan);
        return false;
    }
    scan->shorts[scan->shorts_len++] = ':'; /* tell a missing value from an unknown option */
    for (size_t at = 0; (spec = options_next(command, &at)) != NULL;) {
        scan_add_long(scan, spec, spec->name);
        scan_add_long(scan, spec, spec->alias);
        scan_add_short(scan, spec);
    }
    return true;
}

static const struct option_spec *scan_spec(const struct scan *scan, int result)
{
    const struct option_spec *spec = result >= FIRST_LONG ? scan->specs[result - FIRST_LONG]
                                                          : find_letter(scan->command, result);

    assert(spec != NULL); /* getopt names one that it was told of */
    return spec;
}

/* --- messages ---------------------------------------------------------------------------- */

/* An option that getopt knows only as the beginning of several. */
static bool is_ambiguous(const struct scan *scan, const char *word)
{
    size_t n = 0;

    for (size_t i = 0; i < scan->n_longs; i++) {
        n += strncmp(scan->longs[i].name, word, strlen(word)) == 0;
    }
    return n > 1;
}

/* The option that getopt has just dealt with, as it was written. */
static const char *written_option(char **argv)
{
    return optarg != NULL && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
}

/* Tells whether an option is another command's, and says so. */
static bool refuse_foreign(const struct scan *scan, const char *argument)
{
    char written[64];
    char owners[64];

    snprintf(written, sizeof(written), "%.*s", (int)strcspn(argument, "="), argument);
    if (written[0] != '-' || !option_is_foreign(scan->command, written, owners, sizeof(owners))) {
        return false;
    }
    usage_error("option %s belongs to %s, not to %s", written, owners, scan->command->name);
    return true;
}

static void report_unknown(const struct scan *scan, const char *argument)
{
    char word[64];
    const char *nearest;

    argument += strspn(argument, "-");
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(argument, "="), argument);
    nearest = option_nearest(scan->command, word);
    if (optopt >= FIRST_LONG) {
        usage_error("option --%s takes no value", scan->longs[optopt - FIRST_LONG].name);
    } else if (is_ambiguous(scan, word)) {
        usage_error("option --%s is ambiguous: write more of it", word);
    } else if (nearest != NULL) {
        usage_error("unknown option --%s: did you mean --%s?", word, nearest);
    } else {
        usage_error("unknown option --%s: see " SMUX_TOOL_NAME " help %s", word,
                    scan->command->name);
    }
}

static void report_missing(const struct scan *scan)
{
    char name[64];
    const struct option_spec *spec = scan_spec(scan, optopt);

    usage_error("option %s needs a value%s%s", option_display_name(spec, name, sizeof(name)),
                spec->argument == NULL ? "" : ": ", spec->argument == NULL ? "" : spec->argument);
}

/* --- options that are known and do nothing ------------------------------------------------ */

static int refuse_absent(const struct option_spec *spec)
{
    char name[64];

    usage_error("%s is not available in this build", option_display_name(spec, name, sizeof(name)));
    return EX_USAGE;
}

static int refuse_kcp_key(const struct option_spec *spec, const char *text)
{
    if (strcmp(spec->name, "crypt") == 0 &&
        (strcmp(text, "none") == 0 || strcmp(text, "null") == 0)) {
        return OPTIONS_GO_ON;
    }
    usage_error("--%s is used only by the KCP transport, this connection would not be protected "
                "by it; leave it out, and let ssh or a VPN carry the sessions",
                spec->name);
    return EX_CONFIG;
}

static int notice_kcp(const struct option_spec *spec)
{
    usage_error("--%s: KCP only, ignored", spec->name);
    return OPTIONS_GO_ON;
}

/* kcptun takes its key from here too: someone who relies on it must not be left unprotected. */
static int check_environment(const struct command *command)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet, nor below */
    if ((command->id & (FOR_SERVER | FOR_CLIENT)) == 0 || getenv("KCPTUN_KEY") == NULL) {
        return OPTIONS_GO_ON;
    }
    usage_error("KCPTUN_KEY is used only by the KCP transport, this connection would not be "
                "protected by it; unset it, and let ssh or a VPN carry the sessions");
    return EX_CONFIG;
}

/* --- parsing ----------------------------------------------------------------------------- */

static bool remember_given(struct settings *settings, const struct option_spec *spec,
                           const char *text)
{
    struct option_given *given = realloc(settings->given, (settings->n_given + 1) * sizeof(*given));

    if (given == NULL) {
        return false;
    }
    given[settings->n_given++] = (struct option_given){spec, text};
    settings->given = given;
    return true;
}

static int take_value(const struct option_spec *spec, const char *text, void *settings)
{
    char why[160];
    char name[64];
    const char *error = option_apply(spec, text, settings, why, sizeof(why));

    if (error == NULL && !remember_given(settings, spec, text)) {
        error = "out of memory";
    }
    if (error != NULL) {
        usage_error("%s %s: %s", option_display_name(spec, name, sizeof(name)),
                    text == NULL ? "" : text, error);
        return EX_USAGE;
    }
    return OPTIONS_GO_ON;
}

static int take_option(const struct command *command, const struct option_spec *spec,
                       const char *text, void *settings)
{
    switch (spec->stage) {
    case STAGE_ABSENT:
        return refuse_absent(spec);
    case STAGE_KCP_KEY:
        return refuse_kcp_key(spec, text);
    case STAGE_KCP:
        return notice_kcp(spec);
    case STAGE_NO_OP:
        return OPTIONS_GO_ON;
    case STAGE_READY:
        break;
    }
    if (spec->kind == OPTION_HELP) {
        options_help(command, stdout);
        return EX_OK;
    }
    if (spec->kind == OPTION_VERSION) {
        printf("smux %s\n", smux_version());
        return EX_OK;
    }
    return take_value(spec, text, settings);
}

static int scan_run(const struct scan *scan, int argc, char **argv, void *settings)
{
    int result;

    optind = 0; /* GNU: start anew */
    opterr = 0;
    optopt = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((result = getopt_long_only(argc, argv, scan->shorts, scan->longs, NULL)) != -1) {
        int status;
        bool by_letter = result < FIRST_LONG && result != '?' && result != ':';
        if (!by_letter && refuse_foreign(scan, written_option(argv))) {
            return EX_USAGE;
        }
        if (result == '?') {
            report_unknown(scan, argv[optind - 1]);
            return EX_USAGE;
        }
        if (result == ':') {
            report_missing(scan);
            return EX_USAGE;
        }
        status = take_option(scan->command, scan_spec(scan, result), optarg, settings);
        if (status != OPTIONS_GO_ON) {
            return status;
        }
    }
    return OPTIONS_GO_ON;
}

static void apply_defaults(const struct command *command, void *settings)
{
    const struct option_spec *spec;
    char why[160];

    memset(settings, 0, command->settings_size);
    for (size_t at = 0; (spec = options_next(command, &at)) != NULL;) {
        if (spec->initial != NULL) {
            option_apply(spec, spec->initial, settings, why, sizeof(why));
        }
    }
}

static int take_operands(const struct command *command, int argc, char **argv,
                         const char **operands)
{
    size_t n = (size_t)(argc - optind);

    if (n > command->max_operands) {
        usage_error("unexpected word \"%s\": see " SMUX_TOOL_NAME " help %s",
                    argv[optind + (int)command->max_operands], command->name);
        return EX_USAGE;
    }
    for (size_t i = 0; i < command->max_operands; i++) {
        operands[i] = i < n ? argv[optind + (int)i] : NULL;
    }
    return OPTIONS_GO_ON;
}

int options_parse(const struct command *command, int argc, char **argv, void *settings,
                  const char **operands)
{
    struct scan scan;
    int status;

    apply_defaults(command, settings);
    if (!scan_init(&scan, command)) {
        usage_error("out of memory");
        return EX_OSERR;
    }
    status = scan_run(&scan, argc, argv, settings);
    if (status == OPTIONS_GO_ON) {
        status = take_operands(command, argc, argv, operands);
    }
    if (status == OPTIONS_GO_ON) {
        status = check_environment(command);
    }
    scan_deinit(&scan);
    if (status != OPTIONS_GO_ON) {
        settings_free(settings);
    }
    return status;
}
