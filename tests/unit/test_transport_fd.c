/*
 * The transport over file descriptors: what it returns, and what it does when the system fails.
 *
 * ctest-timeout: 20
 */
#define _GNU_SOURCE 1

#include "faults.h"
#include "suite.h"

#include <smux/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct smux_transport transport;
static int peer; /* the other end, or -1 */

static void setup_socket(void)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    peer = fds[1];
    faults_begin();
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
}

static void teardown(void)
{
    if (transport.ops != NULL) {
        smux_transport_close(&transport);
    }
    if (peer >= 0) {
        close(peer);
    }
    faults_end();
}

static int do_read(void *buf, size_t size, size_t *out_len)
{
    struct smux_iov iov = {buf, size};

    return transport.ops->readv(transport.ctx, &iov, 1, out_len);
}

static int do_write(const void *data, size_t len, size_t *out_len)
{
    struct smux_iov iov = {(void *)data, len};

    return transport.ops->writev(transport.ctx, &iov, 1, out_len);
}

static const char *error_text(void)
{
    return transport.ops->error(transport.ctx);
}

START_TEST(vectors_are_written_and_read_in_order)
{
    char a[3];
    char b[8];
    size_t len = 0;
    struct smux_iov out[2] = {{(void *)"abc", 3}, {(void *)"defg", 4}};
    struct smux_iov in[2] = {{a, sizeof a}, {b, sizeof b}};

    ck_assert_int_eq(transport.ops->writev(transport.ctx, out, 2, &len), SMUX_OK);
    ck_assert_uint_eq(len, 7);
    ck_assert_int_eq(read(peer, b, sizeof b), 7);
    ck_assert_int_eq(memcmp(b, "abcdefg", 7), 0);
    ck_assert_int_eq(write(peer, "vwxyz", 5), 5);
    ck_assert_int_eq(transport.ops->readv(transport.ctx, in, 2, &len), SMUX_OK);
    ck_assert_uint_eq(len, 5);
    ck_assert_int_eq(memcmp(a, "vwx", 3), 0);
    ck_assert_int_eq(memcmp(b, "yz", 2), 0);
}
END_TEST

START_TEST(nothing_to_read_would_block)
{
    char buf[4];
    size_t len;

    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_EAGAIN);
}

END_TEST

static int do_read_wait(void *buf, size_t size, size_t *out_len)
{
    struct smux_iov iov = {buf, size};

    return transport.ops->readv_wait(transport.ctx, &iov, 1, out_len);
}

/* ... and all other calls still do not wait, though the descriptor does. */
START_TEST(a_read_may_wait_some_milliseconds)
{
    uint8_t block[65536] = {0};
    char c;
    size_t len = 0;
    uint64_t begun_us = smux_now_us();

    ck_assert_int_eq(do_read_wait(&c, 1, &len), SMUX_EAGAIN);
    ck_assert_uint_ge(smux_now_us() - begun_us, 1000);
    faults_fail(FAULT_READ, faults_count(FAULT_READ) + 1, EINTR, 1);
    ck_assert_int_eq(write(peer, "x", 1), 1);
    ck_assert_int_eq(do_read_wait(&c, 1, &len), SMUX_OK);
    ck_assert_int_eq(c, 'x');
    ck_assert_int_eq(do_read(&c, 1, &len), SMUX_EAGAIN);
    while (do_write(block, sizeof block, &len) == SMUX_OK) {
    }
    ck_assert_int_eq(do_write(block, sizeof block, &len), SMUX_EAGAIN);
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    ck_assert_int_eq(do_read_wait(&c, 1, &len), SMUX_EOF);
}
END_TEST

static void ignore_signal(int number)
{
    (void)number;
}

