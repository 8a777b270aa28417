/*
 * pool.h - the memory of an engine: what is freed is kept for the next one that asks for the same.
 *
 * So steady traffic allocates nothing. There are chunks for payload, of several sizes (chunk.h), and
 * records, each kind of one size. What is kept is limited, and given back when it is not used.
 */
#ifndef SMUX__POOL_H
#define SMUX__POOL_H

#include "poison.h"
#include "rare.h"

#include <smux/base.h>

#include <stdbool.h>

#define SMUX__CHUNK_CLASSES 21

struct smux__chunk;

enum smux__record_kind {
    SMUX__RECORD_STREAM,
    SMUX__RECORD_TRAFFIC,
    SMUX__RECORD_KINDS
};

/* The beginning of a free record. */
struct smux__spare {
    struct smux__spare *next;
};

struct smux__records {
    struct smux__spare *spares;
    size_t size; /* of one; at least that of a pointer */
};

struct smux__pool {
    struct smux_allocator alloc;
    struct smux__chunk *free_list[SMUX__CHUNK_CLASSES];
    struct smux__records records[SMUX__RECORD_KINDS];
    size_t cached;     /* bytes in the free lists */
    size_t max_cached; /* beyond this, what is freed goes back to the allocator */
    size_t charged;    /* bytes of charged chunks [BKT-5] */
};

/* `sizes` are those of the kinds of records. */
void smux__pool_init(struct smux__pool *pool, const struct smux_allocator *alloc, size_t max_cached,
                     const size_t sizes[SMUX__RECORD_KINDS]);

/* Gives free memory back to the allocator until at most `keep` bytes are cached. */
void smux__pool_trim(struct smux__pool *pool, size_t keep);

/* What the two below do when none is kept, or enough are. */
SMUX__RARE void *smux__pool_allocate(struct smux__pool *pool, enum smux__record_kind kind);
SMUX__RARE void smux__pool_free(struct smux__pool *pool, void *record);

/* Memory for a record, as it was given back but for the first pointer, or of zeros; NULL if there is
 * none. */
static inline void *smux__pool_take(struct smux__pool *pool, enum smux__record_kind kind)
{
    struct smux__records *records = &pool->records[kind];
    struct smux__spare *spare = records->spares;

    if (spare == NULL) {
        return smux__pool_allocate(pool, kind);
    }
    records->spares = spare->next;
    pool->cached -= records->size;
    SMUX__UNPOISON(spare, records->size);
    return spare;
}

/* Whether so many bytes more may be kept. */
static inline bool smux__pool_has_room(const struct smux__pool *pool, size_t size)
{
    return pool->cached + size <= pool->max_cached;
}

/* Gives a record to a pool that has room for it. */
static inline void smux__pool_keep(struct smux__pool *pool, enum smux__record_kind kind,
                                   void *record)
{
    struct smux__records *records = &pool->records[kind];
    struct smux__spare *spare = record;

    spare->next = records->spares;
    records->spares = spare;
    pool->cached += records->size;
    SMUX__POISON(spare + 1, records->size - sizeof(*spare));
}

static inline void smux__pool_give(struct smux__pool *pool, enum smux__record_kind kind,
                                   void *record)
{
    if (smux__pool_has_room(pool, pool->records[kind].size)) {
        smux__pool_keep(pool, kind, record);
    } else {
        smux__pool_free(pool, record);
    }
}

#endif
