/*
 * poll.c - a blocked call waits for the transport.
 *
 * The lock is given away meanwhile. To be woken for something else, by smux__waiter_fire(), the call has
 * an alarm among the descriptors; whoever else needs the timers of the engine finds in polled_until_us
 * that this call will mind them.
 */
#include "session_internal.h"

#include "../transport/bell.h"

#include <smux/transport.h>

/* --- descriptors --------------------------------------------------------------------------- */

/* What poll(2) is to watch: descriptors of the transport and the alarm. */
struct poll_set {
    struct pollfd fds[3];
    unsigned n;
};

static void poll_set_add(struct poll_set *set, int fd, short events)
{
    for (unsigned i = 0; i < set->n; i++) {
        if (set->fds[i].fd == fd) {
            set->fds[i].events |= events;
            return;
        }
    }
    set->fds[set->n++] = (struct pollfd){.fd = fd, .events = events};
}

static void poll_set_add_transport(struct poll_set *set, const smux_session *session,
                                   unsigned awaited)
{
    const struct smux_transport *transport = &session->transport;

    if ((awaited & SMUX_WAIT_READ) != 0) {
        poll_set_add(set, transport->ops->fd(transport->ctx, SMUX_WAIT_READ), POLLIN);
    }
    if ((awaited & SMUX_WAIT_WRITE) != 0) {
        poll_set_add(set, transport->ops->fd(transport->ctx, SMUX_WAIT_WRITE), POLLOUT);
    }
}

/* Which of the awaited events came; failure counts as both, as trying tells more. */
static unsigned poll_set_result(const struct poll_set *set, const smux_session *session)
{
    const struct smux_transport *transport = &session->transport;
    unsigned result = 0;

    for (unsigned i = 0; i < set->n; i++) {
        short revents = set->fds[i].revents;
        bool failed = (revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
        int fd = set->fds[i].fd;
        if ((revents & POLLIN) != 0 ||
            (failed && fd == transport->ops->fd(transport->ctx, SMUX_WAIT_READ))) {
            result |= SMUX_WAIT_READ;
        }
        if ((revents & POLLOUT) != 0 ||
            (failed && fd == transport->ops->fd(transport->ctx, SMUX_WAIT_WRITE))) {
            result |= SMUX_WAIT_WRITE;
        }
    }
    return result;
}

/* --- waiting ------------------------------------------------------------------------------- */

/* A wait for input that is shorter lets the next one happen in the read. */
#define PROMPT_US 1000

/* Without an alarm nobody can wake us, so we look around often instead. */
#define NO_ALARM_US 5000

static uint64_t poll_until(struct smux__waiter *waiter, uint64_t deadline_us)
{
    uint64_t until_us = smux_engine_deadline(waiter->session->engine);

    if (deadline_us < until_us) {
        until_us = deadline_us;
    }
    if (waiter->alarm == NULL && until_us > smux_now_us() + NO_ALARM_US) {
        until_us = smux_now_us() + NO_ALARM_US;
    }
    return until_us;
}

/* Looks until something comes or time is up; others may run meanwhile. */
static bool poll_spin(const smux_session *session, struct poll_set *set, uint64_t until_us)
{
    do {
        smux__port_poll(set->fds, set->n, 0);
        for (unsigned i = 0; i < set->n; i++) {
            if (set->fds[i].revents != 0) {
                return true;
            }
        }
        smux__spin_pause(session);
    } while (smux_now_us() < until_us);
    return false;
}

/* A reader with less memory reads messages, and not what makes a session fast. */
#define SPIN_SIZE 4096

/* Who looks again and again lets others run in between, and the kernel puts such a thread behind them:
 * one that waits for short messages has them sooner if it sleeps. In version 2 it may receive updates,
 * for which others wait. */
static uint64_t poll_spin_until(const struct smux__waiter *waiter)
{
    if (waiter->kind == SMUX__WAIT_READ && waiter->buf != NULL && waiter->size < SPIN_SIZE &&
        smux_engine_version(waiter->session->engine) == 1) {
        return 0;
    }
    return smux__spin_until(waiter->session, &waiter->session->polls);
}

/* Gives the lock away until something can be moved, the waiter fires, or time is up. */
static unsigned poll_unlocked(struct smux__waiter *waiter, struct poll_set *set, uint64_t until_us)
{
    smux_session *session = waiter->session;

    if (waiter->alarm != NULL) {
        poll_set_add(set, smux__bell_fd(waiter->alarm), POLLIN);
    }
    waiter->polling = true;
    session->polled_until_us = until_us;
    uint64_t spin_us = poll_spin_until(waiter);
    bool found = false;
    smux__session_begin_io(session);
    if (spin_us > 0) {
        found = poll_spin(session, set, spin_us);
    }
    if (!found) {
        smux__port_poll(set->fds, set->n, until_us);
    }
    smux__session_lock(session);
    if (spin_us > 0) {
        smux__spin_note(&session->polls, found);
    }
    session->polled_until_us = SMUX_NEVER;
    waiter->polling = false;
    if (waiter->alarm != NULL) {
        smux__bell_set(waiter->alarm, false);
        set->n--;
    }
    unsigned result = poll_set_result(set, session);
    smux__session_end_io(session);
    return result;
}

void smux__poll_transport(struct smux__waiter *waiter, uint64_t deadline_us)
{
    smux_session *session = waiter->session;
    struct poll_set set = {.n = 0};
    unsigned to_read = 0;
    unsigned to_write = 0;

    if (session->receiver == waiter) {
        to_read = smux__io_awaited(session, SMUX_WAIT_READ);
    }
    if (session->sender == waiter) {
        to_write = smux__io_awaited(session, SMUX_WAIT_WRITE);
    }
    if (waiter->alarm == NULL) {
        waiter->alarm = smux__alarm_borrow();
    }
    poll_set_add_transport(&set, session, to_read | to_write);
    uint64_t begun_us = smux_now_us();
    unsigned ready = poll_unlocked(waiter, &set, poll_until(waiter, deadline_us));
    if ((ready & to_read) != 0) {
        session->read_dry = false;
        session->prompt = smux_now_us() - begun_us < PROMPT_US;
    }
    if ((ready & to_write) != 0) {
        session->write_blocked = false;
    }
    if (ready == 0) { /* the poll ended in time for the timers of the engine, if for anything */
        smux__io_tick(session);
    }
}
