#include "options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "values.h"

/* An hour: what the times of a link are, so that sums of them stay small. */
#define MAX_TIME_NS  3600000000000u
#define MAX_DELAY_NS 60000000000u
#define MIN_RATE     8000u /* a byte a millisecond */
/* What one connection may cost in memory at most, in each direction. */
#define MAX_QUEUE       ((uint64_t)1 << 30)
#define MIN_QUEUE       2048u
#define MAX_CONNECTIONS 4096

static const char help[] =
    "usage: linkemu -t HOST:PORT [OPTION...]\n"
    "Carries TCP connections to a target over an emulated link.\n"
    "\n"
    "  -l, --listen HOST:PORT     where to listen; port 0: any [127.0.0.1:0]\n"
    "  -t, --target HOST:PORT     where every connection is taken to\n"
    "      --rate [DIR:]RATE      8kbit, 100Mbit, 1Gbit a second; 0: no limit [0]\n"
    "      --delay [DIR:]TIME     one way: half of the round trip [0]\n"
    "      --jitter [DIR:]TIME    the delay varies by up to so much more or less [0]\n"
    "      --queue [DIR:]BYTES    in front of the rate limit [10 ms of the rate, at least\n"
    "                             128KiB; without a rate 16MiB]\n"
    "      --freeze [DIR:]AT,FOR  the link stands still for so long; up to 16 times\n"
    "      --cut-after [DIR:]SIZE|TIME  reset a connection when it has got so many bytes, or\n"
    "                             all that are open at a time, which needs a unit (2s)\n"
    "      --control              take orders from standard input, one a line: cut,\n"
    "                             freeze [up|down], thaw [up|down]; its end ends the program\n"
    "      --seed N               of the jitter [1]\n"
    "      --time TIME            end after so long\n"
    "      --max-connections N    at once; more have to wait [64]\n"
    "  -v, --verbose              tell of each connection that ended\n"
    "  -h, --help\n"
    "\n"
    "DIR is up (to the target) or down (to the client); without it both are meant. AT and the\n"
    "time of a cut count from the first connection. Every direction of every connection is a\n"
    "link of its own: connections do not share the rate.\n"
    "The first line on standard output is `listening HOST:PORT`.\n";

__attribute__((format(printf, 1, 2))) static int usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("linkemu: ", stderr);
    vfprintf(stderr, format, args);
    fputs("; see linkemu --help\n", stderr);
    va_end(args);
    return EX_USAGE;
}

/* Takes a prefix "up:" or "down:" off. Returns the directions that are meant, as bits. */
static unsigned take_direction(const char **text)
{
    if (strncmp(*text, "up:", 3) == 0) {
        *text += 3;
        return 1u << UP;
    }
    if (strncmp(*text, "down:", 5) == 0) {
        *text += 5;
        return 1u << DOWN;
    }
    return 1u << UP | 1u << DOWN;
}

static bool overlaps(const struct direction_options *direction, const struct freeze *freeze)
{
    for (unsigned i = 0; i < direction->n_freezes; i++) {
        const struct freeze *other = &direction->freezes[i];
        if (freeze->at_ns < other->at_ns + other->for_ns &&
            other->at_ns < freeze->at_ns + freeze->for_ns) {
            return true;
        }
    }
    return false;
}

static int add_freeze(struct options *options, unsigned directions, const char *text)
{
    struct freeze freeze;
    const char *comma = strchr(text, ',');
    char at[32];

    if (comma == NULL || (size_t)(comma - text) >= sizeof(at)) {
        return usage("--freeze %s: expected AT,FOR, such as 2s,500ms", text);
    }
    memcpy(at, text, (size_t)(comma - text));
    at[comma - text] = '\0';
    if (!value_parse_duration(at, &freeze.at_ns) || freeze.at_ns > MAX_TIME_NS ||
        !value_parse_duration(comma + 1, &freeze.for_ns) || freeze.for_ns > MAX_TIME_NS) {
        return usage("--freeze %s: expected AT,FOR, such as 2s,500ms, up to an hour", text);
    }
    for (int i = 0; i < 2; i++) {
        struct direction_options *direction = &options->directions[i];
        if ((directions & 1u << i) == 0) {
            continue;
        }
        if (direction->n_freezes == MAX_FREEZES) {
            return usage("--freeze: more than %d times", MAX_FREEZES);
        }
        if (overlaps(direction, &freeze)) {
            return usage("--freeze %s overlaps another one", text);
        }
        direction->freezes[direction->n_freezes++] = freeze;
    }
    return -1;
}

/* A cut by time has a unit of time; anything else is a size. */
static int set_cut(struct options *options, unsigned directions, const char *text)
{
    uint64_t value;

    if (value_parse_size(text, &value) && value > 0) {
        for (int i = 0; i < 2; i++) {
            if (directions & 1u << i) {
                options->directions[i].cut_bytes = value;
            }
        }
        return -1;
    }
    if (!value_parse_duration(text, &value) || value == 0 || value > MAX_TIME_NS) {
        return usage("--cut-after %s: expected a size such as 1MB or a time such as 2s", text);
    }
    if (directions != (1u << UP | 1u << DOWN)) {
        return usage("--cut-after %s: a cut at a time is one of both directions", text);
    }
    options->cut_at_ns = value;
    return -1;
}

