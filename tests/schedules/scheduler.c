#define _GNU_SOURCE 1

#include "scheduler.h"

#include "choice.h"
#include "rng.h"

#include "transport/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STEPS   2000000
#define MAX_IDLE_US (UINT64_C(10) * 1000000) /* without a thread that could go on */
#define TRACE_LEN   80                       /* steps told in a report */
#define NEAR_US     20000                    /* deadlines that may come before others go on */

struct step {
    unsigned thread;
    enum seam_op op;
    const void *object;
    uint64_t at_us;
};

static struct {
    struct rng rng;
    uint64_t now_us;
    uint64_t begun_us;
    uint64_t idle_us; /* in which nobody could go on */
    uint64_t steps;
    uint64_t hash;
    const char *(*check_idle)(void);
    struct choice choice;
    uint32_t creep_us;          /* time of a step */
    uint32_t jump_per_thousand; /* steps before which the clock jumps */

    struct step trace[TRACE_LEN];
    struct smux__sys sys; /* as before the run */
} scheduler;

/* --- reports ---------------------------------------------------------------------------------- */

static void report_trace(void)
{
    uint64_t from = scheduler.steps > TRACE_LEN ? scheduler.steps - TRACE_LEN : 0;

    for (uint64_t i = from; i < scheduler.steps; i++) {
        const struct step *step = &scheduler.trace[i % TRACE_LEN];
        fprintf(stderr, "  %8llu us %-20s %s (%p)\n",
                (unsigned long long)(step->at_us - scheduler.begun_us),
                atomic_load(&seam_thread(step->thread)->name), seam_op_text((int)step->op),
                (void *)(uintptr_t)step->object);
    }
}

_Noreturn static void scheduler_fail(const char *what)
{
    fprintf(stderr, "%s after %llu steps, %llu us; the last of them:\n", what,
            (unsigned long long)scheduler.steps,
            (unsigned long long)(scheduler.now_us - scheduler.begun_us));
    report_trace();
    fprintf(stderr, "the threads:\n");
    seam_report();
    abort();
}

static void trace(const struct seam_thread *thread)
{
    scheduler.trace[scheduler.steps % TRACE_LEN] =
        (struct step){thread->number, (enum seam_op)thread->op, thread->object, scheduler.now_us};
    scheduler.hash =
        rng_mix(scheduler.hash ^ ((uint64_t)thread->number << 8 | (uint64_t)thread->op));
    scheduler.steps++;
}

/* --- who can go on ---------------------------------------------------------------------------- */

static bool mutex_is_free(pthread_mutex_t *mutex)
{
    if (__real_pthread_mutex_trylock(mutex) != 0) {
        return false;
    }
    (void)__real_pthread_mutex_unlock(mutex);
    return true;
}

static bool can_poll(struct pollfd *fds, nfds_t n)
{
    static const struct timespec at_once;

    return __real_ppoll(fds, n, &at_once, NULL) > 0;
}

/* Whether what a thread waits for has come; waking ends a wait by itself. */
static bool has_come(const struct seam_thread *thread)
{
    void *object = (void *)(uintptr_t)thread->object;

    switch ((enum seam_op)thread->op) {
    case SEAM_LOCK:
        return mutex_is_free(object);
    case SEAM_JOIN:
        return ((const struct seam_thread *)object)->op == SEAM_END;
    case SEAM_POLL:
    case SEAM_EPOLL:
        return can_poll(thread->fds, thread->n_fds);
    default:
        return false;
    }
}

static bool can_go_on(const struct seam_thread *thread)
{
    if (thread->op == SEAM_END) {
        return false;
    }
    return !thread->asleep || thread->deadline_us <= scheduler.now_us || has_come(thread);
}

static unsigned list_candidates(struct seam_thread **out_list)
{
    unsigned n = 0;

    for (unsigned i = 0; i < seam_num_threads(); i++) {
        if (can_go_on(seam_thread(i))) {
            out_list[n++] = seam_thread(i);
        }
    }
    return n;
}

/* --- time ------------------------------------------------------------------------------------- */

static int virtual_clock(clockid_t clock, struct timespec *out_time)
{
    (void)clock;
    out_time->tv_sec = (time_t)(scheduler.now_us / 1000000);
    out_time->tv_nsec = (long)(scheduler.now_us % 1000000) * 1000;
    return 0;
}

/* Secrets are seeded, too. */
static ssize_t virtual_random(void *buf, size_t len, unsigned flags)
{
    (void)flags;
    memset(buf, (int)rng_below(&scheduler.rng, 256), len);
    return (ssize_t)len;
}

