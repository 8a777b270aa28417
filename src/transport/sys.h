/*
 * sys.h - the system calls of the transport and loop layers, in one table.
 *
 * The layers never call the system directly; they go through `smux__sys`, which costs one
 * indirect call. Tests replace single entries to inject the faults that a real system shows once
 * a year: an interrupted call, a short count, a full table of descriptors.
 *
 * The table is not protected: replace entries only while no other thread uses the library.
 */
#ifndef SMUX_TRANSPORT_SYS_H
#define SMUX_TRANSPORT_SYS_H

#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0 /* Linux only; elsewhere a peer that ends in order is not noticed by a poll */
#endif

/** System calls; each has the meaning and the errno of the function it is named after. */
struct smux__sys {
    ssize_t (*readv)(int fd, const struct iovec *iov, int n);
    ssize_t (*writev)(int fd, const struct iovec *iov, int n);
    ssize_t (*recvmsg)(int fd, struct msghdr *msg, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *msg, int flags);
    ssize_t (*read)(int fd, void *buf, size_t len);
    ssize_t (*write)(int fd, const void *buf, size_t len);
    int (*poll)(struct pollfd *fds, nfds_t n, int timeout_ms);
    /** socket() of a stream socket that is close-on-exec */
    int (*socket)(int family, bool nonblocking);
    int (*connect)(int fd, const struct sockaddr *address, socklen_t len);
    int (*bind)(int fd, const struct sockaddr *address, socklen_t len);
    int (*listen)(int fd, int backlog);
    /** accept() whose result is close-on-exec and blocking */
    int (*accept)(int fd);
    int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
    int (*getaddrinfo)(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out_list);
    void (*freeaddrinfo)(struct addrinfo *list);
    int (*clock_gettime)(clockid_t clock, struct timespec *out_time);
    ssize_t (*getrandom)(void *buf, size_t len, unsigned flags);
    /** makes the two descriptors of a doorbell, see bell.h; both may be the same */
    int (*bell)(int out_fds[2]);
};

/** The table in use. */
extern struct smux__sys smux__sys;

/** Sets or clears O_NONBLOCK. Returns 0, or -1 with errno. */
int smux__sys_set_nonblocking(int fd, bool nonblocking);

/** Closes a descriptor and leaves errno as it was; -1 is fine. */
void smux__sys_close_quietly(int fd);

/** Returns the point in time that is `timeout_ms` away; SMUX_NEVER for SMUX_OFF. */
uint64_t smux__sys_deadline(uint32_t timeout_ms);

/**
 * poll() until a point in time of smux_now_us(); SMUX_NEVER waits for ever. It is never done
 * before that time, but may be up to a millisecond late.
 *
 * @return as poll(); -1 with EINTR is left to the caller
 */
int smux__sys_poll_until(struct pollfd *fds, nfds_t n, uint64_t deadline_us);

#endif
