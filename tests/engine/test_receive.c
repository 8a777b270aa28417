/*
 * test_receive.c - RCV-1..19: what each received frame does, one test or more a row of the table.
 *
 * ctest-timeout: 300
 */
#include "support/suite.h"
#include "support/wire.h"

/* A server with one accepted stream, id 3. */
static smux_estream *start_server(struct wire *w, unsigned version, int mode)
{
    struct smux_config config = wire_config(version);

    wire_start(w, SMUX_SERVER, &config, mode);
    wire_syn(w, 3);
    return wire_accept(w, 3);
}

/* A client with one opened stream, id 3. */
static smux_estream *start_client(struct wire *w, unsigned version, int mode)
{
    struct smux_config config = wire_config(version);
    smux_estream *stream;

    wire_start(w, SMUX_CLIENT, &config, mode);
    stream = wire_open(w);
    expect_syn(w, 3);
    return stream;
}

START_TEST(RCV_1_violation_ends_the_session_at_once)
{
    smux_estream *stream, *other;
    struct wire w;
    size_t len;

    stream = start_server(&w, 1, _i);
    wire_syn(&w, 5);
    other = wire_accept(&w, 5);
    w.blocked = true;
    wire_write(&w, stream, 100);
    wire_psh(&w, 3, 10);
    wire_header(&w, 9, 0, 3);
    expect_dead(&w, SMUX_EPROTO);
    ck_assert_int_eq(smux_estream_write(w.engine, other, "x", 1, &len), SMUX_EPROTO);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, other), SMUX_EPROTO);
    expect_status(&w, other, SMUX_EPROTO);
    expect_read(&w, stream, 10);
    expect_status(&w, stream, SMUX_EPROTO);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_2_nop_is_not_answered)
{
    struct wire w;

    start_server(&w, 1, _i);
    wire_nop(&w);
    wire_nop(&w);
    expect_quiet(&w);
    ck_assert_uint_eq(wire_stats(&w).frames_in.nop, 2);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(frames_of_every_type_are_counted)
{
    struct wire w;

    start_server(&w, 2, _i);
    ck_assert_uint_eq(smux_engine_frames_in(w.engine), 1);
    wire_psh(&w, 3, 10);
    ck_assert_uint_eq(smux_engine_frames_in(w.engine), 2);
    wire_nop(&w);
    ck_assert_uint_eq(smux_engine_frames_in(w.engine), 3);
    wire_upd(&w, 3, 0, 65536);
    ck_assert_uint_eq(smux_engine_frames_in(w.engine), 4);
    wire_fin(&w, 3);
    ck_assert_uint_eq(smux_engine_frames_in(w.engine), 5);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_3_syn_makes_a_stream_to_accept)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    ck_assert_int_eq(smux_engine_accept(w.engine, &stream), SMUX_EAGAIN);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    ck_assert_uint_eq(wire_stats(&w).backlog_now, 2);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 2);
    wire_accept(&w, 3);
    wire_accept(&w, 5);
    ck_assert_int_eq(smux_engine_accept(w.engine, &stream), SMUX_EAGAIN);
    ck_assert_uint_eq(wire_stats(&w).streams_accepted, 2);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_4_syn_over_a_limit_is_refused_and_reading_goes_on)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.max_remote_streams = 1;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    wire_psh(&w, 3, 10);
    expect_fin(&w, 5);
    expect_quiet(&w);
    stream = wire_accept(&w, 3);
    expect_read(&w, stream, 10);
    ck_assert_uint_eq(wire_stats(&w).streams_refused, 1);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_5_syn_for_a_known_id_is_ignored)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_psh(&w, 3, 10);
    wire_syn(&w, 3);
    wire_psh(&w, 3, 10);
    expect_read(&w, stream, 20);
    ck_assert_uint_eq(wire_stats(&w).syn_ignored, 1);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    ck_assert_int_eq(smux_engine_accept(w.engine, &stream), SMUX_EAGAIN);
    expect_glitches(&w, 1);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_6_syn_for_a_forgotten_id_makes_a_new_stream)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    for (int round = 0; round < 3; round++) {
        wire_flow(&w, 3)->fed = wire_flow(&w, 3)->read = 0;
        wire_syn(&w, 3);
        stream = wire_accept(&w, 3);
        wire_psh(&w, 3, 10);
        wire_fin(&w, 3);
        expect_read(&w, stream, 10);
        expect_status(&w, stream, SMUX_EOF);
        smux_estream_close(w.engine, stream);
        expect_fin(&w, 3);
        ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    }
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_6_new_stream_replaces_a_discard_record)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_psh(&w, 3, 10);
    smux_estream_close(w.engine, stream); /* the peer's FIN is missing: a record stays */
    wire_skip(&w);
    wire_flow(&w, 3)->read = wire_flow(&w, 3)->fed;
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_psh(&w, 3, 100);
    expect_read(&w, stream, 100);
    expect_upd(&w, 3, 100, 65536); /* counts from 0 again */
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_7_empty_psh_is_ignored)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_psh(&w, 3, 0);
    expect_status(&w, stream, SMUX_EAGAIN); /* not an end of file */
    wire_psh(&w, 3, 10);
    wire_psh(&w, 3, 0);
    expect_read(&w, stream, 10);
    expect_status(&w, stream, SMUX_EAGAIN);
    wire_psh(&w, 77, 0); /* unknown id */
    expect_glitches(&w, 3);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_8_psh_for_an_unknown_id_is_skipped_without_memory)
{
    struct wire w;
    size_t before;

    start_server(&w, 2, _i);
    wire_psh(&w, 3, 1);
    before = w.heap.now;
    wire_psh(&w, 99, 65535);
    wire_psh(&w, 4, 1);
    wire_psh(&w, 2, 1000);
    expect_alive(&w);
    expect_quiet(&w);
    expect_glitches(&w, 0);
    ck_assert_uint_eq(wire_stats(&w).payload_discarded, 65535 + 1 + 1000);
    ck_assert_uint_eq(wire_stats(&w).payload_in, 1);
    ck_assert_uint_le(wire_stats(&w).receive_buffer, 256); /* only the byte of stream 3 */
    ck_assert_uint_le(w.heap.now, before + 2 * 65536);     /* receive buffers [BKT-4] */
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_9_psh_is_appended_and_charged)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_psh(&w, 3, 1000);
    wire_psh(&w, 3, 2000);
    ck_assert_uint_eq(wire_stats(&w).payload_in, 3000);
    ck_assert_uint_ge(wire_stats(&w).receive_buffer, 3000);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).unread, 3000);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).bytes_in, 3000);
    expect_read(&w, stream, 3000);
    expect_status(&w, stream, SMUX_EAGAIN);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).unread, 0);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).bytes_read, 3000);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_9_payload_waits_for_memory)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct smux_iov iov[2];
    char buf[10001];
    size_t got = 0;
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_sleep(&w, 4000); /* memory that is kept for reuse is given back */
    wire_header(&w, CMD_PSH, 10000, 3);
    w.heap.fail_at = w.heap.calls + 1;
    w.heap.fail_on = true;
    ck_assert_int_eq(smux_engine_recv_iov(w.engine, iov, 2), 0);
    w.heap.fail_at = 0;
    ck_assert(smux_engine_wants_read(w.engine));
    for (size_t done = 0; done < 10000;) {
        int n = smux_engine_recv_iov(w.engine, iov, 2);

        ck_assert_int_ge(n, 1);
        size_t len = iov[0].len < 10000 - done ? iov[0].len : 10000 - done;
        memset(iov[0].base, 'x', len);
        ck_assert_int_eq(smux_engine_recv_commit(w.engine, len, w.now), SMUX_OK);
        done += len;
    }
    ck_assert_int_eq(smux_estream_read(w.engine, stream, buf, sizeof(buf), &got), SMUX_OK);
    ck_assert_uint_eq(got, 10000);
    for (size_t i = 0; i < got; i++) {
        ck_assert_int_eq(buf[i], 'x');
    }
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_10_psh_after_the_fin_is_dropped)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_psh(&w, 3, 10);
    wire_fin(&w, 3);
    wire_psh(&w, 3, 20);
    expect_read(&w, stream, 10);
    expect_status(&w, stream, SMUX_EOF);
    wire_psh(&w, 3, 20);
    expect_status(&w, stream, SMUX_EOF); /* sticky [FIN-2] */
    ck_assert_uint_eq(wire_stats(&w).psh_after_fin, 2);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    expect_glitches(&w, 0);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_11_psh_for_a_closed_stream_is_dropped)
{
    for (unsigned version = 1; version <= 2; version++) {
        for (int how = 0; how < 2; how++) {
            smux_estream *stream;
            struct wire w;

            stream = start_server(&w, version, _i);
            wire_psh(&w, 3, 10);
            if (how == 0) {
                smux_estream_abort(w.engine, stream, SMUX_EABORTED);
            }
            smux_estream_close(w.engine, stream);
            if (version == 2 && how == 1) {
                expect_upd(&w, 3, 10, 65536); /* credited [FIN-11] */
            }
            expect_fin(&w, 3);
            for (int i = 0; i < 10; i++) {
                wire_psh(&w, 3, 1000);
            }
            ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
            ck_assert_uint_eq(wire_stats(&w).payload_discarded, 10000);
            expect_glitches(&w, 0);
            wire_fin(&w, 3);
            wire_psh(&w, 3, 10);
            expect_glitches(&w, 0);
            ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
            wire_stop(&w);
        }
    }
}
END_TEST

