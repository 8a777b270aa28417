/*
 * serve.c - what the background does for one session, and what is left to it.
 *
 * Whoever leaves a session, or sleeps in it, settles it: somebody has to receive, to send what is stuck
 * and to mind the timers. For what no caller does, the thread is to look at the session (agenda.c), or
 * epoll to report (watch.c). The thread serves it then, and plans what follows: it looks again while
 * callers receive or are to come and do so, and otherwise leaves the session to epoll.
 */
#include "background.h"

#include <sys/epoll.h>

#define MAX_TRUST  2 /* the interval of a lease doubles so often, while the reader comes back */
#define TURN_READS 4 /* reads from one session before the next has its turn (L23) */

/* --- leaving a session to the thread; with the lock of the session ------------------------- */

/* What somebody should watch and no caller does. */
static unsigned serve_wanted(const smux_session *session)
{
    unsigned wanted = 0;

    if (session->ended) {
        return 0;
    }
    if (session->receiver == NULL && session->heir == NULL) {
        if (smux__io_can_receive(session)) {
            wanted |= SMUX__ARMED_ERROR | smux__io_awaited(session, SMUX_WAIT_READ);
        } else if (!session->served.hung_up) {
            wanted |= SMUX__ARMED_ERROR; /* a paused session must notice its end [KA-5] */
        }
    }
    if (session->sender == NULL && session->send_heir == NULL && smux__io_is_blocked(session)) {
        wanted |= smux__io_awaited(session, SMUX_WAIT_WRITE);
    }
    return wanted;
}

/* The next look, which comes in time, finds all there may be to do: so it is when many calls follow
 * each other. */
static bool serve_is_known(const smux_session *session)
{
    const struct smux__served *served = &session->served;

    return served->attended && served->owed <= served->told && !session->write_blocked &&
           session->leased == NULL;
}

/* An heir that has not come by the next look may be late. */
static bool serve_has_heir(const smux_session *session)
{
    return session->heir != NULL || session->send_heir != NULL;
}

void smux__serve_settle(smux_session *session)
{
    struct smux__served *served = &session->served;

    if (serve_is_known(session)) {
        return;
    }
    unsigned missing = serve_wanted(session) & ~served->armed;
    if (((session->starved || serve_has_heir(session)) && !served->attended) ||
        (session->leased != NULL && !served->lease_told)) {
        served->lease_told = session->leased != NULL;
        smux__agenda_attend(session);
    }
    if ((missing & SMUX__ARMED_WRITE) != 0) { /* stuck output must not wait for a look */
        smux__watch_arm(session, served->armed | serve_wanted(session));
    } else if (served->owed > served->told || (missing != 0 && !served->attended)) {
        smux__agenda_attend(session);
    }
    if (served->attended || session->ended) {
        return; /* the look minds the timer */
    }
    uint64_t deadline_us = smux_engine_deadline(session->engine);
    if (deadline_us < served->timer.at_us && deadline_us < session->polled_until_us) {
        smux__agenda_set_timer(session, deadline_us);
    }
}

/* --- serving; with the lock of the session ------------------------------------------------- */

static void serve_input(smux_session *session)
{
    if (session->receiver != NULL || !smux__io_can_receive(session)) {
        return;
    }
    session->receiver = &smux__somebody;
    session->read_dry = false;
    for (int i = 0; i < TURN_READS && !session->read_dry; i++) {
        if (smux__io_receive(session) != SMUX__IO_PROGRESS) {
            break;
        }
    }
    session->receiver = NULL;
}

/* The connection is gone, and reading does not tell: it is paused, or has ended before. A pipe
 * that was hung up may still hold data, so it waits until that can be read. */
static void serve_failure(smux_session *session, uint32_t events)
{
    bool socket = session->served.read_fd == session->served.write_fd;

    if (session->ended || smux__io_can_receive(session)) {
        return;
    }
    if ((events & EPOLLERR) != 0 || (session->eof && socket)) {
        smux__io_fail(session, "watching", "the connection is broken");
    } else {
        session->served.hung_up = true;
        smux_engine_goaway(session->engine);
    }
}

