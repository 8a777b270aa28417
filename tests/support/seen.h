/*
 * seen.h - a set of fingerprints: what a search has seen already.
 *
 * Open addressing with linear probing, 8 bytes a place; it is at most two thirds full and doubles.
 * Among n different things the chance that any two are mistaken for one is about n^2 / 2^65.
 */
#ifndef SUPPORT_SEEN_H
#define SUPPORT_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
    uint64_t *places; /* 0 is an empty one */
    size_t mask, n;
};

/** `places` is a power of two. */
void seen_init(struct seen *seen, size_t places);
void seen_free(struct seen *seen);

/** Returns false if it was there already. */
bool seen_add(struct seen *seen, uint64_t fingerprint);

bool seen_has(const struct seen *seen, uint64_t fingerprint);

/** A fingerprint of bytes, a multiple of 8, that goes on from the one of what was before. */
uint64_t seen_hash(uint64_t fingerprint, const void *data, size_t len);

#endif
