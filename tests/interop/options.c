#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    FLAG,
    TEXT,
    U32,
    U64,
    DURATION,
    PERIOD,
    VERSION
};

/** One option and the field it sets. PERIOD is a DURATION whose 0 means off, as in gopeer. */
struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *help;
};

#define FIELD(name)  offsetof(struct options, name)
#define CONFIG(name) offsetof(struct options, config.name)

static const struct row k_rows[] = {
    {"l", TEXT, FIELD(address), "listen on this address"},
    {"r", TEXT, FIELD(address), "connect to this address"},
    {"exit-on-stdin", FLAG, FIELD(exit_on_stdin), "end when standard input ends"},
    {"sessions", U32, FIELD(sessions), "end after so many sessions"},
    {"timeout", DURATION, FIELD(timeout_ms), "give up with exit code 3"},
    {"v", VERSION, CONFIG(version), "1, 2 or auto"},
    {"buf", U32, CONFIG(max_receive_buffer), "receive budget of the session"},
    {"streambuf", U32, CONFIG(max_stream_buffer), "window of a stream"},
    {"frame", U32, CONFIG(max_frame_size), "largest payload of a frame"},
    {"keepalive", PERIOD, CONFIG(keepalive_interval_ms), "interval of NOP frames, 0 = none"},
    {"keepalive-timeout", DURATION, CONFIG(keepalive_timeout_ms), "silence that is death"},
    {"backlog", U32, CONFIG(accept_backlog), "streams not yet accepted"},
    {"guard", PERIOD, CONFIG(accept_guard_ms), "wait before answering a fresh stream"},
    {"linger", PERIOD, CONFIG(fin_linger_ms), "FIN held back after the peer's"},
    {"half-close-timeout", DURATION, CONFIG(half_close_timeout_ms), "no credit after FIN"},
    {"drain", DURATION, CONFIG(drain_timeout_ms), "longest graceful close"},
    {"c", U32, FIELD(c), "streams"},
    {"parallel", U32, FIELD(parallel), "of them at once"},
    {"m", U32, FIELD(m), "messages on each"},
    {"size", U32, FIELD(size), "bytes of a message"},
    {"lockstep", FLAG, FIELD(lockstep), "wait for each echo before the next message"},
    {"eof", FLAG, FIELD(eof), "half-close after the data"},
    {"idle", DURATION, FIELD(idle_ms), "silence before the second half of the messages"},
    {"bytes", U64, FIELD(bytes), "payload of a stream"},
    {"streams", U32, FIELD(streams), "streams at once"},
    {"chunk", U32, FIELD(chunk), "bytes of a write"},
    {"no-wait", FLAG, FIELD(no_wait), "close everything after the last write"},
    {"last", U32, FIELD(last), "close the session after so many streams"},
    {"wait", DURATION, FIELD(wait_ms), "look so long"},
    {"allow-lost", U32, FIELD(allow_lost), "lost greetings that are tolerated"},
    {"expect", U32, FIELD(expect), "streams of the peer to wait for"},
    {"expect-ended", U32, FIELD(ended), "streams the peer must have ended"},
    {"probe", FLAG, FIELD(probe), "one more stream must echo"},
    {"send", U64, FIELD(send), "bytes to send"},
    {"reply", U64, FIELD(reply), "bytes of the reply"},
    {"order", TEXT, FIELD(order), "client-first or server-first"},
    {"delay", DURATION, FIELD(delay_ms), "read only so long after"},
    {"before", DURATION, FIELD(before_ms), "half-close only so long after the data"},
    {"stalled", U32, FIELD(stalled), "streams left unread"},
    {"stall-bytes", U64, FIELD(stall), "bytes written to each of them"},
    {"settle", DURATION, FIELD(settle_ms), "time for them to fill up"},
    {"release", DURATION, FIELD(release_ms), "read them after this time"},
    {"after", U64, FIELD(after), "close a stream after so many bytes"},
    {"accept-after", DURATION, FIELD(accept_ms), "accept after this time"},
    {"deadline", DURATION, FIELD(deadline_ms), "of each write"},
};

