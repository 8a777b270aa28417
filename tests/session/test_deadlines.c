/*
 * Deadlines, and what a call that ends early has done.
 *
 * ctest-timeout: 60
 * ctest-waits
 */
#include "ends.h"
#include "flow.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static struct ends ends;
static smux_stream *near, *far;

static void setup(uint32_t version)
{
    ends_open_version(&ends, WIRE_TCP, version);
    ends_stream(&ends, &near, &far);
}

static void teardown(void)
{
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}

/* How long the last call took. */
static uint64_t started_us;

static void clock_start(void)
{
    started_us = smux_now_us();
}

static void expect_ms(unsigned low, unsigned high)
{
    uint64_t ms = (smux_now_us() - started_us) / 1000;

    ck_assert_uint_ge(ms, low);
    ck_assert_uint_le(ms, high);
}

START_TEST(a_read_ends_at_its_deadline)
{
    char byte;
    size_t n = 7;

    setup(1);
    clock_start();
    smux_stream_set_read_deadline(far, in_ms(50));
    ck_assert_int_eq(smux_stream_read(far, &byte, 1, &n), SMUX_EDEADLINE);
    expect_ms(50, 500);
    ck_assert_uint_eq(n, 0);
    smux_stream_set_read_deadline(far, SMUX_NEVER); /* the stream lives on */
    flow_send(near, 1, 100, 100);
    flow_expect(far, 1, 100);
    teardown();
}
END_TEST

START_TEST(an_accept_ends_at_its_deadline)
{
    smux_stream *stream;

    setup(1);
    clock_start();
    smux_session_set_accept_deadline(ends.server, in_ms(50));
    ck_assert_int_eq(smux_session_accept(ends.server, &stream), SMUX_EDEADLINE);
    expect_ms(50, 500);
    teardown();
}
END_TEST

/* Three who sleep, not only the one who polls. */
static void read_until_deadline(void *arg)
{
    char byte;
    size_t n;

    (void)arg;
    ck_assert_int_eq(smux_stream_read(far, &byte, 1, &n), SMUX_EDEADLINE);
}

START_TEST(all_who_wait_end_at_the_deadline)
{
    struct task tasks[4];

    setup(1);
    clock_start();
    smux_stream_set_read_deadline(far, in_ms(50));
    for (int i = 0; i < 4; i++) {
        task_start(&tasks[i], read_until_deadline, NULL);
    }
    for (int i = 0; i < 4; i++) {
        task_join(&tasks[i]);
    }
    expect_ms(50, 500);
    teardown();
}
END_TEST

static bool has_unread(void *arg)
{
    struct smux_stream_stats stats;

    (void)arg;
    smux_stream_stats(far, &stats);
    return stats.unread > 0;
}

START_TEST(a_deadline_in_the_past_makes_calls_nonblocking)
{
    char buf[10];
    size_t n;
    smux_stream *stream;

    setup(1);
    smux_stream_set_deadline(far, 1);
    clock_start();
    ck_assert_int_eq(smux_stream_read(far, buf, sizeof buf, &n), SMUX_EDEADLINE);
    smux_session_set_accept_deadline(ends.server, 1);
    ck_assert_int_eq(smux_session_accept(ends.server, &stream), SMUX_EDEADLINE);
    ck_assert_int_eq(smux_stream_write(far, "abc", 3, &n), SMUX_OK); /* there is room */
    ck_assert_uint_eq(n, 3);
    expect_ms(0, 200);
    ck_assert_int_eq(smux_stream_write(near, "xyz", 3, NULL), SMUX_OK);
    while (smux_stream_read(far, buf, sizeof buf, &n) == SMUX_EDEADLINE) {
        sleep_ms(1); /* on loopback the bytes are there at once, but nobody promised */
    }
    ck_assert_uint_eq(n, 3);
    teardown();
}
END_TEST

/* Without background thread or waiting reader a late call alone must bring the data in. */
START_TEST(a_late_read_looks_at_the_transport)
{
    char buf[10];
    size_t n;
    int tries = 0;

    setup(1);
    smux_stream_set_read_deadline(far, 1);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(smux_stream_write(near, "x", 1, NULL), SMUX_OK);
        while (smux_stream_read(far, buf, 1, &n) != SMUX_OK) {
            tries++;
        }
    }
    teardown();
}
END_TEST

/* --- writing ------------------------------------------------------------------------------- */

struct count {
    uint64_t key;
    uint64_t len;
};

static void read_and_count(void *arg)
{
    struct count *count = arg;
    uint8_t buf[5000];
    size_t n;

    while (smux_stream_read(far, buf, sizeof buf, &n) == SMUX_OK) {
        ck_assert_uint_eq(flow_check(count->key, count->len, buf, n), n);
        count->len += n;
    }
}

/* 40 writes of up to a megabyte, each cut by its deadline; the buffer is overwritten at once. The
 * reader must see exactly what was said to be accepted (T3, ORD-4). */
START_TEST(a_write_cut_by_its_deadline_tells_exactly_what_it_did)
{
    struct count count = {.key = 9};
    struct task reader;
    size_t size = 1 << 20;
    uint8_t *buf = malloc(size);
    uint64_t total = 0;
    bool cut = false;

    setup(1 + (uint32_t)_i % 2);
    for (unsigned round = 0; round < 40; round++) {
        size_t len = round % 2 == 0 ? size : 10000, n = 0;
        flow_fill(count.key, total, buf, len);
        smux_stream_set_write_deadline(near, in_ms(5));
        int status = smux_stream_write(near, buf, len, &n);
        memset(buf, 0xaa, len);
        ck_assert(status == SMUX_EDEADLINE ? n < len : status == SMUX_OK && n == len);
        cut = cut || status == SMUX_EDEADLINE;
        total += n;
        if (round == 30) {
            task_start(&reader, read_and_count, &count);
        }
    }
    ck_assert(cut);
    ck_assert_int_eq(smux_stream_shutdown(near), SMUX_OK);
    task_join(&reader);
    ck_assert_uint_eq(count.len, total);
    free(buf);
    teardown();
}
END_TEST