/* Signals without end do not make the wait one. */
START_TEST(a_signal_ends_the_wait)
{
    struct sigaction action = {.sa_handler = ignore_signal, .sa_flags = SA_RESTART};
    const struct itimerval often = {{0, 500}, {0, 500}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    char c;
    size_t len = 0;

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    int status = do_read_wait(&c, 1, &len); /* for ever, if each began a new one */
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    ck_assert_int_eq(status, SMUX_EAGAIN);
}
END_TEST

START_TEST(a_socket_that_takes_no_limit_does_not_wait)
{
    char c;
    size_t len = 0;

    faults_fail(FAULT_SETSOCKOPT, 1, ENOPROTOOPT, 0);
    uint64_t begun_us = smux_now_us();
    ck_assert_int_eq(do_read_wait(&c, 1, &len), SMUX_EAGAIN);
    ck_assert_uint_lt(smux_now_us() - begun_us, 1000000);
    ck_assert_int_eq(write(peer, "x", 1), 1);
    ck_assert_int_eq(do_read_wait(&c, 1, &len), SMUX_OK); /* but reads */
}
END_TEST

START_TEST(a_full_socket_would_block)
{
    static char buf[65536];
    size_t len = 0;
    int status;

    do {
        status = do_write(buf, sizeof buf, &len);
    } while (status == SMUX_OK);
    ck_assert_int_eq(status, SMUX_EAGAIN);
}
END_TEST

START_TEST(the_end_comes_after_all_data)
{
    char buf[4];
    size_t len = 0;

    ck_assert_int_eq(write(peer, "ab", 2), 2);
    close(peer);
    peer = -1;
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_OK);
    ck_assert_uint_eq(len, 2);
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_EOF);
}
END_TEST

START_TEST(shutdown_lets_the_peer_read_the_end_and_answer)
{
    char buf[4];
    size_t len = 0;

    ck_assert_int_eq(do_write("x", 1, &len), SMUX_OK);
    transport.ops->shutdown(transport.ctx);
    ck_assert_int_eq(read(peer, buf, sizeof buf), 1);
    ck_assert_int_eq(read(peer, buf, sizeof buf), 0);
    ck_assert_int_eq(write(peer, "y", 1), 1);
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_OK);
}
END_TEST

START_TEST(a_write_to_a_closed_socket_fails_without_a_signal)
{
    size_t len;

    close(peer);
    peer = -1;
    ck_assert_int_eq(do_write("x", 1, &len), SMUX_EIO);
    ck_assert_str_eq(error_text(), strerror(EPIPE));
}
END_TEST

START_TEST(interrupted_calls_are_repeated)
{
    char buf[4];
    size_t len = 0;

    faults_fail(FAULT_WRITE, 1, EINTR, 3);
    faults_fail(FAULT_READ, 1, EINTR, 3);
    ck_assert_int_eq(do_write("x", 1, &len), SMUX_OK);
    ck_assert_uint_eq(faults_count(FAULT_WRITE), 4);
    ck_assert_int_eq(write(peer, "y", 1), 1);
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_OK);
    ck_assert_uint_eq(faults_count(FAULT_READ), 4);
}
END_TEST

static const int read_errors[] = {ECONNRESET, ETIMEDOUT, ENOBUFS, ENOMEM, EIO};
static const int write_errors[] = {EPIPE, ECONNRESET, ENOBUFS, ENOMEM, EIO};

START_TEST(read_errors_are_reported_with_their_text)
{
    char buf[4];
    size_t len;

    faults_fail(FAULT_READ, 1, read_errors[_i], 1);
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_EIO);
    ck_assert_str_eq(error_text(), strerror(read_errors[_i]));
}
END_TEST

START_TEST(write_errors_are_reported_with_their_text)
{
    size_t len;

    faults_fail(FAULT_WRITE, 1, write_errors[_i], 1);
    ck_assert_int_eq(do_write("x", 1, &len), SMUX_EIO);
    ck_assert_str_eq(error_text(), strerror(write_errors[_i]));
}
END_TEST

START_TEST(short_counts_are_passed_on)
{
    char buf[4];
    size_t len = 0;

    faults_shorten(FAULT_WRITE, 1);
    faults_shorten(FAULT_READ, 2);
    ck_assert_int_eq(do_write("xyz", 3, &len), SMUX_OK);
    ck_assert_uint_eq(len, 1);
    ck_assert_int_eq(write(peer, "abc", 3), 3);
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_OK);
    ck_assert_uint_eq(len, 2);
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_OK);
    ck_assert_uint_eq(len, 1);
    ck_assert_int_eq(buf[0], 'c');
}
END_TEST

START_TEST(one_descriptor_for_both_directions_is_closed_once)
{
    smux_transport_close(&transport);
    ck_assert_uint_eq(faults_count(FAULT_CLOSE), 1);
}
END_TEST

