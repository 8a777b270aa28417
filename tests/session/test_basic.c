/*
 * Sessions over every kind of transport: open, accept, echo, half-close, properties.
 *
 * ctest-timeout: 60
 * ctest-waits
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "flow.h"
#include "frames.h"
#include "suite.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/* Loop tests run over each wire in both versions. */
#define VARIANTS (2 * WIRE_KINDS)

static enum wire variant_wire(int i)
{
    return (enum wire)(i / 2);
}

static uint32_t variant_version(int i)
{
    return 1 + (uint32_t)i % 2;
}

static struct ends ends;

static void echo_one(void *arg)
{
    smux_stream *stream;
    char buf[1000];
    size_t n;
    int status;

    (void)arg;
    ck_assert_int_eq(smux_session_accept(ends.server, &stream), SMUX_OK);
    while ((status = smux_stream_read(stream, buf, sizeof buf, &n)) == SMUX_OK) {
        ck_assert_int_eq(smux_stream_write(stream, buf, n, NULL), SMUX_OK);
    }
    ck_assert_int_eq(status, SMUX_EOF);
    smux_stream_close(stream);
}

static void check_echo(enum wire wire, const struct smux_config *config)
{
    struct task server;
    smux_stream *stream;

    ends_open(&ends, wire, config);
    task_start(&server, echo_one, NULL);
    ck_assert_int_eq(smux_session_open(ends.client, &stream), SMUX_OK);
    for (unsigned i = 0; i < 20; i++) {
        flow_send(stream, i, 1 + i * 100, 5000);
        flow_expect(stream, i, 1 + i * 100);
    }
    ck_assert_int_eq(smux_stream_shutdown(stream), SMUX_OK);
    expect_end(stream);
    smux_stream_close(stream);
    task_join(&server);
    ends_close(&ends);
}

START_TEST(echo_comes_back_over_every_wire)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = variant_version(_i);
    check_echo(variant_wire(_i), &config);
}
END_TEST

START_TEST(echo_comes_back_to_threads_that_poll_busily)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = variant_version(_i);
    config.busy_poll_us = 500;
    check_echo(variant_wire(_i), &config);
}
END_TEST

