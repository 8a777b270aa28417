/*
 * scheduler.h - threads one at a time: at each lock, unlock, wait, wake and poll a seed decides who
 * goes on. The same seed gives the same run.
 *
 * Time is virtual. It creeps with every step, jumps to the next deadline when nobody can go on, and
 * now and then to one that is near although others could: as if they had been held up so long.
 *
 * Whose turn it is: choice.h.
 *
 * Nobody can go on and there is no deadline: a deadlock. A sleeper whose event is set, or whom the
 * checker of the tests (scheduler_begin()) finds to have slept too long: a lost wake-up. More steps
 * than anything needs, or more idle time: nobody gets anywhere. Each ends the program with a
 * report of all threads and of the last steps.
 */
#ifndef SCHEDULES_SCHEDULER_H
#define SCHEDULES_SCHEDULER_H

#include "seam.h"

#include <sys/epoll.h>

/** Begins a run with the calling thread. `check_idle` is called whenever nobody can go on before
 *  the clock does; what it returns, unless NULL, is what is wrong. */
void scheduler_begin(uint64_t seed, const char *(*check_idle)(void));

/** Ends it and returns a hash of all decisions. All other threads must have ended. */
uint64_t scheduler_end(void);

/** Steps so far. */
uint64_t scheduler_steps(void);

/* For the seam. */

void scheduler_thread_add(struct seam_thread *thread);
void scheduler_thread_begin(struct seam_thread *thread);
void scheduler_thread_end(struct seam_thread *thread);

/** Somebody else may be next. */
void scheduler_point(enum seam_op op, const void *object);

void scheduler_join(const struct seam_thread *thread);
int scheduler_lock(pthread_mutex_t *mutex);
int scheduler_unlock(pthread_mutex_t *mutex);
void scheduler_sleep(uint64_t us);

/* As the system calls, with a timeout in microseconds; UINT64_MAX for none. */
long scheduler_wait(const _Atomic uint32_t *futex, uint32_t value, uint64_t timeout_us);
long scheduler_wake(const void *futex);
int scheduler_poll(struct pollfd *fds, nfds_t n, uint64_t timeout_us);
int scheduler_epoll(int epoll_fd, struct epoll_event *events, int max, uint64_t timeout_us);

#endif
