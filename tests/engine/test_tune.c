/*
 * test_tune.c - windows that tune themselves: as large as the line needs, no larger, and only
 * for those who read.
 *
 * ctest-timeout: 600
 */
#include "support/line.h"
#include "support/suite.h"
#include "support/wire.h"

#include <stdlib.h>

#define MBIT UINT64_C(125000) /* bytes a second */

/* A line is some 100 KB: too much for a stack. */
static struct line line;

static uint64_t run_and_count(uint64_t us)
{
    uint64_t before = line.streams[0].read;

    line_run(&line, us);
    return line.streams[0].read - before;
}

/* The whole point: nothing is configured, and a long line is full within ten round trips. */
static const struct {
    uint64_t mbit, rtt_ms;
} lines[] = {{100, 2}, {1000, 10}, {200, 50}, {200, 100}, {100, 200}, {1000, 200}};

START_TEST(a_stream_fills_the_line_within_ten_round_trips)
{
    uint64_t rate = lines[_i].mbit * MBIT, rtt_us = lines[_i].rtt_ms * 1000;

    line_start(&line, rate, rtt_us / 2, NULL, NULL);
    (void)line_open(&line, LINE_FAST);
    line_run(&line, 10 * rtt_us);
    uint64_t got = run_and_count(10 * rtt_us);
    ck_assert_uint_ge(got * 1000000 / (10 * rtt_us), rate * 90 / 100);
    /* And a window is not much larger than that takes. */
    uint64_t product = rate * rtt_us / 1000000;
    ck_assert_uint_le(line_stats(&line).receive_budget - 4194304, 4 * product + 262144);
    ck_assert_uint_lt(line.heap[1].peak, 4194304);
    line_stop(&line);
}
END_TEST

START_TEST(a_window_that_is_configured_stays)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = 2;
    config.max_stream_buffer = 65536;
    line_start(&line, 100 * MBIT, 50000, &config, &config);
    (void)line_open(&line, LINE_FAST);
    line_run(&line, 1000000);
    /* The law of window / RTT, which only a window can break; half of it is lost when an update
     * comes each half window. */
    uint64_t got = run_and_count(1000000);
    ck_assert_uint_le(got, 10 * 65536);
    ck_assert_uint_ge(got, 5 * 65536);
    ck_assert_uint_eq(line_stats(&line).windows_grown, 0);
    line_stop(&line);
}
END_TEST

START_TEST(growth_is_limited_for_the_whole_session)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = 2;
    config.max_window_growth = _i == 0 ? 1000000 : SMUX_OFF;
    line_start(&line, 1000 * MBIT, 50000, NULL, &config);
    for (unsigned i = 0; i < 4; i++) {
        (void)line_open(&line, LINE_FAST);
    }
    line_run(&line, 1000000);
    ck_assert_uint_eq(line_stats(&line).receive_budget, 4194304 + (_i == 0 ? 1000000 : 0));
    line_stop(&line);
}
END_TEST

/* A reader that is slower than the line needs no window for the line, and gets none. */
START_TEST(a_slow_reader_does_not_grow)
{
    line_start(&line, 100 * MBIT, 50000, NULL, NULL);
    (void)line_open(&line, 500000);
    line_run(&line, 5000000);
    ck_assert_uint_eq(line_stats(&line).receive_budget, 4194304);
    ck_assert_uint_le(line.heap[1].peak, 600000);
    line_stop(&line);
}
END_TEST

/* A short line without a reader that keeps up all the time: what the window can hold is all that
 * comes during a pause. */
START_TEST(a_bursty_reader_gets_a_window_for_its_pauses)
{
    const uint64_t rate = 800 * MBIT, pause_us = 40000, burst_us = 40000;
    uint64_t got = 0;

    line_start(&line, rate, 50, NULL, NULL);
    (void)line_open(&line, LINE_FAST);
    for (int i = 0; i < 60; i++) {
        line.streams[0].rate = 0;
        uint64_t before = line.streams[0].read;
        line_run(&line, pause_us);
        line.streams[0].rate = LINE_FAST;
        line_run(&line, burst_us);
        got += i >= 30 ? line.streams[0].read - before : 0;
    }
    ck_assert_uint_ge(got, 30 * (pause_us + burst_us) * rate / 1000000 * 90 / 100);
    ck_assert_uint_le(line_stats(&line).receive_budget - 4194304, 4 * pause_us * rate / 1000000);
    line_stop(&line);
}
END_TEST

