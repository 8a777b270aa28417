/*
 * fd.c - a transport over one or two file descriptors.
 *
 * Sockets and other descriptors differ in four places only: a socket is written with sendmsg,
 * because writev cannot suppress SIGPIPE; it is read with recvmsg, which can be told to wait or not
 * in each call; it takes the options of TCP; and its outgoing direction ends with shutdown(2)
 * instead of close(2).
 *
 * readv and writev may run in two threads at once. They share nothing that changes, except for
 * the number of the last error, which is atomic.
 */
#define _GNU_SOURCE 1 /* dup3, strerrordesc_np */

#include "sys.h"

#include <smux/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/** Unsent bytes that the kernel may hold: enough to keep a fast link busy between two turns of
 *  the caller, few enough that a late small frame does not wait behind megabytes. */
#define FD_NOTSENT_LOWAT (128 * 1024)

/** How long fd_readv_wait() waits. The kernel counts its own ticks and begins with the next one, so
 *  that it is up to two of 4 ms, or of 10 ms. */
#define FD_WAIT_US 1000

/** Vectors in one system call; the limit of Linux and the BSDs. More are left for the next. */
#define FD_IOV_MAX 1024

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* SO_NOSIGPIPE does it there */
#endif

_Static_assert(sizeof(struct smux_iov) == sizeof(struct iovec), "same layout");
_Static_assert(offsetof(struct smux_iov, base) == offsetof(struct iovec, iov_base), "same");
_Static_assert(offsetof(struct smux_iov, len) == offsetof(struct iovec, iov_len), "same");

struct fd_transport {
    int read_fd;
    int write_fd;
    bool reads_from_socket;
    bool writes_to_socket;
    bool waits;            /* the read descriptor blocks, for FD_WAIT_US at most */
    atomic_int last_errno; /* of the last failure; 0 = none */
};

static int fd_count(int n)
{
    return n < FD_IOV_MAX ? n : FD_IOV_MAX;
}

static bool fd_would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/** Turns errno of a failed call into a status. */
static int fd_failure(struct fd_transport *t)
{
    if (fd_would_block(errno)) {
        return SMUX_EAGAIN;
    }
    atomic_store_explicit(&t->last_errno, errno, memory_order_relaxed);
    return SMUX_EIO;
}

static ssize_t fd_recv(const struct fd_transport *t, const struct smux_iov *iov, int n, int flags)
{
    struct msghdr msg = {0};

    msg.msg_iov = (struct iovec *)iov;
    msg.msg_iovlen = (size_t)n;
    return smux__sys.recvmsg(t->read_fd, &msg, flags);
}

static int fd_read(struct fd_transport *t, const struct smux_iov *iov, int n, int flags,
                   size_t *out_len)
{
    int count = fd_count(n);
    ssize_t len;

    do {
        len = t->reads_from_socket ? fd_recv(t, iov, count, flags)
                                   : smux__sys.readv(t->read_fd, (const struct iovec *)iov, count);
        flags |= MSG_DONTWAIT; /* a wait that a signal interrupts is over */
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        return fd_failure(t);
    }
    *out_len = (size_t)len;
    return len > 0 ? SMUX_OK : SMUX_EOF;
}

static int fd_readv(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    return fd_read(ctx, iov, n, MSG_DONTWAIT, out_len);
}

