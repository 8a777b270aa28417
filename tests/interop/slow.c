#include "commands.h"

#include "pattern.h"
#include "payload.h"
#include "workers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* --- a server that reads late ----------------------------------------------------------- */

/** The first streams of a session are those with the lowest ids: 3, 5, 7, .. [SID-1]. */
static bool is_stalled(const struct peer *peer, const smux_stream *stream)
{
    return (smux_stream_id(stream) - 3) / 2 < peer->options->stalled;
}

static bool slow_stream(struct peer *peer, smux_stream *stream)
{
    if (is_stalled(peer, stream)) {
        sleep_ms(peer->options->release_ms);
    }
    return echo_stream(peer, stream);
}

static void slow_session(struct peer *peer, smux_session *session)
{
    link_each_stream(peer, session, slow_stream);
}

void slow_server(struct peer *peer)
{
    link_serve(peer, slow_session);
}

/* --- a client that reads late ----------------------------------------------------------- */

/** A stream that is written to and not read. */
struct stalled {
    struct peer *peer;
    smux_stream *stream;
    pthread_t writer;
    atomic_uint_fast64_t written;
};

static void *fill_stalled(void *arg)
{
    enum {
        PIECE = 4096
    };
    struct stalled *s = arg;
    uint8_t buf[PIECE];
    struct pattern pattern;
    int status = SMUX_OK;
    pattern_init(&pattern, smux_stream_id(s->stream));
    while (s->written < s->peer->options->stall && status == SMUX_OK) {
        uint64_t left = s->peer->options->stall - s->written;
        size_t n = left < PIECE ? (size_t)left : PIECE;
        size_t accepted = 0;
        pattern_fill(&pattern, buf, n);
        status = smux_stream_write(s->stream, buf, n, &accepted);
        s->written += accepted;
    }
    if (status != SMUX_OK) {
        payload_fail(s->peer, s->stream, "write to the stalled stream", status);
    }
    return NULL;
}

static void drain_stalled(struct stalled *s)
{
    payload_receive(s->peer, s->stream, s->peer->options->stall, NULL, NULL);
    pthread_join(s->writer, NULL);
    smux_stream_close(s->stream);
}

/** Opens the streams that will stall and lets them fill; false after tally_fail(). */
static bool start_stalled(struct peer *peer, smux_session *session, struct stalled *stalled)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < peer->options->stalled; i++) {
        stalled[i].peer = peer;
        stalled[i].written = 0;
        stalled[i].stream = link_open(peer, session);
        if (stalled[i].stream == NULL) {
            return false;
        }
        stalled[i].writer = worker_start(fill_stalled, &stalled[i]);
    }
    sleep_ms(peer->options->settle_ms);
    for (uint32_t i = 0; i < peer->options->stalled; i++) {
        before += stalled[i].written;
    }
    tally_set(&peer->tally, "stalled_at", before);
    return true;
}

/** Moves -bytes on each of -c streams there and back, in messages of 16 KiB. */
static void move_others(struct peer *peer, smux_session *session)
{
    enum {
        MESSAGE = 16 << 10
    };
    struct options moving = *peer->options;
    struct peer other = {.options = &moving};
    moving.parallel = moving.c;
    moving.size = MESSAGE;
    moving.m = (uint32_t)((moving.bytes + MESSAGE - 1) / MESSAGE);
    tally_init(&other.tally);
    echo_streams(&other, session);
    peer->tally.streams += other.tally.streams;
    peer->tally.bytes += other.tally.bytes;
    if (other.tally.errors > 0) {
        tally_fail(&peer->tally, "beside stalled streams: %s", other.tally.first);
    }
}

void slow_client(struct peer *peer)
{
    smux_session *session = link_connect(peer);
    struct stalled *stalled = payload_alloc(peer->options->stalled * sizeof *stalled);
    if (session != NULL && start_stalled(peer, session, stalled)) {
        move_others(peer, session);
        for (uint32_t i = 0; i < peer->options->stalled; i++) {
            drain_stalled(&stalled[i]);
        }
        link_close(peer, session);
    }
    free(stalled);
}

/* --- a client that leaves what a source sends unread -------------------------------------- */

/** Asks for -stall-bytes on -stalled streams. Returns how many there are. */
static uint32_t ask_for_unread(struct peer *peer, smux_session *session, smux_stream **streams)
{
    uint32_t n = 0;

    while (n < peer->options->stalled && (streams[n] = link_open(peer, session)) != NULL) {
        payload_send_length(peer, streams[n++], peer->options->stall);
    }
    return n;
}

/** Counts what came on them, and closes them. */
static uint64_t end_unread(smux_stream **streams, uint32_t n)
{
    uint64_t unread = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct smux_stream_stats stats;
        smux_stream_stats(streams[i], &stats);
        unread += stats.unread;
        smux_stream_close(streams[i]);
    }
    return unread;
}

void unread_client(struct peer *peer)
{
    smux_session *session = link_connect(peer);
    smux_stream **streams = payload_alloc((peer->options->stalled + 1) * sizeof(*streams));
    if (session != NULL) {
        uint32_t n = ask_for_unread(peer, session, streams);
        sleep_ms(peer->options->settle_ms);
        uint64_t start_us = smux_now_us();
        link_on_stream(peer, session, bulk_fetch);
        tally_set(&peer->tally, "read_us", smux_now_us() - start_us);
        tally_set(&peer->tally, "unread", end_unread(streams, n));
        link_close(peer, session);
    }
    free(streams);
}