START_TEST(a_reader_that_stops_earns_nothing)
{
    line_start(&line, 100 * MBIT, 50000, NULL, NULL);
    (void)line_open(&line, 0);
    line_run(&line, 5000000);
    ck_assert_uint_eq(line_stats(&line).receive_budget, 4194304);
    ck_assert_uint_eq(line_stats(&line).windows_grown, 0);
    line_stop(&line);
}
END_TEST

/* _i == 0: the writer falls silent; 1: the reader becomes slow */
START_TEST(a_window_shrinks_when_it_is_not_used)
{
    line_start(&line, 100 * MBIT, 50000, NULL, NULL);
    (void)line_open(&line, LINE_FAST);
    line_run(&line, 2000000);
    ck_assert_uint_ge(line_stats(&line).receive_budget, 4194304 + 1000000);
    line.streams[0].quiet = _i == 0;
    line.streams[0].rate = _i == 0 ? LINE_FAST : 500000;
    line_run(&line, 15000000);
    ck_assert_uint_eq(line_stats(&line).receive_budget, 4194304);

    struct smux_stream_stats stats;
    smux_estream_stats(line.engine[1], line.streams[0].server, &stats);
    ck_assert_uint_le(stats.recv_window, 262144);

    /* And grows again. */
    line.streams[0].quiet = false;
    line.streams[0].rate = LINE_FAST;
    line_run(&line, 1000000);
    uint64_t got = run_and_count(1000000);
    ck_assert_uint_ge(got, 100 * MBIT * 90 / 100);
    line_stop(&line);
}
END_TEST

/* A window has grown, but what others may still send has used up the budget: the peer is told
 * nothing, as the same update again would cost us a glitch there. What is read between the growth and
 * its update would be told with it: so the reader rests three steps of four, _i says which. */
START_TEST(a_window_that_grows_without_budget_tells_nothing)
{
    struct smux_config config;
    unsigned last;

    smux_config_init(&config);
    config.version = 2;
    config.max_receive_buffer = 262144;
    line_start(&line, 1000 * MBIT, 21 * LINE_STEP_US, NULL, &config);
    for (unsigned i = 0; i < 200; i++) {
        (void)line_open(&line, LINE_FAST);
    }
    line_run(&line, 1000000);
    for (unsigned i = 0; i < line.n_streams; i++) {
        line.streams[i].quiet = true;
    }
    line_run(&line, 5000000);
    last = line_open(&line, LINE_FAST);
    uint64_t grown = line_stats(&line).windows_grown;
    for (int step = 0; step < 2000; step++) {
        line.streams[last].rate = step % 4 == _i ? LINE_FAST : 0;
        line_run(&line, LINE_STEP_US);
    }
    ck_assert_uint_gt(line_stats(&line).windows_grown, grown);

    struct smux_session_stats stats;
    smux_engine_stats(line.engine[0], &stats);
    ck_assert_uint_eq(stats.glitches, 0);
    line_stop(&line);
}
END_TEST

START_TEST(growth_ends_with_the_stream)
{
    line_start(&line, 100 * MBIT, 50000, NULL, NULL);
    (void)line_open(&line, LINE_FAST);
    line_run(&line, 2000000);
    ck_assert_uint_gt(line_stats(&line).receive_budget, 4194304);
    if (_i == 0) {
        smux_estream_abort(line.engine[1], line.streams[0].server, SMUX_EABORTED);
    } else {
        line.streams[0].quiet = true;
        ck_assert_int_eq(smux_estream_shutdown(line.engine[0], line.streams[0].client), SMUX_OK);
        ck_assert_int_eq(smux_estream_shutdown(line.engine[1], line.streams[0].server), SMUX_OK);
        line_run(&line, 2000000);
    }
    ck_assert_uint_eq(line_stats(&line).receive_budget, 4194304);
    line_stop(&line);
}
END_TEST

