/*
 * ring.h - bytes in order in a buffer of fixed size, filled from and drained to a socket.
 */
#ifndef LINKEMU_RING_H
#define LINKEMU_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ring {
    unsigned char *bytes;
    size_t size;
    size_t head; /* of the oldest byte */
    size_t len;
};

/* Allocates `size` bytes; the kernel gives the pages when they are first used. */
bool ring_init(struct ring *ring, size_t size);
void ring_deinit(struct ring *ring);

/* Reads up to `max` bytes, as many as have room, from a socket. As read(2). */
ssize_t ring_fill(struct ring *ring, int fd, size_t max);

/* Writes up to `max` bytes, of those there are, to a socket and drops them. As send(2). */
ssize_t ring_drain(struct ring *ring, int fd, size_t max);

#endif
