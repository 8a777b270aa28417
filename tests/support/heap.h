/*
 * heap.h - an allocator that counts, and fails when told to.
 *
 * Give `&heap.allocator` to a configuration. Afterwards `now` must be 0 [I12].
 */
#ifndef SUPPORT_HEAP_H
#define SUPPORT_HEAP_H

#include <smux/base.h>

struct heap {
    struct smux_allocator allocator; /**< ctx points back to this struct */
    _Atomic size_t now;              /**< bytes asked for and not freed; others may watch it */
    size_t peak;                     /**< largest value of `now` since heap_reset_peak() */
    size_t blocks;                   /**< number of blocks not freed */
    uint64_t calls;                  /**< number of allocations asked for */
    uint64_t fail_at;                /**< the n-th allocation fails, counted from 1; 0 = none */
    bool fail_on;                    /**< all later ones fail too */
    uint32_t fail_percent;           /**< seeded random failures */
    uint64_t fail_state;             /**< state of their generator */
    uint64_t failures;               /**< number of allocations that failed */
};

void heap_init(struct heap *heap);
void heap_reset_peak(struct heap *heap);

#endif
