/*
 * test_window.c - WIN-1..10 and UPD-1..10: credit of version 2, in both directions. What needs
 * counters beyond 2^32 is in test_wrap.c.
 *
 * ctest-timeout: 900
 */
#include "support/suite.h"
#include "support/wire.h"

/* A v2 client with stream 3, which sent `sent` bytes. */
static smux_estream *start_sender(struct wire *w, size_t sent, int mode)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;

    wire_start(w, SMUX_CLIENT, &config, mode);
    stream = wire_open(w);
    expect_syn(w, 3);
    if (sent > 0) {
        wire_write(w, stream, sent);
        ck_assert_uint_eq(wire_take_data(w, 3), sent);
    }
    return stream;
}

/* A v2 server with accepted stream 3 and a window of `window`. */
static smux_estream *start_receiver(struct wire *w, uint32_t window, int mode)
{
    struct smux_config config = wire_config(2);

    config.max_stream_buffer = window;
    config.max_receive_buffer = 64 << 20; /* far from any shortage [BKT-7] */
    wire_start(w, SMUX_SERVER, &config, mode);
    wire_syn(w, 3);
    return wire_accept(w, 3);
}

/* Checks what may be sent, by the statistics and by sending it. */
static void expect_window(struct wire *w, smux_estream *stream, uint32_t sendable)
{
    ck_assert_uint_eq(wire_stream_stats(w, stream).send_window, sendable);
    if (sendable <= 262144) {
        wire_write(w, stream, 262144);
        ck_assert_uint_eq(wire_take_data(w, 3), sendable);
        expect_quiet(w);
    }
}

/* --- the sender ---------------------------------------------------------------------------- */

START_TEST(WIN_1_first_window_is_262144)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 0, _i);
    expect_window(&w, stream, 262144);
    wire_sleep(&w, 10000);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_1_only_payload_counts)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    config.max_frame_size = 100; /* 2622 headers and a FIN beside the data */
    wire_start(&w, SMUX_CLIENT, &config, _i);
    stream = wire_open(&w);
    expect_syn(&w, 3);
    wire_write(&w, stream, 262144);
    smux_estream_shutdown(w.engine, stream);
    expect_data(&w, 3, 262144);
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_1_v1_has_no_window)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    stream = wire_open(&w);
    expect_syn(&w, 3);
    for (int i = 0; i < 20; i++) {
        wire_write(&w, stream, 100000);
        expect_data(&w, 3, 100000);
    }
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, UINT32_MAX);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_2_data_counts_when_it_is_formed_into_a_frame)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 0, _i);
    w.blocked = true;
    wire_write(&w, stream, 1000);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 262144); /* only queued */
    ck_assert_uint_eq(wire_take(&w, 1), 1);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 262144 - 1000);
    wire_upd(&w, 3, 1000, 65536); /* the peer may acknowledge what just left */
    expect_alive(&w);
    w.blocked = false;
    expect_data(&w, 3, 1000);
    expect_window(&w, stream, 65536);
    wire_stop(&w);
}
END_TEST

/* The table of section 9.1 as far as it needs no wrap. */
START_TEST(WIN_3_row_shrunk_below_what_is_in_flight)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 262144, _i);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 0);
    wire_upd(&w, 3, 32768, 65536);
    expect_window(&w, stream, 0);
    wire_upd(&w, 3, 262144 - 65536 + 2000, 65536);
    ck_assert_uint_eq(wire_take_data(&w, 3), 2000);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_4_row_older_is_ignored)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 150000, _i);
    wire_upd(&w, 3, 100000, 65536);
    wire_upd(&w, 3, 70000, 65536);
    expect_window(&w, stream, 15536);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_4_row_all_acknowledged_with_window_0)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 150000, _i);
    wire_upd(&w, 3, 100000, 65536);
    wire_upd(&w, 3, 150000, 0);
    expect_window(&w, stream, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_4_row_ahead_aborts)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 150000, _i);
    wire_upd(&w, 3, 100000, 65536);
    wire_upd(&w, 3, 150001, 65536);
    expect_status(&w, stream, SMUX_ECONSUMED);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_4_far_ends_of_older_and_ahead)
{
    static const struct {
        uint32_t consumed;
        bool ahead;
    } cases[] = {
        {1000 + 1, true},           /* one more than was sent */
        {500u + 0x7fffffff, true},  /* as far ahead as can be told */
        {500 + 0x80000000u, false}, /* the oldest */
        {499, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        smux_estream *stream;
        struct wire w;

        stream = start_sender(&w, 1000, _i);
        wire_upd(&w, 3, 500, 65536);
        wire_upd(&w, 3, cases[i].consumed, 5);
        if (cases[i].ahead) {
            expect_status(&w, stream, SMUX_ECONSUMED);
        } else {
            expect_status(&w, stream, SMUX_EAGAIN);
            ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 65536 - 500);
        }
        wire_stop(&w);
    }
}
END_TEST

