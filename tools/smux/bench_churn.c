/*
 * bench_churn.c - work that opens channels in numbers: churn and hold.
 *
 * Both stay at most AHEAD channels ahead of the server. A server refuses what exceeds its accept
 * backlog, 1024 by default here and in Go, so a client that only opens would measure refusals.
 */
#define _GNU_SOURCE 1 /* nanosleep under -std=c11 */

#include <stdlib.h>
#include <time.h>

#include "bench_worker.h"

#define AHEAD 512u

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

/* Asks the server until at most `ahead` channels are open that it has not read to the end. */
static int await_server(struct worker *worker, uint64_t ahead, uint64_t *finished)
{
    int status = SMUX_OK;

    while (status == SMUX_OK && atomic_load(&worker->crew->opened) > *finished + ahead) {
        status = channel_write(&worker->channel, "", 1);
        if (status == SMUX_OK) {
            status = channel_read_count(&worker->channel, finished);
        }
    }
    return status;
}

int work_churn(struct worker *worker)
{
    uint64_t finished = 0;
    int status = SMUX_OK;

    while (status == SMUX_OK && !worker_should_stop(worker)) {
        status = await_server(worker, AHEAD, &finished);
        if (status == SMUX_OK) {
            status = open_and_close(worker);
        }
    }
    /* Every stream has to arrive; one that was lost or refused would let this wait for ever. */
    return status == SMUX_OK ? await_server(worker, 0, &finished) : status;
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
