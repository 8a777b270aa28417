/*
 * tray.h - small frames that the write itself lays out.
 *
 * A small write on a stream that has nothing else to send, while no payload of others waits, is the
 * next frame to leave, unless something comes in between. So the write lays out that frame where it
 * will leave from, and is spared a queue, a turn of the scheduler and a second copy. One chunk holds
 * the frames, in the order of the writes, and from its other end whose they are:
 *
 *      base                                       end          last
 *        | header, payload | header, payload | ... |   free   | ... | stream 1 | stream 0 |
 *
 * Nothing has begun by that [FRM-10]. Until form_tray() (form.c) gives the chunk to the outbox, frames
 * can be taken out again: an abort drops one, and more bytes of its stream turn it into a queue, so
 * that both leave as one frame. Streams of higher classes still go before all of it. It needs no
 * credit of the scheduler, as what leaves while nobody waits takes nothing from anybody.
 *
 * Invariants: a stream has one frame here while STREAM_IN_TRAY is set, and then its send queue is
 * empty; its class may have changed since. The bytes count in send_queued, and not yet as sent.
 */
#ifndef SMUX__TRAY_H
#define SMUX__TRAY_H

#include "chunk.h"
#include "copy.h"
#include "stream.h"
#include "wire.h"

/* Payload of a frame here, at most; what is larger had better not be copied together. */
#define SMUX__TRAY_MAX 512u
/* Memory of all frames. */
#define SMUX__TRAY_LEN 8192u

struct smux__tray {
    uint8_t *end;               /* behind the last frame */
    struct smux__chunk *chunk;  /* NULL while it is empty */
    struct smux_estream **last; /* whose the last frame is; those of the frames before it follow */
    size_t limit;               /* payload that a write may bring now; 0 if it may bring none */
    uint16_t head;              /* the first two bytes of each frame, in the order of the wire */
};

static inline bool smux__tray_is_empty(const struct smux__tray *tray)
{
    return tray->chunk == NULL;
}

/* Behind the place where the stream of the first frame is noted. */
static inline struct smux_estream **smux__tray_owners(const struct smux__chunk *chunk)
{
    return (struct smux_estream **)(void *)(chunk->base + SMUX__TRAY_LEN);
}

/* Whether another frame fits. */
static inline bool smux__tray_has_room(const struct smux__tray *tray, size_t len)
{
    return (uintptr_t)tray->end + SMUX__HEADER_LEN + len + sizeof(tray->last[0]) <=
           (uintptr_t)tray->last;
}

/* Adds a frame that fits. */
static SMUX__INLINE void smux__tray_add(struct smux__tray *tray, struct smux_estream *stream,
                                        const void *data, size_t len)
{
    uint8_t *frame = tray->end;

    tray->end = frame + SMUX__HEADER_LEN + len;
    *--tray->last = stream;
    smux__store16(frame, tray->head);
    smux__store16(frame + 2, (uint16_t)len);
    smux__store32(frame + 4, stream->id);
    stream->flags |= STREAM_IN_TRAY;
    smux__copy(frame + SMUX__HEADER_LEN, data, len);
}

/* Takes memory for frames; false without. */
bool smux__tray_prepare(struct smux__tray *tray, struct smux__pool *pool);

/* The frame of a stream that has one, header included. */
const uint8_t *smux__tray_frame(const struct smux__tray *tray, const struct smux_estream *stream);

/* Its bytes of payload; 0 if it has none. */
uint32_t smux__tray_len(const struct smux__tray *tray, const struct smux_estream *stream);

/* Puts more bytes behind those of a stream, if it has the last frame, and that gets no longer than
 * `most`. Tells whether it did. */
bool smux__tray_extend(struct smux__tray *tray, struct smux_estream *stream, const void *data,
                       size_t len, size_t most);

/* Takes a frame out. */
void smux__tray_remove(struct smux__tray *tray, struct smux__pool *pool,
                       struct smux_estream *stream);

/* Hands out the chunk, with all frames in it. */
struct smux__chunk *smux__tray_take(struct smux__tray *tray);

#endif
