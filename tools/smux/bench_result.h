/*
 * bench_result.h - what a test has shown.
 */
#ifndef TOOL_BENCH_RESULT_H
#define TOOL_BENCH_RESULT_H

#include "bench_histogram.h"
#include "bench_machine.h"
#include "bench_settings.h"

/* What a test is about. */
struct bench_test {
    const struct bench_settings *settings;
    const struct bench_mode *mode;
    enum bench_kind kind;
    uint32_t run; /* 1, 2, ... */
    uint32_t streams;
    uint32_t size;
};

/* What happened between two looks at the counters. Times are seconds since the warm-up. */
struct bench_interval {
    double t0;
    double t1;
    uint64_t bytes;
    uint64_t operations; /* writes, round trips or streams */
    uint64_t frames;     /* of data, in both directions; 0 for TCP */
    double blocked_s;    /* how long the streams waited for the peer's window, on average */
    double fairness;     /* of the bytes of the streams, see result_fairness() */
    double p50_us;
    double p99_us;
};

struct bench_result {
    struct bench_test test;
    struct bench_interval *intervals;
    size_t n_intervals;
    struct bench_interval total;
    double cv;                  /* coefficient of variation of the throughput of the intervals */
    struct machine_usage usage; /* of this process */
    double open_s;              /* idle: how long it took to open all streams */
    unsigned ends;              /* of each stream that are in this process: 1 or 2 */
    uint64_t rss_bytes;
    double rss_per_stream;  /* idle: growth, for each end of a stream */
    double heap_per_stream; /* idle: of the library, for each end of a stream */
    bool window_limited;
    uint64_t *stream_bytes; /* of each worker */
    size_t n_streams;
    struct histogram latency; /* empty when the mode has none */
};

/* Length of an interval or of the whole test in seconds. */
double interval_seconds(const struct bench_interval *interval);

/* Per second. */
double interval_bytes_rate(const struct bench_interval *interval);
double interval_operations_rate(const struct bench_interval *interval);

/* Jain's index of n numbers of which these are the sum and the sum of the squares: 1 when all are
 * the same, 1/n when all but one are 0. */
double fairness_index(double sum, double squares, size_t n);

/* Jain's index of fairness of the streams: 1 when all got the same. */
double result_fairness(const struct bench_result *result);

/* Processor time, in the kernel and outside, in seconds. */
double result_cpu_s(const struct bench_result *result);

/* Frees what a result owns. */
void result_deinit(struct bench_result *result);

#endif
