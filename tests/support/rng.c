#include "rng.h"

uint64_t rng_mix(uint64_t word)
{
    word ^= word >> 30;
    word *= UINT64_C(0xbf58476d1ce4e5b9);
    word ^= word >> 27;
    word *= UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    rng->state = rng_mix(seed + 1);
}

static const uint8_t *tape;
static size_t tape_len;

void rng_tape(const uint8_t *data, size_t len)
{
    tape = data;
    tape_len = len;
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t word;

    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    word = rng_mix(rng->state);
    if (tape_len > 0) { /* the highest bits are those that count */
        tape_len--;
        word = (uint64_t)*tape++ << 56 | word >> 8;
    }
    return word;
}

uint32_t rng_below(struct rng *rng, uint32_t n)
{
    return (uint32_t)(((rng_next(rng) >> 32) * n) >> 32);
}

uint32_t rng_between(struct rng *rng, uint32_t low, uint32_t high)
{
    return low + (uint32_t)(((rng_next(rng) >> 32) * ((uint64_t)high - low + 1)) >> 32);
}

static uint32_t num_bits(uint32_t value)
{
    uint32_t bits = 0;

    while (value > 0) {
        bits++;
        value >>= 1;
    }
    return bits;
}

uint32_t rng_log(struct rng *rng, uint32_t low, uint32_t high)
{
    uint32_t bits = rng_between(rng, num_bits(low), num_bits(high));
    uint32_t from = (uint32_t)1 << (bits - 1);
    uint32_t to = from + (from - 1);

    if (from < low) {
        from = low;
    }
    if (to > high) {
        to = high;
    }
    return rng_between(rng, from, to);
}

bool rng_chance(struct rng *rng, uint32_t percent)
{
    return rng_below(rng, 100) < percent;
}
