/*
 * fuzz.h - what all fuzz targets share.
 *
 * A target is one file of fuzz/ with LLVMFuzzerTestOneInput(). It runs under libFuzzer (fuzz/run),
 * and as a plain program that replays the inputs of fuzz/corpus and fuzz/regressions (replay.c, a
 * ctest entry each). It checks with must() of tests/support, which ends the program here.
 *
 * Targets keep nothing from one input to the next, and free what they allocate.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "must.h"

/** Runs one input; the result is always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** What is left of an input. Numbers are taken from its front; used up, it gives zeros. */
struct fuzz_input {
    const uint8_t *at;
    size_t len;
};

uint8_t fuzz_u8(struct fuzz_input *in);
uint16_t fuzz_u16(struct fuzz_input *in);
uint32_t fuzz_u32(struct fuzz_input *in);
uint64_t fuzz_u64(struct fuzz_input *in);

/** A number of 0..n-1. */
uint32_t fuzz_below(struct fuzz_input *in, uint32_t n);

/** A number of 0..max in which small and large ones are equally likely; takes three bytes. */
uint32_t fuzz_log(struct fuzz_input *in, uint32_t max);

/** One of the values. */
#define fuzz_pick(in, values)                                                                      \
    ((values)[fuzz_below((in), (uint32_t)(sizeof(values) / sizeof((values)[0])))])

#endif