static void set_defaults(struct options *o)
{
    memset(o, 0, sizeof *o);
    smux_config_init(&o->config);
    o->timeout_ms = 60000;
    o->c = 1;
    o->parallel = 1;
    o->m = 1;
    o->size = 64;
    o->bytes = 1 << 20;
    o->streams = 1;
    o->chunk = 64 << 10;
    o->wait_ms = 2000;
    o->ended = UINT32_MAX;
    o->send = 8;
    o->reply = 8;
    o->order = "client-first";
    o->stalled = 1;
    o->stall = 1 << 20;
    o->settle_ms = 300;
    o->after = 1000;
    o->deadline_ms = 5;
    o->release_ms = 1000;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *out <= max;
}

static bool parse_duration(const char *text, uint32_t *out)
{
    char *unit;
    if (strcmp(text, "off") == 0) {
        *out = SMUX_OFF;
        return true;
    }
    unsigned long n = strtoul(text, &unit, 10);
    unsigned long scale = 0;
    if (strcmp(unit, "ms") == 0 || strcmp(text, "0") == 0) {
        scale = 1;
    } else if (strcmp(unit, "s") == 0) {
        scale = 1000;
    } else if (strcmp(unit, "m") == 0) {
        scale = 60000;
    }
    *out = (uint32_t)(n * scale);
    return scale != 0 && unit != text && n < UINT32_MAX / scale;
}

static bool parse_version(const char *text, uint32_t *out)
{
    *out = SMUX_VERSION_AUTO;
    uint64_t n = 0;
    if (strcmp(text, "auto") == 0) {
        return true;
    }
    bool ok = parse_number(text, 254, &n);
    *out = (uint32_t)n;
    return ok;
}

static bool set_value(struct options *o, const struct row *row, const char *text)
{
    void *field = (char *)o + row->offset;
    uint64_t n = 0;
    switch (row->kind) {
    case FLAG:
        *(bool *)field = true;
        return true;
    case TEXT:
        *(const char **)field = text;
        return true;
    case U32:
        if (!parse_number(text, UINT32_MAX, &n)) {
            return false;
        }
        *(uint32_t *)field = (uint32_t)n;
        return true;
    case U64:
        return parse_number(text, UINT64_MAX, (uint64_t *)field);
    case VERSION:
        return parse_version(text, (uint32_t *)field);
    case DURATION:
    case PERIOD:
        if (!parse_duration(text, (uint32_t *)field)) {
            return false;
        }
        if (row->kind == PERIOD && *(uint32_t *)field == 0) {
            *(uint32_t *)field = SMUX_OFF;
        }
        return true;
    }
    return false;
}

static const struct row *find_row(const char *arg)
{
    if (arg[0] != '-') {
        return NULL;
    }
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        if (strcmp(arg + 1, k_rows[i].name) == 0) {
            return &k_rows[i];
        }
    }
    return NULL;
}

bool options_parse(struct options *options, int argc, char **argv)
{
    set_defaults(options);
    options->command = argv[1];
    for (int i = 2; i < argc; i++) {
        const struct row *row = find_row(argv[i]);
        if (row == NULL) {
            fprintf(stderr, "cpeer: no option %s\n", argv[i]);
            return false;
        }
        if (row->kind != FLAG && i + 1 == argc) {
            fprintf(stderr, "cpeer: %s needs a value\n", argv[i]);
            return false;
        }
        const char *value = row->kind == FLAG ? "" : argv[++i];
        if (!set_value(options, row, value)) {
            fprintf(stderr, "cpeer: -%s: not understood: %s\n", row->name, value);
            return false;
        }
    }
    return true;
}

void options_help(void)
{
    for (size_t i = 0; i < sizeof k_rows / sizeof k_rows[0]; i++) {
        printf("  -%-20s %s\n", k_rows[i].name, k_rows[i].help);
    }
}
