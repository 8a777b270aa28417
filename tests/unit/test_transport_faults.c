/*
 * Listening, dialling, accepting and talking, with one call that fails: each call of the table
 * (transport/sys.h) and those that are made without it, at each place, with each error that its
 * manual page allows (socket(7), ip(7), tcp(7) and unix(7) included). Left out is what only a
 * wrong argument brings: EBADF, EFAULT, ENOTSOCK and the like. What must hold: the bytes arrive or
 * some call tells of an error, soon, and no descriptor stays.
 *
 * ctest-wrap: fcntl getsockname getpeername lstat unlink chmod
 * ctest-timeout: 60
 */
#define _GNU_SOURCE 1

#include "faults.h"
#include "suite.h"

#include <smux/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- calls that are not in the table ------------------------------------------------------- */

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __real_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __real_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int __real_lstat(const char *path, struct stat *out);
int __wrap_lstat(const char *path, struct stat *out);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode);

int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    long value;

    va_start(args, command);
    value = va_arg(args, long);
    va_end(args);
    return faults_strike(FAULT_FCNTL) ? -1 : __real_fcntl(fd, command, value);
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    return faults_strike(FAULT_NAME) ? -1 : __real_getsockname(fd, address, len);
}

int __wrap_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    return faults_strike(FAULT_NAME) ? -1 : __real_getpeername(fd, address, len);
}

int __wrap_lstat(const char *path, struct stat *out)
{
    return faults_strike(FAULT_LSTAT) ? -1 : __real_lstat(path, out);
}

int __wrap_unlink(const char *path)
{
    return faults_strike(FAULT_UNLINK) ? -1 : __real_unlink(path);
}

int __wrap_chmod(const char *path, mode_t mode)
{
    return faults_strike(FAULT_CHMOD) ? -1 : __real_chmod(path, mode);
}

/* --- faults -------------------------------------------------------------------------------- */

/* Longer than any timeout of this file. */
#define SOON_US 3000000

