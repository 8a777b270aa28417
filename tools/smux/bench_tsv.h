/*
 * bench_tsv.h - results as tables for gnuplot: PREFIX.intervals.tsv, PREFIX.latency.tsv and
 * PREFIX.summary.tsv, read by the scripts in plots/.
 *
 * Columns are separated by tabs and named with their units in the first line. In the first two
 * files each test is a block of its own, which gnuplot finds as `index` 0, 1, ...; each block
 * begins with a comment that names it.
 */
#ifndef TOOL_BENCH_TSV_H
#define TOOL_BENCH_TSV_H

#include "bench_summary.h"

struct tsv {
    FILE *intervals;
    FILE *latency;
    FILE *summary;
};

/* Creates the files. false after a message. */
bool tsv_open(struct tsv *tsv, const char *prefix);

void tsv_write_result(struct tsv *tsv, const struct bench_result *result);
void tsv_write_summary(struct tsv *tsv, const struct summary *summary);

/* Closes the files; also those of a failed tsv_open(). false when not all could be written. */
bool tsv_close(struct tsv *tsv);

#endif
