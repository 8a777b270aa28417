/*
 * ends.h - two small applications on smux_conn, for the tests of every loop.
 *
 * An echo end sends back what it receives on any stream, and the end after it. A caller end opens
 * streams, writes known content in pieces of random size, half-closes, and checks what comes
 * back. Both keep books, so that a test can tell what was lost.
 */
#ifndef LOOP_ENDS_H
#define LOOP_ENDS_H

#include "rng.h"

#include <smux/loop.h>

/** One end of a session and its application. */
struct end {
    smux_conn *conn;   /**< NULL once it was freed */
    int status;        /**< why it closed; SMUX_OK before */
    char text[160];    /**< the sentence to it */
    unsigned turns;    /**< calls of `ready` */
    unsigned accepted; /**< streams of the peer */
    unsigned complete; /**< streams read to their end, with everything exact */
    unsigned failed;   /**< streams that ended with an error */
    uint64_t received; /**< bytes read */
    bool wrong;        /**< content differed */
    unsigned cut;      /**< streams that ended in order, but short */
    bool dropped;      /**< an echo did not get back what it had read */
    bool keep;         /**< do not free the connection when it closes */
    uint64_t to_send;  /**< of each stream of a caller */
    struct rng rng;    /**< sizes of pieces */
};

/** How the bytes travel between two ends. */
enum link {
    LINK_PAIR,   /**< in memory, 1000 bytes at a time */
    LINK_SOCKET, /**< a socketpair */
    LINK_PIPES,  /**< two pipes: two descriptors an end */
    LINK_KINDS
};

/** Makes the descriptors of two connected ends: to read from, to write to. Not of LINK_PAIR. */
void link_make_fds(enum link link, int out_fds[2][2]);

/** Makes two connected transports. */
void link_make(enum link link, struct smux_transport out_transports[2]);

/** Makes an echo end or a caller end; the connection belongs to the end. */
int end_init_echo(struct end *end, enum smux_role role, const struct smux_transport *transport,
                  const struct smux_config *config);
int end_init_caller(struct end *end, enum smux_role role, const struct smux_transport *transport,
                    const struct smux_config *config);

/** Lets a caller end open a stream that sends and expects `to_send` bytes. */
int end_call(struct end *end);

/** Frees the connection if that has not happened yet. */
void end_free(struct end *end);

#endif
