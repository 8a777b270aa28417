/*
 * test_random.c - the simulation: tens of thousands of random sessions between two engines,
 * each from a seed (support/sim.h says what is drawn and what is checked).
 *
 *   SEED=n    run this seed alone
 *   SEEDS=n   run so many seeds
 *
 * ctest-timeout: 900
 */
#include "support/sim.h"
#include "support/suite.h"

#include <stdlib.h>

#define DEFAULT_SEEDS 30000
#define BATCHES       30

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

START_TEST(random_sessions_keep_the_invariants)
{
    uint64_t seeds = from_environment("SEEDS", (uint64_t)suite_rounds(DEFAULT_SEEDS));
    uint64_t from = seeds * (uint64_t)_i / BATCHES;
    uint64_t to = seeds * ((uint64_t)_i + 1) / BATCHES;
    uint64_t hash;

    for (uint64_t seed = from; seed < to; seed++) {
        sim_run(seed, &hash);
    }
}
END_TEST

START_TEST(I15_same_seed_same_trace)
{
    uint64_t seeds = from_environment("SEEDS", (uint64_t)suite_rounds(DEFAULT_SEEDS)) / 100 + 1;
    uint64_t first, second;

    for (uint64_t seed = 0; seed < seeds; seed++) {
        sim_run(seed, &first);
        sim_run(seed, &second);
        ck_assert_msg(first == second, "SEED=%llu: two runs differ", (unsigned long long)seed);
    }
}
END_TEST

START_TEST(one_seed)
{
    uint64_t hash;

    sim_run(from_environment("SEED", 0), &hash);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random sessions");
    TCase *tc = tcase_create("random sessions");

    tcase_set_timeout(tc, 600);
    if (getenv("SEED") != NULL) {
        tcase_add_test(tc, one_seed);
    } else {
        tcase_add_loop_test(tc, random_sessions_keep_the_invariants, 0, BATCHES);
        tcase_add_test(tc, I15_same_seed_same_trace);
    }
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
