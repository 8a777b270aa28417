/*
 * test_open_accept.c - OPN-1..8: opening, the accept guard, the backlog and refusals.
 *
 * ctest-timeout: 900
 */
#include "support/suite.h"
#include "support/wire.h"

START_TEST(OPN_1_stream_is_known_before_its_syn_left)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    w.blocked = true;
    stream = wire_open(&w);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    wire_psh(&w, 3, 10); /* an answer that was faster than our own bookkeeping */
    expect_read(&w, stream, 10);
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_2_syn_leaves_first_and_without_delay)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    stream = wire_open(&w);
    expect_syn(&w, 3); /* not held back until the first write */
    wire_write(&w, stream, 10);
    expect_data(&w, 3, 10);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_2_syn_shares_one_send_with_the_first_data)
{
    struct smux_iov iov[64];
    smux_estream *stream;
    size_t total = 0;
    struct wire w;
    int n;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    stream = wire_open(&w);
    wire_write(&w, stream, 10);
    smux_estream_shutdown(w.engine, stream);
    n = smux_engine_send_iov(w.engine, iov, 64, w.now);
    for (int i = 0; i < n; i++) {
        total += iov[i].len;
    }
    ck_assert_uint_eq(total, 8 + 8 + 10 + 8);
    smux_engine_send_commit(w.engine, 0, w.now);
    expect_syn(&w, 3);
    expect_data(&w, 3, 10);
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_3_open_never_waits)
{
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    w.blocked = true;
    for (uint32_t i = 0; i < 3000; i++) {
        wire_open(&w);
    }
    w.blocked = false;
    for (uint32_t i = 0; i < 3000; i++) {
        expect_syn(&w, 3 + 2 * i);
    }
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_3_open_fails_for_local_reasons_only)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    w.heap.fail_at = w.heap.calls + 1;
    w.heap.fail_on = true;
    ck_assert_int_eq(smux_engine_open(w.engine, &stream), SMUX_ENOMEM);
    w.heap.fail_at = 0;
    ck_assert_uint_eq(smux_estream_id(wire_open(&w)), 3);
    expect_syn(&w, 3);
    expect_quiet(&w);
    smux_engine_drain(w.engine);
    ck_assert_int_eq(smux_engine_open(w.engine, &stream), SMUX_EGOAWAY);
    smux_engine_fail(w.engine, SMUX_EIO, "cut");
    ck_assert_int_eq(smux_engine_open(w.engine, &stream), SMUX_EIO);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_4_refusal_is_one_fin_and_nothing_else)
{
    struct smux_config config = wire_config(2);
    struct wire w;

    config.max_remote_streams = 1;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    expect_fin(&w, 5);
    wire_psh(&w, 5, 1000); /* of an unknown id now */
    wire_upd(&w, 5, 0, 1000);
    wire_fin(&w, 5);
    wire_sleep(&w, 60000);
    ck_assert_uint_eq(wire_stats(&w).payload_discarded, 1000);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_4_opener_reads_a_refusal_as_end_of_file)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    stream = wire_open(&w);
    expect_syn(&w, 3);
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_4_refused_stream_takes_no_memory)
{
    struct smux_config config = wire_config(1);
    uint64_t calls;
    struct wire w;

    config.max_remote_streams = 1;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    wire_skip(&w);
    calls = w.heap.calls;
    for (uint32_t id = 7; id < 2007; id += 2) {
        wire_syn(&w, id);
    }
    wire_skip(&w);
    ck_assert_uint_eq(wire_stats(&w).streams_refused, 1001);
    /* The send buffer may come and go; a stream each would be a thousand. */
    ck_assert_uint_le(w.heap.calls - calls, 8);
    wire_stop(&w);
}
END_TEST

/* --- OPN-5: the accept guard --------------------------------------------------------------- */

