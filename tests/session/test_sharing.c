/*
 * What a thread does for others of its session, and with the processor, ends in time: who has only a
 * message to send is not kept by bulk writers (io.c), and who moves bytes on end lets others run (spin.c).
 *
 * ctest-timeout: 60
 */
#define _GNU_SOURCE 1

#include "session/session_internal.h"

#include "ends.h"
#include "suite.h"

#include <smux/transport.h>

#include <stdatomic.h>
#include <stdlib.h>

#define BULK (1u << 20)

static struct ends ends;
static smux_stream *bulk[2], *calm[2]; /* client, server */

/* --- who sends ----------------------------------------------------------------------------- */

static struct smux_transport inner;
static struct smux_transport_ops counting;
static _Thread_local unsigned writes; /* of this thread, by the client */
static _Thread_local bool joined;     /* the next of them meets a bulk writer */
static struct task writer;

static void write_bulk(void *arg)
{
    (void)arg;
    flow_send(bulk[0], 1, BULK, BULK);
}

static bool a_writer_is_idle(void *arg)
{
    (void)arg;
    smux__session_lock(ends.client);
    const struct smux__waiter *receiver = ends.client->receiver;
    bool idle = ends.client->idle_writers != NULL ||
                (receiver != NULL && receiver->kind == SMUX__WAIT_WRITE && receiver->polling);
    smux__session_unlock(ends.client);
    return idle;
}

static int counting_writev(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    writes++;
    if (joined) {
        joined = false;
        task_start(&writer, write_bulk, NULL);
        ck_assert(await(a_writer_is_idle, NULL));
    }
    return inner.ops->writev(ctx, iov, n, out_len);
}

static void open_counting(uint32_t version)
{
    struct smux_transport transports[2];
    struct smux_config config;

    smux_config_init(&config);
    config.version = version;
    wire_make(WIRE_SOCKET, transports);
    inner = transports[0];
    counting = *inner.ops;
    counting.writev = counting_writev;
    transports[0].ops = &counting;
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &transports[0], &config, &ends.client), SMUX_OK);
    ck_assert_int_eq(smux_session_new(SMUX_SERVER, &transports[1], &config, &ends.server), SMUX_OK);
    ends_stream(&ends, &bulk[0], &bulk[1]);
    ends_stream(&ends, &calm[0], &calm[1]);
}

static void close_streams(void)
{
    for (int i = 0; i < 2; i++) {
        smux_stream_close(bulk[i]);
        smux_stream_close(calm[i]);
    }
    ends_close(&ends);
}

static void read_calm(void *arg)
{
    char c;
    size_t n;

    (void)arg;
    ck_assert_int_eq(smux_stream_read(calm[0], &c, 1, &n), SMUX_OK);
}

static bool somebody_receives(void *arg)
{
    (void)arg;
    smux__session_lock(ends.client);
    bool receives = ends.client->receiver != NULL && ends.client->receiver->polling;
    smux__session_unlock(ends.client);
    return receives;
}

/* Version 1, as in version 2 windows end it. While a message is sent, a bulk writer comes, which waits
 * for that: it receives meanwhile, or a reader does (_i == 1) and it sleeps. */
START_TEST(who_has_a_message_is_not_kept_by_bulk)
{
    struct task reader;

    open_counting(1);
    if (_i == 1) {
        task_start(&reader, read_calm, NULL);
        ck_assert(await(somebody_receives, NULL));
    }
    writes = 0;
    joined = true;
    ck_assert_int_eq(smux_stream_write(calm[0], "x", 1, NULL), SMUX_OK);
    ck_assert(!joined);
    ck_assert_uint_eq(writes, 1);
    flow_expect(bulk[1], 1, BULK); /* the writer sends it, as nobody else does */
    task_join(&writer);
    if (_i == 1) {
        ck_assert_int_eq(smux_stream_write(calm[1], "x", 1, NULL), SMUX_OK);
        task_join(&reader);
    }
    close_streams();
}
END_TEST

