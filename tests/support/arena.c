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

/* --- comparing ----------------------------------------------------------------------------- */

/* The blocks that were found from the roots, in the order in which they were found. */
struct walk {
    const struct arena *arena;
    uint8_t number[ARENA_CLASSES][ARENA_PLACES]; /* from 1; 0: not found yet */
    struct {
        uint8_t size_class, i;
    } found[ARENA_CLASSES * ARENA_PLACES];
    unsigned n;
};

#define STALE UINT64_MAX /* an address of memory that was freed: nobody may follow it */

/* Names the block that lies at an offset by the order of discovery, and the place in it: that is
 * the same wherever the block is. */
static uint64_t walk_to(struct walk *walk, size_t offset)
{
    unsigned size_class = 0, i;

    while (class_offset(size_class + 1) <= offset) {
        size_class++;
    }
    offset -= class_offset(size_class);
    i = (unsigned)(offset / class_size(size_class));
    if (!is_used(walk->arena, size_class, i)) {
        return STALE;
    }
    if (walk->number[size_class][i] == 0) {
        walk->found[walk->n].size_class = (uint8_t)size_class;
        walk->found[walk->n++].i = (uint8_t)i;
        walk->number[size_class][i] = (uint8_t)walk->n;
    }
    return (uint64_t)walk->number[size_class][i] << 32 | (offset - i * class_size(size_class));
}

/* Words, as large as an address, that are none stay what they are. */
static inline uint64_t walk_word(struct walk *walk, uintptr_t word)
{
    uintptr_t offset = word - (uintptr_t)walk->arena->memory;

    return offset < ARENA_SIZE ? walk_to(walk, (size_t)offset) : word;
}

static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* Words that are zero, which most are, count by the place of the next one that is not. */
static uint64_t hash_block(struct walk *walk, uint64_t hash, const uint8_t *block, size_t len)
{
    static const uint8_t zeros[UNIT];
    uintptr_t words[UNIT / sizeof(uintptr_t)];

    for (size_t at = 0; at < len; at += UNIT) {
        if (memcmp(block + at, zeros, UNIT) == 0) {
            continue;
        }
        memcpy(words, block + at, UNIT);
        hash += at;
        for (unsigned i = 0; i < UNIT / sizeof(words[0]); i++) {
            hash = hash_word(hash, walk_word(walk, words[i]));
        }
    }
    return hash_word(hash, len);
}

uint64_t arena_hash(const struct arena *arena, const void *const *roots, unsigned n)
{
    struct walk walk = {.arena = arena};
    uint64_t hash = n;

    for (unsigned i = 0; i < n; i++) {
        hash = hash_word(hash, walk_word(&walk, (uintptr_t)roots[i]));
    }
    for (unsigned k = 0; k < walk.n; k++) { /* which finds more of them */
        unsigned c = walk.found[k].size_class, i = walk.found[k].i;

        hash = hash_block(&walk, hash, arena->memory + class_offset(c) + i * class_size(c),
                          block_len(arena, c, i));
    }
    return rng_mix(hash);
}

/* --- copies -------------------------------------------------------------------------------- */

static bool has_blocks(const uint32_t sizes[ARENA_PLACES])
{
    uint32_t any = 0;

    for (unsigned i = 0; i < ARENA_PLACES; i++) {
        any |= sizes[i];
    }
    return any != 0;
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
        for (unsigned i = 0; i < ARENA_PLACES && has_blocks(arena->sizes[c]); i++) {
            size_t len = block_len(arena, c, i);

            memcpy(copy, arena->memory + class_offset(c) + i * class_size(c), len);
            copy += len;
        }
    }
}

/* Brings back the blocks of a class; returns how many bytes of the copy they took. */
static size_t restore_class(struct arena *arena, unsigned c, const uint32_t sizes[ARENA_PLACES],
                            const uint8_t *copy)
{
    size_t done = 0;

    for (unsigned i = 0; i < ARENA_PLACES; i++) {
        size_t old = block_len(arena, c, i);
        size_t len = (size_t)sizes[i] * UNIT;

        arena->sizes[c][i] = sizes[i];
        memcpy(place(arena, c, i), copy + done, len);
        done += len;
        if (old > len) {
            memset(place(arena, c, i) + len, 0, old - len);
        }
    }
    return done;
}

void arena_restore(struct arena *arena, const uint8_t *copy)
{
    const uint8_t *sizes = copy;
    uint32_t row[ARENA_PLACES];

    copy += sizeof(arena->sizes);
    for (unsigned c = 0; c < ARENA_CLASSES; c++) {
        memcpy(row, sizes + c * sizeof(row), sizeof(row));
        if (has_blocks(row) || has_blocks(arena->sizes[c])) {
            copy += restore_class(arena, c, row, copy);
        }
    }
}
