/*
 * random_bits.h - numbers that others do not guess.
 */
#ifndef TOOL_RANDOM_BITS_H
#define TOOL_RANDOM_BITS_H

#include <stdint.h>

/* 64 random bits; where the system has none, some that differ from call to call and between processes
 * that were not started together. */
uint64_t random_bits(void);

#endif
