/*
 * known.h - a map from fingerprints to fingerprints: what a search knows of steps.
 *
 * Open addressing with linear probing, 16 bytes a place; it is at most two thirds full and doubles.
 */
#ifndef SUPPORT_KNOWN_H
#define SUPPORT_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct known_entry {
    uint64_t key; /* 0: an empty place */
    uint64_t value;
};

struct known {
    struct known_entry *places;
    size_t mask, n;
};

/** `places` is a power of two. */
void known_init(struct known *known, size_t places);
void known_free(struct known *known);

/** Returns false, and leaves *out_value as it is, if there is nothing for this key. */
bool known_get(const struct known *known, uint64_t key, uint64_t *out_value);

/** The key, which is not 0, must be new or have this value already. */
void known_put(struct known *known, uint64_t key, uint64_t value);

#endif
