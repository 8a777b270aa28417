#include "commands.h"

#include "pattern.h"
#include "payload.h"
#include "workers.h"

#include <stdlib.h>
#include <string.h>

bool echo_stream(struct peer *peer, smux_stream *stream)
{
    uint8_t *buf = payload_alloc(PAYLOAD_BUFFER);
    const char *what = "echo read";
    size_t n = 0;
    int status = smux_stream_read(stream, buf, PAYLOAD_BUFFER, &n);
    while (status == SMUX_OK) {
        peer->tally.bytes += n;
        what = "echo write";
        status = smux_stream_write(stream, buf, n, NULL);
        if (status == SMUX_OK) {
            what = "echo read";
            status = smux_stream_read(stream, buf, PAYLOAD_BUFFER, &n);
        }
    }
    free(buf);
    /* A session that broke is reported once, by link_close(). */
    return link_is_end(status) || smux_status_is_fatal(status) ||
           payload_fail(peer, stream, what, status);
}

static void echo_session(struct peer *peer, smux_session *session)
{
    link_each_stream(peer, session, echo_stream);
}

void echo_server(struct peer *peer)
{
    link_serve(peer, echo_session);
}

/* --- the client ------------------------------------------------------------------------- */

/** One stream's messages. */
struct exchange {
    struct peer *peer;
    smux_stream *stream;
    struct pattern out;
    struct pattern in;
    uint8_t *sent;
    uint8_t *got;
    uint8_t *want;
    int write_status;
};

/** Writes message number i. */
static int put_message(struct exchange *x, uint32_t i)
{
    const struct options *o = x->peer->options;
    if (o->idle_ms > 0 && i == o->m / 2) {
        sleep_ms(o->idle_ms);
    }
    pattern_fill(&x->out, x->sent, o->size);
    return smux_stream_write(x->stream, x->sent, o->size, NULL);
}

static void *put_messages(void *arg)
{
    struct exchange *x = arg;
    for (uint32_t i = 0; i < x->peer->options->m && x->write_status == SMUX_OK; i++) {
        x->write_status = put_message(x, i);
    }
    return NULL;
}

/** Reads message number i and compares. */
static bool get_message(struct exchange *x, uint32_t i)
{
    uint32_t size = x->peer->options->size;
    int status = payload_read_full(x->stream, x->got, size);
    if (status != SMUX_OK) {
        return payload_fail(x->peer, x->stream, "read of an echo", status);
    }
    pattern_fill(&x->in, x->want, size);
    if (memcmp(x->got, x->want, size) != 0) {
        return tally_fail(&x->peer->tally, "stream %u: message %u came back changed",
                          (unsigned)smux_stream_id(x->stream), (unsigned)i);
    }
    x->peer->tally.bytes += 2 * (uint64_t)size;
    return true;
}

static bool run_lockstep(struct exchange *x)
{
    bool ok = true;
    for (uint32_t i = 0; i < x->peer->options->m && ok; i++) {
        x->write_status = put_message(x, i);
        ok = x->write_status == SMUX_OK && get_message(x, i);
    }
    return ok;
}

static bool run_both_ways(struct exchange *x)
{
    bool ok = true;
    pthread_t writer = worker_start(put_messages, x);
    for (uint32_t i = 0; i < x->peer->options->m && ok; i++) {
        ok = get_message(x, i);
    }
    if (!ok) {
        smux_stream_abort(x->stream); /* wakes the writer */
    }
    pthread_join(writer, NULL);
    return ok;
}

bool echo_exchange(struct peer *peer, smux_stream *stream)
{
    uint32_t size = peer->options->size;
    struct exchange x = {.peer = peer, .stream = stream};
    x.sent = payload_alloc(size);
    x.got = payload_alloc(size);
    x.want = payload_alloc(size);
    pattern_init(&x.out, smux_stream_id(stream));
    pattern_init(&x.in, smux_stream_id(stream));
    bool ok =
        peer->options->lockstep || peer->options->m == 1 ? run_lockstep(&x) : run_both_ways(&x);
    if (x.write_status != SMUX_OK && x.write_status != SMUX_EABORTED) {
        ok = payload_fail(peer, stream, "write of a message", x.write_status);
    }
    free(x.sent);
    free(x.got);
    free(x.want);
    return ok;
}

/** Half-closes and wants the end of the other direction, without data. */
static bool end_exchange(struct peer *peer, smux_stream *stream)
{
    int status = smux_stream_shutdown(stream);
    if (status != SMUX_OK) {
        return payload_fail(peer, stream, "half-close", status);
    }
    return payload_expect_end(peer, stream);
}

static bool run_one(struct peer *peer, smux_stream *stream)
{
    return echo_exchange(peer, stream) && (!peer->options->eof || end_exchange(peer, stream));
}

void echo_streams(struct peer *peer, smux_session *session)
{
    link_on_streams(peer, session, peer->options->c, peer->options->parallel, run_one);
}

void echo_client(struct peer *peer)
{
    link_run_client(peer, peer->options->c, peer->options->parallel, run_one);
}
