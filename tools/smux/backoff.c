#include "backoff.h"

uint32_t backoff_delay_ms(uint32_t min_ms, uint32_t cap_ms, unsigned attempt, uint64_t random)
{
    uint64_t limit = min_ms;

    for (unsigned i = 1; i < attempt && limit < cap_ms; i++) {
        limit *= 2;
    }
    if (limit > cap_ms) {
        limit = cap_ms;
    }
    return (uint32_t)(random % (limit + 1));
}
