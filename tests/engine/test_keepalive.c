/*
 * test_keepalive.c - KA-1..7 as far as they concern the engine, and the other limits of time.
 */
#include "support/suite.h"
#include "support/wire.h"

static struct smux_config alive_config(uint32_t interval_ms, uint32_t timeout_ms,
                                       enum smux_keepalive_mode mode)
{
    struct smux_config config = wire_config(1);

    config.keepalive_interval_ms = interval_ms;
    config.keepalive_timeout_ms = timeout_ms;
    config.keepalive_mode = (uint32_t)mode;
    return config;
}

static uint32_t count_nops(struct wire *w)
{
    struct frame frame;
    uint32_t n = 0;

    while (wire_frame(w, &frame)) {
        n += frame.cmd == CMD_NOP;
    }
    return n;
}

START_TEST(KA_1_nop_each_interval)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_AUTO);
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    expect_nop(&w); /* the first one [VER-3] */
    wire_sleep(&w, 9900);
    expect_quiet(&w);
    wire_sleep(&w, 200);
    expect_nop(&w);
    wire_sleep(&w, 100000);
    ck_assert_uint_eq(count_nops(&w), 10);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_1_server_sends_nops_too)
{
    struct smux_config config = alive_config(1000, 3000, SMUX_KEEPALIVE_AUTO);
    struct wire w;
    uint32_t n;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_sleep(&w, 10500);
    n = count_nops(&w);
    ck_assert_uint_ge(n, 10);
    ck_assert_uint_le(n, 11);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_1_no_silence_longer_than_the_interval_beside_traffic)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_AUTO);
    smux_estream *stream;
    struct frame frame;
    uint64_t last;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    stream = wire_open(&w);
    wire_skip(&w);
    last = w.now;
    for (int i = 0; i < 600; i++) {
        if (i % 70 == 0) {
            wire_write(&w, stream, 10);
        }
        while (wire_frame(&w, &frame)) {
            last = w.now;
        }
        ck_assert_msg(w.now - last <= 10200000, "silence of %u ms",
                      (unsigned)((w.now - last) / 1000));
        wire_sleep(&w, 100);
    }
    wire_stop(&w);
}
END_TEST

START_TEST(KA_2_nops_can_be_switched_off)
{
    struct smux_config config = alive_config(SMUX_OFF, 30000, SMUX_KEEPALIVE_AUTO);
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    wire_sleep(&w, 3600000);
    expect_quiet(&w);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_3_nop_is_not_answered)
{
    struct smux_config config = alive_config(1000000, 1000000, SMUX_KEEPALIVE_AUTO);
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    expect_nop(&w);
    for (int i = 0; i < 50; i++) {
        wire_sleep(&w, 200);
        wire_nop(&w);
    }
    expect_quiet(&w);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_4_auto_is_patient_with_a_peer_that_never_sent_a_nop)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_AUTO);
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_psh(&w, 3, 100);
    wire_sleep(&w, 3600000);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_4_auto_enforces_the_timeout_after_the_first_nop)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_AUTO);
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_psh(&w, 3, 100);
    wire_nop(&w);
    expect_timeout_in(&w, 30000);
    expect_read(&w, stream, 100); /* [END-2] */
    expect_status(&w, stream, SMUX_ETIMEDOUT);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_4_any_byte_counts)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_AUTO);
    uint8_t frame[FRAME_HEADER + 10];
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_nop(&w);
    put_psh(frame, 1, 9, "0123456789", 10);
    for (size_t i = 0; i < 4; i++) { /* one byte each 25 s, of one frame */
        wire_sleep(&w, 25000);
        wire_feed(&w, frame + i, 1);
        expect_alive(&w);
    }
    wire_sleep(&w, 29000);
    expect_alive(&w);
    wire_sleep(&w, 2000);
    expect_dead(&w, SMUX_ETIMEDOUT);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_4_always_and_never)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_ALWAYS);
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    expect_timeout_in(&w, 30000);
    wire_stop(&w);

    config.keepalive_mode = SMUX_KEEPALIVE_NEVER;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    wire_nop(&w);
    wire_sleep(&w, 3600000);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_4_our_own_pause_does_not_count)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_ALWAYS);
    smux_estream *stream;
    struct wire w;

    config.max_receive_buffer = 65536;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_nop(&w);
    wire_data(&w, 3, 65535, 65535);
    wire_data(&w, 3, 65535, 65535);
    ck_assert(!smux_engine_wants_read(w.engine));
    wire_sleep(&w, 600000);
    expect_alive(&w); /* not even with mode always [KA-5] */
    expect_read(&w, stream, wire_stream_stats(&w, stream).unread);
    wire_sleep(&w, 29000);
    expect_alive(&w); /* measured from the end of the pause */
    wire_sleep(&w, 2000);
    expect_dead(&w, SMUX_ETIMEDOUT);
    wire_stop(&w);
}
END_TEST

