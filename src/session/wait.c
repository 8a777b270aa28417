/*
 * wait.c - blocked calls.
 *
 * Nothing gets lost between a look at a condition and the sleep that follows: the lock is held
 * from the one to the other, and whatever changes a condition runs with the lock and fires those
 * who wait for it.
 */
#include "session_internal.h"

#include "../transport/bell.h"

#include <smux/transport.h>

#include <string.h>

struct smux__waiter smux__somebody; /* no writer */

static struct smux__waiter *waiter_of_peer(struct smux__node *node)
{
    return SMUX__OBJECT(node, struct smux__waiter, peer);
}

/* The list that a waiter waits in; a drainer is alone. */
static struct smux__node **waiter_list(struct smux__waiter *waiter)
{
    if (waiter->stream != NULL) {
        return &waiter->stream->waiters;
    }
    return waiter->kind == SMUX__WAIT_ACCEPT ? &waiter->session->accepters : NULL;
}

/* --- those that wait ----------------------------------------------------------------------- */

struct smux__waiter *smux__waiters_first_writer(const smux_stream *stream)
{
    for (struct smux__node *node = stream->waiters; node != NULL;
         node = smux__ring_next(stream->waiters, node)) {
        if (waiter_of_peer(node)->kind == SMUX__WAIT_WRITE) {
            return waiter_of_peer(node);
        }
    }
    return NULL;
}

struct smux__waiter *smux__waiters_first_reader(const smux_stream *stream)
{
    for (struct smux__node *node = stream->waiters; node != NULL;
         node = smux__ring_next(stream->waiters, node)) {
        struct smux__waiter *waiter = waiter_of_peer(node);
        if (waiter->kind == SMUX__WAIT_READ && waiter->buf != NULL) {
            return waiter->got == 0 ? waiter : NULL;
        }
    }
    return NULL;
}

bool smux__waiters_only_accept(const smux_session *session)
{
    for (struct smux__node *node = session->sleepers; node != NULL;
         node = smux__ring_next(session->sleepers, node)) {
        if (smux__waiter_of_sleeper(node)->kind != SMUX__WAIT_ACCEPT) {
            return false;
        }
    }
    return true;
}

/* --- waking -------------------------------------------------------------------------------- */

static void waiter_leave_idle(struct smux__waiter *waiter)
{
    if (smux__ring_linked(&waiter->idle)) {
        smux__ring_remove(&waiter->session->idle_writers, &waiter->idle);
    }
}

/* Sets the event of a sleeper; the system call follows when the lock is released. */
static void waiter_rouse(smux_session *session, struct smux__waiter *waiter)
{
    smux__ring_remove(&session->sleepers, &waiter->sleeper);
    waiter->sleeping = false;
    waiter_leave_idle(waiter);
    smux__event_set(waiter->event);
    if (session->n_wakes == SMUX__WAKES) {
        smux__event_wake(session->wakes[--session->n_wakes]);
    }
    session->wakes[session->n_wakes++] = waiter->event;
}

void smux__waiter_fire(smux_session *session, struct smux__waiter *waiter)
{
    if (waiter == NULL || waiter == &smux__somebody || waiter->fired) {
        return;
    }
    waiter->fired = true;
    if (waiter->sleeping) {
        waiter_rouse(session, waiter);
    } else if (waiter->polling && waiter->alarm != NULL) {
        smux__bell_set(waiter->alarm, true);
    }
}

void smux__waiters_fire(smux_session *session, struct smux__node *head, enum smux__wait_kind kind)
{
    for (struct smux__node *node = head; node != NULL; node = smux__ring_next(head, node)) {
        struct smux__waiter *waiter = waiter_of_peer(node);
        if (waiter->kind == kind) {
            smux__waiter_fire(session, waiter);
        }
    }
}

void smux__waiters_fire_readers(smux_session *session, const smux_stream *stream)
{
    if (smux__waiters_first_reader(stream) != NULL) {
        smux__role_note_regular(session, stream);
    }
    smux__waiters_fire(session, stream->waiters, SMUX__WAIT_READ);
}

