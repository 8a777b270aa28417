/*
 * workers.h - threads: one for a call, several for a range of numbers, a group to wait for.
 */
#ifndef INTEROP_WORKERS_H
#define INTEROP_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/** Starts a thread with a small stack; ends the process when there is none. */
pthread_t worker_start(void *(*run)(void *arg), void *arg);

/** Calls `each` for 0..n-1, at most `parallel` calls at a time, and waits for all. */
void workers_each(uint32_t n, uint32_t parallel, void (*each)(void *arg, uint32_t i), void *arg);

/** Counts things that run. */
struct group {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    uint32_t running;
};

void group_init(struct group *group);
void group_add(struct group *group);
void group_done(struct group *group);

/** Waits until nothing runs, at most `timeout_ms`; tells whether that came true. */
bool group_wait(struct group *group, uint32_t timeout_ms);

/** Releases a group on which nothing runs. */
void group_deinit(struct group *group);

/** Sleeps. */
void sleep_ms(uint32_t ms);

#endif
