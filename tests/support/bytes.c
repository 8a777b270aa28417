#include "bytes.h"

#include "must.h"
#include <stdlib.h>
#include <string.h>

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof(*bytes));
}

size_t bytes_len(const struct bytes *bytes)
{
    return bytes->end - bytes->start;
}

uint8_t *bytes_head(const struct bytes *bytes)
{
    return bytes->data + bytes->start;
}

static void bytes_grow(struct bytes *bytes, size_t len)
{
    size_t used = bytes_len(bytes);
    size_t cap = bytes->cap;

    /* Moving only when half is free keeps the cost of a byte constant. */
    if (bytes->start > 0 && used + len <= bytes->cap / 2) {
        memmove(bytes->data, bytes_head(bytes), used);
        bytes->start = 0;
        bytes->end = used;
        return;
    }
    while (cap < bytes->end + len) {
        cap = cap < 256 ? 256 : cap * 2;
    }
    bytes->data = realloc(bytes->data, cap);
    must(bytes->data != NULL, "the test itself has no memory");
    bytes->cap = cap;
}

uint8_t *bytes_room(struct bytes *bytes, size_t len)
{
    if (bytes->start == bytes->end) {
        bytes->start = bytes->end = 0;
    }
    if (bytes->data == NULL || bytes->cap - bytes->end < len) {
        bytes_grow(bytes, len);
    }
    bytes->end += len;
    return bytes->data + bytes->end - len;
}

void bytes_put(struct bytes *bytes, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(bytes_room(bytes, len), data, len);
    }
}

void bytes_drop(struct bytes *bytes, size_t len)
{
    must(len <= bytes_len(bytes), "%zu bytes dropped of %zu", len, bytes_len(bytes));
    bytes->start += len;
}
