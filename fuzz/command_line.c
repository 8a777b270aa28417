/*
 * command_line.c - the command line of the tool.
 *
 * Input: a byte that chooses the subcommand, then words, one a line. Whatever the words are:
 *
 *   - options are accepted or refused with an exit code, and nothing leaks
 *   - a number that is accepted lies in its range
 *   - the same options, applied one by one, give the same settings
 *   - nothing is allowed by accident: --insecure only where somebody wrote it
 *   - what passes settings_check() can be made a session
 *   - sizes and times are read as a second reader does, and addresses survive being printed
 *
 * fuzz-with: tool
 */
#define _GNU_SOURCE 1

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "address.h"
#include "commands.h"
#include "options.h"
#include "values.h"

#include <smux/engine.h>

#define MAX_WORDS    40
#define MAX_OPERANDS 8

struct line {
    const struct command *command;
    char *text; /**< the words, with zeros between */
    int argc;
    char *argv[MAX_WORDS + 1];
};

static void read_line(struct line *line, struct fuzz_input *in)
{
    size_t n = 0;

    while (all_commands[n] != NULL) {
        n++;
    }
    line->command = all_commands[fuzz_below(in, (uint32_t)n)];
    line->text = calloc(1, in->len + 1);
    must(line->text != NULL, "no memory for the test");
    memcpy(line->text, in->at, in->len);
    line->argv[0] = (char *)(uintptr_t)line->command->name;
    line->argc = 1;
    for (char *at = line->text; at != NULL && line->argc < MAX_WORDS;) {
        line->argv[line->argc++] = strsep(&at, "\n");
    }
    line->argv[line->argc] = NULL;
}

/* --- options ------------------------------------------------------------------------------- */

static void try_session(const struct settings *settings, enum smux_role role)
{
    struct smux_config config;
    smux_engine *engine;

    if (settings_check(settings, role) != 0) {
        return;
    }
    settings_session_config(settings, &config);
    if (smux_engine_new(role, &config, 0, 0, &engine) != SMUX_OK) {
        abort(); /* standard error is silent here */
    }
    smux_engine_free(engine);
}

/* Complaints and help go nowhere. */
static int parse_silently(const struct command *command, int argc, char **argv, void *settings)
{
    static FILE *nowhere;
    FILE *out = stdout;
    FILE *err = stderr;
    const char *operands[MAX_OPERANDS];
    int status;

    must(command->max_operands <= MAX_OPERANDS, "more operands than the test has room for");
    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        must(nowhere != NULL, "no /dev/null");
    }
    stdout = stderr = nowhere;
    status = options_parse(command, argc, argv, settings, operands);
    if (status == OPTIONS_GO_ON && (command->id & (FOR_SERVER | FOR_CLIENT)) != 0) {
        try_session(settings, command->id == FOR_SERVER ? SMUX_SERVER : SMUX_CLIENT);
    }
    stdout = out;
    stderr = err;
    return status;
}

static uint32_t number_at(const void *settings, const struct option_spec *spec)
{
    uint32_t number;

    memcpy(&number, (const char *)settings + spec->field, sizeof(number));
    return number;
}

static bool is_number(const struct option_spec *spec)
{
    return spec->kind == OPTION_NUMBER || spec->kind == OPTION_SIZE ||
           spec->kind == OPTION_DURATION;
}

static void check_ranges(const struct command *command, const struct settings *settings)
{
    for (size_t i = 0; i < settings->n_given; i++) {
        const struct option_spec *spec = settings->given[i].spec;
        uint32_t number = is_number(spec) ? number_at(settings, spec) : spec->min;

        must(number >= spec->min && (spec->max == 0 || number <= spec->max || !is_number(spec)),
             "%s: --%s is %u", command->name, spec->name, number);
    }
}

/* A word that may stand for this long option, however short. */
static bool names(const char *word, const char *option)
{
    size_t len;

    if (word[0] != '-') {
        return false;
    }
    word += 1 + (word[1] == '-');
    len = strcspn(word, "=");
    return len > 0 && strncmp(word, option, len) == 0;
}

static void check_insecure(const struct line *line, const struct settings *settings)
{
    bool written = false;

    for (int i = 1; i < line->argc; i++) {
        written = written || names(line->argv[i], "insecure");
    }
    must(settings->insecure == 0 || written, "insecure without a word");
}

