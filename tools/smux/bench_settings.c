#include "bench_settings.h"

#include <string.h>
#include <sysexits.h>

#include "bench_request.h"
#include "usage.h"

#define BULK_SIZE  (128u * 1024)
#define SMALL_SIZE 64u
/* Every stream has a thread at each end, but for idle ones and those of an event loop. */
#define MAX_THREADS 4096u

const struct command bench_command = {
    .name = "bench",
    .id = FOR_BENCH,
    .synopsis = "bench [OPTION...]\nbench -r ADDR [OPTION...]",
    .about = "Measures throughput, latency, the opening of streams and memory.",
    .lists = {&bench_options, &common_options},
    .settings_size = sizeof(struct bench_settings),
};

static const struct bench_mode modes[MODE_COUNT] = {
    {"bulk", MODE_BULK, WORK_FLOW, "writes", BULK_SIZE, 1, 0, false},
    {"small", MODE_SMALL, WORK_FLOW, "writes", SMALL_SIZE, 1, 0, false},
    {"turns", MODE_TURNS, WORK_TURNS, "writes", SMALL_SIZE, 1000, 0, false},
    {"pingpong", MODE_PINGPONG, WORK_PING, "trips", SMALL_SIZE, 1, 0, true},
    {"loaded", MODE_LOADED, WORK_PING, "trips", SMALL_SIZE, 1, 8, true},
    {"churn", MODE_CHURN, WORK_CHURN, "streams", BENCH_REQUEST_SIZE, 1, 0, false},
    {"idle", MODE_IDLE, WORK_HOLD, "streams", 1, 10000, 0, false},
};

static const char *const kind_names[KIND_COUNT] = {"tcp", "v1", "v2"};

const char *bench_kind_name(enum bench_kind kind)
{
    return kind_names[kind];
}

uint32_t bench_mode_size(const struct bench_settings *settings, const struct bench_mode *mode)
{
    bool fixed = mode->work == WORK_CHURN || mode->work == WORK_HOLD;

    return settings->size == 0 || fixed ? mode->default_size : settings->size;
}

uint32_t bench_mode_streams(const struct bench_settings *settings, const struct bench_mode *mode)
{
    return settings->streams == 0 ? mode->default_streams : settings->streams;
}

/* --- lists of words ---------------------------------------------------------------------- */

static bool is_word(const char *name, const char *word, size_t len)
{
    return strlen(name) == len && memcmp(name, word, len) == 0;
}

static void add_mode(struct bench_settings *settings, const struct bench_mode *mode)
{
    for (size_t i = 0; i < settings->n_modes; i++) {
        if (settings->modes[i] == mode) {
            return;
        }
    }
    settings->modes[settings->n_modes++] = mode;
}

static bool take_mode(struct bench_settings *settings, const char *word, size_t len)
{
    bool known = false;

    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (is_word(modes[i].name, word, len) || is_word("all", word, len)) {
            add_mode(settings, &modes[i]);
            known = true;
        }
    }
    return known;
}

static bool wants_kind(const struct bench_settings *settings, enum bench_kind kind)
{
    for (size_t i = 0; i < settings->n_kinds; i++) {
        if (settings->kinds[i] == kind) {
            return true;
        }
    }
    return false;
}

static bool take_kind(struct bench_settings *settings, const char *word, size_t len)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (is_word(kind_names[kind], word, len)) {
            if (!wants_kind(settings, (enum bench_kind)kind)) {
                settings->kinds[settings->n_kinds++] = (enum bench_kind)kind;
            }
            return true;
        }
    }
    return false;
}

/* Hands each word between commas to `take`. Returns the first it does not know, or NULL. */
static const char *each_word(struct bench_settings *settings, const char *list,
                             bool (*take)(struct bench_settings *, const char *, size_t))
{
    while (list != NULL) {
        size_t len = strcspn(list, ",");
        if (!take(settings, list, len)) {
            return list;
        }
        list = list[len] == ',' ? list + len + 1 : NULL;
    }
    return NULL;
}

static int parse_lists(struct bench_settings *settings)
{
    const char *bad = each_word(settings, settings->mode_text, take_mode);

    if (bad != NULL) {
        usage_error("--mode %s: expected bulk, small, turns, pingpong, loaded, churn, idle or all, "
                    "separated by commas",
                    bad);
        return EX_USAGE;
    }
    bad = each_word(settings, settings->vs_text, take_kind);
    if (bad != NULL) {
        usage_error("--vs %s: expected tcp, v1 or v2, separated by commas", bad);
        return EX_USAGE;
    }
    if (settings->n_kinds == 0) {
        settings->kinds[settings->n_kinds++] = settings->common.smuxver == 1 ? KIND_V1 : KIND_V2;
    }
    return OPTIONS_GO_ON;
}

/* --- what no single option can tell ------------------------------------------------------- */

static bool has_threads(const struct bench_settings *settings)
{
    for (size_t i = 0; i < settings->n_modes; i++) {
        if (settings->modes[i]->work != WORK_HOLD) {
            return true;
        }
    }
    return false;
}

static const char *find_fault(const struct bench_settings *settings)
{
    if (settings->remote != NULL && wants_kind(settings, KIND_TCP)) {
        return "--vs tcp needs both ends in this process: leave --remote out";
    }
    if (settings->remote != NULL && settings->unix_socket) {
        return "--unix is for both ends in this process: leave --remote out";
    }
    if (settings->loop && !(settings->n_modes == 1 && settings->modes[0]->id == MODE_BULK)) {
        return "--loop is for --mode bulk";
    }
    if (settings->loop && wants_kind(settings, KIND_TCP)) {
        return "--loop is for sessions: leave tcp out of --vs";
    }
    if (settings->reverse && settings->bidir) {
        return "--reverse and --bidir exclude each other";
    }
    if (settings->json_lines && settings->json != NULL && strcmp(settings->json, "-") == 0) {
        return "--json-lines and --json - both go to standard output";
    }
    if (settings->streams > MAX_THREADS && !settings->loop && has_threads(settings)) {
        return "--streams: at most 4096 in modes other than idle, because each has a thread";
    }
    return NULL;
}

int bench_settings_parse(struct bench_settings *settings, int argc, char **argv)
{
    const char *operands[1];
    int status;

    status = options_parse(&bench_command, argc, argv, settings, operands);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    status = parse_lists(settings);
    if (status == OPTIONS_GO_ON && find_fault(settings) != NULL) {
        usage_error("%s", find_fault(settings));
        status = EX_USAGE;
    }
    if (status == OPTIONS_GO_ON) {
        int fault = settings_check(&settings->common, SMUX_CLIENT);
        status = fault == 0 ? OPTIONS_GO_ON : fault;
    }
    if (status != OPTIONS_GO_ON) {
        settings_free(&settings->common);
    }
    return status;
}
