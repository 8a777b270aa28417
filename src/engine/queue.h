/*
 * queue.h - a first-in-first-out queue of bytes in chunks.
 *
 * The chunks form a ring: `tail->next` is the head, so that an empty queue costs a stream one
 * pointer and one length. Small pieces are packed into the free room of the last chunk, so that a
 * tiny frame never holds a large chunk.
 */
#ifndef SMUX__QUEUE_H
#define SMUX__QUEUE_H

#include "chunk.h"

#include <string.h>

struct smux__queue {
    struct smux__chunk *tail; /* NULL when there are no chunks */
    uint32_t len;             /* bytes in use over all chunks */
};

/* Makes sure that the last chunk has free room: a piece of it, or a new chunk for about `want`
 * bytes. Returns that chunk, or NULL when there is no memory. */
struct smux__chunk *smux__queue_reserve(struct smux__queue *q, struct smux__pool *pool, size_t want,
                                        bool charged);

/* Appends a chunk as it is, and takes over its reference. */
void smux__queue_push(struct smux__queue *q, struct smux__chunk *chunk);

/* Shows up to max pieces; returns their number. */
int smux__queue_peek(const struct smux__queue *q, struct smux_iov *out_iov, int max);

/* Drops the first len bytes. A chunk equal to `keep` stays even when it runs empty. */
void smux__queue_consume(struct smux__queue *q, struct smux__pool *pool, size_t len,
                         const struct smux__chunk *keep);

/* Drops the last chunk, which must exist, if nothing is in it. */
void smux__queue_drop_empty_tail(struct smux__queue *q, struct smux__pool *pool);

/* The same without a search: `before` is the chunk in front of it, if it is not the only one. */
void smux__queue_drop_empty_behind(struct smux__queue *q, struct smux__pool *pool,
                                   struct smux__chunk *before);

/* Takes one chunk out of the queue, wherever it stands, without dropping its reference. */
bool smux__queue_remove(struct smux__queue *q, struct smux__chunk *chunk);

/* Drops everything. */
void smux__queue_clear(struct smux__queue *q, struct smux__pool *pool);

static inline struct smux__chunk *smux__queue_head(const struct smux__queue *q)
{
    return q->tail != NULL ? q->tail->next : NULL;
}

/* What smux__queue_append() and smux__queue_read() do for more than one chunk. */
size_t smux__queue_append_pieces(struct smux__queue *q, struct smux__pool *pool, const void *data,
                                 size_t len, bool charged);
size_t smux__queue_read_pieces(struct smux__queue *q, struct smux__pool *pool, void *buf,
                               size_t len, const struct smux__chunk *keep);

/* Copies bytes in. Returns how many; fewer than len only when memory ran out. */
static inline size_t smux__queue_append(struct smux__queue *q, struct smux__pool *pool,
                                        const void *data, size_t len, bool charged)
{
    struct smux__chunk *tail = q->tail;

    if (tail == NULL && len <= SMUX__CHUNK_MAX) {
        tail = smux__chunk_new(pool, len, charged);
        if (tail == NULL) {
            return 0;
        }
        tail->next = tail;
        q->tail = tail;
    } else if (tail == NULL || smux__chunk_room(tail) < len) {
        return smux__queue_append_pieces(q, pool, data, len, charged);
    }
    memcpy(tail->base + tail->end, data, len);
    tail->end += (uint32_t)len;
    q->len += (uint32_t)len;
    return len;
}

/* Copies up to len bytes out and drops them. Returns how many. `keep` as above. */
static inline size_t smux__queue_read(struct smux__queue *q, struct smux__pool *pool, void *buf,
                                      size_t len, const struct smux__chunk *keep)
{
    struct smux__chunk *only = q->tail;
    size_t n = q->len;

    if (only == NULL || only->next != only || only == keep || n > len) {
        return smux__queue_read_pieces(q, pool, buf, len, keep);
    }
    memcpy(buf, only->base + only->begin, n);
    q->tail = NULL;
    q->len = 0;
    smux__chunk_unref(pool, only);
    return n;
}

#endif
