/*
 * rng.h - one seeded random generator (SplitMix64), so that every run can be repeated.
 */
#ifndef SUPPORT_RNG_H
#define SUPPORT_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/** The mixing step of SplitMix64; also a good hash of one word. */
uint64_t rng_mix(uint64_t word);

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);

/** Lets the next numbers of all generators begin with these bytes, one a number, for as long as
 *  they last; so a fuzzer decides what a seed would. len = 0 ends it. */
void rng_tape(const uint8_t *data, size_t len);

/** A number of 0..n-1; n is at least 1. */
uint32_t rng_below(struct rng *rng, uint32_t n);

/** A number of low..high, both included. */
uint32_t rng_between(struct rng *rng, uint32_t low, uint32_t high);

/** A number of low..high where each power of two is equally likely; low is at least 1. */
uint32_t rng_log(struct rng *rng, uint32_t low, uint32_t high);

/** True in `percent` of 100 cases. */
bool rng_chance(struct rng *rng, uint32_t percent);

#endif