static const struct fault {
    enum fault_call call;
    int error;
    bool harmless;
} faults[] = {
    {FAULT_SOCKET, EMFILE, false},
    {FAULT_SOCKET, ENFILE, false},
    {FAULT_SOCKET, ENOBUFS, false},
    {FAULT_SOCKET, ENOMEM, false},
    {FAULT_SOCKET, EACCES, false},
    {FAULT_SOCKET, EAFNOSUPPORT, false},
    {FAULT_SOCKET, EINVAL, false},
    {FAULT_SOCKET, EPROTONOSUPPORT, false},
    {FAULT_BIND, EADDRINUSE, false},
    {FAULT_BIND, EACCES, false},
    {FAULT_BIND, EADDRNOTAVAIL, false},
    {FAULT_BIND, EINVAL, false},
    {FAULT_BIND, ELOOP, false},
    {FAULT_BIND, ENAMETOOLONG, false},
    {FAULT_BIND, ENOENT, false},
    {FAULT_BIND, ENOMEM, false},
    {FAULT_BIND, ENOTDIR, false},
    {FAULT_BIND, EROFS, false},
    {FAULT_LISTEN, EADDRINUSE, false},
    {FAULT_LISTEN, EOPNOTSUPP, false},
    {FAULT_CONNECT, EINTR, true},
    {FAULT_CONNECT, ECONNREFUSED, false},
    {FAULT_CONNECT, ETIMEDOUT, false},
    {FAULT_CONNECT, ENETUNREACH, false},
    {FAULT_CONNECT, EHOSTUNREACH, false},
    {FAULT_CONNECT, EADDRNOTAVAIL, false},
    {FAULT_CONNECT, EACCES, false},
    {FAULT_CONNECT, EAGAIN, false},
    {FAULT_CONNECT, EPERM, false},
    {FAULT_CONNECT, EADDRINUSE, false},
    {FAULT_CONNECT, EAFNOSUPPORT, false},
    {FAULT_CONNECT, EALREADY, false},
    {FAULT_CONNECT, ECONNRESET, false},
    {FAULT_CONNECT, EISCONN, false},
    {FAULT_CONNECT, ENOENT, false},
    {FAULT_CONNECT, EPROTOTYPE, false},
    {FAULT_SO_ERROR, ECONNREFUSED, false},
    {FAULT_SO_ERROR, ETIMEDOUT, false},
    {FAULT_SO_ERROR, EHOSTUNREACH, false},
    {FAULT_SO_ERROR, ENETUNREACH, false},
    {FAULT_SO_ERROR, ECONNRESET, false},
    {FAULT_GETSOCKOPT, ENOBUFS, false},
    {FAULT_GETSOCKOPT, ENOPROTOOPT, false},
    {FAULT_SETSOCKOPT, ENOPROTOOPT, true},
    {FAULT_SETSOCKOPT, EINVAL, true},
    {FAULT_SETSOCKOPT, ENOMEM, true},
    {FAULT_SETSOCKOPT, EDOM, true},
    {FAULT_SETSOCKOPT, EPERM, true},
    {FAULT_ACCEPT, EINTR, true},
    {FAULT_ACCEPT, EAGAIN, true},
    {FAULT_ACCEPT, ECONNABORTED, true},
    {FAULT_ACCEPT, EPROTO, true},
    {FAULT_ACCEPT, ENETDOWN, true},
    {FAULT_ACCEPT, ENOPROTOOPT, true},
    {FAULT_ACCEPT, EHOSTDOWN, true},
    {FAULT_ACCEPT, ENONET, true},
    {FAULT_ACCEPT, EHOSTUNREACH, true},
    {FAULT_ACCEPT, ENETUNREACH, true},
    {FAULT_ACCEPT, EMFILE, false},
    {FAULT_ACCEPT, ENFILE, false},
    {FAULT_ACCEPT, ENOBUFS, false},
    {FAULT_ACCEPT, ENOMEM, false},
    {FAULT_ACCEPT, EPERM, false},
    {FAULT_ACCEPT, EOPNOTSUPP, false},
    {FAULT_ACCEPT, EINVAL, false},
    {FAULT_POLL, EINTR, true},
    {FAULT_POLL, ENOMEM, false},
    {FAULT_POLL, EINVAL, false},
    {FAULT_RESOLVE, EAI_AGAIN, false},
    {FAULT_RESOLVE, EAI_NONAME, false},
    {FAULT_RESOLVE, EAI_MEMORY, false},
    {FAULT_RESOLVE, EAI_FAIL, false},
    {FAULT_RESOLVE, EAI_SYSTEM, false},
    {FAULT_RESOLVE, EAI_FAMILY, false},
    {FAULT_RESOLVE, EAI_SERVICE, false},
    {FAULT_RESOLVE, EAI_SOCKTYPE, false},
    {FAULT_RESOLVE, EAI_BADFLAGS, false},
    {FAULT_RESOLVE, EAI_NODATA, false},
    {FAULT_RESOLVE, EAI_ADDRFAMILY, false},
    {FAULT_READ, EINTR, true},
    {FAULT_READ, EAGAIN, true},
    {FAULT_READ, 0, false},
    {FAULT_READ, ECONNRESET, false},
    {FAULT_READ, ETIMEDOUT, false},
    {FAULT_READ, ENOBUFS, false},
    {FAULT_READ, ENOMEM, false},
    {FAULT_READ, EIO, false},
    {FAULT_READ, ECONNREFUSED, false},
    {FAULT_READ, ENOTCONN, false},
    {FAULT_READ, EHOSTUNREACH, false},
    {FAULT_WRITE, EINTR, true},
    {FAULT_WRITE, EAGAIN, true},
    {FAULT_WRITE, EPIPE, false},
    {FAULT_WRITE, ECONNRESET, false},
    {FAULT_WRITE, ETIMEDOUT, false},
    {FAULT_WRITE, ENOBUFS, false},
    {FAULT_WRITE, ENOMEM, false},
    {FAULT_WRITE, EIO, false},
    {FAULT_WRITE, ENOTCONN, false},
    {FAULT_WRITE, EHOSTUNREACH, false},
    {FAULT_WRITE, ENETDOWN, false},
    {FAULT_WRITE, ENETUNREACH, false},
    {FAULT_WRITE, EACCES, false},
    {FAULT_WRITE, EPERM, false},
    {FAULT_WRITE, EMSGSIZE, false},
    {FAULT_SHUTDOWN, ENOTCONN, true},
    {FAULT_CLOSE, EINTR, true},
    {FAULT_CLOSE, EIO, true},
    {FAULT_CLOSE, ENOSPC, true},
    {FAULT_CLOSE, EDQUOT, true},
    {FAULT_FCNTL, EAGAIN, false},
    {FAULT_FCNTL, EPERM, false},
    {FAULT_NAME, ENOBUFS, false},
    {FAULT_NAME, EINVAL, false},
    {FAULT_NAME, ENOTCONN, false},
    {FAULT_LSTAT, EACCES, false},
    {FAULT_LSTAT, ELOOP, false},
    {FAULT_LSTAT, ENAMETOOLONG, false},
    {FAULT_LSTAT, ENOENT, false},
    {FAULT_LSTAT, ENOMEM, false},
    {FAULT_LSTAT, ENOTDIR, false},
    {FAULT_UNLINK, EACCES, false},
    {FAULT_UNLINK, EBUSY, false},
    {FAULT_UNLINK, EIO, false},
    {FAULT_UNLINK, ELOOP, false},
    {FAULT_UNLINK, ENOENT, false},
    {FAULT_UNLINK, ENOMEM, false},
    {FAULT_UNLINK, ENOTDIR, false},
    {FAULT_UNLINK, EPERM, false},
    {FAULT_UNLINK, EROFS, false},
    {FAULT_CHMOD, EACCES, false},
    {FAULT_CHMOD, EIO, false},
    {FAULT_CHMOD, ELOOP, false},
    {FAULT_CHMOD, ENOENT, false},
    {FAULT_CHMOD, ENOMEM, false},
    {FAULT_CHMOD, ENOTDIR, false},
    {FAULT_CHMOD, EPERM, false},
    {FAULT_CHMOD, EROFS, false},
};
#define N_FAULTS ((int)(sizeof faults / sizeof faults[0]))

