/*
 * choice.h - who goes on, of the threads that can.
 *
 *   random   any of them, with more or less inclination to stay with one
 *   PCT      each thread has a random priority, and the highest that can go on does; at two random
 *            steps that one becomes the lowest (depth 3). Finds an error that needs d - 1 changes
 *            with a known probability: Burckhardt et al., "A randomized scheduler with probabilistic
 *            guarantees of finding bugs", ASPLOS 2010
 */
#ifndef SCHEDULES_CHOICE_H
#define SCHEDULES_CHOICE_H

#include "rng.h"
#include "seam.h"

#define CHOICE_PCT_CHANGES 2

struct choice {
    struct rng *rng;
    bool pct;
    uint64_t changes[CHOICE_PCT_CHANGES]; /**< steps at which the first becomes the last */
    int64_t lowest;                       /**< priority given so far */
    uint32_t stay_percent;                /**< random: how often the running thread stays */
    struct seam_thread *running;          /**< the last choice */
    unsigned in_a_row;                    /**< how often it was the choice */
};

/** Begins a run; which way is up to the generator. */
void choice_init(struct choice *choice, struct rng *rng);

/** Gives a new thread its priority. */
void choice_add(struct choice *choice, struct seam_thread *thread);

/** Chooses one of a list that is not empty. */
struct seam_thread *choice_make(struct choice *choice, uint64_t step, struct seam_thread **list,
                                unsigned n);

#endif
