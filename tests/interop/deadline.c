/*
 * Writes that time out in the middle [ORD-4]: the count tells what was accepted, the memory is
 * free at once, and every accepted byte arrives exactly once.
 */
#include "commands.h"

#include "pattern.h"
#include "payload.h"
#include "workers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    GARBAGE = 0xee
};

struct timed {
    struct peer *peer;
    smux_stream *stream;
    unsigned expired; /**< writes that ran into their deadline */
    unsigned partial; /**< of them, with a part accepted */
};

/** Writes one piece of the pattern with a deadline, spoils the memory, returns what was taken. */
static int write_piece(struct timed *t, struct pattern *pattern, uint8_t *buf, size_t len,
                       size_t *out_accepted)
{
    struct pattern copy = *pattern;
    uint64_t deadline_us = (uint64_t)t->peer->options->deadline_ms * 1000;
    *out_accepted = 0;
    pattern_fill(&copy, buf, len);
    smux_stream_set_write_deadline(t->stream, smux_now_us() + deadline_us);
    int status = smux_stream_write(t->stream, buf, len, out_accepted);
    memset(buf, GARBAGE, len);
    pattern_fill(pattern, buf, *out_accepted); /* moves on by what was accepted */
    memset(buf, GARBAGE, len);
    return status;
}

static void *write_timed(void *arg)
{
    struct timed *t = arg;
    const struct options *o = t->peer->options;
    struct pattern pattern;
    uint8_t *buf = payload_alloc(o->chunk);
    uint64_t left = o->bytes;
    int status = SMUX_OK;
    pattern_init(&pattern, smux_stream_id(t->stream));
    while (left > 0 && (status == SMUX_OK || status == SMUX_EDEADLINE)) {
        size_t len = left < o->chunk ? (size_t)left : o->chunk;
        size_t accepted;
        status = write_piece(t, &pattern, buf, len, &accepted);
        left -= accepted;
        if ((status == SMUX_OK) != (accepted == len)) {
            tally_fail(&t->peer->tally, "write: %s with %zu of %zu bytes", smux_strerror(status),
                       accepted, len);
        }
        t->expired += status == SMUX_EDEADLINE;
        t->partial += status == SMUX_EDEADLINE && accepted > 0;
    }
    free(buf);
    if (left > 0) {
        payload_fail(t->peer, t->stream, "write with a deadline", status);
    }
    return NULL;
}

static bool write_with_deadlines(struct peer *peer, smux_stream *stream)
{
    struct timed t = {.peer = peer, .stream = stream};
    pthread_t writer = worker_start(write_timed, &t);
    bool ok = payload_receive(peer, stream, peer->options->bytes, NULL, NULL);
    if (!ok) {
        smux_stream_abort(stream);
    }
    pthread_join(writer, NULL);
    tally_set(&peer->tally, "expired", t.expired);
    tally_set(&peer->tally, "partial", t.partial);
    if (t.partial == 0) {
        tally_fail(&peer->tally, "no write was cut by its deadline");
    }
    return ok;
}

void deadline_client(struct peer *peer)
{
    link_run_client(peer, 1, 1, write_with_deadlines);
}
