/*
 * test_fin.c - FIN-1..12: half-close, close, abort, linger, discard records. [FIN-13] is a
 * choice of the tunnel, not of the engine.
 *
 * ctest-timeout: 900
 */
#include "support/suite.h"
#include "support/wire.h"

static smux_estream *start_server_with(struct wire *w, const struct smux_config *config, int mode)
{
    wire_start(w, SMUX_SERVER, config, mode);
    wire_syn(w, 3);
    return wire_accept(w, 3);
}

static smux_estream *start_server(struct wire *w, unsigned version, int mode)
{
    struct smux_config config = wire_config(version);

    return start_server_with(w, &config, mode);
}

START_TEST(FIN_1_one_fin_behind_all_data)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_write(&w, stream, 100000);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    expect_data(&w, 3, 100000);
    expect_fin(&w, 3);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    wire_fin(&w, 3);
    smux_estream_close(w.engine, stream); /* Go sends a second one here: M7 */
    expect_quiet(&w);
    ck_assert_uint_eq(wire_stats(&w).frames_out.fin, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_2_end_of_file_after_fin_and_all_data)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    expect_status(&w, stream, SMUX_EAGAIN);
    wire_psh(&w, 3, 3000);
    expect_read(&w, stream, 3000);
    expect_status(&w, stream, SMUX_EAGAIN);
    wire_psh(&w, 3, 10);
    wire_fin(&w, 3);
    expect_read(&w, stream, 10);
    for (int i = 0; i < 3; i++) {
        expect_status(&w, stream, SMUX_EOF);
    }
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_3_any_other_end_is_an_error)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_psh(&w, 3, 10);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED);
    expect_status(&w, stream, SMUX_EABORTED);
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EABORTED);
    wire_stop(&w);

    stream = start_server(&w, 1, _i);
    smux_engine_recv_eof(w.engine, w.now);
    expect_status(&w, stream, SMUX_ETRUNCATED);
    wire_stop(&w);

    stream = start_server(&w, 1, _i);
    smux_engine_fail(w.engine, SMUX_EIO, "reset");
    expect_status(&w, stream, SMUX_EIO);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_4_stream_stays_until_both_ends_are_done_and_all_is_read)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    wire_psh(&w, 3, 1000);
    wire_fin(&w, 3);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1); /* unread data */
    expect_read(&w, stream, 999);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    expect_read(&w, stream, 1);
    expect_status(&w, stream, SMUX_EOF);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    expect_status(&w, stream, SMUX_EOF); /* the handle outlives the table entry */
    smux_estream_close(w.engine, stream);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_4_closed_stream_leaves_with_our_fin)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_write(&w, stream, 1000);
    smux_estream_close(w.engine, stream);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    expect_data(&w, 3, 1000);
    expect_fin(&w, 3);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_5_half_close_leaves_reading_and_credit)
{
    smux_estream *stream;
    struct wire w;
    size_t len;

    stream = start_server(&w, 2, _i);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_EPIPE);
    ck_assert_int_eq(smux_estream_lend(w.engine, stream, "x", 1), SMUX_EPIPE);
    wire_psh(&w, 3, 50000);
    expect_read(&w, stream, 10);
    expect_upd(&w, 3, 10, 65536); /* also after our own FIN [ORD-1] */
    expect_read(&w, stream, 40000);
    expect_upd(&w, 3, 40010, 65536);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_6_fin_of_the_peer_does_not_stop_our_writing)
{
    for (unsigned version = 1; version <= 2; version++) {
        smux_estream *stream;
        struct wire w;

        stream = start_server(&w, version, _i);
        wire_fin(&w, 3);
        expect_status(&w, stream, SMUX_EOF);
        for (uint32_t i = 1; i <= 10; i++) {
            wire_write(&w, stream, 100000);
            expect_data(&w, 3, 100000);
            if (version == 2) {
                wire_upd(&w, 3, i * 100000, 200000);
            }
        }
        expect_alive(&w);
        wire_stop(&w);
    }
}
END_TEST

/* --- FIN-7: linger ------------------------------------------------------------------------- */

