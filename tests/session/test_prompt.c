/*
 * While messages follow each other promptly a reader waits in the read itself, without a poll, where
 * only data wakes it (wait.c). It does so for some milliseconds at a time, so that whatever else it
 * waits for is as good as in time; and not while it is idle.
 *
 * ctest-timeout: 60
 * ctest-waits
 */
#include "ends.h"
#include "suite.h"

#include <smux/transport.h>

#include <stdatomic.h>

static struct ends ends;
static smux_stream *near, *far; /* client, server */
static struct smux_transport inner;
static struct smux_transport_ops counting;
static atomic_uint waits; /* reads of the client that waited */
static atomic_bool inside;

static int counting_readv_wait(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    atomic_store(&inside, true);
    int status = inner.ops->readv_wait(ctx, iov, n, out_len);
    atomic_store(&inside, false);
    atomic_fetch_add(&waits, 1);
    return status;
}

static void answer(void *arg)
{
    char c;
    size_t n;

    (void)arg;
    while (smux_stream_read(far, &c, 1, &n) == SMUX_OK) {
        ck_assert_int_eq(smux_stream_write(far, &c, 1, NULL), SMUX_OK);
    }
}

static void ask(void)
{
    char c;
    size_t n;

    ck_assert_int_eq(smux_stream_write(near, "x", 1, NULL), SMUX_OK);
    ck_assert_int_eq(smux_stream_read(near, &c, 1, &n), SMUX_OK);
}

static bool has_waited(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        ask();
    }
    return atomic_load(&waits) >= 100;
}

static struct task answerer;

/* A conversation that is under way. */
static void setup(void)
{
    struct smux_transport transports[2];
    struct smux_config config;

    smux_config_init(&config);
    config.version = 2;
    wire_make(WIRE_TCP, transports);
    inner = transports[0];
    counting = *inner.ops;
    counting.readv_wait = counting_readv_wait;
    transports[0].ops = &counting;
    atomic_store(&waits, 0);
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &transports[0], &config, &ends.client), SMUX_OK);
    ck_assert_int_eq(smux_session_new(SMUX_SERVER, &transports[1], &config, &ends.server), SMUX_OK);
    ends_stream(&ends, &near, &far);
    task_start(&answerer, answer, NULL);
    ck_assert(await(has_waited, NULL));
}

static void teardown(void)
{
    smux_stream_close(near);
    task_join(&answerer);
    smux_stream_close(far);
    ends_close(&ends);
}

START_TEST(an_idle_reader_does_not_wait_in_the_read)
{
    char c;
    size_t n;

    setup();
    unsigned before = atomic_load(&waits);
    smux_stream_set_read_deadline(near, in_ms(300));
    ck_assert_int_eq(smux_stream_read(near, &c, 1, &n), SMUX_EDEADLINE);
    ck_assert_uint_le(atomic_load(&waits) - before, 1);
    teardown();
}
END_TEST

static void read_until_interrupted(void *arg)
{
    char c;
    size_t n;
    int status = smux_stream_read(near, &c, 1, &n);

    ck_assert_int_eq(status, *(int *)arg);
}

static bool is_inside(void *arg)
{
    (void)arg;
    return atomic_load(&inside);
}

/* What others do to a reader that waits in the read: a deadline, an abort of its stream, the end of the
 * session. */
START_TEST(a_reader_in_the_read_notices_others)
{
    static int expected[] = {SMUX_EDEADLINE, SMUX_EABORTED, SMUX_ECLOSED};
    struct task reader;

    setup();
    task_start(&reader, read_until_interrupted, &expected[_i]);
    (void)await(is_inside, NULL); /* or it has gone to poll already, on a busy machine */
    uint64_t begun_us = smux_now_us();
    if (_i == 0) {
        smux_stream_set_read_deadline(near, smux_now_us());
    } else if (_i == 1) {
        smux_stream_abort(near);
    } else {
        smux_session_abort(ends.client);
    }
    task_join(&reader);
    ck_assert_uint_lt(smux_now_us() - begun_us, 1000000);
    smux_stream_close(near);
    task_join(&answerer);
    smux_stream_close(far);
    (void)smux_session_close(ends.client);
    (void)smux_session_close(ends.server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prompt");
    TCase *tc = tcase_create("prompt");

    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, an_idle_reader_does_not_wait_in_the_read);
    tcase_add_loop_test(tc, a_reader_in_the_read_notices_others, 0, 3);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
