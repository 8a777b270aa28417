/*
 * test_flood.c - the prices of useless frames, and the limit on their sum (L6, L7).
 *
 * ctest-timeout: 900
 */
#include "support/suite.h"
#include "support/wire.h"

static smux_estream *start_server(struct wire *w, const struct smux_config *config, int mode)
{
    wire_start(w, SMUX_SERVER, config, mode);
    wire_syn(w, 3);
    return wire_accept(w, 3);
}

START_TEST(L6_ten_nops_a_second_are_free)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    start_server(&w, &config, _i);
    for (int second = 0; second < 20; second++) {
        for (int i = 0; i < 10; i++) {
            wire_nop(&w);
        }
        wire_sleep(&w, 1000);
    }
    expect_glitches(&w, 0);
    for (int i = 0; i < 110; i++) {
        wire_nop(&w);
    }
    expect_glitches(&w, 100);
    wire_stop(&w);
}
END_TEST

START_TEST(L6_prices)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, &config, _i);
    wire_psh(&w, 3, 0);
    wire_psh(&w, 99, 0);
    expect_glitches(&w, 2);
    wire_syn(&w, 3);
    expect_glitches(&w, 3);
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 100);
    wire_upd(&w, 3, 50, 1000);
    expect_glitches(&w, 3);
    wire_upd(&w, 3, 50, 1000); /* changes neither field */
    expect_glitches(&w, 4);
    wire_upd(&w, 3, 49, 1000); /* older: free */
    wire_upd(&w, 3, 51, 1000);
    wire_upd(&w, 3, 51, 1001);
    expect_glitches(&w, 4);
    wire_upd(&w, 3, 52, 0x80000000);
    expect_glitches(&w, 14);
    wire_upd(&w, 3, 101, 1000);
    expect_glitches(&w, 114);
    wire_stop(&w);
}
END_TEST

START_TEST(L6_more_than_the_burst_is_fatal)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    start_server(&w, &config, _i);
    for (int i = 0; i < 10000; i++) {
        wire_psh(&w, 3, 0);
    }
    expect_alive(&w);
    expect_glitches(&w, 10000);
    wire_psh(&w, 3, 0);
    expect_dead(&w, SMUX_EFLOOD);
    wire_stop(&w);
}
END_TEST

/* Nothing that stands behind the frame that was too much counts, though it came with it. */
START_TEST(L6_frames_behind_the_last_glitch_are_not_taken)
{
    struct smux_config config = wire_config(2);
    uint8_t frames[3 * (FRAME_HEADER + 10)];
    smux_estream *calm;
    struct wire w;
    size_t len = 0;
    char buf[20];

    config.glitch_burst = 99;
    start_server(&w, &config, _i);
    wire_syn(&w, 5);
    calm = wire_accept(&w, 5);
    wire_data(&w, 3, (size_t)2 * 262144, 32768); /* a byte more costs 100 [UPD-9] */
    uint64_t before = wire_stats(&w).frames_in.psh;
    len += put_psh(frames + len, 2, 5, "in front  ", 10);
    len += put_psh(frames + len, 2, 3, "too much  ", 10);
    len += put_psh(frames + len, 2, 5, "behind    ", 10);
    wire_feed(&w, frames, len);
    expect_dead(&w, SMUX_EFLOOD);
    ck_assert_uint_eq(wire_stats(&w).frames_in.psh - before, 2);
    ck_assert_int_eq(smux_estream_read(w.engine, calm, buf, sizeof buf, &len), SMUX_OK);
    ck_assert_uint_eq(len, 10);
    ck_assert_int_eq(memcmp(buf, "in front  ", 10), 0);
    expect_status(&w, calm, SMUX_EFLOOD);
    wire_stop(&w);
}
END_TEST

START_TEST(L6_refill_is_330_a_second)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    start_server(&w, &config, _i);
    for (int second = 0; second < 200; second++) { /* 60000 in all, never too fast */
        for (int i = 0; i < 300; i++) {
            wire_psh(&w, 3, 0);
        }
        wire_sleep(&w, 1000);
    }
    expect_alive(&w);
    for (int second = 0; second < 200 && smux_engine_error(w.engine) == SMUX_OK; second++) {
        for (int i = 0; i < 500; i++) {
            wire_psh(&w, 3, 0);
        }
        wire_sleep(&w, 1000);
    }
    expect_dead(&w, SMUX_EFLOOD);
    wire_stop(&w);
}
END_TEST

