/*
 * bench_settings.h - what the command line of `smux bench` asks for, and the modes there are.
 */
#ifndef TOOL_BENCH_SETTINGS_H
#define TOOL_BENCH_SETTINGS_H

#include "options.h"

/* What carries the bytes of a test. */
enum bench_kind {
    KIND_TCP, /* a connection for each stream: what the others are compared with */
    KIND_V1,  /* one smux session, version 1 */
    KIND_V2,  /* one smux session, version 2 */
    KIND_COUNT
};

/* What a worker does on its stream, see bench_worker.h. */
enum bench_work {
    WORK_FLOW,  /* writes or reads as fast as it can, in the direction the user asked for */
    WORK_PING,  /* sends a message, waits for its echo */
    WORK_TURNS, /* one worker writes on all streams in turn */
    WORK_CHURN,
    WORK_HOLD
};

enum bench_mode_id {
    MODE_BULK,
    MODE_SMALL,
    MODE_TURNS,
    MODE_PINGPONG,
    MODE_LOADED,
    MODE_CHURN,
    MODE_IDLE,
    MODE_COUNT
};

struct bench_mode {
    const char *name;
    enum bench_mode_id id;
    enum bench_work work;
    const char *operation;    /* what is counted besides bytes */
    uint32_t default_size;    /* of --size */
    uint32_t default_streams; /* of --streams */
    uint32_t background;      /* streams that run as bulk does, beside those that are measured */
    bool has_latency;
};

struct bench_settings {
    struct settings common; /* first, as options_parse() wants it */
    const char *remote;     /* NULL: both ends in this process */
    const char *mode_text;
    const char *vs_text;
    uint32_t streams; /* 0: the mode's default */
    uint32_t time_ms;
    uint32_t omit_ms;
    uint32_t interval_ms;
    uint32_t size; /* 0: the mode's default */
    uint32_t rate; /* messages a second of all streams; 0: closed loop */
    uint32_t runs;
    bool unix_socket; /* instead of loopback TCP */
    bool loop;        /* each end of a session is one thread */
    bool reverse;
    bool bidir;
    bool json_lines;
    bool markdown;
    const char *json; /* file, or NULL */
    const char *tsv;  /* prefix of files, or NULL */

    const struct bench_mode *modes[MODE_COUNT]; /* in the order of the command line */
    size_t n_modes;
    enum bench_kind kinds[KIND_COUNT];
    size_t n_kinds;
};

extern const struct command bench_command;

/* The rows of `bench` alone. */
extern const struct option_list bench_options;

/* Parses and checks the command line. OPTIONS_GO_ON, or the exit code. */
int bench_settings_parse(struct bench_settings *settings, int argc, char **argv);

/* Returns "tcp", "v1" or "v2". */
const char *bench_kind_name(enum bench_kind kind);

/* Returns what a mode is run with. */
uint32_t bench_mode_size(const struct bench_settings *settings, const struct bench_mode *mode);
uint32_t bench_mode_streams(const struct bench_settings *settings, const struct bench_mode *mode);

#endif
