/*
 * bench_flow.h - the client side of `smux bench --loop`, besides work_loop() of bench_worker.h.
 */
#ifndef TOOL_BENCH_FLOW_H
#define TOOL_BENCH_FLOW_H

#include "bench_worker.h"

/* Returns the bytes of smux_estream_user() that each stream of such a session needs. */
size_t flow_user_size(void);

/* Asks the server how many streams it has discarded, and waits for so many milliseconds at most. */
int flow_probe(struct bench_loop *loop, uint32_t limit_ms, uint64_t *out_count);

#endif
