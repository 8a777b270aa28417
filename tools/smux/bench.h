/*
 * bench.h - the seam between the tunnel and the benchmark.
 *
 * `smux bench` measures; with an address it needs `smux server --bench` at the other end. That
 * server accepts sessions as always, but hands their streams to a bench_peer instead of relaying
 * them to a target. One bench_peer serves one session and lives as long as that.
 *
 * The protocol: the client opens a stream and sends five bytes, a letter and a size (4 bytes,
 * little endian). The letter says what the server does, until it reads the client's end:
 *
 *   S  sink      takes what comes; at the end answers with the number of bytes that followed the
 *                request (8 bytes, little endian) and closes
 *   G  source    writes, `size` bytes at a time; closes once the client has ended
 *   E  echo      sends back what comes
 *   D  discard   takes what comes and closes: a stream of the churn test is only this request
 *   C  count     answers with the number of discard streams of this session that were read to the
 *                end (8 bytes, little endian) and closes
 *   H  hold      sends one byte back, and stays open
 *
 * Any other request aborts the stream. There is no negotiation: a client that gets no proper
 * answer to a C talks to something else.
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
