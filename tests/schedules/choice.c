#define _GNU_SOURCE 1

#include "choice.h"

#define STUBBORN  5000  /* steps in a row after which a thread must let others go first */
#define PCT_STEPS 20000 /* within which the changes happen */

void choice_init(struct choice *choice, struct rng *rng)
{
    static const uint32_t stay_percent[] = {0, 50, 90};

    *choice = (struct choice){.rng = rng, .pct = rng_chance(rng, 50)};
    for (int i = 0; i < CHOICE_PCT_CHANGES; i++) {
        choice->changes[i] = rng_log(rng, 1, PCT_STEPS);
    }
    choice->stay_percent = stay_percent[rng_below(rng, 3)];
}

void choice_add(struct choice *choice, struct seam_thread *thread)
{
    thread->priority = rng_below(choice->rng, UINT32_MAX);
}

static bool is_change(const struct choice *choice, uint64_t step)
{
    for (int i = 0; i < CHOICE_PCT_CHANGES; i++) {
        if (choice->changes[i] == step) {
            return true;
        }
    }
    return false;
}

static struct seam_thread *highest(struct seam_thread **list, unsigned n)
{
    struct seam_thread *best = list[0];

    for (unsigned i = 1; i < n; i++) {
        best = list[i]->priority > best->priority ? list[i] : best;
    }
    return best;
}

static struct seam_thread *choose_pct(struct choice *choice, uint64_t step,
                                      struct seam_thread **list, unsigned n)
{
    struct seam_thread *best = highest(list, n);
    bool stubborn = best == choice->running && choice->in_a_row > STUBBORN;

    if (stubborn || is_change(choice, step)) {
        best->priority = --choice->lowest;
        best = highest(list, n);
    }
    return best;
}

static struct seam_thread *choose_random(struct choice *choice, struct seam_thread **list,
                                         unsigned n)
{
    struct seam_thread *chosen = list[rng_below(choice->rng, n)];

    if (rng_chance(choice->rng, choice->stay_percent)) {
        for (unsigned i = 0; i < n; i++) {
            chosen = list[i] == choice->running ? list[i] : chosen;
        }
    }
    return chosen;
}

struct seam_thread *choice_make(struct choice *choice, uint64_t step, struct seam_thread **list,
                                unsigned n)
{
    struct seam_thread *chosen =
        choice->pct ? choose_pct(choice, step, list, n) : choose_random(choice, list, n);

    choice->in_a_row = chosen == choice->running ? choice->in_a_row + 1 : 0;
    choice->running = chosen;
    return chosen;
}
