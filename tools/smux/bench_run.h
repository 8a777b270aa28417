/*
 * bench_run.h - runs one test: a carrier, a crew, and a look at its counters now and then.
 */
#ifndef TOOL_BENCH_RUN_H
#define TOOL_BENCH_RUN_H

#include "bench_report.h"
#include "bench_result.h"

/*
 * Runs a test and fills `out_result`, to be released with result_deinit().
 *
 * Returns 0 when there is a result, which INT may have cut short; EXIT_INTERRUPTED when INT came
 * before there was one; or the exit code after a message, without a result.
 */
int bench_run(const struct bench_test *test, struct report *report,
              struct bench_result *out_result);

#endif
