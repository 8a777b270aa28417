#include "seen.h"

#include "must.h"
#include <stdlib.h>
#include <string.h>

void seen_init(struct seen *seen, size_t places)
{
    seen->mask = places - 1;
    seen->n = 0;
    seen->places = calloc(places, sizeof(uint64_t));
    must(seen->places != NULL, "no memory for the test");
}

void seen_free(struct seen *seen)
{
    free(seen->places);
}

/* Where a fingerprint is, or would be. */
static uint64_t *find(const struct seen *seen, uint64_t fingerprint)
{
    size_t at = (size_t)fingerprint & seen->mask;

    while (seen->places[at] != 0 && seen->places[at] != fingerprint) {
        at = (at + 1) & seen->mask;
    }
    return &seen->places[at];
}

static bool put(struct seen *seen, uint64_t fingerprint)
{
    uint64_t *place = find(seen, fingerprint);

    if (*place != 0) {
        return false;
    }
    *place = fingerprint;
    seen->n++;
    return true;
}

static void grow(struct seen *seen)
{
    struct seen old = *seen;

    seen_init(seen, (old.mask + 1) * 2);
    for (size_t i = 0; i <= old.mask; i++) {
        (void)(old.places[i] != 0 && put(seen, old.places[i]));
    }
    seen_free(&old);
}

bool seen_add(struct seen *seen, uint64_t fingerprint)
{
    if (seen->n * 3 > seen->mask * 2) {
        grow(seen);
    }
    return put(seen, fingerprint != 0 ? fingerprint : 1);
}

bool seen_has(const struct seen *seen, uint64_t fingerprint)
{
    return *find(seen, fingerprint != 0 ? fingerprint : 1) != 0;
}

uint64_t seen_hash(uint64_t fingerprint, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t word;

    for (size_t i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        fingerprint = (fingerprint ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        fingerprint ^= fingerprint >> 32;
    }
    return fingerprint;
}