/** The process does not run for so long, and comes to the timer before it comes to reading. */
static void stopped(struct wire *w, uint32_t ms)
{
    w->now += ms * UINT64_C(1000);
    (void)smux_engine_tick(w->engine, w->now);
}

START_TEST(KA_4_what_arrived_while_the_process_was_stopped_counts)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_AUTO);
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_nop(&w);
    for (int i = 0; i < 3; i++) {
        stopped(&w, 100000);
        expect_alive(&w);
        wire_nop(&w);
        wire_sleep(&w, 29000);
        expect_alive(&w);
        wire_nop(&w);
    }
    stopped(&w, 100000);
    expect_alive(&w);
    stopped(&w, 1500); /* nothing had come */
    expect_dead(&w, SMUX_ETIMEDOUT);
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_11_so_it_does_for_a_frame)
{
    struct smux_config config = alive_config(SMUX_OFF, SMUX_OFF, SMUX_KEEPALIVE_NEVER);
    uint8_t frame[FRAME_HEADER + 10];
    struct wire w;

    config.frame_timeout_ms = 10000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    put_psh(frame, 1, 9, "0123456789", 10);
    wire_feed(&w, frame, 9);
    stopped(&w, 100000);
    expect_alive(&w);
    wire_feed(&w, frame + 9, sizeof frame - 9);
    wire_feed(&w, frame, 9);
    wire_sleep(&w, 9900);
    expect_alive(&w);
    wire_sleep(&w, 200);
    expect_dead(&w, SMUX_ETIMEDOUT);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_5_paused_session_goes_on_sending_nops)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_AUTO);
    struct wire w;

    config.max_receive_buffer = 65536;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_accept(&w, 3);
    wire_data(&w, 3, 131070, 65535);
    wire_skip(&w);
    wire_sleep(&w, 100000);
    ck_assert_uint_ge(count_nops(&w), 9);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_5_stuck_output_can_be_limited)
{
    for (int limited = 0; limited < 2; limited++) {
        struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_AUTO);
        smux_estream *stream;
        struct wire w;

        config.send_stall_timeout_ms = limited ? 60000 : 0;
        wire_start(&w, SMUX_SERVER, &config, _i);
        w.blocked = true;
        wire_sleep(&w, 1000);
        stream = wire_open(&w);
        wire_write(&w, stream, 1000);
        wire_sleep(&w, 50000);
        ck_assert_uint_eq(wire_take(&w, 1), 1); /* a byte was taken: it starts again */
        wire_sleep(&w, 59000);
        expect_alive(&w);
        wire_sleep(&w, 2000);
        if (limited) {
            expect_dead(&w, SMUX_ETIMEDOUT);
        } else {
            wire_sleep(&w, 3600000); /* [TRAP-6] */
            expect_alive(&w);
        }
        wire_stop(&w);
    }
}
END_TEST

