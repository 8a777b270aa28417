/*
 * duo.h - two engines that go on whatever fails, for scenarios in which memory runs out.
 *
 * Both ends take their memory from one heap. Content follows flow.h. Each call does as much as
 * it can and keeps books; an error is accepted only if the heap has refused something, or if the
 * scenario itself ended the stream. duo_finish() reads what is left and judges:
 *   - what was read is what was written, and all of it where an end was reported
 *   - a session that lives serves a new stream once there is memory again
 *   - all memory comes back
 */
#ifndef ENGINE_DUO_H
#define ENGINE_DUO_H

#include "support/heap.h"
#include "support/link.h"

#include <smux/engine.h>

#define DUO_STREAMS 300

/** A stream; index 0 is the client's end. */
struct duo_stream {
    smux_estream *at[2]; /**< NULL before it was accepted, and once it was closed */
    uint32_t id;
    uint64_t written[2];
    uint64_t read[2];
    bool shut[2];  /**< has ended its writing in order */
    bool gone[2];  /**< was aborted or closed by the scenario, or failed */
    int end[2];    /**< how reading ended; 0 before */
    uint8_t *loan; /**< memory lent by the client's end */
};

struct duo {
    struct heap *heap;
    smux_engine *engine[2];
    struct link link;
    struct rng rng;
    struct duo_stream streams[DUO_STREAMS];
    unsigned n;
    bool deaf;    /**< the server does not accept by itself */
    bool refuses; /**< the server may refuse streams */
    bool doomed;  /**< the scenario ends a session itself */
    uint8_t buf[65536];
};

/** How an end writes or reads. */
enum duo_how {
    DUO_COPY,    /**< write, read */
    DUO_IN_PLACE /**< reserve and commit, peek and consume */
};

/** The configuration of scenarios: version 2, small frames, no keepalive and no linger. */
struct smux_config duo_config(void);

/** Starts both ends; a NULL configuration is duo_config(). false: there was no memory. */
bool duo_start(struct duo *duo, struct heap *heap, const struct smux_config *config);

/** Reads everything, judges, frees. To be called in any case. */
void duo_finish(struct duo *duo);

/** Opens a stream at the client; NULL without memory. */
struct duo_stream *duo_open(struct duo *duo);

/** Moves bytes and accepts streams until nothing moves any more. */
void duo_move(struct duo *duo);

/** Lets time pass. */
void duo_sleep(struct duo *duo, uint32_t ms);

/** Writes `len` bytes at one end, and reads at the other when that is needed to go on. */
void duo_write(struct duo *duo, struct duo_stream *stream, unsigned side, size_t len,
               enum duo_how how);

/** Lends `len` bytes at the client's end. duo_reclaim() takes them back. */
void duo_lend(struct duo *duo, struct duo_stream *stream, size_t len);
void duo_reclaim(struct duo *duo, struct duo_stream *stream);

/** Reads at one end what is there, up to `len` bytes; returns how many. */
size_t duo_read(struct duo *duo, struct duo_stream *stream, unsigned side, size_t len,
                enum duo_how how);

/** Ends of one end's own making. All take a NULL stream or an end that is not there. */
void duo_shut(struct duo *duo, struct duo_stream *stream, unsigned side);
void duo_abort(struct duo *duo, struct duo_stream *stream, unsigned side);
void duo_close(struct duo *duo, struct duo_stream *stream, unsigned side);

#endif
