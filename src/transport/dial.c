/*
 * dial.c - connecting with a time limit.
 *
 * The socket is non-blocking while it connects, so that the limit holds. A name may have many
 * addresses; each gets its share of the time that is left, so that one that swallows packets
 * does not use up the time of the next, which might answer at once.
 */
#define _GNU_SOURCE 1 /* sys.h */

#include "address.h"
#include "sys.h"

#include <smux/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

/** Least share of an address: three tries of a lost SYN would need more, one needs 1 s. */
#define DIAL_MIN_SHARE_US UINT64_C(2000000)

/** Pause before a Unix socket whose backlog is full is tried again; poll cannot wait for it. */
#define DIAL_BACKLOG_PAUSE_US UINT64_C(10000)

/** Waits until a connection under way is made or refused. */
static int dial_wait(int fd, uint64_t deadline_us)
{
    struct pollfd pfd = {.fd = fd, .events = POLLOUT};
    int n;

    do {
        n = smux__sys_poll_until(&pfd, 1, deadline_us);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return n == 0 ? SMUX_EDEADLINE : SMUX_EIO;
    }
    int error = 0;
    socklen_t len = sizeof error;
    if (smux__sys.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        return SMUX_EIO;
    }
    errno = error;
    return error == 0 ? SMUX_OK : SMUX_EIO;
}

/** Sleeps a little. Returns whether there is time for another try. */
static bool dial_pause(uint64_t deadline_us)
{
    uint64_t until_us = smux_now_us() + DIAL_BACKLOG_PAUSE_US;

    if (until_us >= deadline_us) {
        return false;
    }
    (void)smux__sys_poll_until(NULL, 0, until_us);
    return true;
}

static int dial_connect(int fd, const struct sockaddr *address, socklen_t len, uint64_t deadline_us)
{
    while (smux__sys.connect(fd, address, len) != 0) {
        if (errno == EINPROGRESS || errno == EINTR) {
            return dial_wait(fd, deadline_us);
        }
        if (errno != EAGAIN || address->sa_family != AF_UNIX) {
            return SMUX_EIO;
        }
        if (!dial_pause(deadline_us)) {
            return SMUX_EDEADLINE;
        }
    }
    return SMUX_OK;
}

/** Connects a new socket to one address. */
static int dial_one(const struct sockaddr *address, socklen_t len, uint64_t deadline_us,
                    int *out_fd)
{
    int fd = smux__sys.socket(address->sa_family, true);
    if (fd < 0) {
        return SMUX_EIO;
    }
    int status = dial_connect(fd, address, len, deadline_us);
    if (status == SMUX_OK && smux__sys_set_nonblocking(fd, false) != 0) {
        status = SMUX_EIO;
    }
    if (status != SMUX_OK) {
        smux__sys_close_quietly(fd);
        return status;
    }
    *out_fd = fd;
    return SMUX_OK;
}

/**
 * Tells whether a socket is connected to itself. TCP does that when a port of this machine is
 * dialled where nobody listens and the kernel happens to pick that same port as the local one.
 */
static bool dial_met_itself(int fd)
{
    struct sockaddr_storage here = {0};
    struct sockaddr_storage there = {0};
    socklen_t here_len = sizeof here;
    socklen_t there_len = sizeof there;

    return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 && here_len == there_len &&
           memcmp(&here, &there, here_len) == 0;
}

static int dial_one_tcp(const struct addrinfo *ai, uint64_t deadline_us, int *out_fd)
{
    int status = dial_one(ai->ai_addr, ai->ai_addrlen, deadline_us, out_fd);
    if (status == SMUX_OK && dial_met_itself(*out_fd)) {
        smux__sys_close_quietly(*out_fd);
        errno = ECONNREFUSED;
        return SMUX_EIO;
    }
    return status;
}

/** Returns until when one address may take, of `n` that are left. */
static uint64_t dial_share(uint64_t deadline_us, unsigned n)
{
    uint64_t now_us = smux_now_us();

    if (deadline_us == SMUX_NEVER || n <= 1 || deadline_us <= now_us) {
        return deadline_us;
    }
    uint64_t share_us = (deadline_us - now_us) / n;
    if (share_us < DIAL_MIN_SHARE_US) {
        share_us = DIAL_MIN_SHARE_US;
    }
    return now_us + share_us < deadline_us ? now_us + share_us : deadline_us;
}

static unsigned dial_count(const struct addrinfo *ai)
{
    unsigned n = 0;

    for (; ai != NULL; ai = ai->ai_next) {
        n++;
    }
    return n;
}

/** Tries the addresses in turn until one answers or the time is up. */
static int dial_list(const struct addrinfo *list, uint64_t deadline_us, int *out_fd)
{
    int status = SMUX_EADDRESS;
    unsigned left = dial_count(list);

    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next, left--) {
        status = dial_one_tcp(ai, dial_share(deadline_us, left), out_fd);
        if (status == SMUX_OK || (status == SMUX_EDEADLINE && smux_now_us() >= deadline_us)) {
            break;
        }
    }
    return status;
}

static int dial_tcp(const struct smux__address *address, uint64_t deadline_us, int *out_fd)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    /* Without a host, getaddrinfo returns the loopback addresses. */
    const char *host = address->kind == SMUX__ADDRESS_HOST ? address->host : NULL;
    struct addrinfo *list = NULL;

    if (smux__sys.getaddrinfo(host, address->port, &hints, &list) != 0 || list == NULL) {
        return SMUX_EADDRESS;
    }
    int status = dial_list(list, deadline_us, out_fd);
    int saved = errno;
    smux__sys.freeaddrinfo(list);
    errno = saved;
    return status;
}

/** Takes up a descriptor that is connected already. */
static int dial_fd(int fd, int *out_fd)
{
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return SMUX_EADDRESS;
    }
    *out_fd = fd;
    return SMUX_OK;
}

int smux_dial(const char *text, uint32_t timeout_ms, int *out_fd)
{
    struct smux__address address;
    uint64_t deadline_us = smux__sys_deadline(timeout_ms);

    *out_fd = -1;
    if (!smux__address_parse(text, &address)) {
        return SMUX_EADDRESS;
    }
    switch (address.kind) {
    case SMUX__ADDRESS_FD:
        return dial_fd(address.fd, out_fd);
    case SMUX__ADDRESS_UNIX:
        return dial_one((const struct sockaddr *)&address.local, address.local_len, deadline_us,
                        out_fd);
    default:
        return dial_tcp(&address, deadline_us, out_fd);
    }
}