START_TEST(RCV_12_fin_for_an_unknown_id_is_ignored)
{
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_fin(&w, 3);
    wire_fin(&w, 4);
    wire_fin(&w, 0xffffffff);
    expect_alive(&w);
    expect_quiet(&w);
    expect_glitches(&w, 0);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_13_fin_marks_the_end_and_drops_nothing)
{
    for (int shut = 0; shut < 2; shut++) {
        smux_estream *stream;
        struct wire w;

        stream = start_server(&w, 1, _i);
        if (shut) {
            ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
            expect_fin(&w, 3);
        }
        wire_psh(&w, 3, 5000);
        wire_fin(&w, 3);
        expect_read(&w, stream, 5000); /* Go loses it here: M1 */
        expect_status(&w, stream, SMUX_EOF);
        expect_status(&w, stream, SMUX_EOF);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(RCV_14_repeated_fin_is_ignored)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_psh(&w, 3, 10);
    wire_fin(&w, 3);
    wire_fin(&w, 3);
    expect_read(&w, stream, 10);
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    expect_glitches(&w, 0);
    expect_quiet(&w);
    wire_write(&w, stream, 10);
    expect_data(&w, 3, 10);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_15_update_for_an_unknown_id_is_ignored)
{
    struct wire w;

    start_client(&w, 2, _i);
    wire_upd(&w, 5, 1000, 1000);
    wire_upd(&w, 2, 0, 0xffffffff);
    expect_alive(&w);
    expect_glitches(&w, 0);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_16_update_opens_the_window)
{
    smux_estream *stream;
    struct wire w;

    stream = start_client(&w, 2, _i);
    wire_write(&w, stream, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    wire_write(&w, stream, 100000);
    expect_quiet(&w);
    ck_assert(wire_stream_stats(&w, stream).blocked_on_window);
    wire_upd(&w, 3, 262144, 65536);
    expect_data(&w, 3, 65536);
    expect_quiet(&w);
    wire_upd(&w, 3, 262144 + 65536, 65536);
    expect_data(&w, 3, 100000 - 65536);
    ck_assert(!wire_stream_stats(&w, stream).blocked_on_window);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_17_older_update_is_ignored)
{
    smux_estream *stream;
    struct wire w;

    stream = start_client(&w, 2, _i);
    wire_write(&w, stream, 150000);
    ck_assert_uint_eq(wire_take_data(&w, 3), 150000);
    wire_upd(&w, 3, 100000, 65536);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 15536);
    wire_upd(&w, 3, 70000, 1);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 15536);
    ck_assert_uint_eq(wire_stats(&w).upd_stale, 1);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_18_update_ahead_of_what_was_sent_aborts_the_stream)
{
    smux_estream *stream, *other;
    struct wire w;
    size_t len;

    stream = start_client(&w, 2, _i);
    other = wire_open(&w);
    expect_syn(&w, 5);
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 100);
    wire_psh(&w, 3, 10);
    wire_upd(&w, 3, 101, 65536);
    expect_status(&w, stream, SMUX_ECONSUMED);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_ECONSUMED);
    expect_fin(&w, 3);
    expect_quiet(&w);
    expect_glitches(&w, 100);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    ck_assert_uint_eq(wire_stats(&w).streams_aborted, 1);
    wire_psh(&w, 3, 10);
    expect_status(&w, stream, SMUX_ECONSUMED); /* stays so (R17) */
    expect_alive(&w);
    wire_psh(&w, 5, 10);
    expect_read(&w, other, 10);
    wire_stop(&w);
}
END_TEST

