/*
 * bench_peer.c - the server side of `smux bench` in the loop of `smux server --bench`.
 *
 * bench_server.c does the same with threads; here each stream is a small state machine that goes
 * on as far as data and room allow, whenever something happens to it.
 */
#include <smux/engine.h>
#include <stdlib.h>

#include "bench.h"
#include "bench_loop.h"
#include "bench_request.h"

/* A source writes from here. */
static const char source_block[128 * 1024];

struct bench_peer {
    smux_engine *engine;
    uint64_t discarded; /* streams read to the end */
};

/* What each stream carries. */
struct bench_stream {
    uint8_t head[BENCH_REQUEST_SIZE];
    uint8_t head_len;
    struct bench_request request; /* valid once the head is complete */
    uint64_t taken;               /* bytes that followed the request */
};

size_t bench_peer_user_size(void)
{
    return sizeof(struct bench_stream);
}

struct bench_peer *bench_peer_new(smux_conn *conn)
{
    struct bench_peer *peer = calloc(1, sizeof(*peer));

    if (peer != NULL) {
        peer->engine = smux_conn_engine(conn);
    }
    return peer;
}

void bench_peer_free(struct bench_peer *peer)
{
    free(peer);
}

/* --- the services; each returns SMUX_EAGAIN to go on later, anything else ends the stream ---- */

/* Writes a few bytes, for which there is room unless the client never reads. */
static int write_short(struct bench_peer *peer, smux_estream *stream, const void *data, size_t len)
{
    size_t taken = 0;
    int status = smux_estream_write(peer->engine, stream, data, len, &taken);

    return status == SMUX_OK && taken < len ? SMUX_ELIMIT : status;
}

static int write_count(struct bench_peer *peer, smux_estream *stream, uint64_t count)
{
    uint8_t reply[BENCH_COUNT_SIZE];

    bench_count_encode(count, reply);
    return write_short(peer, stream, reply, sizeof(reply));
}

static int serve_sink(struct bench_peer *peer, smux_estream *stream, struct bench_stream *state)
{
    int status = loop_drain(peer->engine, stream, &state->taken);

    if (status == SMUX_EOF) {
        write_count(peer, stream, state->taken);
    }
    return status;
}

static int serve_discard(struct bench_peer *peer, smux_estream *stream, struct bench_stream *state)
{
    int status = loop_drain(peer->engine, stream, &state->taken);

    peer->discarded += status == SMUX_EOF;
    return status;
}

static int serve_source(struct bench_peer *peer, smux_estream *stream, struct bench_stream *state)
{
    uint32_t size = state->request.size;
    int status = loop_drain(peer->engine, stream, &state->taken);
    size_t taken;

    if (status != SMUX_EAGAIN) {
        return status;
    }
    if (size > sizeof(source_block)) {
        size = sizeof(source_block);
    }
    do {
        status = smux_estream_write(peer->engine, stream, source_block, size, &taken);
    } while (status == SMUX_OK);
    return status;
}

static int serve_echo(struct bench_peer *peer, smux_estream *stream)
{
    struct smux_iov iov;
    int n = 0;
    int status;

    while ((status = smux_estream_peek(peer->engine, stream, &iov, 1, &n)) == SMUX_OK) {
        size_t taken = 0;
        status = smux_estream_write(peer->engine, stream, iov.base, iov.len, &taken);
        smux_estream_consume(peer->engine, stream, taken);
        if (status != SMUX_OK) {
            break;
        }
    }
    return status;
}

static int serve_count(struct bench_peer *peer, smux_estream *stream)
{
    int status = write_count(peer, stream, peer->discarded);

    return status == SMUX_OK ? SMUX_EOF : status;
}

static int serve(struct bench_peer *peer, smux_estream *stream, struct bench_stream *state)
{
    switch (state->request.service) {
    case BENCH_SINK:
        return serve_sink(peer, stream, state);
    case BENCH_DISCARD:
        return serve_discard(peer, stream, state);
    case BENCH_SOURCE:
        return serve_source(peer, stream, state);
    case BENCH_ECHO:
        return serve_echo(peer, stream);
    case BENCH_COUNT:
        return serve_count(peer, stream);
    case BENCH_HOLD:
        return loop_drain(peer->engine, stream, &state->taken);
    }
    return SMUX_EINVAL;
}

/* --- requests ----------------------------------------------------------------------------- */

/* Reads the request as far as it has come. SMUX_OK once it is complete. */
static int read_head(struct bench_peer *peer, smux_estream *stream, struct bench_stream *state)
{
    while (state->head_len < BENCH_REQUEST_SIZE) {
        size_t n = 0;
        int status = smux_estream_read(peer->engine, stream, state->head + state->head_len,
                                       BENCH_REQUEST_SIZE - (size_t)state->head_len, &n);
        if (status != SMUX_OK) {
            return status;
        }
        state->head_len = (uint8_t)(state->head_len + n);
    }
    return SMUX_OK;
}

static int begin(struct bench_peer *peer, smux_estream *stream, struct bench_stream *state)
{
    int status = read_head(peer, stream, state);

    if (status == SMUX_OK && !bench_request_decode(state->head, &state->request)) {
        return SMUX_EINVAL;
    }
    if (status == SMUX_OK && state->request.service == BENCH_HOLD) {
        status = write_short(peer, stream, "", 1);
    }
    return status;
}

static void advance(struct bench_peer *peer, smux_estream *stream)
{
    struct bench_stream *state = smux_estream_user(stream);
    int status = SMUX_OK;

    if (state->head_len < BENCH_REQUEST_SIZE) {
        status = begin(peer, stream, state);
    }
    if (status == SMUX_OK) {
        status = serve(peer, stream, state);
    }
    if (status == SMUX_EAGAIN) {
        return;
    }
    if (status != SMUX_EOF) {
        smux_estream_abort(peer->engine, stream, SMUX_EABORTED);
    }
    smux_estream_close(peer->engine, stream);
}

void bench_peer_on_stream(struct bench_peer *peer, smux_estream *stream)
{
    advance(peer, stream);
}

void bench_peer_on_event(struct bench_peer *peer, smux_estream *stream, unsigned events)
{
    (void)events;
    advance(peer, stream);
}
