/*
 * close.c - the end of a session: in order [END-4], or at once.
 *
 *      drain           everything accepted from the application leaves
 *      engine fails    with SMUX_ECLOSED: everybody else learns that it is over
 *      shutdown        the peer reads the end
 *      await the end   read and drop what the peer still sends: a socket that is closed with
 *                      unread bytes may take back what the peer has not read yet
 */
#include "session_internal.h"

#include <smux/transport.h>

#define SCRATCH_SIZE 8192

static int close_drain(struct smux__waiter *waiter, uint64_t deadline_us)
{
    const smux_engine *engine = waiter->session->engine;

    while (!smux_engine_drained(engine)) {
        if (smux__waiter_wait(waiter, deadline_us) != SMUX_OK) {
            return SMUX_EDEADLINE;
        }
    }
    return smux_engine_error(engine);
}

/* Nobody begins to use the transport any more; waits until the last one has finished. */
static bool close_calm_down(struct smux__waiter *waiter, uint64_t deadline_us)
{
    const smux_session *session = waiter->session;

    while (session->reading || session->writing) {
        waiter->fired = false;
        if (!smux__waiter_sleep(waiter, deadline_us)) {
            return false;
        }
    }
    return true;
}

/* Waits until there may be something to read. */
static void close_poll(const smux_session *session, uint64_t deadline_us)
{
    const struct smux_transport *transport = &session->transport;
    unsigned awaited = smux__io_awaited(session, SMUX_WAIT_READ);
    bool to_write = (awaited & SMUX_WAIT_WRITE) != 0;
    struct pollfd fd = {
        .fd = transport->ops->fd(transport->ctx, to_write ? SMUX_WAIT_WRITE : SMUX_WAIT_READ),
        .events = to_write ? POLLOUT : POLLIN,
    };

    smux__port_poll(&fd, 1, deadline_us);
}

/* Without the lock, as nobody else uses the transport. */
static void close_await_end(const smux_session *session, uint64_t deadline_us)
{
    const struct smux_transport *transport = &session->transport;
    char scratch[SCRATCH_SIZE];
    const struct smux_iov iov = {scratch, sizeof scratch};

    do {
        size_t len = 0;
        int status = transport->ops->readv(transport->ctx, &iov, 1, &len);
        if (status == SMUX_EAGAIN) {
            close_poll(session, deadline_us);
        } else if (status != SMUX_OK) {
            return;
        }
    } while (smux_now_us() < deadline_us);
}

static void close_shut_down(struct smux__waiter *waiter, uint64_t deadline_us)
{
    smux_session *session = waiter->session;

    if (!close_calm_down(waiter, deadline_us)) {
        return;
    }
    smux__session_begin_io(session);
    session->transport.ops->shutdown(session->transport.ctx);
    if (!session->eof) {
        close_await_end(session, deadline_us);
    }
    smux__session_lock(session);
    smux__session_end_io(session);
}

static uint64_t close_deadline(const smux_session *session)
{
    return session->drain_timeout_ms == SMUX_OFF
               ? SMUX_NEVER
               : smux_now_us() + (uint64_t)session->drain_timeout_ms * 1000;
}

static int close_in_order(smux_session *session)
{
    struct smux__waiter waiter;
    uint64_t deadline_us = close_deadline(session);

    smux__waiter_begin(&waiter, session, NULL, SMUX__WAIT_DRAIN);
    session->drainer = &waiter;
    smux_engine_drain(session->engine);
    smux__waiters_fire(session, session->accepters, SMUX__WAIT_ACCEPT);
    smux__session_update(session);
    int status = close_drain(&waiter, deadline_us);
    session->lingering = status == SMUX_OK;
    smux_engine_fail(session->engine, SMUX_ECLOSED, "the session was closed on this side");
    smux__session_update(session);
    if (status == SMUX_OK) {
        close_shut_down(&waiter, deadline_us);
        session->lingering = false;
        smux__session_close_transport(session);
    }
    session->drainer = NULL;
    smux__waiter_end(&waiter);
    return status;
}

int smux_session_close(smux_session *session)
{
    if (session == NULL) {
        return SMUX_OK;
    }
    if (smux__session_is_inherited(session)) {
        smux__session_abandon(session);
        return SMUX_OK;
    }
    smux__session_enter(session);
    session->closing = true;
    int status = smux_engine_error(session->engine);
    if (status == SMUX_OK) {
        status = close_in_order(session);
    }
    session->handles--;
    smux__session_leave(session, SMUX__NOW);
    return status == SMUX_EOF ? SMUX_OK : status; /* the peer had ended in order before */
}

void smux_session_abort(smux_session *session)
{
    smux__session_enter(session);
    smux_engine_fail(session->engine, SMUX_ECLOSED, "the session was aborted on this side");
    smux__session_update(session);
    smux__session_leave(session, SMUX__NOW);
}
