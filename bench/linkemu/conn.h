/*
 * conn.h - one connection: a socket at each end, a pipe in each direction.
 *
 * Pipe UP carries from the client's socket to the target's, pipe DOWN the other way; a socket has
 * the number of the pipe that starts at it.
 *
 * Ends: when both directions are half-closed and all is delivered, both sockets are closed. When
 * one side is reset, the reset goes behind the data of its direction; there the other side is
 * reset. A cut waits until what was written has arrived at the receiver, because a reset throws
 * away what the kernel still holds; then both sides are reset.
 */
#ifndef LINKEMU_CONN_H
#define LINKEMU_CONN_H

#include "pipe.h"

enum conn_end {
    CONN_OPEN,
    CONN_CLOSED,
    CONN_RESET,
    CONN_CUT
};

struct conn_socket {
    int fd;
    bool readable; /* as far as we know: epoll tells of changes only */
    bool writable;
    bool connected;
    bool hung; /* epoll has told of an error */
    bool dead; /* it was reset: no more reads and writes */
    bool shut; /* it was half-closed by us */
};

struct conn {
    uint64_t number;
    struct conn_socket sockets[2];
    struct pipe pipes[2];
    int cut; /* the direction that is cut, or -1 */
    enum conn_end end;
};

/* Prepares a socket of an end of the link, a listening one too; `rate` is of the data it
 * receives, 0 for no limit. */
void conn_tune_socket(int fd, uint64_t rate);

/* Makes a connection of a client's socket and one that is connecting to the target; takes both.
 * NULL without memory. Release with conn_free(). */
struct conn *conn_new(uint64_t number, int client, int target, const struct options *options,
                      const struct linkclock clocks[2]);
void conn_free(struct conn *conn);

/* Takes in what epoll has told of a socket. */
void conn_take_events(struct conn *conn, int side, uint32_t events);

/* Ends a connection at once by resets. */
void conn_cut(struct conn *conn);

/* Moves bytes and ends as far as possible. Returns true when there is more to do at once. */
bool conn_pump(struct conn *conn);

/* Returns when, in real time, to call conn_pump() again although epoll has told nothing. */
uint64_t conn_wake_ns(const struct conn *conn, uint64_t now_ns);

#endif
