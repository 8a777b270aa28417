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

struct smux__queue {
    struct smux__chunk *tail; /* NULL when there are no chunks */
    uint32_t len;             /* bytes in use over all chunks */
};

/* Makes sure that the last chunk has free room: a piece of it, or a new chunk for about `want`
 * bytes. Returns that chunk, or NULL when there is no memory. */
struct smux__chunk *smux__queue_reserve(struct smux__queue *q, struct smux__pool *pool, size_t want,
                                        bool charged);

/* Copies bytes in. Returns how many; fewer than len only when memory ran out. */
size_t smux__queue_append(struct smux__queue *q, struct smux__pool *pool, const void *data,
                          size_t len, bool charged);

/* Appends a chunk as it is, and takes over its reference. */
void smux__queue_push(struct smux__queue *q, struct smux__chunk *chunk);

/* Shows up to max pieces; returns their number. */
int smux__queue_peek(const struct smux__queue *q, struct smux_iov *out_iov, int max);

/* Drops the first len bytes. A chunk equal to `keep` stays even when it runs empty. */
void smux__queue_consume(struct smux__queue *q, struct smux__pool *pool, size_t len,
                         const struct smux__chunk *keep);

/* Drops the last chunk if nothing is in it. */
void smux__queue_drop_empty_tail(struct smux__queue *q, struct smux__pool *pool);

/* Takes one chunk out of the queue, wherever it stands, without dropping its reference. */
bool smux__queue_remove(struct smux__queue *q, struct smux__chunk *chunk);

/* Drops everything. */
void smux__queue_clear(struct smux__queue *q, struct smux__pool *pool);

static inline struct smux__chunk *smux__queue_head(const struct smux__queue *q)
{
    return q->tail != NULL ? q->tail->next : NULL;
}

#endif
