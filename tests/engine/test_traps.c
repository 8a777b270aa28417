/*
 * test_traps.c - TRAP-1..11: honest peers that look hostile. No limit fires, and nothing costs
 * more than the prices of the flood limit.
 *
 * ctest-timeout: 300
 */
#include "support/suite.h"
#include "support/wire.h"

static smux_estream *start_server(struct wire *w, unsigned version, int mode)
{
    struct smux_config config = wire_config(version);

    wire_start(w, SMUX_SERVER, &config, mode);
    wire_syn(w, 3);
    return wire_accept(w, 3);
}

/* The session works, and nothing was held against the peer. */
static void expect_no_harm(struct wire *w, uint64_t glitches)
{
    smux_estream *stream;

    expect_alive(w);
    expect_glitches(w, glitches);
    ck_assert_uint_eq(wire_stats(w).streams_aborted, 0);
    ck_assert_uint_eq(wire_stats(w).backlog_now, 0);
    wire_syn(w, 0x10001);
    stream = wire_accept(w, 0x10001);
    wire_psh(w, 0x10001, 100);
    expect_read(w, stream, 100);
    wire_fin(w, 0x10001);
    smux_estream_close(w->engine, stream);
    wire_skip(w);
    wire_flow(w, 0x10001)->fed = wire_flow(w, 0x10001)->read = 0;
}

