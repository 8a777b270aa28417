/*
 * bench_rows.h - results for people: a heading, a line for each interval, a line for the total.
 */
#ifndef TOOL_BENCH_ROWS_H
#define TOOL_BENCH_ROWS_H

#include <stdio.h>

#include "bench_result.h"

void rows_start(FILE *out, const struct bench_test *test);
void rows_interval(FILE *out, const struct bench_test *test, const struct bench_interval *interval);
void rows_result(FILE *out, const struct bench_result *result);

#endif
