/*
 * intray.h - small frames that came together and wait to be read.
 *
 * Many small frames, of many streams, come with one read, and are mostly read soon. So they are not
 * taken apart: all of them are copied into one chunk as they came, headers included, and each
 * stream notes where its payload lies. That needs no chunk and no record of their own for each.
 *
 *      base                                                      end             cap
 *        | header, payload | header, payload | header, payload |       free       |
 *                   ^ piece_at of one stream          ^ of another
 *
 * The chunk is charged to the budget as a whole, and returned when all of it was read. One stream
 * that is not read must not keep it for long: when it is full, what is still unread moves to the
 * receive queues of its streams. That costs as much as these frames have saved, so it is put off until
 * twice as many had to go to a queue of their own for want of room: an application that reads a lot
 * of streams in its turn needs nothing of it. A piece also moves when more comes for its stream, or
 * when it is to be looked at where it lies. All do when the session is throttled, and soon in any case,
 * when unused memory is given back: a quiet session must not keep the chunk either. A read that takes
 * only the first part of one leaves the rest here.
 *
 * Invariants: while STREAM_IN_INTRAY is set, all that a stream has unread, `received - consumed`, is
 * the piece here, the payload of one frame or the end of it, and its receive queue has no chunk. `n`
 * streams have a piece; there is a chunk exactly while n > 0, except inside of the functions that fill
 * and clear it.
 */
#ifndef SMUX__INTRAY_H
#define SMUX__INTRAY_H

#include <assert.h>

#include "chunk.h"
#include "stream.h"

/* Memory of all frames. */
#define SMUX__INTRAY_LEN 8192u
/* Payload of a frame here, at most. */
#define SMUX__INTRAY_MAX 512u

struct smux_engine;

struct smux__intray {
    struct smux__chunk *chunk;
    const uint8_t *base; /* where its bytes begin */
    uint32_t n;
    uint32_t missed; /* frames that did not fit since it is full */
};

static inline const uint8_t *smux__intray_piece(const struct smux__intray *intray,
                                                const struct smux_estream *stream)
{
    return intray->base + stream->piece_at;
}

/* Forgets the piece of a stream; smux__intray_end() is to follow. */
static inline void smux__intray_forget(struct smux_estream *stream)
{
    stream->flags &= ~(uint32_t)STREAM_IN_INTRAY;
    stream->piece_at = 0;
}

/* Returns the memory after the last piece. */
static inline void smux__intray_end(struct smux__intray *intray, struct smux__pool *pool)
{
    assert(intray->chunk != NULL);
    smux__chunk_unref(pool, intray->chunk);
    intray->chunk = NULL;
}

/* The piece of a stream is read, or not wanted any more. */
static inline void smux__intray_leave(struct smux__intray *intray, struct smux__pool *pool,
                                      struct smux_estream *stream)
{
    smux__intray_forget(stream);
    if (--intray->n == 0) {
        smux__intray_end(intray, pool);
    }
}

/* Makes room for a run of frames, `least` bytes of it at least. Returns how much there is; 0 when the
 * budget or the memory is short. */
size_t smux__intray_prepare(struct smux_engine *e, size_t least);

/* Copies a run of n frames in, for which there is room. */
static inline void smux__intray_fill(struct smux__intray *intray, const uint8_t *data, size_t len,
                                     uint32_t n)
{
    memcpy(intray->chunk->base + intray->chunk->end, data, len);
    intray->chunk->end += (uint32_t)len;
    intray->n += n;
}

/* Moves all that is here to the receive queues, as long as frames may come; where there is no memory
 * for that the stream is aborted. smux__intake_resume() is to follow. */
void smux__intray_clear(struct smux_engine *e);

/* Moves the piece of a stream, if it has one, to its receive queue. False without memory: then it
 * stays. */
bool smux__intray_move(struct smux_engine *e, struct smux_estream *stream);

#endif