static smux_estream *start_guarded(struct wire *w, unsigned version, int mode)
{
    struct smux_config config = wire_config(version);
    smux_estream *stream;

    config.accept_guard_ms = 5;
    wire_start(w, SMUX_SERVER, &config, mode);
    wire_syn(w, 3);
    stream = wire_accept(w, 3);
    wire_write(w, stream, 100);
    expect_quiet(w);
    return stream;
}

START_TEST(OPN_5_nothing_is_sent_until_the_guard_has_passed)
{
    struct wire w;

    start_guarded(&w, 1, _i);
    wire_sleep(&w, 4);
    expect_quiet(&w);
    wire_sleep(&w, 1);
    expect_data(&w, 3, 100);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_5_next_frame_of_the_opener_ends_the_guard)
{
    for (int kind = 0; kind < 3; kind++) {
        struct wire w;

        start_guarded(&w, 2, _i);
        wire_nop(&w);
        wire_psh(&w, 5, 10); /* proves nothing about stream 3 */
        expect_quiet(&w);
        switch (kind) {
        case 0:
            wire_psh(&w, 3, 10);
            break;
        case 1:
            wire_upd(&w, 3, 0, 65536);
            break;
        default:
            wire_fin(&w, 3);
            break;
        }
        expect_data(&w, 3, 100);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(OPN_5_fin_waits_too)
{
    smux_estream *stream;
    struct wire w;

    stream = start_guarded(&w, 1, _i);
    smux_estream_close(w.engine, stream);
    expect_quiet(&w);
    wire_sleep(&w, 4);
    expect_quiet(&w);
    wire_sleep(&w, 2);
    expect_data(&w, 3, 100);
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_5_abort_waits_too)
{
    smux_estream *stream;
    struct wire w;

    stream = start_guarded(&w, 1, _i);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED);
    smux_estream_close(w.engine, stream);
    expect_quiet(&w);
    wire_sleep(&w, 6);
    expect_fin(&w, 3);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_5_refusal_waits_for_the_timer)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.accept_guard_ms = 5;
    config.max_remote_streams = 1;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    wire_psh(&w, 5, 10);
    expect_quiet(&w);
    wire_sleep(&w, 4);
    expect_quiet(&w);
    wire_sleep(&w, 2);
    expect_fin(&w, 5);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_5_guard_is_never_cut_short)
{
    for (int refused = 0; refused < 2; refused++) {
        struct smux_config config = wire_config(1);
        struct wire w;

        config.accept_guard_ms = 5;
        config.max_remote_streams = 1;
        wire_start(&w, SMUX_SERVER, &config, _i);
        w.now += 999; /* at the end of a millisecond */
        wire_syn(&w, 3);
        if (refused) {
            wire_syn(&w, 5);
        } else {
            wire_write(&w, wire_accept(&w, 3), 10);
        }
        w.now += 4990;
        smux_engine_tick(w.engine, w.now);
        expect_quiet(&w);
        wire_sleep(&w, 2);
        if (refused) {
            expect_fin(&w, 5);
        } else {
            expect_data(&w, 3, 10);
        }
        wire_stop(&w);
    }
}
END_TEST

START_TEST(OPN_5_guard_is_only_for_streams_of_the_peer)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.accept_guard_ms = 1000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    stream = wire_open(&w);
    wire_write(&w, stream, 10);
    expect_syn(&w, 2);
    expect_data(&w, 2, 10);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_5_default_guard_is_5_ms)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.accept_guard_ms = 0;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_write(&w, stream, 10);
    wire_sleep(&w, 4);
    expect_quiet(&w);
    wire_sleep(&w, 2);
    expect_data(&w, 3, 10);
    wire_stop(&w);
}
END_TEST

/* --- OPN-6: the backlog -------------------------------------------------------------------- */

