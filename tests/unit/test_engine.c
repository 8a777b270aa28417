/*
 * test_engine.c - ends of the engine's ranges that its own interface does not reach in reasonable
 * time, and what it does without a configuration.
 */
#include "engine/core.h"
#include "support/suite.h"
#include "support/wire.h"

#include <string.h>

START_TEST(SID_2_the_last_id_is_given_once_and_then_none)
{
    struct wire w;
    smux_estream *stream = NULL;

    wire_start(&w, SMUX_CLIENT, NULL, FEED_WHOLE);
    w.engine->next_id = UINT32_MAX;
    ck_assert_uint_eq(smux_estream_id(wire_open(&w)), UINT32_MAX);
    expect_syn(&w, UINT32_MAX);
    ck_assert_int_eq(smux_engine_open(w.engine, &stream), SMUX_EGOAWAY);
    ck_assert_ptr_null(stream);
    expect_alive(&w);
    wire_psh(&w, UINT32_MAX, 10); /* what is open goes on */
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_a_failed_write_after_the_end_is_one_if_data_was_waiting)
{
    /* Without data the peer's end stays what it was. */
    for (size_t len = 0; len <= 100; len += 100) {
        struct wire w;
        smux_estream *stream;

        wire_start(&w, SMUX_SERVER, NULL, FEED_WHOLE);
        w.blocked = true;
        wire_syn(&w, 3);
        stream = wire_accept(&w, 3);
        wire_psh(&w, 3, 10); /* unread: the session lives until it is read */
        wire_fin(&w, 3);
        if (len > 0) {
            wire_write(&w, stream, len);
        }
        smux_engine_recv_eof(w.engine, w.now);
        expect_alive(&w);
        smux_engine_fail(w.engine, SMUX_EIO, "writing failed");
        ck_assert_int_eq(smux_engine_error(w.engine), len > 0 ? SMUX_EIO : SMUX_EOF);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(more_bytes_than_were_offered_do_not_count_as_sent)
{
    struct wire w;
    struct smux_iov iov[8];
    size_t len = 0;

    wire_start(&w, SMUX_CLIENT, NULL, FEED_WHOLE);
    wire_write(&w, wire_open(&w), 100);
    int n = smux_engine_send_iov(w.engine, iov, 8, w.now);
    for (int i = 0; i < n; i++) {
        len += iov[i].len;
    }
    ck_assert_uint_eq(len, 8 + 8 + 100);
    smux_engine_send_commit(w.engine, len + 1, w.now);
    expect_syn(&w, 3); /* all of it is still there */
    expect_data(&w, 3, 100);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

/* Half a frame has come: room is offered for the rest, in memory of its own. */
static void offer_room_for_the_rest(struct wire *w, struct smux_iov iov[2])
{
    wire_start(w, SMUX_SERVER, NULL, FEED_WHOLE);
    wire_syn(w, 3);
    wire_accept(w, 3);
    wire_header(w, CMD_PSH, 60000, 3);
    ck_assert_int_gt(smux_engine_recv_iov(w->engine, iov, 2), 0);
}

START_TEST(memory_that_was_offered_for_input_goes_with_the_engine)
{
    struct smux_iov iov[2];
    struct wire w;

    offer_room_for_the_rest(&w, iov);
    ck_assert_uint_ge(iov[0].len, 32768);
    wire_stop(&w); /* looks at the heap */
}
END_TEST

START_TEST(without_memory_of_its_own_a_frame_comes_through_the_buffer)
{
    struct smux_iov iov[2];
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, FEED_WHOLE);
    wire_syn(&w, 3);
    smux_estream *stream = wire_accept(&w, 3);
    wire_header(&w, CMD_PSH, 60000, 3);
    uint64_t failures = w.heap.failures;
    w.heap.fail_at = w.heap.calls + 1;
    int n = smux_engine_recv_iov(w.engine, iov, 2);
    ck_assert_uint_eq(w.heap.failures, failures + 1);
    smux_engine_recv_commit(w.engine, 0, w.now);
    ck_assert_int_ge(n, 0);
    expect_alive(&w);
    unsigned char *data = calloc(1, 60000);
    size_t len = 0;
    wire_content(&w, wire_flow(&w, 3), data, 60000);
    ck_assert_int_eq(smux_engine_recv(w.engine, data, 60000, w.now, &len), SMUX_OK);
    ck_assert_uint_eq(len, 60000);
    ck_assert_int_eq(smux_estream_read(w.engine, stream, data, 60000, &len), SMUX_OK);
    ck_assert_uint_eq(len, 60000);
    free(data);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_9_a_writer_may_wait_for_credit_for_ever)
{
    struct smux_config config = wire_config(2);
    struct wire w;

    config.half_close_timeout_ms = SMUX_OFF;
    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    wire_syn(&w, 3);
    smux_estream *stream = wire_accept(&w, 3);
    wire_write(&w, stream, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    wire_fin(&w, 3);
    wire_write(&w, stream, 1000);
    wire_sleep(&w, 24 * 3600 * 1000);
    wire_write(&w, stream, 1);
    wire_upd(&w, 3, 262144, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 1001);
    wire_stop(&w);
}
END_TEST

START_TEST(an_engine_is_refused_a_role_and_a_size_that_make_no_sense)
{
    smux_engine *engine = (smux_engine *)(void *)&engine;

    ck_assert_int_eq(smux_engine_new((enum smux_role)7, NULL, 0, 0, &engine), SMUX_EINVAL);
    ck_assert_ptr_null(engine);
    ck_assert_int_eq(smux_engine_new(SMUX_CLIENT, NULL, 4097, 0, &engine), SMUX_EINVAL);
    ck_assert_int_eq(smux_engine_new(SMUX_CLIENT, NULL, 4096, 0, &engine), SMUX_OK);
    smux_engine_free(engine);
}
END_TEST

START_TEST(half_an_allocator_is_refused)
{
    struct heap heap;
    smux_engine *engine;

    for (int missing = 0; missing < 2; missing++) {
        struct smux_config config;
        smux_config_init(&config);
        heap_init(&heap);
        *(missing == 0 ? (void **)&heap.allocator.alloc : (void **)&heap.allocator.free) = NULL;
        config.allocator = &heap.allocator;
        ck_assert_int_eq(smux_engine_new(SMUX_CLIENT, &config, 0, 0, &engine), SMUX_ECONFIG);
    }
}
END_TEST

START_TEST(without_a_configuration_streams_work_on_malloc)
{
    smux_engine *engine;
    smux_estream *stream;
    struct smux_iov iov[8];
    size_t len = 0;
    static const unsigned char hello[] = {1, 0, 0, 0, 3, 0, 0, 0, 1, 2, 2, 0, 3, 0, 0, 0, 'h', 'i'};

    ck_assert_int_eq(smux_engine_new(SMUX_SERVER, NULL, 0, 0, &engine), SMUX_OK);
    ck_assert_int_eq(smux_engine_recv(engine, hello, sizeof(hello), 0, &len), SMUX_OK);
    ck_assert_uint_eq(len, sizeof(hello));
    ck_assert_int_eq(smux_engine_accept(engine, &stream), SMUX_OK);
    char text[4] = "";
    ck_assert_int_eq(smux_estream_read(engine, stream, text, sizeof(text), &len), SMUX_OK);
    ck_assert_str_eq(text, "hi");
    smux_estream_close(engine, stream);
    ck_assert_int_gt(smux_engine_send_iov(engine, iov, 8, 0), 0);
    smux_engine_free(engine);
}
END_TEST

START_TEST(names_of_statuses_and_of_the_release)
{
    ck_assert_str_eq(smux_status_name(SMUX_EPROTO), "SMUX_EPROTO");
    ck_assert_str_eq(smux_status_name(12345), "SMUX_?");
    ck_assert_ptr_nonnull(smux_strerror(12345));
    ck_assert_str_eq(smux_version(), SMUX_VERSION_STRING);
}
END_TEST

START_TEST(a_posted_buffer_tells_how_much_room_it_has)
{
    struct wire w;
    smux_estream *stream;
    unsigned char buf[100];
    size_t len = 99;

    wire_start(&w, SMUX_SERVER, NULL, FEED_WHOLE);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    ck_assert_uint_eq(smux_estream_posted(w.engine, stream), 0);
    ck_assert_int_eq(smux_estream_post(w.engine, stream, buf, sizeof(buf)), SMUX_OK);
    ck_assert_int_eq(smux_estream_post(w.engine, stream, buf, sizeof(buf)), SMUX_EAGAIN);
    ck_assert_uint_eq(smux_estream_posted(w.engine, stream), 100);
    wire_psh(&w, 3, 30);
    ck_assert_uint_eq(smux_estream_posted(w.engine, stream), 70);
    smux_estream_unpost(w.engine, stream, &len);
    ck_assert_uint_eq(len, 30);
    expect_content(&w, wire_flow(&w, 3), buf, 30);
    ck_assert_uint_eq(smux_estream_posted(w.engine, stream), 0);
    smux_estream_unpost(w.engine, stream, &len);
    ck_assert_uint_eq(len, 0);
    /* A stream that is closed takes its buffer out of the engine's sight. */
    ck_assert_int_eq(smux_estream_post(w.engine, stream, buf, sizeof(buf)), SMUX_OK);
    smux_estream_close(w.engine, stream);
    memset(buf, 0x55, sizeof(buf));
    wire_psh(&w, 3, 30);
    ck_assert_int_eq(buf[0], 0x55);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tcase = tcase_create("ends");

    tcase_add_test(tcase, SID_2_the_last_id_is_given_once_and_then_none);
    tcase_add_test(tcase, END_3_a_failed_write_after_the_end_is_one_if_data_was_waiting);
    tcase_add_test(tcase, more_bytes_than_were_offered_do_not_count_as_sent);
    tcase_add_test(tcase, memory_that_was_offered_for_input_goes_with_the_engine);
    tcase_add_test(tcase, without_memory_of_its_own_a_frame_comes_through_the_buffer);
    tcase_add_test(tcase, FIN_9_a_writer_may_wait_for_credit_for_ever);
    tcase_add_test(tcase, an_engine_is_refused_a_role_and_a_size_that_make_no_sense);
    tcase_add_test(tcase, half_an_allocator_is_refused);
    tcase_add_test(tcase, without_a_configuration_streams_work_on_malloc);
    tcase_add_test(tcase, names_of_statuses_and_of_the_release);
    tcase_add_test(tcase, a_posted_buffer_tells_how_much_room_it_has);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
