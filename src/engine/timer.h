/*
 * timer.h - timers of equal duration in a list.
 *
 * Timers of one kind run equally long, so that the place of a new one is at the end of the sorted
 * list and every operation is O(1). For the kind of which that is only nearly true, the place is
 * looked for a few steps from the end; a timer whose place is further away expires later than it
 * should, together with the one at which the search ended. A node is in at most one list.
 */
#ifndef SMUX__TIMER_H
#define SMUX__TIMER_H

#include <smux/base.h>

#define SMUX__TIMER_STEPS 16

struct smux__timer {
    struct smux__timer *prev, *next; /* NULL when it does not run */
    uint64_t deadline_us;
};

struct smux__timer_list {
    struct smux__timer head; /* head.next is the first to expire */
};

static inline void smux__timer_list_init(struct smux__timer_list *list)
{
    list->head.prev = &list->head;
    list->head.next = &list->head;
    list->head.deadline_us = SMUX_NEVER;
}

static inline bool smux__timer_running(const struct smux__timer *timer)
{
    return timer->next != NULL;
}

static inline void smux__timer_start(struct smux__timer_list *list, struct smux__timer *timer,
                                     uint64_t deadline_us)
{
    struct smux__timer *prev = list->head.prev;

    for (int i = 0; prev != &list->head && prev->deadline_us > deadline_us; i++) {
        if (i == SMUX__TIMER_STEPS) {
            deadline_us = prev->deadline_us;
            break;
        }
        prev = prev->prev;
    }
    timer->deadline_us = deadline_us;
    timer->prev = prev;
    timer->next = prev->next;
    prev->next->prev = timer;
    prev->next = timer;
}

static inline void smux__timer_stop(struct smux__timer *timer)
{
    if (smux__timer_running(timer)) {
        timer->prev->next = timer->next;
        timer->next->prev = timer->prev;
        timer->next = NULL;
        timer->prev = NULL;
    }
}

/* When the first timer expires; SMUX_NEVER for an empty list. */
static inline uint64_t smux__timer_list_deadline(const struct smux__timer_list *list)
{
    return list->head.next->deadline_us;
}

/* The first timer to expire, or NULL. */
static inline struct smux__timer *smux__timer_list_first(const struct smux__timer_list *list)
{
    return list->head.next != &list->head ? list->head.next : NULL;
}

/* The first timer if it is due, or NULL. */
static inline struct smux__timer *smux__timer_list_due(const struct smux__timer_list *list,
                                                       uint64_t now_us)
{
    struct smux__timer *first = smux__timer_list_first(list);

    return first != NULL && first->deadline_us <= now_us ? first : NULL;
}

#endif