START_TEST(OPN_6_full_backlog_refuses_and_reads_on)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.accept_backlog = 2;
    wire_start(&w, SMUX_SERVER, &config, _i);
    for (uint32_t id = 3; id <= 9; id += 2) {
        wire_syn(&w, id);
        wire_psh(&w, id, 10);
    }
    expect_fin(&w, 7);
    expect_fin(&w, 9);
    expect_quiet(&w);
    stream = wire_accept(&w, 3);
    expect_read(&w, stream, 10);
    wire_syn(&w, 11); /* room again */
    wire_accept(&w, 5);
    wire_accept(&w, 11);
    expect_quiet(&w);
    ck_assert_uint_eq(wire_stats(&w).streams_refused, 2);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_6_default_backlog_is_1024)
{
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    for (uint32_t i = 0; i < 1100; i++) {
        wire_syn(&w, 3 + 2 * i);
    }
    ck_assert_uint_eq(wire_stats(&w).backlog_now, 1024);
    for (uint32_t i = 1024; i < 1100; i++) {
        expect_fin(&w, 3 + 2 * i);
    }
    expect_quiet(&w);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_6_too_many_streams_are_refused)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.max_remote_streams = 3;
    wire_start(&w, SMUX_SERVER, &config, _i);
    for (uint32_t id = 3; id <= 11; id += 2) {
        wire_syn(&w, id);
    }
    expect_fin(&w, 9);
    expect_fin(&w, 11);
    stream = wire_accept(&w, 3);
    wire_accept(&w, 5);
    wire_accept(&w, 7);
    wire_fin(&w, 3); /* local work goes on: it still counts (L1) */
    wire_syn(&w, 13);
    expect_fin(&w, 13);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    wire_syn(&w, 15);
    wire_accept(&w, 15);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_6_our_own_streams_do_not_count)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.max_remote_streams = 1;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_open(&w);
    wire_open(&w);
    wire_skip(&w);
    wire_syn(&w, 3);
    wire_accept(&w, 3);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_6_stream_not_accepted_in_time_is_refused)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_syn(&w, 3);
    wire_psh(&w, 3, 1000);
    wire_sleep(&w, 10000);
    wire_syn(&w, 5);
    wire_sleep(&w, 19000);
    expect_quiet(&w);
    wire_sleep(&w, 2000);
    expect_fin(&w, 3);
    expect_quiet(&w);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    ck_assert_uint_eq(wire_stats(&w).streams_refused, 1);
    wire_psh(&w, 3, 1000);
    wire_accept(&w, 5); /* an accepted stream has no such limit */
    ck_assert_int_eq(smux_engine_accept(w.engine, &stream), SMUX_EAGAIN);
    wire_sleep(&w, 100000);
    expect_quiet(&w);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_6_stream_can_be_accepted_with_all_that_came_before)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_syn(&w, 3);
    wire_psh(&w, 3, 1000);
    wire_fin(&w, 3);
    stream = wire_accept(&w, 3);
    expect_read(&w, stream, 1000);
    expect_status(&w, stream, SMUX_EOF);
    wire_write(&w, stream, 10);
    expect_data(&w, 3, 10);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_7_both_sides_open_at_any_time)
{
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    for (uint32_t i = 0; i < 50; i++) {
        smux_estream *ours = wire_open(&w);
        smux_estream *theirs;

        expect_syn(&w, 2 + 2 * i);
        wire_syn(&w, 3 + 2 * i);
        theirs = wire_accept(&w, 3 + 2 * i);
        wire_psh(&w, 2 + 2 * i, 10);
        wire_psh(&w, 3 + 2 * i, 20);
        expect_read(&w, ours, 10);
        expect_read(&w, theirs, 20);
    }
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 100);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_8_unanswered_opens_hold_back_further_ones)
{
    struct smux_config config = wire_config(1);
    smux_estream *third;
    struct wire w;

    config.max_unanswered_opens = 2;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    wire_open(&w);
    wire_open(&w);
    third = wire_open(&w);
    wire_open(&w);
    wire_write(&w, third, 10);
    expect_syn(&w, 3);
    expect_syn(&w, 5);
    expect_quiet(&w);
    wire_psh(&w, 5, 1); /* answers one */
    expect_syn(&w, 7);
    expect_data(&w, 7, 10);
    expect_quiet(&w);
    wire_fin(&w, 3); /* a refusal is an answer */
    expect_syn(&w, 9);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_8_what_comes_before_the_syn_is_no_answer)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.max_unanswered_opens = 1;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    wire_open(&w);
    wire_psh(&w, 3, 1); /* the peer guesses the id */
    wire_open(&w);
    expect_syn(&w, 3);
    expect_quiet(&w);
    wire_psh(&w, 3, 1);
    expect_syn(&w, 5);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_8_held_open_may_be_closed)
{
    struct smux_config config = wire_config(1);
    smux_estream *second, *third;
    struct wire w;

    config.max_unanswered_opens = 1;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    wire_open(&w);
    second = wire_open(&w);
    third = wire_open(&w);
    expect_syn(&w, 3);
    wire_write(&w, second, 10);
    smux_estream_close(w.engine, second);
    smux_estream_abort(w.engine, third, SMUX_EABORTED);
    smux_estream_close(w.engine, third);
    expect_quiet(&w);
    wire_psh(&w, 3, 1);
    expect_syn(&w, 5);
    expect_data(&w, 5, 10);
    expect_fin(&w, 5);
    /* Of the aborted one nothing was ever seen: it may vanish, or be opened and closed. */
    wire_fin(&w, 5);
    wire_skip(&w);
    wire_fin(&w, 7);
    wire_sleep(&w, 1000);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("open and accept");
    TCase *tc = tcase_create("open and accept");

    tcase_set_timeout(tc, 120);

    add_every_split(tc, OPN_1_stream_is_known_before_its_syn_left);
    add_every_split(tc, OPN_2_syn_leaves_first_and_without_delay);
    add_every_split(tc, OPN_2_syn_shares_one_send_with_the_first_data);
    add_every_split(tc, OPN_3_open_never_waits);
    add_every_split(tc, OPN_3_open_fails_for_local_reasons_only);
    add_every_split(tc, OPN_4_refusal_is_one_fin_and_nothing_else);
    add_every_split(tc, OPN_4_opener_reads_a_refusal_as_end_of_file);
    add_every_split(tc, OPN_4_refused_stream_takes_no_memory);
    add_every_split(tc, OPN_5_nothing_is_sent_until_the_guard_has_passed);
    add_every_split(tc, OPN_5_next_frame_of_the_opener_ends_the_guard);
    add_every_split(tc, OPN_5_fin_waits_too);
    add_every_split(tc, OPN_5_abort_waits_too);
    add_every_split(tc, OPN_5_refusal_waits_for_the_timer);
    add_every_split(tc, OPN_5_guard_is_never_cut_short);
    add_every_split(tc, OPN_5_guard_is_only_for_streams_of_the_peer);
    add_every_split(tc, OPN_5_default_guard_is_5_ms);
    add_every_split(tc, OPN_6_full_backlog_refuses_and_reads_on);
    add_every_split(tc, OPN_6_default_backlog_is_1024);
    add_every_split(tc, OPN_6_too_many_streams_are_refused);
    add_every_split(tc, OPN_6_our_own_streams_do_not_count);
    add_every_split(tc, OPN_6_stream_not_accepted_in_time_is_refused);
    add_every_split(tc, OPN_6_stream_can_be_accepted_with_all_that_came_before);
    add_every_split(tc, OPN_7_both_sides_open_at_any_time);
    add_every_split(tc, OPN_8_unanswered_opens_hold_back_further_ones);
    add_every_split(tc, OPN_8_what_comes_before_the_syn_is_no_answer);
    add_every_split(tc, OPN_8_held_open_may_be_closed);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
