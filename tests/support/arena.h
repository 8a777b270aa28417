/*
 * arena.h - an allocator whose whole state can be saved, compared and brought back.
 *
 * An engine cannot be copied, but the memory it lives in can: it has no other state. Blocks of one
 * size class lie in a row at fixed addresses, each in the first place that is free; free memory is
 * zero. So two ways to the same state most often end with the same bytes, and equal bytes are the
 * same state.
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

/** A hash of all that is in use. */
uint64_t arena_hash(const struct arena *arena);

/** Bytes that a copy takes. */
size_t arena_copy_size(const struct arena *arena);

void arena_save(const struct arena *arena, uint8_t *copy);
void arena_restore(struct arena *arena, const uint8_t *copy);

#endif
