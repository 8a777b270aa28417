#include "commands.h"

#include "payload.h"
#include "workers.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GREETING = 32
};

static size_t greeting(smux_stream *stream, char out[GREETING])
{
    return (size_t)snprintf(out, GREETING, "hello %u\n", (unsigned)smux_stream_id(stream));
}

/* --- the server speaks first ------------------------------------------------------------ */

static bool greet_stream(struct peer *peer, smux_stream *stream)
{
    char text[GREETING];
    size_t len = greeting(stream, text);
    int status = smux_stream_write(stream, text, len, NULL);
    peer->tally.bytes += len;
    return status == SMUX_OK || payload_fail(peer, stream, "write of the greeting", status);
}

static void greet_session(struct peer *peer, smux_session *session)
{
    link_each_stream(peer, session, greet_stream);
}

void speak_first_server(struct peer *peer)
{
    link_serve(peer, greet_session);
}

/** Waits for the greeting and the end; either may be lost. */
static bool expect_greeting(struct peer *peer, smux_stream *stream)
{
    char want[GREETING];
    char got[GREETING] = "";
    size_t len = 0;
    size_t n = 0;
    size_t want_len = greeting(stream, want);
    int status = SMUX_OK;
    uint64_t wait_us = (uint64_t)peer->options->wait_ms * 1000;
    smux_stream_set_read_deadline(stream, smux_now_us() + wait_us);
    while (status == SMUX_OK && len < sizeof got) {
        status = smux_stream_read(stream, got + len, sizeof got - len, &n);
        len += status == SMUX_OK ? n : 0;
    }
    if (status == SMUX_EOF && len == want_len && memcmp(got, want, len) == 0) {
        return true;
    }
    if (status == SMUX_EDEADLINE || (status == SMUX_EOF && len == 0)) {
        peer->tally.lost++;
        return true;
    }
    return payload_fail(peer, stream, "read of the greeting", status);
}

void speak_first_client(struct peer *peer)
{
    link_run_client(peer, peer->options->c, peer->options->parallel, expect_greeting);
    unsigned lost = (unsigned)peer->tally.lost;
    tally_set(&peer->tally, "lost", lost);
    if (lost > peer->options->allow_lost) {
        tally_fail(&peer->tally, "%u streams lost their greeting or their end", lost);
    }
}

/* --- both ends open --------------------------------------------------------------------- */

/** A session whose own streams are opened by one more thread. */
struct opener {
    struct peer *peer;
    smux_session *session;
};

static void *open_own(void *arg)
{
    struct opener *opener = arg;
    echo_streams(opener->peer, opener->session);
    return NULL;
}

static void opener_session(struct peer *peer, smux_session *session)
{
    struct opener opener = {peer, session};
    pthread_t own = worker_start(open_own, &opener);
    link_each_stream(peer, session, echo_stream);
    pthread_join(own, NULL);
}

void opener_server(struct peer *peer)
{
    link_serve(peer, opener_session);
}

/** Accepting beside echo_streams(): the streams of the peer that are done. */
struct acceptor {
    struct peer *peer;
    smux_session *session;
    struct group pending; /**< of the -expect streams, how many are not done */
    atomic_uint accepted;
};

struct echoed {
    struct acceptor *acceptor;
    smux_stream *stream;
};

static void *echo_accepted(void *arg)
{
    struct echoed *e = arg;
    echo_stream(e->acceptor->peer, e->stream);
    smux_stream_close(e->stream);
    group_done(&e->acceptor->pending);
    free(e);
    return NULL;
}

static void *accept_expected(void *arg)
{
    struct acceptor *a = arg;
    uint32_t expect = a->peer->options->expect;
    smux_stream *stream;
    int status = SMUX_OK;
    while (a->accepted < expect && (status = smux_session_accept(a->session, &stream)) == SMUX_OK) {
        struct echoed *e = payload_alloc(sizeof *e);
        *e = (struct echoed){a, stream};
        a->accepted++;
        group_add(&a->pending);
        pthread_detach(worker_start(echo_accepted, e));
    }
    if (a->accepted < expect) {
        tally_fail(&a->peer->tally, "accept: %s after %u of %u streams", smux_strerror(status),
                   a->accepted, (unsigned)expect);
    }
    return NULL;
}

void accept_client(struct peer *peer)
{
    struct acceptor a = {.peer = peer, .session = link_connect(peer)};
    if (a.session == NULL) {
        return;
    }
    group_init(&a.pending);
    pthread_t accepting = worker_start(accept_expected, &a);
    echo_streams(peer, a.session);
    pthread_join(accepting, NULL);
    while (!group_wait(&a.pending, UINT16_MAX)) {
    }
    group_deinit(&a.pending);
    link_close(peer, a.session);
    tally_set(&peer->tally, "accepted", a.accepted);
}

/* --- nobody accepts --------------------------------------------------------------------- */

static void noaccept_session(struct peer *peer, smux_session *session)
{
    uint32_t ms = peer->options->accept_ms;
    for (uint32_t t = 0; (ms == 0 || t < ms) && smux_session_error(session) == SMUX_OK; t += 10) {
        sleep_ms(10);
    }
    if (ms != 0) {
        link_each_stream(peer, session, echo_stream);
    }
}

void noaccept_server(struct peer *peer)
{
    link_serve(peer, noaccept_session);
}

/** What open_client() saw. */
struct seen {
    uint32_t ended;
    uint32_t data;
    uint32_t quiet;
};

/** Looks at one stream without waiting. */
static void look(struct peer *peer, smux_stream *stream, struct seen *seen)
{
    char byte;
    size_t n;
    smux_stream_set_read_deadline(stream, 1);
    int status = smux_stream_read(stream, &byte, 1, &n);
    switch (status) {
    case SMUX_OK:
        seen->data++;
        break;
    case SMUX_EOF:
        seen->ended++;
        break;
    case SMUX_EDEADLINE:
        seen->quiet++;
        break;
    default:
        payload_fail(peer, stream, "look", status);
    }
}

static void open_and_look(struct peer *peer, smux_session *session, struct seen *seen)
{
    uint32_t n = peer->options->c;
    smux_stream **streams = payload_alloc(n * sizeof *streams);
    for (uint32_t i = 0; i < n; i++) {
        streams[i] = link_open(peer, session);
    }
    sleep_ms(peer->options->wait_ms);
    for (uint32_t i = 0; i < n; i++) {
        if (streams[i] != NULL) {
            look(peer, streams[i], seen);
            smux_stream_close(streams[i]);
        }
    }
    free(streams);
}

void open_client(struct peer *peer)
{
    struct seen seen = {0};
    smux_session *session = link_connect(peer);
    if (session == NULL) {
        return;
    }
    open_and_look(peer, session, &seen);
    if (peer->options->probe) {
        link_on_stream(peer, session, echo_exchange);
    }
    link_close(peer, session);
    tally_set(&peer->tally, "ended", seen.ended);
    tally_set(&peer->tally, "data", seen.data);
    tally_set(&peer->tally, "quiet", seen.quiet);
    if (peer->options->ended != UINT32_MAX && seen.ended != peer->options->ended) {
        tally_fail(&peer->tally, "%u streams were ended, expected %u", (unsigned)seen.ended,
                   (unsigned)peer->options->ended);
    }
}