START_TEST(KA_6_one_nop_after_a_blocked_transport)
{
    struct smux_config config = alive_config(1000, 3000, SMUX_KEEPALIVE_AUTO);
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    expect_nop(&w);
    w.blocked = true;
    wire_sleep(&w, 60000);
    w.blocked = false;
    expect_nop(&w); /* Go sends a burst: M16 */
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_6_slow_transport_is_not_filled_with_nops)
{
    struct smux_config config = alive_config(1000, 3000, SMUX_KEEPALIVE_AUTO);
    size_t before;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    expect_nop(&w);
    w.blocked = true;
    for (int second = 0; second < 100; second++) { /* one byte a second: less than the NOPs */
        wire_sleep(&w, 1000);
        ck_assert_uint_le(wire_take(&w, 1), 1);
    }
    before = bytes_len(&w.out);
    wire_open(&w);
    w.blocked = false;
    wire_pump(&w);
    ck_assert_uint_le(bytes_len(&w.out) - before, 2 * FRAME_HEADER + FRAME_HEADER);
    wire_stop(&w);
}
END_TEST

START_TEST(idle_session_is_closed_only_when_asked)
{
    for (int limited = 0; limited < 2; limited++) {
        struct smux_config config = wire_config(1);
        smux_estream *stream;
        struct wire w;

        config.idle_timeout_ms = limited ? 60000 : 0;
        wire_start(&w, SMUX_SERVER, &config, _i);
        wire_syn(&w, 3);
        stream = wire_accept(&w, 3);
        wire_sleep(&w, 600000); /* a stream: not idle */
        expect_alive(&w);
        wire_fin(&w, 3);
        expect_status(&w, stream, SMUX_EOF);
        smux_estream_close(w.engine, stream);
        wire_skip(&w);
        wire_sleep(&w, 59000);
        expect_alive(&w);
        wire_sleep(&w, 2000);
        ck_assert_int_eq(smux_engine_error(w.engine) != SMUX_OK, limited);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(clock_that_goes_back_counts_as_standing_still)
{
    struct smux_config config = alive_config(10000, 30000, SMUX_KEEPALIVE_ALWAYS);
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    wire_skip(&w);
    wire_sleep(&w, 20000);
    ck_assert_int_eq(smux_engine_tick(w.engine, 5), SMUX_OK);
    wire_nop(&w);
    ck_assert_int_eq(smux_engine_tick(w.engine, 0), SMUX_OK);
    wire_sleep(&w, 29000);
    expect_alive(&w);
    wire_sleep(&w, 2000);
    expect_dead(&w, SMUX_ETIMEDOUT);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keepalive");
    TCase *tc = tcase_create("keepalive");

    tcase_set_timeout(tc, 120);

    add_every_split(tc, KA_1_nop_each_interval);
    add_every_split(tc, KA_1_server_sends_nops_too);
    add_every_split(tc, KA_1_no_silence_longer_than_the_interval_beside_traffic);
    add_every_split(tc, KA_2_nops_can_be_switched_off);
    add_every_split(tc, KA_3_nop_is_not_answered);
    add_every_split(tc, KA_4_auto_is_patient_with_a_peer_that_never_sent_a_nop);
    add_every_split(tc, KA_4_auto_enforces_the_timeout_after_the_first_nop);
    add_every_split(tc, KA_4_any_byte_counts);
    add_every_split(tc, KA_4_always_and_never);
    add_every_split(tc, KA_4_our_own_pause_does_not_count);
    add_every_split(tc, KA_4_what_arrived_while_the_process_was_stopped_counts);
    add_every_split(tc, FRM_11_so_it_does_for_a_frame);
    add_every_split(tc, KA_5_paused_session_goes_on_sending_nops);
    add_every_split(tc, KA_5_stuck_output_can_be_limited);
    add_every_split(tc, KA_6_one_nop_after_a_blocked_transport);
    add_every_split(tc, KA_6_slow_transport_is_not_filled_with_nops);
    add_every_split(tc, idle_session_is_closed_only_when_asked);
    add_every_split(tc, clock_that_goes_back_counts_as_standing_still);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
