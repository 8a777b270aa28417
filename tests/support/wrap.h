/*
 * wrap.h - moves the counters of an engine near 2^32, where no test has the time to get them.
 *
 * No call of the public interface can do that, so this is the one helper that knows the inside of
 * an engine. Both ends must be moved by the same numbers, while nothing is under way.
 */
#ifndef SUPPORT_WRAP_H
#define SUPPORT_WRAP_H

#include <smux/engine.h>

/** The next stream that this end opens has this id. */
void wrap_next_id(smux_engine *engine, uint32_t id);

/** As if so many bytes had left the engine already. */
void wrap_output(smux_engine *engine, uint64_t len);

/** Tells whether a stream is in the table. */
bool wrap_has(smux_engine *engine, uint32_t id);

/** As if so many bytes had been sent on a stream, and acknowledged; received, and read. */
void wrap_stream(smux_engine *engine, uint32_t id, uint64_t sent, uint64_t received);

#endif
