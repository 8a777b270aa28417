/*
 * starve.h - a scenario in which each allocation fails: once, and from then on.
 */
#ifndef SUPPORT_STARVE_H
#define SUPPORT_STARVE_H

#include "suite.h"

#include <stdbool.h>

/** Plays a scenario in which the `nth` allocation fails (from 1; 0 = none), and all later ones if
 *  `on`. Checks what must hold; returns whether one has failed. */
typedef bool starve_play(const void *scenario, unsigned nth, bool on);

/** Plays it without a failure, and then with each of its allocations failing in both ways. */
static inline void starve(starve_play *play, const void *scenario, const char *name)
{
    unsigned step = 100 / (unsigned)suite_rounds(100); /* slow builds leave some out */

    (void)play(scenario, 0, false);
    for (int on = 0; on < 2; on++) {
        unsigned n = 1;
        while (play(scenario, n, on)) {
            n += step;
        }
        ck_assert_msg(n > 1, "%s allocates nothing", name);
    }
}

#endif
