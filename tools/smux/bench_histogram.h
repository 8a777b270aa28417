/*
 * bench_histogram.h - how often which latency occurred.
 *
 * Log-linear buckets, as HdrHistogram has them: each power of two of nanoseconds is cut into 64
 * equal parts, so a value is known to better than 1.6 % from nanoseconds to an hour, in 18 KB.
 *
 *   value   0 .. 63           bucket = value
 *   value   64 .. 2^42 - 1    bucket = 64 * (exponent - 5) + the 6 bits behind the first one
 *
 * One thread records; another may add what is there to its own histogram meanwhile. A histogram
 * of zeros is an empty one.
 */
#ifndef TOOL_BENCH_HISTOGRAM_H
#define TOOL_BENCH_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS (64 * 37)

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
    _Atomic uint64_t total;
    _Atomic uint64_t max_ns;
};

/* Returns an empty one, to be freed with free(3); NULL without memory. */
struct histogram *histogram_new(void);

/* Counts a value. */
void histogram_record(struct histogram *histogram, uint64_t ns);

/* Adds the counts of another one. NULL is an empty one. */
void histogram_add(struct histogram *histogram, const struct histogram *other);

/* Takes away the counts of an earlier state of the same one; the maximum stays. */
void histogram_subtract(struct histogram *histogram, const struct histogram *earlier);

/* Returns the value below or at which the share `q` of all values lies, in microseconds: the
 * middle of its bucket, at most the maximum. 0 when nothing was counted. */
double histogram_quantile_us(const struct histogram *histogram, double q);

/* Returns the number of values. */
uint64_t histogram_total(const struct histogram *histogram);

/* Returns how many values a bucket holds. */
uint64_t histogram_count(const struct histogram *histogram, size_t bucket);

/* Returns the upper end of a bucket in nanoseconds. */
uint64_t histogram_bucket_end_ns(size_t bucket);

#endif
