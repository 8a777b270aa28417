/*
 * test_random.c - the simulation: tens of thousands of random sessions between two engines,
 * each from a seed (support/sim.h says what is drawn and what is checked).
 *
 *   SEED=n    run this seed alone
 *   SEEDS=n   run so many seeds, from FROM=n on; scripts/simulate does so in several processes
 *
 * ctest-timeout: 900
 */
#include "support/seeds.h"
#include "support/sim.h"
#include "support/suite.h"

#define DEFAULT_SEEDS 30000
#define BATCHES       30

static void run(uint64_t seed)
{
    uint64_t hash;

    sim_run(seed, &hash);
}

START_TEST(random_sessions_keep_the_invariants)
{
    seeds_run(_i, run);
}
END_TEST

START_TEST(I15_same_seed_same_trace)
{
    uint64_t seeds = seeds_total() / 100 + 1;
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
    uint64_t seed;

    seeds_single(&seed);
    run(seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random sessions");
    TCase *tc = tcase_create("random sessions");
    uint64_t seed;

    tcase_set_timeout(tc, 600);
    seeds_init(BATCHES, DEFAULT_SEEDS);
    if (seeds_single(&seed)) {
        tcase_add_test(tc, one_seed);
    } else {
        tcase_add_loop_test(tc, random_sessions_keep_the_invariants, 0, BATCHES);
        tcase_add_test(tc, I15_same_seed_same_trace);
    }
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