/* Repeats a call that would block, as a loop does; the first error ends it. */
static int talk(const struct smux_transport *from, const struct smux_transport *to)
{
    char sent[] = "over there";
    char got[sizeof sent] = "";
    struct smux_iov out = {sent, sizeof sent};
    struct smux_iov in = {got, sizeof got};
    size_t len = 0;
    int status;

    for (int i = 0; i < 100; i++) {
        status = from->ops->writev(from->ctx, &out, 1, &len);
        if (status != SMUX_EAGAIN) {
            break;
        }
    }
    if (status != SMUX_OK) {
        return status;
    }
    for (int i = 0; i < 100; i++) {
        status = to->ops->readv(to->ctx, &in, 1, &len);
        if (status != SMUX_EAGAIN) {
            break;
        }
        usleep(100);
    }
    if (status == SMUX_OK) {
        ck_assert_str_eq(got, sent);
    }
    return status;
}

/* Makes a transport of a descriptor, or closes it. */
static int own(int fd, struct smux_transport *out)
{
    int status = smux_transport_fd(fd, fd, out);

    if (status != SMUX_OK) {
        close(fd);
    }
    return status;
}

/* Returns the status of the first call that did not succeed. */
static int connect_and_talk(int listener, const char *address)
{
    struct smux_transport near, far;
    int fds[2];

    int status = smux_dial(address, 1000, &fds[0]);
    if (status != SMUX_OK) {
        return status;
    }
    status = smux_accept_fd(listener, 500, &fds[1]);
    if (status != SMUX_OK) {
        close(fds[0]);
        return status;
    }
    status = own(fds[0], &near);
    if (status != SMUX_OK) {
        close(fds[1]);
        return status;
    }
    status = own(fds[1], &far);
    if (status == SMUX_OK) {
        status = talk(&near, &far);
        near.ops->shutdown(near.ctx);
        smux_transport_close(&far);
    }
    smux_transport_close(&near);
    return status;
}

