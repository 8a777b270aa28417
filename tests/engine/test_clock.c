/*
 * test_clock.c - calls on streams do not tell the time (engine.h, rule 5): what they start, or let
 * in, runs from the next call that does, however long the engine had not heard of the time before.
 */
#include "support/suite.h"
#include "support/wire.h"

#include <string.h>

#define HOUR_MS 3600000u

/* Time passes of which the engine does not hear, as nothing happens and no deadline is due. */
static void wait_unnoticed(struct wire *w, uint32_t ms)
{
    ck_assert_uint_ge(smux_engine_deadline(w->engine), w->now + (uint64_t)ms * 1000);
    w->now += (uint64_t)ms * 1000;
}

static smux_estream *start_server(struct wire *w, const struct smux_config *config, int mode)
{
    wire_start(w, SMUX_SERVER, config, mode);
    wire_syn(w, 3);
    return wire_accept(w, 3);
}

/* Lets timers of the engine itself run out, until nothing is due any more. */
static void fall_asleep(struct wire *w)
{
    wire_sleep(w, 5000);
    ck_assert_uint_eq(smux_engine_deadline(w->engine), SMUX_NEVER);
}

START_TEST(WIN_8_small_frame_is_held_back_for_its_full_time)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, &config, _i);
    wire_upd(&w, 3, 0, 4000);
    wire_write(&w, stream, 3900);
    expect_data(&w, 3, 3900);
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    wire_write(&w, stream, 2000);
    ck_assert_uint_le(smux_engine_deadline(w.engine), w.now);
    wire_sleep(&w, 199);
    expect_quiet(&w);
    wire_sleep(&w, 2);
    ck_assert_uint_eq(wire_take_data(&w, 3), 100);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_9_half_close_timeout_counts_from_the_write)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;
    size_t len;

    stream = start_server(&w, &config, _i);
    wire_write(&w, stream, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    wire_fin(&w, 3);
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    wire_write(&w, stream, 1000);
    wire_sleep(&w, 299000);
    wire_write(&w, stream, 1);
    wire_sleep(&w, 2000);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_EPIPE);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_7_linger_that_is_over_unnoticed_is_over)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.fin_linger_ms = 250;
    stream = start_server(&w, &config, _i);
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 100);
    wire_fin(&w, 3);
    fall_asleep(&w);
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 100);
    w.now += 300000;
    smux_estream_shutdown(w.engine, stream);
    wire_sleep(&w, 0);
    expect_fin(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_11_records_made_in_one_moment_are_evicted)
{
    struct smux_config config = wire_config(2);
    smux_estream *streams[3];
    struct frame frame;
    uint32_t credited = 0;
    struct wire w;

    config.max_discards = 1;
    wire_start(&w, SMUX_SERVER, &config, _i);
    for (uint32_t i = 0; i < 3; i++) {
        wire_syn(&w, 3 + 2 * i);
        streams[i] = wire_accept(&w, 3 + 2 * i);
        smux_estream_shutdown(w.engine, streams[i]);
        expect_fin(&w, 3 + 2 * i);
    }
    for (int i = 0; i < 3; i++) {
        smux_estream_close(w.engine, streams[i]);
    }
    for (uint32_t i = 0; i < 3; i++) {
        wire_psh(&w, 3 + 2 * i, 1000);
    }
    while (wire_frame(&w, &frame)) {
        ck_assert_uint_eq(frame.cmd, CMD_UPD);
        credited++;
    }
    ck_assert_uint_eq(credited, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_11_record_lives_for_its_full_time)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, &config, _i);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    smux_estream_close(w.engine, stream);
    wire_sleep(&w, 299000);
    wire_psh(&w, 3, 1000);
    expect_upd(&w, 3, 1000, 65536);
    wire_sleep(&w, 2000);
    wire_psh(&w, 3, 60000);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* --- what reading lets in ------------------------------------------------------------------- */

/* A session whose budget stream 3 uses up with 2000 bytes, and the header of a frame for stream 5
 * that waits behind them in the memory of the engine. */
