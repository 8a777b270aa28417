/*
 * io.c - bytes between transport and engine, without the lock while the system works.
 */
#include "session_internal.h"

#include <smux/transport.h>

#include <stdio.h>

/* Vectors a system call; frames of many streams leave in one. */
#define SEND_IOV 64
/* Reads in a row for one reader before others are told of what came with them. */
#define POST_READS 8

/* --- state --------------------------------------------------------------------------------- */

bool smux__io_can_receive(const smux_session *session)
{
    return !session->ended && !session->eof && !session->starved &&
           smux_engine_wants_read(session->engine);
}

bool smux__io_is_blocked(const smux_session *session)
{
    return session->write_blocked && !session->ended && !session->send_failed;
}

bool smux__io_can_send(const smux_session *session)
{
    return !session->write_blocked && !session->ended && !session->send_failed &&
           smux_engine_wants_write(session->engine);
}

unsigned smux__io_awaited(const smux_session *session, enum smux_transport_event direction)
{
    const struct smux_transport *transport = &session->transport;

    return transport->ops->events != NULL
               ? transport->ops->events(transport->ctx, (unsigned)direction)
               : (unsigned)direction;
}

void smux__io_tick(smux_session *session)
{
    uint64_t now_us = smux_now_us();

    if (smux_engine_deadline(session->engine) <= now_us) {
        (void)smux_engine_tick(session->engine, now_us);
        smux__session_update(session);
    }
}

/* --- failure ------------------------------------------------------------------------------- */

static const char *io_error_text(const smux_session *session)
{
    const struct smux_transport *transport = &session->transport;

    return transport->ops->error != NULL ? transport->ops->error(transport->ctx)
                                         : smux_strerror(SMUX_EIO);
}

void smux__io_fail(smux_session *session, const char *doing, const char *why)
{
    char text[160];

    (void)snprintf(text, sizeof text, "%s the transport failed: %s", doing, why);
    smux_engine_fail(session->engine, SMUX_EIO, text);
    smux__session_update(session);
}

/* The engine turns this into an ordinary end if the peer had ended before in order. */
static void io_fail_send(smux_session *session)
{
    smux__io_fail(session, "writing to", session->send_error);
}

/* --- calls of the transport ---------------------------------------------------------------- */

/* In version 2 windows see to it that threads sleep often enough, and nothing is gained. */
static bool io_rests(const smux_session *session)
{
    return session->fast && smux_engine_version(session->engine) == 1;
}

/* Releases the lock for a read or write, before which others may run. */
static void io_begin_call(smux_session *session, struct smux__stint *stint)
{
    bool rests = io_rests(session);

    smux__session_begin_io(session);
    if (rests) {
        smux__stint_rest(stint);
    }
}

/* --- in ------------------------------------------------------------------------------------ */

static int io_readv(smux_session *session, const struct smux_iov *iov, int n, bool wait,
                    size_t *out_len)
{
    const struct smux_transport *transport = &session->transport;
    const struct smux_transport_ops *ops = transport->ops;

    session->reading = true;
    io_begin_call(session, &session->receiving);
    int status = (wait ? ops->readv_wait : ops->readv)(transport->ctx, iov, n, out_len);
    smux__session_lock(session);
    session->reading = false;
    session->turn++;
    smux__session_end_io(session);
    return status;
}

/* Lets a large payload arrive where the reader who waits for it wants it, without a copy. */
static void io_post(smux_session *session)
{
    smux_estream *next = smux_engine_recv_stream(session->engine);
    struct smux__waiter *reader = NULL;

    if (next != NULL) {
        reader = smux__waiters_first_reader(smux_estream_user(next));
    }
    if (reader != NULL &&
        smux_estream_post(session->engine, next, reader->buf, reader->size) == SMUX_OK) {
        session->posted = reader;
        smux__role_note_regular(session, reader->stream);
    }
}

static void io_unpost(smux_session *session)
{
    struct smux__waiter *reader = session->posted;

    if (reader != NULL) {
        session->posted = NULL;
        smux_estream_unpost(session->engine, smux__stream_engine(reader->stream), &reader->got);
        if (reader->got > 0 || reader != session->receiver) { /* which may wait for its memory */
            smux__waiter_fire(session, reader);
        }
    }
}

