/*
 * bench_flow.c - the client side of `smux bench --loop`: one thread moves the bytes of all streams.
 *
 * It does what work_write() and work_read() do with a thread for each stream, and counts the same
 * way. A stream goes on whenever it has news: a writer lends the next message as soon as the one
 * before has left, so that nothing is copied, and a reader takes all there is where it lies.
 */
#include "bench_flow.h"

#include <smux/engine.h>
#include <smux/transport.h>
#include <stdlib.h>
#include <string.h>

/* How long the thread may not see that it is to stop. */
#define LOOK_US UINT64_C(10000)

/* All streams of one thread. */
struct flows {
    struct bench_loop *loop;
    struct worker *workers; /* one for each */
    smux_estream **streams; /* of each worker; NULL before and after */
    size_t n;
    size_t open;      /* that are not over */
    char *message;    /* what all writers lend */
    bool stopping;    /* no more messages */
    int status;       /* why one has failed */
    uint64_t counted; /* the answer to BENCH_COUNT */
    size_t next_told; /* of which publish() tells */
};

/* What each stream carries. */
struct flow {
    size_t index;  /* of its worker */
    uint64_t rest; /* bytes read of a message whose end has not come */
    bool lent;     /* a message is on its way */
    bool ended;    /* our direction */
    uint8_t answer[BENCH_COUNT_SIZE];
    size_t answer_len;
};

size_t flow_user_size(void)
{
    return sizeof(struct flow);
}

/* --- the services; each returns SMUX_EAGAIN to go on later, SMUX_OK when it is over ---------- */

static int end(struct flows *flows, smux_estream *stream, struct flow *flow)
{
    flow->ended = true;
    return smux_estream_shutdown(flows->loop->engine, stream);
}

/* Reads the number of bytes or streams that the server has counted, as far as it has come. */
static int read_answer(struct flows *flows, smux_estream *stream, struct flow *flow)
{
    while (flow->answer_len < BENCH_COUNT_SIZE) {
        size_t n = 0;
        int status = smux_estream_read(flows->loop->engine, stream, flow->answer + flow->answer_len,
                                       BENCH_COUNT_SIZE - flow->answer_len, &n);
        if (status != SMUX_OK) {
            return status;
        }
        flow->answer_len += n;
    }
    flows->counted = bench_count_decode(flow->answer);
    return SMUX_OK;
}

static int check_answer(struct flows *flows, smux_estream *stream, struct flow *flow,
                        struct worker *worker)
{
    int status = read_answer(flows, stream, flow);

    return status == SMUX_OK ? worker_check_sink(worker, flows->counted) : status;
}

/* Lends the next message if the one before has left. */
static int offer(struct flows *flows, smux_estream *stream, struct flow *flow,
                 struct worker *worker)
{
    if (smux_estream_lent(flows->loop->engine, stream) > 0) {
        return SMUX_EAGAIN;
    }
    if (flow->lent) {
        worker_count(worker, worker->size, 1);
        flow->lent = false;
    }
    if (flows->stopping) {
        return end(flows, stream, flow);
    }
    int status = smux_estream_lend(flows->loop->engine, stream, flows->message, worker->size);
    flow->lent = status == SMUX_OK;
    return status == SMUX_OK ? SMUX_EAGAIN : status;
}

static int flow_write(struct flows *flows, smux_estream *stream, struct flow *flow,
                      struct worker *worker)
{
    int status = flow->ended ? SMUX_OK : offer(flows, stream, flow, worker);

    return status == SMUX_OK ? check_answer(flows, stream, flow, worker) : status;
}

/* Takes whatever there is. */
static int flow_read(struct flows *flows, smux_estream *stream, struct flow *flow,
                     struct worker *worker)
{
    uint64_t len = 0;
    int status = SMUX_OK;

    if (flows->stopping && !flow->ended) {
        status = end(flows, stream, flow);
    }
    if (status == SMUX_OK) {
        status = loop_drain(flows->loop->engine, stream, &len);
        flow->rest += len;
        worker_count(worker, len, flow->rest / worker->size);
        flow->rest %= worker->size;
    }
    return status == SMUX_EOF && flow->ended ? SMUX_OK : status;
}

static int flow_go_on(struct flows *flows, smux_estream *stream, struct flow *flow,
                      struct worker *worker)
{
    if (worker->service == BENCH_SINK) {
        return flow_write(flows, stream, flow, worker);
    }
    return worker->service == BENCH_SOURCE ? flow_read(flows, stream, flow, worker)
                                           : read_answer(flows, stream, flow);
}

