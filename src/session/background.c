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
 * received in it since the last look, nor was woken to. While all is watched and no timer is due it
 * does not wake.
 *
 *      [unwatched, a caller receives] <--> [unwatched, in the list] --> [watched] --+
 *                    ^                                                              |
 *                    +------- event, but a caller receives: ignored once -----------+
 *
 * Descriptors are watched for one event each time (EPOLLONESHOT): what the thread takes up does
 * not fire again before it says so, and an event for a session that a caller took over meanwhile
 * comes once and is dropped.
 */
#define _GNU_SOURCE 1 /* syscall */

#include "background.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH       64  /* events taken at once */
#define SPACING_US  50  /* between two looks at sessions with output of small writes, at least */
#define ROW_LOOK_US 100 /* and at most */

static smux_session *session_of_timer(struct smux__timed *timer)
{
    return SMUX__OBJECT(timer, smux_session, served.timer);
}

static smux_session *session_of_node(struct smux__node *node)
{
    return SMUX__OBJECT(node, smux_session, served.node);
}

/* --- the thread; with the lock of the background ------------------------------------------- */

static void thread_serve(smux_session *session, uint32_t events, bool of_writer)
{
    smux__background.serving = session;
    smux__lock_release(&smux__background.lock);
    smux__serve_session(session, events, of_writer);
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
            thread_serve(session, events[i].events, (tag & SMUX__TAG_WRITE) != 0);
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
