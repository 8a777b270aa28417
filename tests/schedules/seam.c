#define _GNU_SOURCE 1

#include "seam.h"

#include "delays.h"
#include "idle.h"
#include "scheduler.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

static struct {
    enum seam_mode mode;
    _Atomic unsigned n_threads;
    struct seam_thread threads[SEAM_MAX_THREADS];
} seam;

static _Thread_local struct seam_thread *self;

const char *seam_op_text(int op)
{
    static const char *const texts[] = {
#define SEAM_OP_TEXT(name, text) [SEAM_##name] = (text),
        SEAM_OP_MAP(SEAM_OP_TEXT)
#undef SEAM_OP_TEXT
    };

    return texts[op];
}

/* --- the threads ----------------------------------------------------------------------------- */

static struct seam_thread *seam_add(const char *name)
{
    unsigned number = atomic_fetch_add(&seam.n_threads, 1);

    if (number >= SEAM_MAX_THREADS) {
        fprintf(stderr, "more threads than expected\n");
        abort();
    }
    struct seam_thread *thread = &seam.threads[number];
    thread->number = number;
    thread->deadline_us = UINT64_MAX;
    atomic_store(&thread->name, name);
    atomic_store(&thread->op, SEAM_RUN);
    return thread;
}

void seam_begin(enum seam_mode mode)
{
    atomic_store(&seam.n_threads, 0);
    seam.mode = mode;
    self = seam_add("main");
    self->id = pthread_self();
}

void seam_end(void)
{
    seam.mode = SEAM_PLAIN;
    self = NULL;
}

enum seam_mode seam_mode(void)
{
    return seam.mode;
}

struct seam_thread *seam_self(void)
{
    return self;
}

void seam_name(const char *name)
{
    if (self != NULL) {
        atomic_store(&self->name, name);
    }
}

unsigned seam_num_threads(void)
{
    return atomic_load(&seam.n_threads);
}

struct seam_thread *seam_thread(unsigned number)
{
    return &seam.threads[number];
}

/* Relaxed, so that ThreadSanitizer takes it for no order between threads. */
void seam_note(enum seam_op op, const void *object)
{
    if (self != NULL) {
        atomic_store_explicit(&self->op, (int)op, memory_order_relaxed);
        atomic_store_explicit(&self->object, object, memory_order_relaxed);
    }
}

void seam_report(void)
{
    for (unsigned i = 0; i < seam_num_threads(); i++) {
        struct seam_thread *thread = &seam.threads[i];
        int op = atomic_load(&thread->op);
        if (op != SEAM_END) {
            fprintf(stderr, "  %3u %-20s %s (%p)\n", i, atomic_load(&thread->name),
                    seam_op_text(op), (void *)(uintptr_t)atomic_load(&thread->object));
        }
    }
}

/* Tells whether the calling thread is under the scheduler. */
static bool scheduled(void)
{
    return self != NULL && seam.mode == SEAM_SCHEDULED;
}

/* Before a call that real threads make: somebody else may be quicker. */
static void before(enum seam_op op, const void *object)
{
    seam_note(op, object);
    if (self != NULL && seam.mode == SEAM_DELAYS) {
        delays_pause();
    }
}

/* And after it: others may get far with what it brought about. */
static void after(void)
{
    before(SEAM_RUN, NULL);
}

/* --- the calls ------------------------------------------------------------------------------- */

static void *thread_run(void *arg)
{
    struct seam_thread *thread = arg;

    self = thread;
    if (scheduled()) {
        scheduler_thread_begin(thread);
    }
    void *result = thread->run(thread->arg);
    seam_note(SEAM_END, NULL);
    if (scheduled()) {
        scheduler_thread_end(thread);
    }
    return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    if (self == NULL) {
        return __real_pthread_create(thread, attr, run, arg);
    }
    before(SEAM_CREATE, NULL);
    struct seam_thread *added = seam_add("background");
    added->run = run;
    added->arg = arg;
    if (scheduled()) {
        scheduler_thread_add(added);
    }
    int error = __real_pthread_create(&added->id, attr, thread_run, added);
    *thread = added->id;
    if (scheduled()) {
        scheduler_point(SEAM_CREATE, added);
    }
    after();
    return error;
}

