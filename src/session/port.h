/*
 * port.h - what the session layer wants from threads: locks, events, alarms.
 *
 * The layer uses no other primitive, so that tests can put a scheduler of their own behind them
 * and try many orders in which threads may run (tests/schedules).
 *
 * Deadlines are points in time of smux_now_us(); SMUX_NEVER waits for ever.
 */
#ifndef SMUX__PORT_H
#define SMUX__PORT_H

#include <smux/base.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* A mutual exclusion lock, not recursive. */
struct smux__lock {
    pthread_mutex_t mutex;
};

int smux__lock_init(struct smux__lock *lock);
void smux__lock_deinit(struct smux__lock *lock);
void smux__lock_acquire(struct smux__lock *lock);
bool smux__lock_try(struct smux__lock *lock);
void smux__lock_release(struct smux__lock *lock);

/*
 * One sleeping thread and how it is woken. Every thread has one event, as it sleeps in one place
 * at a time.
 *
 * Waking has two halves, so that the system call can be made after the lock of the session was
 * released: otherwise the woken thread would run into that lock at once.
 *   set   - with the lock held, while the thread surely sleeps here
 *   wake  - without the lock; the thread may have seen that the event is set, and have left, by
 *           then. Being woken for nothing does not hurt it, wherever it sleeps next
 */
struct smux__event {
    _Atomic uint32_t set;
};

/* The event of the calling thread, not set. */
struct smux__event *smux__event_mine(void);

/* Something that differs between threads which exist at the same time. */
const void *smux__thread_self(void);

/* Lets others run that wait for this processor. */
static inline void smux__thread_yield(void)
{
    (void)sched_yield();
}

/* Waits until the event is set; false when the deadline comes first. */
bool smux__event_wait(struct smux__event *event, uint64_t deadline_us);

void smux__event_set(struct smux__event *event);
void smux__event_wake(struct smux__event *event);

/*
 * Alarms wake a thread from poll(2). They come from a pool of the process: only as many exist as
 * threads polled at the same time.
 */
struct smux__bell;

/* Borrows an alarm, silent; NULL when the process has no descriptors left. */
struct smux__bell *smux__alarm_borrow(void);

/* Gives an alarm back, silent again. NULL is fine. */
void smux__alarm_return(struct smux__bell *bell);

/* Closes all alarms: nobody has one any more. */
void smux__alarm_close_all(void);

/* poll(2) with microseconds. Returns at the deadline, when interrupted, or when something is
 * ready; the caller looks at revents, which are 0 in the first two cases. */
void smux__port_poll(struct pollfd *fds, unsigned n, uint64_t deadline_us);

/* Starts a thread that ignores all signals. False if there is none to be had. */
bool smux__thread_start(pthread_t *thread, void *(*run)(void *), void *arg);
void smux__thread_join(pthread_t thread);

/*
 * fork(2): a child has copies of all sessions, but none of the threads. A generation counts the
 * forks that led to this process; a session of an older generation may only be closed.
 */
extern unsigned smux__port_generation;

/* Sets up fork handling once a process. `prepare` runs before a fork, `done` after it in both
 * processes, with true in the child. */
void smux__port_on_fork(void (*prepare)(void), void (*done)(bool in_child));

#endif