static smux_estream *start_paused(struct wire *w, struct smux_config *config, unsigned cmd)
{
    smux_estream *stream;
    struct smux_iov iov[2];
    uint8_t *base;
    size_t len = FRAME_HEADER + 2000;

    config->max_receive_buffer = 1024;
    config->max_stream_buffer = 1024;
    stream = start_server(w, config, FEED_WHOLE);
    ck_assert_int_eq(smux_engine_recv_iov(w->engine, iov, 2), 1);
    ck_assert_uint_ge(iov[0].len, len + FRAME_HEADER);
    base = iov[0].base;
    memset(base, 0, len);
    put_header(base, w->version, CMD_PSH, 2000, 3);
    len += put_header(base + len, w->version, cmd, cmd == CMD_PSH ? 100 : 0, 5);
    ck_assert_int_eq(smux_engine_recv_commit(w->engine, len, w->now), SMUX_OK);
    ck_assert(!smux_engine_wants_read(w->engine));
    return stream;
}

static void read_some(struct wire *w, smux_estream *stream)
{
    char buf[3000];
    size_t len;

    ck_assert_int_eq(smux_estream_read(w->engine, stream, buf, sizeof(buf), &len), SMUX_OK);
}

START_TEST(BKT_8_read_counts_when_it_happens)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;
    char byte;
    size_t len;

    config.stall_timeout_ms = 5000;
    stream = start_paused(&w, &config, CMD_NOP);
    w.now += 3000000;
    ck_assert_int_eq(smux_estream_read(w.engine, stream, &byte, 1, &len), SMUX_OK);
    wire_sleep(&w, 4000);
    ck_assert_int_eq(smux_estream_read(w.engine, stream, &byte, 1, &len), SMUX_OK);
    wire_sleep(&w, 10000); /* it may take twice the time */
    expect_status(&w, stream, SMUX_ESTALLED);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_5_guard_of_a_stream_that_reading_lets_in)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream, *fresh;
    struct wire w;

    config.accept_guard_ms = 5;
    stream = start_paused(&w, &config, CMD_SYN);
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    read_some(&w, stream);
    fresh = wire_accept(&w, 5);
    wire_write(&w, fresh, 10);
    wire_sleep(&w, 4);
    expect_quiet(&w);
    wire_sleep(&w, 2);
    expect_data(&w, 5, 10);
    wire_stop(&w);
}
END_TEST

START_TEST(OPN_4_refusal_of_a_stream_that_reading_lets_in)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.accept_guard_ms = 5;
    config.max_remote_streams = 1;
    stream = start_paused(&w, &config, CMD_SYN);
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    read_some(&w, stream);
    wire_sleep(&w, 4);
    expect_quiet(&w);
    wire_sleep(&w, 3);
    expect_fin(&w, 5);
    wire_stop(&w);
}
END_TEST

START_TEST(KA_4_silence_counts_from_the_read_that_ends_a_pause)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.keepalive_mode = SMUX_KEEPALIVE_ALWAYS;
    stream = start_paused(&w, &config, CMD_NOP);
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    read_some(&w, stream);
    expect_timeout_in(&w, 30000);
    wire_stop(&w);
}
END_TEST

/* Small frames of stream 3 come together, and then so much for stream 5 that the session pauses. */
static smux_estream *start_paused_by_another(struct wire *w, struct smux_config *config)
{
    smux_estream *stream;
    unsigned events;

    config->max_receive_buffer = 256 * 1024;
    stream = start_server(w, config, FEED_WHOLE);
    wire_syn(w, 5);
    wire_psh(w, 3, 1);
    expect_read(w, stream, 1);
    while (smux_engine_next_ready(w->engine, &events) != NULL) {
    }
    wire_sleep(w, 20000); /* no memory is kept for reuse */
    wire_psh(w, 3, 100);
    while (smux_engine_wants_read(w->engine)) {
        wire_psh(w, 5, 4000);
    }
    return stream;
}

