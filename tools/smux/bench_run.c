#define _GNU_SOURCE 1 /* clock_nanosleep under -std=c11 */

#include "bench_run.h"

#include <math.h>
#include <smux/transport.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "bench_crew.h"
#include "bench_interrupt.h"
#include "usage.h"

/* How often a stream is asked whether it waits for the peer's window: often enough for a share,
 * seldom enough not to be felt. */
#define PROBE_US UINT64_C(10000)
/* An interval that INT cuts shorter is left out. */
#define SHORTEST_US UINT64_C(10000)
/* A call that waits so much longer than the test takes will never end. */
#define GRACE_MS 30000u
/* From this share of the time on, the window is what limits the rate. */
#define WINDOW_LIMITED 0.5

/* The counters at one moment. */
struct sample {
    uint64_t at_us;
    uint64_t bytes;
    uint64_t operations;
    uint64_t frames;
    uint64_t probes;  /* looks at a stream so far */
    uint64_t blocked; /* of these, it waited for the window */
    struct machine_usage usage;
    double fairness; /* since the sample before */
    struct histogram latency;
};

/* A test under way. */
struct run {
    const struct bench_test *test;
    struct report *report;
    struct bench_result *result;
    struct carrier carrier;
    struct crew crew;
    uint64_t probes;
    uint64_t blocked;
    size_t next_probed;
    struct sample start; /* end of the warm-up */
    uint64_t rss_before; /* before the crew began */
    uint64_t heap_before;
};

/* --- looking at the counters --------------------------------------------------------------- */