/* The deadlines of sleepers up to a time; the number of them. */
static unsigned list_deadlines(uint64_t until_us, uint64_t *out_list)
{
    unsigned n = 0;

    for (unsigned i = 0; i < seam_num_threads(); i++) {
        const struct seam_thread *thread = seam_thread(i);
        if (thread->op != SEAM_END && thread->asleep && thread->deadline_us > scheduler.now_us &&
            thread->deadline_us <= until_us) {
            out_list[n++] = thread->deadline_us;
        }
    }
    return n;
}

static void creep(void)
{
    uint64_t deadlines[SEAM_MAX_THREADS];

    scheduler.now_us += scheduler.creep_us;
    if (rng_below(&scheduler.rng, 1000) >= scheduler.jump_per_thousand) {
        return;
    }
    unsigned n = list_deadlines(scheduler.now_us + NEAR_US, deadlines);
    if (n > 0) {
        scheduler.now_us = deadlines[rng_below(&scheduler.rng, n)];
    }
}

static void check_sleepers(void)
{
    for (unsigned i = 0; i < seam_num_threads(); i++) {
        const struct seam_thread *thread = seam_thread(i);
        if (thread->op == SEAM_WAIT && thread->asleep &&
            atomic_load((const _Atomic uint32_t *)thread->object) != 0) {
            scheduler_fail("LOST WAKE-UP: an event is set, and its thread was not woken");
        }
    }
}

/* Nobody can go on. */
static void jump(void)
{
    uint64_t deadlines[SEAM_MAX_THREADS];
    uint64_t next_us = UINT64_MAX;

    check_sleepers();
    const char *wrong = scheduler.check_idle != NULL ? scheduler.check_idle() : NULL;
    if (wrong != NULL) {
        scheduler_fail(wrong);
    }
    for (unsigned n = list_deadlines(UINT64_MAX - 1, deadlines); n > 0; n--) {
        next_us = deadlines[n - 1] < next_us ? deadlines[n - 1] : next_us;
    }
    if (next_us == UINT64_MAX) {
        scheduler_fail("DEADLOCK: nobody can go on");
    }
    scheduler.idle_us += next_us - scheduler.now_us;
    if (scheduler.idle_us > MAX_IDLE_US) {
        scheduler_fail("LOST WAKE-UP: nothing happens but that time passes");
    }
    scheduler.now_us = next_us;
}

/* --- steps ------------------------------------------------------------------------------------ */

static struct seam_thread *choose(void)
{
    struct seam_thread *list[SEAM_MAX_THREADS];
    unsigned n;

    if (scheduler.steps > MAX_STEPS) {
        scheduler_fail("LIVELOCK: too many steps");
    }
    creep();
    while ((n = list_candidates(list)) == 0) {
        jump();
    }
    return choice_make(&scheduler.choice, scheduler.steps, list, n);
}

/* Lets the next one go on; `self` has noted what it is at, and whether it is asleep. */
static void step(struct seam_thread *self)
{
    trace(self);
    struct seam_thread *next = choose();
    bool ended = self->op == SEAM_END; /* then it may be gone soon */
    next->asleep = false;
    if (next == self) {
        return;
    }
    (void)sem_post(&next->baton);
    while (!ended && sem_wait(&self->baton) != 0) { /* interrupted */
    }
}

void scheduler_point(enum seam_op op, const void *object)
{
    seam_note(op, object);
    step(seam_self());
    seam_note(SEAM_RUN, NULL);
}

/* Sleeps until what was noted has come, or the deadline. */
static void sleep_until(enum seam_op op, const void *object, uint64_t deadline_us)
{
    struct seam_thread *self = seam_self();

    seam_note(op, object);
    self->deadline_us = deadline_us;
    self->asleep = true;
    step(self);
    self->deadline_us = UINT64_MAX;
    seam_note(SEAM_RUN, NULL);
}

static uint64_t until(uint64_t timeout_us)
{
    return timeout_us < UINT64_MAX - scheduler.now_us ? scheduler.now_us + timeout_us : UINT64_MAX;
}

void scheduler_sleep(uint64_t us)
{
    sleep_until(SEAM_SLEEP, NULL, until(us));
}

/* --- locks ------------------------------------------------------------------------------------ */

/* The lock is the real one, so that its owner is known after a fork, too. */
int scheduler_lock(pthread_mutex_t *mutex)
{
    scheduler_point(SEAM_LOCK, mutex);
    while (__real_pthread_mutex_trylock(mutex) != 0) {
        sleep_until(SEAM_LOCK, mutex, UINT64_MAX);
    }
    return 0;
}

int scheduler_unlock(pthread_mutex_t *mutex)
{
    int error = __real_pthread_mutex_unlock(mutex);

    scheduler_point(SEAM_UNLOCK, mutex);
    return error;
}