static void write_until_deadline(void *arg)
{
    size_t size = 1 << 20, n;
    uint8_t *buf = calloc(1, size);

    (void)arg;
    while (smux_stream_write(near, buf, size, &n) == SMUX_OK) {
    }
    free(buf);
}

START_TEST(a_write_ends_at_its_deadline)
{
    setup(1 + (uint32_t)_i % 2);
    clock_start();
    smux_stream_set_write_deadline(near, in_ms(100));
    write_until_deadline(NULL);
    expect_ms(100, 600);
    smux_stream_abort(near);
    smux_stream_abort(far);
    teardown();
}
END_TEST

/* --- changes while a call waits (T20) ------------------------------------------------------ */

START_TEST(a_shorter_deadline_ends_a_read_under_way)
{
    struct task tasks[2];

    setup(1);
    clock_start();
    for (int i = 0; i < 2; i++) { /* one polls, one sleeps */
        task_start(&tasks[i], read_until_deadline, NULL);
    }
    sleep_ms(30);
    smux_stream_set_read_deadline(far, in_ms(20));
    task_join(&tasks[0]);
    task_join(&tasks[1]);
    expect_ms(50, 500);
    teardown();
}
END_TEST

START_TEST(a_longer_deadline_lets_a_read_go_on)
{
    struct task task;

    setup(1);
    clock_start();
    smux_stream_set_read_deadline(far, in_ms(300)); /* a busy machine may stop us for a while */
    task_start(&task, read_until_deadline, NULL);
    sleep_ms(10);
    smux_stream_set_read_deadline(far, in_ms(390));
    task_join(&task);
    expect_ms(400, 1000);
    teardown();
}
END_TEST

START_TEST(a_shorter_deadline_ends_a_write_under_way)
{
    struct task tasks[2];

    setup(1 + (uint32_t)_i % 2);
    clock_start();
    for (int i = 0; i < 2; i++) {
        task_start(&tasks[i], write_until_deadline, NULL);
    }
    sleep_ms(50);
    smux_stream_set_write_deadline(near, 1);
    task_join(&tasks[0]);
    task_join(&tasks[1]);
    expect_ms(50, 500);
    smux_stream_abort(near);
    smux_stream_abort(far);
    teardown();
}
END_TEST

static void accept_until_deadline(void *arg)
{
    smux_stream *stream;

    (void)arg;
    ck_assert_int_eq(smux_session_accept(ends.server, &stream), SMUX_EDEADLINE);
}

START_TEST(a_shorter_deadline_ends_an_accept_under_way)
{
    struct task tasks[2];

    setup(1);
    clock_start();
    task_start(&tasks[0], accept_until_deadline, NULL);
    task_start(&tasks[1], accept_until_deadline, NULL);
    sleep_ms(30);
    smux_session_set_accept_deadline(ends.server, 1);
    task_join(&tasks[0]);
    task_join(&tasks[1]);
    expect_ms(30, 400);
    teardown();
}
END_TEST

/* The one who polls leaves at its deadline, and another must receive (T12, T13). */
static void read_one(void *arg)
{
    char byte;
    size_t n;

    ck_assert_int_eq(smux_stream_read(arg, &byte, 1, &n), SMUX_OK);
}

START_TEST(a_sleeper_takes_over_when_the_receiver_leaves)
{
    smux_stream *other_near, *other_far;
    struct task leaver, stayer;

    setup(1);
    ends_stream(&ends, &other_near, &other_far);
    smux_stream_set_read_deadline(far, in_ms(60));
    task_start(&leaver, read_until_deadline, NULL);
    sleep_ms(20);
    task_start(&stayer, read_one, other_far);
    task_join(&leaver);
    clock_start();
    ck_assert_int_eq(smux_stream_write(other_near, "x", 1, NULL), SMUX_OK);
    task_join(&stayer);
    expect_ms(0, 200);
    ck_assert(!has_unread(NULL));
    smux_stream_close(other_near);
    smux_stream_close(other_far);
    teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session deadlines");
    TCase *tcase = tcase_create("deadlines");

    tcase_set_timeout(tcase, 10);
    tcase_add_test(tcase, a_read_ends_at_its_deadline);
    tcase_add_test(tcase, an_accept_ends_at_its_deadline);
    tcase_add_test(tcase, all_who_wait_end_at_the_deadline);
    tcase_add_test(tcase, a_deadline_in_the_past_makes_calls_nonblocking);
    tcase_add_test(tcase, a_late_read_looks_at_the_transport);
    tcase_add_loop_test(tcase, a_write_cut_by_its_deadline_tells_exactly_what_it_did, 0, 4);
    tcase_add_loop_test(tcase, a_write_ends_at_its_deadline, 0, 2);
    tcase_add_test(tcase, a_shorter_deadline_ends_a_read_under_way);
    tcase_add_test(tcase, a_longer_deadline_lets_a_read_go_on);
    tcase_add_loop_test(tcase, a_shorter_deadline_ends_a_write_under_way, 0, 2);
    tcase_add_test(tcase, a_shorter_deadline_ends_an_accept_under_way);
    tcase_add_test(tcase, a_sleeper_takes_over_when_the_receiver_leaves);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
