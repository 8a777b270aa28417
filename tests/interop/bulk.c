#include "commands.h"

#include "payload.h"
#include "workers.h"

#include <stdlib.h>

/** Checks what comes after the payload: nothing. How the stream ends is not judged, since a
 *  client that has its digest may close everything at once. */
static bool nothing_follows(struct peer *peer, smux_stream *stream)
{
    uint8_t byte;
    size_t n = 0;
    smux_stream_read(stream, &byte, 1, &n);
    return n == 0 || tally_fail(&peer->tally, "stream %u: data after the payload",
                                (unsigned)smux_stream_id(stream));
}

static bool sink_stream(struct peer *peer, smux_stream *stream)
{
    uint64_t n;
    uint8_t digest[SHA256_SIZE];
    sleep_ms(peer->options->delay_ms);
    if (!payload_read_length(peer, stream, &n) || !payload_receive(peer, stream, n, digest, NULL)) {
        return false;
    }
    int status = smux_stream_write(stream, digest, sizeof digest, NULL);
    if (status != SMUX_OK) {
        return payload_fail(peer, stream, "write of the digest", status);
    }
    return n == PAYLOAD_UNTIL_END || nothing_follows(peer, stream);
}

static void sink_session(struct peer *peer, smux_session *session)
{
    link_each_stream(peer, session, sink_stream);
}

void sink_server(struct peer *peer)
{
    link_serve(peer, sink_session);
}

static bool source_stream(struct peer *peer, smux_stream *stream)
{
    uint64_t n;
    uint8_t digest[SHA256_SIZE];
    if (!payload_read_length(peer, stream, &n)) {
        return false;
    }
    int status = payload_send(peer, stream, n, peer->options->chunk, digest);
    if (status == SMUX_OK) {
        status = smux_stream_write(stream, digest, sizeof digest, NULL);
    }
    return status == SMUX_OK || link_is_end(status) || payload_fail(peer, stream, "write", status);
}

static void source_session(struct peer *peer, smux_session *session)
{
    link_each_stream(peer, session, source_stream);
}

void source_server(struct peer *peer)
{
    link_serve(peer, source_session);
}

/* --- clients ---------------------------------------------------------------------------- */

static bool send_stream(struct peer *peer, smux_stream *stream)
{
    const struct options *o = peer->options;
    uint8_t digest[SHA256_SIZE];
    if (!payload_send_length(peer, stream, o->eof ? PAYLOAD_UNTIL_END : o->bytes)) {
        return false;
    }
    int status = payload_send(peer, stream, o->bytes, o->chunk, digest);
    if (status != SMUX_OK) {
        return payload_fail(peer, stream, "write", status);
    }
    if (o->no_wait) {
        return true;
    }
    if (o->eof && (status = smux_stream_shutdown(stream)) != SMUX_OK) {
        return payload_fail(peer, stream, "half-close", status);
    }
    return payload_expect_digest(peer, stream, digest);
}

void source_client(struct peer *peer)
{
    link_run_client(peer, peer->options->streams, peer->options->streams, send_stream);
}

bool bulk_fetch(struct peer *peer, smux_stream *stream)
{
    uint64_t n = peer->options->bytes;
    uint8_t digest[SHA256_SIZE];
    if (!payload_send_length(peer, stream, n)) {
        return false;
    }
    sleep_ms(peer->options->delay_ms);
    return payload_receive(peer, stream, n, digest, NULL) &&
           payload_expect_digest(peer, stream, digest) && payload_expect_end(peer, stream);
}

void sink_client(struct peer *peer)
{
    link_run_client(peer, peer->options->streams, peer->options->streams, bulk_fetch);
}

/* --- both ways at once ------------------------------------------------------------------ */

/** The sending half of one stream. */
struct half {
    struct peer *peer;
    smux_stream *stream;
    uint64_t n;
    int status;
};

static void *send_half(void *arg)
{
    struct half *half = arg;
    uint8_t digest[SHA256_SIZE];
    half->status =
        payload_send(half->peer, half->stream, half->n, half->peer->options->chunk, digest);
    return NULL;
}

/** Sends and receives `n` bytes. */
static bool duplex(struct peer *peer, smux_stream *stream, uint64_t n)
{
    struct half half = {.peer = peer, .stream = stream, .n = n};
    pthread_t writer = worker_start(send_half, &half);
    bool ok = payload_receive(peer, stream, n, NULL, NULL);
    if (!ok) {
        smux_stream_abort(stream); /* wakes the writer */
    }
    pthread_join(writer, NULL);
    return half.status == SMUX_OK ? ok : payload_fail(peer, stream, "write", half.status);
}

static bool duplex_stream(struct peer *peer, smux_stream *stream)
{
    uint64_t n;
    return payload_read_length(peer, stream, &n) && duplex(peer, stream, n);
}

static void duplex_session(struct peer *peer, smux_session *session)
{
    link_each_stream(peer, session, duplex_stream);
}

void duplex_server(struct peer *peer)
{
    link_serve(peer, duplex_session);
}

/** The server may still be reading; its end says that it is done. */
static bool duplex_and_end(struct peer *peer, smux_stream *stream)
{
    uint64_t n = peer->options->bytes;
    return payload_send_length(peer, stream, n) && duplex(peer, stream, n) &&
           payload_expect_end(peer, stream);
}

void duplex_client(struct peer *peer)
{
    link_run_client(peer, peer->options->streams, peer->options->streams, duplex_and_end);
}