/* Those that neither sleep nor own a role are awake, and will look before they sleep. */
void smux__waiters_fire_all(smux_session *session)
{
    while (session->sleepers != NULL) {
        smux__waiter_fire(session, smux__waiter_of_sleeper(session->sleepers));
    }
    smux__waiter_fire(session, session->receiver);
    smux__waiter_fire(session, session->sender);
    smux__waiter_fire(session, session->drainer);
}

/* --- beginning and end --------------------------------------------------------------------- */

void smux__waiter_begin(struct smux__waiter *waiter, smux_session *session, smux_stream *stream,
                        enum smux__wait_kind kind)
{
    memset(waiter, 0, sizeof *waiter);
    waiter->session = session;
    waiter->stream = stream;
    waiter->kind = kind;
    struct smux__node **list = waiter_list(waiter);
    if (list != NULL) {
        smux__ring_append(list, &waiter->peer);
    }
    /* The analyser takes a list in the session for a hint that there is none.
     * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    session->n_waiters++;
    if (kind != SMUX__WAIT_WRITE) {
        smux__pace_wait(&session->pace);
    }
}

void smux__waiter_end(struct smux__waiter *waiter)
{
    smux_session *session = waiter->session;
    struct smux__node **list = waiter_list(waiter);

    if (list != NULL) {
        smux__ring_remove(list, &waiter->peer);
        if (waiter->kind == SMUX__WAIT_WRITE) { /* the next in turn */
            smux__waiter_fire(session, smux__waiters_first_writer(waiter->stream));
        }
    }
    session->n_waiters--; /* NOLINT(clang-analyzer-core.NullDereference): as above */
    smux__role_leave(waiter);
    smux__alarm_return(waiter->alarm);
    smux__role_find_heir(session);
}

/* --- sleeping ------------------------------------------------------------------------------ */

bool smux__waiter_sleep(struct smux__waiter *waiter, uint64_t deadline_us)
{
    smux_session *session = waiter->session;

    waiter->event = smux__event_mine();
    smux__ring_append(&session->sleepers, &waiter->sleeper);
    waiter->sleeping = true;
    smux__role_find_heir(session); /* the role may have become free without notice */
    smux__serve_settle(session);
    smux__session_unlock(session);
    bool in_time = smux__event_wait(waiter->event, deadline_us);
    smux__session_lock(session);
    if (waiter->sleeping) {
        smux__ring_remove(&session->sleepers, &waiter->sleeper);
        waiter->sleeping = false;
    }
    return in_time;
}

/* --- with a role --------------------------------------------------------------------------- */

static bool waiter_has_role(const struct smux__waiter *waiter)
{
    return waiter->session->receiver == waiter || waiter->session->sender == waiter;
}

/* Tells whether a read is worth a try; if not, poll will tell when. */
static bool waiter_should_receive(const struct smux__waiter *waiter)
{
    const smux_session *session = waiter->session;
    const struct smux_transport *transport = &session->transport;

    return session->receiver == waiter &&
           (!session->read_dry ||
            session->send_failed || /* which a read that finds nothing tells */
            (transport->ops->pending != NULL && transport->ops->pending(transport->ctx)));
}

/* Looks for input again and again for a while: to be woken takes longer than many an answer. True
 * if something came. */
static bool waiter_spin(struct smux__waiter *waiter, uint64_t deadline_us)
{
    smux_session *session = waiter->session;
    uint64_t until_us = smux_now_us() + session->busy_poll_us;

    until_us = until_us < deadline_us ? until_us : deadline_us;
    while (!waiter->fired && session->receiver == waiter && session->sender != waiter &&
           smux__io_can_receive(session) && smux_now_us() < until_us) {
        if (smux__io_receive(session) == SMUX__IO_PROGRESS) {
            return true;
        }
    }
    return false;
}

/* A read waits no longer. So late timers may be, of which none is that short. */
#define READ_WAIT_US 20000

/* A read that waits saves the poll, an eighth of a short round trip. But only data and
 * signals wake it, so that all else comes some milliseconds late: it is for conversations, while
 * nothing is due. */
