/*
 * bytes.h - a growing queue of bytes in one piece: put at the end, drop at the front.
 */
#ifndef SUPPORT_BYTES_H
#define SUPPORT_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data; /**< the memory */
    size_t start;  /**< first byte that is still there */
    size_t end;    /**< behind the last one */
    size_t cap;    /**< size of the memory */
};

/** All zero is an empty queue; bytes_free() makes it one again. */
void bytes_free(struct bytes *bytes);

size_t bytes_len(const struct bytes *bytes);

/** The first byte; valid until the next bytes_put() or bytes_room(). */
uint8_t *bytes_head(const struct bytes *bytes);

void bytes_put(struct bytes *bytes, const void *data, size_t len);

/** Appends `len` bytes that the caller fills. */
uint8_t *bytes_room(struct bytes *bytes, size_t len);

void bytes_drop(struct bytes *bytes, size_t len);

#endif