/* Texts are the same memory in both. */
static void check_again(const struct command *command, const struct settings *settings)
{
    size_t size = command->settings_size;
    struct settings *again = calloc(1, size);
    char *name[] = {(char *)(uintptr_t)command->name, NULL};
    char why[160];
    size_t end = offsetof(struct settings, given);

    must(again != NULL, "no memory for the test");
    must(parse_silently(command, 1, name, again) == OPTIONS_GO_ON, "no options are refused");
    for (size_t i = 0; i < settings->n_given; i++) {
        must(option_apply(settings->given[i].spec, settings->given[i].text, again, why,
                          sizeof(why)) == NULL,
             "an option is taken once only");
    }
    must(again->remotes.n == settings->remotes.n, "%zu remotes, not %zu", again->remotes.n,
         settings->remotes.n);
    free(again->remotes.items);
    again->remotes = settings->remotes; /* its items are an array of its own */
    must(memcmp(again, settings, end) == 0, "the settings differ");
    must(memcmp((const char *)again + sizeof(*again), (const char *)settings + sizeof(*settings),
                size - sizeof(*settings)) == 0,
         "the settings of the command differ");
    again->remotes = (struct text_list){NULL, 0};
    settings_free(again);
    free(again);
}

static void check_options(struct line *line)
{
    struct settings *settings = calloc(1, line->command->settings_size);
    int status;

    must(settings != NULL, "no memory for the test");
    status = parse_silently(line->command, line->argc, line->argv, settings);
    if (status == OPTIONS_GO_ON) {
        check_ranges(line->command, settings);
        check_insecure(line, settings);
        check_again(line->command, settings);
        settings_free(settings);
    } else {
        must(status == EX_OK || status == EX_USAGE || status == EX_CONFIG, "exit code %d", status);
    }
    free(settings);
}

/* --- values -------------------------------------------------------------------------------- */

/* Digits, a fraction of up to three more, a unit: the number in thousandths, and where the unit
 * stands; NULL for anything else and for numbers without end. */
static const char *second_reader(const char *text, uint64_t *out_thousandths)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = 0;
    char digits[] = "000";

    if (whole == 0 || whole > 10) {
        return NULL;
    }
    if (text[whole] == '.') {
        fraction = strspn(text + whole + 1, "0123456789");
        if (fraction == 0 || fraction > 3) {
            return NULL;
        }
        memcpy(digits, text + whole + 1, fraction);
        fraction++;
    }
    *out_thousandths = strtoull(text, NULL, 10) * 1000 + strtoull(digits, NULL, 10);
    return text + whole + fraction;
}

static uint64_t unit_of(const char *unit, const char *const *units, const uint64_t *factors)
{
    for (size_t i = 0; units[i] != NULL; i++) {
        if (strcmp(units[i], unit) == 0) {
            return factors[i];
        }
    }
    return 0;
}

static void check_duration(const char *text)
{
    static const char *const units[] = {"", "ms", "s", "m", "h", "d", NULL};
    static const uint64_t factors[] = {1000, 1, 1000, 60000, 3600000, 86400000};
    uint64_t number;
    const char *unit = second_reader(text, &number);
    uint32_t ms;

    if (value_parse_duration(text, &ms) && unit != NULL) {
        number = number * unit_of(unit, units, factors) / 1000;
        must(ms == number, "\"%s\" is %u ms", text, ms);
    }
}

static void check_size(const char *text)
{
    static const char *const units[] = {"", "B", "KiB", "MiB", "GiB", "kB", "MB", "GB", NULL};
    static const uint64_t factors[] = {1, 1, 1024, 1048576, 1073741824, 1000, 1000000, 1000000000};
    uint64_t number;
    const char *unit = second_reader(text, &number);
    uint32_t bytes;

    if (value_parse_size(text, &bytes) && unit != NULL) {
        must(bytes == number / 1000 * unit_of(unit, units, factors), "\"%s\" is %u bytes", text,
             bytes);
    }
}

static void check_address(const char *text)
{
    struct address address, again;
    struct address_list list, same;
    char printed[ADDRESS_TEXT];

    if (address_parse(text, &address) != NULL || !address_resolve_now(&address, false, &list)) {
        return;
    }
    must(list.n > 0 && list.n <= ADDRESS_MAX, "\"%s\" has %zu addresses", text, list.n);
    address_format(&list.items[0], printed, sizeof(printed));
    must(address_parse(printed, &again) == NULL && address_resolve_now(&again, false, &same) &&
             same.n == 1 && same.items[0].len == list.items[0].len &&
             memcmp(&same.items[0].sa, &list.items[0].sa, same.items[0].len) == 0,
         "\"%s\" is printed as \"%s\", which is something else", text, printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct line line;

    read_line(&line, &in);
    for (int i = 1; i < line.argc; i++) {
        const char *value = strchr(line.argv[i], '=');

        value = value != NULL ? value + 1 : line.argv[i];
        check_duration(value);
        check_size(value);
        check_address(value);
    }
    check_options(&line); /* getopt changes the order of the words: last */
    free(line.text);
    return 0;
}