/* The peer's data ends. If we cannot send either, nothing is left to be done. */
static void io_take_eof(smux_session *session)
{
    session->eof = true;
    smux_engine_recv_eof(session->engine, smux_now_us());
    smux__session_update(session);
}

/* What a read without data means. */
static enum smux__io io_take_nothing(smux_session *session, int status)
{
    if (session->ended) { /* meanwhile; the transport may be closed */
        return SMUX__IO_IDLE;
    }
    if (status == SMUX_EOF) {
        io_take_eof(session);
    } else if (status != SMUX_EAGAIN) {
        smux__io_fail(session, "reading from", io_error_text(session));
    } else {
        session->read_dry = true;
    }
    if (session->send_failed) { /* all that had arrived before has been read */
        io_fail_send(session);
    }
    return session->ended || session->eof ? SMUX__IO_IDLE : SMUX__IO_BLOCKED;
}

/* Reads once and lets the engine decode. A read that finds less than it asked for is likely to
 * have found all: that saves a call that finds nothing. */
static int io_read(smux_session *session, bool wait)
{
    struct smux_iov iov[2];
    size_t len = 0;
    int n = smux_engine_recv_iov(session->engine, iov, 2);

    if (n == 0) {
        session->starved = smux__io_can_receive(session);
        return SMUX_ENOMEM;
    }
    size_t room = iov[0].len + (n > 1 ? iov[1].len : 0);
    int status = io_readv(session, iov, n, wait, &len);
    uint64_t now_us = smux_now_us();
    (void)smux_engine_recv_commit(session->engine, status == SMUX_OK ? len : 0, now_us);
    smux__spin_meter(session, status == SMUX_OK ? len : 0, now_us);
    session->read_dry = status == SMUX_OK && len < room;
    return status;
}

/* The next frame goes to the same reader, who has room for more: it sleeps on. */
static bool io_goes_on(const smux_session *session)
{
    const struct smux__waiter *reader = session->posted;

    if (reader == NULL || reader->fired || session->receiver->fired || /* who may have its data */
        session->receiver == &smux__somebody || /* who has others to serve (L23) */
        smux_estream_posted(session->engine, smux__stream_engine(reader->stream)) == 0) {
        return false;
    }
    smux_estream *next = smux_engine_recv_stream(session->engine);
    return next == smux__stream_engine(reader->stream) || (next == NULL && session->read_dry);
}

/* Nothing is left just now, but the transport is fast: looks again for a moment. */
static int io_linger(smux_session *session)
{
    uint64_t until_us = smux__spin_until(session, &session->linger);
    int status = SMUX_EAGAIN;

    if (until_us == 0) {
        return status;
    }
    (void)smux__io_flush(session, session->receiver); /* the peer may wait for our updates */
    while (status == SMUX_EAGAIN && smux_now_us() < until_us) {
        smux__session_unlock(session);
        smux__spin_pause(session);
        smux__session_lock(session);
        status = io_read(session, false);
    }
    smux__spin_note(&session->linger, status != SMUX_EAGAIN);
    return status;
}

/* Reads, and reads on while it is for the same reader. */
static int io_read_on(smux_session *session, bool wait)
{
    int status = io_read(session, wait);
    int n = 1;

    for (; n < POST_READS && status == SMUX_OK && io_goes_on(session); n++) {
        smux__session_update(session); /* what came for others must not wait */
        status = session->read_dry ? io_linger(session) : io_read(session, false);
    }
    if (status == SMUX_EAGAIN && n > 1) { /* reads before have succeeded */
        session->read_dry = true;
        return SMUX_OK;
    }
    return status;
}

static enum smux__io io_receive(smux_session *session, bool wait)
{
    if (!smux__io_can_receive(session)) {
        return SMUX__IO_IDLE;
    }
    session->regular_told = false;
    io_post(session);
    int status = io_read_on(session, wait);
    io_unpost(session);
    if (status == SMUX_OK || status == SMUX_ENOMEM) {
        smux__session_update(session); /* without memory, too: reads before may have succeeded */
        return status == SMUX_OK ? SMUX__IO_PROGRESS : SMUX__IO_IDLE;
    }
    return io_take_nothing(session, status);
}