START_TEST(WIN_5_window_may_change_at_any_time)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 1000, _i);
    wire_upd(&w, 3, 0, 300000);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 299000);
    wire_upd(&w, 3, 0, 1001);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 1);
    wire_upd(&w, 3, 1000, 1001);
    wire_upd(&w, 3, 1000, 1);
    expect_window(&w, stream, 1);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_5_window_may_close_on_a_stream_that_waits_for_its_turn)
{
    smux_estream *first, *second;
    struct wire w;

    first = start_sender(&w, 0, _i);
    second = wire_open(&w);
    expect_syn(&w, 5);
    wire_write(&w, first, 1000);
    wire_write(&w, second, 1000);
    wire_upd(&w, 3, 0, 0);
    expect_data(&w, 5, 1000);
    expect_quiet(&w); /* and no PSH of length 0 [FRM-3] */
    wire_upd(&w, 3, 0, 1000);
    expect_data(&w, 3, 1000);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_6_window_0_means_wait)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 0, _i);
    wire_upd(&w, 3, 0, 0);
    wire_write(&w, stream, 1000);
    wire_sleep(&w, 600000); /* no timer spins: wire_sleep checks it */
    expect_quiet(&w);
    ck_assert(wire_stream_stats(&w, stream).blocked_on_window);
    wire_upd(&w, 3, 0, 10);
    wire_sleep(&w, 1000);
    expect_data(&w, 3, 10);
    wire_upd(&w, 3, 0, 65536);
    expect_data(&w, 3, 990);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_7_row_clamped)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 5, _i);
    wire_upd(&w, 3, 5, 0xffffffff);
    expect_window(&w, stream, 2147483647);
    expect_glitches(&w, 10);
    wire_upd(&w, 3, 5, 0x7fffffff); /* the largest legal one */
    expect_window(&w, stream, 2147483647);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_8_slivers_are_held_back)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 10000, _i);
    wire_upd(&w, 3, 5000, 5000);
    wire_write(&w, stream, 5000);
    for (uint32_t i = 1; i <= 1023; i += 73) { /* opens in small steps, as M12 */
        wire_upd(&w, 3, 5000, 5000 + i);
        expect_quiet(&w);
    }
    wire_upd(&w, 3, 5000, 5000 + 1024);
    expect_data(&w, 3, 1024);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_8_sliver_goes_after_200_ms)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 10000, _i);
    wire_upd(&w, 3, 5000, 5010);
    wire_write(&w, stream, 5000);
    wire_sleep(&w, 199);
    expect_quiet(&w);
    wire_sleep(&w, 2);
    expect_data(&w, 3, 10);
    wire_sleep(&w, 1000);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_8_small_amounts_and_small_windows_are_not_held_back)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 10000, _i);
    wire_upd(&w, 3, 5000, 5100);
    wire_write(&w, stream, 100); /* all that is pending fits */
    expect_data(&w, 3, 100);
    wire_upd(&w, 3, 10100, 10); /* nothing in flight */
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 10);
    wire_upd(&w, 3, 10105, 10); /* half of the current window */
    expect_data(&w, 3, 5);
    wire_upd(&w, 3, 10106, 10);
    expect_quiet(&w); /* 1 of 10 */
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_8_window_of_one_byte_makes_progress)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 0, _i);
    wire_upd(&w, 3, 0, 1);
    wire_write(&w, stream, 300);
    for (uint32_t i = 1; i <= 300; i++) {
        expect_data(&w, 3, 1);
        expect_quiet(&w);
        wire_upd(&w, 3, i, 1);
    }
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_10_updates_after_our_fin_are_harmless)
{
    smux_estream *stream;
    struct wire w;

    stream = start_sender(&w, 1000, _i);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    wire_upd(&w, 3, 500, 65536);
    wire_upd(&w, 3, 1000, 65536);
    wire_upd(&w, 3, 1000, 0);
    expect_quiet(&w);
    expect_glitches(&w, 0);
    wire_psh(&w, 3, 10);
    expect_read(&w, stream, 10);
    wire_stop(&w);
}
END_TEST

