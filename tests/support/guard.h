/*
 * guard.h - memory that ends at a page which cannot be read, so that a decoder that looks one
 * byte too far is caught. Where there is no mmap it is plain memory of the exact size.
 */
#ifndef SUPPORT_GUARD_H
#define SUPPORT_GUARD_H

#include <stddef.h>
#include <stdint.h>

#define GUARD_SIZE ((size_t)256 * 1024)

struct guard {
    uint8_t *map;   /**< NULL without mmap */
    size_t map_len; /**< with the page that cannot be read */
    uint8_t *end;   /**< first byte of that page */
    uint8_t *plain; /**< the fall-back */
};

void guard_init(struct guard *guard);
void guard_free(struct guard *guard);

/** Zeroed memory that a test in a process of its own shares with the program, where that is
 *  possible; it lives as long as the program. */
void *guard_shared(size_t size);

/** Copies up to GUARD_SIZE bytes so that they end at the guard. Valid until the next call. */
const uint8_t *guard_copy(struct guard *guard, const void *data, size_t len);

#endif
