/*
 * copy.h - copies the payload of small frames without a call.
 *
 * A call of memcpy() costs what it does itself, some eleven instructions for 64 bytes, and makes
 * the function around it save registers and reload what it knows, which is more than that. So the
 * functions that every small frame passes through copy by themselves, in moves of a fixed size, of
 * which the last one may overlap the one before.
 */
#ifndef SMUX__COPY_H
#define SMUX__COPY_H

#include "rare.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Beyond this memcpy() is better. */
#define SMUX__COPY_MAX 512u

/* The first and the last n bytes, which may overlap. */
static SMUX__INLINE void smux__copy_ends(uint8_t *to, const uint8_t *from, size_t len, size_t n)
{
    memcpy(to, from, n);
    memcpy(to + len - n, from + len - n, n);
}

static SMUX__INLINE void smux__copy_32(uint8_t *to, const uint8_t *from)
{
    memcpy(to, from, 16);
    memcpy(to + 16, from + 16, 16);
}

/* Copies from 1 to a few hundred bytes between places that do not overlap. */
static SMUX__INLINE void smux__copy(void *out, const void *in, size_t len)
{
    uint8_t *to = out;
    const uint8_t *from = in;

    if (len >= 32) {
        smux__copy_ends(to, from, len, 16);
        smux__copy_ends(to + 16, from + 16, len - 32, 16);
        for (size_t i = 32; i + 32 < len; i += 32) {
            smux__copy_32(to + i, from + i);
        }
    } else if (len >= 16) {
        smux__copy_ends(to, from, len, 16);
    } else if (len >= 8) {
        smux__copy_ends(to, from, len, 8);
    } else if (len >= 4) {
        smux__copy_ends(to, from, len, 4);
    } else {
        for (size_t i = 0; i < len; i++) {
            to[i] = from[i];
        }
    }
}

#endif
