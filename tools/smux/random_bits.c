#define _GNU_SOURCE 1 /* getrandom */

#include "random_bits.h"

#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

/* A multiplication spreads the few bits that differ over all above them. */
static uint64_t bits_of_the_moment(void)
{
    return (uv_hrtime() ^ ((uint64_t)getpid() << 40)) * UINT64_C(0x9e3779b97f4a7c15) >> 1;
}

uint64_t random_bits(void)
{
    uint64_t bits;

    return getrandom(&bits, sizeof(bits), 0) == (ssize_t)sizeof(bits) ? bits : bits_of_the_moment();
}
