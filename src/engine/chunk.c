#include "chunk.h"

#include <string.h>

#define MIN_CAP 64u

/* Even classes are 64 * 2^k, odd ones 96 * 2^k. */
static uint32_t class_cap(unsigned size_class)
{
    uint32_t power = MIN_CAP << (size_class / 2);

    return size_class % 2 == 0 ? power : power + power / 2;
}

static unsigned class_for(size_t want)
{
    unsigned size_class = 0;

    if (want > MIN_CAP) {
        uint32_t above = (uint32_t)(want - 1) / MIN_CAP; /* >= 1 */
        unsigned log2 = 0;
        while (above >> (log2 + 1) != 0) {
            log2++;
        }
        size_class = 2 * log2 + 1;
    }
    while (class_cap(size_class) < want) {
        size_class++;
    }
    return size_class;
}

static size_t chunk_memory(unsigned size_class)
{
    return sizeof(struct smux__chunk) + class_cap(size_class);
}

void smux__pool_init(struct smux__pool *pool, const struct smux_allocator *alloc, size_t max_cached)
{
    memset(pool, 0, sizeof(*pool));
    pool->alloc = *alloc;
    pool->max_cached = max_cached;
}

void smux__pool_trim(struct smux__pool *pool, size_t keep)
{
    for (unsigned i = SMUX__CHUNK_CLASSES; i-- > 0 && pool->cached > keep;) {
        while (pool->free_list[i] != NULL && pool->cached > keep) {
            struct smux__chunk *chunk = pool->free_list[i];
            pool->free_list[i] = chunk->next;
            pool->cached -= chunk_memory(i);
            pool->alloc.free(chunk, pool->alloc.ctx);
        }
    }
}

static struct smux__chunk *chunk_take(struct smux__pool *pool, unsigned size_class)
{
    struct smux__chunk *chunk = pool->free_list[size_class];

    if (chunk != NULL) {
        pool->free_list[size_class] = chunk->next;
        pool->cached -= chunk_memory(size_class);
        return chunk;
    }
    return pool->alloc.alloc(chunk_memory(size_class), pool->alloc.ctx);
}

struct smux__chunk *smux__chunk_new(struct smux__pool *pool, size_t want, bool charged)
{
    unsigned size_class = class_for(want < SMUX__CHUNK_MAX ? want : SMUX__CHUNK_MAX);
    struct smux__chunk *chunk = chunk_take(pool, size_class);

    if (chunk == NULL) {
        return NULL;
    }
    chunk->next = NULL;
    chunk->base = (uint8_t *)(chunk + 1);
    chunk->cap = class_cap(size_class);
    chunk->begin = 0;
    chunk->end = 0;
    chunk->refs = 1;
    chunk->size_class = (uint8_t)size_class;
    chunk->charged = charged;
    if (charged) {
        pool->charged += chunk_memory(size_class);
    }
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

void smux__chunk_unref(struct smux__pool *pool, struct smux__chunk *chunk)
{
    unsigned size_class = chunk->size_class;
    size_t memory = chunk_memory(size_class);

    if (--chunk->refs > 0) {
        return;
    }
    if (chunk->charged) {
        pool->charged -= memory;
    }
    if (pool->cached + memory > pool->max_cached) {
        pool->alloc.free(chunk, pool->alloc.ctx);
        return;
    }
    chunk->next = pool->free_list[size_class];
    pool->free_list[size_class] = chunk;
    pool->cached += memory;
}