START_TEST(L6_refill_does_not_depend_on_how_often_it_is_looked_at)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.glitch_burst = 100;
    config.glitch_rate = 330;
    start_server(&w, &config, _i);
    for (int i = 0; i < 5000; i++) { /* 250 a second in steps of 4 ms */
        wire_psh(&w, 3, 0);
        wire_sleep(&w, 4);
    }
    expect_alive(&w);
    for (int i = 0; i < 5000; i++) { /* 254 a second: one, two, one, two each 5.9 ms */
        for (int n = 0; n < 1 + i % 2; n++) {
            wire_psh(&w, 3, 0);
        }
        w.now += 5900;
        smux_engine_tick(w.engine, w.now);
    }
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(L6_limits_can_be_set_and_switched_off)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.glitch_burst = 5;
    config.glitch_rate = 1;
    start_server(&w, &config, _i);
    for (int i = 0; i < 5; i++) {
        wire_syn(&w, 3);
    }
    expect_alive(&w);
    wire_syn(&w, 3);
    expect_dead(&w, SMUX_EFLOOD);
    wire_stop(&w);

    config.glitch_burst = SMUX_OFF;
    start_server(&w, &config, _i);
    for (int i = 0; i < 50000; i++) {
        wire_syn(&w, 3);
    }
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(L7_refusals_beyond_the_ring_are_dropped_and_priced)
{
    struct smux_config config = wire_config(1);
    struct frame frame;
    uint32_t fins = 0;
    struct wire w;

    config.max_remote_streams = 1;
    config.max_refusals = 100;
    start_server(&w, &config, _i);
    w.blocked = true;
    for (uint32_t i = 0; i < 130; i++) {
        wire_syn(&w, 5 + 2 * i);
    }
    expect_glitches(&w, 30 * 10);
    w.blocked = false;
    while (wire_frame(&w, &frame)) {
        ck_assert_uint_eq(frame.cmd, CMD_FIN);
        ck_assert_uint_eq(frame.id, 5 + 2 * fins);
        fins++;
    }
    ck_assert_uint_eq(fins, 100);
    wire_syn(&w, 1001);
    expect_fin(&w, 1001);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(R5_output_that_the_peer_causes_is_bounded)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;
    size_t total = 0;

    /* The output is stuck while the peer does all it can to make us answer (I9). */
    config.glitch_burst = SMUX_OFF;
    config.accept_backlog = 10;
    stream = start_server(&w, &config, _i);
    w.blocked = true;
    for (uint32_t i = 0; i < 20000; i++) {
        wire_syn(&w, 5 + 2 * i);
        wire_nop(&w);
        wire_psh(&w, 3, 100);
        expect_read(&w, stream, 100);
    }
    total = wire_take(&w, SIZE_MAX);
    ck_assert_msg(total <= 16 * 11 + 8 * 1024, "%zu bytes of output", total);
    bytes_drop(&w.out, bytes_len(&w.out));
    ck_assert_uint_le(w.heap.peak, 400000);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(L14_session_before_its_first_frame_is_small)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    ck_assert_uint_le(w.heap.now, 8192);
    wire_stop(&w);
}
END_TEST

START_TEST(G1_idle_stream_is_small)
{
    struct smux_config config = wire_config(1);
    size_t before;
    struct wire w;

    config.accept_backlog = 20000;
    config.accept_guard_ms = 5;
    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    before = w.heap.now;
    for (uint32_t i = 0; i < 16384; i++) {
        smux_estream *stream;

        wire_syn(&w, 3 + 2 * i);
        ck_assert_int_eq(smux_engine_accept(w.engine, &stream), SMUX_OK);
    }
    ck_assert_uint_le((w.heap.now - before) / 16384, 256); /* L4: with the timer of the guard */
    for (int i = 0; i < 20; i++) {
        wire_sleep(&w, 1000);
    }
    ck_assert_uint_le((w.heap.now - before) / 16384, 128);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flood");
    TCase *tc = tcase_create("flood");

    tcase_set_timeout(tc, 120);
    add_every_split(tc, L6_ten_nops_a_second_are_free);
    add_every_split(tc, L6_prices);
    add_every_split(tc, L6_more_than_the_burst_is_fatal);
    add_every_split(tc, L6_frames_behind_the_last_glitch_are_not_taken);
    add_every_split(tc, L6_refill_is_330_a_second);
    add_every_split(tc, L6_refill_does_not_depend_on_how_often_it_is_looked_at);
    add_every_split(tc, L6_limits_can_be_set_and_switched_off);
    add_every_split(tc, L7_refusals_beyond_the_ring_are_dropped_and_priced);
    add_every_split(tc, R5_output_that_the_peer_causes_is_bounded);
    add_every_split(tc, L14_session_before_its_first_frame_is_small);
    tcase_add_test(tc, G1_idle_stream_is_small);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
