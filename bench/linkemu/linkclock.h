/*
 * linkclock.h - the time of one direction of the link, which stands still while it is frozen.
 *
 * Everything on the link is timed by this clock. So a freeze moves all that is under way by its
 * length: nothing is delivered meanwhile, and afterwards bytes arrive at the rate of the link, not
 * in one burst.
 */
#ifndef LINKEMU_LINKCLOCK_H
#define LINKEMU_LINKCLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

#define NEVER UINT64_MAX

struct linkclock {
    const struct direction_options *options;
    uint64_t start_ns; /* first connection, in real time; NEVER: none yet */
    uint64_t lost_ns;  /* frozen time so far */
    uint64_t thaw_ns;  /* end of the freeze that is on, in real time; 0: none; NEVER: not known */
    uint64_t held_ns;  /* since when it is held by an order; 0: it is not */
    uint64_t was_held_ns; /* how long it was held before */
    uint64_t now_ns;      /* the time of the link */
};

void linkclock_init(struct linkclock *clock, const struct direction_options *options);

/* Stops the clock, or lets it go on. Doing so twice is doing it once. */
void linkclock_hold(struct linkclock *clock, bool held, uint64_t real_ns);

/* Sets the clock to a real time, which never goes back. */
void linkclock_set(struct linkclock *clock, uint64_t real_ns);

/* Returns when, in real time, the clock will show `link_ns`, or a time before that at which to
 * ask again. */
uint64_t linkclock_real(const struct linkclock *clock, uint64_t link_ns);

#endif
