#include "heap.h"

#include <stdlib.h>
#include <string.h>

#include "rng.h"

/* Stands in front of every block; its size keeps the block aligned like max_align_t. */
union block_header {
    struct {
        size_t size;
        uint32_t magic;
    } info;
    max_align_t align;
};

#define BLOCK_LIVE UINT32_C(0xa110ca7e)
#define BLOCK_DEAD UINT32_C(0xdeadb10c)

static bool heap_must_fail(struct heap *heap)
{
    struct rng rng;

    if (heap->fail_at != 0 && heap->calls >= heap->fail_at) {
        return heap->calls == heap->fail_at || heap->fail_on;
    }
    if (heap->fail_percent == 0) {
        return false;
    }
    rng.state = heap->fail_state;
    heap->fail_state = rng_next(&rng);
    return rng_chance(&rng, heap->fail_percent);
}

static void *heap_alloc(size_t size, void *ctx)
{
    struct heap *heap = ctx;
    union block_header *block;

    heap->calls++;
    if (size == 0) {
        abort(); /* the contract of struct smux_allocator */
    }
    if (heap_must_fail(heap)) {
        heap->failures++;
        return NULL;
    }
    block = malloc(sizeof(*block) + size);
    if (block == NULL) {
        return NULL;
    }
    block->info.size = size;
    block->info.magic = BLOCK_LIVE;
    heap->now += size;
    heap->blocks++;
    if (heap->now > heap->peak) {
        heap->peak = heap->now;
    }
    return block + 1;
}

static void heap_free(void *ptr, void *ctx)
{
    struct heap *heap = ctx;
    union block_header *block;

    if (ptr == NULL) {
        abort();
    }
    block = (union block_header *)ptr - 1;
    if (block->info.magic != BLOCK_LIVE) {
        abort();
    }
    block->info.magic = BLOCK_DEAD;
    heap->now -= block->info.size;
    heap->blocks--;
    /* Whoever still reads it shall read nonsense, also without a sanitizer. */
    memset(ptr, 0xdd, block->info.size < 512 ? block->info.size : 512);
    free(block);
}

void heap_init(struct heap *heap)
{
    memset(heap, 0, sizeof(*heap));
    heap->allocator.alloc = heap_alloc;
    heap->allocator.free = heap_free;
    heap->allocator.ctx = heap;
}

void heap_reset_peak(struct heap *heap)
{
    heap->peak = heap->now;
}
