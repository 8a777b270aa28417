#define _GNU_SOURCE 1 /* clock_nanosleep and threads under -std=c11 */

#include "bench_worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READ_SIZE (128u * 1024)

/* --- helpers of all work ------------------------------------------------------------------ */

bool worker_should_stop(const struct worker *worker)
{
    return atomic_load_explicit(&worker->crew->stop, memory_order_relaxed);
}

/* Each counter has one writer, so adding needs no locked instruction. */
static void add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + amount, memory_order_release);
}

/* `counting` brackets both, so that whoever looks sees neither or both. */
void worker_count(struct worker *worker, uint64_t bytes, uint64_t operations)
{
    uint32_t step = atomic_load_explicit(&worker->counting, memory_order_relaxed);

    atomic_store_explicit(&worker->counting, step + 1, memory_order_relaxed);
    add(&worker->bytes, bytes);
    add(&worker->operations, operations);
    atomic_store_explicit(&worker->counting, step + 2, memory_order_release);
}

void worker_counted(struct worker *worker, uint64_t *out_bytes, uint64_t *out_operations)
{
    uint32_t step;

    do {
        step = atomic_load_explicit(&worker->counting, memory_order_acquire);
        *out_bytes = atomic_load_explicit(&worker->bytes, memory_order_acquire);
        *out_operations = atomic_load_explicit(&worker->operations, memory_order_acquire);
    } while (step % 2 != 0 ||
             step != atomic_load_explicit(&worker->counting, memory_order_relaxed));
}

int worker_fail(struct worker *worker, int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(worker->why, sizeof(worker->why), format, args);
    va_end(args);
    return status;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- flow --------------------------------------------------------------------------------- */

int worker_check_sink(struct worker *worker, uint64_t got)
{
    uint64_t sent = atomic_load_explicit(&worker->bytes, memory_order_relaxed);

    if (got != sent) {
        return worker_fail(worker, SMUX_EPROTO, "%llu bytes were sent and %llu arrived",
                           (unsigned long long)sent, (unsigned long long)got);
    }
    return SMUX_OK;
}

static int end_sink(struct worker *worker)
{
    uint64_t got = 0;
    int status = channel_shutdown(&worker->channel);

    if (status == SMUX_OK) {
        status = channel_read_count(&worker->channel, &got);
    }
    return status == SMUX_OK ? worker_check_sink(worker, got) : status;
}

int work_write(struct worker *worker)
{
    uint32_t size = worker->size;
    char *message = malloc(size);
    int status = message == NULL ? SMUX_ENOMEM : SMUX_OK;

    if (message != NULL) {
        memset(message, 'x', size); /* untouched memory is one page that never leaves the cache */
    }
    while (status == SMUX_OK && !worker_should_stop(worker)) {
        status = channel_write(&worker->channel, message, size);
        worker_count(worker, status == SMUX_OK ? size : 0, 1);
    }
    free(message);
    return status == SMUX_OK ? end_sink(worker) : status;
}

int work_read(struct worker *worker)
{
    struct channel *channel = &worker->channel;
    uint64_t rest = 0; /* of a message whose end has not come */
    char *buf = malloc(READ_SIZE);
    bool told = false;
    int status = buf == NULL ? SMUX_ENOMEM : SMUX_OK;

    while (status == SMUX_OK) {
        size_t n = 0;
        if (!told && worker_should_stop(worker)) {
            channel_shutdown(channel);
            told = true;
        }
        status = channel_read(channel, buf, READ_SIZE, &n);
        rest += n;
        worker_count(worker, n, rest / worker->size);
        rest %= worker->size;
    }
    free(buf);
    return status == SMUX_EOF && told ? SMUX_OK : status;
}

/* --- ping --------------------------------------------------------------------------------- */

/* Waits until a message is due and returns when that was. */
static uint64_t await_turn(uint64_t due_ns)
{
    const struct timespec due = {.tv_sec = (time_t)(due_ns / 1000000000),
                                 .tv_nsec = (long)(due_ns % 1000000000)};

    /* Late already: it is sent now, and its latency includes what it waited. */
    while (now_ns() < due_ns) {
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
    return due_ns;
}

static int round_trip(struct worker *worker, char *message, uint64_t begin_ns)
{
    int status = channel_write(&worker->channel, message, worker->size);

    if (status == SMUX_OK) {
        status = channel_read_full(&worker->channel, message, worker->size);
    }
    if (status == SMUX_OK) {
        histogram_record(worker->latency, now_ns() - begin_ns);
        worker_count(worker, 2 * (uint64_t)worker->size, 1);
    }
    return status;
}

int work_ping(struct worker *worker)
{
    char *message = calloc(1, worker->size);
    uint64_t due_ns = now_ns() + worker->begin_ns;
    int status = message == NULL ? SMUX_ENOMEM : SMUX_OK;

    while (status == SMUX_OK && !worker_should_stop(worker)) {
        status = round_trip(worker, message, worker->pace_ns == 0 ? now_ns() : await_turn(due_ns));
        due_ns += worker->pace_ns;
    }
    free(message);
    return status;
}

/* --- the crew ----------------------------------------------------------------------------- */

static void *worker_run(void *arg)
{
    struct worker *worker = arg;
    struct crew *crew = worker->crew;

    worker->status = worker->work(worker);
    if (worker->status != SMUX_OK) {
        if (worker->why[0] == '\0') {
            carrier_explain(crew->carrier, worker->status, worker->why, sizeof(worker->why));
        }
        atomic_store(&crew->failed, true);
    }
    return NULL;
}

int crew_open(struct crew *crew)
{
    int status = SMUX_OK;

    for (size_t i = 0; i < crew->n && status == SMUX_OK; i++) {
        struct worker *worker = &crew->workers[i];
        if (worker->service == 0 || worker->work == NULL || worker->work == work_loop) {
            continue;
        }
        status = carrier_channel(crew->carrier, &worker->channel);
        if (status == SMUX_OK) {
            worker->has_channel = true;
            channel_set_limit(&worker->channel, crew->limit_ms);
            status = channel_request(&worker->channel, worker->service, worker->size);
        }
    }
    return status;
}

int crew_start(struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++) {
        struct worker *worker = &crew->workers[i];
        if (worker->work == NULL) {
            continue;
        }
        if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0) {
            return SMUX_EIO;
        }
        worker->started = true;
    }
    return SMUX_OK;
}

int crew_stop(struct crew *crew, char *why, size_t size)
{
    int status = SMUX_OK;

    atomic_store(&crew->stop, true);
    for (size_t i = 0; i < crew->n; i++) {
        struct worker *worker = &crew->workers[i];
        if (worker->started) {
            pthread_join(worker->thread, NULL);
        }
        if (worker->started && worker->status != SMUX_OK && status == SMUX_OK) {
            status = worker->status;
            snprintf(why, size, "%s", worker->why);
        }
        if (worker->has_channel) {
            channel_close(&worker->channel);
        }
    }
    return status;
}
