#include "queue.h"

#include <assert.h>

/* A new chunk is twice the last one while small pieces keep coming, up to this. */
#define MAX_GROWTH 16384u

void smux__queue_push(struct smux__queue *q, struct smux__chunk *chunk)
{
    if (q->tail == NULL) {
        chunk->next = chunk;
    } else {
        chunk->next = q->tail->next;
        q->tail->next = chunk;
    }
    q->tail = chunk;
    q->len += chunk->end - chunk->begin;
}

struct smux__chunk *smux__queue_reserve(struct smux__queue *q, struct smux__pool *pool, size_t want,
                                        bool charged)
{
    if (q->tail != NULL && smux__chunk_room(q->tail) > 0) {
        return q->tail;
    }
    size_t grown = q->tail != NULL ? 2u * (size_t)q->tail->cap : 0;
    if (grown > MAX_GROWTH) {
        grown = MAX_GROWTH;
    }
    struct smux__chunk *chunk = smux__chunk_new(pool, want > grown ? want : grown, charged);
    if (chunk != NULL) {
        smux__queue_push(q, chunk);
    }
    return chunk;
}

size_t smux__queue_append_pieces(struct smux__queue *q, struct smux__pool *pool, const void *data,
                                 size_t len, bool charged)
{
    size_t done = 0;

    while (done < len) {
        struct smux__chunk *chunk = smux__queue_reserve(q, pool, len - done, charged);
        if (chunk == NULL) {
            break;
        }
        size_t n = smux__chunk_room(chunk);
        if (n > len - done) {
            n = len - done;
        }
        memcpy(chunk->base + chunk->end, (const uint8_t *)data + done, n);
        chunk->end += (uint32_t)n;
        q->len += (uint32_t)n;
        done += n;
    }
    return done;
}

int smux__queue_peek(const struct smux__queue *q, struct smux_iov *out_iov, int max)
{
    const struct smux__chunk *chunk = smux__queue_head(q);
    uint32_t left = q->len;
    int n = 0;

    for (; left > 0 && n < max; chunk = chunk->next) {
        assert(chunk != NULL); /* the chunks hold len bytes */
        uint32_t len = chunk->end - chunk->begin;
        if (len > 0) {
            out_iov[n].base = chunk->base + chunk->begin;
            out_iov[n].len = len;
            n++;
        }
        left -= len;
    }
    return n;
}

static void queue_pop(struct smux__queue *q, struct smux__pool *pool)
{
    struct smux__chunk *head = q->tail->next;

    if (head == q->tail) {
        q->tail = NULL;
    } else {
        q->tail->next = head->next;
    }
    smux__chunk_unref(pool, head);
}

void smux__queue_consume(struct smux__queue *q, struct smux__pool *pool, size_t len,
                         const struct smux__chunk *keep)
{
    uint32_t left = (uint32_t)len;

    q->len -= left;
    while (q->tail != NULL) {
        struct smux__chunk *head = q->tail->next;
        uint32_t in_use = head->end - head->begin;
        if (left < in_use) {
            head->begin += left;
            return;
        }
        head->begin = head->end;
        left -= in_use;
        if (head == keep) {
            return;
        }
        queue_pop(q, pool);
        if (left == 0) {
            return;
        }
    }
}

size_t smux__queue_read_pieces(struct smux__queue *q, struct smux__pool *pool, void *buf,
                               size_t len, const struct smux__chunk *keep)
{
    size_t done = 0;

    while (done < len && q->len > 0) {
        assert(q->tail != NULL); /* which holds these bytes */
        const struct smux__chunk *head = q->tail->next;
        size_t n = head->end - head->begin;
        if (n > len - done) {
            n = len - done;
        }
        memcpy((uint8_t *)buf + done, head->base + head->begin, n);
        smux__queue_consume(q, pool, n, keep);
        done += n;
    }
    return done;
}

/* Takes a chunk out of the ring; `before` is the one in front of it, itself if there is no other. */
static void unlink_chunk(struct smux__queue *q, struct smux__chunk *before,
                         struct smux__chunk *chunk)
{
    assert(before->next == chunk);
    if (before == chunk) {
        q->tail = NULL;
        return;
    }
    before->next = chunk->next;
    if (q->tail == chunk) {
        q->tail = before;
    }
}

void smux__queue_drop_empty_tail(struct smux__queue *q, struct smux__pool *pool)
{
    struct smux__chunk *tail = q->tail;

    if (tail->begin == tail->end) {
        (void)smux__queue_remove(q, tail);
        smux__chunk_unref(pool, tail);
    }
}

void smux__queue_drop_empty_behind(struct smux__queue *q, struct smux__pool *pool,
                                   struct smux__chunk *before)
{
    struct smux__chunk *tail = q->tail;

    if (tail->begin == tail->end) {
        unlink_chunk(q, tail->next == tail ? tail : before, tail);
        smux__chunk_unref(pool, tail);
    }
}

bool smux__queue_remove(struct smux__queue *q, struct smux__chunk *chunk)
{
    struct smux__chunk *prev = q->tail;

    if (prev == NULL) {
        return false;
    }
    while (prev->next != chunk) {
        prev = prev->next;
        if (prev == q->tail) {
            return false;
        }
    }
    q->len -= chunk->end - chunk->begin;
    unlink_chunk(q, prev, chunk);
    return true;
}

void smux__queue_clear(struct smux__queue *q, struct smux__pool *pool)
{
    while (q->tail != NULL) {
        queue_pop(q, pool);
    }
    q->len = 0;
}
