/*
 * arena.h - an allocator whose whole state can be saved, compared and brought back.
 *
 * An engine cannot be copied, but the memory it lives in can: it has no other state. Blocks lie in
 * one array at fixed addresses, each in the lowest place that is free; free memory is zero. So two
 * ways to the same state most often end with the same bytes, and equal bytes are the same state.
 */
#ifndef SUPPORT_ARENA_H
#define SUPPORT_ARENA_H

#include <smux/base.h>

#define ARENA_UNIT  64
#define ARENA_UNITS 4096

struct arena {
    struct smux_allocator allocator; /**< ctx points back to this struct */
    size_t top;                      /**< units in use, with the gaps between them */
    size_t blocks;                   /**< blocks not freed */
    uint16_t sizes[ARENA_UNITS]; /**< at the first unit of a block: its units; 0: free or inside */
    _Alignas(ARENA_UNIT) uint8_t memory[ARENA_UNITS * ARENA_UNIT];
};

void arena_init(struct arena *arena);

/** A hash of all that is in use. */
uint64_t arena_hash(const struct arena *arena);

/** Bytes that a copy takes. */
size_t arena_copy_size(const struct arena *arena);

void arena_save(const struct arena *arena, uint8_t *copy);
void arena_restore(struct arena *arena, const uint8_t *copy);

#endif
