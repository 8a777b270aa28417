#include "ring.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

bool ring_init(struct ring *ring, size_t size)
{
    *ring = (struct ring){.bytes = malloc(size), .size = size};
    return ring->bytes != NULL;
}

void ring_deinit(struct ring *ring)
{
    free(ring->bytes);
    *ring = (struct ring){0};
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The `len` bytes from `start` on as one or two pieces. Returns their number. */
static int pieces(const struct ring *ring, size_t start, size_t len, struct iovec iov[2])
{
    size_t first;

    start %= ring->size;
    first = smaller(len, ring->size - start);
    iov[0] = (struct iovec){ring->bytes + start, first};
    iov[1] = (struct iovec){ring->bytes, len - first};
    return len > first ? 2 : 1;
}

ssize_t ring_fill(struct ring *ring, int fd, size_t max)
{
    struct iovec iov[2];
    int n = pieces(ring, ring->head + ring->len, smaller(max, ring->size - ring->len), iov);
    ssize_t got = readv(fd, iov, n);

    if (got > 0) {
        ring->len += (size_t)got;
    }
    return got;
}

ssize_t ring_drain(struct ring *ring, int fd, size_t max)
{
    struct iovec iov[2];
    struct msghdr message = {.msg_iov = iov};
    ssize_t put;

    message.msg_iovlen = (size_t)pieces(ring, ring->head, smaller(max, ring->len), iov);
    put = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (put > 0) {
        ring->head = (ring->head + (size_t)put) % ring->size;
        ring->len -= (size_t)put;
    }
    return put;
}
