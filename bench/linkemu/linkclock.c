#include "linkclock.h"

void linkclock_init(struct linkclock *clock, const struct direction_options *options)
{
    *clock = (struct linkclock){.options = options, .start_ns = NEVER};
}

void linkclock_hold(struct linkclock *clock, bool held, uint64_t real_ns)
{
    if (held == (clock->held_ns != 0)) {
        return;
    }
    clock->was_held_ns += held ? 0 : real_ns - clock->held_ns;
    clock->held_ns = held ? real_ns : 0;
}

void linkclock_set(struct linkclock *clock, uint64_t real_ns)
{
    clock->lost_ns = clock->was_held_ns;
    clock->thaw_ns = 0;
    for (unsigned i = 0; clock->start_ns != NEVER && i < clock->options->n_freezes; i++) {
        const struct freeze *freeze = &clock->options->freezes[i];
        uint64_t begin = clock->start_ns + freeze->at_ns;
        uint64_t end = begin + freeze->for_ns;
        if (real_ns >= end) {
            clock->lost_ns += freeze->for_ns;
        } else if (real_ns >= begin) {
            clock->lost_ns += real_ns - begin;
            clock->thaw_ns = end;
        }
    }
    if (clock->held_ns != 0) {
        clock->lost_ns += real_ns - clock->held_ns;
        clock->thaw_ns = NEVER; /* until somebody says so */
    }
    clock->now_ns = real_ns - clock->lost_ns;
}

uint64_t linkclock_real(const struct linkclock *clock, uint64_t link_ns)
{
    if (link_ns == NEVER) {
        return NEVER;
    }
    return clock->thaw_ns != 0 ? clock->thaw_ns : link_ns + clock->lost_ns;
}