START_TEST(an_interrupted_close_is_not_repeated)
{
    faults_fail(FAULT_CLOSE, 1, EINTR, 1);
    smux_transport_close(&transport);
    ck_assert_uint_eq(faults_count(FAULT_CLOSE), 1);
}
END_TEST

START_TEST(a_failing_shutdown_is_harmless)
{
    faults_fail(FAULT_SHUTDOWN, 1, ENOTCONN, 1);
    transport.ops->shutdown(transport.ctx);
    ck_assert_uint_eq(faults_count(FAULT_SHUTDOWN), 1);
}
END_TEST

START_TEST(a_unix_socket_has_an_address_and_no_round_trip_time)
{
    char text[64];

    ck_assert_uint_eq(transport.ops->rtt_us(transport.ctx), 0);
    ck_assert_int_eq(transport.ops->address(transport.ctx, true, text, sizeof text), SMUX_OK);
    ck_assert_str_eq(text, "unix:");
}
END_TEST

/* --- pipes --------------------------------------------------------------------------------- */

static int from_transport; /* what the transport writes can be read here */

static void setup_pipes(void)
{
    int in[2];
    int out[2];

    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(out), 0);
    peer = in[1];
    from_transport = out[0];
    faults_begin();
    ck_assert_int_eq(smux_transport_fd(in[0], out[1], &transport), SMUX_OK);
}

static void teardown_pipes(void)
{
    close(from_transport);
    teardown();
}

START_TEST(pipes_carry_both_directions)
{
    char buf[4];
    size_t len = 0;

    ck_assert_int_eq(do_write("ab", 2, &len), SMUX_OK);
    ck_assert_int_eq(read(from_transport, buf, sizeof buf), 2);
    ck_assert_int_eq(write(peer, "c", 1), 1);
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_OK);
    ck_assert_int_ne(transport.ops->fd(transport.ctx, SMUX_WAIT_READ),
                     transport.ops->fd(transport.ctx, SMUX_WAIT_WRITE));
}
END_TEST

START_TEST(shutdown_of_a_pipe_keeps_its_number_occupied)
{
    char buf[4];
    size_t len = 0;
    int number = transport.ops->fd(transport.ctx, SMUX_WAIT_WRITE);

    transport.ops->shutdown(transport.ctx);
    ck_assert_int_eq(read(from_transport, buf, sizeof buf), 0);
    ck_assert_int_ge(fcntl(number, F_GETFD), 0);
    ck_assert_int_eq(write(peer, "c", 1), 1);
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_OK);
    smux_transport_close(&transport);
    ck_assert_uint_eq(faults_count(FAULT_CLOSE), 2);
    ck_assert_int_lt(fcntl(number, F_GETFD), 0);
}
END_TEST

START_TEST(pipes_do_not_wait)
{
    ck_assert_ptr_null(transport.ops->readv_wait);
}
END_TEST

START_TEST(pipes_have_no_address)
{
    char text[64];

    ck_assert_int_eq(transport.ops->address(transport.ctx, false, text, sizeof text), SMUX_EINVAL);
}
END_TEST

/* --- making one ---------------------------------------------------------------------------- */

START_TEST(bad_descriptors_are_refused)
{
    int fds[2];
    int datagrams[2];
    struct smux_transport t;

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams), 0);
    ck_assert_int_eq(smux_transport_fd(-1, -1, &t), SMUX_EINVAL);
    ck_assert_int_eq(smux_transport_fd(fds[0], 999, &t), SMUX_EINVAL);
    ck_assert_int_eq(smux_transport_fd(fds[1], fds[1], &t), SMUX_EINVAL);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &t), SMUX_EINVAL);
    ck_assert_int_eq(smux_transport_fd(datagrams[0], datagrams[0], &t), SMUX_EINVAL);
    ck_assert_int_ge(fcntl(fds[0], F_GETFD), 0);
}
END_TEST

/** Makes both ends of a TCP connection over loopback. */
static void connect_tcp(int *out_near, int *out_far)
{
    char address[64];
    int listener;

    ck_assert_int_eq(smux_listen("0", &listener), SMUX_OK);
    ck_assert_int_eq(smux_socket_address(listener, false, address, sizeof address), SMUX_OK);
    ck_assert_int_eq(smux_dial(address, 2000, out_near), SMUX_OK);
    ck_assert_int_eq(smux_accept_fd(listener, 2000, out_far), SMUX_OK);
    close(listener);
}

