/*
 * Ends: of streams and sessions, from both sides, while others are blocked.
 *
 * ctest-timeout: 60
 * ctest-waits
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "flow.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ends ends;
static smux_stream *near, *far;

static void setup(uint32_t version)
{
    ends_open_version(&ends, WIRE_TCP, version);
    ends_stream(&ends, &near, &far);
}

/* --- blocked calls ------------------------------------------------------------------------- */

/* A call that blocks, and what it ended with. */
struct blocked {
    smux_session *session;
    smux_stream *stream;
    int status;
    size_t done;
    _Atomic bool ready; /* is about to call */
    struct task task;
};

static void block_in_read(void *arg)
{
    struct blocked *blocked = arg;
    char buf[100];

    blocked->ready = true;
    do {
        blocked->status = smux_stream_read(blocked->stream, buf, sizeof buf, &blocked->done);
    } while (blocked->status == SMUX_OK);
}

/* One write that is larger than everything that can hold it. */
static void block_in_write(void *arg)
{
    struct blocked *blocked = arg;
    size_t size = 64 << 20;
    uint8_t *buf = calloc(1, size);

    blocked->ready = true;
    blocked->status = smux_stream_write(blocked->stream, buf, size, &blocked->done);
    free(buf); /* touching it later would be seen by the sanitizers */
}

/* The same in pieces so small that they are copied. */
static void block_in_small_write(void *arg)
{
    enum {
        N = 64000
    };
    struct blocked *blocked = arg;
    static char piece[1000];
    struct smux_iov *iov = malloc(N * sizeof(struct smux_iov));

    for (int i = 0; i < N; i++) {
        iov[i] = (struct smux_iov){piece, sizeof piece};
    }
    blocked->ready = true;
    blocked->status = smux_stream_writev(blocked->stream, iov, N, &blocked->done);
    free(iov);
}

static void block_in_accept(void *arg)
{
    struct blocked *blocked = arg;
    smux_stream *stream;

    blocked->ready = true;
    blocked->status = smux_session_accept(blocked->session, &stream);
}

static bool is_ready(void *arg)
{
    return ((struct blocked *)arg)->ready;
}

static void block(struct blocked *blocked, void (*run)(void *arg), smux_session *session,
                  smux_stream *stream)
{
    blocked->session = session;
    blocked->stream = stream;
    blocked->ready = false;
    task_start(&blocked->task, run, blocked);
    ck_assert(await(is_ready, blocked));
}

static int unblocked(struct blocked *blocked)
{
    task_join(&blocked->task);
    return blocked->status;
}

/* --- streams ------------------------------------------------------------------------------- */

START_TEST(closing_a_stream_ends_its_readers)
{
    struct blocked readers[2]; /* T1: one polls, one sleeps */

    setup(1);
    block(&readers[0], block_in_read, NULL, far);
    block(&readers[1], block_in_read, NULL, far);
    sleep_ms(20);
    smux_stream_close(far);
    ck_assert_int_eq(unblocked(&readers[0]), SMUX_EABORTED);
    ck_assert_int_eq(unblocked(&readers[1]), SMUX_EABORTED);
    expect_end(near);
    smux_stream_close(near);
    ends_close(&ends);
}
END_TEST

START_TEST(closing_a_stream_ends_its_writers)
{
    struct blocked writers[3];

    setup(1 + (uint32_t)_i);
    block(&writers[0], block_in_write, NULL, near);
    block(&writers[1], block_in_small_write, NULL, near);
    block(&writers[2], block_in_write, NULL, near);
    sleep_ms(20);
    smux_stream_close(near);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(unblocked(&writers[i]), SMUX_EABORTED);
    }
    smux_stream_close(far); /* what was accepted needs its credit, so the server stays */
    ck_assert_int_eq(smux_session_close(ends.client), SMUX_OK);
    ck_assert_int_eq(smux_session_close(ends.server), SMUX_OK);
}
END_TEST

START_TEST(aborting_a_stream_ends_its_calls_and_keeps_its_handle)
{
    struct blocked blocked[3];
    char byte;
    size_t n;

    setup(1 + (uint32_t)_i);
    block(&blocked[0], block_in_read, NULL, near);
    block(&blocked[1], block_in_write, NULL, near);
    block(&blocked[2], block_in_small_write, NULL, near);
    sleep_ms(20);
    smux_stream_abort(near);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(unblocked(&blocked[i]), SMUX_EABORTED);
    }
    ck_assert_int_eq(smux_stream_read(near, &byte, 1, &n), SMUX_EABORTED);
    ck_assert_int_eq(smux_stream_write(near, "x", 1, &n), SMUX_EABORTED);
    ck_assert_int_eq(smux_stream_shutdown(near), SMUX_EABORTED);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* T5: what the blocked writer had handed over is sent, the rest is refused. */
