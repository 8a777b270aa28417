/*
 * Random use of two sessions by many threads, from a seed: SEED=n repeats the choices of a run,
 * though not its schedule.
 *
 * ctest-timeout: 60
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "rng.h"
#include "suite.h"
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS      6
#define STREAMS_EACH 60

static uint64_t seed;

static bool choose_config(struct smux_config *config, struct rng *rng)
{
    smux_config_init(config);
    config->version = 1 + rng_below(rng, 2);
    config->max_frame_size = rng_log(rng, 1000, 65535);
    config->max_stream_buffer = rng_log(rng, 1000, 300000);
    bool small_budget = rng_chance(rng, 50);
    config->max_receive_buffer =
        small_budget ? config->max_stream_buffer + rng_log(rng, 100000, 4000000) : 256 << 20;
    config->max_stream_send_buffer = rng_log(rng, 4096, 300000);
    config->fin_linger_ms = rng_between(rng, 1, 20);
    config->accept_guard_ms = rng_between(rng, 1, 5);
    return small_budget;
}

/* Who writes to a reader that has lost interest may have data left when the other end closes. */
static void close_end(void *arg)
{
    int status = smux_session_close(arg);

    ck_assert(status == SMUX_OK || status == SMUX_ETRUNCATED);
}

START_TEST(random_use_keeps_every_promise)
{
    struct task closer;
    struct smux_config config;
    struct rng rng;
    struct ends ends;
    static struct traffic traffic;

    seed += (uint64_t)_i * 7919;
    rng_seed(&rng, seed);
    traffic = (struct traffic){.ends = &ends,
                               .seed = seed,
                               .threads = THREADS,
                               .streams_each = STREAMS_EACH,
                               .max_len = 400000};
    traffic.small_budget = choose_config(&config, &rng);
    ends_open(&ends, (enum wire)(_i % WIRE_KINDS), &config);
    traffic_start(&traffic);
    traffic_join(&traffic);
    task_start(&closer, close_end, ends.server);
    close_end(ends.client);
    task_join(&closer);
    ck_assert_uint_gt(traffic.n_complete, THREADS * STREAMS_EACH / 2);
    ck_assert_uint_gt(traffic.n_cut, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session stress");
    TCase *tcase = tcase_create("stress");
    const char *chosen = getenv("SEED");

    seed = chosen != NULL ? strtoull(chosen, NULL, 10) : (uint64_t)time(NULL);
    printf("SEED=%llu\n", (unsigned long long)seed);
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, random_use_keeps_every_promise, 0, 8);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
