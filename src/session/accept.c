/*
 * accept.c - new streams, ours and the peer's.
 */
#include "session_internal.h"

int smux_session_open(smux_session *session, smux_stream **out_stream)
{
    smux_estream *engine_stream;

    *out_stream = NULL;
    if (session == NULL) {
        return SMUX_EINVAL;
    }
    smux__session_enter(session);
    int status =
        session->closing ? SMUX_EGOAWAY : smux_engine_open(session->engine, &engine_stream);
    if (status == SMUX_OK) {
        *out_stream = smux__stream_adopt(session, engine_stream);
    }
    smux__session_leave(session, SMUX__SOON); /* the first data shares a system call [OPN-2] */
    return status;
}

/* Streams go to those who wait in the order of their arrival. A waiter that was woken for
 * another reason finds its stream all the same. */
void smux__accept_deliver(smux_session *session)
{
    struct smux__node *head = session->accepters;

    for (struct smux__node *node = head; node != NULL; node = smux__ring_next(head, node)) {
        struct smux__waiter *waiter = SMUX__OBJECT(node, struct smux__waiter, peer);
        if (waiter->accepted != NULL) {
            continue;
        }
        int status = smux_engine_accept(session->engine, &waiter->accepted);
        if (status == SMUX_EAGAIN) {
            return;
        }
        smux__waiter_fire(session, waiter); /* also when there will never be one */
    }
}

static int accept_now(smux_session *session, smux_estream **out_stream)
{
    return session->closing ? SMUX_EGOAWAY : smux_engine_accept(session->engine, out_stream);
}

/* As accept_now(), but waits. */
static int accept_wait(smux_session *session, smux_estream **out_stream)
{
    struct smux__waiter waiter;
    int status = SMUX_EAGAIN;

    smux__waiter_begin(&waiter, session, NULL, SMUX__WAIT_ACCEPT);
    while (status == SMUX_EAGAIN) {
        status = smux__waiter_wait(&waiter, session->accept_deadline_us);
        if (waiter.accepted != NULL) {
            *out_stream = waiter.accepted;
            status = SMUX_OK;
        } else if (status == SMUX_OK) {
            status = accept_now(session, out_stream);
        }
    }
    smux__waiter_end(&waiter);
    return status;
}

int smux_session_accept(smux_session *session, smux_stream **out_stream)
{
    smux_estream *engine_stream;

    *out_stream = NULL;
    if (session == NULL) {
        return SMUX_EINVAL;
    }
    smux__session_enter(session);
    int status = accept_now(session, &engine_stream);
    if (status == SMUX_EAGAIN) {
        status = accept_wait(session, &engine_stream);
    }
    if (status == SMUX_OK) {
        *out_stream = smux__stream_adopt(session, engine_stream);
    }
    smux__session_leave(session, SMUX__AS_BEFORE);
    return status;
}

void smux_session_set_accept_deadline(smux_session *session, uint64_t deadline_us)
{
    smux__session_enter(session);
    session->accept_deadline_us = deadline_us;
    smux__waiters_fire(session, session->accepters, SMUX__WAIT_ACCEPT);
    smux__session_leave(session, SMUX__NOW);
}
