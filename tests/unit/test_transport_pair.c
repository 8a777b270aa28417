/*
 * The in-memory transport: bytes, readiness, the end, two threads.
 *
 * ctest-timeout: 20
 */
#define _GNU_SOURCE 1

#include "faults.h"
#include "rng.h"
#include "suite.h"

#include "transport/sys.h"

#include <smux/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct smux_transport ends[2];

/** A bell where there is no eventfd: a pipe. */
static int pipe_bell(int out_fds[2])
{
    return pipe2(out_fds, O_NONBLOCK | O_CLOEXEC);
}

/** Loop tests run twice: 0 with the system's bells, 1 with pipes. */
static void make_pair(size_t capacity, int variant)
{
    if (variant == 1) {
        smux__sys.bell = pipe_bell;
    }
    ck_assert_int_eq(smux_transport_pair(capacity, ends), SMUX_OK);
}

static int do_read(int end, void *buf, size_t size, size_t *out_len)
{
    struct smux_iov iov = {buf, size};

    return ends[end].ops->readv(ends[end].ctx, &iov, 1, out_len);
}

static int do_write(int end, const void *data, size_t len, size_t *out_len)
{
    struct smux_iov iov = {(void *)data, len};

    return ends[end].ops->writev(ends[end].ctx, &iov, 1, out_len);
}

/** Waits at most `timeout_ms` for one direction; returns whether it is ready. */
static bool is_ready(int end, enum smux_transport_event event, int timeout_ms)
{
    struct pollfd pfd = {.fd = ends[end].ops->fd(ends[end].ctx, event),
                         .events = event == SMUX_WAIT_READ ? POLLIN : POLLOUT};

    return poll(&pfd, 1, timeout_ms) == 1 && (pfd.revents & pfd.events) != 0;
}

static void close_pair(void)
{
    smux_transport_close(&ends[0]);
    smux_transport_close(&ends[1]);
}

START_TEST(what_is_written_at_one_end_is_read_at_the_other)
{
    char buf[8];
    size_t len = 0;

    make_pair(8, _i);
    for (int end = 0; end < 2; end++) {
        ck_assert_int_eq(do_write(end, "abc", 3, &len), SMUX_OK);
        ck_assert_int_eq(do_read(1 - end, buf, sizeof buf, &len), SMUX_OK);
        ck_assert_uint_eq(len, 3);
        ck_assert_int_eq(memcmp(buf, "abc", 3), 0);
    }
    close_pair();
}
END_TEST

START_TEST(capacity_is_exact)
{
    size_t len = 0;

    make_pair(5, _i);
    ck_assert_int_eq(do_write(0, "abcdefg", 7, &len), SMUX_OK);
    ck_assert_uint_eq(len, 5);
    ck_assert_int_eq(do_write(0, "fg", 2, &len), SMUX_EAGAIN);
    close_pair();
}
END_TEST

START_TEST(poll_sees_what_can_be_done)
{
    char buf[4];
    size_t len;

    make_pair(4, _i);
    ck_assert(!is_ready(1, SMUX_WAIT_READ, 0));
    ck_assert(is_ready(0, SMUX_WAIT_WRITE, 0));
    ck_assert_int_eq(do_write(0, "abcd", 4, &len), SMUX_OK);
    ck_assert(is_ready(1, SMUX_WAIT_READ, 0));
    ck_assert(!is_ready(0, SMUX_WAIT_WRITE, 0));
    ck_assert_int_eq(do_read(1, buf, 1, &len), SMUX_OK);
    ck_assert(is_ready(1, SMUX_WAIT_READ, 0));
    ck_assert(is_ready(0, SMUX_WAIT_WRITE, 0));
    ck_assert_int_eq(do_read(1, buf, 4, &len), SMUX_OK);
    ck_assert(!is_ready(1, SMUX_WAIT_READ, 0));
    close_pair();
}
END_TEST

START_TEST(shutdown_is_read_after_all_data)
{
    char buf[4];
    size_t len = 0;

    make_pair(4, _i);
    ck_assert_int_eq(do_write(0, "ab", 2, &len), SMUX_OK);
    ends[0].ops->shutdown(ends[0].ctx);
    ck_assert_int_eq(do_read(1, buf, sizeof buf, &len), SMUX_OK);
    ck_assert(is_ready(1, SMUX_WAIT_READ, 0));
    ck_assert_int_eq(do_read(1, buf, sizeof buf, &len), SMUX_EOF);
    ck_assert_int_eq(do_write(0, "c", 1, &len), SMUX_EIO);
    ck_assert_int_eq(do_write(1, "d", 1, &len), SMUX_OK);
    ck_assert_int_eq(do_read(0, buf, sizeof buf, &len), SMUX_OK);
    close_pair();
}
END_TEST

START_TEST(writing_to_a_closed_end_fails_and_poll_tells)
{
    size_t len;

    make_pair(2, _i);
    ck_assert_int_eq(do_write(0, "ab", 2, &len), SMUX_OK);
    ck_assert(!is_ready(0, SMUX_WAIT_WRITE, 0));
    smux_transport_close(&ends[1]);
    ck_assert(is_ready(0, SMUX_WAIT_WRITE, 0));
    ck_assert_int_eq(do_write(0, "c", 1, &len), SMUX_EIO);
    ck_assert_str_ne(ends[0].ops->error(ends[0].ctx), "");
    smux_transport_close(&ends[0]);
}
END_TEST

