/*
 * counted.h - support/heap.h for sessions, whose memory is taken and given back in several threads.
 */
#ifndef ATTACK_COUNTED_H
#define ATTACK_COUNTED_H

#include "support/heap.h"

#include <pthread.h>

struct counted {
    struct smux_allocator allocator; /**< for smux_config.allocator */
    pthread_mutex_t lock;
    struct heap heap;
};

/** Must stay where it is while the allocator is in use. */
void counted_init(struct counted *counted);

/** Bytes that are out now, and the most there were. */
void counted_bytes(struct counted *counted, size_t *out_now, size_t *out_peak);

#endif
