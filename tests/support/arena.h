/*
 * arena.h - an allocator whose whole state can be saved, compared and brought back.
 *
 * An engine cannot be copied, but the memory it lives in can: it has no other state. Blocks of one
 * size class lie in a row at fixed addresses, each in the first place that is free; free memory is
 * zero. Two states are the same if their blocks have the same content, whichever places they have:
 * to compare them, an address is replaced by the number of its block, counted in the order in which
 * the blocks are found from some roots. No code here looks at an address but to follow it.
 */
#ifndef SUPPORT_ARENA_H
#define SUPPORT_ARENA_H

#include <smux/base.h>

#define ARENA_CLASSES  9  /**< of 64, 128, 256 .. 16384 bytes */
#define ARENA_PLACES   16 /**< blocks of a class */
#define ARENA_SMALLEST 64
#define ARENA_SIZE     (ARENA_PLACES * (((size_t)ARENA_SMALLEST << ARENA_CLASSES) - ARENA_SMALLEST))

struct arena {
    struct smux_allocator allocator;             /**< ctx points back to this struct */
    uint32_t sizes[ARENA_CLASSES][ARENA_PLACES]; /**< of the blocks, in 32 bytes; 0: free */
    _Alignas(64) uint8_t memory[ARENA_SIZE];
};

void arena_init(struct arena *arena);

/** Number of blocks that were not freed. */
unsigned arena_blocks(const struct arena *arena);

/** A hash of all blocks that can be reached from the roots; NULL among them is fine. */
uint64_t arena_hash(const struct arena *arena, const void *const *roots, unsigned n);

/** Bytes that a copy takes. */
size_t arena_copy_size(const struct arena *arena);

void arena_save(const struct arena *arena, uint8_t *copy);
void arena_restore(struct arena *arena, const uint8_t *copy);

#endif