static const struct {
    unsigned n;
    uint64_t mbit, rtt_ms;
    bool spread;
} shared[] = {{8, 200, 100, false},   {2, 1000, 10, false},  {8, 1000, 10, false},
              {16, 1000, 100, false}, {3, 1000, 10, true},   {8, 1000, 10, true},
              {8, 1000, 50, true},    {16, 1000, 100, true}, {64, 1000, 200, true}};

START_TEST(busy_streams_share_the_line)
{
    uint64_t sum = 0;

    const unsigned n = shared[_i].n;
    const uint64_t rate = shared[_i].mbit * MBIT;

    line_start(&line, rate, shared[_i].rtt_ms * 500, NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        (void)line_open(&line, LINE_FAST);
        if (shared[_i].spread) { /* they answer at different times of a round */
            line_run(&line, shared[_i].rtt_ms * 5000 / n);
        }
    }
    line_run(&line, 20000 * shared[_i].rtt_ms);
    for (unsigned i = 0; i < n; i++) {
        sum -= line.streams[i].read;
    }
    line_run(&line, 20000 * shared[_i].rtt_ms);
    for (unsigned i = 0; i < n; i++) {
        sum += line.streams[i].read;
    }
    ck_assert_uint_ge(sum, rate * shared[_i].rtt_ms / 1000 * 20 * 90 / 100);
    line_stop(&line);
}
END_TEST

/* What is in flight keeps what is urgent waiting: on a short line several streams have no more of it
 * than they need together. */
START_TEST(busy_streams_share_half_a_megabyte_of_a_short_line)
{
    const unsigned n = (unsigned)_i;

    line_start(&line, 20000 * MBIT, 0, NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        (void)line_open(&line, LINE_FAST);
    }
    line_run(&line, 500000);
    for (int i = 0; i < 1000; i++) {
        line_run(&line, LINE_STEP_US);
        struct smux_session_stats stats = line_stats(&line);
        ck_assert_uint_le(stats.credit_now, 524288);
    }
    ck_assert_uint_eq(line_stats(&line).windows_grown, 0);
    line_stop(&line);
}
END_TEST

/* Of many, each has more the more there are, although the budget could not give it to all; that room
 * is gone when they rest. */
START_TEST(many_busy_streams_have_windows_beyond_the_budget)
{
    const struct {
        unsigned n;
        uint64_t each;
    } many[] = {{16, 131072}, {32, 262144}, {64, 262144}};
    const unsigned n = many[_i].n;

    line_start(&line, 20000 * MBIT, 0, NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        (void)line_open(&line, LINE_FAST);
    }
    line_run(&line, 500000);
    for (unsigned i = 0; i < n; i++) {
        struct smux_stream_stats stats;
        smux_estream_stats(line.engine[1], line.streams[i].server, &stats);
        ck_assert_uint_eq(stats.recv_window, many[_i].each);
        line.streams[i].quiet = true;
    }
    ck_assert_uint_eq(line_stats(&line).windows_grown, 0);
    ck_assert_uint_le(line_stats(&line).receive_budget, 4194304 + n * many[_i].each);
    line_run(&line, 3000000);
    ck_assert_uint_eq(line_stats(&line).receive_budget, 4194304);
    line_stop(&line);
}
END_TEST

/* Both ends are on one busy machine: first answers are late and readers pause, each at another
 * time. Whoever grew by it would leave the others behind. */
START_TEST(a_busy_machine_is_no_long_line)
{
    const unsigned n = (unsigned)_i;

    line_start(&line, 20000 * MBIT, 5000, NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        (void)line_open(&line, LINE_FAST);
    }
    line_run(&line, 40000);
    line.delay_us = 0;
    for (unsigned i = 0; i < 100; i++) {
        line.streams[i % n].rate = 0;
        line_run(&line, 10000);
        line.streams[i % n].rate = LINE_FAST;
        line_run(&line, 1000);
    }
    ck_assert_uint_eq(line_stats(&line).windows_grown, 0);
    line_stop(&line);
}
END_TEST

/* A slow line that is short: what makes each stream wait is the others, and larger windows would
 * only make it worse. This is seen when they have been tried. */
