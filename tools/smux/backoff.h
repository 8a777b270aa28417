/*
 * backoff.h - how long to wait before the next attempt.
 */
#ifndef TOOL_BACKOFF_H
#define TOOL_BACKOFF_H

#include <stdint.h>

/*
 * Exponential back-off with full jitter: a random time from 0 to min * 2^(attempt-1), at most
 * cap. Clients that lost the same server at the same moment do not come back together.
 *
 * attempt: failed attempts in a row, from 1
 * random:  any 64 random bits
 */
uint32_t backoff_delay_ms(uint32_t min_ms, uint32_t cap_ms, unsigned attempt, uint64_t random);

#endif
