/*
 * listen.c - listening and accepting.
 */
#define _GNU_SOURCE 1 /* sys.h */

#include "address.h"
#include "sys.h"

#include <smux/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- listening ---------------------------------------------------------------------------- */

/** Makes a socket that is bound and does not listen yet. Returns it, or -1 with errno. */
static int listen_bind(const struct sockaddr *address, socklen_t len, bool both_families)
{
    int on = 1;
    int off = 0;

    /* Non-blocking: otherwise accept waits if the client vanishes after poll has seen it. */
    int fd = smux__sys.socket(address->sa_family, true);
    if (fd < 0) {
        return -1;
    }
    if (address->sa_family != AF_UNIX) {
        (void)smux__sys.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if ((both_families &&
         smux__sys.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
        smux__sys.bind(fd, address, len) != 0) {
        smux__sys_close_quietly(fd);
        return -1;
    }
    return fd;
}

/** Makes a bound socket listen; takes it over. */
static int listen_start(int fd, int *out_fd)
{
    if (fd < 0) {
        return SMUX_EIO;
    }
    if (smux__sys.listen(fd, SOMAXCONN) != 0) {
        smux__sys_close_quietly(fd);
        return SMUX_EIO;
    }
    *out_fd = fd;
    return SMUX_OK;
}

/** Listens at the first address of a name that can be bound. */
static int listen_host(const struct smux__address *address, int *out_fd)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *list = NULL;

    if (smux__sys.getaddrinfo(address->host, address->port, &hints, &list) != 0 || list == NULL) {
        return SMUX_EADDRESS;
    }
    int fd = -1;
    for (const struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
        fd = listen_bind(ai->ai_addr, ai->ai_addrlen, false);
    }
    int saved = errno;
    smux__sys.freeaddrinfo(list);
    errno = saved;
    return listen_start(fd, out_fd);
}

static in_port_t listen_port(const struct smux__address *address)
{
    return htons((uint16_t)strtol(address->port, NULL, 10));
}

static int listen_v4(const struct smux__address *address, uint32_t host, int *out_fd)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = listen_port(address)};

    four.sin_addr.s_addr = htonl(host);
    return listen_start(listen_bind((const struct sockaddr *)&four, sizeof four, false), out_fd);
}

/** Tells whether the last failure means that this machine has no IPv6, or cannot serve both
 *  families with one socket. A port that is taken is no reason to try IPv4 alone. */
static bool listen_lacks_v6(void)
{
    return errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL || errno == EPROTONOSUPPORT ||
           errno == EINVAL || errno == ENOPROTOOPT;
}

static int listen_any(const struct smux__address *address, int *out_fd)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = listen_port(address)};

    int fd = listen_bind((const struct sockaddr *)&six, sizeof six, true);
    if (fd < 0 && listen_lacks_v6()) {
        return listen_v4(address, INADDR_ANY, out_fd);
    }
    return listen_start(fd, out_fd);
}

static bool listen_has_path(const struct smux__address *address)
{
    return address->local.sun_path[0] != '\0';
}

/** Tells whether a path is a socket that a dead process has left: connecting is refused. */
static bool listen_is_stale(const struct smux__address *address)
{
    struct stat info;

    if (lstat(address->local.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) {
        return false;
    }
    int fd = smux__sys.socket(AF_UNIX, true);
    if (fd < 0) {
        return false;
    }
    bool refused =
        smux__sys.connect(fd, (const struct sockaddr *)&address->local, address->local_len) != 0 &&
        errno == ECONNREFUSED;
    smux__sys_close_quietly(fd);
    return refused;
}

static int listen_unix(const struct smux__address *address, int *out_fd)
{
    const struct sockaddr *local = (const struct sockaddr *)&address->local;
    const char *path = address->local.sun_path;

    int fd = listen_bind(local, address->local_len, false);
    if (fd < 0 && errno == EADDRINUSE && listen_has_path(address)) {
        if (!listen_is_stale(address)) {
            errno = EADDRINUSE;
            return SMUX_EIO;
        }
        (void)unlink(path);
        fd = listen_bind(local, address->local_len, false);
    }
    /* Nobody can connect before listen(), so there is no moment with a wider mode. */
    if (fd >= 0 && listen_has_path(address) && chmod(path, S_IRUSR | S_IWUSR) != 0) {
        smux__sys_close_quietly(fd);
        return SMUX_EIO;
    }
    return listen_start(fd, out_fd);
}

/** Takes up a descriptor that listens already, for example from a service manager. */
static int listen_fd(int fd, int *out_fd)
{
    int listens = 0;
    socklen_t len = sizeof listens;

    if (smux__sys.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 || listens == 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || smux__sys_set_nonblocking(fd, true) != 0) {
        return SMUX_EADDRESS;
    }
    *out_fd = fd;
    return SMUX_OK;
}

int smux_listen(const char *text, int *out_fd)
{
    struct smux__address address;

    *out_fd = -1;
    if (!smux__address_parse(text, &address)) {
        return SMUX_EADDRESS;
    }
    switch (address.kind) {
    case SMUX__ADDRESS_FD:
        return listen_fd(address.fd, out_fd);
    case SMUX__ADDRESS_UNIX:
        return listen_unix(&address, out_fd);
    case SMUX__ADDRESS_LOOPBACK:
        return listen_v4(&address, INADDR_LOOPBACK, out_fd);
    case SMUX__ADDRESS_ANY:
        return listen_any(&address, out_fd);
    default:
        return listen_host(&address, out_fd);
    }
}

/* --- accepting ---------------------------------------------------------------------------- */

/** Tells whether accept failed for a reason that concerns one connection only. Linux reports
 *  network errors of the new connection this way; the next one may be fine. */
static bool accept_failed_for_one(void)
{
    switch (errno) {
    case EINTR:
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
#ifdef ENONET
    case ENONET:
#endif
        return true;
    default:
        return false;
    }
}

int smux_accept_fd(int listen_fd, uint32_t timeout_ms, int *out_fd)
{
    struct pollfd pfd = {.fd = listen_fd, .events = POLLIN};
    uint64_t deadline_us = smux__sys_deadline(timeout_ms);

    *out_fd = -1;
    for (;;) {
        int n = smux__sys_poll_until(&pfd, 1, deadline_us);
        if (n == 0) {
            return SMUX_EDEADLINE;
        }
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return SMUX_EIO;
        }
        int fd = smux__sys.accept(listen_fd);
        if (fd >= 0) {
            *out_fd = fd;
            return SMUX_OK;
        }
        if (!accept_failed_for_one()) {
            return SMUX_EIO;
        }
        if (smux_now_us() >= deadline_us) {
            return SMUX_EDEADLINE; /* poll would only tell of the next one */
        }
    }
}
