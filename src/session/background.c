/*
 * background.c - one thread a process, for what no caller does.
 *
 * It sleeps in epoll_wait and serves
 *   - sessions whose descriptors it watches: nobody waits on them, or output is stuck;
 *   - timers of engines, which every session registers in one heap;
 *   - sessions to be looked at soon, see below.
 *
 * Callers take and leave the receiver's role many thousand times a second; telling epoll each
 * time would cost a system call each. So a caller who leaves the role only puts the session into
 * a list. The thread looks through it every few milliseconds, and watches a session when nobody
 * received in it since the last look. While all is watched and no timer is due it does not wake.
 *
 *      [unwatched, a caller receives] <--> [unwatched, in the list] --> [watched] --+
 *                    ^                                                              |
 *                    +------- event, but a caller receives: ignored once -----------+
 *
 * Descriptors are watched for one event each time (EPOLLONESHOT): what the thread takes up does
 * not fire again before it says so, and an event for a session that a caller took over meanwhile
 * comes once and is dropped.
 */
#define _GNU_SOURCE 1 /* epoll */

#include "background.h"

#include <smux/transport.h>

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH       64  /* events taken at once */
#define MAX_TRUST   2   /* the interval of a lease doubles so often, while the reader comes back */
#define SPACING_US  50  /* between two looks at sessions with output of small writes, at least */
#define ROW_LOOK_US 100 /* and at most */
#define TURN_READS  4   /* reads from one session before the next has its turn (L23) */

/* epoll tells the number of the session, and in the lowest bit whether it is the write descriptor
 * of two. 0 is the bell. */
#define TAG_WRITE 1u

static smux_session *session_of_timer(struct smux__timed *timer)
{
    return SMUX__OBJECT(timer, smux_session, served.timer);
}

static smux_session *session_of_node(struct smux__node *node)
{
    return SMUX__OBJECT(node, smux_session, served.node);
}

/* --- watching descriptors; with the lock of the session ------------------------------------ */

static bool background_control(int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data = {.u64 = data}};

    return epoll_ctl(smux__background.epoll_fd, op, fd, &event) == 0;
}

static uint64_t background_tag(const smux_session *session, unsigned tag)
{
    return session->served.number << 1 | tag;
}

/* What epoll is to tell of the read descriptor, besides its failure. */
static uint32_t background_input(const struct smux__served *served, unsigned armed)
{
    if ((armed & SMUX__ARMED_READ) != 0) {
        return EPOLLIN;
    }
    return (armed & SMUX__ARMED_ERROR) != 0 && !served->peer_ended ? EPOLLRDHUP : 0;
}

/* Watches for what `armed` says, and for nothing else. If the kernel has no memory for that, the next
 * look tries again. */
static void background_arm(smux_session *session, unsigned armed)
{
    struct smux__served *served = &session->served;
    uint32_t in = background_input(served, armed);
    uint32_t out = (armed & SMUX__ARMED_WRITE) != 0 ? EPOLLOUT : 0;
    unsigned of_reader = SMUX__ARMED_READ | SMUX__ARMED_ERROR;
    bool ok = true;

    if (served->read_fd == served->write_fd) {
        ok = background_control(EPOLL_CTL_MOD, served->read_fd, in | out,
                                background_tag(session, 0));
    } else {
        if ((armed & of_reader) != (served->armed & of_reader)) {
            ok = background_control(EPOLL_CTL_MOD, served->read_fd, in, background_tag(session, 0));
        }
        if ((armed & ~served->armed & SMUX__ARMED_WRITE) != 0) {
            ok = background_control(EPOLL_CTL_MOD, served->write_fd, out,
                                    background_tag(session, TAG_WRITE)) &&
                 ok;
        }
    }
    if (ok) {
        served->armed = armed;
    } else {
        smux__agenda_attend(session);
    }
}

/* What somebody should watch and no caller does. */
static unsigned background_wanted(const smux_session *session)
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

int smux__background_watch(smux_session *session, int read_fd, int write_fd)
{
    struct smux__served *served = &session->served;
    bool ok = background_control(EPOLL_CTL_ADD, read_fd, EPOLLIN, background_tag(session, 0));

    if (ok) {
        served->read_fd = read_fd;
        served->armed = SMUX__ARMED_READ | SMUX__ARMED_ERROR;
        ok = write_fd == read_fd ||
             background_control(EPOLL_CTL_ADD, write_fd, 0, background_tag(session, TAG_WRITE));
    }
    if (ok) {
        served->write_fd = write_fd;
        return SMUX_OK;
    }
    return errno == EBADF || errno == EPERM || errno == EEXIST ? SMUX_EINVAL : SMUX_EIO;
}