static struct smux_config linger_config(unsigned version, uint32_t ms)
{
    struct smux_config config = wire_config(version);

    config.fin_linger_ms = ms;
    return config;
}

START_TEST(FIN_7_fin_lingers_after_the_fin_of_the_peer)
{
    for (int close = 0; close < 2; close++) {
        struct smux_config config = linger_config(1, 0); /* 0 is the default: 250 ms */
        smux_estream *stream;
        struct wire w;

        stream = start_server_with(&w, &config, _i);
        wire_fin(&w, 3);
        wire_write(&w, stream, 100);
        if (close) {
            smux_estream_close(w.engine, stream);
        } else {
            smux_estream_shutdown(w.engine, stream);
        }
        expect_data(&w, 3, 100); /* data is not delayed */
        wire_sleep(&w, 249);
        expect_quiet(&w);
        wire_sleep(&w, 2);
        expect_fin(&w, 3);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(FIN_7_linger_counts_from_the_last_payload)
{
    struct smux_config config = linger_config(1, 1000);
    smux_estream *stream;
    struct wire w;

    stream = start_server_with(&w, &config, _i);
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 100);
    wire_fin(&w, 3);
    wire_sleep(&w, 700);
    smux_estream_shutdown(w.engine, stream);
    wire_sleep(&w, 290);
    expect_quiet(&w);
    wire_sleep(&w, 11);
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_7_no_linger_without_data_or_before_the_fin_of_the_peer)
{
    struct smux_config config = linger_config(1, 1000);
    smux_estream *stream;
    struct wire w;

    stream = start_server_with(&w, &config, _i);
    wire_write(&w, stream, 100);
    smux_estream_shutdown(w.engine, stream); /* ours is the first */
    expect_data(&w, 3, 100);
    expect_fin(&w, 3);
    wire_stop(&w);

    stream = start_server_with(&w, &config, _i);
    wire_fin(&w, 3);
    smux_estream_shutdown(w.engine, stream); /* nothing of ours is unread */
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_7_v2_linger_ends_when_all_is_acknowledged)
{
    struct smux_config config = linger_config(2, 1000);
    smux_estream *stream;
    struct wire w;

    stream = start_server_with(&w, &config, _i);
    wire_fin(&w, 3);
    wire_write(&w, stream, 1000);
    smux_estream_shutdown(w.engine, stream);
    expect_data(&w, 3, 1000);
    wire_upd(&w, 3, 900, 65536);
    expect_quiet(&w);
    wire_upd(&w, 3, 1000, 65536);
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

/* The rest of a loan that waited for credit is taken back: the FIN that waited behind it goes. */
START_TEST(FIN_7_linger_begins_when_what_waited_is_taken_back)
{
    struct smux_config config = wire_config(2);
    static uint8_t data[300000];
    smux_estream *stream;
    struct wire w;
    size_t kept;

    config.fin_linger_ms = 250;
    stream = start_server_with(&w, &config, FEED_WHOLE);
    wire_fin(&w, 3);
    ck_assert_int_eq(smux_estream_lend(w.engine, stream, data, sizeof(data)), SMUX_OK);
    wire_pump(&w);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    wire_sleep(&w, 100);
    ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
    ck_assert_uint_eq(kept, 262144);
    wire_sleep(&w, 150);
    wire_pump(&w);
    ck_assert_uint_eq(wire_stats(&w).frames_out.fin, 1);
    wire_stop(&w);
}
END_TEST

/* The stream has a turn to send when it has nothing to send any more, and must wait instead. */
START_TEST(FIN_7_linger_begins_when_a_loan_is_taken_back_half_way)
{
    struct smux_config config = linger_config((unsigned)_i, 250);
    static uint8_t data[200000];
    smux_estream *stream;
    struct smux_iov iov[8];
    struct wire w;
    size_t kept;

    stream = start_server_with(&w, &config, FEED_WHOLE);
    wire_fin(&w, 3);
    ck_assert_int_eq(smux_estream_lend(w.engine, stream, data, sizeof(data)), SMUX_OK);
    ck_assert_int_gt(smux_engine_send_iov(w.engine, iov, 8, w.now), 0);
    smux_engine_send_commit(w.engine, 10000, w.now); /* the transport is full */
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
    ck_assert_uint_gt(kept, 10000);
    ck_assert_uint_lt(kept, sizeof(data));
    wire_pump(&w);
    ck_assert_uint_eq(wire_stats(&w).frames_out.fin, 0);
    for (int i = 0; i < 10; i++) { /* what the transport takes late restarts the wait */
        wire_sleep(&w, 60);
        wire_pump(&w);
    }
    ck_assert_uint_eq(wire_stats(&w).frames_out.fin, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_7_abort_and_drain_do_not_linger)
{
    struct smux_config config = linger_config(1, 5000);
    smux_estream *stream;
    struct wire w;

    stream = start_server_with(&w, &config, _i);
    wire_fin(&w, 3);
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 100);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED);
    expect_fin(&w, 3);
    wire_stop(&w);

    stream = start_server_with(&w, &config, _i);
    wire_fin(&w, 3);
    wire_write(&w, stream, 100);
    smux_estream_shutdown(w.engine, stream);
    expect_data(&w, 3, 100);
    expect_quiet(&w);
    smux_engine_drain(w.engine);
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

/* --- FIN-9 --------------------------------------------------------------------------------- */

START_TEST(FIN_7_fin_leaves_if_memory_for_its_timer_is_missing)
{
    struct smux_config config = linger_config(1, 5000);
    smux_estream *stream;
    struct wire w;

    stream = start_server_with(&w, &config, _i);
    wire_fin(&w, 3);
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 100);
    wire_sleep(&w, 4000); /* memory that is kept for reuse is given back */
    w.heap.fail_at = w.heap.calls + 1;
    w.heap.fail_on = true;
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    ck_assert_uint_gt(w.heap.failures, 0);
    ck_assert(smux_engine_wants_write(w.engine));
    w.heap.fail_at = 0;
    wire_sleep(&w, 1000); /* it lingers if there is memory when it is formed */
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_9_writer_without_credit_gives_up_after_the_fin_of_the_peer)
{
    smux_estream *stream;
    struct wire w;
    size_t len;

    stream = start_server(&w, 2, _i);
    wire_write(&w, stream, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    wire_write(&w, stream, 1000);
    wire_fin(&w, 3);
    wire_sleep(&w, 299000);
    expect_quiet(&w);
    wire_upd(&w, 3, 1000, 262144); /* any update restarts the wait */
    wire_skip(&w);
    wire_write(&w, stream, 1000);
    wire_sleep(&w, 299000);
    expect_quiet(&w);
    expect_alive(&w);
    wire_sleep(&w, 2000);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_EPIPE);
    expect_fin(&w, 3);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_9_without_the_fin_of_the_peer_there_is_no_limit)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_write(&w, stream, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    wire_write(&w, stream, 1000);
    wire_sleep(&w, 3600000); /* [TRAP-11] */
    expect_quiet(&w);
    ck_assert(wire_stream_stats(&w, stream).blocked_on_window);
    wire_upd(&w, 3, 262144, 65536);
    expect_data(&w, 3, 1000);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_9_closed_stream_without_credit_goes_away)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_write(&w, stream, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    wire_write(&w, stream, 1000);
    smux_estream_close(w.engine, stream);
    wire_fin(&w, 3);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    wire_sleep(&w, 301000);
    expect_fin(&w, 3);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    wire_stop(&w);
}
END_TEST

/* --- FIN-10..12 ---------------------------------------------------------------------------- */

START_TEST(FIN_10_close_sends_what_was_written_and_drops_what_comes)
{
    for (unsigned version = 1; version <= 2; version++) {
        smux_estream *stream;
        struct wire w;

        stream = start_server(&w, version, _i);
        w.blocked = true;
        wire_write(&w, stream, 100000);
        wire_psh(&w, 3, 5000);
        smux_estream_close(w.engine, stream);
        wire_psh(&w, 3, 5000);
        ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
        w.blocked = false;
        if (version == 2) {
            struct frame frame;

            ck_assert(wire_frame(&w, &frame));
            ck_assert_uint_eq(frame.cmd, CMD_UPD);
        }
        expect_data(&w, 3, 100000);
        expect_fin(&w, 3);
        expect_quiet(&w);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(FIN_11_discarded_data_is_credited_up_to_1_MiB)
{
    uint32_t credited = 0;
    smux_estream *stream;
    struct frame frame;
    struct wire w;

    stream = start_server(&w, 2, _i);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    for (int i = 0; i < 100; i++) {
        wire_data(&w, 3, 32768, 32768);
        while (wire_frame(&w, &frame)) {
            ck_assert_uint_eq(frame.cmd, CMD_UPD);
            ck_assert_uint_eq(frame.id, 3);
            credited = frame.consumed;
        }
    }
    ck_assert_uint_ge(credited, 1 << 19);
    ck_assert_uint_le(credited, (1 << 20) + 262144);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    expect_glitches(&w, 0);
    expect_alive(&w);
    wire_fin(&w, 3);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* Its FIN has to wait behind data, so it is no mere record yet. */
START_TEST(FIN_11_stream_that_is_still_to_send_discards_without_end)
{
    smux_estream *stream;
    struct frame frame;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_upd(&w, 3, 0, 1000);
    wire_write(&w, stream, 5000);
    smux_estream_close(w.engine, stream);
    expect_data(&w, 3, 1000);
    for (int i = 0; i < 100; i++) {
        wire_data(&w, 3, 32768, 32768);
        while (wire_frame(&w, &frame)) {
            ck_assert_uint_eq(frame.cmd, CMD_UPD);
        }
    }
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    wire_upd(&w, 3, 1000, 10000);
    expect_data(&w, 3, 4000);
    expect_fin(&w, 3);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_11_discard_record_ends_after_5_minutes)
{
    smux_estream *stream;
    struct frame frame;
    struct wire w;

    stream = start_server(&w, 2, _i);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    wire_sleep(&w, 290000);
    wire_data(&w, 3, 200000, 32768);
    ck_assert(wire_frame(&w, &frame));
    ck_assert_uint_eq(frame.cmd, CMD_UPD);
    wire_skip(&w);
    wire_sleep(&w, 11000);
    wire_data(&w, 3, 200000, 32768);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_11_number_of_records_is_limited)
{
    struct smux_config config = wire_config(2);
    size_t before;
    struct wire w;

    config.max_discards = 10;
    wire_start(&w, SMUX_SERVER, &config, _i);
    for (uint32_t id = 3; id < 203; id += 2) {
        wire_syn(&w, id);
        smux_estream_close(w.engine, wire_accept(&w, id));
        expect_fin(&w, id);
    }
    before = w.heap.now;
    for (uint32_t id = 203; id < 2203; id += 2) {
        wire_syn(&w, id);
        smux_estream_close(w.engine, wire_accept(&w, id));
        expect_fin(&w, id);
    }
    ck_assert_uint_le(w.heap.now, before + 1024);
    wire_data(&w, 3, 300000, 32768); /* the oldest is forgotten: dropped as of an unknown id */
    expect_quiet(&w);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_11_records_can_be_switched_off)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    config.max_discards = SMUX_OFF;
    stream = start_server_with(&w, &config, _i);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    wire_data(&w, 3, 300000, 32768);
    expect_quiet(&w);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_11_abort_gives_no_credit)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_psh(&w, 3, 100);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    wire_data(&w, 3, 262044, 32768);
    expect_quiet(&w);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_12_abort_drops_queued_data_and_sends_fin)
{
    smux_estream *stream;
    struct wire w;
    size_t len;

    stream = start_server(&w, 1, _i);
    w.blocked = true;
    wire_write(&w, stream, 100000);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_EABORTED);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_EABORTED);
    expect_status(&w, stream, SMUX_EABORTED);
    ck_assert_uint_eq(wire_stats(&w).send_buffer, 0);
    w.blocked = false;
    expect_fin(&w, 3);
    expect_quiet(&w);
    wire_psh(&w, 3, 1000);
    expect_status(&w, stream, SMUX_EABORTED);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    smux_estream_close(w.engine, stream);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_12_status_of_the_abort_is_reported)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    smux_estream_abort(w.engine, stream, SMUX_ESTALLED);
    expect_status(&w, stream, SMUX_ESTALLED);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED); /* the first one wins */
    expect_status(&w, stream, SMUX_ESTALLED);
    expect_fin(&w, 3);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_12_abort_after_our_fin_sends_nothing_more)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    wire_psh(&w, 3, 100);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED);
    expect_quiet(&w);
    smux_estream_close(w.engine, stream);
    expect_quiet(&w);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    wire_stop(&w);
}
END_TEST

