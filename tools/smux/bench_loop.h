/*
 * bench_loop.h - one end of a session in an event loop, of a thread that does nothing else.
 *
 * For `smux bench --loop`, at both ends: bench_flow.c is the client, bench_server.c the server.
 */
#ifndef TOOL_BENCH_LOOP_H
#define TOOL_BENCH_LOOP_H

#include <smux/loop.h>

struct bench_loop {
    smux_poll *poll;
    smux_conn *conn;
    smux_engine *engine;
    bool over; /* the session has ended */
    /* Goes on with a stream that is new or has news. The session is flushed afterwards. */
    void (*serve)(void *user, smux_estream *stream);
    void *user;
};

/*
 * Makes an end of a session over a socket, which it owns from then on, on failure too.
 *
 * user_size: bytes of smux_estream_user() of each stream
 * Returns SMUX_OK, or why not. `serve` and `user` are to be set before the first turn.
 */
int loop_open(struct bench_loop *loop, enum smux_role role, int fd,
              const struct smux_config *config, size_t user_size);

/* Waits for events, until `until_us` of smux_now_us() at the longest, and serves them. SMUX_OK, or
 * why the session has ended. */
int loop_turn(struct bench_loop *loop, uint64_t until_us);

/* Ends the session; its streams are gone. One that was not opened is fine. */
void loop_close(struct bench_loop *loop);

/* Consumes whatever a stream has to read, without looking at it, and adds its length. Returns why there
 * is no more: SMUX_EAGAIN, SMUX_EOF, or an error. */
int loop_drain(smux_engine *engine, smux_estream *stream, uint64_t *len);

/* Closes a stream; what it has lent is taken back. */
void loop_close_stream(smux_engine *engine, smux_estream *stream);

#endif