START_TEST(data_of_a_closed_end_can_still_be_read)
{
    char buf[4];
    size_t len;

    make_pair(2, _i);
    ck_assert_int_eq(do_write(0, "ab", 2, &len), SMUX_OK);
    smux_transport_close(&ends[0]);
    ck_assert_int_eq(do_read(1, buf, sizeof buf, &len), SMUX_OK);
    ck_assert_int_eq(do_read(1, buf, sizeof buf, &len), SMUX_EOF);
    smux_transport_close(&ends[1]);
}
END_TEST

START_TEST(any_sizes_around_the_ring_keep_the_order)
{
    struct rng rng;
    unsigned char next_in = 0;
    unsigned char next_out = 0;
    unsigned char buf[32];

    make_pair(13, 0);
    rng_seed(&rng, 7);
    for (int step = 0; step < 20000; step++) {
        size_t size = rng_between(&rng, 1, sizeof buf);
        size_t len = 0;
        if (rng_below(&rng, 2) == 0) {
            for (size_t i = 0; i < size; i++) {
                buf[i] = (unsigned char)(next_out + i);
            }
            struct smux_iov iov[2] = {{buf, size / 2}, {buf + size / 2, size - size / 2}};
            (void)ends[0].ops->writev(ends[0].ctx, iov, 2, &len);
            next_out = (unsigned char)(next_out + len);
        } else if (do_read(1, buf, size, &len) == SMUX_OK) {
            for (size_t i = 0; i < len; i++, next_in++) {
                ck_assert_uint_eq(buf[i], next_in);
            }
        }
    }
    close_pair();
}
END_TEST

#define THREAD_BYTES 200000u

static void *write_in_thread(void *arg)
{
    unsigned char buf[100];
    size_t sent = 0;

    (void)arg;
    while (sent < THREAD_BYTES) {
        size_t len = 0;
        for (size_t i = 0; i < sizeof buf; i++) {
            buf[i] = (unsigned char)(sent + i);
        }
        if (do_write(0, buf, sizeof buf, &len) == SMUX_EAGAIN) {
            (void)is_ready(0, SMUX_WAIT_WRITE, -1);
        }
        sent += len;
    }
    ends[0].ops->close(ends[0].ctx);
    return NULL;
}

START_TEST(two_threads_lose_neither_bytes_nor_wakeups)
{
    pthread_t writer;
    unsigned char buf[77];
    size_t received = 0;
    size_t len = 0;
    int status;

    make_pair(64, _i);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_in_thread, NULL), 0);
    while ((status = do_read(1, buf, sizeof buf, &len)) != SMUX_EOF) {
        if (status == SMUX_EAGAIN) {
            (void)is_ready(1, SMUX_WAIT_READ, -1);
            continue;
        }
        for (size_t i = 0; i < len; i++, received++) {
            ck_assert_uint_eq(buf[i], received & 0xff);
        }
    }
    ck_assert_uint_ge(received, THREAD_BYTES);
    pthread_join(writer, NULL);
    smux_transport_close(&ends[1]);
}
END_TEST

START_TEST(the_nth_bell_fails)
{
    unsigned before = faults_open_fds();

    faults_begin();
    faults_fail(FAULT_BELL, (unsigned)_i + 1, EMFILE, 1);
    ck_assert_int_eq(smux_transport_pair(16, ends), SMUX_EIO);
    ck_assert_uint_eq(faults_open_fds(), before);
    faults_end();
}
END_TEST

START_TEST(closing_leaves_no_descriptor)
{
    unsigned before = faults_open_fds();

    make_pair(16, _i);
    close_pair();
    ck_assert_uint_eq(faults_open_fds(), before);
}
END_TEST

/* Bells are objects of the kernel, which both processes share. */
START_TEST(a_forked_child_that_closes_its_copies_rings_no_bell)
{
    int status;

    make_pair(16, _i);
    pid_t child = fork();
    if (child == 0) {
        close_pair();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(!is_ready(0, SMUX_WAIT_READ, 0));
    ck_assert(!is_ready(1, SMUX_WAIT_READ, 0));
    close_pair();
}
END_TEST

START_TEST(a_capacity_of_zero_is_refused)
{
    ck_assert_int_eq(smux_transport_pair(0, ends), SMUX_EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport_pair");
    TCase *tc = tcase_create("pair");

    tcase_add_loop_test(tc, what_is_written_at_one_end_is_read_at_the_other, 0, 2);
    tcase_add_loop_test(tc, capacity_is_exact, 0, 2);
    tcase_add_loop_test(tc, poll_sees_what_can_be_done, 0, 2);
    tcase_add_loop_test(tc, shutdown_is_read_after_all_data, 0, 2);
    tcase_add_loop_test(tc, writing_to_a_closed_end_fails_and_poll_tells, 0, 2);
    tcase_add_loop_test(tc, data_of_a_closed_end_can_still_be_read, 0, 2);
    tcase_add_test(tc, any_sizes_around_the_ring_keep_the_order);
    tcase_add_loop_test(tc, two_threads_lose_neither_bytes_nor_wakeups, 0, 2);
    tcase_add_loop_test(tc, the_nth_bell_fails, 0, 4);
    tcase_add_loop_test(tc, closing_leaves_no_descriptor, 0, 2);
    tcase_add_loop_test(tc, a_forked_child_that_closes_its_copies_rings_no_bell, 0, 2);
    tcase_add_test(tc, a_capacity_of_zero_is_refused);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