START_TEST(tcp_sockets_send_at_once_and_know_their_round_trip_time)
{
    int near;
    int on = 0;
    socklen_t len = sizeof on;

    connect_tcp(&near, &peer);
    faults_begin();
    ck_assert_int_eq(smux_transport_fd(near, near, &transport), SMUX_OK);
    ck_assert_int_eq(getsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    ck_assert_int_ne(on, 0);
    ck_assert_int_ne(fcntl(near, F_GETFL) & O_NONBLOCK, 0);
#ifdef __linux__
    ck_assert_uint_gt(transport.ops->rtt_us(transport.ctx), 0);
#endif
    teardown();
}
END_TEST

START_TEST(missing_socket_options_are_harmless)
{
    int near;

    connect_tcp(&near, &peer);
    faults_begin();
    faults_fail(FAULT_SETSOCKOPT, 1, ENOPROTOOPT, 0);
    ck_assert_int_eq(smux_transport_fd(near, near, &transport), SMUX_OK);
    ck_assert_uint_gt(faults_count(FAULT_SETSOCKOPT), 0);
    teardown();
}
END_TEST

START_TEST(a_reset_connection_reports_why)
{
    int near;
    char buf[4];
    size_t len;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    connect_tcp(&near, &peer);
    faults_begin();
    ck_assert_int_eq(smux_transport_fd(near, near, &transport), SMUX_OK);
    ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(peer);
    peer = -1;
    ck_assert_int_eq(do_read(buf, sizeof buf, &len), SMUX_EIO);
    ck_assert_str_eq(error_text(), strerror(ECONNRESET));
    teardown();
}
END_TEST

static void add_socket_tests(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup_socket, teardown);
    tcase_add_test(tc, vectors_are_written_and_read_in_order);
    tcase_add_test(tc, nothing_to_read_would_block);
    tcase_add_test(tc, a_full_socket_would_block);
    tcase_add_test(tc, a_read_may_wait_some_milliseconds);
    tcase_add_test(tc, a_signal_ends_the_wait);
    tcase_add_test(tc, a_socket_that_takes_no_limit_does_not_wait);
    tcase_add_test(tc, the_end_comes_after_all_data);
    tcase_add_test(tc, shutdown_lets_the_peer_read_the_end_and_answer);
    tcase_add_test(tc, a_write_to_a_closed_socket_fails_without_a_signal);
    tcase_add_test(tc, interrupted_calls_are_repeated);
    tcase_add_loop_test(tc, read_errors_are_reported_with_their_text, 0, 5);
    tcase_add_loop_test(tc, write_errors_are_reported_with_their_text, 0, 5);
    tcase_add_test(tc, short_counts_are_passed_on);
    tcase_add_test(tc, one_descriptor_for_both_directions_is_closed_once);
    tcase_add_test(tc, an_interrupted_close_is_not_repeated);
    tcase_add_test(tc, a_failing_shutdown_is_harmless);
    tcase_add_test(tc, a_unix_socket_has_an_address_and_no_round_trip_time);
}

int main(void)
{
    Suite *suite = suite_create("transport_fd");
    TCase *sockets = tcase_create("sockets");
    TCase *pipes = tcase_create("pipes");
    TCase *making = tcase_create("making");

    add_socket_tests(sockets);
    suite_add_tcase(suite, sockets);
    tcase_add_checked_fixture(pipes, setup_pipes, teardown_pipes);
    tcase_add_test(pipes, pipes_carry_both_directions);
    tcase_add_test(pipes, shutdown_of_a_pipe_keeps_its_number_occupied);
    tcase_add_test(pipes, pipes_do_not_wait);
    tcase_add_test(pipes, pipes_have_no_address);
    suite_add_tcase(suite, pipes);
    tcase_add_test(making, bad_descriptors_are_refused);
    tcase_add_test(making, tcp_sockets_send_at_once_and_know_their_round_trip_time);
    tcase_add_test(making, missing_socket_options_are_harmless);
    tcase_add_test(making, a_reset_connection_reports_why);
    suite_add_tcase(suite, making);
    return suite_main(suite);
}
