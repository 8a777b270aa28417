/*
 * bench_worker.h - the threads of the client side that move bytes.
 *
 * A crew is the workers of one test. Each works on one channel until it is told to stop, and
 * counts what it has done; another thread may look at the counters at any time. A worker that
 * fails leaves a text and makes the whole crew fail.
 *
 * Bytes count where the client hands them over or takes them. What lies in buffers between the
 * ends is as much at the end of a test as after its warm-up, so the difference is what arrived;
 * and in the end every writer compares its total with that of the server.
 */
#ifndef TOOL_BENCH_WORKER_H
#define TOOL_BENCH_WORKER_H

#include <pthread.h>

#include "bench_carrier.h"
#include "bench_histogram.h"

struct worker;

struct crew {
    struct carrier *carrier;
    struct worker *workers;
    size_t n;
    uint32_t limit_ms; /* how long any call may wait at most */
    _Atomic bool stop;
    _Atomic bool failed;
    _Atomic bool ready;      /* hold: all channels are open */
    _Atomic uint64_t opened; /* churn: channels of all workers */
};

struct worker {
    struct crew *crew;
    int (*work)(struct worker *worker); /* NULL: another one's thread does it, see work_loop() */
    enum bench_service service;         /* what the server does on the channel; 0: opens its own */
    struct channel channel; /* opened before the thread starts; not if it opens its own */
    bool has_channel;
    bool background;   /* its operations are not those that are measured */
    uint32_t size;     /* of a message, in bytes */
    uint32_t count;    /* hold, turns: number of channels; 0 for the others */
    uint64_t pace_ns;  /* ping: planned time between messages; 0: none */
    uint64_t begin_ns; /* ping: when the first one is due, from the start */
    _Atomic uint64_t bytes;
    _Atomic uint64_t operations;
    _Atomic uint32_t counting; /* odd while only one of these two has been changed */
    struct histogram *latency; /* NULL: not measured */
    _Atomic bool blocked;      /* loop: it waited for the window when that was last looked at */
    uint64_t sampled_bytes;    /* of whoever looks at the counters: bytes when it did so last, */
    uint64_t start_bytes;      /* and when the measured time began */
    pthread_t thread;
    bool started;
    int status;
    char why[200];
};

/* The kinds of work. Each returns SMUX_OK, or why it failed. */
int work_write(struct worker *worker); /* writes messages to a sink */
int work_read(struct worker *worker);  /* reads what a source writes */
int work_ping(struct worker *worker);  /* sends messages to an echo, one at a time */
int work_turns(struct worker *worker); /* writes messages to many sinks in turn */
int work_churn(struct worker *worker); /* opens, writes five bytes, closes */
int work_hold(struct worker *worker);  /* opens many channels and keeps them */
int work_loop(struct worker *worker);  /* writes and reads for all workers, in an event loop */

/* For work functions: whether to stop, and counting. */
bool worker_should_stop(const struct worker *worker);
void worker_count(struct worker *worker, uint64_t bytes, uint64_t operations);

/* Tells what a worker has counted, both numbers as of one moment. */
void worker_counted(struct worker *worker, uint64_t *out_bytes, uint64_t *out_operations);

/* Compares what the server got with what the worker has counted. SMUX_OK, or SMUX_EPROTO with a text. */
int worker_check_sink(struct worker *worker, uint64_t got);

/* Leaves a text instead of that of the status. */
int worker_fail(struct worker *worker, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Opens the channel of each worker that works on one, and sends its request, see
 * bench_server.h. SMUX_OK, or why not. */
int crew_open(struct crew *crew);

/* Starts the threads. SMUX_OK or SMUX_EIO. */
int crew_start(struct crew *crew);

/* Tells all to stop, waits for them and closes their channels. SMUX_OK, or the status of the
 * first that failed, whose text is in `why`. */
int crew_stop(struct crew *crew, char *why, size_t size);

#endif
