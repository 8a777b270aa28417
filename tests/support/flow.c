#include "flow.h"

#include "rng.h"

uint64_t flow_key(uint64_t seed, uint32_t id, unsigned writer)
{
    return rng_mix(seed ^ rng_mix(((uint64_t)id << 1 | writer) + 0x5eed));
}

static uint8_t flow_byte(uint64_t word, uint64_t offset)
{
    return (uint8_t)(word >> (8 * (offset & 7)));
}

void flow_fill(uint64_t key, uint64_t offset, void *buf, size_t len)
{
    uint8_t *out = buf;
    uint64_t word = rng_mix(key + offset / 8);

    for (size_t i = 0; i < len; i++, offset++) {
        if ((offset & 7) == 0) {
            word = rng_mix(key + offset / 8);
        }
        out[i] = flow_byte(word, offset);
    }
}

size_t flow_check(uint64_t key, uint64_t offset, const void *buf, size_t len)
{
    const uint8_t *in = buf;
    uint64_t word = rng_mix(key + offset / 8);

    for (size_t i = 0; i < len; i++, offset++) {
        if ((offset & 7) == 0) {
            word = rng_mix(key + offset / 8);
        }
        if (in[i] != flow_byte(word, offset)) {
            return i;
        }
    }
    return len;
}