/* --- the receiver -------------------------------------------------------------------------- */

START_TEST(UPD_1_consumed_is_what_the_application_consumed)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 65536, _i);
    wire_psh(&w, 3, 50000);
    wire_sleep(&w, 1000);
    expect_quiet(&w); /* received is not consumed */
    expect_read(&w, stream, 1);
    expect_upd(&w, 3, 1, 65536);
    expect_read(&w, stream, 40000);
    expect_upd(&w, 3, 40001, 65536);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_1_discarded_data_is_credited_only_when_it_came)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 65536, _i);
    wire_header(&w, CMD_PSH, 50000, 3);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    expect_quiet(&w); /* nothing but a header came: Go has not counted the frame as sent */
    for (int i = 0; i < 50; i++) {
        static const uint8_t zeros[1000];

        wire_feed(&w, zeros, sizeof(zeros));
        if (i < 32) {
            struct frame frame;

            if (wire_frame(&w, &frame)) {
                ck_assert_uint_eq(frame.cmd, CMD_UPD);
                ck_assert_uint_le(frame.consumed, 1000 * ((uint32_t)i + 1));
            }
        }
    }
    wire_skip(&w);
    wire_data(&w, 3, 100000, 32768);
    wire_skip(&w); /* the frame during which it was closed counts in full */
    ck_assert_uint_eq(wire_stats(&w).payload_discarded, 150000);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_2_first_consumption_then_each_half_window)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 65536, _i); /* M17 */
    wire_data(&w, 3, 70005, 32768);
    expect_read(&w, stream, 5);
    expect_upd(&w, 3, 5, 65536);
    expect_read(&w, stream, 32767);
    expect_quiet(&w);
    expect_read(&w, stream, 1);
    expect_upd(&w, 3, 32773, 65536);
    expect_read(&w, stream, 32767);
    expect_quiet(&w);
    expect_read(&w, stream, 1);
    expect_upd(&w, 3, 65541, 65536);
    expect_read(&w, stream, 4464);
    wire_sleep(&w, 60000);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_2_large_window_is_updated_each_131072_bytes)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 4 << 20, _i);
    wire_data(&w, 3, 262144, 65535);
    expect_read(&w, stream, 1);
    expect_upd(&w, 3, 1, 4 << 20);
    expect_read(&w, stream, 131071);
    expect_quiet(&w);
    expect_read(&w, stream, 1);
    expect_upd(&w, 3, 131073, 4 << 20);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_2_window_of_one_byte_is_updated_each_byte)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 1, _i);
    wire_psh(&w, 3, 100);
    for (uint32_t i = 1; i <= 100; i++) {
        expect_read(&w, stream, 1);
        expect_upd(&w, 3, i, 1);
    }
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_3_pending_updates_merge)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 65536, _i);
    w.blocked = true;
    for (int i = 0; i < 20; i++) {
        wire_psh(&w, 3, 40000);
        expect_read(&w, stream, 40000);
    }
    w.blocked = false;
    expect_upd(&w, 3, 800000, 65536); /* one, with the values of now */
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_4_reading_does_not_wait_for_the_transport)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 65536, _i);
    w.blocked = true;
    wire_write(&w, stream, 200000); /* the output is stuck */
    ck_assert_uint_eq(wire_take(&w, 10), 10);
    wire_psh(&w, 3, 50000);
    expect_read(&w, stream, 50000);
    w.blocked = false;
    ck_assert_uint_gt(wire_take_data(&w, 3), 0);
    expect_upd(&w, 3, 50000, 65536);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_6_no_update_after_the_fin_of_the_peer)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 65536, _i);
    wire_psh(&w, 3, 60000);
    wire_fin(&w, 3);
    expect_read(&w, stream, 60000);
    wire_sleep(&w, 1000);
    expect_quiet(&w);
    wire_stop(&w);

    stream = start_receiver(&w, 65536, _i);
    w.blocked = true;
    wire_psh(&w, 3, 60000);
    expect_read(&w, stream, 60000); /* due, but not yet sent when the FIN comes */
    wire_fin(&w, 3);
    w.blocked = false;
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_6_no_update_before_the_guard_allows)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    config.accept_guard_ms = 5;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_sleep(&w, 4);
    expect_quiet(&w); /* not even an early one */
    wire_psh(&w, 3, 10);
    expect_read(&w, stream, 10);
    expect_upd(&w, 3, 10, 65536);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_7_first_262144_bytes_stay_acceptable)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 1000, _i);
    wire_data(&w, 3, 10, 10);
    expect_read(&w, stream, 10);
    expect_upd(&w, 3, 10, 1000);
    wire_data(&w, 3, 262144 - 10, 30000); /* was under way, or the update was lost */
    expect_alive(&w);
    expect_read(&w, stream, 262144 - 10);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_9_overrun_aborts_the_stream)
{
    smux_estream *stream, *other;
    struct wire w;

    stream = start_receiver(&w, 65536, _i);
    wire_syn(&w, 5);
    other = wire_accept(&w, 5);
    wire_data(&w, 3, 2 * 262144, 32768); /* the factor 2 is for two concurrent writers */
    expect_alive(&w);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).unread, 2 * 262144);
    expect_glitches(&w, 0);
    wire_psh(&w, 3, 1);
    expect_status(&w, stream, SMUX_EWINDOW);
    expect_fin(&w, 3);
    expect_glitches(&w, 100);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_psh(&w, 3, 1000);
    expect_status(&w, stream, SMUX_EWINDOW);
    wire_psh(&w, 5, 10);
    expect_read(&w, other, 10);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_9_larger_windows_allow_more)
{
    smux_estream *stream;
    struct wire w;

    stream = start_receiver(&w, 1 << 20, _i);
    wire_psh(&w, 3, 10);
    expect_read(&w, stream, 10);
    expect_upd(&w, 3, 10, 1 << 20);
    wire_data(&w, 3, 2 << 20, 65535);
    expect_alive(&w);
    expect_glitches(&w, 0);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).unread, 2 << 20);
    wire_psh(&w, 3, 1);
    expect_status(&w, stream, SMUX_EWINDOW);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_9_v1_has_no_window_to_overrun)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_data(&w, 3, 1000000, 65535);
    expect_read(&w, stream, 1000000);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_10_tail_is_acknowledged_after_our_fin)
{
    struct frame frame;
    smux_estream *stream;
    struct wire w;
    uint32_t updates = 0;

    stream = start_receiver(&w, 65536, _i);
    wire_psh(&w, 3, 10);
    expect_read(&w, stream, 10);
    expect_upd(&w, 3, 10, 65536);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    wire_psh(&w, 3, 100);
    expect_read(&w, stream, 100);
    wire_sleep(&w, 20);
    expect_upd(&w, 3, 110, 65536); /* far below half a window */
    wire_sleep(&w, 1000);
    expect_quiet(&w);
    for (int ms = 0; ms < 100; ms++) { /* at most one each 10 ms */
        wire_psh(&w, 3, 10);
        expect_read(&w, stream, 10);
        wire_sleep(&w, 1);
    }
    while (wire_frame(&w, &frame)) {
        ck_assert_uint_eq(frame.cmd, CMD_UPD);
        updates++;
    }
    ck_assert_uint_ge(updates, 5);
    ck_assert_uint_le(updates, 11);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_10_consuming_nothing_tells_nothing)
{
    struct wire w;
    struct smux_config config = wire_config(2);

    wire_start(&w, SMUX_CLIENT, &config, _i);
    smux_estream *stream = wire_open(&w);
    expect_syn(&w, 3);
    smux_estream_consume(w.engine, stream, 0);
    expect_quiet(&w);
    wire_psh(&w, 3, 100);
    expect_read(&w, stream, 100);
    expect_upd(&w, 3, 100, 65536);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    expect_fin(&w, 3);
    smux_estream_consume(w.engine, stream, 0);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(UPD_10_tail_is_acknowledged_together_with_our_fin)
{
    for (int close = 0; close < 2; close++) {
        smux_estream *stream;
        struct wire w;

        stream = start_receiver(&w, 65536, _i);
        wire_psh(&w, 3, 10);
        expect_read(&w, stream, 10);
        expect_upd(&w, 3, 10, 65536);
        wire_psh(&w, 3, 100);
        expect_read(&w, stream, 100);
        expect_quiet(&w);
        if (close) {
            smux_estream_close(w.engine, stream);
        } else {
            smux_estream_shutdown(w.engine, stream);
        }
        expect_upd(&w, 3, 110, 65536);
        expect_fin(&w, 3);
        wire_sleep(&w, 100);
        expect_quiet(&w);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(UPD_10_no_tail_with_our_fin_if_it_tells_nothing)
{
    smux_estream *stream;
    struct wire w;

    /* Told already. */
    stream = start_receiver(&w, 65536, _i);
    wire_psh(&w, 3, 10);
    expect_read(&w, stream, 10);
    expect_upd(&w, 3, 10, 65536);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    expect_quiet(&w);
    wire_stop(&w);

    /* Not all is read: the update follows when it is. */
    stream = start_receiver(&w, 65536, _i);
    wire_psh(&w, 3, 10);
    expect_read(&w, stream, 10);
    expect_upd(&w, 3, 10, 65536);
    wire_psh(&w, 3, 100);
    expect_read(&w, stream, 60);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    expect_quiet(&w);
    expect_read(&w, stream, 40);
    expect_upd(&w, 3, 110, 65536);
    wire_stop(&w);

    /* The peer has finished [UPD-6]. */
    stream = start_receiver(&w, 65536, _i);
    wire_psh(&w, 3, 10);
    expect_read(&w, stream, 10);
    expect_upd(&w, 3, 10, 65536);
    wire_psh(&w, 3, 100);
    expect_read(&w, stream, 100);
    wire_fin(&w, 3);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *tc = tcase_create("window");

    tcase_set_timeout(tc, 120);
    add_every_split(tc, WIN_1_first_window_is_262144);
    add_every_split(tc, WIN_1_only_payload_counts);
    add_every_split(tc, WIN_1_v1_has_no_window);
    add_every_split(tc, WIN_2_data_counts_when_it_is_formed_into_a_frame);
    add_every_split(tc, WIN_3_row_shrunk_below_what_is_in_flight);
    add_every_split(tc, WIN_4_row_older_is_ignored);
    add_every_split(tc, WIN_4_row_all_acknowledged_with_window_0);
    add_every_split(tc, WIN_4_row_ahead_aborts);
    add_every_split(tc, WIN_4_far_ends_of_older_and_ahead);
    add_every_split(tc, WIN_5_window_may_change_at_any_time);
    add_every_split(tc, WIN_5_window_may_close_on_a_stream_that_waits_for_its_turn);
    add_every_split(tc, WIN_6_window_0_means_wait);
    add_every_split(tc, WIN_7_row_clamped);
    add_every_split(tc, WIN_8_slivers_are_held_back);
    add_every_split(tc, WIN_8_sliver_goes_after_200_ms);
    add_every_split(tc, WIN_8_small_amounts_and_small_windows_are_not_held_back);
    add_every_split(tc, WIN_8_window_of_one_byte_makes_progress);
    add_every_split(tc, WIN_10_updates_after_our_fin_are_harmless);
    add_every_split(tc, UPD_1_consumed_is_what_the_application_consumed);
    add_every_split(tc, UPD_1_discarded_data_is_credited_only_when_it_came);
    add_every_split(tc, UPD_2_first_consumption_then_each_half_window);
    add_every_split(tc, UPD_2_large_window_is_updated_each_131072_bytes);
    add_every_split(tc, UPD_2_window_of_one_byte_is_updated_each_byte);
    add_every_split(tc, UPD_3_pending_updates_merge);
    add_every_split(tc, UPD_4_reading_does_not_wait_for_the_transport);
    add_every_split(tc, UPD_6_no_update_after_the_fin_of_the_peer);
    add_every_split(tc, UPD_6_no_update_before_the_guard_allows);
    add_every_split(tc, UPD_7_first_262144_bytes_stay_acceptable);
    add_every_split(tc, UPD_9_overrun_aborts_the_stream);
    add_every_split(tc, UPD_9_larger_windows_allow_more);
    add_every_split(tc, UPD_9_v1_has_no_window_to_overrun);
    add_every_split(tc, UPD_10_tail_is_acknowledged_after_our_fin);
    add_every_split(tc, UPD_10_consuming_nothing_tells_nothing);
    add_every_split(tc, UPD_10_tail_is_acknowledged_together_with_our_fin);
    add_every_split(tc, UPD_10_no_tail_with_our_fin_if_it_tells_nothing);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
