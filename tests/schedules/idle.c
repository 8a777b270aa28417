#define _GNU_SOURCE 1

#include "idle.h"

#include "seam.h"

#include "session/session_internal.h"

#include <stddef.h>

#define MAX_SESSIONS 8

static const smux_session *sessions[MAX_SESSIONS];

void idle_watch(const smux_session *session)
{
    for (unsigned i = 0; i < MAX_SESSIONS && seam_mode() == SEAM_SCHEDULED; i++) {
        if (sessions[i] == NULL) {
            sessions[i] = session;
            return;
        }
    }
}

void idle_forget(const void *lock)
{
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        if (sessions[i] != NULL && &sessions[i]->lock.mutex == lock) {
            sessions[i] = NULL;
        }
    }
}

/* --- waiters ---------------------------------------------------------------------------------- */

/* While data is shown to a sink, other readers wait for that. */
static bool reader_is_served(const struct smux_session *session, const smux_stream *stream)
{
    unsigned events = smux_estream_events(session->engine, smux__stream_engine(stream));

    return !stream->copying && (stream->closed || (events & SMUX_EVENT_READABLE) != 0);
}

/* While it lends memory it waits for that, even if it could write. */
static bool writer_is_served(const struct smux__waiter *waiter)
{
    const struct smux_session *session = waiter->session;
    const smux_stream *stream = waiter->stream;
    unsigned events = smux_estream_events(session->engine, smux__stream_engine(stream));

    return smux__waiters_first_writer(stream) == waiter &&
           smux_estream_lent(session->engine, smux__stream_engine(stream)) == 0 &&
           (stream->closed || (events & SMUX_EVENT_WRITABLE) != 0);
}

static bool accepter_is_served(const struct smux__waiter *waiter)
{
    struct smux_session_stats stats;

    smux_engine_stats(waiter->session->engine, &stats);
    return waiter->accepted != NULL || waiter->session->closing || waiter->session->ended ||
           stats.backlog_now > 0;
}

/* Whether what somebody waits for is there. */
static bool is_served(const struct smux__waiter *waiter)
{
    if (waiter->fired) {
        return true;
    }
    switch (waiter->kind) {
    case SMUX__WAIT_READ:
        return reader_is_served(waiter->session, waiter->stream);
    case SMUX__WAIT_WRITE:
        return writer_is_served(waiter);
    case SMUX__WAIT_ACCEPT:
        return accepter_is_served(waiter);
    default:
        return smux_engine_drained(waiter->session->engine);
    }
}

/* Who has a role keeps it when it is not in the session for a moment. */
static bool poller_is_forgotten(const struct smux__waiter *waiter)
{
    return waiter != NULL && waiter->polling && is_served(waiter);
}

static bool sleeper_is_forgotten(const smux_session *session)
{
    for (struct smux__node *node = session->sleepers; node != NULL;
         node = smux__ring_next(session->sleepers, node)) {
        if (is_served(SMUX__OBJECT(node, struct smux__waiter, sleeper))) {
            return true;
        }
    }
    return false;
}

/* --- sessions --------------------------------------------------------------------------------- */

static const char *check_waiters(const smux_session *session)
{
    if (sleeper_is_forgotten(session)) {
        return "LOST WAKE-UP: somebody sleeps although what it waits for is there";
    }
    if (poller_is_forgotten(session->receiver) || poller_is_forgotten(session->sender)) {
        return "LOST WAKE-UP: who polls does so although what it waits for is there";
    }
    return NULL;
}

static const char *check_input(const smux_session *session)
{
    if (session->receiver != NULL || session->leased != NULL || !smux__io_can_receive(session)) {
        return NULL;
    }
    if (session->heir != NULL) {
        return "LOST WAKE-UP: the heir of the receiver's role does not come";
    }
    if (session->sleepers != NULL) {
        return "LOST ROLE: somebody sleeps, and nobody receives";
    }
    if (!session->served.attended && (session->served.armed & SMUX__ARMED_READ) == 0) {
        return "LOST ROLE: neither a caller nor the background receives";
    }
    return NULL;
}

static const char *check_output(const smux_session *session)
{
    const struct smux__served *served = &session->served;

    if (session->send_heir != NULL) {
        return "LOST WAKE-UP: the heir of the sender's role does not come";
    }
    if (session->sender != NULL) {
        return NULL;
    }
    if (session->send_failed && !session->ended && session->receiver == NULL) {
        return "LOST END: the transport takes no more, and nobody ends the session";
    }
    if (smux__io_is_blocked(session) && (served->armed & SMUX__ARMED_WRITE) == 0) {
        return "LOST ROLE: output is stuck, and nobody watches the transport";
    }
    if (smux__io_can_send(session) && !served->attended && served->told <= SMUX__NOW &&
        smux_engine_deadline(session->engine) > smux_now_us() + 1000000) {
        return "LOST OUTPUT: it could be sent, and nobody does";
    }
    return NULL;
}

static const char *check_session(const smux_session *session)
{
    const char *wrong = check_waiters(session);

    if (wrong == NULL) {
        wrong = check_input(session);
    }
    return wrong != NULL ? wrong : check_output(session);
}

const char *idle_check(void)
{
    const char *wrong = NULL;

    for (unsigned i = 0; i < MAX_SESSIONS && wrong == NULL; i++) {
        if (sessions[i] != NULL) {
            wrong = check_session(sessions[i]);
        }
    }
    return wrong;
}