static char path[80]; /* of a Unix socket */
static const char *const places[] = {"127.0.0.1:0", "0", "@smux-test-faults", path};
#define N_PLACES ((int)(sizeof places / sizeof places[0]))

/* Leaves a socket of a process that died, so that listening has to look at it. */
static void leave_a_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)__real_unlink(path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

/* Every test is a process of its own. */
static void setup(void)
{
    (void)snprintf(path, sizeof path, "/tmp/smux-test-faults-%d", (int)getpid());
}

static void teardown(void)
{
    (void)__real_unlink(path);
}

static int scenario(const char *where)
{
    char address[100];
    int listener;

    if (where == path) {
        leave_a_socket();
    }
    int status = smux_listen(where, &listener);
    if (status != SMUX_OK) {
        return status;
    }
    status = smux_socket_address(listener, false, address, sizeof address);
    if (status == SMUX_OK) {
        status = connect_and_talk(listener, address);
    }
    close(listener);
    return status;
}

START_TEST(K2_to_K8_a_fault_at_any_call)
{
    const struct fault *fault = &faults[_i % N_FAULTS];
    const char *where = places[_i / N_FAULTS];
    unsigned fds = faults_open_fds();
    unsigned calls;

    faults_begin();
    ck_assert_int_eq(scenario(where), SMUX_OK);
    calls = faults_count(fault->call);
    faults_end();
    for (unsigned nth = 1; nth <= calls; nth++) {
        uint64_t begin_us = smux_now_us();
        faults_begin();
        faults_fail(fault->call, nth, fault->error, 1);
        int status = scenario(where);
        faults_end();
        ck_assert_msg(status == SMUX_OK || !fault->harmless, "call %u: %s", nth,
                      smux_strerror(status));
        ck_assert_uint_lt(smux_now_us() - begin_us, SOON_US);
        ck_assert_uint_eq(faults_open_fds(), fds);
    }
}
END_TEST

/* From the n-th on for good: nothing may try for ever. */
START_TEST(K2_to_K8_a_call_that_fails_for_good)
{
    const struct fault *fault = &faults[_i];
    unsigned fds = faults_open_fds();

    for (unsigned nth = 1; nth <= 2 && fault->error != EINTR; nth++) {
        uint64_t begin_us = smux_now_us();
        faults_begin();
        faults_fail(fault->call, nth, fault->error, 0);
        (void)scenario("127.0.0.1:0");
        /* An error of accept takes a connection off the queue; it may repeat until the deadline. */
        ck_assert(fault->call == FAULT_ACCEPT || faults_count(fault->call) < 100000);
        faults_end();
        ck_assert_uint_lt(smux_now_us() - begin_us, SOON_US);
        ck_assert_uint_eq(faults_open_fds(), fds);
    }
}
END_TEST

/* Otherwise its faults would try nothing. */
START_TEST(every_call_of_the_table_is_made)
{
    unsigned calls[FAULT_CALLS] = {0};

    for (int i = 0; i < N_PLACES; i++) {
        faults_begin();
        ck_assert_int_eq(scenario(places[i]), SMUX_OK);
        for (int call = 0; call < FAULT_CALLS; call++) {
            calls[call] += faults_count((enum fault_call)call);
        }
        faults_end();
    }
    for (int i = 0; i < N_FAULTS; i++) {
        ck_assert_msg(calls[faults[i].call] > 0, "call %d", (int)faults[i].call);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport_faults");
    TCase *tc = tcase_create("faults");

    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, K2_to_K8_a_fault_at_any_call, 0, N_FAULTS * N_PLACES);
    tcase_add_loop_test(tc, K2_to_K8_a_call_that_fails_for_good, 0, N_FAULTS);
    tcase_add_test(tc, every_call_of_the_table_is_made);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
