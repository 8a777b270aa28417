/*
 * bench_server.h - the server side of a test whose both ends are in this process.
 *
 * It listens on loopback or at a Unix socket and serves what bench.h describes, on a TCP connection for each channel
 * or on the streams of one session, with blocking calls: the acceptor has a thread, and so has
 * each channel, except those that are over at once or hold still.
 *
 * The acceptor waits for the request of a channel before it takes the next one. So requests have
 * to leave before any other channel sends data: in version 1 that data could fill the receive
 * buffer of the session, and with nobody to read it the request would never arrive.
 */
#ifndef TOOL_BENCH_SERVER_H
#define TOOL_BENCH_SERVER_H

#include <sys/socket.h>

#include "bench_settings.h"

struct bench_server;

struct bench_server_options {
    enum bench_kind kind;
    bool unix_socket;                 /* instead of loopback TCP */
    bool loop;                        /* the session has one thread for all streams */
    const struct settings *settings;  /* of the socket */
    const struct smux_config *config; /* of the session */
    uint32_t expected;                /* channels that will be held */
};

/* Starts to listen and serve. SMUX_OK or why not. */
int bench_server_start(const struct bench_server_options *options,
                       struct bench_server **out_server);

/* Returns where it listens. */
const char *bench_server_address(const struct bench_server *server);

/* Ends it once the client has ended. */
void bench_server_stop(struct bench_server *server);

#endif
