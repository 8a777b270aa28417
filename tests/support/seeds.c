#include "seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "guard.h"
#include "suite.h"

/* What a batch is at; the program sees it also when the batch runs in a process of its own. */
struct progress {
    uint64_t seed;
    bool running;
};

static struct progress *progress;
static int num_batches;
static uint64_t num_seeds;
static uint64_t first_seed;
static pid_t program;

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void tell_failed_seeds(void)
{
    for (int i = 0; getpid() == program && i < num_batches; i++) {
        if (progress[i].running) {
            fprintf(stderr, "failed: SEED=%llu\n", (unsigned long long)progress[i].seed);
        }
    }
}

void seeds_init(int batches, int default_seeds)
{
    num_seeds = from_environment("SEEDS", (uint64_t)suite_rounds(default_seeds));
    program = getpid(); /* a batch in a process of its own leaves the telling to it */
    first_seed = from_environment("FROM", 0);
    progress = guard_shared((size_t)batches * sizeof(progress[0]));
    if (progress == NULL) {
        abort();
    }
    num_batches = batches;
    atexit(tell_failed_seeds);
}

bool seeds_single(uint64_t *out_seed)
{
    *out_seed = from_environment("SEED", 0);
    return getenv("SEED") != NULL;
}

uint64_t seeds_total(void)
{
    return num_seeds;
}

void seeds_run(int batch, void (*run)(uint64_t seed))
{
    uint64_t from = num_seeds * (uint64_t)batch / (uint64_t)num_batches;
    uint64_t to = num_seeds * ((uint64_t)batch + 1) / (uint64_t)num_batches;

    for (uint64_t seed = first_seed + from; seed < first_seed + to; seed++) {
        progress[batch].seed = seed;
        progress[batch].running = true;
        run(seed);
        progress[batch].running = false;
    }
}

void seeds_expect_same_traces(seeds_traced run)
{
    uint64_t first, second;

    for (uint64_t seed = 0; seed < num_seeds / 100 + 1; seed++) {
        (void)run(seed, &first);
        (void)run(seed, &second);
        ck_assert_msg(first == second, "SEED=%llu: two runs differ", (unsigned long long)seed);
    }
}

void seeds_expect_intray(seeds_traced run)
{
    const unsigned seeds = 300;
    unsigned n = 0;
    uint64_t hash;

    for (uint64_t seed = 0; seed < seeds; seed++) {
        n += run(seed, &hash);
    }
    ck_assert_uint_ge(n, seeds / 3);
}