/* --- who runs ------------------------------------------------------------------------------ */

static atomic_uint yields;
static atomic_uint yield_ms; /* what others run on meanwhile */

/* In place of that of the system. */
int sched_yield(void)
{
    atomic_fetch_add(&yields, 1);
    if (atomic_load(&yield_ms) > 0) {
        sleep_ms(atomic_load(&yield_ms));
    }
    return 0;
}

static struct smux__stint stint;

static bool rests(void *arg)
{
    uint64_t until_us = smux_now_us() + 10000;
    unsigned before = atomic_load(&yields);

    (void)arg;
    while (smux_now_us() < until_us && atomic_load(&yields) == before) {
        smux__stint_rest(&stint);
    }
    return atomic_load(&yields) > before;
}

START_TEST(who_moves_bytes_on_end_lets_others_run)
{
    atomic_store(&yields, 0);
    ck_assert(await(rests, NULL));
    ck_assert_uint_eq(atomic_load(&yields), 1);
}
END_TEST

START_TEST(who_sleeps_in_between_need_not)
{
    atomic_store(&yields, 0);
    for (int i = 0; i < 50; i++) {
        smux__stint_rest(&stint);
        sleep_ms(1);
    }
    ck_assert_uint_eq(atomic_load(&yields), 0);
}
END_TEST

/* Others who take the processor for long do not get more than half of it. */
START_TEST(the_longer_others_run_the_later_they_do_again)
{
    const unsigned others_ms = 20;

    atomic_store(&yield_ms, others_ms);
    ck_assert(await(rests, NULL));
    atomic_store(&yield_ms, 0);
    ck_assert_uint_ge(stint.due_us - stint.seen_us, others_ms * 1000);
}
END_TEST

/* As the meter leaves a session that moves much. */
static void make_fast(smux_session *session)
{
    smux__session_lock(session);
    session->fast = true;
    session->metered_us = smux_now_us();
    smux__session_unlock(session);
}

/* Windows do it in version 2. */
START_TEST(a_fast_session_of_version_1_notes_who_moves_bytes)
{
    open_counting((uint32_t)_i);
    make_fast(ends.client);
    ck_assert_int_eq(smux_stream_write(calm[0], "x", 1, NULL), SMUX_OK);
    smux__session_lock(ends.client);
    ck_assert_int_eq(ends.client->sending.thread == smux__thread_self(), _i == 1);
    smux__session_unlock(ends.client);
    close_streams();
}
END_TEST

/* A reader with so much memory; again if the machine was so busy that it is not fast any more. */
static bool yields_while_it_reads(size_t size)
{
    static uint8_t buf[65536];

    atomic_store(&yields, 0);
    for (int i = 0; i < 20 && atomic_load(&yields) == 0; i++) {
        size_t n;

        make_fast(ends.client);
        smux_stream_set_read_deadline(calm[0], in_ms(5));
        ck_assert_int_eq(smux_stream_read(calm[0], buf, size, &n), SMUX_EDEADLINE);
    }
    return atomic_load(&yields) > 0;
}

START_TEST(who_waits_for_a_message_sleeps)
{
    open_counting(1);
    ck_assert(!yields_while_it_reads(64));
    ck_assert(yields_while_it_reads(65536));
    close_streams();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sharing");
    TCase *tcase = tcase_create("sharing");

    tcase_add_loop_test(tcase, who_has_a_message_is_not_kept_by_bulk, 0, 2);
    tcase_add_test(tcase, who_moves_bytes_on_end_lets_others_run);
    tcase_add_test(tcase, who_sleeps_in_between_need_not);
    tcase_add_test(tcase, the_longer_others_run_the_later_they_do_again);
    tcase_add_loop_test(tcase, a_fast_session_of_version_1_notes_who_moves_bytes, 1, 3);
    tcase_add_test(tcase, who_waits_for_a_message_sleeps);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
