/*
 * delays.h - real threads that are held up at random where they meet, so that orders come about
 * which a quiet machine shows once a year. For ThreadSanitizer, which the delays tell of no order
 * between threads; and a time limit.
 */
#ifndef SCHEDULES_DELAYS_H
#define SCHEDULES_DELAYS_H

#include <stdint.h>

/** Begins a run; it may take so many seconds, or the program reports what all threads are at and
 *  aborts. */
void delays_begin(uint64_t seed, unsigned limit_s);

void delays_end(void);

/** Goes on, gives the processor away, or sleeps a while. */
void delays_pause(void);

#endif
