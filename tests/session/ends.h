/*
 * ends.h - two connected sessions, and threads that use them.
 */
#ifndef SESSION_ENDS_H
#define SESSION_ENDS_H

#include <smux/smux.h>

#include <pthread.h>

/** How the bytes travel. */
enum wire {
    WIRE_TCP,    /**< loopback */
    WIRE_SOCKET, /**< a socketpair */
    WIRE_PIPES,  /**< two pipes: two descriptors an end */
    WIRE_MEMORY, /**< in memory */
    WIRE_KINDS
};

/** Makes two connected transports. */
void wire_make(enum wire wire, struct smux_transport out_transports[2]);

/** Makes two connected TCP sockets. */
void wire_tcp(int out_fds[2]);

/** A session and its peer. */
struct ends {
    smux_session *client;
    smux_session *server;
};

/** Makes both ends with one configuration; NULL is the default. */
void ends_open(struct ends *ends, enum wire wire, const struct smux_config *config);

/** As ends_open() with a protocol version and otherwise defaults. */
void ends_open_version(struct ends *ends, enum wire wire, uint32_t version);

/** Closes both at once and expects that all went well. */
void ends_close(struct ends *ends);

/** Opens a stream at the client, sends "!" so that the server learns of it, and accepts it. */
void ends_stream(struct ends *ends, smux_stream **out_client, smux_stream **out_server);

/** A function that runs in a thread. */
struct task {
    pthread_t thread;
    void (*run)(void *arg);
    void *arg;
};

void task_start(struct task *task, void (*run)(void *arg), void *arg);
void task_join(struct task *task);

/** Sends `len` bytes of a flow in pieces of at most `piece` bytes; expects success. */
void flow_send(smux_stream *stream, uint64_t key, uint64_t len, size_t piece);

/** Reads a flow of `len` bytes and checks it. */
void flow_expect(smux_stream *stream, uint64_t key, uint64_t len);

/** Expects the end of the stream. */
void expect_end(smux_stream *stream);

/** Now and some milliseconds. */
uint64_t in_ms(unsigned ms);

void sleep_ms(unsigned ms);

/** Waits until a condition holds, five seconds at most, or as many times longer as the time limits of tests
 * are (CK_TIMEOUT_MULTIPLIER); returns whether it does. */
bool await(bool (*condition)(void *arg), void *arg);

/** Threads of this process now. */
unsigned count_threads(void);

/** Resident memory of this process in bytes. */
size_t resident_bytes(void);

#endif
