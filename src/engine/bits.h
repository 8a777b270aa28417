/*
 * bits.h - the highest bit of a number.
 */
#ifndef SMUX__BITS_H
#define SMUX__BITS_H

#include <stdint.h>

/* The position of the highest bit of a number above 0. */
static inline unsigned smux__highest_bit(uint32_t n)
{
#ifdef __GNUC__
    return 31u - (unsigned)__builtin_clz(n);
#else
    unsigned bit = 0;

    while (n >> bit > 1) {
        bit++;
    }
    return bit;
#endif
}

#endif