/** From now on a call on the read descriptor waits unless it is told not to, as all others are. */
static void fd_make_waiting(struct fd_transport *t)
{
    struct timeval limit = {.tv_usec = FD_WAIT_US};

    if (smux__sys.setsockopt(t->read_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0) {
        t->waits = smux__sys_set_nonblocking(t->read_fd, false) == 0;
    }
}

static int fd_readv_wait(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    struct fd_transport *t = ctx;

    if (!t->waits) {
        fd_make_waiting(t);
    }
    return fd_read(t, iov, n, t->waits ? 0 : MSG_DONTWAIT, out_len);
}

static ssize_t fd_send(const struct fd_transport *t, const struct smux_iov *iov, int n)
{
    struct msghdr msg = {0};

    msg.msg_iov = (struct iovec *)iov;
    msg.msg_iovlen = (size_t)n;
    return smux__sys.sendmsg(t->write_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int fd_writev(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    struct fd_transport *t = ctx;
    int count = fd_count(n);
    ssize_t len;

    do {
        len = t->writes_to_socket ? fd_send(t, iov, count)
                                  : smux__sys.writev(t->write_fd, (const struct iovec *)iov, count);
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        return fd_failure(t);
    }
    *out_len = (size_t)len;
    return len > 0 ? SMUX_OK : SMUX_EAGAIN;
}

/**
 * Ends the outgoing direction. A pipe ends when its write end is closed; its number must not
 * become free meanwhile, because an event loop may still have it in its tables. So the number is
 * turned into a second name of the read end, which needs no new descriptor.
 */
static void fd_shutdown(void *ctx)
{
    struct fd_transport *t = ctx;

    if (t->writes_to_socket) {
        (void)smux__sys.shutdown(t->write_fd, SHUT_WR);
    } else if (t->write_fd != t->read_fd) {
        (void)dup2(t->read_fd, t->write_fd);
        (void)fcntl(t->write_fd, F_SETFD, FD_CLOEXEC);
    }
}

static void fd_close(void *ctx)
{
    struct fd_transport *t = ctx;

    smux__sys_close_quietly(t->read_fd);
    if (t->write_fd != t->read_fd) {
        smux__sys_close_quietly(t->write_fd);
    }
    free(t);
}

static int fd_descriptor(void *ctx, enum smux_transport_event direction)
{
    const struct fd_transport *t = ctx;

    return direction == SMUX_WAIT_READ ? t->read_fd : t->write_fd;
}

static int fd_address(void *ctx, bool remote, char *out, size_t size)
{
    const struct fd_transport *t = ctx;

    return smux_socket_address(t->read_fd, remote, out, size);
}

static uint32_t fd_rtt_us(void *ctx)
{
#if defined(__linux__) && defined(TCP_INFO)
    const struct fd_transport *t = ctx;
    struct tcp_info info;
    socklen_t len = sizeof info;

    if (smux__sys.getsockopt(t->write_fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        len >= offsetof(struct tcp_info, tcpi_rtt) + sizeof info.tcpi_rtt) {
        return info.tcpi_rtt;
    }
#else
    (void)ctx;
#endif
    return 0;
}

static const char *fd_error(void *ctx)
{
    struct fd_transport *t = ctx;
    int error = atomic_load_explicit(&t->last_errno, memory_order_relaxed);

    if (error == 0) {
        return "no error";
    }
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 32)
    const char *text = strerrordesc_np(error); /* strerror may not run in two threads */
    return text != NULL ? text : "unknown error";
#else
    return strerror(error); /* static text for known errors in musl and the BSDs */
#endif
}

#define FD_OPS                                                                                     \
    .readv = fd_readv, .writev = fd_writev, .shutdown = fd_shutdown, .close = fd_close,            \
    .fd = fd_descriptor, .address = fd_address, .rtt_us = fd_rtt_us, .error = fd_error

static const struct smux_transport_ops fd_ops = {FD_OPS};
static const struct smux_transport_ops fd_ops_of_socket = {FD_OPS, .readv_wait = fd_readv_wait};

/** Tells whether a descriptor can be used in a direction, and whether it is a socket. */
static bool fd_check(int fd, int wrong_mode, bool *out_socket)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == wrong_mode) {
        return false;
    }
    int type = 0;
    socklen_t len = sizeof type;
    *out_socket = smux__sys.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
    return !*out_socket || type == SOCK_STREAM; /* datagrams would be cut */
}

/** Sets the options of TCP. Other sockets refuse them, which is fine: they do not need them. */
static void fd_tune(int fd)
{
    int on = 1;

#ifdef SO_NOSIGPIPE
    (void)smux__sys.setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    (void)smux__sys.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef TCP_NOTSENT_LOWAT
    int lowat = FD_NOTSENT_LOWAT;
    (void)smux__sys.setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
#endif
}

int smux_transport_fd(int read_fd, int write_fd, struct smux_transport *out_transport)
{
    bool reads_socket;
    bool writes_socket;

    if (!fd_check(read_fd, O_WRONLY, &reads_socket) ||
        !fd_check(write_fd, O_RDONLY, &writes_socket)) {
        return SMUX_EINVAL;
    }
    struct fd_transport *t = malloc(sizeof *t);
    if (t == NULL) {
        return SMUX_ENOMEM;
    }
    if (smux__sys_set_nonblocking(read_fd, true) != 0 ||
        smux__sys_set_nonblocking(write_fd, true) != 0) {
        free(t);
        return SMUX_EINVAL;
    }
    t->read_fd = read_fd;
    t->write_fd = write_fd;
    t->reads_from_socket = reads_socket;
    t->writes_to_socket = writes_socket;
    t->waits = false;
    atomic_init(&t->last_errno, 0);
    if (writes_socket) {
        fd_tune(write_fd);
    }
    out_transport->ops = reads_socket ? &fd_ops_of_socket : &fd_ops;
    out_transport->ctx = t;
    return SMUX_OK;
}
