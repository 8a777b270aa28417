/*
 * bench_crew.h - which workers a test has.
 */
#ifndef TOOL_BENCH_CREW_H
#define TOOL_BENCH_CREW_H

#include "bench_result.h"
#include "bench_worker.h"

/* Returns how many channels of a test are open at once. */
uint32_t crew_channels(const struct bench_test *test);

/* Makes the workers of a test. false without memory. */
bool crew_init(struct crew *crew, const struct bench_test *test, struct carrier *carrier,
               uint32_t limit_ms);

void crew_deinit(struct crew *crew);

#endif
