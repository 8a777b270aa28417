/*
 * bench_summary.h - the few figures a test stands for, and their medians over several runs.
 */
#ifndef TOOL_BENCH_SUMMARY_H
#define TOOL_BENCH_SUMMARY_H

#include <stdio.h>

#include "bench_result.h"

/* One figure of a mode. */
struct figure {
    enum bench_mode_id mode;
    const char *name;
    const char *unit;
    double scale;   /* what one unit is, in units of value() */
    bool smux_only; /* that of TCP is in the kernel */
    double (*value)(const struct bench_result *result);
};

/* A figure of one kind over all runs. */
struct summary_cell {
    size_t runs; /* 0: not measured */
    double median;
    double min;
    double max;
};

struct summary_row {
    const struct figure *figure;
    const struct bench_mode *mode;
    struct summary_cell cells[KIND_COUNT];
};

struct summary {
    struct summary_row *rows;
    size_t n;
    bool has_kind[KIND_COUNT];
};

/* Sums up results. false without memory. Release with summary_deinit(). */
bool summary_init(struct summary *summary, const struct bench_result *results, size_t n);

/* Returns the ratio of a cell to that of TCP; 0 when there is none. */
double summary_ratio(const struct summary_row *row, enum bench_kind kind);

/* Prints a table, one line a figure. */
void summary_print(const struct summary *summary, bool markdown, FILE *out);

void summary_deinit(struct summary *summary);

#endif
