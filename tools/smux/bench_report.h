/*
 * bench_report.h - where results go: a table or JSON lines on standard output while it runs;
 * a JSON document, tables for gnuplot and a summary at the end.
 */
#ifndef TOOL_BENCH_REPORT_H
#define TOOL_BENCH_REPORT_H

#include "bench_result.h"

struct report;

/* Makes a report. NULL after a message: a file cannot be written, or there is no memory. */
struct report *report_new(const struct bench_settings *settings);

/* Called when a test starts, when an interval is over, and when the test is over. */
void report_start(struct report *report, const struct bench_test *test);
void report_interval(struct report *report, const struct bench_test *test,
                     const struct bench_interval *interval);
void report_result(struct report *report, const struct bench_result *result);

/* Writes the summary and the files; `results` are all there are. 0, or the exit code after a
 * message. */
int report_finish(struct report *report, const struct bench_result *results, size_t n);

void report_free(struct report *report);

#endif
