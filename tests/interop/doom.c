/*
 * Every blocking call of a session while its peer is killed: each must end with an error of the
 * session, and so must every call after it [END-1] [END-5].
 */
#include "commands.h"

#include "payload.h"
#include "workers.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    VICTIMS = 6,
    READY_MS = 300,
    TEXT = 64
};

/** One thread that is blocked in one call. */
struct victim {
    struct peer *peer;
    smux_session *session;
    smux_stream *stream; /**< its own, or NULL */
    const char *call;
    int (*block)(struct victim *victim);
    int status;
    pthread_t thread;
};

static int block_read(struct victim *v)
{
    char byte;
    size_t n;
    return smux_stream_read(v->stream, &byte, 1, &n);
}

static int block_write(struct victim *v)
{
    uint8_t *buf = payload_alloc(PAYLOAD_BUFFER);
    int status = SMUX_OK;
    while (status == SMUX_OK) {
        status = smux_stream_write(v->stream, buf, PAYLOAD_BUFFER, NULL);
    }
    free(buf);
    return status;
}

static int block_writev(struct victim *v)
{
    uint8_t *buf = payload_alloc(PAYLOAD_BUFFER);
    struct smux_iov iov[2] = {{buf, PAYLOAD_BUFFER}, {buf, 100}};
    int status = SMUX_OK;
    while (status == SMUX_OK) {
        status = smux_stream_writev(v->stream, iov, 2, NULL);
    }
    free(buf);
    return status;
}

static int drop(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return SMUX_OK;
}

static int block_copy(struct victim *v)
{
    return smux_stream_copy_to(v->stream, drop, NULL, NULL);
}

static int block_accept(struct victim *v)
{
    smux_stream *stream;
    return smux_session_accept(v->session, &stream);
}

/** Reads behind a half-close. */
static int block_end(struct victim *v)
{
    smux_stream_shutdown(v->stream);
    return block_read(v);
}

static void *run_victim(void *arg)
{
    struct victim *v = arg;
    v->status = v->block(v);
    return NULL;
}

static void expect_dead(struct peer *peer, const char *call, int status)
{
    tally_note(&peer->tally, "%s: %s", call, smux_status_name(status));
    if (!smux_status_is_fatal(status)) {
        tally_fail(&peer->tally, "%s after the peer's death: %s", call, smux_status_name(status));
    }
}

/** Calls that begin when the session is dead. */
static void call_the_dead(struct peer *peer, smux_session *session, smux_stream *stream)
{
    struct victim v = {.peer = peer, .session = session, .stream = stream};
    smux_stream *opened;
    char text[TEXT] = "";
    expect_dead(peer, "late open", smux_session_open(session, &opened));
    expect_dead(peer, "late accept", block_accept(&v));
    expect_dead(peer, "late read", block_read(&v));
    expect_dead(peer, "late write", block_write(&v));
    expect_dead(peer, "late half-close", smux_stream_shutdown(stream));
    expect_dead(peer, "session error", smux_session_error(session));
    smux_session_error_text(session, text, sizeof text);
    tally_note(&peer->tally, "text: %s", text);
}

void doomed_client(struct peer *peer)
{
    smux_session *session = link_connect(peer);
    struct victim victims[VICTIMS] = {
        {.call = "read", .block = block_read},     {.call = "write", .block = block_write},
        {.call = "writev", .block = block_writev}, {.call = "copy_to", .block = block_copy},
        {.call = "accept", .block = block_accept}, {.call = "read of the end", .block = block_end},
    };
    if (session == NULL) {
        return;
    }
    for (size_t i = 0; i < VICTIMS; i++) {
        struct victim *v = &victims[i];
        v->peer = peer;
        v->session = session;
        v->stream = link_open(peer, session);
        v->thread = worker_start(run_victim, v);
    }
    sleep_ms(READY_MS);
    printf("blocked\n");
    fflush(stdout);
    uint64_t killed_us = smux_now_us();
    for (size_t i = 0; i < VICTIMS; i++) {
        pthread_join(victims[i].thread, NULL);
        expect_dead(peer, victims[i].call, victims[i].status);
    }
    tally_set(&peer->tally, "waited_ms", (smux_now_us() - killed_us) / 1000);
    call_the_dead(peer, session, victims[0].stream);
    for (size_t i = 0; i < VICTIMS; i++) {
        smux_stream_close(victims[i].stream);
    }
    link_close(peer, session);
}