/* Goes on with a stream as far as it goes now. */
static void flow_serve(void *user, smux_estream *stream)
{
    struct flows *flows = user;
    struct flow *flow = smux_estream_user(stream);
    size_t i = flow->index;

    if (flows->streams[i] != stream) { /* one that the server has opened */
        smux_estream_close(flows->loop->engine, stream);
        return;
    }
    int status = flow_go_on(flows, stream, flow, &flows->workers[i]);
    if (status == SMUX_OK) {
        smux_estream_close(flows->loop->engine, stream);
        flows->streams[i] = NULL;
        flows->open--;
    } else if (status != SMUX_EAGAIN && flows->status == SMUX_OK) {
        flows->status = status;
        memmove(flows->workers[0].why, flows->workers[i].why, sizeof(flows->workers[0].why));
    }
}

/* --- all of them -------------------------------------------------------------------------- */

static int open_flow(struct flows *flows, size_t i)
{
    const struct bench_request request = {flows->workers[i].service, flows->workers[i].size};
    uint8_t bytes[BENCH_REQUEST_SIZE];
    size_t n;
    int status = smux_engine_open(flows->loop->engine, &flows->streams[i]);

    if (status != SMUX_OK) {
        return status;
    }
    flows->open++;
    ((struct flow *)smux_estream_user(flows->streams[i]))->index = i;
    bench_request_encode(&request, bytes);
    return smux_estream_write(flows->loop->engine, flows->streams[i], bytes, sizeof(bytes), &n);
}

/* Goes on with every stream, whether it has news or not. */
static void serve_all(struct flows *flows)
{
    for (size_t i = 0; i < flows->n; i++) {
        if (flows->streams[i] != NULL) {
            flow_serve(flows, flows->streams[i]);
        }
    }
    smux_conn_flush(flows->loop->conn);
}

static int open_flows(struct flows *flows)
{
    int status = SMUX_OK;

    flows->streams = calloc(flows->n, sizeof(smux_estream *));
    flows->message = malloc(flows->workers[0].size + 1);
    if (flows->streams == NULL || flows->message == NULL) {
        return SMUX_ENOMEM;
    }
    memset(flows->message, 'x', flows->workers[0].size + 1); /* as work_write() does */
    flows->loop->serve = flow_serve;
    flows->loop->user = flows;
    for (size_t i = 0; i < flows->n && status == SMUX_OK; i++) {
        status = open_flow(flows, i);
    }
    serve_all(flows);
    return status;
}

/* Takes back what was lent and ends the streams that are not over. */
static void close_flows(struct flows *flows)
{
    for (size_t i = 0; i < flows->n && flows->streams != NULL; i++) {
        if (flows->streams[i] != NULL) {
            loop_close_stream(flows->loop->engine, flows->streams[i]);
        }
    }
    free(flows->streams);
    free(flows->message);
}

/* Tells the thread that looks how many frames there were, and of the next stream whether it waits for
 * the window. */
static void publish(struct flows *flows, struct carrier *carrier)
{
    size_t i = flows->next_told++ % flows->n;
    struct smux_session_stats session;
    struct smux_stream_stats stream;

    smux_engine_stats(flows->loop->engine, &session);
    atomic_store_explicit(&carrier->frames, session.frames_in.psh + session.frames_out.psh,
                          memory_order_relaxed);
    if (flows->streams[i] != NULL) {
        smux_estream_stats(flows->loop->engine, flows->streams[i], &stream);
        atomic_store_explicit(&flows->workers[i].blocked, stream.blocked_on_window,
                              memory_order_relaxed);
    }
}

/* Waits and serves once, until `limit_us` at the longest. */
static int turn(struct flows *flows, uint64_t limit_us)
{
    uint64_t now_us = smux_now_us();

    if (now_us >= limit_us) {
        return SMUX_EDEADLINE;
    }
    int status = loop_turn(flows->loop, now_us + LOOK_US < limit_us ? now_us + LOOK_US : limit_us);
    return flows->status != SMUX_OK ? flows->status : status;
}

int work_loop(struct worker *worker)
{
    const struct crew *crew = worker->crew;
    uint64_t limit_us = smux_now_us() + crew->limit_ms * UINT64_C(1000);
    struct flows flows = {.loop = &crew->carrier->loop, .workers = crew->workers, .n = crew->n};
    int status = open_flows(&flows);

    while (status == SMUX_OK && flows.open > 0) {
        status = turn(&flows, limit_us);
        publish(&flows, crew->carrier);
        if (!flows.stopping && worker_should_stop(worker)) {
            flows.stopping = true;
            serve_all(&flows);
        }
    }
    close_flows(&flows);
    return status;
}

int flow_probe(struct bench_loop *loop, uint32_t limit_ms, uint64_t *out_count)
{
    struct worker worker = {.service = BENCH_COUNT};
    uint64_t limit_us = smux_now_us() + limit_ms * UINT64_C(1000);
    struct flows flows = {.loop = loop, .workers = &worker, .n = 1};
    int status = open_flows(&flows);

    while (status == SMUX_OK && flows.open > 0) {
        status = turn(&flows, limit_us);
    }
    close_flows(&flows);
    *out_count = flows.counted;
    return status;
}