START_TEST(shutdown_ends_a_blocked_writer_of_the_same_stream)
{
    struct blocked writer;
    char buf[5000];
    size_t n;
    uint64_t total = 0;

    setup(1 + (uint32_t)_i);
    block(&writer, block_in_small_write, NULL, near);
    sleep_ms(20);
    ck_assert_int_eq(smux_stream_shutdown(near), SMUX_OK);
    ck_assert_int_eq(unblocked(&writer), SMUX_EPIPE);
    while (smux_stream_read(far, buf, sizeof buf, &n) == SMUX_OK) {
        total += n;
    }
    ck_assert_uint_eq(total, writer.done);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* T6: a frame that was begun is finished, and the session lives. */
START_TEST(closing_a_stream_finishes_its_begun_frame)
{
    smux_stream *other_near, *other_far;
    struct blocked writer;

    setup(1 + (uint32_t)_i);
    ends_stream(&ends, &other_near, &other_far);
    block(&writer, block_in_write, NULL, near);
    sleep_ms(20); /* the socket is full, in the middle of a frame */
    if (_i == 0) {
        smux_stream_close(near);
    } else {
        smux_stream_abort(near);
        smux_stream_close(near);
    }
    ck_assert_int_eq(unblocked(&writer), SMUX_EABORTED);
    smux_stream_close(far); /* drops what is unread, so that the rest gets through */
    flow_send(other_near, 1, 100000, 1000);
    flow_expect(other_far, 1, 100000);
    smux_stream_close(other_near);
    smux_stream_close(other_far);
    ends_close(&ends);
}
END_TEST

/* --- sessions ------------------------------------------------------------------------------ */

#define CALLERS 100

static void abort_client(void *arg)
{
    (void)arg;
    smux_session_abort(ends.client);
}

/* T9, T10: readers, writers, accepters, of which only one or two poll. */
START_TEST(aborting_a_session_ends_a_hundred_blocked_calls)
{
    static struct blocked blocked[CALLERS];
    struct task task;
    char text[100];

    setup(1 + (uint32_t)_i % 2);
    for (int i = 0; i < CALLERS; i++) {
        void (*run)(void *) = i % 4 == 0   ? block_in_read
                              : i % 4 == 1 ? block_in_write
                              : i % 4 == 2 ? block_in_small_write
                                           : block_in_accept;
        block(&blocked[i], run, ends.client, near);
    }
    sleep_ms(30);
    uint64_t start_us = smux_now_us();
    task_start(&task, abort_client, NULL);
    smux_session_abort(ends.client);
    task_join(&task);
    for (int i = 0; i < CALLERS; i++) {
        ck_assert_int_eq(unblocked(&blocked[i]), SMUX_ECLOSED);
    }
    ck_assert_uint_lt(smux_now_us() - start_us, 4000000); /* far below any timer of ours */
    ck_assert_int_eq(smux_session_error(ends.client), SMUX_ECLOSED);
    smux_session_error_text(ends.client, text, sizeof text);
    ck_assert_str_eq(text, "the session was aborted on this side");
    smux_session_error_text(ends.client, text, 4);
    ck_assert_str_eq(text, "the");
    smux_stream_close(near);
    ck_assert_int_eq(smux_session_close(ends.client), SMUX_ECLOSED);
    smux_stream_close(far);
    smux_session_close(ends.server);
}
END_TEST

START_TEST(closing_a_session_ends_blocked_calls)
{
    struct blocked blocked[3];

    setup(1 + (uint32_t)_i);
    block(&blocked[0], block_in_read, NULL, near);
    block(&blocked[1], block_in_accept, ends.client, NULL);
    block(&blocked[2], block_in_read, NULL, near);
    sleep_ms(20);
    ends_close(&ends);
    /* They may see the server's orderly end first. */
    ck_assert_int_le(unblocked(&blocked[0]), SMUX_EOF);
    ck_assert_int_le(unblocked(&blocked[1]), SMUX_EOF);
    ck_assert_int_le(unblocked(&blocked[2]), SMUX_EOF);
    smux_stream_close(near); /* streams may be closed after their session */
    smux_stream_close(far);
}
END_TEST

static void close_client(void *arg)
{
    *(int *)arg = smux_session_close(ends.client);
}

START_TEST(a_closing_session_opens_and_accepts_nothing)
{
    smux_stream *stream;
    struct task task;
    int status = 1;

    setup(1);
    /* The server does not end its side, so the client's close is under way for a while. */
    flow_send(near, 1, 100000, 100000);
    task_start(&task, close_client, &status);
    flow_expect(far, 1, 100000);
    expect_end(far);
    ck_assert_int_eq(smux_session_accept(ends.server, &stream),
                     SMUX_EOF); /* the client has ended */
    ck_assert_int_eq(smux_session_open(ends.server, &stream), SMUX_EOF);
    smux_stream_close(far);
    smux_session_close(ends.server);
    task_join(&task);
    smux_stream_close(near);
}
END_TEST

/* Everything that was accepted arrives, although the streams are still open [END-4]. */
START_TEST(an_orderly_close_sends_everything_first)
{
    enum {
        N = 20
    };
    smux_stream *nears[N], *fars[N];
    struct task task;
    int status = 1;

    ends_open_version(&ends, (enum wire)(_i / 2), 1 + (uint32_t)_i % 2);
    for (unsigned i = 0; i < N; i++) {
        ends_stream(&ends, &nears[i], &fars[i]);
        flow_send(nears[i], i, 10000, 10000); /* fits into the queue */
    }
    task_start(&task, close_client, &status);
    for (unsigned i = 0; i < N; i++) {
        flow_expect(fars[i], i, 10000);
        expect_end(fars[i]);
        smux_stream_close(fars[i]);
    }
    ck_assert_int_eq(smux_session_close(ends.server), SMUX_OK);
    task_join(&task);
    ck_assert_int_eq(status, SMUX_OK);
    for (unsigned i = 0; i < N; i++) {
        smux_stream_close(nears[i]);
    }
}
END_TEST

/* An accepting end that does nothing but wait sees an orderly end, and the closer is not kept. */
START_TEST(an_idle_peer_answers_a_close_at_once)
{
    struct blocked accepter;

    ends_open_version(&ends, WIRE_TCP, 1);
    block(&accepter, block_in_accept, ends.server, NULL);
    uint64_t start_us = smux_now_us();
    ck_assert_int_eq(smux_session_close(ends.client), SMUX_OK);
    ck_assert_uint_lt(smux_now_us() - start_us, 1000000);
    ck_assert_int_eq(unblocked(&accepter), SMUX_EOF);
    ck_assert_int_eq(smux_session_close(ends.server), SMUX_OK);
}
END_TEST

START_TEST(an_unattended_peer_answers_a_close_at_once)
{
    ends_open_version(&ends, WIRE_TCP, 1);
    uint64_t start_us = smux_now_us();
    ck_assert_int_eq(smux_session_close(ends.client), SMUX_OK);
    ck_assert_uint_lt(smux_now_us() - start_us, 1000000);
    ck_assert_int_eq(smux_session_close(ends.server), SMUX_OK);
}
END_TEST

/* The peer is a socket that never reads: the limit holds [END-5]. */
START_TEST(an_orderly_close_gives_up_in_time)
{
    struct smux_config config;
    smux_session *session;
    smux_stream *stream;
    struct blocked writer;
    int fds[2];

    wire_tcp(fds);
    smux_config_init(&config);
    config.drain_timeout_ms = 100;
    ck_assert_int_eq(smux_client(fds[0], &config, &session), SMUX_OK);
    ck_assert_int_eq(smux_session_open(session, &stream), SMUX_OK);
    block(&writer, block_in_write, NULL, stream);
    sleep_ms(20);
    uint64_t start_us = smux_now_us();
    ck_assert_int_eq(smux_session_close(session), SMUX_EDEADLINE);
    ck_assert_uint_ge(smux_now_us() - start_us, 100000);
    ck_assert_uint_lt(smux_now_us() - start_us, 1000000);
    ck_assert_int_lt(unblocked(&writer), 0);
    smux_stream_close(stream);
    close(fds[1]);
}
END_TEST

/* Everything was taken, but the peer never ends: that is still a success. */
START_TEST(a_peer_that_stays_does_not_spoil_the_close)
{
    struct smux_config config;
    smux_session *session;
    int fds[2];

    wire_tcp(fds);
    smux_config_init(&config);
    config.drain_timeout_ms = 50;
    ck_assert_int_eq(smux_client(fds[0], &config, &session), SMUX_OK);
    uint64_t start_us = smux_now_us();
    ck_assert_int_eq(smux_session_close(session), SMUX_OK);
    ck_assert_uint_ge(smux_now_us() - start_us, 50000);
    ck_assert_uint_lt(smux_now_us() - start_us, 1000000);
    close(fds[1]);
}
END_TEST

START_TEST(both_ends_close_at_the_same_time)
{
    for (int i = 0; i < 200; i++) {
        ends_open_version(&ends, (enum wire)(i % WIRE_KINDS), 1 + (uint32_t)i % 2);
        if (i % 3 == 0) {
            ends_stream(&ends, &near, &far);
            smux_stream_close(near);
            smux_stream_close(far);
        }
        ends_close(&ends);
    }
}
END_TEST

/* The flood of refused streams that follows is not the point. */
static void open_patient_ends(void)
{
    struct smux_config config;

    smux_config_init(&config);
    config.glitch_burst = SMUX_OFF;
    ends_open(&ends, WIRE_SOCKET, &config);
}

/* T7: open against close. */
static void open_until_closed(void *arg)
{
    smux_stream *stream;
    int status;

    while ((status = smux_session_open(arg, &stream)) == SMUX_OK) {
        (void)smux_stream_write(stream, "x", 1, NULL);
        smux_stream_close(stream);
    }
    ck_assert(smux_status_is_fatal(status) || status == SMUX_EOF);
}

START_TEST(streams_are_opened_while_the_session_is_aborted)
{
    for (int i = 0; i < 50; i++) {
        struct task tasks[2];
        open_patient_ends();
        task_start(&tasks[0], open_until_closed, ends.client);
        task_start(&tasks[1], open_until_closed, ends.client);
        sleep_ms((unsigned)i % 3);
        smux_session_abort(ends.client);
        task_join(&tasks[0]);
        task_join(&tasks[1]);
        ck_assert_int_eq(smux_session_error(ends.client), SMUX_ECLOSED);
        smux_session_close(ends.client);
        smux_session_close(ends.server);
    }
}
END_TEST

/* T8: accepters against abort, and against each other. */
static void accept_until_closed(void *arg)
{
    smux_stream *stream;

    while (smux_session_accept(arg, &stream) == SMUX_OK) {
        smux_stream_close(stream);
    }
}

START_TEST(streams_are_accepted_while_the_session_is_aborted)
{
    for (int i = 0; i < 50; i++) {
        struct task accepters[3], opener;
        open_patient_ends();
        for (int j = 0; j < 3; j++) {
            task_start(&accepters[j], accept_until_closed, ends.server);
        }
        task_start(&opener, open_until_closed, ends.client);
        sleep_ms((unsigned)i % 3);
        smux_session_abort(ends.server);
        for (int j = 0; j < 3; j++) {
            task_join(&accepters[j]);
        }
        smux_session_abort(ends.client);
        task_join(&opener);
        smux_session_close(ends.client);
        smux_session_close(ends.server);
    }
}
END_TEST

/* T21: the sink of a copy closes the session it runs in. */
static int sink_close_session(void *arg, const void *data, size_t len)
{
    (void)data;
    (void)len;
    (void)smux_session_close(arg);
    return SMUX_OK;
}

START_TEST(a_session_may_be_closed_from_a_sink)
{
    uint64_t len;

    struct task task;
    int status = 1;

    setup(1);
    flow_send(near, 1, 1000, 1000);
    smux_stream_close(near);
    task_start(&task, close_client, &status);
    ck_assert_int_eq(smux_stream_copy_to(far, sink_close_session, ends.server, &len), SMUX_OK);
    ck_assert_uint_eq(len, 1000);
    task_join(&task);
    ck_assert_int_eq(status, SMUX_OK);
    smux_stream_close(far);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session ends");
    TCase *tcase = tcase_create("ends");

    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, closing_a_stream_ends_its_readers);
    tcase_add_loop_test(tcase, closing_a_stream_ends_its_writers, 0, 2);
    tcase_add_loop_test(tcase, aborting_a_stream_ends_its_calls_and_keeps_its_handle, 0, 2);
    tcase_add_loop_test(tcase, shutdown_ends_a_blocked_writer_of_the_same_stream, 0, 2);
    tcase_add_loop_test(tcase, closing_a_stream_finishes_its_begun_frame, 0, 2);
    tcase_add_loop_test(tcase, aborting_a_session_ends_a_hundred_blocked_calls, 0, 4);
    tcase_add_loop_test(tcase, closing_a_session_ends_blocked_calls, 0, 2);
    tcase_add_test(tcase, a_closing_session_opens_and_accepts_nothing);
    tcase_add_loop_test(tcase, an_orderly_close_sends_everything_first, 0, 2 * WIRE_KINDS);
    tcase_add_test(tcase, an_idle_peer_answers_a_close_at_once);
    tcase_add_test(tcase, an_unattended_peer_answers_a_close_at_once);
    tcase_add_test(tcase, an_orderly_close_gives_up_in_time);
    tcase_add_test(tcase, a_peer_that_stays_does_not_spoil_the_close);
    tcase_add_test(tcase, both_ends_close_at_the_same_time);
    tcase_add_test(tcase, streams_are_opened_while_the_session_is_aborted);
    tcase_add_test(tcase, streams_are_accepted_while_the_session_is_aborted);
    tcase_add_test(tcase, a_session_may_be_closed_from_a_sink);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