void smux__background_forget(smux_session *session)
{
    struct smux__served *served = &session->served;

    if (served->read_fd >= 0) {
        (void)background_control(EPOLL_CTL_DEL, served->read_fd, 0, 0);
    }
    if (served->write_fd >= 0 && served->write_fd != served->read_fd) {
        (void)background_control(EPOLL_CTL_DEL, served->write_fd, 0, 0);
    }
    served->read_fd = -1;
    served->write_fd = -1;
    served->armed = 0;
}

/* --- leaving a session to the thread ------------------------------------------------------- */

/* The next look, which comes in time, finds all there may be to do: so it is when many calls follow
 * each other. */
static bool background_knows(const smux_session *session)
{
    const struct smux__served *served = &session->served;

    return served->attended && served->owed <= served->told && !session->write_blocked &&
           session->leased == NULL;
}

/* There may be memory then, and an heir that has not come may be late. */
static bool must_look_again(const smux_session *session)
{
    return session->starved || session->heir != NULL || session->send_heir != NULL;
}

void smux__background_settle(smux_session *session)
{
    struct smux__served *served = &session->served;

    if (background_knows(session)) {
        return;
    }
    unsigned missing = background_wanted(session) & ~served->armed;
    if ((must_look_again(session) && !served->attended) ||
        (session->leased != NULL && !served->lease_told)) {
        served->lease_told = session->leased != NULL;
        smux__agenda_attend(session);
    }
    if ((missing & SMUX__ARMED_WRITE) != 0) { /* stuck output must not wait for a look */
        background_arm(session, served->armed | background_wanted(session));
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
static void serve_settle(smux_session *session)
{
    struct smux__served *served = &session->served;
    unsigned wanted = background_wanted(session);
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
    served->lease_told = smux__waiters_are_leased(session) || (served->lease_told && active);
    if (must_look_again(session) || served->lease_told || served->owed > served->told) {
        smux__agenda_attend(session);
    } else if (!active) {
        smux__agenda_unattend(session);
        watched |= wanted;
    }
    if ((watched & ~served->armed) != 0) {
        background_arm(session, served->armed | watched);
    }
    smux__agenda_set_timer(session, serve_deadline(session));
}

static void serve_session(smux_session *session, uint32_t events, bool of_writer)
{
    smux__session_lock(session);
    session->starved = false;
    smux__pace_look(&session->pace);
    smux__waiters_drop_late_heirs(session);
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
    smux__waiters_find_heir(session);
    serve_settle(session);
    smux__session_unlock(session);
}

/* --- the thread; with the lock of the background ------------------------------------------- */

static void thread_serve(smux_session *session, uint32_t events, bool of_writer)
{
    smux__background.serving = session;
    smux__lock_release(&smux__background.lock);
    serve_session(session, events, of_writer);
    smux__lock_acquire(&smux__background.lock);
    smux__background.serving = NULL;
    struct smux__event *departing = smux__background.departing;
    if (departing != NULL) {
        smux__background.departing = NULL;
        smux__event_set(departing);
        smux__event_wake(departing);
    }
}

static void thread_serve_events(const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t tag = events[i].data.u64;
        smux_session *session = smux__registry_find(&smux__background.registry, tag >> 1);
        if (session != NULL) {
            thread_serve(session, events[i].events, (tag & TAG_WRITE) != 0);
        }
    }
}

static void thread_serve_timers(uint64_t now_us)
{
    struct smux__timed *timer;

    while ((timer = smux__heap_first(&smux__background.timers)) != NULL && timer->at_us <= now_us) {
        thread_serve(session_of_timer(timer), 0, false);
    }
}

/* Between `low` and `high`. */
static uint64_t time_within(uint64_t time_us, uint64_t low_us, uint64_t high_us)
{
    return time_us < low_us ? low_us : time_us > high_us ? high_us : time_us;
}

/* When to look again at a session whose callers send what they leave. */
static uint64_t hurry_next_look(const smux_session *session, uint64_t until_us, uint64_t now_us)
{
    return session->served.told == SMUX__SOON
               ? now_us + SMUX__SOON_US
               : time_within(until_us, now_us + SPACING_US, now_us + ROW_LOOK_US);
}

/* Sends what a session kept, unless its callers do: then it is looked at again. That needs no lock
 * of the session, which they take all the time now. But however long they go on: timers run, and
 * input is watched for, as often as for a session in the other list. */
static void thread_hurry_session(smux_session *session, uint64_t now_us)
{
    uint64_t until_us = smux__pace_until(&session->pace, now_us);

    smux__agenda_unlist(&session->served);
    if (now_us < until_us && now_us < session->served.told_us + SMUX__LOOK_US) {
        smux__agenda_list(&session->served, true);
        smux__agenda_set_look(&smux__background.hurry_at_us,
                              hurry_next_look(session, until_us, now_us));
        return;
    }
    smux__agenda_list(&session->served, false); /* stays under observation */
    smux__agenda_set_look(&smux__background.look_at_us, now_us + SMUX__LOOK_US);
    thread_serve(session, 0, false);
}

static void thread_hurry(uint64_t now_us)
{
    if (now_us < smux__background.hurry_at_us) {
        return;
    }
    smux__background.hurry_at_us = SMUX_NEVER;
    for (unsigned n = smux__background.n_hurried; n > 0 && smux__background.hurried != NULL; n--) {
        thread_hurry_session(session_of_node(smux__background.hurried), now_us);
    }
}

/* Looks at those that are in the list now, each once. */
static void thread_look(uint64_t now_us)
{
    if (now_us < smux__background.look_at_us) {
        return;
    }
    smux__background.look_at_us = SMUX_NEVER;
    for (unsigned n = smux__background.n_attended; n > 0 && smux__background.attended != NULL;
         n--) {
        struct smux__node *node = smux__background.attended;
        smux__background.attended = node->next; /* to the end, unless it leaves */
        thread_serve(session_of_node(node), 0, false);
    }
    if (smux__background.n_attended > 0) {
        smux__agenda_set_look(&smux__background.look_at_us, now_us + SMUX__LOOK_US);
    }
}

static uint64_t thread_wake_time(void)
{
    const struct smux__timed *timer = smux__heap_first(&smux__background.timers);
    uint64_t at_us = timer != NULL ? timer->at_us : SMUX_NEVER;

    at_us = smux__background.look_at_us < at_us ? smux__background.look_at_us : at_us;
    return smux__background.hurry_at_us < at_us ? smux__background.hurry_at_us : at_us;
}

/* epoll_wait() with microseconds where the kernel has that, else with milliseconds, rounded up. */
static int thread_epoll(struct epoll_event *events, uint64_t timeout_us)
{
#ifdef SYS_epoll_pwait2
    static bool missing; /* only the thread is here */
    if (!missing) {
        const int64_t timeout[2] = {(int64_t)(timeout_us / 1000000),
                                    (int64_t)(timeout_us % 1000000) * 1000};
        long n =
            syscall(SYS_epoll_pwait2, smux__background.epoll_fd, events, BATCH, timeout, NULL, 0);
        if (n >= 0 || errno == EINTR) {
            return (int)n;
        }
        missing = true; /* ENOSYS, or what a filter of system calls says */
    }
#endif
    return epoll_wait(smux__background.epoll_fd, events, BATCH, (int)((timeout_us + 999) / 1000));
}

/* How long to sleep: until a time, at most an hour. */
static uint64_t thread_timeout(uint64_t until_us)
{
    const uint64_t hour_us = UINT64_C(3600) * 1000000;
    uint64_t now_us = smux_now_us();
    uint64_t left_us = until_us > now_us ? until_us - now_us : 0;

    return left_us < hour_us ? left_us : hour_us;
}

/* Returns the number of events. */
static int thread_sleep(struct epoll_event *events)
{
    uint64_t until_us = thread_wake_time();

    smux__background.sleeps_until_us = until_us;
    smux__lock_release(&smux__background.lock);
    int n = thread_epoll(events, thread_timeout(until_us));
    smux__lock_acquire(&smux__background.lock);
    smux__background.sleeps_until_us = 0;
    smux__bell_set(&smux__background.bell, false);
    return n;
}

void *smux__background_run(void *arg)
{
    struct epoll_event events[BATCH];

    (void)arg;
    smux__lock_acquire(&smux__background.lock);
    while (!smux__background.stop) {
        int n = thread_sleep(events);
        thread_serve_events(events, n);
        thread_serve_timers(smux_now_us());
        thread_hurry(smux_now_us());
        thread_look(smux_now_us());
    }
    smux__lock_release(&smux__background.lock);
    return NULL;
}