/* Nothing is sent or taken any more, also while the FIN has still to leave. */
START_TEST(FIN_12_aborted_stream_has_no_window)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_write(&w, stream, 1000);
    expect_data(&w, 3, 1000);
    w.blocked = true;
    smux_estream_abort(w.engine, stream, SMUX_EABORTED);
    wire_upd(&w, 3, 1000, 2000);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 0);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).recv_window, 0);
    w.blocked = false;
    expect_fin(&w, 3);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).send_window, 0);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).recv_window, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_finished_event_when_both_ends_are_done)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    ck_assert((smux_estream_events(w.engine, stream) & SMUX_EVENT_FINISHED) == 0);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    ck_assert((smux_estream_events(w.engine, stream) & SMUX_EVENT_FINISHED) != 0);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fin");
    TCase *tc = tcase_create("fin");

    tcase_set_timeout(tc, 120);
    add_every_split(tc, FIN_1_one_fin_behind_all_data);
    add_every_split(tc, FIN_2_end_of_file_after_fin_and_all_data);
    add_every_split(tc, FIN_3_any_other_end_is_an_error);
    add_every_split(tc, FIN_4_stream_stays_until_both_ends_are_done_and_all_is_read);
    add_every_split(tc, FIN_4_closed_stream_leaves_with_our_fin);
    add_every_split(tc, FIN_5_half_close_leaves_reading_and_credit);
    add_every_split(tc, FIN_6_fin_of_the_peer_does_not_stop_our_writing);
    add_every_split(tc, FIN_7_fin_lingers_after_the_fin_of_the_peer);
    add_every_split(tc, FIN_7_linger_counts_from_the_last_payload);
    add_every_split(tc, FIN_7_no_linger_without_data_or_before_the_fin_of_the_peer);
    add_every_split(tc, FIN_7_v2_linger_ends_when_all_is_acknowledged);
    tcase_add_test(tc, FIN_7_linger_begins_when_what_waited_is_taken_back);
    tcase_add_loop_test(tc, FIN_7_linger_begins_when_a_loan_is_taken_back_half_way, 1, 3);
    add_every_split(tc, FIN_7_abort_and_drain_do_not_linger);
    add_every_split(tc, FIN_7_fin_leaves_if_memory_for_its_timer_is_missing);
    add_every_split(tc, FIN_9_writer_without_credit_gives_up_after_the_fin_of_the_peer);
    add_every_split(tc, FIN_9_without_the_fin_of_the_peer_there_is_no_limit);
    add_every_split(tc, FIN_9_closed_stream_without_credit_goes_away);
    add_every_split(tc, FIN_10_close_sends_what_was_written_and_drops_what_comes);
    add_every_split(tc, FIN_11_discarded_data_is_credited_up_to_1_MiB);
    add_every_split(tc, FIN_11_stream_that_is_still_to_send_discards_without_end);
    add_every_split(tc, FIN_11_discard_record_ends_after_5_minutes);
    add_every_split(tc, FIN_11_number_of_records_is_limited);
    add_every_split(tc, FIN_11_records_can_be_switched_off);
    add_every_split(tc, FIN_11_abort_gives_no_credit);
    add_every_split(tc, FIN_12_abort_drops_queued_data_and_sends_fin);
    add_every_split(tc, FIN_12_status_of_the_abort_is_reported);
    add_every_split(tc, FIN_12_abort_after_our_fin_sends_nothing_more);
    add_every_split(tc, FIN_12_aborted_stream_has_no_window);
    add_every_split(tc, FIN_finished_event_when_both_ends_are_done);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
