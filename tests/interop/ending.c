#include "commands.h"

#include "payload.h"
#include "workers.h"

#include <stdlib.h>
#include <string.h>

/* --- half-close ------------------------------------------------------------------------- */

static bool send_pattern(struct peer *peer, smux_stream *stream, uint64_t n)
{
    uint8_t digest[SHA256_SIZE];
    int status = payload_send(peer, stream, n, peer->options->chunk, digest);
    return status == SMUX_OK || payload_fail(peer, stream, "write", status);
}

static bool half_close(struct peer *peer, smux_stream *stream)
{
    int status = smux_stream_shutdown(stream);
    return status == SMUX_OK || payload_fail(peer, stream, "half-close", status);
}

static bool halfclose_reply(struct peer *peer, smux_stream *stream)
{
    const struct options *o = peer->options;
    if (strcmp(o->order, "server-first") == 0) {
        return send_pattern(peer, stream, o->reply) && half_close(peer, stream) &&
               payload_receive(peer, stream, PAYLOAD_UNTIL_END, NULL, NULL);
    }
    return payload_receive(peer, stream, PAYLOAD_UNTIL_END, NULL, NULL) &&
           send_pattern(peer, stream, o->reply);
}

static void halfclose_session(struct peer *peer, smux_session *session)
{
    link_each_stream(peer, session, halfclose_reply);
}

void halfclose_server(struct peer *peer)
{
    link_serve(peer, halfclose_session);
}

static bool halfclose_request(struct peer *peer, smux_stream *stream)
{
    const struct options *o = peer->options;
    uint64_t got = 0;
    if (!send_pattern(peer, stream, o->send)) {
        return false;
    }
    sleep_ms(o->before_ms);
    if (!half_close(peer, stream)) {
        return false;
    }
    sleep_ms(o->delay_ms);
    if (!payload_receive(peer, stream, PAYLOAD_UNTIL_END, NULL, &got) ||
        !payload_expect_end(peer, stream)) {
        return false;
    }
    return got == o->reply || tally_fail(&peer->tally, "reply has %llu bytes, expected %llu",
                                         (unsigned long long)got, (unsigned long long)o->reply);
}

void halfclose_client(struct peer *peer)
{
    link_run_client(peer, peer->options->c, peer->options->c, halfclose_request);
}

/* --- close while the other end writes --------------------------------------------------- */

/** Reads and drops `n` bytes. */
static int skip(struct peer *peer, smux_stream *stream, uint64_t n)
{
    uint8_t *buf = payload_alloc(PAYLOAD_BUFFER);
    int status = SMUX_OK;
    while (n > 0 && status == SMUX_OK) {
        size_t len = 0;
        status =
            smux_stream_read(stream, buf, n < PAYLOAD_BUFFER ? (size_t)n : PAYLOAD_BUFFER, &len);
        peer->tally.bytes += len;
        n -= len;
    }
    free(buf);
    return status;
}

static bool closer_stream(struct peer *peer, smux_stream *stream)
{
    int status = skip(peer, stream, peer->options->after);
    return status == SMUX_OK || link_is_end(status) || payload_fail(peer, stream, "read", status);
}

static void closer_session(struct peer *peer, smux_session *session)
{
    link_each_stream(peer, session, closer_stream);
}

void closer_server(struct peer *peer)
{
    link_serve(peer, closer_session);
}

static bool close_midway(struct peer *peer, smux_stream *stream)
{
    if (!payload_send_length(peer, stream, peer->options->bytes)) {
        return false;
    }
    int status = skip(peer, stream, peer->options->after);
    return status == SMUX_OK || payload_fail(peer, stream, "read", status);
}

void closer_client(struct peer *peer)
{
    smux_session *session = link_connect(peer);
    if (session != NULL) {
        link_on_streams(peer, session, peer->options->c, peer->options->parallel, close_midway);
        /* The session must have survived: a whole transfer still works. */
        link_on_stream(peer, session, bulk_fetch);
        link_close(peer, session);
    }
}
