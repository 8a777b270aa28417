/*
 * The scenarios with real threads that are held up at random: for ThreadSanitizer. See runs.h for
 * long runs.
 *
 * ctest-timeout: 120
 * ctest-waits
 */
#define _GNU_SOURCE 1

#include "delays.h"
#include "runs.h"

#include <stdint.h>

#define SEEDS 100
#ifdef __SANITIZE_THREAD__
#define SECONDS 20
#else
#define SECONDS 7
#endif
#define LIMIT_S 20 /* far more than any run takes */

static uint64_t run(void (*scenario)(struct rng *rng), uint64_t seed)
{
    struct rng rng;

    rng_seed(&rng, rng_mix(seed));
    delays_begin(seed, LIMIT_S);
    scenario(&rng);
    delays_end();
    return 0;
}

int main(void)
{
    return runs_main("test_races", run, SEEDS, SECONDS);
}
