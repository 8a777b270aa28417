/*
 * test_random.c - the simulation: tens of thousands of random sessions between two engines,
 * each from a seed (support/sim.h says what is drawn and what is checked).
 *
 *   SEED=n    run this seed alone
 *   SEEDS=n   run so many seeds, from FROM=n on; scripts/simulate does so in several processes
 *
 * ctest-timeout: 900
 */
#include "support/audit.h"
#include "support/must.h"
#include "support/rng.h"
#include "support/seeds.h"
#include "support/sim.h"
#include "support/suite.h"

#define DEFAULT_SEEDS 30000
#define BATCHES       30

static void run(uint64_t seed)
{
    uint64_t hash;

    (void)sim_run(seed, &hash);
}

START_TEST(random_sessions_keep_the_invariants)
{
    seeds_run(_i, run);
}
END_TEST

/* --- I14 ----------------------------------------------------------------------------------- */

#define FAIR_STREAMS 10
#define FAIR_LOAN    (4u << 20)
#define WARM_UP      200000
#define LONG_TURN    131072 /* the longest (engine.h) */

/* Streams of one class and weight, each with more to send than is looked at. */
struct fair {
    smux_engine *engine;
    smux_estream *streams[FAIR_STREAMS];
    struct audit audit;
    uint64_t before[FAIR_STREAMS]; /* bytes sent until it was known what the transport takes */
    unsigned n;
    uint64_t total;
};

static void fair_start(struct fair *f, struct rng *rng, uint32_t frame)
{
    static const uint8_t zeros[FAIR_LOAN];
    struct smux_config config;

    smux_config_init(&config);
    config.max_frame_size = frame;
    must(smux_engine_new(SMUX_CLIENT, &config, 0, 0, &f->engine) == SMUX_OK, "no engine");
    audit_init(&f->audit, SMUX_CLIENT, 1, 0);
    f->n = rng_between(rng, 2, FAIR_STREAMS);
    for (unsigned i = 0; i < f->n; i++) {
        must(smux_engine_open(f->engine, &f->streams[i]) == SMUX_OK, "no stream");
        must(smux_estream_lend(f->engine, f->streams[i], zeros, FAIR_LOAN) == SMUX_OK, "no loan");
    }
}

/* Lets the transport take up to `most` bytes. */
static void fair_take(struct fair *f, size_t most)
{
    struct smux_iov iov[64];
    int n = smux_engine_send_iov(f->engine, iov, 64, 0);
    size_t done = 0;

    for (int i = 0; i < n && done < most; i++) {
        size_t part = iov[i].len < most - done ? iov[i].len : most - done;
        const char *fault = audit_out(&f->audit, iov[i].base, part, 0);

        must(fault == NULL, "I10: %s", fault);
        done += part;
    }
    must(done > 0, "nothing to send");
    smux_engine_send_commit(f->engine, done, 0);
    f->total += done;
}

static uint64_t fair_sent(struct fair *f, unsigned i)
{
    return audit_stream(&f->audit, smux_estream_id(f->streams[i]))->sent - f->before[i];
}

static void fair_check(struct fair *f, uint64_t bound)
{
    uint64_t least = UINT64_MAX, most = 0;

    for (unsigned i = 0; i < f->n; i++) {
        uint64_t sent = fair_sent(f, i);

        least = sent < least ? sent : least;
        most = sent > most ? sent : most;
    }
    must(most - least <= bound,
         "I14: one of %u streams has sent %llu bytes, another %llu, %llu allowed", f->n,
         (unsigned long long)most, (unsigned long long)least, (unsigned long long)bound);
}

static void run_fair(uint64_t seed)
{
    struct fair f = {0};
    struct rng rng;
    uint32_t frame, take;

    rng_seed(&rng, seed);
    frame = rng_log(&rng, 1, 65535);
    take = rng_log(&rng, 100, 65536);
    fair_start(&f, &rng, frame);
    while (f.total < WARM_UP) {
        fair_take(&f, rng_log(&rng, 1, take));
    }
    for (unsigned i = 0; i < f.n; i++) {
        f.before[i] = fair_sent(&f, i);
    }
    while (f.total < WARM_UP + FAIR_LOAN / 2 && f.audit.frames_out < 50000) {
        fair_take(&f, rng_log(&rng, 1, take));
        fair_check(&f, LONG_TURN + LONG_TURN / 4 + 2 * (uint64_t)frame);
    }
    smux_engine_free(f.engine);
    audit_free(&f.audit);
}

START_TEST(I14_backlogged_streams_of_equal_weight_share_equally)
{
    uint64_t seeds = seeds_total() / 300 + 1;

    for (uint64_t seed = 0; seed < seeds; seed++) {
        run_fair(seed);
    }
}
END_TEST

START_TEST(I15_same_seed_same_trace)
{
    seeds_expect_same_traces(sim_run);
}
END_TEST

START_TEST(frames_share_the_intray_in_a_third_of_the_sessions)
{
    seeds_expect_intray(sim_run);
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
        tcase_add_test(tc, I14_backlogged_streams_of_equal_weight_share_equally);
        tcase_add_test(tc, I15_same_seed_same_trace);
        tcase_add_test(tc, frames_share_the_intray_in_a_third_of_the_sessions);
    }
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
