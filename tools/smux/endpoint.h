/*
 * endpoint.h - the local side of a relay: one socket, or standard input and output.
 *
 * Sockets, pipes and terminals are watched by the loop; files, which no kernel watches, count as
 * always ready. The owner reads and writes by itself when it is told to, and says through
 * endpoint_watch() what it is waiting for. Nothing is buffered here.
 *
 * There are two ways to end it. endpoint_close() ends in order. endpoint_reset() makes the other
 * side see an error, because what it got is not all there was: a TCP connection is reset. A Unix
 * socket or pipe cannot be reset; that is the kernel's limit, and the log says what happened.
 */
#ifndef TOOL_ENDPOINT_H
#define TOOL_ENDPOINT_H

#include <smux/base.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

/* What an endpoint is watched for; bits. */
enum endpoint_event {
    ENDPOINT_READABLE = 1,
    ENDPOINT_WRITABLE = 2
};

struct endpoint;

struct endpoint_events {
    /* Something of what is watched has come; failure counts as both. */
    void (*ready)(struct endpoint *endpoint, unsigned events);
    /* After endpoint_close() or endpoint_reset(): the memory may go. */
    void (*closed)(struct endpoint *endpoint);
};

/* A descriptor and how the loop watches it. */
struct endpoint_channel {
    int fd;
    unsigned watched; /* enum endpoint_event */
    bool is_file;
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_idle_t idle; /* of a file: called in every turn while it is watched */
    } handle;
};

struct endpoint {
    const struct endpoint_events *events;
    struct endpoint_channel in;   /* read from; a socket is also written to here */
    struct endpoint_channel *out; /* &in of a socket, otherwise allocated */
    unsigned open_handles;
};

/* Takes over a connected socket. Returns 0 or an errno; then the socket is still the caller's. */
int endpoint_init_socket(struct endpoint *endpoint, uv_loop_t *loop, int fd,
                         const struct endpoint_events *events);

/* Takes over standard input and output. Returns 0 or an errno. */
int endpoint_init_stdio(struct endpoint *endpoint, uv_loop_t *loop,
                        const struct endpoint_events *events);

/* Tells whether it is one socket, which can be half-closed and whose end says why. */
bool endpoint_is_socket(const struct endpoint *endpoint);

/* Watches exactly these events from now on. */
void endpoint_watch(struct endpoint *endpoint, unsigned events);

/* As read(2) and writev(2), never blocking; a negative result is an errno, EINTR never. */
ssize_t endpoint_read(struct endpoint *endpoint, void *buf, size_t len);
ssize_t endpoint_writev(struct endpoint *endpoint, const struct smux_iov *iov, int n);

/* Ends what we write; the other side reads the end. */
void endpoint_shutdown(struct endpoint *endpoint);

void endpoint_close(struct endpoint *endpoint);
void endpoint_reset(struct endpoint *endpoint);

#endif
