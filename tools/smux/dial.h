/*
 * dial.h - connects to an address without blocking.
 *
 * A name is resolved anew for each dial, in libuv's thread pool; then its addresses are tried in
 * turn, each with its share of the time that is left, until one answers. Only so many dials of
 * the process run at once, the others queue: a burst of streams must not become a burst of
 * connections.
 */
#ifndef TOOL_DIAL_H
#define TOOL_DIAL_H

#include <stdint.h>
#include <uv.h>

#include "address.h"

/* Dials under way at once in the process. */
#define DIAL_LIMIT 256

struct dial;

/* The dials of a process. Zeros are an empty one. */
struct dial_queue {
    struct dial *first; /* waiting for their turn */
    struct dial *last;
    unsigned running;
    uint64_t failed;
    uint64_t timed_out; /* of these */
    size_t bytes;       /* memory of all dials */
    unsigned turn_n;    /* begun at the time `turn_ms` of the loop */
    uint64_t turn_ms;
    uint64_t turn_ns; /* when the first of these was begun */
};

/*
 * Called once, unless the dial was cancelled. `fd` is the connected socket, which the callee
 * owns, or -1; then `error` says why, such as "connection refused".
 */
typedef void (*dial_done)(void *arg, int fd, const char *error);

/*
 * Starts to dial.
 *
 * address:    TCP or Unix; copied, except for its text
 * timeout_ms: for everything from the dial's turn on
 * prepare:    may be NULL; called with each socket before it connects
 * Returns NULL without memory. `done` is never called before dial_start() has returned.
 */
struct dial *dial_start(struct dial_queue *queue, uv_loop_t *loop, const struct address *address,
                        uint32_t timeout_ms, void (*prepare)(void *arg, int fd), dial_done done,
                        void *arg);

/* Ends a dial; `done` is not called any more. */
void dial_cancel(struct dial *dial);

#endif
