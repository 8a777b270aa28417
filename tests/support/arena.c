#include "arena.h"

#include "must.h"
#include "rng.h"
#include <string.h>

/* What is hashed at once. */
#define UNIT 32

static size_t class_size(unsigned size_class)
{
    return (size_t)ARENA_SMALLEST << size_class;
}

/* Where the row of a class begins: behind those of all smaller ones. */
static size_t class_offset(unsigned size_class)
{
    return ARENA_PLACES * (class_size(size_class) - ARENA_SMALLEST);
}

static uint8_t *place(struct arena *arena, unsigned size_class, unsigned i)
{
    return arena->memory + class_offset(size_class) + i * class_size(size_class);
}

static bool is_used(const struct arena *arena, unsigned size_class, unsigned i)
{
    return arena->sizes[size_class][i] != 0;
}

static size_t block_len(const struct arena *arena, unsigned size_class, unsigned i)
{
    return (size_t)arena->sizes[size_class][i] * UNIT;
}

static void *arena_alloc(size_t size, void *ctx)
{
    struct arena *arena = ctx;
    unsigned size_class = 0, i = 0;

    while (class_size(size_class) < size) {
        size_class++;
    }
    while (i < ARENA_PLACES && is_used(arena, size_class, i)) {
        i++;
    }
    must(size_class < ARENA_CLASSES && i < ARENA_PLACES, "no place for %zu bytes", size);
    arena->sizes[size_class][i] = (uint32_t)((size + UNIT - 1) / UNIT);
    return place(arena, size_class, i);
}

static void arena_free(void *ptr, void *ctx)
{
    struct arena *arena = ctx;
    size_t offset = (size_t)((uint8_t *)ptr - arena->memory);
    unsigned size_class = 0, i;

    while (class_offset(size_class + 1) <= offset) {
        size_class++;
    }
    i = (unsigned)((offset - class_offset(size_class)) / class_size(size_class));
    must(is_used(arena, size_class, i), "not a block of the arena");
    memset(ptr, 0, block_len(arena, size_class, i));
    arena->sizes[size_class][i] = 0;
}

void arena_init(struct arena *arena)
{
    memset(arena, 0, sizeof(*arena));
    arena->allocator.alloc = arena_alloc;
    arena->allocator.free = arena_free;
    arena->allocator.ctx = arena;
}

unsigned arena_blocks(const struct arena *arena)
{
    unsigned n = 0;

    for (unsigned c = 0; c < ARENA_CLASSES; c++) {
        for (unsigned i = 0; i < ARENA_PLACES; i++) {
            n += is_used(arena, c, i);
        }
    }
    return n;
}

static void hash_block(uint64_t lanes[4], const uint8_t *block, size_t len)
{
    uint64_t words[4];

    for (size_t at = 0; at < len; at += UNIT) {
        memcpy(words, block + at, UNIT);
        if ((words[0] | words[1] | words[2] | words[3]) == 0) {
            continue; /* most of it */
        }
        lanes[0] += at;
        for (int i = 0; i < 4; i++) {
            lanes[i] = (lanes[i] ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
            lanes[i] ^= lanes[i] >> 29;
        }
    }
}

uint64_t arena_hash(const struct arena *arena)
{
    uint64_t lanes[4] = {0, 1, 2, 3};

    for (unsigned c = 0; c < ARENA_CLASSES; c++) {
        for (unsigned i = 0; i < ARENA_PLACES; i++) {
            if (is_used(arena, c, i)) {
                lanes[0] = rng_mix(lanes[0] ^ (c * ARENA_PLACES + i)) ^ arena->sizes[c][i];
                hash_block(lanes, arena->memory + class_offset(c) + i * class_size(c),
                           block_len(arena, c, i));
            }
        }
    }
    return rng_mix(lanes[0]) ^ rng_mix(lanes[1] + 1) ^ rng_mix(lanes[2] + 2) ^
           rng_mix(lanes[3] + 3);
}

size_t arena_copy_size(const struct arena *arena)
{
    size_t size = sizeof(arena->sizes);

    for (unsigned c = 0; c < ARENA_CLASSES; c++) {
        for (unsigned i = 0; i < ARENA_PLACES; i++) {
            size += block_len(arena, c, i);
        }
    }
    return size;
}

void arena_save(const struct arena *arena, uint8_t *copy)
{
    memcpy(copy, arena->sizes, sizeof(arena->sizes));
    copy += sizeof(arena->sizes);
    for (unsigned c = 0; c < ARENA_CLASSES; c++) {
        for (unsigned i = 0; i < ARENA_PLACES; i++) {
            size_t len = block_len(arena, c, i);

            memcpy(copy, arena->memory + class_offset(c) + i * class_size(c), len);
            copy += len;
        }
    }
}

void arena_restore(struct arena *arena, const uint8_t *copy)
{
    const uint8_t *sizes = copy;

    copy += sizeof(arena->sizes);
    for (unsigned c = 0; c < ARENA_CLASSES; c++) {
        for (unsigned i = 0; i < ARENA_PLACES; i++) {
            size_t old = block_len(arena, c, i);
            size_t len;

            memcpy(&arena->sizes[c][i], sizes, sizeof(arena->sizes[c][i]));
            sizes += sizeof(arena->sizes[c][i]);
            len = block_len(arena, c, i);
            memcpy(place(arena, c, i), copy, len);
            copy += len;
            if (old > len) {
                memset(place(arena, c, i) + len, 0, old - len);
            }
        }
    }
}
