#include "workers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    STACK = 256 << 10
};

pthread_t worker_start(void *(*run)(void *arg), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    if (pthread_create(&thread, &attr, run, arg) != 0) {
        fprintf(stderr, "cpeer: no more threads\n");
        exit(1);
    }
    pthread_attr_destroy(&attr);
    return thread;
}

/** The numbers that workers share. */
struct range {
    atomic_uint next;
    uint32_t n;
    void (*each)(void *arg, uint32_t i);
    void *arg;
};

static void *range_work(void *arg)
{
    struct range *range = arg;
    for (uint32_t i = range->next++; i < range->n; i = range->next++) {
        range->each(range->arg, i);
    }
    return NULL;
}

void workers_each(uint32_t n, uint32_t parallel, void (*each)(void *arg, uint32_t i), void *arg)
{
    struct range range = {.n = n, .each = each, .arg = arg};
    uint32_t count = parallel < n ? parallel : n;
    if (count <= 1) {
        range_work(&range);
        return;
    }
    pthread_t *threads = calloc(count, sizeof *threads);
    if (threads == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < count; i++) {
        threads[i] = worker_start(range_work, &range);
    }
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    free(threads);
}

void group_init(struct group *group)
{
    pthread_mutex_init(&group->lock, NULL);
    pthread_cond_init(&group->idle, NULL);
    group->running = 0;
}

void group_add(struct group *group)
{
    pthread_mutex_lock(&group->lock);
    group->running++;
    pthread_mutex_unlock(&group->lock);
}

void group_done(struct group *group)
{
    pthread_mutex_lock(&group->lock);
    group->running--;
    if (group->running == 0) {
        pthread_cond_broadcast(&group->idle);
    }
    pthread_mutex_unlock(&group->lock);
}

bool group_wait(struct group *group, uint32_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    int rc = 0;
    pthread_mutex_lock(&group->lock);
    while (group->running > 0 && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&group->idle, &group->lock, &until);
    }
    bool idle = group->running == 0;
    pthread_mutex_unlock(&group->lock);
    return idle;
}

void group_deinit(struct group *group)
{
    pthread_cond_destroy(&group->idle);
    pthread_mutex_destroy(&group->lock);
}

void sleep_ms(uint32_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
