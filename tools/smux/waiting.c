#define _GNU_SOURCE 1

#include "waiting.h"

#include <stdlib.h>

struct waiter {
    struct waiter *next;
    uint64_t deadline_ms;
    int fd;
};

static void on_timer(uv_timer_t *timer);

/* The timer follows the first waiter. */
static void arm(struct waiting *waiting)
{
    uint64_t now = uv_now(waiting->timer.loop);

    if (waiting->first == NULL) {
        uv_timer_stop(&waiting->timer);
    } else {
        uint64_t deadline = waiting->first->deadline_ms;
        uv_timer_start(&waiting->timer, on_timer, deadline > now ? deadline - now : 0, 0);
    }
}

static void expire_first(struct waiting *waiting)
{
    int fd = waiting->first->fd;

    waiting_pop(waiting);
    waiting->expired(waiting->owner, fd);
}

static void on_timer(uv_timer_t *timer)
{
    struct waiting *waiting = timer->data;

    while (waiting->first != NULL && waiting->first->deadline_ms <= uv_now(timer->loop)) {
        expire_first(waiting);
    }
}

void waiting_init(struct waiting *waiting, uv_loop_t *loop, uint32_t timeout_ms,
                  void (*expired)(void *owner, int fd), void *owner)
{
    uv_timer_init(loop, &waiting->timer);
    waiting->timer.data = waiting;
    waiting->timeout_ms = timeout_ms;
    waiting->expired = expired;
    waiting->owner = owner;
    waiting->n = 0;
    waiting->first = NULL;
    waiting->end = &waiting->first;
}

bool waiting_push(struct waiting *waiting, int fd)
{
    struct waiter *waiter = malloc(sizeof(*waiter));

    if (waiter == NULL) {
        return false;
    }
    *waiter = (struct waiter){NULL, uv_now(waiting->timer.loop) + waiting->timeout_ms, fd};
    *waiting->end = waiter;
    waiting->end = &waiter->next;
    waiting->n++;
    if (waiting->first == waiter) {
        arm(waiting);
    }
    return true;
}

bool waiting_peek(const struct waiting *waiting, int *out_fd)
{
    if (waiting->first == NULL) {
        return false;
    }
    *out_fd = waiting->first->fd;
    return true;
}

void waiting_pop(struct waiting *waiting)
{
    struct waiter *waiter = waiting->first;

    waiting->n--;
    waiting->first = waiter->next;
    if (waiting->first == NULL) {
        waiting->end = &waiting->first;
    }
    free(waiter);
    arm(waiting);
}

void waiting_expire_all(struct waiting *waiting)
{
    while (waiting->first != NULL) {
        expire_first(waiting);
    }
}

void waiting_close(struct waiting *waiting)
{
    uv_close((uv_handle_t *)&waiting->timer, NULL);
}