START_TEST(KA_4_silence_counts_from_the_failure_that_ends_a_pause)
{
    struct smux_config config = wire_config(1);
    struct smux_iov iov;
    smux_estream *stream;
    struct wire w;
    int n;

    config.keepalive_mode = SMUX_KEEPALIVE_ALWAYS;
    stream = start_paused_by_another(&w, &config);
    wait_unnoticed(&w, 900);
    w.heap.fail_at = w.heap.calls + 1;
    ck_assert_int_eq(smux_estream_peek(w.engine, stream, &iov, 1, &n), SMUX_ENOMEM);
    ck_assert(smux_engine_wants_read(w.engine));
    expect_timeout_in(&w, 30000);
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_11_frame_that_reading_lets_in_has_its_full_time)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    stream = start_paused(&w, &config, CMD_PSH); /* its payload does not come */
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    read_some(&w, stream);
    wire_sleep(&w, 119900);
    expect_alive(&w);
    wire_sleep(&w, 200);
    expect_dead(&w, SMUX_ETIMEDOUT);
    wire_stop(&w);
}
END_TEST

/* A pause lasts until the read that ends it, or a little longer. */
START_TEST(BKT_4_pause_is_counted_until_the_read_that_ends_it)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    stream = start_paused(&w, &config, CMD_NOP);
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    read_some(&w, stream);
    wire_sleep(&w, 0);
    ck_assert_uint_ge(wire_stats(&w).receive_paused_us, HOUR_MS * UINT64_C(1000));
    ck_assert_uint_le(wire_stats(&w).receive_paused_us, w.now);
    wire_stop(&w);
}
END_TEST

/* So is one that ends and begins again before the time is told. */
START_TEST(BKT_4_pauses_that_follow_each_other_are_counted)
{
    struct smux_config config = wire_config(1);
    uint64_t since;
    struct wire w;

    (void)start_server(&w, &config, _i);
    wire_psh(&w, 3, 10000);
    since = w.now;
    smux_engine_throttle(w.engine, true);
    for (uint64_t i = 1; i <= 3; i++) {
        fall_asleep(&w);
        wait_unnoticed(&w, HOUR_MS);
        smux_engine_throttle(w.engine, false);
        smux_engine_throttle(w.engine, true);
        wire_sleep(&w, 0);
        ck_assert_uint_ge(wire_stats(&w).receive_paused_us, i * HOUR_MS * 1000);
        ck_assert_uint_le(wire_stats(&w).receive_paused_us, w.now - since);
    }
    wire_stop(&w);
}
END_TEST

/* The last stream ends when it is read to its end. */
START_TEST(L12_session_is_idle_from_the_read_that_ends_its_last_stream)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.idle_timeout_ms = 60000;
    stream = start_server(&w, &config, _i);
    wire_psh(&w, 3, 10);
    wire_fin(&w, 3);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    fall_asleep(&w);
    wait_unnoticed(&w, HOUR_MS);
    expect_read(&w, stream, 10);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    ck_assert_uint_le(smux_engine_deadline(w.engine), w.now);
    wire_sleep(&w, 59900);
    expect_alive(&w);
    wire_sleep(&w, 200);
    expect_dead(&w, SMUX_ECLOSED);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock");
    TCase *tc = tcase_create("clock");

    tcase_set_timeout(tc, 120);
    add_every_split(tc, WIN_8_small_frame_is_held_back_for_its_full_time);
    add_every_split(tc, FIN_9_half_close_timeout_counts_from_the_write);
    add_every_split(tc, FIN_7_linger_that_is_over_unnoticed_is_over);
    add_every_split(tc, FIN_11_records_made_in_one_moment_are_evicted);
    add_every_split(tc, FIN_11_record_lives_for_its_full_time);
    tcase_add_test(tc, BKT_8_read_counts_when_it_happens);
    tcase_add_test(tc, OPN_5_guard_of_a_stream_that_reading_lets_in);
    tcase_add_test(tc, OPN_4_refusal_of_a_stream_that_reading_lets_in);
    tcase_add_test(tc, KA_4_silence_counts_from_the_read_that_ends_a_pause);
    tcase_add_test(tc, KA_4_silence_counts_from_the_failure_that_ends_a_pause);
    tcase_add_test(tc, FRM_11_frame_that_reading_lets_in_has_its_full_time);
    tcase_add_test(tc, BKT_4_pause_is_counted_until_the_read_that_ends_it);
    add_every_split(tc, BKT_4_pauses_that_follow_each_other_are_counted);
    add_every_split(tc, L12_session_is_idle_from_the_read_that_ends_its_last_stream);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
