#define _GNU_SOURCE 1 /* ppoll */

#include "port.h"

#include "ring.h"

#include "../transport/bell.h"

#include <smux/transport.h>

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- locks --------------------------------------------------------------------------------- */

/* Locks are held for a microsecond at most: where the library knows how, a waiting thread spins
 * that long before it sleeps. Two threads at one session are twice as fast with it. */
int smux__lock_init(struct smux__lock *lock)
{
    pthread_mutexattr_t attributes;

    if (pthread_mutexattr_init(&attributes) != 0) {
        return SMUX_ENOMEM;
    }
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    int error = pthread_mutex_init(&lock->mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return error == 0 ? SMUX_OK : SMUX_ENOMEM;
}

void smux__lock_deinit(struct smux__lock *lock)
{
    (void)pthread_mutex_destroy(&lock->mutex);
}

void smux__lock_acquire(struct smux__lock *lock)
{
    (void)pthread_mutex_lock(&lock->mutex);
}

bool smux__lock_try(struct smux__lock *lock)
{
    return pthread_mutex_trylock(&lock->mutex) == 0;
}

void smux__lock_release(struct smux__lock *lock)
{
    (void)pthread_mutex_unlock(&lock->mutex);
}

/* --- time ---------------------------------------------------------------------------------- */

/* Time from now to a deadline; at most a day, as callers come back anyway. */
static struct timespec port_until(uint64_t deadline_us)
{
    const uint64_t day_us = UINT64_C(86400) * 1000000;
    uint64_t now_us = smux_now_us();
    uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;

    left_us = left_us < day_us ? left_us : day_us;
    struct timespec left = {.tv_sec = (time_t)(left_us / 1000000),
                            .tv_nsec = (long)(left_us % 1000000) * 1000};
    return left;
}

/* --- events -------------------------------------------------------------------------------- */

/* A futex is the whole event. The kernel identifies a private one by its address and does not
 * touch the memory when it wakes, so even the event of a thread that has ended may be woken. */

static _Thread_local struct smux__event port_event;

/* Sleeps until a deadline at most, unless the event is set already. The kernel's times are of its own
 * longs here, also on 32-bit machines whose C library has a larger time_t. */
static void port_futex_wait(struct smux__event *event, uint64_t deadline_us)
{
    struct timespec left = port_until(deadline_us);
    const __kernel_long_t timeout[2] = {(__kernel_long_t)left.tv_sec, left.tv_nsec};

    (void)syscall(SYS_futex, &event->set, FUTEX_WAIT_PRIVATE, 0,
                  deadline_us == SMUX_NEVER ? NULL : timeout, NULL, 0);
}

bool smux__event_wait(struct smux__event *event, uint64_t deadline_us)
{
    while (atomic_load_explicit(&event->set, memory_order_acquire) == 0) {
        if (deadline_us != SMUX_NEVER && smux_now_us() >= deadline_us) {
            return false;
        }
        port_futex_wait(event, deadline_us);
    }
    return true;
}

void smux__event_set(struct smux__event *event)
{
    atomic_store_explicit(&event->set, 1, memory_order_release);
}

void smux__event_wake(struct smux__event *event)
{
    (void)syscall(SYS_futex, &event->set, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

struct smux__event *smux__event_mine(void)
{
    atomic_store_explicit(&port_event.set, 0, memory_order_relaxed);
    return &port_event;
}

const void *smux__thread_self(void)
{
    return &port_event;
}

/* --- alarms -------------------------------------------------------------------------------- */

struct port_alarm {
    struct smux__bell bell;       /* what the pool hands out */
    struct port_alarm *next;      /* of all alarms */
    struct port_alarm *next_free; /* of those at rest */
};

static struct {
    struct smux__lock lock;
    struct port_alarm *all;
    struct port_alarm *free;
} port_pool = {.lock = {PTHREAD_MUTEX_INITIALIZER}};

/* With the lock of the pool. */
static struct port_alarm *port_alarm_new(void)
{
    struct port_alarm *alarm = malloc(sizeof *alarm);

    if (alarm == NULL) {
        return NULL;
    }
    if (smux__bell_init(&alarm->bell, SMUX__BELL_READABLE) != 0) {
        free(alarm);
        return NULL;
    }
    alarm->next = port_pool.all;
    port_pool.all = alarm;
    return alarm;
}

struct smux__bell *smux__alarm_borrow(void)
{
    smux__lock_acquire(&port_pool.lock);
    struct port_alarm *alarm = port_pool.free;
    if (alarm != NULL) {
        port_pool.free = alarm->next_free;
    } else {
        alarm = port_alarm_new();
    }
    smux__lock_release(&port_pool.lock);
    return alarm != NULL ? &alarm->bell : NULL;
}

void smux__alarm_return(struct smux__bell *bell)
{
    if (bell == NULL) {
        return;
    }
    struct port_alarm *alarm = SMUX__OBJECT(bell, struct port_alarm, bell);
    smux__bell_set(bell, false);
    smux__lock_acquire(&port_pool.lock);
    alarm->next_free = port_pool.free;
    port_pool.free = alarm;
    smux__lock_release(&port_pool.lock);
}

void smux__alarm_close_all(void)
{
    smux__lock_acquire(&port_pool.lock);
    while (port_pool.all != NULL) {
        struct port_alarm *alarm = port_pool.all;
        port_pool.all = alarm->next;
        smux__bell_deinit(&alarm->bell);
        free(alarm);
    }
    port_pool.free = NULL;
    smux__lock_release(&port_pool.lock);
}

void smux__port_poll(struct pollfd *fds, unsigned n, uint64_t deadline_us)
{
    struct timespec left = port_until(deadline_us);

    if (ppoll(fds, n, deadline_us == SMUX_NEVER ? NULL : &left, NULL) <= 0) {
        for (unsigned i = 0; i < n; i++) {
            fds[i].revents = 0;
        }
    }
}

/* --- threads ------------------------------------------------------------------------------- */

bool smux__thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all;
    sigset_t before;

    /* Signals are the application's; a thread it does not know of must not take them. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(thread, NULL, run, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void smux__thread_join(pthread_t thread)
{
    (void)pthread_join(thread, NULL);
}

/* --- fork ---------------------------------------------------------------------------------- */

unsigned smux__port_generation = 0;

static void (*port_prepare)(void);
static void (*port_done)(bool in_child);

static void port_before_fork(void)
{
    port_prepare();
    smux__lock_acquire(&port_pool.lock);
}

static void port_after_fork_in_parent(void)
{
    smux__lock_release(&port_pool.lock);
    port_done(false);
}

static void port_after_fork_in_child(void)
{
    smux__port_generation++;
    smux__lock_release(&port_pool.lock);
    smux__alarm_close_all(); /* shared with the parent; ours to close, not to ring */
    port_done(true);
}

void smux__port_on_fork(void (*prepare)(void), void (*done)(bool in_child))
{
    port_prepare = prepare;
    port_done = done;
    (void)pthread_atfork(port_before_fork, port_after_fork_in_parent, port_after_fork_in_child);
}
