#include "bench_tsv.h"

#include <errno.h>
#include <string.h>

#include "usage.h"
#include "values.h"

static bool create(const char *prefix, const char *name, const char *header, FILE **out_file)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s.%s.tsv", prefix, name);
    *out_file = fopen(path, "w");
    if (*out_file == NULL) {
        usage_error("cannot write %s: %s", path, value_errno_text(errno));
        return false;
    }
    fprintf(*out_file, "%s\n", header);
    return true;
}

bool tsv_open(struct tsv *tsv, const char *prefix)
{
    return create(prefix, "intervals",
                  "mode\tkind\trun\tt0_s\tt1_s\tbytes\tbytes_per_s\twrites_per_s\tframes\t"
                  "blocked_s\tp50_us\tp99_us\tfairness",
                  &tsv->intervals) &&
           create(prefix, "latency", "mode\tkind\trun\tupto_us\tcount\tcumulative_share",
                  &tsv->latency) &&
           create(prefix, "summary", "mode\tkind\tfigure\tunit\truns\tmedian\tmin\tmax\tratio_tcp",
                  &tsv->summary);
}

static void begin_block(FILE *out, const struct bench_test *test)
{
    fprintf(out, "\n\n# %s %s run %u\n", test->mode->name, bench_kind_name(test->kind), test->run);
}

static void put_test(FILE *out, const struct bench_test *test)
{
    fprintf(out, "%s\t%s\t%u", test->mode->name, bench_kind_name(test->kind), test->run);
}

static void write_interval(FILE *out, const struct bench_test *test,
                           const struct bench_interval *interval)
{
    put_test(out, test);
    fprintf(out, "\t%.6f\t%.6f\t%llu\t%.0f\t%.1f\t%llu\t%.6f\t%.3f\t%.3f\t%.6f\n", interval->t0,
            interval->t1, (unsigned long long)interval->bytes, interval_bytes_rate(interval),
            interval_operations_rate(interval), (unsigned long long)interval->frames,
            interval->blocked_s, interval->p50_us, interval->p99_us, interval->fairness);
}

static void write_latency(FILE *out, const struct bench_result *result)
{
    double total = (double)histogram_total(&result->latency);
    uint64_t seen = 0;

    begin_block(out, &result->test);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = histogram_count(&result->latency, i);
        if (count > 0) {
            seen += count;
            put_test(out, &result->test);
            fprintf(out, "\t%.3f\t%llu\t%.8f\n", (double)histogram_bucket_end_ns(i) / 1000,
                    (unsigned long long)count, (double)seen / total);
        }
    }
}

void tsv_write_result(struct tsv *tsv, const struct bench_result *result)
{
    begin_block(tsv->intervals, &result->test);
    for (size_t i = 0; i < result->n_intervals; i++) {
        write_interval(tsv->intervals, &result->test, &result->intervals[i]);
    }
    if (result->test.mode->has_latency) {
        write_latency(tsv->latency, result);
    }
}

void tsv_write_summary(struct tsv *tsv, const struct summary *summary)
{
    for (size_t i = 0; i < summary->n; i++) {
        const struct summary_row *row = &summary->rows[i];
        for (int kind = 0; kind < KIND_COUNT; kind++) {
            const struct summary_cell *cell = &row->cells[kind];
            if (cell->runs > 0) {
                fprintf(tsv->summary, "%s\t%s\t%s\t%s\t%zu\t%.6f\t%.6f\t%.6f\t%.6f\n",
                        row->mode->name, bench_kind_name((enum bench_kind)kind), row->figure->name,
                        row->figure->unit, cell->runs, cell->median, cell->min, cell->max,
                        summary_ratio(row, (enum bench_kind)kind));
            }
        }
    }
}

static bool close_file(FILE **file)
{
    bool ok = *file == NULL || !ferror(*file);

    if (*file != NULL && fclose(*file) != 0) {
        ok = false;
    }
    *file = NULL;
    return ok;
}

bool tsv_close(struct tsv *tsv)
{
    bool ok = close_file(&tsv->intervals);

    ok = close_file(&tsv->latency) && ok;
    return close_file(&tsv->summary) && ok;
}
