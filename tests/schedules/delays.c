#define _GNU_SOURCE 1

#include "delays.h"

#include "rng.h"
#include "seam.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
    uint64_t seed;
    uint32_t per_thousand; /* calls that are held up */
    uint32_t longest_us;
    unsigned limit_s;
    pthread_t watchdog;
    sem_t over;
} delays;

/* Of the calling thread: sharing it would put the threads into an order. */
static _Thread_local struct {
    uint64_t seed; /* of the run */
    struct rng rng;
} mine;

static void *watch(void *arg)
{
    struct timespec until;

    (void)arg;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)delays.limit_s;
    while (sem_timedwait(&delays.over, &until) != 0) {
        if (errno == ETIMEDOUT) {
            fprintf(stderr, "not done within %u s: a deadlock or a lost wake-up\n", delays.limit_s);
            seam_report();
            abort();
        }
    }
    return NULL;
}

void delays_begin(uint64_t seed, unsigned limit_s)
{
    static const uint32_t per_thousand[] = {0, 5, 30, 100};
    struct rng rng;

    rng_seed(&rng, seed);
    delays.seed = seed;
    delays.per_thousand = per_thousand[rng_below(&rng, 4)];
    delays.longest_us = rng_log(&rng, 5, 300);
    delays.limit_s = limit_s;
    (void)sem_init(&delays.over, 0, 0);
    if (__real_pthread_create(&delays.watchdog, NULL, watch, NULL) != 0) {
        abort();
    }
    seam_begin(SEAM_DELAYS);
}

void delays_end(void)
{
    seam_end();
    (void)sem_post(&delays.over);
    (void)__real_pthread_join(delays.watchdog, NULL);
    (void)sem_destroy(&delays.over);
}

void delays_pause(void)
{
    if (mine.seed != delays.seed) {
        mine.seed = delays.seed;
        rng_seed(&mine.rng, rng_mix(delays.seed) + seam_self()->number);
    }
    if (rng_below(&mine.rng, 1000) >= delays.per_thousand) {
        return;
    }
    int error = errno;
    if (rng_chance(&mine.rng, 50)) {
        (void)sched_yield();
    } else {
        struct timespec time = {.tv_nsec =
                                    (long)rng_between(&mine.rng, 1, delays.longest_us) * 1000};
        (void)__real_nanosleep(&time, NULL);
    }
    errno = error;
}
