#define _GNU_SOURCE 1

#include "runs.h"

#include "scenarios.h"

#include "guard.h"
#include "suite.h"

#include <smux/transport.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct scenario {
    const char *name;
    void (*run)(struct rng *rng);
};

static const struct scenario scenarios[] = {
#define SCENARIO_ENTRY(name) {#name, (name)},
    SCENARIO_MAP(SCENARIO_ENTRY)
#undef SCENARIO_ENTRY
};

#define NUM_SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* What a scenario is at; the program sees it although the test runs in a process of its own. */
struct progress {
    uint64_t seed;
    uint64_t n_runs;
    uint64_t n_steps;
    bool running;
};

static struct {
    runs_function *run;
    struct progress *progress;
    uint64_t first_seed;
    uint64_t n_seeds;
    uint64_t most_us; /* of each scenario */
    bool long_run;    /* SMUX_STRESS_SECONDS */
} runs;

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static bool is_chosen(const struct scenario *scenario)
{
    const char *chosen = getenv("SCENARIO");
    size_t len = chosen != NULL ? strlen(chosen) : 0;

    return strncmp(scenario->name, chosen != NULL ? chosen : "", len) == 0 &&
           (len == 0 || scenario->name[len] == '_' || scenario->name[len] == '\0');
}

/* The share of a scenario in a number of seconds. */
static uint64_t share_us(uint64_t seconds)
{
    return seconds * 1000000 / (getenv("SCENARIO") != NULL ? 1 : NUM_SCENARIOS);
}

static void choose_seeds(int seeds, unsigned seconds)
{
    uint64_t long_run_s = from_environment("SMUX_STRESS_SECONDS", 0);

    runs.n_seeds = from_environment("SEEDS", (uint64_t)suite_rounds(seeds));
    runs.most_us = seconds > 0 && getenv("SEEDS") == NULL ? share_us(seconds) : UINT64_MAX;
    if (getenv("SEED") != NULL) {
        runs.first_seed = from_environment("SEED", 0);
        runs.n_seeds = 1;
    } else if (long_run_s > 0) {
        runs.long_run = true;
        runs.first_seed = (uint64_t)time(NULL) * 1000000;
        runs.n_seeds = UINT64_MAX;
        runs.most_us = share_us(long_run_s);
    }
}

static void run_scenario(size_t number)
{
    struct progress *progress = &runs.progress[number];
    uint64_t begun_us = smux_now_us();

    for (uint64_t n = 0; n < runs.n_seeds; n++) {
        progress->seed = runs.first_seed + n;
        progress->running = true;
        progress->n_steps += runs.run(scenarios[number].run, progress->seed);
        progress->running = false;
        progress->n_runs++;
        if (smux_now_us() - begun_us >= runs.most_us) {
            break;
        }
    }
}

START_TEST(scenario_keeps_every_promise)
{
    run_scenario((size_t)_i);
}
END_TEST

static void tell(const char *program)
{
    uint64_t n_runs = 0, n_steps = 0;

    for (size_t i = 0; i < NUM_SCENARIOS; i++) {
        const struct progress *progress = &runs.progress[i];
        n_runs += progress->n_runs;
        n_steps += progress->n_steps;
        if (runs.long_run && progress->n_runs > 0) {
            printf("%-46s %8llu runs\n", scenarios[i].name, (unsigned long long)progress->n_runs);
        }
        if (progress->running) {
            printf("failed; to repeat: SCENARIO=%s SEED=%llu %s\n", scenarios[i].name,
                   (unsigned long long)progress->seed, program);
        }
    }
    printf("%llu runs, %llu steps\n", (unsigned long long)n_runs, (unsigned long long)n_steps);
}

int runs_main(const char *name, runs_function *run, int seeds, unsigned seconds)
{
    Suite *suite = suite_create(name);

    (void)signal(SIGPIPE, SIG_IGN); /* of pipes; see smux_transport_fd() */
    runs.run = run;
    runs.progress = guard_shared(NUM_SCENARIOS * sizeof(runs.progress[0]));
    choose_seeds(seeds, seconds);
    for (int i = 0; i < (int)NUM_SCENARIOS; i++) {
        if (is_chosen(&scenarios[i])) {
            TCase *tcase = tcase_create(scenarios[i].name);
            tcase_set_timeout(tcase, 60 + (runs.long_run ? (double)runs.most_us / 1e6 : 0));
            tcase_add_loop_test(tcase, scenario_keeps_every_promise, i, i + 1);
            suite_add_tcase(suite, tcase);
        }
    }
    int status = suite_main(suite);
    tell(name);
    return status;
}
