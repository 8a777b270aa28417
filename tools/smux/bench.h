/*
 * bench.h - the seam between the tunnel and the benchmark.
 *
 * `smux bench` measures; with an address it needs `smux server --bench` at the other end. That
 * server accepts sessions as always, but hands their streams to a bench_peer instead of relaying
 * them to a target. One bench_peer serves one session and lives as long as that.
 *
 * Implemented in bench*.c; called from main.c and link.c.
 */
#ifndef TOOL_BENCH_H
#define TOOL_BENCH_H

#include <smux/loop.h>

/* Runs `smux bench`; argv[0] is "bench". Returns the exit code of the program. */
int bench_main(int argc, char **argv);

/* The server side of `smux bench` for one session. */
struct bench_peer;

/* Returns how many bytes of smux_estream_user() each stream of such a session needs. */
size_t bench_peer_user_size(void);

/* Makes a bench_peer for a session; NULL without memory. */
struct bench_peer *bench_peer_new(smux_conn *conn);

/* Takes over a stream that the other side opened. */
void bench_peer_on_stream(struct bench_peer *peer, smux_estream *stream);

/* Handles an event of such a stream. The caller flushes the connection afterwards. */
void bench_peer_on_event(struct bench_peer *peer, smux_estream *stream, unsigned events);

/* Frees the peer; its session, if it still lives, is freed right after. NULL is fine. */
void bench_peer_free(struct bench_peer *peer);

#endif
