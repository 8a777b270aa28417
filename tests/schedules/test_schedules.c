/*
 * The scenarios under the scheduler: one thread at a time, in an order that the seed decides. See
 * runs.h for long runs.
 *
 * ctest-timeout: 120
 */
#define _GNU_SOURCE 1

#include "runs.h"
#include "scheduler.h"

#include "idle.h"

#include <check.h>

#define SEEDS       30
#define TWICE_EVERY 16 /* seeds that are run again, to see that nothing else decides */

static uint64_t run_once(void (*scenario)(struct rng *rng), uint64_t seed)
{
    struct rng rng;

    rng_seed(&rng, rng_mix(seed));
    scheduler_begin(seed, idle_check);
    scenario(&rng);
    return scheduler_end();
}

static uint64_t run(void (*scenario)(struct rng *rng), uint64_t seed)
{
    uint64_t hash = run_once(scenario, seed);

    if (seed % TWICE_EVERY == 0) {
        ck_assert_uint_eq(run_once(scenario, seed), hash);
    }
    return scheduler_steps();
}

int main(void)
{
    return runs_main("test_schedules", run, SEEDS, 0);
}