static double thread_seconds(void)
{
    struct timespec t;

    ck_assert_int_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A read of 300 ms without data takes the processor for the 100 ms that are configured, or for what
 * a busy machine leaves of them, which may be next to nothing now and then. */
START_TEST(busy_polling_ends_when_configured)
{
    struct smux_config config;
    smux_stream *near, *far;
    char c;
    size_t n;

    smux_config_init(&config);
    config.busy_poll_us = 100000;
    ends_open(&ends, WIRE_TCP, &config);
    ends_stream(&ends, &near, &far);
    double used = 0;
    for (int i = 0; i < 10 && used < 0.005; i++) {
        double begun = thread_seconds();
        smux_stream_set_read_deadline(near, smux_now_us() + 300000);
        ck_assert_int_eq(smux_stream_read(near, &c, 1, &n), SMUX_EDEADLINE);
        used = thread_seconds() - begun;
    }
    ck_assert_double_ge(used, 0.005);
    ck_assert_double_lt(used, 0.2);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* The same in the midst of a large frame, which goes straight into the memory of the reader. */
START_TEST(busy_polling_ends_in_a_frame_that_does_not_go_on)
{
    struct smux_config config;
    smux_session *session;
    smux_stream *stream;
    uint8_t frame[FRAME_HEADER + 100] = {0};
    static char buf[30000];
    int fds[2];
    size_t n;

    smux_config_init(&config);
    config.busy_poll_us = 50000;
    wire_tcp(fds);
    ck_assert_int_eq(smux_client(fds[0], &config, &session), SMUX_OK);
    ck_assert_int_eq(smux_session_open(session, &stream), SMUX_OK);
    put_header(frame, 1, CMD_PSH, 20000, smux_stream_id(stream));
    ck_assert_int_eq(write(fds[1], frame, sizeof frame), sizeof frame);
    ck_assert_int_eq(smux_stream_read(stream, buf, sizeof buf, &n), SMUX_OK);
    ck_assert_uint_eq(n, 100);
    double begun = thread_seconds();
    smux_stream_set_read_deadline(stream, smux_now_us() + 1000000);
    ck_assert_int_eq(smux_stream_read(stream, buf, sizeof buf, &n), SMUX_EDEADLINE);
    ck_assert_double_lt(thread_seconds() - begun, 0.15);
    smux_stream_close(stream);
    close(fds[1]);
    (void)smux_session_close(session); /* which may have noticed that or not */
}
END_TEST

START_TEST(data_flows_after_the_opener_has_closed_its_side)
{
    smux_stream *near, *far;

    ends_open_version(&ends, variant_wire(_i), variant_version(_i));
    ends_stream(&ends, &near, &far);
    ck_assert_int_eq(smux_stream_shutdown(near), SMUX_OK);
    expect_end(far);
    ck_assert_int_eq(smux_stream_write(near, "x", 1, NULL), SMUX_EPIPE);
    flow_send(far, 7, 20000, 3000);
    ck_assert_int_eq(smux_stream_shutdown(far), SMUX_OK);
    flow_expect(near, 7, 20000);
    expect_end(near);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

START_TEST(data_flows_after_the_acceptor_has_closed_its_side)
{
    smux_stream *near, *far;

    ends_open_version(&ends, variant_wire(_i), variant_version(_i));
    ends_stream(&ends, &near, &far);
    ck_assert_int_eq(smux_stream_shutdown(far), SMUX_OK);
    ck_assert_int_eq(smux_stream_shutdown(far), SMUX_OK); /* again is harmless */
    expect_end(near);
    flow_send(near, 7, 20000, 3000);
    smux_stream_close(near); /* what was written still arrives */
    flow_expect(far, 7, 20000);
    expect_end(far);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* The stream is known to the server although nothing was written and nobody waits [OPN-2]. */
/* One end has read all and closes its side; the other one finishes next and need not linger. */
START_TEST(UPD_10_an_end_that_was_read_does_not_linger)
{
    struct smux_config config;
    smux_stream *near, *far;
    char buf[1000] = {0};
    size_t n;

    smux_config_init(&config);
    config.version = 2;
    config.fin_linger_ms = 5000;
    ends_open(&ends, WIRE_SOCKET, &config);
    ends_stream(&ends, &near, &far);
    sleep_ms(10); /* the update for the first byte has left */
    ck_assert_int_eq(smux_stream_write(near, buf, sizeof buf, NULL), SMUX_OK);
    ck_assert_int_eq(smux_stream_read(far, buf, sizeof buf, &n), SMUX_OK);
    ck_assert_uint_eq(n, sizeof buf);
    ck_assert_int_eq(smux_stream_shutdown(far), SMUX_OK);
    expect_end(near);
    ck_assert_int_eq(smux_stream_shutdown(near), SMUX_OK);
    smux_stream_set_read_deadline(far, in_ms(2000));
    expect_end(far);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

START_TEST(an_open_without_data_leaves_by_itself)
{
    smux_stream *near, *far;

    ends_open_version(&ends, variant_wire(_i), variant_version(_i));
    ck_assert_int_eq(smux_session_open(ends.client, &near), SMUX_OK);
    smux_session_set_accept_deadline(ends.server, in_ms(2000));
    ck_assert_int_eq(smux_session_accept(ends.server, &far), SMUX_OK);
    flow_send(far, 3, 1000, 1000); /* the acceptor speaks first */
    flow_expect(near, 3, 1000);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

START_TEST(both_ends_open_streams)
{
    smux_stream *ours, *theirs, *at_server, *at_client;

    ends_open_version(&ends, WIRE_TCP, 2);
    ck_assert_int_eq(smux_session_open(ends.client, &ours), SMUX_OK);
    ck_assert_int_eq(smux_session_open(ends.server, &theirs), SMUX_OK);
    ck_assert_int_eq(smux_session_accept(ends.server, &at_server), SMUX_OK);
    ck_assert_int_eq(smux_session_accept(ends.client, &at_client), SMUX_OK);
    ck_assert_uint_eq(smux_stream_id(ours), 3); /* [SID-1] */
    ck_assert_uint_eq(smux_stream_id(theirs), 2);
    ck_assert_uint_eq(smux_stream_id(at_server), 3);
    ck_assert_uint_eq(smux_stream_id(at_client), 2);
    ck_assert_ptr_eq(smux_stream_session(ours), ends.client);
    ck_assert_uint_eq(smux_session_num_streams(ends.client), 2);
    smux_stream_close(ours);
    smux_stream_close(theirs);
    smux_stream_close(at_server);
    smux_stream_close(at_client);
    ends_close(&ends);
}
END_TEST

START_TEST(vectors_arrive_as_one_sequence)
{
    const struct smux_iov iov[] = {{"", 0}, {"he", 2}, {NULL, 0}, {"llo ", 4}, {"you", 3}, {"", 0}};
    smux_stream *near, *far;
    char buf[16];
    size_t n = 0;

    ends_open_version(&ends, WIRE_TCP, 1);
    ends_stream(&ends, &near, &far);
    ck_assert_int_eq(smux_stream_writev(near, iov, 6, &n), SMUX_OK);
    ck_assert_uint_eq(n, 9);
    ck_assert_int_eq(smux_stream_read(far, buf, sizeof buf, &n), SMUX_OK);
    ck_assert_uint_eq(n, 9);
    ck_assert_int_eq(memcmp(buf, "hello you", 9), 0);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

START_TEST(writing_nothing_tells_whether_writing_would_work)
{
    smux_stream *near, *far;
    char byte;
    size_t n = 7;

    ends_open_version(&ends, WIRE_TCP, 1);
    ends_stream(&ends, &near, &far);
    ck_assert_int_eq(smux_stream_write(near, NULL, 0, &n), SMUX_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(smux_stream_writev(near, NULL, 0, &n), SMUX_OK);
    smux_stream_shutdown(near);
    ck_assert_int_eq(smux_stream_write(near, NULL, 0, &n), SMUX_EPIPE);
    ck_assert_int_eq(smux_stream_read(near, &byte, 0, &n), SMUX_EINVAL);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

START_TEST(addresses_are_those_of_the_socket_also_afterwards)
{
    smux_stream *near, *far;
    char client[64], server[64], again[64], tiny[4];

    ends_open_version(&ends, WIRE_TCP, 1);
    ends_stream(&ends, &near, &far);
    ck_assert_int_eq(smux_session_address(ends.client, false, client, sizeof client), SMUX_OK);
    ck_assert_int_eq(smux_session_address(ends.server, true, server, sizeof server), SMUX_OK);
    ck_assert_str_eq(client, server);
    ck_assert_int_eq(strncmp(client, "127.0.0.1:", 10), 0);
    ck_assert_int_eq(smux_stream_address(near, false, again, sizeof again), SMUX_OK);
    ck_assert_str_eq(client, again);
    smux_session_abort(ends.client);
    ck_assert_int_eq(smux_session_address(ends.client, false, again, sizeof again), SMUX_OK);
    ck_assert_str_eq(client, again);
    ck_assert_int_eq(smux_session_address(ends.client, false, tiny, sizeof tiny), SMUX_EINVAL);
    smux_stream_close(near);
    smux_stream_close(far);
    smux_session_close(ends.client);
    smux_session_close(ends.server);
}
END_TEST

START_TEST(statistics_count_what_happened)
{
    smux_stream *near, *far;
    struct smux_session_stats session;
    struct smux_stream_stats stream;

    ends_open_version(&ends, WIRE_TCP, 2);
    ends_stream(&ends, &near, &far);
    flow_send(near, 1, 9999, 1000);
    flow_expect(far, 1, 9999);
    smux_session_stats(ends.client, &session);
    ck_assert_uint_eq(session.streams_opened, 1);
    ck_assert_uint_eq(session.payload_out, 10000);
    ck_assert_uint_eq(session.version, 2);
    smux_session_stats(ends.server, &session);
    ck_assert_uint_eq(session.streams_accepted, 1);
    ck_assert_uint_eq(session.payload_in, 10000);
    ck_assert_uint_eq(session.frames_in.syn, 1);
    ck_assert_uint_eq(session.streams_now, 1);
    smux_stream_stats(far, &stream);
    ck_assert_uint_eq(stream.bytes_read, 10000);
    ck_assert_uint_eq(stream.unread, 0);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* --- copy_to ------------------------------------------------------------------------------- */

struct sink {
    uint64_t key;
    uint64_t taken;
    uint64_t limit; /* refuses when it has so much */
};

static int sink_take(void *arg, const void *data, size_t len)
{
    struct sink *sink = arg;

    if (sink->taken + len > sink->limit) {
        return SMUX_ELIMIT;
    }
    ck_assert_uint_eq(flow_check(sink->key, sink->taken, data, len), len);
    sink->taken += len;
    return SMUX_OK;
}

static void send_million(void *arg)
{
    flow_send(arg, 5, 1000000, 7777);
    ck_assert_int_eq(smux_stream_shutdown(arg), SMUX_OK);
}

START_TEST(copy_to_delivers_all_until_the_end)
{
    smux_stream *near, *far;
    struct task writer;
    struct sink sink = {.key = 5, .limit = UINT64_MAX};
    uint64_t len = 0;

    ends_open_version(&ends, WIRE_TCP, variant_version(_i));
    ends_stream(&ends, &near, &far);
    task_start(&writer, send_million, near);
    ck_assert_int_eq(smux_stream_copy_to(far, sink_take, &sink, &len), SMUX_OK);
    ck_assert_uint_eq(len, 1000000);
    ck_assert_uint_eq(sink.taken, 1000000);
    task_join(&writer);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

START_TEST(what_a_sink_refuses_stays_unread)
{
    smux_stream *near, *far;
    struct sink sink = {.key = 5, .limit = 0};
    uint64_t len = 1;

    ends_open_version(&ends, WIRE_TCP, 1);
    ends_stream(&ends, &near, &far);
    flow_send(near, 5, 3000, 1000);
    ck_assert_int_eq(smux_stream_copy_to(far, sink_take, &sink, &len), SMUX_ELIMIT);
    ck_assert_uint_eq(len, 0);
    flow_expect(far, 5, 3000);
    smux_stream_set_read_deadline(far, 1);
    ck_assert_int_eq(smux_stream_copy_to(far, sink_take, &sink, NULL), SMUX_EDEADLINE);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* The stream goes away while its data is with the sink. */
static int sink_abort(void *arg, const void *data, size_t len)
{
    (void)data;
    (void)len;
    smux_stream_abort(arg);
    return SMUX_OK;
}

START_TEST(a_stream_may_be_aborted_under_its_sink)
{
    smux_stream *near, *far;
    uint64_t len = 0;

    ends_open_version(&ends, WIRE_TCP, 2);
    ends_stream(&ends, &near, &far);
    flow_send(near, 5, 3000, 3000);
    ck_assert_int_eq(smux_stream_copy_to(far, sink_abort, far, &len), SMUX_EABORTED);
    ck_assert_uint_ge(len, 1);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* --- construction -------------------------------------------------------------------------- */

START_TEST(a_wrong_configuration_is_refused_and_the_descriptor_kept)
{
    struct smux_config config;
    smux_session *session;
    int fds[2];
    char byte;

    wire_tcp(fds);
    smux_config_init(&config);
    config.version = 7;
    ck_assert_int_eq(smux_client(fds[0], &config, &session), SMUX_ECONFIG);
    ck_assert_int_eq(smux_client(-1, NULL, &session), SMUX_EINVAL);
    ck_assert_int_eq(write(fds[0], "x", 1), 1); /* still ours, and blocking as before */
    ck_assert_int_eq(read(fds[1], &byte, 1), 1);
    close(fds[0]);
    close(fds[1]);
    smux_session_close(NULL);
    smux_stream_close(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session basics");
    TCase *wires = tcase_create("every wire");
    TCase *rest = tcase_create("rest");

    tcase_add_loop_test(wires, echo_comes_back_over_every_wire, 0, VARIANTS);
    tcase_add_loop_test(wires, echo_comes_back_to_threads_that_poll_busily, 0, VARIANTS);
    tcase_add_test(wires, busy_polling_ends_when_configured);
    tcase_add_test(wires, busy_polling_ends_in_a_frame_that_does_not_go_on);
    tcase_add_loop_test(wires, data_flows_after_the_opener_has_closed_its_side, 0, VARIANTS);
    tcase_add_loop_test(wires, data_flows_after_the_acceptor_has_closed_its_side, 0, VARIANTS);
    tcase_add_test(wires, UPD_10_an_end_that_was_read_does_not_linger);
    tcase_add_loop_test(wires, an_open_without_data_leaves_by_itself, 0, VARIANTS);
    suite_add_tcase(suite, wires);
    tcase_add_test(rest, both_ends_open_streams);
    tcase_add_test(rest, vectors_arrive_as_one_sequence);
    tcase_add_test(rest, writing_nothing_tells_whether_writing_would_work);
    tcase_add_test(rest, addresses_are_those_of_the_socket_also_afterwards);
    tcase_add_test(rest, statistics_count_what_happened);
    tcase_add_loop_test(rest, copy_to_delivers_all_until_the_end, 0, 2);
    tcase_add_test(rest, what_a_sink_refuses_stays_unread);
    tcase_add_test(rest, a_stream_may_be_aborted_under_its_sink);
    tcase_add_test(rest, a_wrong_configuration_is_refused_and_the_descriptor_kept);
    suite_add_tcase(suite, rest);
    return suite_main(suite);
}