/* --- options of a direction with one value ------------------------------------------------ */

static bool parse_rate(const char *text, struct direction_options *direction)
{
    return value_parse_rate(text, &direction->rate) &&
           (direction->rate == 0 || direction->rate >= MIN_RATE);
}

static bool parse_delay(const char *text, struct direction_options *direction)
{
    return value_parse_duration(text, &direction->delay_ns) && direction->delay_ns <= MAX_DELAY_NS;
}

static bool parse_jitter(const char *text, struct direction_options *direction)
{
    return value_parse_duration(text, &direction->jitter_ns) &&
           direction->jitter_ns <= MAX_DELAY_NS;
}

static bool parse_queue(const char *text, struct direction_options *direction)
{
    return value_parse_size(text, &direction->queue) && direction->queue >= MIN_QUEUE &&
           direction->queue <= MAX_QUEUE;
}

static const struct setter {
    const char *name;
    bool (*set)(const char *text, struct direction_options *direction);
    const char *expected;
} setters[] = {
    {"rate", parse_rate, "a rate such as 100Mbit, at least 8kbit, or 0"},
    {"delay", parse_delay, "a time such as 50ms, up to a minute"},
    {"jitter", parse_jitter, "a time such as 2ms, up to a minute"},
    {"queue", parse_queue, "a size such as 256KiB, from 2KiB to 1GiB"},
};

static int set_directions(const struct setter *setter, struct options *options, unsigned directions,
                          const char *text)
{
    for (int i = 0; i < 2; i++) {
        if ((directions & 1u << i) && !setter->set(text, &options->directions[i])) {
            return usage("--%s %s: expected %s", setter->name, text, setter->expected);
        }
    }
    return -1;
}

static int set_connections(struct options *options, const char *text)
{
    uint64_t value;

    if (!value_parse_number(text, &value) || value == 0 || value > MAX_CONNECTIONS) {
        return usage("--max-connections %s: expected 1 to %d", text, MAX_CONNECTIONS);
    }
    options->max_connections = (size_t)value;
    return -1;
}

/* --- all of them -------------------------------------------------------------------------- */

/* Codes of the long options; the first are the indices of `setters`. */
enum {
    SET_RATE,
    SET_DELAY,
    SET_JITTER,
    SET_QUEUE,
    FREEZE,
    CUT,
    CONTROL,
    SEED,
    TIME,
    CONNECTIONS
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"target", required_argument, NULL, 't'},
    {"rate", required_argument, NULL, SET_RATE},
    {"delay", required_argument, NULL, SET_DELAY},
    {"jitter", required_argument, NULL, SET_JITTER},
    {"queue", required_argument, NULL, SET_QUEUE},
    {"freeze", required_argument, NULL, FREEZE},
    {"cut-after", required_argument, NULL, CUT},
    {"control", no_argument, NULL, CONTROL},
    {"seed", required_argument, NULL, SEED},
    {"time", required_argument, NULL, TIME},
    {"max-connections", required_argument, NULL, CONNECTIONS},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0}};

static int take_option(struct options *options, int code, const char *text)
{
    unsigned directions = code <= CUT ? take_direction(&text) : 0;

    switch (code) {
    case SET_RATE:
    case SET_DELAY:
    case SET_JITTER:
    case SET_QUEUE:
        return set_directions(&setters[code], options, directions, text);
    case FREEZE:
        return add_freeze(options, directions, text);
    case CUT:
        return set_cut(options, directions, text);
    case CONTROL:
        options->control = true;
        return -1;
    case 'l':
        options->listen = text;
        return -1;
    case 't':
        options->target = text;
        return -1;
    case 'v':
        options->verbose = true;
        return -1;
    case 'h':
        fputs(help, stdout);
        return 0;
    case SEED:
        return value_parse_number(text, &options->seed)
                   ? -1
                   : usage("--seed %s: expected a number", text);
    case TIME:
        return value_parse_duration(text, &options->time_ns) && options->time_ns > 0
                   ? -1
                   : usage("--time %s: expected a time such as 30s", text);
    case CONNECTIONS:
        return set_connections(options, text);
    default:
        fputs("see linkemu --help\n", stderr); /* getopt has said what is wrong */
        return EX_USAGE;
    }
}

static int check(const struct options *options)
{
    if (options->target == NULL) {
        return usage("--target is missing");
    }
    for (int i = 0; i < 2; i++) {
        if (options->control && options->directions[i].n_freezes > 0) {
            return usage("--control and --freeze: planned or by order, not both");
        }
        if (options->directions[i].jitter_ns > options->directions[i].delay_ns) {
            return usage("--jitter is larger than --delay");
        }
    }
    return -1;
}

int options_parse(struct options *options, int argc, char **argv)
{
    int code;
    int status = -1;

    *options = (struct options){.listen = "127.0.0.1:0", .seed = 1, .max_connections = 64};
    while (status == -1 && (code = getopt_long(argc, argv, "l:t:vh", long_options, NULL)) != -1) {
        status = take_option(options, code, optarg);
    }
    if (status == -1 && optind < argc) {
        return usage("%s: no operands are expected", argv[optind]);
    }
    return status == -1 ? check(options) : status;
}
