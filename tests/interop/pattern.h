/*
 * pattern.h - the payload of bulk transfers, as in interop/go/README.md: eight bytes of seed, then
 * the outputs of SplitMix64 started with the seed, each as eight little endian bytes. A receiver
 * takes the seed from the data, so every stream can carry its own and a mix-up is seen.
 */
#ifndef INTEROP_PATTERN_H
#define INTEROP_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Position in a pattern. */
struct pattern {
    uint64_t state;
    bool started;    /**< the seed was put out */
    uint8_t word[8]; /**< the word that is being put out */
    size_t left;     /**< bytes of it to go */
};

/** What was seen of a pattern. */
struct pattern_check {
    uint64_t seen;       /**< bytes */
    uint8_t seed[8];     /**< the first of them */
    struct pattern want; /**< valid once the seed is complete */
};

void pattern_init(struct pattern *pattern, uint64_t seed);

/** Puts out the next bytes. */
void pattern_fill(struct pattern *pattern, uint8_t *out, size_t len);

/** Starts a check; the seed may be anything. */
void pattern_check_init(struct pattern_check *check);

/** Looks at the next bytes; false when one of them is wrong, `seen` then is its offset. */
bool pattern_check_next(struct pattern_check *check, const uint8_t *data, size_t len);

#endif
