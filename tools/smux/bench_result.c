#include "bench_result.h"

#include <stdlib.h>

double interval_seconds(const struct bench_interval *interval)
{
    return interval->t1 - interval->t0;
}

static double rate(uint64_t amount, const struct bench_interval *interval)
{
    double seconds = interval_seconds(interval);

    return seconds > 0 ? (double)amount / seconds : 0;
}

double interval_bytes_rate(const struct bench_interval *interval)
{
    return rate(interval->bytes, interval);
}

double interval_operations_rate(const struct bench_interval *interval)
{
    return rate(interval->operations, interval);
}

double fairness_index(double sum, double squares, size_t n)
{
    return squares > 0 ? sum * sum / ((double)n * squares) : 1;
}

double result_fairness(const struct bench_result *result)
{
    double sum = 0;
    double squares = 0;

    for (size_t i = 0; i < result->n_streams; i++) {
        double bytes = (double)result->stream_bytes[i];
        sum += bytes;
        squares += bytes * bytes;
    }
    return fairness_index(sum, squares, result->n_streams);
}

double result_cpu_s(const struct bench_result *result)
{
    return result->usage.user_s + result->usage.system_s;
}

void result_deinit(struct bench_result *result)
{
    free(result->intervals);
    free(result->stream_bytes);
    result->intervals = NULL;
    result->stream_bytes = NULL;
}
