#define _GNU_SOURCE 1 /* gmtime_r under -std=c11 */

#include "bench_json.h"

#include <time.h>

#include "bench_machine.h"

#define SCHEMA "smux-bench/1"

static json_t *now_text(void)
{
    char text[32];
    struct tm utc;
    time_t now = time(NULL);

    gmtime_r(&now, &utc);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_string(text);
}

static json_t *json_of_params(const struct bench_test *test)
{
    const struct bench_settings *settings = test->settings;

    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:i, s:b, s:b, s:b, s:b, s:s?}",
                     "streams", (int)test->streams, "size", (int)test->size, "framesize",
                     (int)settings->common.framesize, "streambuf", (int)settings->common.streambuf,
                     "smuxbuf", (int)settings->common.smuxbuf, "time_s", settings->time_ms / 1000.0,
                     "omit_s", settings->omit_ms / 1000.0, "interval_s",
                     settings->interval_ms / 1000.0, "rate", (int)settings->rate, "reverse",
                     settings->reverse, "bidir", settings->bidir, "unix", settings->unix_socket,
                     "loop", settings->loop, "remote", settings->remote);
}

json_t *json_of_start(const struct bench_test *test)
{
    struct machine machine;

    machine_describe(&machine);
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:i, s:o}", "time",
                     now_text(), "libsmux", smux_version(), "compiler", machine.compiler, "os",
                     machine.os, "cpu", machine.cpu, "cores", (int)machine.cores, "tcp",
                     machine.tcp, "mode", test->mode->name, "kind", bench_kind_name(test->kind),
                     "run", (int)test->run, "runs", (int)test->settings->runs, "params",
                     json_of_params(test));
}

json_t *json_of_interval(const struct bench_interval *interval)
{
    return json_pack("{s:f, s:f, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "t0", interval->t0, "t1",
                     interval->t1, "bytes", (json_int_t)interval->bytes, "writes",
                     (json_int_t)interval->operations, "frames", (json_int_t)interval->frames,
                     "blocked_window_s", interval->blocked_s, "fairness", interval->fairness,
                     "p50_us", interval->p50_us, "p99_us", interval->p99_us);
}

static json_t *json_of_latency(const struct histogram *latency)
{
    return json_pack(
        "{s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "p50", histogram_quantile_us(latency, 0.5), "p90",
        histogram_quantile_us(latency, 0.9), "p99", histogram_quantile_us(latency, 0.99), "p999",
        histogram_quantile_us(latency, 0.999), "p9999", histogram_quantile_us(latency, 0.9999),
        "max", histogram_quantile_us(latency, 1), "count", (json_int_t)histogram_total(latency));
}

static json_t *json_of_stream_bytes(const struct bench_result *result)
{
    json_t *list = json_array();

    for (size_t i = 0; i < result->n_streams; i++) {
        json_array_append_new(list, json_integer((json_int_t)result->stream_bytes[i]));
    }
    return list;
}

/* How many streams a second were opened, in the modes that are about it. */
static double streams_rate(const struct bench_result *result)
{
    switch (result->test.mode->work) {
    case WORK_CHURN:
        return interval_operations_rate(&result->total);
    case WORK_HOLD:
        return result->open_s > 0 ? result->test.streams / result->open_s : 0;
    default:
        return 0;
    }
}

json_t *json_of_end(const struct bench_result *result)
{
    const struct bench_interval *total = &result->total;

    return json_pack(
        "{s:f, s:I, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:f, s:f, s:i, s:f, s:f, "
        "s:b, s:b, "
        "s:o, s:o}",
        "seconds", interval_seconds(total), "bytes", (json_int_t)total->bytes, "bytes_per_s",
        interval_bytes_rate(total), "cv", result->cv, "writes", (json_int_t)total->operations,
        "writes_per_s", interval_operations_rate(total), "streams_per_s", streams_rate(result),
        "cpu_s", result_cpu_s(result), "cpu_user_s", result->usage.user_s, "context_switches",
        (json_int_t)result->usage.switches, "frames", (json_int_t)total->frames, "rss_bytes",
        (json_int_t)result->rss_bytes, "rss_per_stream", result->rss_per_stream, "heap_per_stream",
        result->heap_per_stream, "ends_here", (int)result->ends, "fairness",
        result_fairness(result), "blocked_window_s", total->blocked_s, "window_limited",
        result->window_limited, "open_loop", result->test.settings->rate > 0, "latency_us",
        json_of_latency(&result->latency), "per_stream_bytes", json_of_stream_bytes(result));
}

static json_t *json_of_histogram(const struct histogram *histogram)
{
    json_t *list = json_array();

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = histogram_count(histogram, i);
        if (count > 0) {
            double end_us = (double)histogram_bucket_end_ns(i) / 1000;
            json_array_append_new(list, json_pack("[f, I]", end_us, (json_int_t)count));
        }
    }
    return list;
}

json_t *json_of_event(const char *event, json_t *data)
{
    return json_pack("{s:s, s:o}", "event", event, "data", data);
}

static json_t *json_of_intervals(const struct bench_result *result)
{
    json_t *list = json_array();

    for (size_t i = 0; i < result->n_intervals; i++) {
        json_array_append_new(list, json_of_interval(&result->intervals[i]));
    }
    return list;
}

json_t *json_of_test(const struct bench_result *result, json_t *start)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "schema", SCHEMA, "start", start, "intervals",
                     json_of_intervals(result), "end", json_of_end(result), "histogram",
                     json_of_histogram(&result->latency));
}

static json_t *json_of_cell(const struct summary_row *row, enum bench_kind kind)
{
    const struct summary_cell *cell = &row->cells[kind];

    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f}", "mode", row->mode->name,
                     "figure", row->figure->name, "unit", row->figure->unit, "kind",
                     bench_kind_name(kind), "runs", (int)cell->runs, "median", cell->median, "min",
                     cell->min, "max", cell->max, "ratio_tcp", summary_ratio(row, kind));
}

json_t *json_of_summary(const struct summary *summary)
{
    json_t *list = json_array();

    for (size_t i = 0; i < summary->n; i++) {
        for (int kind = 0; kind < KIND_COUNT; kind++) {
            if (summary->rows[i].cells[kind].runs > 0) {
                json_array_append_new(list, json_of_cell(&summary->rows[i], (enum bench_kind)kind));
            }
        }
    }
    return list;
}

json_t *json_of_document(json_t *tests, json_t *summary)
{
    json_t *only;

    if (json_array_size(tests) != 1) {
        return json_pack("{s:s, s:o, s:o}", "schema", SCHEMA, "tests", tests, "summary", summary);
    }
    only = json_incref(json_array_get(tests, 0));
    json_decref(tests);
    json_decref(summary);
    return only;
}
