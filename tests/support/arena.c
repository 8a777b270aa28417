#include "arena.h"

#include "must.h"
#include "rng.h"
#include <stdlib.h>
#include <string.h>

/* The lowest gap of so many units. */
static size_t find_gap(const struct arena *arena, size_t units)
{
    size_t begin = 0;

    for (size_t at = 0; at < arena->top;) {
        if (arena->sizes[at] != 0) {
            at += arena->sizes[at];
            begin = at;
        } else if (++at - begin == units) {
            return begin;
        }
    }
    return begin;
}

static void *arena_alloc(size_t size, void *ctx)
{
    struct arena *arena = ctx;
    size_t units = (size + ARENA_UNIT - 1) / ARENA_UNIT;
    size_t at = find_gap(arena, units);

    must(at + units <= ARENA_UNITS, "the arena is too small for %zu bytes", size);
    arena->sizes[at] = (uint16_t)units;
    arena->blocks++;
    if (at + units > arena->top) {
        arena->top = at + units;
    }
    return arena->memory + at * ARENA_UNIT;
}

static void arena_free(void *ptr, void *ctx)
{
    struct arena *arena = ctx;
    size_t at = (size_t)((uint8_t *)ptr - arena->memory) / ARENA_UNIT;

    must(arena->sizes[at] != 0, "not a block of the arena");
    memset(ptr, 0, (size_t)arena->sizes[at] * ARENA_UNIT);
    arena->sizes[at] = 0;
    arena->blocks--;
    while (arena->top > 0 && arena->sizes[arena->top - 1] == 0) {
        size_t below = arena->top - 1;

        /* The last unit may be inside of a block that begins before. */
        while (below > 0 && arena->sizes[below] == 0) {
            below--;
        }
        if (below + arena->sizes[below] >= arena->top) {
            return;
        }
        arena->top = arena->sizes[below] != 0 ? below + arena->sizes[below] : 0;
    }
}

void arena_init(struct arena *arena)
{
    memset(arena, 0, sizeof(*arena));
    arena->allocator.alloc = arena_alloc;
    arena->allocator.free = arena_free;
    arena->allocator.ctx = arena;
}

uint64_t arena_hash(const struct arena *arena)
{
    const uint8_t *end = arena->memory + arena->top * ARENA_UNIT;
    uint64_t lanes[4] = {arena->top, 1, 2, 3};
    uint64_t words[4];

    for (const uint8_t *at = arena->memory; at < end; at += sizeof(words)) {
        memcpy(words, at, sizeof(words));
        for (int i = 0; i < 4; i++) {
            lanes[i] = (lanes[i] ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
            lanes[i] ^= lanes[i] >> 29;
        }
    }
    for (size_t at = 0; at < arena->top; at++) {
        lanes[3] = (lanes[3] ^ arena->sizes[at]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return rng_mix(lanes[0]) ^ rng_mix(lanes[1] + 1) ^ rng_mix(lanes[2] + 2) ^
           rng_mix(lanes[3] + 3);
}

size_t arena_copy_size(const struct arena *arena)
{
    return 2 * sizeof(size_t) + arena->top * (sizeof(arena->sizes[0]) + ARENA_UNIT);
}

void arena_save(const struct arena *arena, uint8_t *copy)
{
    size_t sizes_len = arena->top * sizeof(arena->sizes[0]);

    memcpy(copy, &arena->top, sizeof(size_t));
    memcpy(copy + sizeof(size_t), &arena->blocks, sizeof(size_t));
    memcpy(copy + 2 * sizeof(size_t), arena->sizes, sizes_len);
    memcpy(copy + 2 * sizeof(size_t) + sizes_len, arena->memory, arena->top * ARENA_UNIT);
}

void arena_restore(struct arena *arena, const uint8_t *copy)
{
    size_t old = arena->top;
    size_t sizes_len;

    memcpy(&arena->top, copy, sizeof(size_t));
    memcpy(&arena->blocks, copy + sizeof(size_t), sizeof(size_t));
    sizes_len = arena->top * sizeof(arena->sizes[0]);
    memcpy(arena->sizes, copy + 2 * sizeof(size_t), sizes_len);
    memcpy(arena->memory, copy + 2 * sizeof(size_t) + sizes_len, arena->top * ARENA_UNIT);
    if (old > arena->top) {
        memset(arena->sizes + arena->top, 0, (old - arena->top) * sizeof(arena->sizes[0]));
        memset(arena->memory + arena->top * ARENA_UNIT, 0, (old - arena->top) * ARENA_UNIT);
    }
}