START_TEST(TRAP_1_frames_for_unknown_and_closed_ids)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_fin(&w, 3);
    smux_estream_close(w.engine, stream);
    wire_skip(&w);
    for (int i = 0; i < 3000; i++) {
        uint32_t id = i % 2 == 0 ? 3 : 0x7001;

        wire_psh(&w, id, 10);
        wire_upd(&w, id, 1000000, 0xffffffff);
        wire_fin(&w, id);
    }
    expect_quiet(&w);
    expect_no_harm(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_2_two_fins_data_behind_a_fin_or_no_fin_at_all)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_syn(&w, 5); /* never gets a FIN */
    wire_accept(&w, 5);
    wire_psh(&w, 3, 10);
    wire_fin(&w, 3);
    wire_psh(&w, 3, 32768); /* a Write racing Close */
    wire_fin(&w, 3);
    expect_read(&w, stream, 10);
    expect_status(&w, stream, SMUX_EOF);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    wire_fin(&w, 3);
    wire_sleep(&w, 3600000);
    expect_quiet(&w);
    expect_no_harm(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_3_first_ids_and_their_order)
{
    for (uint32_t first = 1; first <= 3; first++) {
        struct smux_config config = wire_config(1);
        struct wire w;

        wire_start(&w, first == 2 ? SMUX_CLIENT : SMUX_SERVER, &config, _i);
        wire_syn(&w, first + 4);
        wire_syn(&w, first);
        wire_syn(&w, first + 2);
        wire_accept(&w, first + 4);
        wire_accept(&w, first);
        wire_accept(&w, first + 2);
        expect_alive(&w);
        expect_glitches(&w, 0);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(TRAP_4_unordered_shrinking_and_tiny_windows)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    stream = wire_open(&w);
    expect_syn(&w, 3);
    wire_write(&w, stream, 20000);
    expect_data(&w, 3, 20000);
    for (uint32_t i = 0; i < 5000; i++) {
        wire_upd(&w, 3, 2 * i + 2, 65536); /* two readers: the older one comes second */
        wire_upd(&w, 3, 2 * i + 1, 65536);
    }
    wire_upd(&w, 3, 10000, 1);
    for (uint32_t i = 1; i <= 10000; i++) { /* stream buffer of 1: an update a byte */
        wire_upd(&w, 3, 10000 + i, 1);
    }
    expect_glitches(&w, 0);
    wire_write(&w, stream, 10);
    for (uint32_t i = 1; i <= 10; i++) {
        expect_data(&w, 3, 1);
        wire_upd(&w, 3, 20000 + i, 1);
    }
    expect_alive(&w);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_5_no_nop_ever)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.keepalive_interval_ms = 10000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_accept(&w, 3);
    wire_sleep(&w, 7200000);
    wire_skip(&w);
    expect_no_harm(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_5_burst_of_nops_after_our_pause)
{
    struct wire w;

    start_server(&w, 1, _i);
    for (int i = 0; i < 2050; i++) {
        wire_nop(&w);
    }
    ck_assert_uint_le(wire_stats(&w).glitches, 2050);
    expect_no_harm(&w, wire_stats(&w).glitches);
    wire_sleep(&w, 20000);
    for (int i = 0; i < 2050; i++) {
        wire_nop(&w);
    }
    expect_no_harm(&w, wire_stats(&w).glitches);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_6_peer_that_does_not_read_for_minutes)
{
    smux_estream *stream;
    struct wire w;
    size_t written;

    stream = start_server(&w, 1, _i);
    w.blocked = true;
    written = wire_write_some(&w, stream, 200000);
    ck_assert_uint_eq(wire_take(&w, 5000), 5000);
    for (int i = 0; i < 180; i++) {
        wire_sleep(&w, 10000);
        wire_nop(&w);
    }
    w.blocked = false;
    expect_data(&w, 3, written);
    expect_no_harm(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_7_syn_and_fin_back_to_back)
{
    struct wire w;

    start_server(&w, 1, _i);
    for (uint32_t i = 0; i < 20000; i++) {
        smux_estream *stream;
        uint32_t id = 5 + 2 * i;
        uint8_t buf[2 * FRAME_HEADER];
        size_t len = put_syn(buf, 1, id);

        len += put_fin(buf + len, 1, id);
        wire_feed(&w, buf, len);
        ck_assert_int_eq(smux_engine_accept(w.engine, &stream), SMUX_OK);
        smux_estream_close(w.engine, stream);
        expect_fin(&w, id);
    }
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 1);
    expect_no_harm(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_8_peer_goes_on_sending_after_our_fin)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    smux_estream_shutdown(w.engine, stream);
    expect_fin(&w, 3);
    wire_sleep(&w, 60000);
    for (int i = 0; i < 100; i++) {
        wire_psh(&w, 3, 1000);
        expect_read(&w, stream, 1000);
    }
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    expect_no_harm(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_9_two_writers_exceed_the_window_once)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_data(&w, 3, 2 * 262144 - 100, 32768);
    expect_read(&w, stream, 2 * 262144 - 100);
    wire_skip(&w);
    expect_no_harm(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_10_peer_stops_although_it_has_window)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_psh(&w, 3, 1000);
    expect_read(&w, stream, 1000);
    expect_upd(&w, 3, 1000, 65536);
    wire_sleep(&w, 7200000);
    expect_status(&w, stream, SMUX_EAGAIN);
    expect_quiet(&w);
    expect_no_harm(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(TRAP_11_v2_peer_that_never_sends_an_update)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    stream = wire_open(&w);
    expect_syn(&w, 3);
    wire_write(&w, stream, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    wire_write(&w, stream, 1000);
    wire_sleep(&w, 7200000);
    expect_quiet(&w);                                           /* we do not guess ... */
    ck_assert(wire_stream_stats(&w, stream).blocked_on_window); /* ... and report it */
    ck_assert_uint_eq(wire_stream_stats(&w, stream).unsent, 1000);
    expect_alive(&w);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("traps");
    TCase *tc = tcase_create("traps");

    tcase_set_timeout(tc, 120);
    add_every_split(tc, TRAP_1_frames_for_unknown_and_closed_ids);
    add_every_split(tc, TRAP_2_two_fins_data_behind_a_fin_or_no_fin_at_all);
    add_every_split(tc, TRAP_3_first_ids_and_their_order);
    add_every_split(tc, TRAP_4_unordered_shrinking_and_tiny_windows);
    add_every_split(tc, TRAP_5_no_nop_ever);
    add_every_split(tc, TRAP_5_burst_of_nops_after_our_pause);
    add_every_split(tc, TRAP_6_peer_that_does_not_read_for_minutes);
    add_every_split(tc, TRAP_7_syn_and_fin_back_to_back);
    add_every_split(tc, TRAP_8_peer_goes_on_sending_after_our_fin);
    add_every_split(tc, TRAP_9_two_writers_exceed_the_window_once);
    add_every_split(tc, TRAP_10_peer_stops_although_it_has_window);
    add_every_split(tc, TRAP_11_v2_peer_that_never_sends_an_update);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