enum smux__io smux__io_receive(smux_session *session)
{
    return io_receive(session, false);
}

enum smux__io smux__io_receive_wait(smux_session *session)
{
    return io_receive(session, true);
}

/* --- out ----------------------------------------------------------------------------------- */

static size_t io_total(const struct smux_iov *iov, int n)
{
    size_t total = 0;

    for (int i = 0; i < n; i++) {
        total += iov[i].len;
    }
    return total;
}

/* The transport takes no more. What the peer sent before is still worth reading [END-2], so the
 * end comes when that is done: by the one who receives, or when this call leaves. */
static void io_take_send_failure(smux_session *session)
{
    session->send_failed = true;
    session->send_error = io_error_text(session);
    session->read_dry = false;
    smux__waiter_fire(session, session->receiver);
}

void smux__io_give_up(smux_session *session)
{
    session->receiver = &smux__somebody;
    while (smux__io_receive(session) == SMUX__IO_PROGRESS) {
    }
    session->receiver = NULL;
    if (!session->ended) {
        io_fail_send(session);
    }
}

static int io_writev(smux_session *session, const struct smux_iov *iov, int n, size_t *out_len)
{
    const struct smux_transport *transport = &session->transport;

    session->writing = true;
    io_begin_call(session, &session->sending);
    int status = transport->ops->writev(transport->ctx, iov, n, out_len);
    smux__session_lock(session);
    session->writing = false;
    return status;
}

/* Sends once. */
static enum smux__io io_send(smux_session *session)
{
    struct smux_iov iov[SEND_IOV];
    size_t len = 0;

    if (!smux__io_can_send(session)) {
        return SMUX__IO_IDLE;
    }
    int n = smux_engine_send_iov(session->engine, iov, SEND_IOV, smux_now_us());
    if (n == 0) {
        return SMUX__IO_IDLE;
    }
    size_t total = io_total(iov, n);
    int status = io_writev(session, iov, n, &len);
    uint64_t ended_us = smux_now_us();
    smux_engine_send_commit(session->engine, status == SMUX_OK ? len : 0, ended_us);
    smux__spin_meter(session, status == SMUX_OK ? len : 0, ended_us);
    smux__pace_sent(&session->pace, ended_us);
    smux__write_return_loans(session);
    if (status != SMUX_OK && status != SMUX_EAGAIN) {
        io_take_send_failure(session);
    }
    session->write_blocked = len < total; /* a short write means that it is full */
    smux__session_update(session);
    smux__session_end_io(session);
    return len > 0 ? SMUX__IO_PROGRESS : SMUX__IO_BLOCKED;
}

/* Whether this caller may send now: nobody else does, nor comes to do it while this one only waits. */
static bool io_may_flush(const smux_session *session, const struct smux__waiter *self)
{
    bool leaves = self == &smux__somebody;

    return smux__io_can_send(session) &&
           (session->sender == NULL || (session->sender == self && !leaves)) &&
           (session->send_heir == NULL || leaves || self->kind == SMUX__WAIT_WRITE);
}

/* What others write may go on for milliseconds, and who is no writer has better things to do. In version
 * 2 windows end it soon, and to wake a writer for what is left costs more. */
static bool io_leaves_rest(smux_session *session, const struct smux__waiter *self)
{
    return self->kind != SMUX__WAIT_WRITE && smux_engine_version(session->engine) == 1 &&
           smux__io_can_send(session) && smux__role_find_sender(session);
}

bool smux__io_flush(smux_session *session, struct smux__waiter *self)
{
    bool moved = false;
    bool keeps_role = session->sender == self && self != &smux__somebody; /* who is many */

    if (session->row_until_us > 0 && smux__row_goes_on(session)) {
        return false;
    }
    session->served.owed = SMUX__NOW; /* by this call, or by who is at it already */
    if (!io_may_flush(session, self)) {
        return false;
    }
    session->sender = self;
    while (io_send(session) == SMUX__IO_PROGRESS) {
        moved = true;
        if (smux__row_begin(session)) {
            break;
        }
        if (io_leaves_rest(session, self)) {
            keeps_role = false;
            break;
        }
    }
    if (!keeps_role) {
        session->sender = NULL;
    }
    return moved;
}