static void sleep_until(uint64_t at_us)
{
    const struct timespec at = {.tv_sec = (time_t)(at_us / 1000000),
                                .tv_nsec = (long)(at_us % 1000000) * 1000};

    while (smux_now_us() < at_us) {
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
}

/* Asks the next writing stream whether it waits for the window. */
static void probe_window(struct run *run)
{
    struct worker *worker = &run->crew.workers[run->next_probed++ % run->crew.n];
    struct smux_stream_stats stats;

    if (worker->channel.stream != NULL && worker->work == work_write) {
        smux_stream_stats(worker->channel.stream, &stats);
        run->probes++;
        run->blocked += stats.blocked_on_window;
    } else if (run->test->settings->loop && worker->service == BENCH_SINK) {
        run->probes++;
        run->blocked += atomic_load_explicit(&worker->blocked, memory_order_relaxed);
    }
}

/* Lets the crew work, until INT at the longest. false when one of them has failed. */
static bool work_until(struct run *run, uint64_t until_us)
{
    uint64_t now_us = smux_now_us();

    while (now_us < until_us && !atomic_load(&run->crew.failed) && !interrupt_came()) {
        sleep_until(until_us - now_us > PROBE_US ? now_us + PROBE_US : until_us);
        probe_window(run);
        now_us = smux_now_us();
    }
    return !atomic_load(&run->crew.failed);
}

/* Returns what the worker has moved since it was looked at before. */
static double sample_worker(struct sample *sample, struct worker *worker)
{
    uint64_t before = worker->sampled_bytes;
    uint64_t operations;

    worker_counted(worker, &worker->sampled_bytes, &operations);
    sample->bytes += worker->sampled_bytes;
    if (!worker->background) {
        sample->operations += operations;
    }
    histogram_add(&sample->latency, worker->latency);
    return (double)(worker->sampled_bytes - before);
}

static void take_sample(struct run *run, struct sample *out)
{
    double sum = 0;
    double squares = 0;

    *out = (struct sample){
        .frames = carrier_frames(&run->carrier), .probes = run->probes, .blocked = run->blocked};
    machine_usage(&out->usage);
    out->at_us = smux_now_us();
    for (size_t i = 0; i < run->crew.n; i++) {
        double moved = sample_worker(out, &run->crew.workers[i]);
        sum += moved;
        squares += moved * moved;
    }
    out->fairness = fairness_index(sum, squares, run->crew.n);
}

/* Makes an interval of two samples; its fairness is right when there was none between them. */
static struct bench_interval between(const struct run *run, const struct sample *from,
                                     const struct sample *to)
{
    struct bench_interval interval = {
        .t0 = (double)(from->at_us - run->start.at_us) / 1e6,
        .t1 = (double)(to->at_us - run->start.at_us) / 1e6,
        .bytes = to->bytes - from->bytes,
        .operations = to->operations - from->operations,
        .frames = to->frames - from->frames,
        .fairness = to->fairness,
    };
    struct histogram latency = to->latency;

    if (to->probes > from->probes) {
        interval.blocked_s = interval_seconds(&interval) * (double)(to->blocked - from->blocked) /
                             (double)(to->probes - from->probes);
    }
    histogram_subtract(&latency, &from->latency);
    interval.p50_us = histogram_quantile_us(&latency, 0.5);
    interval.p99_us = histogram_quantile_us(&latency, 0.99);
    return interval;
}

/* --- the measured time ---------------------------------------------------------------------- */

static bool add_interval(struct run *run, const struct bench_interval *interval)
{
    struct bench_result *result = run->result;
    struct bench_interval *grown =
        realloc(result->intervals, (result->n_intervals + 1) * sizeof(*grown));

    if (grown == NULL) {
        return false;
    }
    grown[result->n_intervals++] = *interval;
    result->intervals = grown;
    report_interval(run->report, run->test, interval);
    return true;
}

static double variation(const struct bench_result *result)
{
    double n = (double)result->n_intervals;
    double sum = 0;
    double squares = 0;

    for (size_t i = 0; i < result->n_intervals; i++) {
        double rate = interval_bytes_rate(&result->intervals[i]);
        sum += rate;
        squares += rate * rate;
    }
    return sum > 0 ? sqrt(fmax(0, squares / n - sum / n * sum / n)) / (sum / n) : 0;
}

/* Fills the result with what lies between the end of the warm-up and now. */
static void conclude(struct run *run, const struct sample *end)
{
    struct bench_result *result = run->result;

    result->total = between(run, &run->start, end);
    result->usage.user_s = end->usage.user_s - run->start.usage.user_s;
    result->usage.system_s = end->usage.system_s - run->start.usage.system_s;
    result->usage.switches = end->usage.switches - run->start.usage.switches;
    result->rss_bytes = machine_rss_bytes();
    result->ends = carrier_ends(&run->carrier);
    result->cv = variation(result);
    result->window_limited =
        result->total.blocked_s > WINDOW_LIMITED * interval_seconds(&result->total);
    for (size_t i = 0; i < run->crew.n; i++) {
        const struct worker *worker = &run->crew.workers[i];
        result->stream_bytes[i] = worker->sampled_bytes - worker->start_bytes;
    }
    result->n_streams = run->crew.n;
    result->total.fairness = result_fairness(result);
    result->latency = end->latency;
    histogram_subtract(&result->latency, &run->start.latency);
}

/* Ends an interval, and begins the next at `*last`. */
static bool end_interval(struct run *run, struct sample *last)
{
    struct sample now;
    struct bench_interval interval;

    take_sample(run, &now);
    interval = between(run, last, &now);
    *last = now;
    return add_interval(run, &interval);
}

/* Tells whether what INT has left of an interval is too short to mean anything. */
static bool is_cut_off(const struct sample *last)
{
    return interrupt_came() && smux_now_us() - last->at_us < SHORTEST_US;
}

/* Reports one interval after the other until the time is over or INT comes. false when a worker
 * failed or memory ran out. */
static bool measure_intervals(struct run *run)
{
    const struct bench_settings *settings = run->test->settings;
    uint64_t end_us = run->start.at_us + settings->time_ms * UINT64_C(1000);
    struct sample last = run->start;
    bool ok = true;

    for (uint64_t at_us = run->start.at_us; ok && at_us < end_us && !interrupt_came();) {
        at_us += settings->interval_ms * UINT64_C(1000);
        at_us = at_us < end_us ? at_us : end_us;
        ok = work_until(run, at_us);
        if (ok && !is_cut_off(&last)) {
            ok = end_interval(run, &last);
        }
    }
    if (ok && run->result->n_intervals > 0) {
        conclude(run, &last);
    }
    return ok;
}

static bool warm_up(struct run *run)
{
    if (!work_until(run, smux_now_us() + run->test->settings->omit_ms * UINT64_C(1000))) {
        return false;
    }
    take_sample(run, &run->start);
    for (size_t i = 0; i < run->crew.n; i++) {
        run->crew.workers[i].start_bytes = run->crew.workers[i].sampled_bytes;
    }
    return true;
}

/* Idle streams: measures what all of them take once they are open. */
static bool await_idle(struct run *run)
{
    struct bench_result *result = run->result;
    uint64_t begin_us = smux_now_us();
    double ends = (double)run->test->streams * carrier_ends(&run->carrier);

    while (!atomic_load(&run->crew.ready) && !interrupt_came()) {
        if (!work_until(run, smux_now_us() + PROBE_US)) {
            return false;
        }
    }
    result->open_s = (double)(smux_now_us() - begin_us) / 1e6;
    if (!warm_up(run)) {
        return false;
    }
    result->rss_per_stream = ((double)machine_rss_bytes() - (double)run->rss_before) / ends;
    result->heap_per_stream =
        ((double)carrier_heap_bytes(&run->carrier) - (double)run->heap_before) / ends;
    return true;
}

/* --- the whole test ------------------------------------------------------------------------- */

static int fail(int status, const char *why)
{
    usage_error("the test failed: %s", why);
    return smux_status_is_fatal(status) && status != SMUX_EPROTO ? EX_UNAVAILABLE : EX_PROTOCOL;
}

static int run_crew(struct run *run)
{
    bool idle = run->test->mode->work == WORK_HOLD;
    char why[200] = "out of memory";
    bool ok;
    int status = crew_open(&run->crew);

    run->rss_before = machine_rss_bytes();
    run->heap_before = carrier_heap_bytes(&run->carrier);
    if (status == SMUX_OK) {
        status = crew_start(&run->crew);
    }
    if (status != SMUX_OK) {
        carrier_explain(&run->carrier, status, why, sizeof(why));
        crew_stop(&run->crew, (char[sizeof(why)]){0}, sizeof(why));
        return fail(status, why);
    }
    ok = (idle ? await_idle(run) : warm_up(run)) && measure_intervals(run);
    status = crew_stop(&run->crew, why, sizeof(why));
    if (status != SMUX_OK || !ok) {
        return fail(status, why);
    }
    return run->result->n_intervals > 0 ? 0 : EXIT_INTERRUPTED;
}

/* Runs the test over the carrier that is open. */
static int run_over_carrier(struct run *run)
{
    const struct bench_settings *settings = run->test->settings;
    uint32_t limit_ms = settings->omit_ms + settings->time_ms + GRACE_MS;
    int code = EX_OSERR;

    if (crew_init(&run->crew, run->test, &run->carrier, limit_ms) &&
        (run->result->stream_bytes = calloc(run->crew.n, sizeof(uint64_t))) != NULL) {
        code = run_crew(run);
    } else {
        usage_error("out of memory");
    }
    crew_deinit(&run->crew);
    return code;
}

int bench_run(const struct bench_test *test, struct report *report, struct bench_result *out_result)
{
    struct run run = {.test = test, .report = report, .result = out_result};
    bool idle = test->mode->work == WORK_HOLD;
    int code;

    *out_result = (struct bench_result){.test = *test};
    machine_trim_heap();
    code = carrier_open(&run.carrier, test->settings, test->kind, crew_channels(test), idle);
    if (code != 0) {
        return code;
    }
    interrupt_catch();
    report_start(report, test);
    code = run_over_carrier(&run);
    carrier_close(&run.carrier);
    if (code == 0) {
        report_result(report, out_result);
    } else {
        result_deinit(out_result);
    }
    return code;
}
