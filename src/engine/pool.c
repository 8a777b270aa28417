#include "pool.h"

#include "chunk.h"

#include <string.h>

void smux__pool_init(struct smux__pool *pool, const struct smux_allocator *alloc, size_t max_cached,
                     const size_t sizes[SMUX__RECORD_KINDS])
{
    memset(pool, 0, sizeof(*pool));
    pool->alloc = *alloc;
    pool->max_cached = max_cached;
    for (unsigned i = 0; i < SMUX__RECORD_KINDS; i++) {
        pool->records[i].size = sizes[i];
    }
}

void *smux__pool_allocate(struct smux__pool *pool, enum smux__record_kind kind)
{
    size_t size = pool->records[kind].size;
    void *record = pool->alloc.alloc(size, pool->alloc.ctx);

    return record != NULL ? memset(record, 0, size) : NULL;
}

void smux__pool_free(struct smux__pool *pool, void *record)
{
    pool->alloc.free(record, pool->alloc.ctx);
}

static void trim_chunks(struct smux__pool *pool, struct smux__chunk **free_list, size_t keep)
{
    struct smux__chunk *chunk;

    while ((chunk = *free_list) != NULL && pool->cached > keep) {
        *free_list = chunk->next;
        pool->cached -= smux__chunk_memory(chunk);
        SMUX__UNPOISON(chunk->base, chunk->cap);
        pool->alloc.free(chunk, pool->alloc.ctx);
    }
}

static void trim_records(struct smux__pool *pool, struct smux__records *records, size_t keep)
{
    struct smux__spare *spare;

    while ((spare = records->spares) != NULL && pool->cached > keep) {
        records->spares = spare->next;
        pool->cached -= records->size;
        SMUX__UNPOISON(spare, records->size);
        pool->alloc.free(spare, pool->alloc.ctx);
    }
}

void smux__pool_trim(struct smux__pool *pool, size_t keep)
{
    for (unsigned i = 0; i < SMUX__RECORD_KINDS; i++) { /* many and small: they cost most to keep */
        trim_records(pool, &pool->records[i], keep);
    }
    for (unsigned i = SMUX__CHUNK_CLASSES; i-- > 0;) {
        trim_chunks(pool, &pool->free_list[i], keep);
    }
}
