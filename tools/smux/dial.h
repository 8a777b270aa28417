/*
 * dial.h - connects to an address without blocking.
 *
 * A name is resolved anew for each dial, in libuv's thread pool; then its addresses are tried in
 * turn, each with its share of the time that is left, until one answers. Only so many dials of
 * the process run at once, the others queue: a burst of streams must not become a burst of
 * connections. Each session has a line of its own, and they take turns.
 */
#ifndef TOOL_DIAL_H
#define TOOL_DIAL_H

#include <stdint.h>
#include <uv.h>

#include "address.h"

/* Dials under way at once in the process. */
#define DIAL_LIMIT 256

struct dial;

/* Dials that wait, in order. Zeros are an empty one; it must be empty when it goes. */
struct dial_line {
    struct dial *first;
    struct dial *last;
    struct dial_line *next; /* in the ring of those that are not empty */
    struct dial_line *before;
};

/* The dials of a process. */
struct dial_queue {
    struct dial_line *lines; /* a ring: whose turn it is; or NULL */
    struct dial_line own;    /* of those that belong to no session */
    uv_idle_t begin;         /* active while a dial may begin */
    unsigned running;
    uint64_t failed;
    uint64_t timed_out; /* of these */
    size_t bytes;       /* memory of all dials */
};

/* Joins an empty queue to the loop. Who is through with it closes `begin`. */
void dial_queue_init(struct dial_queue *queue, uv_loop_t *loop);

/*
 * Called once, unless the dial was cancelled. `fd` is the connected socket, which the callee
 * owns, or -1; then `error` says why, such as "connection refused".
 */
typedef void (*dial_done)(void *arg, int fd, const char *error);

/*
 * Starts to dial.
 *
 * line:       where it waits; NULL when no session asks
 * address:    TCP or Unix; copied, except for its text
 * timeout_ms: for everything from the dial's turn on
 * prepare:    may be NULL; called with each socket before it connects
 * Returns NULL without memory. `done` is never called before dial_start() has returned.
 */
struct dial *dial_start(struct dial_queue *queue, struct dial_line *line,
                        const struct address *address, uint32_t timeout_ms,
                        void (*prepare)(void *arg, int fd), dial_done done, void *arg);

/* Ends a dial; `done` is not called any more. */
void dial_cancel(struct dial *dial);

#endif
