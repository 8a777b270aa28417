/*
 * bell.h - tells poll(2) about a condition that lives in memory.
 *
 * A bell is a descriptor whose readiness we decide. There are two kinds, because the in-memory
 * transport needs something to poll in each direction:
 *
 *      kind                 signalled           silent
 *      SMUX__BELL_READABLE  poll: readable      not readable
 *      SMUX__BELL_WRITABLE  poll: writable      not writable
 *
 * On Linux both are an eventfd: a counter that is readable above 0 and writable below its
 * maximum. Elsewhere they are a pipe that holds a byte, or is filled to the brim.
 *
 * A bell remembers its state, so that setting it again costs nothing. It has no lock: its owner
 * serialises the calls. Polling the descriptor needs no lock.
 */
#ifndef SMUX_TRANSPORT_BELL_H
#define SMUX_TRANSPORT_BELL_H

#include <stdbool.h>

/** Which readiness the bell shows. */
enum smux__bell_kind {
    SMUX__BELL_READABLE,
    SMUX__BELL_WRITABLE
};

/** A bell. */
struct smux__bell {
    int read_fd;               /**< -1: not open */
    int write_fd;              /**< equal to read_fd with eventfd */
    enum smux__bell_kind kind; /**< never changes */
    bool signalled;            /**< what poll sees */
};

/** Makes a silent readable bell or a signalled writable one, as its descriptor is when new.
 *  Returns 0, or -1 with errno. */
int smux__bell_init(struct smux__bell *bell, enum smux__bell_kind kind);

/** Closes the descriptors; a bell whose read_fd is -1 is fine. */
void smux__bell_deinit(struct smux__bell *bell);

/** Makes poll see the condition, or not. */
void smux__bell_set(struct smux__bell *bell, bool signalled);

/** Returns the descriptor to poll. */
int smux__bell_fd(const struct smux__bell *bell);

#endif
