/*
 * bench_churn.c - work that opens channels in numbers: churn, hold and turns.
 *
 * Churn and hold stay at most AHEAD channels ahead of the server. A server refuses what exceeds its accept
 * backlog, 1024 by default here and in Go, so a client that only opens would measure refusals. (Every
 * worker of a churn may exceed this by one channel, and by its question.)
 */
#define _GNU_SOURCE 1 /* nanosleep under -std=c11 */

#include <stdlib.h>
#include <time.h>

#include "bench_worker.h"

#define AHEAD 800u
/* So many before the server is asked how far it is. */
#define ASK 300u

/* --- churn -------------------------------------------------------------------------------- */

static int open_and_close(struct worker *worker)
{
    struct channel channel;
    int status = carrier_channel(worker->crew->carrier, &channel);

    if (status == SMUX_OK) {
        status = channel_request(&channel, BENCH_DISCARD, 0);
        channel_close(&channel);
    }
    if (status == SMUX_OK) {
        worker_count(worker, BENCH_REQUEST_SIZE, 1);
        atomic_fetch_add(&worker->crew->opened, 1);
    }
    return status;
}

/* What a worker knows of the server. */
struct progress {
    uint64_t finished;       /* channels that the server has read to the end, at least */
    struct channel question; /* how many there are now */
    bool asked;              /* the question is open */
};

static int ask(struct worker *worker, struct progress *progress)
{
    int status = carrier_channel(worker->crew->carrier, &progress->question);

    if (status == SMUX_OK) {
        progress->asked = true;
        channel_set_limit(&progress->question, worker->crew->limit_ms);
        status = channel_request(&progress->question, BENCH_COUNT, 0);
    }
    return status;
}

static void forget_question(struct progress *progress)
{
    if (progress->asked) {
        channel_close(&progress->question);
        progress->asked = false;
    }
}

static int await_answer(struct progress *progress)
{
    int status = channel_read_count(&progress->question, &progress->finished);

    forget_question(progress);
    return status;
}

/* Asks early, and waits for the answer when more than `ahead` channels are open that the server may
 * not have read to the end: by then it has come, unless the server is the slower one. */
static int await_server(struct worker *worker, struct progress *progress, uint64_t ahead)
{
    uint64_t opened = atomic_load_explicit(&worker->crew->opened, memory_order_relaxed);
    int status = SMUX_OK;

    while (status == SMUX_OK && opened > progress->finished + ahead) {
        status = progress->asked ? await_answer(progress) : ask(worker, progress);
    }
    if (status == SMUX_OK && !progress->asked && opened > progress->finished + ASK) {
        status = ask(worker, progress);
    }
    return status;
}

int work_churn(struct worker *worker)
{
    struct progress progress = {.finished = 0};
    int status = SMUX_OK;

    while (status == SMUX_OK && !worker_should_stop(worker)) {
        status = await_server(worker, &progress, AHEAD);
        if (status == SMUX_OK) {
            status = open_and_close(worker);
        }
    }
    /* Every stream has to arrive; one that was lost or refused would let this wait for ever. */
    if (status == SMUX_OK) {
        status = await_server(worker, &progress, 0);
    }
    forget_question(&progress);
    return status;
}

/* --- hold --------------------------------------------------------------------------------- */

/* Reads the byte with which the server says that it holds the channel. */
static int await_held(struct worker *worker, struct channel *channel, uint32_t index)
{
    char byte;
    int status;

    channel_set_limit(channel, worker->crew->limit_ms);
    status = channel_read_full(channel, &byte, 1);
    if (status == SMUX_EOF) {
        return worker_fail(worker, SMUX_ELIMIT,
                           "stream %u was refused: raise --max-streams-per-session of the server",
                           index + 1);
    }
    worker_count(worker, status == SMUX_OK ? BENCH_REQUEST_SIZE + 1 : 0, status == SMUX_OK);
    return status;
}

