/*
 * heap.h - the session whose timer is due first.
 *
 * A binary heap of pointers; every element knows its place, so that it can move. Room is
 * reserved when a session is made: setting a timer cannot fail.
 */
#ifndef SMUX__HEAP_H
#define SMUX__HEAP_H

#include <smux/base.h>

/* A member of whatever has a timer. */
struct smux__timed {
    uint64_t at_us; /* SMUX_NEVER: not in the heap */
    size_t place;
};

struct smux__heap {
    struct smux__timed **items;
    size_t n, capacity;
};

/* Makes room for `n` elements in total. False without memory. */
bool smux__heap_reserve(struct smux__heap *heap, size_t n);

/* Frees the memory of an empty heap. */
void smux__heap_deinit(struct smux__heap *heap);

/* Sets, moves or with SMUX_NEVER removes a timer. */
void smux__heap_set(struct smux__heap *heap, struct smux__timed *item, uint64_t at_us);

/* The first to be due, NULL if there is none. */
struct smux__timed *smux__heap_first(const struct smux__heap *heap);

#endif
