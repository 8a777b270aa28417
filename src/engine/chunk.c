#include "chunk.h"

#include <string.h>

struct smux__chunk *smux__chunk_allocate(struct smux__pool *pool, unsigned size_class, bool charged)
{
    uint32_t cap = smux__chunk_cap(size_class);
    struct smux__chunk *chunk = pool->alloc.alloc(sizeof(*chunk) + cap, pool->alloc.ctx);

    if (chunk == NULL) {
        return NULL;
    }
    chunk->next = NULL;
    chunk->base = (uint8_t *)(chunk + 1);
    chunk->cap = cap;
    chunk->begin = 0;
    chunk->end = 0;
    chunk->refs = 1;
    chunk->size_class = (uint8_t)size_class;
    chunk->charged = charged;
    pool->charged += charged ? smux__chunk_memory(chunk) : 0;
    return chunk;
}

/* The room of a loan's record holds the owner instead of payload. */
struct smux__chunk *smux__loan_new(struct smux__pool *pool, const void *data, uint32_t len,
                                   void *owner)
{
    struct smux__chunk *chunk = smux__chunk_new(pool, sizeof(void *), false);

    if (chunk != NULL) {
        memcpy(chunk->base, &owner, sizeof(owner));
        chunk->base = (uint8_t *)(uintptr_t)data;
        chunk->cap = 0;
        chunk->end = len;
    }
    return chunk;
}

void *smux__loan_owner(const struct smux__chunk *chunk)
{
    void *owner = NULL;

    if (chunk->cap == 0) {
        memcpy(&owner, chunk + 1, sizeof(owner));
    }
    return owner;
}

void smux__chunk_release(struct smux__pool *pool, struct smux__chunk *chunk)
{
    pool->alloc.free(chunk, pool->alloc.ctx);
}

void smux__loan_end(struct smux__chunk *chunk)
{
    chunk->base = (uint8_t *)(chunk + 1);
    chunk->cap = smux__chunk_cap(chunk->size_class);
}

void smux__chunk_free(struct smux__pool *pool, struct smux__chunk *chunk)
{
    if (chunk->cap == 0) {
        smux__loan_end(chunk);
    }
    size_t memory = smux__chunk_memory(chunk);
    pool->charged -= chunk->charged ? memory : 0;
    if (smux__pool_has_room(pool, memory)) {
        smux__chunk_keep(pool, chunk);
    } else {
        smux__chunk_release(pool, chunk);
    }
}