static struct seam_thread *seam_find(pthread_t id)
{
    for (unsigned i = seam_num_threads(); i-- > 0;) { /* ids are used again */
        if (pthread_equal(seam.threads[i].id, id)) {
            return &seam.threads[i];
        }
    }
    abort();
}

int __wrap_pthread_join(pthread_t thread, void **out_result)
{
    if (scheduled()) {
        scheduler_join(seam_find(thread));
    }
    before(SEAM_JOIN, NULL);
    int error = __real_pthread_join(thread, out_result);
    after();
    return error;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (scheduled()) {
        return scheduler_lock(mutex);
    }
    before(SEAM_LOCK, mutex);
    int error = __real_pthread_mutex_lock(mutex);
    after();
    return error;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    if (scheduled()) {
        scheduler_point(SEAM_LOCK, mutex);
    }
    before(SEAM_LOCK, mutex);
    int error = __real_pthread_mutex_trylock(mutex);
    after();
    return error;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (scheduled()) {
        return scheduler_unlock(mutex);
    }
    before(SEAM_UNLOCK, mutex);
    int error = __real_pthread_mutex_unlock(mutex);
    after();
    return error;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    idle_forget(mutex);
    return __real_pthread_mutex_destroy(mutex);
}

static uint64_t microseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)(time->tv_nsec + 999) / 1000;
}

static uint64_t timeout_of(const struct timespec *time)
{
    return time != NULL ? microseconds(time) : UINT64_MAX;
}

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                 const sigset_t *signals)
{
    if (scheduled()) {
        return scheduler_poll(fds, n, timeout_of(timeout));
    }
    before(SEAM_POLL, NULL);
    int ready = __real_ppoll(fds, n, timeout, signals);
    after();
    return ready;
}

int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_ms)
{
    if (scheduled()) {
        return scheduler_epoll(epoll_fd, events, max,
                               timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * 1000);
    }
    before(SEAM_EPOLL, NULL);
    int n = __real_epoll_wait(epoll_fd, events, max, timeout_ms);
    after();
    return n;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *out_left)
{
    if (scheduled()) {
        scheduler_sleep(microseconds(time));
        return 0;
    }
    seam_note(SEAM_SLEEP, NULL);
    int error = __real_nanosleep(time, out_left);
    seam_note(SEAM_RUN, NULL);
    return error;
}

/* What the session layer uses syscall(2) for. */
static long scheduled_syscall(long number, const long args[6])
{
    void *pointer = (void *)args[0];

    if (number == SYS_futex && (args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT) {
        return scheduler_wait(pointer, (uint32_t)args[2], timeout_of((void *)args[3]));
    }
    if (number == SYS_futex && (args[1] & FUTEX_CMD_MASK) == FUTEX_WAKE) {
        return scheduler_wake(pointer);
    }
#ifdef SYS_epoll_pwait2
    if (number == SYS_epoll_pwait2) {
        const int64_t *timeout = (void *)args[3]; /* seconds, nanoseconds */
        return scheduler_epoll((int)args[0], (void *)args[1], (int)args[2],
                               (uint64_t)timeout[0] * 1000000 + (uint64_t)timeout[1] / 1000);
    }
#endif
    fprintf(stderr, "a system call without a place in the scheduler: %ld\n", number);
    abort();
}

static enum seam_op syscall_op(long number, long operation)
{
    if (number != SYS_futex) {
        return SEAM_EPOLL;
    }
    return (operation & FUTEX_CMD_MASK) == FUTEX_WAIT ? SEAM_WAIT : SEAM_WAKE;
}

/* Who only yields looks at the clock, too: it goes on, and others run meanwhile. */
int __wrap_sched_yield(void)
{
    if (scheduled()) {
        scheduler_sleep(1);
        return 0;
    }
    return __real_sched_yield();
}

long __wrap_syscall(long number, ...)
{
    long args[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        args[i] = va_arg(list, long);
    }
    va_end(list);
    if (scheduled()) {
        return scheduled_syscall(number, args);
    }
    before(syscall_op(number, args[1]), (void *)args[0]);
    long result = __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    int error = errno;
    after();
    errno = error;
    return result;
}
