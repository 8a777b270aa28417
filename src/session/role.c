/*
 * role.c - who receives and who sends, next.
 *
 * A blocked call takes the roles that are free and of use. When it leaves that of the receiver, what
 * becomes of the role is one of these:
 *
 *   leased   its reader will be back at once, and nobody else takes the role before
 *   an heir  one that sleeps was woken to take it
 *   free     nobody sleeps: it is for the next call, or the background
 *
 * Leases are for the regular reader, the one that all data was for of late. A call that receives for
 * that one alone hands the role on to it. A writer that is woken to go on sending is an heir as well.
 */
#include "session_internal.h"

/* --- leases -------------------------------------------------------------------------------- */

#define LEASE_US 1000
/* So many times in a row, and what comes is likely to be for this reader. */
#define REGULAR_READS 8
/* A run of so many lets one expect that the next one is no shorter: the peer lets streams take long
 * turns. Few are what one message makes that comes in pieces. */
#define LONG_RUN 6

static void role_lease(smux_session *session)
{
    session->leased = session->regular;
    session->leased_until_us = smux_now_us() + LEASE_US;
}

bool smux__role_is_leased(smux_session *session)
{
    if (session->leased != NULL && smux_now_us() >= session->leased_until_us) {
        session->leased = NULL;
    }
    return session->leased != NULL;
}

void smux__role_note_regular(smux_session *session, const smux_stream *stream)
{
    if (stream->closed) { /* its reader is about to leave, and perhaps the last to use it */
        return;
    }
    if (session->regular != stream) {
        session->last_run = session->regular_reads;
        session->regular_reads = 0;
    }
    session->regular_reads++;
    session->regular = stream;
    session->regular_told = true;
}

void smux__role_forget_regular(smux_session *session, const smux_stream *stream)
{
    if (session->regular == stream) {
        session->regular = NULL;
        session->regular_reads = 0;
    }
    if (session->leased == stream) {
        session->leased = NULL;
    }
}

/* What comes next is for the reader that was told last, as far as one knows. */
static bool role_expects_regular(const smux_session *session)
{
    smux_estream *next = smux_engine_recv_stream(session->engine);
    bool in_long_run = session->regular != NULL && session->last_run >= LONG_RUN;

    if (next != NULL) {
        in_long_run = in_long_run && smux_estream_user(next) == session->regular;
    } else {
        in_long_run = in_long_run && session->regular_reads < session->last_run;
    }
    return in_long_run || session->regular_reads >= REGULAR_READS;
}

static bool role_is_regular(const struct smux__waiter *waiter)
{
    const smux_session *session = waiter->session;

    return waiter->kind == SMUX__WAIT_READ && waiter->stream == session->regular &&
           role_expects_regular(session);
}

/* --- heirs --------------------------------------------------------------------------------- */

/* Who was woken comes within some 100 us, unless the processors are busy. */
#define HEIR_US 4000

static void role_set_heir(smux_session *session, struct smux__waiter *waiter)
{
    session->heir = waiter;
    session->heir_due_us = smux_now_us() + HEIR_US;
    smux__waiter_fire(session, waiter);
}

void smux__role_drop_late_heirs(smux_session *session)
{
    uint64_t now_us = smux_now_us();

    if (now_us >= session->heir_due_us) {
        session->heir = NULL;
    }
    if (now_us >= session->send_heir_due_us) {
        session->send_heir = NULL;
    }
}

/* In a long run the reader whose data comes next, if it sleeps: nobody else need be woken for that. */
static struct smux__waiter *role_choose_heir(const smux_session *session)
{
    smux_estream *next = smux_engine_recv_stream(session->engine);
    struct smux__waiter *reader = NULL;

    if (next != NULL && session->last_run >= LONG_RUN) {
        reader = smux__waiters_first_reader(smux_estream_user(next));
    }
    return reader != NULL && reader->sleeping ? reader : smux__waiter_of_sleeper(session->sleepers);
}

void smux__role_find_heir(smux_session *session)
{
    if (session->receiver != NULL || session->heir != NULL || session->sleepers == NULL ||
        !smux__io_can_receive(session) || smux__role_is_leased(session)) {
        return;
    }
    role_set_heir(session, role_choose_heir(session));
}

/* A writer that waits for others to send, perhaps as the one who receives. */
static struct smux__waiter *role_idle_writer(const smux_session *session)
{
    struct smux__waiter *receiver = session->receiver;

    if (session->idle_writers != NULL) {
        return SMUX__OBJECT(session->idle_writers, struct smux__waiter, idle);
    }
    return receiver != NULL && receiver->kind == SMUX__WAIT_WRITE && receiver->polling &&
                   receiver->alarm != NULL && !receiver->fired
               ? receiver
               : NULL;
}

bool smux__role_find_sender(smux_session *session)
{
    struct smux__waiter *writer;

    if (session->send_heir == NULL && (writer = role_idle_writer(session)) != NULL) {
        session->send_heir = writer;
        session->send_heir_due_us = smux_now_us() + HEIR_US;
        smux__waiter_fire(session, writer);
    }
    return session->send_heir != NULL;
}

/* --- taking and leaving -------------------------------------------------------------------- */

void smux__role_choose(struct smux__waiter *waiter)
{
    smux_session *session = waiter->session;
    bool can_receive = smux__io_can_receive(session);
    bool blocked = smux__io_is_blocked(session);

    if (session->heir == waiter) {
        session->heir = NULL;
    }
    if (session->receiver == NULL && can_receive &&
        (waiter->stream == session->leased || !smux__role_is_leased(session))) {
        session->receiver = waiter;
        session->leased = NULL;
    } else if (session->receiver == waiter && !can_receive) {
        session->receiver = NULL;
    }
    if (session->sender == NULL && session->send_heir == NULL && blocked) {
        session->sender = waiter;
    } else if (session->sender == waiter && !blocked) {
        session->sender = NULL;
    }
}

void smux__role_hand_on(struct smux__waiter *waiter)
{
    smux_session *session = waiter->session;

    if (session->receiver == waiter && !waiter->fired && session->regular_told &&
        role_expects_regular(session) && waiter->stream != session->regular) {
        struct smux__waiter *reader = smux__waiters_first_reader(session->regular);

        session->receiver = NULL;
        if (reader != NULL && reader->sleeping) {
            role_set_heir(session, reader);
        } else {
            role_lease(session);
        }
    }
}

void smux__role_leave(struct smux__waiter *waiter)
{
    smux_session *session = waiter->session;

    if (role_is_regular(waiter) &&
        (session->receiver == waiter || session->leased == waiter->stream)) {
        role_lease(session);
    }
    if (session->receiver == waiter) {
        session->receiver = NULL;
    }
    if (session->sender == waiter) {
        session->sender = NULL;
    }
    if (session->heir == waiter) {
        session->heir = NULL;
    }
    if (session->send_heir == waiter) {
        session->send_heir = NULL;
    }
}
