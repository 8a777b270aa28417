/*
 * inside.h - the one helper that knows the inside of an engine, for purposes that the public interface
 * cannot serve:
 *
 *   - counters near 2^32, where no test has the time to get them. Both ends must be moved by the
 *     same numbers, while nothing is under way.
 *   - comparing two engines by their memory: what is left of the past and has no effect on what
 *     comes must be left out.
 *   - whether a test comes by what it is there for, where that shows outside by nothing.
 */
#ifndef SUPPORT_INSIDE_H
#define SUPPORT_INSIDE_H

#include <smux/engine.h>

#include <stddef.h>

/** The next stream that this end opens has this id. */
void inside_next_id(smux_engine *engine, uint32_t id);

/** As if so many bytes had left the engine already. */
void inside_output(smux_engine *engine, uint64_t len);

/** Tells whether a stream is in the table. */
bool inside_has(smux_engine *engine, uint32_t id);

/** Returns how many closed streams are still credited [FIN-11], without those whose last update waits
 *  to be sent: such a one may be forgotten already. */
uint32_t inside_discards(smux_engine *engine);

/** Tells whether small frames that came together wait to be read (intray.h). */
bool inside_shares_input(const smux_engine *engine);

/** As if so many bytes had been sent on a stream, and acknowledged; received, and read. */
void inside_stream(smux_engine *engine, uint32_t id, uint64_t sent, uint64_t received);

/** What inside_hide_past() put aside. */
struct inside_past {
    _Alignas(max_align_t) uint8_t data[16384];
};

/** Clears what has no effect any more on what an engine that does the same from now on will do:
 *  its statistics, the frames that it has sent, the last look-up, which streams have news if
 *  smux_engine_next_ready() is never called, the time; timers run from `now_us` on. Frames formed
 *  and not sent are cleared, too: they go into the hash that is returned. The engine must not be
 *  used until inside_show_past(). */
uint64_t inside_hide_past(smux_engine *engine, uint64_t now_us, struct inside_past *past);
void inside_show_past(smux_engine *engine, const struct inside_past *past);

#endif
