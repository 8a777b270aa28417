/*
 * smux/transport.h - what carries the bytes of a session.
 *
 * A transport is a small table of functions over one reliable, ordered, non-blocking byte
 * channel in each direction. libsmux brings one for file descriptors (TCP, Unix sockets, pipes,
 * standard input and output) and one in memory. Others (TLS, KCP, ...) fill the same table.
 */
#ifndef SMUX_TRANSPORT_H
#define SMUX_TRANSPORT_H

#include <smux/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Returns the clock of all deadlines: monotonic microseconds. Never 0. */
SMUX_API uint64_t smux_now_us(void);

/** What a transport waits for; bits of smux_transport_ops.events. */
enum smux_transport_event {
    SMUX_WAIT_READ = 1,  /**< its read descriptor becomes readable */
    SMUX_WAIT_WRITE = 2, /**< its write descriptor becomes writable */
    SMUX_WAIT_HANGUP = 4 /**< the peer has ended its direction, or the read descriptor has failed
                              (POLLRDHUP, POLLHUP, POLLERR): loops only, while nothing is read */
};

/**
 * The functions of a transport. `readv` and `writev` may run at the same time in two threads;
 * two calls of the same one never do. `shutdown` runs with no writev, `close` with nothing else.
 */
struct smux_transport_ops {
    /** Reads up to the size of all vectors, at least one byte in one vector. SMUX_OK with
     *  out_len > 0; SMUX_EAGAIN; SMUX_EOF at the orderly end; SMUX_EIO on failure. Never blocks.
     *  Reading less than there was room for tells the caller that there is no more now, unless
     *  `pending` says otherwise. */
    int (*readv)(void *ctx, const struct smux_iov *iov, int n, size_t *out_len);
    /** Writes some of the vectors. SMUX_OK with out_len > 0; SMUX_EAGAIN; SMUX_EIO. Never
     *  blocks, never raises a signal. */
    int (*writev)(void *ctx, const struct smux_iov *iov, int n, size_t *out_len);
    /** Ends the outgoing direction, so that the peer reads the end after all data. The loop must
     *  have stopped watching for writing. */
    void (*shutdown)(void *ctx);
    /** Closes the channel and frees ctx. Called exactly once. */
    void (*close)(void *ctx);
    /** Returns the descriptor to poll for one direction (enum smux_transport_event). The two may
     *  be the same. */
    int (*fd)(void *ctx, enum smux_transport_event direction);
    /** May be NULL. Returns which poll events are awaited when the layer above wants to read
     *  (`wanted` has SMUX_WAIT_READ) or to write (SMUX_WAIT_WRITE); a TLS transport may swap them.
     *  Without it the natural ones are taken. */
    unsigned (*events)(void *ctx, unsigned wanted);
    /** May be NULL. Tells that bytes are buffered above the descriptor, so that polling it would
     *  not tell. */
    bool (*pending)(void *ctx);
    /** May be NULL. Writes the local or remote address as text, such as "127.0.0.1:80". */
    int (*address)(void *ctx, bool remote, char *out, size_t size);
    /** May be NULL. Returns the smoothed round-trip time in microseconds, 0 if unknown. */
    uint32_t (*rtt_us)(void *ctx);
    /** May be NULL. Returns the text of the last failure for messages, such as "Connection reset
     *  by peer". Static or owned by ctx. */
    const char *(*error)(void *ctx);
    /** May be NULL. As readv, and never at the same time, but waits for data: some milliseconds, 20
     *  at most, or until a signal comes. Without data SMUX_EAGAIN, and then there was none to read.
     *  Saves a poll for each message of a conversation; blocking calls only. */
    int (*readv_wait)(void *ctx, const struct smux_iov *iov, int n, size_t *out_len);
};

/** A transport: functions and their object. Handed over by value; whoever takes it owns it. */
struct smux_transport {
    const struct smux_transport_ops *ops; /**< functions; static */
    void *ctx;                            /**< first argument of each */
};

/**
 * Makes a transport of one or two descriptors, which it then owns and sets non-blocking. A session
 * with blocking calls may set a socket blocking again, with SO_RCVTIMEO.
 * TCP sockets get TCP_NODELAY and, where it exists, TCP_NOTSENT_LOWAT of 128 KiB. For sockets
 * SIGPIPE is suppressed; a program that uses pipes should ignore SIGPIPE itself.
 *
 * @param read_fd   incoming direction
 * @param write_fd  outgoing direction; may equal read_fd
 * @return SMUX_OK, SMUX_EINVAL for a bad descriptor (closed, of the wrong direction, or a socket
 *         that is not a stream), SMUX_ENOMEM; on failure the descriptors still belong to the caller
 */
SMUX_API int smux_transport_fd(int read_fd, int write_fd, struct smux_transport *out_transport);

/**
 * Makes two transports that are connected in memory. The ends may be used in two threads; they
 * have descriptors to poll like others.
 *
 * @param capacity  bytes that fit into each direction, at least 1
 * @return SMUX_OK, SMUX_EINVAL, SMUX_ENOMEM, SMUX_EIO (no descriptors left)
 */
SMUX_API int smux_transport_pair(size_t capacity, struct smux_transport out_pair[2]);

/** Closes a transport that no session has taken. */
SMUX_API void smux_transport_close(struct smux_transport *transport);

/*
 * Sockets by address: "host:port", "1.2.3.4:port", "[v6]:port", "port" (loopback), ":port"
 * (listening: all addresses; dialling: loopback), "unix:/path", "/path", "./path",
 * "@name" (Linux abstract socket), "fd:N" (open already). Ports are numbers. An IPv6 address needs
 * its brackets.
 */

/**
 * Connects to an address. All addresses of a name are tried in turn; each gets its share of the
 * time that is left, 2 s at least. Name resolution blocks and is not limited.
 *
 * @param timeout_ms  for the whole call; SMUX_OFF waits for the system's limits
 * @param out_fd      a connected socket, close-on-exec, blocking
 * @return SMUX_OK, SMUX_EADDRESS, SMUX_EDEADLINE, SMUX_EIO (errno tells; of the last address)
 */
SMUX_API int smux_dial(const char *address, uint32_t timeout_ms, int *out_fd);

/**
 * Listens at an address. One socket serves it: ":port" accepts both families, "port" listens at
 * 127.0.0.1 only, a name at the first of its addresses that works. A stale Unix socket is replaced
 * only when nobody listens on it; Unix sockets get mode 0600.
 *
 * @param out_fd  a listening socket, close-on-exec, non-blocking; for smux_accept_fd()
 * @return SMUX_OK, SMUX_EADDRESS, SMUX_EIO (errno tells)
 */
SMUX_API int smux_listen(const char *address, int *out_fd);

/**
 * Takes the next connection. Failures that concern one connection only are skipped.
 *
 * @param timeout_ms  SMUX_OFF waits for ever
 * @param out_fd      a connected socket, close-on-exec, blocking
 * @return SMUX_OK, SMUX_EDEADLINE, SMUX_EIO (errno tells; EMFILE and the like are worth a retry)
 */
SMUX_API int smux_accept_fd(int listen_fd, uint32_t timeout_ms, int *out_fd);

/** Writes the address of a socket as text in the forms above. SMUX_OK, SMUX_EINVAL. */
SMUX_API int smux_socket_address(int fd, bool remote, char *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif
