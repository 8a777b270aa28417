#include "bench_histogram.h"

#include <stdlib.h>

#define PART_BITS 6
#define PARTS     (UINT64_C(1) << PART_BITS)

/* There is one writer, so an increment needs no locked instruction. */
static void raise_by(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + amount, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct histogram *histogram_new(void)
{
    return calloc(1, sizeof(struct histogram));
}

static size_t bucket_of(uint64_t ns)
{
    unsigned shift = 0;
    size_t bucket;

    while (ns >> shift >= 2 * PARTS) {
        shift++;
    }
    /* ns >> shift has seven bits, the first of them set, or is small and shift is 0. */
    bucket = shift * PARTS + (size_t)(ns >> shift);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t bucket_begin_ns(size_t bucket)
{
    size_t shift = bucket < 2 * PARTS ? 0 : bucket / PARTS - 1;

    return (uint64_t)(bucket - shift * PARTS) << shift;
}

uint64_t histogram_bucket_end_ns(size_t bucket)
{
    return bucket_begin_ns(bucket + 1);
}

void histogram_record(struct histogram *histogram, uint64_t ns)
{
    raise_by(&histogram->counts[bucket_of(ns)], 1);
    raise_by(&histogram->total, 1);
    if (ns > get(&histogram->max_ns)) {
        atomic_store_explicit(&histogram->max_ns, ns, memory_order_relaxed);
    }
}

void histogram_add(struct histogram *histogram, const struct histogram *other)
{
    if (other == NULL) {
        return;
    }
    /* The total is made of what was read, so that it fits even while the other one changes. */
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t n = get(&other->counts[i]);
        raise_by(&histogram->counts[i], n);
        raise_by(&histogram->total, n);
    }
    if (get(&other->max_ns) > get(&histogram->max_ns)) {
        atomic_store(&histogram->max_ns, get(&other->max_ns));
    }
}

void histogram_subtract(struct histogram *histogram, const struct histogram *earlier)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t n = get(&earlier->counts[i]);
        raise_by(&histogram->counts[i], 0 - n);
        raise_by(&histogram->total, 0 - n);
    }
}

uint64_t histogram_count(const struct histogram *histogram, size_t bucket)
{
    return get(&histogram->counts[bucket]);
}

uint64_t histogram_total(const struct histogram *histogram)
{
    return get(&histogram->total);
}

double histogram_quantile_us(const struct histogram *histogram, double q)
{
    uint64_t total = histogram_total(histogram);
    uint64_t rank = (uint64_t)(q * (double)total);
    uint64_t seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS && total > 0; i++) {
        seen += get(&histogram->counts[i]);
        if (seen > rank || seen == total) {
            double middle = (double)(bucket_begin_ns(i) + histogram_bucket_end_ns(i)) / 2;
            double max = (double)get(&histogram->max_ns);
            return (middle < max ? middle : max) / 1000;
        }
    }
    return 0;
}
