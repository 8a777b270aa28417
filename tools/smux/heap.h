/*
 * heap.h - an allocator for sessions that counts what is out.
 *
 * It counts the bytes asked for; what malloc adds to each piece shows in the resident memory.
 */
#ifndef TOOL_HEAP_H
#define TOOL_HEAP_H

#include <smux/base.h>
#include <stdatomic.h>

struct heap {
    struct smux_allocator allocator; /* for smux_config.allocator */
    _Atomic uint64_t bytes;          /* out now */
};

/* Must stay where it is while the allocator is in use. */
void heap_init(struct heap *heap);

/* Returns the bytes that are out now. */
uint64_t heap_bytes(const struct heap *heap);

#endif
