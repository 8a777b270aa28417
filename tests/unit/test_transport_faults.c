/*
 * Listening, dialling, accepting and talking, with one call that fails: each call of the table
 * (transport/sys.h), at each place, with each error its manual page allows. What must hold: the
 * bytes arrive or some call tells of an error, soon, and no descriptor stays.
 *
 * ctest-timeout: 60
 */
#define _GNU_SOURCE 1

#include "faults.h"
#include "suite.h"

#include <smux/transport.h>

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

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
    {FAULT_BIND, EADDRINUSE, false},
    {FAULT_BIND, EACCES, false},
    {FAULT_BIND, EADDRNOTAVAIL, false},
    {FAULT_LISTEN, EADDRINUSE, false},
    {FAULT_CONNECT, ECONNREFUSED, false},
    {FAULT_CONNECT, ETIMEDOUT, false},
    {FAULT_CONNECT, ENETUNREACH, false},
    {FAULT_CONNECT, EHOSTUNREACH, false},
    {FAULT_CONNECT, EADDRNOTAVAIL, false},
    {FAULT_CONNECT, EACCES, false},
    {FAULT_CONNECT, EAGAIN, false},
    {FAULT_SO_ERROR, ECONNREFUSED, false},
    {FAULT_SO_ERROR, ETIMEDOUT, false},
    {FAULT_SO_ERROR, EHOSTUNREACH, false},
    {FAULT_GETSOCKOPT, ENOBUFS, false},
    {FAULT_SETSOCKOPT, ENOPROTOOPT, true},
    {FAULT_SETSOCKOPT, EINVAL, true},
    {FAULT_ACCEPT, EINTR, true},
    {FAULT_ACCEPT, EAGAIN, true},
    {FAULT_ACCEPT, ECONNABORTED, true},
    {FAULT_ACCEPT, EPROTO, true},
    {FAULT_ACCEPT, EMFILE, false},
    {FAULT_ACCEPT, ENFILE, false},
    {FAULT_ACCEPT, ENOBUFS, false},
    {FAULT_ACCEPT, ENOMEM, false},
    {FAULT_POLL, EINTR, true},
    {FAULT_POLL, ENOMEM, false},
    {FAULT_RESOLVE, EAI_AGAIN, false},
    {FAULT_RESOLVE, EAI_NONAME, false},
    {FAULT_RESOLVE, EAI_MEMORY, false},
    {FAULT_RESOLVE, EAI_FAIL, false},
    {FAULT_READ, EINTR, true},
    {FAULT_READ, EAGAIN, true},
    {FAULT_READ, ECONNRESET, false},
    {FAULT_READ, ETIMEDOUT, false},
    {FAULT_READ, ENOMEM, false},
    {FAULT_READ, EIO, false},
    {FAULT_WRITE, EINTR, true},
    {FAULT_WRITE, EAGAIN, true},
    {FAULT_WRITE, EPIPE, false},
    {FAULT_WRITE, ECONNRESET, false},
    {FAULT_WRITE, ENOBUFS, false},
    {FAULT_WRITE, EIO, false},
    {FAULT_SHUTDOWN, ENOTCONN, true},
    {FAULT_CLOSE, EINTR, true},
    {FAULT_CLOSE, EIO, true},
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

static int scenario(const char *where)
{
    char address[80];
    int listener;

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

static const char *const places[] = {"127.0.0.1:0", "0", "@smux-test-faults"};
#define N_PLACES ((int)(sizeof places / sizeof places[0]))

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

int main(void)
{
    Suite *suite = suite_create("transport_faults");
    TCase *tc = tcase_create("faults");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, K2_to_K8_a_fault_at_any_call, 0, N_FAULTS * N_PLACES);
    tcase_add_loop_test(tc, K2_to_K8_a_call_that_fails_for_good, 0, N_FAULTS);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