/* What an owner does that hands on what it was shown while it goes on receiving. */
START_TEST(RCV_18_abort_of_a_stream_that_was_looked_at)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct smux_iov iov;
    struct wire w;
    int n;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_psh(&w, 3, 1000);
    ck_assert_int_eq(smux_estream_peek(w.engine, stream, &iov, 1, &n), SMUX_OK);
    wire_upd(&w, 3, 1, 1000);
    smux_estream_consume(w.engine, stream, iov.len);
    expect_status(&w, stream, SMUX_ECONSUMED);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    expect_fin(&w, 3);
    expect_quiet(&w);
    smux_estream_close(w.engine, stream);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

/* What was received is complete, and stays so; only writing fails. */
START_TEST(FIN_2_end_of_file_stays_when_the_stream_is_aborted_later)
{
    smux_estream *stream;
    struct wire w;
    size_t len;

    stream = start_client(&w, 2, _i);
    wire_psh(&w, 3, 10);
    wire_fin(&w, 3);
    expect_read(&w, stream, 10);
    expect_status(&w, stream, SMUX_EOF);
    wire_upd(&w, 3, 1, 65536);
    expect_status(&w, stream, SMUX_EOF);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_ECONSUMED);
    wire_stop(&w);
}
END_TEST

START_TEST(RCV_19_window_above_the_maximum_is_clamped)
{
    static const uint32_t windows[] = {0x80000000, 0xffffffff};

    for (size_t i = 0; i < 2; i++) {
        smux_estream *stream;
        struct wire w;

        stream = start_client(&w, 2, _i);
        wire_write(&w, stream, 1000);
        expect_data(&w, 3, 1000); /* in flight, the case in which Go loses all limits */
        wire_upd(&w, 3, 0, windows[i]);
        ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 0x7fffffff - 1000);
        expect_glitches(&w, 10);
        wire_write(&w, stream, 1000);
        expect_data(&w, 3, 1000);
        expect_alive(&w);
        wire_stop(&w);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("receive");
    TCase *tc = tcase_create("receive");

    tcase_set_timeout(tc, 120);

    add_every_split(tc, RCV_1_violation_ends_the_session_at_once);
    add_every_split(tc, RCV_2_nop_is_not_answered);
    add_every_split(tc, frames_of_every_type_are_counted);
    add_every_split(tc, RCV_3_syn_makes_a_stream_to_accept);
    add_every_split(tc, RCV_4_syn_over_a_limit_is_refused_and_reading_goes_on);
    add_every_split(tc, RCV_5_syn_for_a_known_id_is_ignored);
    add_every_split(tc, RCV_6_syn_for_a_forgotten_id_makes_a_new_stream);
    add_every_split(tc, RCV_6_new_stream_replaces_a_discard_record);
    add_every_split(tc, RCV_7_empty_psh_is_ignored);
    add_every_split(tc, RCV_8_psh_for_an_unknown_id_is_skipped_without_memory);
    add_every_split(tc, RCV_9_psh_is_appended_and_charged);
    tcase_add_test(tc, RCV_9_payload_waits_for_memory);
    add_every_split(tc, RCV_10_psh_after_the_fin_is_dropped);
    add_every_split(tc, RCV_11_psh_for_a_closed_stream_is_dropped);
    add_every_split(tc, RCV_12_fin_for_an_unknown_id_is_ignored);
    add_every_split(tc, RCV_13_fin_marks_the_end_and_drops_nothing);
    add_every_split(tc, RCV_14_repeated_fin_is_ignored);
    add_every_split(tc, RCV_15_update_for_an_unknown_id_is_ignored);
    add_every_split(tc, RCV_16_update_opens_the_window);
    add_every_split(tc, RCV_17_older_update_is_ignored);
    add_every_split(tc, FIN_2_end_of_file_stays_when_the_stream_is_aborted_later);
    add_every_split(tc, RCV_18_update_ahead_of_what_was_sent_aborts_the_stream);
    add_every_split(tc, RCV_18_abort_of_a_stream_that_was_looked_at);
    add_every_split(tc, RCV_19_window_above_the_maximum_is_clamped);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