/* --- sleeping and waking ---------------------------------------------------------------------- */

long scheduler_wait(const _Atomic uint32_t *futex, uint32_t value, uint64_t timeout_us)
{
    uint64_t deadline_us = until(timeout_us);

    scheduler_point(SEAM_WAIT, futex); /* between the look of the caller and that of the system */
    if (atomic_load(futex) != value) {
        errno = EAGAIN;
        return -1;
    }
    sleep_until(SEAM_WAIT, futex, deadline_us);
    return 0;
}

long scheduler_wake(const void *futex)
{
    scheduler_point(SEAM_WAKE, futex);
    for (unsigned i = 0; i < seam_num_threads(); i++) {
        struct seam_thread *thread = seam_thread(i);
        if (thread->op == SEAM_WAIT && thread->asleep && thread->object == futex) {
            thread->asleep = false;
            return 1;
        }
    }
    return 0;
}

static void poll_until(enum seam_op op, struct pollfd *fds, nfds_t n, uint64_t timeout_us)
{
    struct seam_thread *self = seam_self();

    self->fds = fds;
    self->n_fds = n;
    sleep_until(op, NULL, until(timeout_us));
}

int scheduler_poll(struct pollfd *fds, nfds_t n, uint64_t timeout_us)
{
    static const struct timespec at_once;

    poll_until(SEAM_POLL, fds, n, timeout_us);
    return __real_ppoll(fds, n, &at_once, NULL);
}

int scheduler_epoll(int epoll_fd, struct epoll_event *events, int max, uint64_t timeout_us)
{
    struct pollfd fd = {.fd = epoll_fd, .events = POLLIN};

    poll_until(SEAM_EPOLL, &fd, 1, timeout_us);
    return __real_epoll_wait(epoll_fd, events, max, 0);
}

/* --- threads ---------------------------------------------------------------------------------- */

static void thread_init(struct seam_thread *thread)
{
    (void)sem_init(&thread->baton, 0, 0);
    thread->asleep = false;
    choice_add(&scheduler.choice, thread);
}

void scheduler_thread_add(struct seam_thread *thread)
{
    thread_init(thread);
}

void scheduler_thread_begin(struct seam_thread *thread)
{
    while (sem_wait(&thread->baton) != 0) {
    }
}

void scheduler_thread_end(struct seam_thread *thread)
{
    step(thread);
}

void scheduler_join(const struct seam_thread *thread)
{
    while (thread->op != SEAM_END) {
        sleep_until(SEAM_JOIN, thread, UINT64_MAX);
    }
}

/* In a child of fork(2) nobody else exists. */
static void forked(void)
{
    for (unsigned i = 0; i < seam_num_threads(); i++) {
        if (seam_thread(i) != seam_self()) {
            seam_thread(i)->op = SEAM_END;
        }
    }
}

/* --- a run ------------------------------------------------------------------------------------ */

static void choose_pace(void)
{
    static const uint32_t creep_us[] = {1, 1, 10, 100};
    static const uint32_t jumps[] = {0, 2, 20};

    scheduler.creep_us = creep_us[rng_below(&scheduler.rng, 4)];
    scheduler.jump_per_thousand = jumps[rng_below(&scheduler.rng, 3)];
}

/* Time does not go back between two runs, and each begins at a full second. */
static uint64_t next_beginning(void)
{
    const uint64_t second_us = 1000000;

    return (scheduler.now_us / second_us + 1000) * second_us;
}

void scheduler_begin(uint64_t seed, const char *(*check_idle)(void))
{
    static bool prepared;

    if (!prepared) { /* before the library does: the child is told in this order */
        prepared = pthread_atfork(NULL, NULL, forked) == 0;
    }
    rng_seed(&scheduler.rng, seed);
    scheduler.now_us = scheduler.begun_us = next_beginning();
    scheduler.idle_us = 0;
    scheduler.steps = 0;
    scheduler.hash = 0;
    scheduler.check_idle = check_idle;
    choice_init(&scheduler.choice, &scheduler.rng);
    choose_pace();
    scheduler.sys = smux__sys;
    smux__sys.clock_gettime = virtual_clock;
    smux__sys.getrandom = virtual_random;
    seam_begin(SEAM_SCHEDULED);
    thread_init(seam_self());
}

uint64_t scheduler_end(void)
{
    for (unsigned i = 0; i < seam_num_threads(); i++) {
        (void)sem_destroy(&seam_thread(i)->baton);
    }
    seam_end();
    smux__sys = scheduler.sys;
    return scheduler.hash;
}

uint64_t scheduler_steps(void)
{
    return scheduler.steps;
}