START_TEST(busy_streams_grow_once_on_a_slow_line_that_is_short)
{
    const unsigned n = (unsigned)_i;
    uint64_t sum = 0;

    line_start(&line, 100 * MBIT, 100, NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        (void)line_open(&line, LINE_FAST);
    }
    line_run(&line, 5000000);
    ck_assert_uint_le(line_stats(&line).windows_grown, 2 * n); /* one try, and not again */
    ck_assert_uint_le(line_stats(&line).receive_budget, 4194304 + 524288);
    for (unsigned i = 0; i < n; i++) {
        sum += line.streams[i].read;
    }
    ck_assert_uint_ge(sum, 5 * 100 * MBIT * 95 / 100);
    line_stop(&line);
}
END_TEST

/* Readers that are slower than the line do not grow either when there are several of them. */
START_TEST(slow_readers_beside_each_other_do_not_grow)
{
    line_start(&line, 20000 * MBIT, 0, NULL, NULL);
    for (int i = 0; i < _i; i++) {
        (void)line_open(&line, 2000000);
    }
    line_run(&line, 5000000);
    ck_assert_uint_eq(line_stats(&line).windows_grown, 0);
    line_stop(&line);
}
END_TEST

/* The budget falls with a window, below what others hold: that is a pause like any other, in which
 * silence of the peer does not count [KA-5]. */
START_TEST(KA_5_a_budget_that_falls_is_a_pause)
{
    struct smux_config config = wire_config(2);
    uint32_t sent = 0, edge = 262144;
    struct wire w;

    config.max_stream_buffer = 0;
    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    wire_nop(&w);
    wire_syn(&w, 3);
    smux_estream *grows = wire_accept(&w, 3);
    for (int i = 0; i < 4; i++) { /* a sender that the window stops, over a round trip of 50 ms */
        wire_data(&w, 3, edge - sent, 32768);
        expect_read(&w, grows, edge - sent);
        sent = edge;
        wire_skip(&w);
        edge = sent + wire_stream_stats(&w, grows).recv_window;
        wire_sleep(&w, 50);
    }
    ck_assert_uint_ge(wire_stats(&w).receive_budget, 6000000);
    for (uint32_t id = 5; id < 45; id += 2) { /* nobody reads these 5 MB */
        wire_syn(&w, id);
        (void)wire_accept(&w, id);
        wire_data(&w, id, 262144, 32768);
    }
    ck_assert_uint_eq(wire_stats(&w).receive_pauses, 0);
    for (int i = 0; i < 60; i++) {
        wire_sleep(&w, 1000);
        wire_nop(&w);
    }
    expect_alive(&w);
    ck_assert_uint_eq(wire_stats(&w).receive_budget, 4194304);
    ck_assert_uint_eq(wire_stats(&w).receive_pauses, 1);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tune");
    TCase *tc = tcase_create("tune");

    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, a_stream_fills_the_line_within_ten_round_trips, 0,
                        (int)(sizeof(lines) / sizeof(lines[0])));
    tcase_add_test(tc, a_window_that_is_configured_stays);
    tcase_add_loop_test(tc, growth_is_limited_for_the_whole_session, 0, 2);
    tcase_add_test(tc, a_slow_reader_does_not_grow);
    tcase_add_test(tc, a_bursty_reader_gets_a_window_for_its_pauses);
    tcase_add_test(tc, a_reader_that_stops_earns_nothing);
    tcase_add_loop_test(tc, a_window_shrinks_when_it_is_not_used, 0, 2);
    tcase_add_loop_test(tc, a_window_that_grows_without_budget_tells_nothing, 0, 4);
    tcase_add_loop_test(tc, growth_ends_with_the_stream, 0, 2);
    tcase_add_loop_test(tc, busy_streams_share_the_line, 0,
                        (int)(sizeof(shared) / sizeof(shared[0])));
    tcase_add_loop_test(tc, busy_streams_share_half_a_megabyte_of_a_short_line, 2, 9);
    tcase_add_loop_test(tc, many_busy_streams_have_windows_beyond_the_budget, 0, 3);
    tcase_add_loop_test(tc, a_busy_machine_is_no_long_line, 3, 9);
    tcase_add_loop_test(tc, busy_streams_grow_once_on_a_slow_line_that_is_short, 2, 17);
    tcase_add_loop_test(tc, slow_readers_beside_each_other_do_not_grow, 2, 17);
    tcase_add_test(tc, KA_5_a_budget_that_falls_is_a_pause);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