static bool waiter_may_wait_in_read(const struct smux__waiter *waiter, uint64_t now_us,
                                    uint64_t deadline_us)
{
    const smux_session *session = waiter->session;

    return session->prompt && !session->fast && !waiter->fired && session->receiver == waiter &&
           session->sender != waiter && waiter->kind == SMUX__WAIT_READ &&
           smux__io_can_receive(session) && session->transport.ops->readv_wait != NULL &&
           now_us + READ_WAIT_US <= deadline_us && now_us < smux_engine_deadline(session->engine);
}

static bool waiter_wait_in_read(struct smux__waiter *waiter, uint64_t deadline_us)
{
    smux_session *session = waiter->session;
    uint64_t now_us = smux_now_us();

    if (!waiter_may_wait_in_read(waiter, now_us, deadline_us)) {
        return false;
    }
    session->polled_until_us = now_us + READ_WAIT_US;
    session->prompt = smux__io_receive_wait(session) == SMUX__IO_PROGRESS;
    session->polled_until_us = SMUX_NEVER;
    return session->prompt;
}

/* It may have left sending to a writer that does not come. */
static void waiter_settle(smux_session *session)
{
    if (session->row_until_us > 0 || session->send_heir != NULL) {
        smux__serve_settle(session);
    }
}

/* Moves what can be moved, or waits until something can. */
static void waiter_work(struct smux__waiter *waiter, uint64_t deadline_us, bool late)
{
    smux_session *session = waiter->session;
    bool moved = false;

    if (waiter_should_receive(waiter) || (late && session->receiver == waiter)) {
        moved = smux__io_receive(session) == SMUX__IO_PROGRESS;
    }
    if (!moved && !late && session->busy_poll_us > 0) {
        moved = waiter_spin(waiter, deadline_us);
    }
    if (!moved && !late) {
        waiter_settle(session);
        moved = waiter_wait_in_read(waiter, deadline_us);
    }
    if (moved) {
        (void)smux__io_flush(session, waiter); /* window updates, mostly */
        smux__role_hand_on(waiter);
        return;
    }
    if (!late && !waiter->fired && waiter_has_role(waiter)) {
        smux__poll_transport(waiter, deadline_us);
    }
}

/* The transport takes no more, and nobody receives who would end the session when all is read. */
static bool waiter_is_last_to_notice(const smux_session *session)
{
    return session->send_failed && !session->ended && session->receiver == NULL &&
           !smux__io_can_receive(session);
}

/* The next that the waiter does is to flush, here or as it leaves: it has come to send. */
static bool waiter_take_fired(struct smux__waiter *waiter)
{
    bool fired = waiter->fired;

    waiter->fired = false;
    if (waiter->session->send_heir == waiter) {
        waiter->session->send_heir = NULL;
    }
    return fired;
}

/* Sleeps until it fires; a writer may be woken to send. */
static void waiter_idle(struct smux__waiter *waiter, uint64_t deadline_us)
{
    if (waiter->kind == SMUX__WAIT_WRITE) {
        smux__ring_append(&waiter->session->idle_writers, &waiter->idle);
    }
    (void)smux__waiter_sleep(waiter, deadline_us);
    waiter_leave_idle(waiter);
}

int smux__waiter_wait(struct smux__waiter *waiter, uint64_t deadline_us)
{
    smux_session *session = waiter->session;

    for (;;) {
        if (waiter_take_fired(waiter)) {
            return SMUX_OK;
        }
        bool late = deadline_us != SMUX_NEVER && smux_now_us() >= deadline_us;
        if (late && waiter->tried) {
            return SMUX_EDEADLINE;
        }
        waiter->tried = true;
        if (smux__io_flush(session, waiter)) {
            return SMUX_OK; /* there may be room now */
        }
        if (waiter->fired) {
            continue;
        }
        smux__role_choose(waiter);
        if (waiter_has_role(waiter)) {
            waiter_work(waiter, deadline_us, late);
        } else if (waiter_is_last_to_notice(session)) {
            smux__io_give_up(session);
            return SMUX_OK;
        } else if (!late) {
            waiter_idle(waiter, deadline_us);
        }
    }
}