/* Opens all channels; *out_open tells how many are open, also on failure. */
static int open_all(struct worker *worker, struct channel *channels, uint32_t *out_open)
{
    uint32_t held = 0;
    uint32_t n = 0;
    int status = SMUX_OK;

    while (status == SMUX_OK && held < worker->count) {
        if (n < worker->count && n - held < AHEAD) {
            status = carrier_channel(worker->crew->carrier, &channels[n]);
            if (status == SMUX_OK) {
                status = channel_request(&channels[n++], BENCH_HOLD, 0);
            }
        } else {
            status = await_held(worker, &channels[held], held);
            held++;
        }
    }
    *out_open = n;
    return status;
}

int work_hold(struct worker *worker)
{
    struct channel *channels = calloc(worker->count, sizeof(*channels));
    struct timespec pause = {.tv_nsec = 10000000};
    uint32_t n_open = 0;
    int status = SMUX_ENOMEM;

    if (channels != NULL) {
        status = open_all(worker, channels, &n_open);
    }
    atomic_store(&worker->crew->ready, true);
    while (status == SMUX_OK && !worker_should_stop(worker)) {
        nanosleep(&pause, NULL);
    }
    for (uint32_t i = 0; i < n_open; i++) {
        channel_close(&channels[i]);
    }
    free(channels);
    return status;
}

/* --- turns -------------------------------------------------------------------------------- */

/* Opens all channels as sinks; *out_open tells how many are open, also on failure. */
static int open_sinks(struct worker *worker, struct channel *channels, uint32_t *out_open)
{
    int status = SMUX_OK;

    *out_open = 0;
    while (status == SMUX_OK && *out_open < worker->count) {
        status = carrier_channel(worker->crew->carrier, &channels[*out_open]);
        if (status == SMUX_OK) {
            struct channel *channel = &channels[(*out_open)++];
            channel_set_limit(channel, worker->crew->limit_ms);
            status = channel_request(channel, BENCH_SINK, 0);
        }
    }
    return status;
}

/* Ends all sinks and compares what they got with what each was sent. */
static int check_sinks(struct worker *worker, struct channel *channels, uint64_t sent)
{
    int status = SMUX_OK;

    for (uint32_t i = 0; i < worker->count && status == SMUX_OK; i++) {
        uint64_t got = 0;
        status = channel_shutdown(&channels[i]);
        if (status == SMUX_OK) {
            status = channel_read_count(&channels[i], &got);
        }
        if (status == SMUX_OK && got != sent) {
            return worker_fail(worker, SMUX_EPROTO, "%llu bytes were sent and %llu arrived",
                               (unsigned long long)sent, (unsigned long long)got);
        }
    }
    return status;
}

static int write_in_turn(struct worker *worker, struct channel *channels, const char *message)
{
    uint64_t rounds = 0;
    int status = SMUX_OK;

    while (status == SMUX_OK && !worker_should_stop(worker)) {
        for (uint32_t i = 0; i < worker->count && status == SMUX_OK; i++) {
            status = channel_write(&channels[i], message, worker->size);
            worker_count(worker, status == SMUX_OK ? worker->size : 0, status == SMUX_OK);
        }
        rounds++;
    }
    return status == SMUX_OK ? check_sinks(worker, channels, rounds * worker->size) : status;
}

int work_turns(struct worker *worker)
{
    struct channel *channels = calloc(worker->count, sizeof(*channels));
    char *message = calloc(1, worker->size);
    uint32_t n_open = 0;
    int status = SMUX_ENOMEM;

    if (channels != NULL && message != NULL) {
        status = open_sinks(worker, channels, &n_open);
    }
    if (status == SMUX_OK) {
        status = write_in_turn(worker, channels, message);
    }
    for (uint32_t i = 0; i < n_open; i++) {
        channel_close(&channels[i]);
    }
    free(channels);
    free(message);
    return status;
}
