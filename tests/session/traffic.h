/*
 * traffic.h - random use of two sessions by many threads.
 *
 * Every stream carries a header that tells its content. Whatever happens to a stream, what is read
 * is a prefix of what was written; if the end is reported, all of it [I1, I2].
 */
#ifndef SESSION_TRAFFIC_H
#define SESSION_TRAFFIC_H

#include "ends.h"

#include <stdatomic.h>

#define TRAFFIC_MAX_THREADS 6

struct traffic;

struct traffic_thread {
    struct task task;
    struct traffic *traffic;
    unsigned number;
};

struct traffic {
    struct ends *ends;
    uint64_t seed;
    unsigned threads;       /**< that open, and that accept; half of them at each end */
    unsigned streams_each;  /**< of an opener */
    uint32_t max_len;       /**< of a stream */
    bool small_budget;      /**< see traffic.c */
    bool may_end;           /**< a session may end at any time */
    atomic_uint n_complete; /**< streams read to their end */
    atomic_uint n_cut;      /**< others */
    struct traffic_thread openers[TRAFFIC_MAX_THREADS], accepters[TRAFFIC_MAX_THREADS];
};

void traffic_start(struct traffic *traffic);

/** Waits until all streams were opened and served. */
void traffic_join(struct traffic *traffic);

#endif
