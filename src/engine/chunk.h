/*
 * chunk.h - the memory that payload lives in.
 *
 * A chunk is one allocation: this header and `cap` bytes behind it, of which [begin, end) are in
 * use. It is reference counted, because bytes of a send queue are handed to the transport while
 * the queue goes on. A loan is a chunk whose bytes belong to the caller of lend(); it has cap 0.
 *
 *      base      begin          end            cap
 *        |  done   |  in use     |  free room   |
 *
 * Capacities are 64 * 2^k and 96 * 2^k up to 64 KiB.
 *
 * Chunks that hold received data are charged to the session's budget with all the memory they
 * occupy, from allocation to release [BKT-2, BKT-3, BKT-5]. That is stricter than charging what
 * is in them, and makes the budget a bound on memory by construction.
 */
#ifndef SMUX__CHUNK_H
#define SMUX__CHUNK_H

#include "bits.h"
#include "pool.h"

#define SMUX__CHUNK_MIN 64u
#define SMUX__CHUNK_MAX 65536u

struct smux__chunk {
    struct smux__chunk *next; /* in a queue (circular) or in the pool */
    uint8_t *base;            /* first byte: behind this header, or lent memory */
    uint32_t cap;             /* bytes of room behind this header; 0 for a loan */
    uint32_t begin;           /* first byte in use */
    uint32_t end;             /* first free byte */
    uint16_t refs;            /* owners */
    uint8_t size_class;       /* index of cap, or of the record behind a loan */
    bool charged;             /* counts against the budget */
};

/* What smux__chunk_new() does when no chunk of that size is at hand. */
SMUX__RARE struct smux__chunk *smux__chunk_allocate(struct smux__pool *pool, unsigned size_class,
                                                    bool charged);

/* Bytes of room of a class: even ones have 64 * 2^k, odd ones 96 * 2^k. */
static inline uint32_t smux__chunk_cap(unsigned size_class)
{
    uint32_t power = SMUX__CHUNK_MIN << (size_class / 2);

    return size_class % 2 == 0 ? power : power + power / 2;
}

/* The smallest class with room for `want` bytes; the largest one if there is none. */
static inline unsigned smux__chunk_class(size_t want)
{
    if (want <= SMUX__CHUNK_MIN) {
        return 0;
    }
    uint32_t most = want < SMUX__CHUNK_MAX ? (uint32_t)want : SMUX__CHUNK_MAX;
    unsigned odd = 2 * smux__highest_bit((most - 1) / SMUX__CHUNK_MIN) + 1;
    return smux__chunk_cap(odd) < most ? odd + 1 : odd;
}

/* Gives a chunk that nobody owns any more to the pool, or back to the allocator. */
void smux__chunk_free(struct smux__pool *pool, struct smux__chunk *chunk);

/* Makes a chunk that refers to lent memory; smux__loan_owner() is kept with it. */
struct smux__chunk *smux__loan_new(struct smux__pool *pool, const void *data, uint32_t len,
                                   void *owner);

/* The owner of a loan, NULL for a chunk of our own. */
void *smux__loan_owner(const struct smux__chunk *chunk);

/* All memory that a chunk takes. */
static inline size_t smux__chunk_memory(const struct smux__chunk *chunk)
{
    return sizeof(*chunk) + chunk->cap;
}

/* Lets a chunk count against the budget from now on. */
static inline void smux__chunk_charge(struct smux__pool *pool, struct smux__chunk *chunk)
{
    chunk->charged = true;
    pool->charged += smux__chunk_memory(chunk);
}

/* Takes an empty chunk of a class from the pool, which must have one. It has its place and its size
 * already. */
static inline struct smux__chunk *smux__chunk_reuse(struct smux__pool *pool, unsigned size_class,
                                                    bool charged)
{
    struct smux__chunk *chunk = pool->free_list[size_class];

    pool->free_list[size_class] = chunk->next;
    pool->cached -= smux__chunk_memory(chunk);
    pool->charged += charged ? smux__chunk_memory(chunk) : 0;
    SMUX__UNPOISON(chunk->base, chunk->cap);
    chunk->begin = 0;
    chunk->end = 0;
    chunk->refs = 1;
    chunk->charged = charged;
    return chunk;
}

/* Makes an empty chunk with room for at least `want` bytes (at most SMUX__CHUNK_MAX), or NULL. */
static inline struct smux__chunk *smux__chunk_new(struct smux__pool *pool, size_t want,
                                                  bool charged)
{
    unsigned size_class = smux__chunk_class(want);

    return pool->free_list[size_class] != NULL ? smux__chunk_reuse(pool, size_class, charged)
                                               : smux__chunk_allocate(pool, size_class, charged);
}

/* Makes the record of a loan a chunk again. */
SMUX__RARE void smux__loan_end(struct smux__chunk *chunk);

/* Gives a chunk back to the allocator. */
SMUX__RARE void smux__chunk_release(struct smux__pool *pool, struct smux__chunk *chunk);

/* Gives a chunk to a pool that has room for it; its charge was returned. */
static inline void smux__chunk_keep(struct smux__pool *pool, struct smux__chunk *chunk)
{
    chunk->next = pool->free_list[chunk->size_class];
    pool->free_list[chunk->size_class] = chunk;
    pool->cached += smux__chunk_memory(chunk);
    SMUX__POISON(chunk->base, chunk->cap);
}

/* Drops a reference; the last one frees the chunk and returns its charge. */
static inline void smux__chunk_unref(struct smux__pool *pool, struct smux__chunk *chunk)
{
    if (--chunk->refs == 0) {
        smux__chunk_free(pool, chunk);
    }
}

static inline struct smux__chunk *smux__chunk_ref(struct smux__chunk *chunk)
{
    chunk->refs++;
    return chunk;
}

static inline uint32_t smux__chunk_room(const struct smux__chunk *chunk)
{
    return chunk->cap > chunk->end ? chunk->cap - chunk->end : 0;
}

#endif