/* The peer has ended its direction while we do not read. All its data is there, but it will not
 * answer any more. */
static void serve_peer_end(smux_session *session)
{
    if (!smux__io_can_receive(session)) {
        session->served.peer_ended = true;
        smux_engine_goaway(session->engine);
    }
}

/* Does what epoll reported; failure counts as everything, as trying tells more. */
static void serve_events(smux_session *session, uint32_t events, bool of_writer)
{
    struct smux__served *served = &session->served;
    bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
    unsigned ready = (failed || (events & EPOLLIN) != 0 ? SMUX_WAIT_READ : 0u) |
                     (failed || (events & EPOLLOUT) != 0 ? SMUX_WAIT_WRITE : 0u);

    if (session->ended) {
        return;
    }
    if (served->read_fd == served->write_fd) {
        served->armed = 0;
    } else {
        served->armed &= of_writer ? ~(unsigned)SMUX__ARMED_WRITE : (unsigned)SMUX__ARMED_WRITE;
    }
    if (session->sender == NULL && (ready & smux__io_awaited(session, SMUX_WAIT_WRITE)) != 0) {
        session->write_blocked = false;
    }
    if ((ready & smux__io_awaited(session, SMUX_WAIT_READ)) != 0) {
        serve_input(session);
    }
    if (failed && !of_writer) {
        serve_failure(session, events);
    } else if ((events & EPOLLRDHUP) != 0) {
        serve_peer_end(session);
    }
}

/* When the engine wants to be called; at most once a millisecond, whatever it says. */
static uint64_t serve_deadline(const smux_session *session)
{
    uint64_t deadline_us = smux_engine_deadline(session->engine);
    uint64_t soon_us = smux_now_us() + SMUX__SOON_US;

    return deadline_us > soon_us ? deadline_us : soon_us;
}

/* Decides whether to look again or to watch, after everything else was done. */
static void serve_plan(smux_session *session)
{
    struct smux__served *served = &session->served;
    unsigned wanted = serve_wanted(session);
    /* Stuck output must not wait for a look, nor the end of a peer from whom nobody reads. */
    unsigned urgent = SMUX__ARMED_WRITE | (smux__io_can_receive(session) ? 0u : SMUX__ARMED_ERROR);
    unsigned watched = wanted & urgent;
    bool active = served->attended && served->seen_turn != session->turn;

    served->owed =
        session->row_until_us > 0 ? SMUX__SOON : SMUX__NOW; /* a row begun by this look */
    served->told = SMUX__NOW;
    served->seen_turn = session->turn;
    if (!active || !smux__waiters_only_accept(session)) {
        served->trust = 0;
    } else if (served->trust < MAX_TRUST) {
        served->trust++;
    }
    served->lease_told = smux__role_is_leased(session) || (served->lease_told && active);
    if (session->starved || served->lease_told || served->owed > served->told) {
        smux__agenda_attend(session);
    } else if (!active) {
        watched |= wanted;
        if (serve_has_heir(session)) {
            smux__agenda_attend(session);
        } else {
            smux__agenda_unattend(session);
        }
    }
    if ((watched & ~served->armed) != 0) {
        smux__watch_arm(session, served->armed | watched);
    }
    smux__agenda_set_timer(session, serve_deadline(session));
}

void smux__serve_session(smux_session *session, uint32_t events, bool of_writer)
{
    smux__session_lock(session);
    session->starved = false;
    smux__pace_look(&session->pace);
    smux__role_drop_late_heirs(session);
    if (events != 0) {
        serve_events(session, events, of_writer);
    }
    if (!session->ended) {
        smux__io_tick(session);
        smux__row_end(session);
        (void)smux__io_flush(session, &smux__somebody);
    }
    if (session->send_failed && !session->ended && session->receiver == NULL) {
        smux__io_give_up(session);
    }
    smux__role_find_heir(session);
    serve_plan(session);
    smux__session_unlock(session);
}
