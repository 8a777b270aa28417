#define _GNU_SOURCE 1

#include "faults.h"

#include "transport/sys.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

struct fault_plan {
    atomic_uint count;
    unsigned from; /* first call that fails; 0 = none */
    unsigned times;
    int error;
    size_t max; /* bytes in a call; 0 = no limit */
};

static struct smux__sys real;
static struct fault_plan plans[FAULT_CALLS];
static atomic_uint struck;

bool faults_strike(enum fault_call call)
{
    struct fault_plan *plan = &plans[call];
    unsigned nth = atomic_fetch_add(&plan->count, 1) + 1;

    if (plan->from == 0 || nth < plan->from ||
        (plan->times != 0 && nth >= plan->from + plan->times)) {
        return false;
    }
    atomic_fetch_add(&struck, 1);
    errno = plan->error;
    return true;
}

int faults_all_ready(struct pollfd *fds, unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        fds[i].revents = fds[i].events;
    }
    return (int)n;
}

/** Returns the first bytes of the vectors, at most what the plan allows; `n` of them. */
static const struct iovec *fault_cut(enum fault_call call, const struct iovec *iov, int *n,
                                     struct iovec *cut)
{
    if (plans[call].max == 0) {
        return iov;
    }
    *cut = iov[0];
    *n = 1;
    if (cut->iov_len > plans[call].max) {
        cut->iov_len = plans[call].max;
    }
    return cut;
}

static ssize_t fault_readv(int fd, const struct iovec *iov, int n)
{
    struct iovec cut;

    if (faults_strike(FAULT_READ)) {
        return errno == 0 ? 0 : -1;
    }
    iov = fault_cut(FAULT_READ, iov, &n, &cut);
    return real.readv(fd, iov, n);
}

static ssize_t fault_recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct iovec cut;
    struct msghdr copy = *msg;
    int n = (int)msg->msg_iovlen;

    if (faults_strike(FAULT_READ)) {
        return errno == 0 ? 0 : -1;
    }
    copy.msg_iov = (struct iovec *)fault_cut(FAULT_READ, msg->msg_iov, &n, &cut);
    copy.msg_iovlen = (size_t)n;
    return real.recvmsg(fd, &copy, flags);
}

static ssize_t fault_writev(int fd, const struct iovec *iov, int n)
{
    struct iovec cut;

    if (faults_strike(FAULT_WRITE)) {
        return -1;
    }
    iov = fault_cut(FAULT_WRITE, iov, &n, &cut);
    return real.writev(fd, iov, n);
}

static ssize_t fault_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct iovec cut;
    struct msghdr copy = *msg;
    int n = (int)msg->msg_iovlen;

    if (faults_strike(FAULT_WRITE)) {
        return -1;
    }
    copy.msg_iov = (struct iovec *)fault_cut(FAULT_WRITE, msg->msg_iov, &n, &cut);
    copy.msg_iovlen = (size_t)n;
    return real.sendmsg(fd, &copy, flags);
}

static int fault_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (faults_strike(FAULT_POLL)) {
        return errno == 0 ? faults_all_ready(fds, n) : -1;
    }
    return real.poll(fds, n, timeout_ms);
}

static int fault_socket(int family, bool nonblocking)
{
    return faults_strike(FAULT_SOCKET) ? -1 : real.socket(family, nonblocking);
}

/** One that is interrupted goes on by itself, as the manual page says, if it has not failed. */
static int fault_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    if (!faults_strike(FAULT_CONNECT)) {
        return real.connect(fd, address, len);
    }
    if (errno == EINTR && (real.connect(fd, address, len) == 0 || errno == EINPROGRESS)) {
        errno = EINTR;
    }
    return -1;
}

static int fault_accept(int fd)
{
    return faults_strike(FAULT_ACCEPT) ? -1 : real.accept(fd);
}

static int fault_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return faults_strike(FAULT_SETSOCKOPT) ? -1 : real.setsockopt(fd, level, name, value, len);
}

static int fault_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    if (faults_strike(FAULT_GETSOCKOPT)) {
        return -1;
    }
    int rc = real.getsockopt(fd, level, name, value, len);
    if (level == SOL_SOCKET && name == SO_ERROR && faults_strike(FAULT_SO_ERROR)) {
        *(int *)value = errno;
    }
    return rc;
}

static int fault_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    return faults_strike(FAULT_BIND) ? -1 : real.bind(fd, address, len);
}

static int fault_listen(int fd, int backlog)
{
    return faults_strike(FAULT_LISTEN) ? -1 : real.listen(fd, backlog);
}

static int fault_resolve(const char *host, const char *service, const struct addrinfo *hints,
                         struct addrinfo **out_list)
{
    return faults_strike(FAULT_RESOLVE) ? plans[FAULT_RESOLVE].error
                                        : real.getaddrinfo(host, service, hints, out_list);
}

static int fault_shutdown(int fd, int how)
{
    return faults_strike(FAULT_SHUTDOWN) ? -1 : real.shutdown(fd, how);
}

/** Closes the descriptor in any case, as Linux does when it reports EINTR or EIO. */
static int fault_close(int fd)
{
    int rc = real.close(fd);

    return faults_strike(FAULT_CLOSE) ? -1 : rc;
}

static int fault_bell(int out_fds[2])
{
    return faults_strike(FAULT_BELL) ? -1 : real.bell(out_fds);
}

static ssize_t fault_read(int fd, void *buf, size_t len)
{
    return faults_strike(FAULT_RING) ? -1 : real.read(fd, buf, len);
}

static ssize_t fault_write(int fd, const void *buf, size_t len)
{
    return faults_strike(FAULT_RING) ? -1 : real.write(fd, buf, len);
}

static ssize_t fault_getrandom(void *buf, size_t len, unsigned flags)
{
    return faults_strike(FAULT_RANDOM) ? -1 : real.getrandom(buf, len, flags);
}

void faults_begin(void)
{
    real = smux__sys;
    memset(plans, 0, sizeof plans);
    atomic_store(&struck, 0);
    smux__sys.read = fault_read;
    smux__sys.write = fault_write;
    smux__sys.readv = fault_readv;
    smux__sys.writev = fault_writev;
    smux__sys.recvmsg = fault_recvmsg;
    smux__sys.sendmsg = fault_sendmsg;
    smux__sys.poll = fault_poll;
    smux__sys.socket = fault_socket;
    smux__sys.connect = fault_connect;
    smux__sys.accept = fault_accept;
    smux__sys.setsockopt = fault_setsockopt;
    smux__sys.getsockopt = fault_getsockopt;
    smux__sys.bind = fault_bind;
    smux__sys.listen = fault_listen;
    smux__sys.getaddrinfo = fault_resolve;
    smux__sys.shutdown = fault_shutdown;
    smux__sys.close = fault_close;
    smux__sys.bell = fault_bell;
    smux__sys.getrandom = fault_getrandom;
}

void faults_end(void)
{
    smux__sys = real;
}

void faults_fail(enum fault_call call, unsigned nth, int error, unsigned times)
{
    plans[call].from = nth;
    plans[call].error = error;
    plans[call].times = times;
}

void faults_shorten(enum fault_call call, size_t max)
{
    plans[call].max = max;
}

unsigned faults_count(enum fault_call call)
{
    return atomic_load(&plans[call].count);
}

unsigned faults_struck(void)
{
    return atomic_load(&struck);
}

unsigned faults_open_fds(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");

    if (dir == NULL) {
        return 0;
    }
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n;
}
