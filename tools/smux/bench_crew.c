#include "bench_crew.h"

#include <stdlib.h>

#define BACKGROUND_SIZE (128u * 1024)

static uint32_t n_measured(const struct bench_test *test)
{
    bool twice = test->mode->work == WORK_FLOW && test->settings->bidir;

    return twice ? 2 * test->streams : test->streams;
}

static uint32_t n_background(const struct bench_test *test)
{
    return test->settings->bidir ? 2 * test->mode->background : test->mode->background;
}

uint32_t crew_channels(const struct bench_test *test)
{
    return n_measured(test) + n_background(test);
}

/* With --bidir every other worker of a flow goes the other way. */
static void init_flow(struct worker *worker, const struct bench_test *test, uint32_t index)
{
    bool reads = test->settings->bidir ? index % 2 == 1 : test->settings->reverse;

    worker->work = reads ? work_read : work_write;
    worker->service = reads ? BENCH_SOURCE : BENCH_SINK;
}

/* With a fixed rate the workers take turns. */
static bool init_ping(struct worker *worker, const struct bench_test *test, uint32_t index)
{
    uint32_t rate = test->settings->rate;

    worker->work = work_ping;
    worker->service = BENCH_ECHO;
    if (rate > 0) {
        worker->pace_ns = UINT64_C(1000000000) * test->streams / rate;
        worker->begin_ns = UINT64_C(1000000000) * index / rate;
    }
    worker->latency = histogram_new();
    return worker->latency != NULL;
}

static bool init_measured(struct worker *worker, const struct bench_test *test, uint32_t index)
{
    worker->size = test->size;
    switch (test->mode->work) {
    case WORK_FLOW:
        init_flow(worker, test, index);
        break;
    case WORK_PING:
        return init_ping(worker, test, index);
    case WORK_TURNS:
        worker->work = work_turns;
        worker->count = test->streams;
        break;
    case WORK_CHURN:
        worker->work = work_churn;
        break;
    case WORK_HOLD:
        worker->work = work_hold;
        worker->count = test->streams;
        break;
    }
    return true;
}

static void init_background(struct worker *worker, const struct bench_test *test, uint32_t index)
{
    worker->background = true;
    worker->size = BACKGROUND_SIZE;
    init_flow(worker, test, index);
}

/* Lets the first worker do what all of them were to do. */
static void gather(struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++) {
        crew->workers[i].work = i == 0 ? work_loop : NULL;
    }
}

bool crew_init(struct crew *crew, const struct bench_test *test, struct carrier *carrier,
               uint32_t limit_ms)
{
    bool alone = test->mode->work == WORK_HOLD || test->mode->work == WORK_TURNS;
    uint32_t measured = alone ? 1 : n_measured(test);
    bool ok = true;

    *crew = (struct crew){.carrier = carrier, .limit_ms = limit_ms};
    crew->n = measured + n_background(test);
    crew->workers = calloc(crew->n, sizeof(*crew->workers));
    if (crew->workers == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < crew->n; i++) {
        crew->workers[i].crew = crew;
        if (i < measured) {
            ok = init_measured(&crew->workers[i], test, i) && ok;
        } else {
            init_background(&crew->workers[i], test, i - measured);
        }
    }
    if (test->settings->loop) {
        gather(crew);
    }
    return ok;
}

void crew_deinit(struct crew *crew)
{
    for (size_t i = 0; i < crew->n && crew->workers != NULL; i++) {
        free(crew->workers[i].latency);
    }
    free(crew->workers);
}
