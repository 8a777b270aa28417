/*
 * test_limits.c - each limit of docs/RELIABILITY.md that the engine keeps: it acts at its value and
 * not before, and the statistics name it, and no other. How it acts in detail is tested by clause,
 * in the other files.
 */
#include "support/suite.h"
#include "support/wire.h"

/* Limits that the scenario has no word about did nothing. */
static void expect_limits_at(const struct wire *w, int line, unsigned limit, uint64_t count)
{
    struct smux_session_stats stats = wire_stats(w);

    for (unsigned i = 0; i < SMUX_LIMIT_COUNT; i++) {
        uint64_t expected = i == limit ? count : 0;
        ck_assert_msg(stats.limits[i] == expected, "line %d: %s is %llu, expected %llu", line,
                      smux_limit_name(i), (unsigned long long)stats.limits[i],
                      (unsigned long long)expected);
    }
}
#define expect_limit(w, limit, count) expect_limits_at((w), __LINE__, SMUX_LIMIT_##limit, (count))
#define expect_no_limit(w)            expect_limits_at((w), __LINE__, SMUX_LIMIT_COUNT, 0)

static smux_estream *start_server(struct wire *w, const struct smux_config *config, int mode)
{
    wire_start(w, SMUX_SERVER, config, mode);
    wire_syn(w, 3);
    return wire_accept(w, 3);
}

START_TEST(L1_streams_that_are_not_closed_yet)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    config.max_remote_streams = 2;
    stream = start_server(&w, &config, _i);
    wire_syn(&w, 5);
    wire_accept(&w, 5);
    wire_fin(&w, 3); /* the peer has finished, the application has not: it still counts */
    expect_no_limit(&w);
    wire_syn(&w, 7);
    expect_fin(&w, 7);
    expect_limit(&w, REFUSED_STREAMS, 1);
    expect_status(&w, stream, SMUX_EOF);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    wire_syn(&w, 9);
    wire_accept(&w, 9);
    expect_limit(&w, REFUSED_STREAMS, 1);
    ck_assert_uint_eq(wire_stats(&w).streams_refused, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L2_streams_that_wait_to_be_accepted)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.accept_backlog = 2;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    expect_no_limit(&w);
    wire_syn(&w, 7);
    wire_syn(&w, 9);
    expect_fin(&w, 7);
    expect_fin(&w, 9);
    expect_limit(&w, REFUSED_BACKLOG, 2);
    ck_assert_uint_eq(wire_stats(&w).streams_refused, 2);
    wire_stop(&w);
}
END_TEST

START_TEST(L2_stream_that_waits_too_long_to_be_accepted)
{
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_syn(&w, 3);
    wire_sleep(&w, 29900);
    expect_no_limit(&w);
    wire_sleep(&w, 200);
    expect_fin(&w, 3);
    expect_limit(&w, REFUSED_LATE, 1);
    ck_assert_uint_eq(wire_stats(&w).streams_refused, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L3_unread_data_pauses_reading)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.max_receive_buffer = 65536;
    stream = start_server(&w, &config, _i);
    wire_data(&w, 3, 50000, 10000);
    ck_assert_uint_eq(wire_stats(&w).receive_pauses, 0);
    wire_data(&w, 3, 30000, 10000);
    ck_assert_uint_eq(wire_stats(&w).receive_pauses, 1);
    ck_assert(!smux_engine_wants_read(w.engine));
    wire_sleep(&w, 1500);
    expect_read(&w, stream, 50000);
    wire_push(&w);
    ck_assert_uint_ge(wire_stats(&w).receive_paused_us, 1500000);
    expect_no_limit(&w); /* nothing was lost by it */
    expect_read(&w, stream, 30000);
    wire_stop(&w);
}
END_TEST

/* Frames of one byte, many streams, nobody reads: the memory is the same as for large ones. */
START_TEST(L4_heap_of_a_session)
{
    struct smux_config config = wire_config(1);
    size_t limit = (size_t)(1 << 20) / 4 * 5 + 100 * 256 + (64 << 10);
    struct wire w;

    config.max_receive_buffer = 1 << 20;
    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    for (uint32_t i = 0; i < 100; i++) {
        wire_syn(&w, 3 + 2 * i);
        wire_accept(&w, 3 + 2 * i);
    }
    for (uint32_t i = 0; smux_engine_wants_read(w.engine); i++) {
        wire_psh(&w, 3 + 2 * (i % 100), 1);
    }
    ck_assert_uint_ge(wire_stats(&w).receive_buffer, 1 << 20);
    ck_assert_uint_le(w.heap.peak, limit);
    expect_no_limit(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(L5_window_twice_overrun)
{
    smux_estream *stream;
    struct smux_config config = wire_config(2);
    struct wire w;

    stream = start_server(&w, &config, _i);
    wire_data(&w, 3, 2 * 262144, 32768);
    expect_no_limit(&w);
    wire_psh(&w, 3, 1);
    expect_status(&w, stream, SMUX_EWINDOW);
    expect_limit(&w, ABORTED_WINDOW, 1);
    ck_assert_uint_eq(wire_stats(&w).streams_aborted, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L5_credit_for_what_was_not_sent)
{
    smux_estream *stream;
    struct smux_config config = wire_config(2);
    struct wire w;

    stream = start_server(&w, &config, _i);
    wire_write(&w, stream, 100);
    expect_data(&w, 3, 100);
    wire_upd(&w, 3, 100, 1000);
    expect_no_limit(&w);
    wire_upd(&w, 3, 101, 1000);
    expect_status(&w, stream, SMUX_ECONSUMED);
    expect_limit(&w, ABORTED_CONSUMED, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L6_glitches_end_the_session)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.glitch_burst = 20;
    config.glitch_rate = 1;
    start_server(&w, &config, _i);
    for (int i = 0; i < 20; i++) {
        wire_psh(&w, 3, 0);
    }
    expect_alive(&w);
    expect_glitches(&w, 20);
    expect_no_limit(&w);
    wire_psh(&w, 3, 0);
    expect_dead(&w, SMUX_EFLOOD);
    wire_psh(&w, 3, 0);
    expect_limit(&w, ENDED_FLOOD, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L7_refusals_that_cannot_be_queued)
{
    struct smux_config config = wire_config(1);
    struct smux_session_stats stats;
    struct wire w;

    config.max_remote_streams = 1;
    config.max_refusals = 10;
    start_server(&w, &config, _i);
    w.blocked = true;
    for (uint32_t i = 0; i < 13; i++) {
        wire_syn(&w, 5 + 2 * i);
    }
    stats = wire_stats(&w);
    ck_assert_uint_eq(stats.streams_refused, 13);
    ck_assert_uint_eq(stats.limits[SMUX_LIMIT_REFUSED_STREAMS], 13);
    ck_assert_uint_eq(stats.limits[SMUX_LIMIT_DROPPED_SYNS], 3);
    expect_glitches(&w, 30);
    wire_stop(&w);
}
END_TEST

START_TEST(L8_what_waits_to_be_sent)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;
    size_t len;

    config.max_stream_send_buffer = 10000;
    stream = start_server(&w, &config, _i);
    w.blocked = true;
    ck_assert_uint_eq(wire_write_some(&w, stream, 20000), 10000);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, NULL, 0, &len), SMUX_OK);
    expect_no_limit(&w);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_EAGAIN);
    expect_limit(&w, BLOCKED_WRITES, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L8_every_stream_may_queue_4_KiB)
{
    struct smux_config config = wire_config(1);
    smux_estream *greedy, *other;
    struct wire w;

    config.max_send_buffer = 100000;
    greedy = start_server(&w, &config, _i);
    wire_syn(&w, 5);
    other = wire_accept(&w, 5);
    w.blocked = true;
    ck_assert_uint_eq(wire_write_some(&w, greedy, 200000), 100000);
    ck_assert_uint_eq(wire_write_some(&w, other, 200000), 4096);
    expect_no_limit(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(L9_silence_of_a_peer_that_sends_nops)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.keepalive_interval_ms = 10000;
    config.keepalive_timeout_ms = 30000;
    start_server(&w, &config, _i);
    wire_sleep(&w, 100000); /* no NOP has come yet */
    expect_alive(&w);
    wire_nop(&w);
    wire_sleep(&w, 29900);
    expect_alive(&w);
    expect_no_limit(&w);
    wire_sleep(&w, 200);
    expect_dead(&w, SMUX_ETIMEDOUT);
    expect_limit(&w, ENDED_KEEPALIVE, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L10_stalled_session_gives_up_its_largest_stream)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.max_receive_buffer = 65536;
    config.stall_timeout_ms = 5000;
    stream = start_server(&w, &config, _i);
    wire_data(&w, 3, 80000, 10000);
    wire_sleep(&w, 4900);
    expect_no_limit(&w);
    wire_sleep(&w, 200);
    expect_status(&w, stream, SMUX_ESTALLED);
    expect_limit(&w, ABORTED_STALL, 1);
    ck_assert(smux_engine_wants_read(w.engine));
    wire_stop(&w);
}
END_TEST

START_TEST(L11_peer_that_takes_no_data)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.send_stall_timeout_ms = 60000;
    stream = start_server(&w, &config, _i);
    w.blocked = true;
    wire_write(&w, stream, 1000);
    ck_assert_uint_eq(wire_take(&w, 1), 1); /* and then no more */
    wire_sleep(&w, 59900);
    expect_alive(&w);
    expect_no_limit(&w);
    wire_sleep(&w, 200);
    expect_dead(&w, SMUX_ETIMEDOUT);
    ck_assert_str_eq(smux_engine_error_text(w.engine), "the peer takes no data");
    expect_limit(&w, ENDED_SEND_STALL, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L12_session_without_streams)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    config.idle_timeout_ms = 60000;
    stream = start_server(&w, &config, _i);
    wire_sleep(&w, 200000);
    expect_alive(&w); /* a stream, if a silent one */
    wire_fin(&w, 3);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    wire_sleep(&w, 59900);
    expect_alive(&w);
    expect_no_limit(&w);
    wire_sleep(&w, 200);
    expect_dead(&w, SMUX_ECLOSED);
    expect_limit(&w, ENDED_IDLE, 1);
    wire_stop(&w);
}
END_TEST

/* Closes a stream that the peer has not finished. */
static void close_early(struct wire *w, uint32_t id)
{
    wire_syn(w, id);
    smux_estream_close(w->engine, wire_accept(w, id));
    expect_fin(w, id);
}

START_TEST(L13_closed_streams_that_are_still_credited)
{
    struct smux_config config = wire_config(2);
    struct wire w;

    config.max_discards = 2;
    wire_start(&w, SMUX_SERVER, &config, _i);
    close_early(&w, 3);
    close_early(&w, 5);
    expect_no_limit(&w);
    close_early(&w, 7); /* too many: the oldest goes */
    expect_limit(&w, FORGOTTEN_DISCARDS, 1);
    wire_data(&w, 5, 1 << 20, 32768);
    expect_limit(&w, FORGOTTEN_DISCARDS, 1);
    wire_psh(&w, 5, 1); /* too much */
    expect_limit(&w, FORGOTTEN_DISCARDS, 2);
    wire_sleep(&w, 300100); /* too old */
    expect_limit(&w, FORGOTTEN_DISCARDS, 3);
    wire_skip(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(L16_throttled_session_takes_only_what_is_read)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.keepalive_timeout_ms = 30000;
    config.keepalive_interval_ms = 10000;
    config.stall_timeout_ms = SMUX_OFF;
    stream = start_server(&w, &config, _i);
    wire_nop(&w);
    smux_engine_throttle(w.engine, true);
    for (int i = 0; i < 20; i++) { /* the application keeps up */
        wire_psh(&w, 3, 20000);
        expect_read(&w, stream, 20000);
    }
    ck_assert(smux_engine_wants_read(w.engine));
    wire_psh(&w, 3, 20000);
    ck_assert(!smux_engine_wants_read(w.engine));
    wire_psh(&w, 3, 20000); /* waits at the transport */
    ck_assert_uint_eq(wire_stream_stats(&w, stream).unread, 20000);
    wire_sleep(&w, 100000); /* the peer's silence is our doing */
    expect_alive(&w);
    smux_engine_throttle(w.engine, false);
    ck_assert(smux_engine_wants_read(w.engine));
    wire_push(&w);
    expect_read(&w, stream, 40000);
    expect_no_limit(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(L16_session_with_unread_data_pauses_when_it_is_throttled)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, &config, _i);
    wire_data(&w, 3, 100000, 10000);
    ck_assert(smux_engine_wants_read(w.engine));
    smux_engine_throttle(w.engine, true);
    ck_assert(!smux_engine_wants_read(w.engine));
    expect_read(&w, stream, 90000);
    ck_assert(!smux_engine_wants_read(w.engine));
    expect_read(&w, stream, 10000);
    ck_assert(smux_engine_wants_read(w.engine)); /* still throttled, and nothing is unread */
    wire_stop(&w);
}
END_TEST

START_TEST(L16_throttled_session_queues_little)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream, *other;
    struct wire w;

    stream = start_server(&w, &config, _i);
    wire_syn(&w, 5);
    other = wire_accept(&w, 5);
    smux_engine_throttle(w.engine, true);
    for (int i = 0; i < 20; i++) { /* the peer keeps up */
        wire_write(&w, stream, 4000);
        expect_data(&w, 3, 4000);
    }
    w.blocked = true;
    ck_assert_uint_eq(wire_write_some(&w, stream, 200000), 4096);
    ck_assert_uint_eq(wire_write_some(&w, other, 200000), 512);
    smux_engine_throttle(w.engine, false);
    ck_assert_uint_eq(wire_write_some(&w, stream, 200000), 200000);
    w.blocked = false;
    wire_skip(&w);
    ck_assert_uint_eq(wire_stats(&w).payload_out, 20 * 4000 + 4096 + 512 + 200000);
    wire_stop(&w);
}
END_TEST

/* What is configured smaller stays so: throttling never allows more. */
START_TEST(L16_throttling_leaves_smaller_limits_as_they_are)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.max_receive_buffer = 1000;
    config.max_stream_buffer = 1000;
    config.max_stream_send_buffer = 100;
    config.max_send_buffer = 200;
    stream = start_server(&w, &config, _i);
    smux_engine_throttle(w.engine, true);
    wire_psh(&w, 3, 500);
    ck_assert(smux_engine_wants_read(w.engine));
    wire_psh(&w, 3, 600);
    ck_assert(!smux_engine_wants_read(w.engine));
    w.blocked = true;
    ck_assert_uint_eq(wire_write_some(&w, stream, 4096), 100);
    expect_read(&w, stream, 1100);
    ck_assert(smux_engine_wants_read(w.engine));
    w.blocked = false;
    expect_data(&w, 3, 100);
    wire_stop(&w);
}
END_TEST

START_TEST(L18_frame_that_does_not_come_to_its_end)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    start_server(&w, &config, _i);
    wire_header(&w, CMD_PSH, 100, 3);
    wire_feed(&w, "begun", 5);
    wire_sleep(&w, 119900);
    expect_alive(&w);
    expect_no_limit(&w);
    wire_sleep(&w, 200);
    expect_dead(&w, SMUX_ETIMEDOUT);
    expect_limit(&w, ENDED_FRAME, 1);
    wire_stop(&w);
}
END_TEST

START_TEST(L19_writer_whose_peer_has_finished_and_gives_no_credit)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;
    size_t len;

    stream = start_server(&w, &config, _i);
    wire_write(&w, stream, 262144);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    wire_write(&w, stream, 1000);
    wire_fin(&w, 3);
    wire_sleep(&w, 299900);
    expect_no_limit(&w);
    wire_sleep(&w, 200);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_EPIPE);
    expect_limit(&w, ABORTED_HALF_CLOSE, 1);
    wire_stop(&w);
}
END_TEST

/* What we wait for by ourselves: the opener's table, and late data behind the peer's FIN. */
START_TEST(L22_guard_and_linger_have_an_end)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.accept_guard_ms = 0; /* 5 ms */
    config.fin_linger_ms = 0;   /* 250 ms */
    stream = start_server(&w, &config, _i);
    wire_write(&w, stream, 10);
    wire_sleep(&w, 4);
    expect_quiet(&w);
    wire_sleep(&w, 2);
    expect_data(&w, 3, 10);
    wire_fin(&w, 3);
    smux_estream_shutdown(w.engine, stream);
    wire_sleep(&w, 240);
    expect_quiet(&w);
    wire_sleep(&w, 20);
    expect_fin(&w, 3);
    expect_no_limit(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(R10_stream_for_which_there_is_no_memory_is_refused)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    start_server(&w, &config, FEED_WHOLE);
    w.heap.fail_at = w.heap.calls + 1;
    w.heap.fail_on = true;
    for (uint32_t id = 5; wire_stats(&w).streams_refused == 0; id += 2) {
        wire_syn(&w, id); /* what is kept for reuse goes first */
    }
    w.heap.fail_at = 0;
    w.heap.fail_on = false;
    ck_assert_uint_eq(wire_stats(&w).limits[SMUX_LIMIT_REFUSED_MEMORY], 1);
    expect_alive(&w);
    wire_skip(&w);
    wire_stop(&w);
}
END_TEST

/* The peer cannot help it, and pays nothing. */
START_TEST(R10_refusal_for_which_there_is_no_memory_is_not_sent)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.max_remote_streams = 1;
    start_server(&w, &config, FEED_WHOLE);
    w.heap.fail_at = w.heap.calls + 1;
    w.heap.fail_on = true;
    wire_syn(&w, 5);
    w.heap.fail_at = 0;
    w.heap.fail_on = false;
    expect_quiet(&w);
    ck_assert_uint_eq(wire_stats(&w).limits[SMUX_LIMIT_DROPPED_SYNS], 1);
    expect_glitches(&w, 0);
    wire_syn(&w, 7);
    expect_fin(&w, 7);
    wire_stop(&w);
}
END_TEST

/* Whatever fires, once the first stream was refused: the ring of refusals is made then. */
START_TEST(R18_limits_take_no_memory_when_they_act)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    config.max_remote_streams = 2;
    config.max_refusals = 10;
    stream = start_server(&w, &config, FEED_WHOLE);
    wire_syn(&w, 5);
    wire_accept(&w, 5);
    wire_syn(&w, 7);
    expect_fin(&w, 7);
    wire_write(&w, stream, 100);
    wire_skip(&w);
    w.blocked = true;
    uint64_t calls = w.heap.calls;
    for (uint32_t id = 9; id < 9 + 2 * 15; id += 2) {
        wire_syn(&w, id); /* L1, L7 */
    }
    wire_upd(&w, 3, 101, 262144); /* L5 */
    expect_status(&w, stream, SMUX_ECONSUMED);
    while (smux_engine_error(w.engine) == SMUX_OK) {
        wire_psh(&w, 5, 0); /* L6 */
    }
    ck_assert_int_eq(smux_engine_error(w.engine), SMUX_EFLOOD);
    struct smux_session_stats stats = wire_stats(&w);
    ck_assert_uint_eq(stats.limits[SMUX_LIMIT_REFUSED_STREAMS], 16);
    ck_assert_uint_eq(stats.limits[SMUX_LIMIT_DROPPED_SYNS], 5);
    ck_assert_uint_eq(stats.limits[SMUX_LIMIT_ABORTED_CONSUMED], 1);
    ck_assert_uint_eq(stats.limits[SMUX_LIMIT_ENDED_FLOOD], 1);
    ck_assert_uint_eq(w.heap.calls, calls);
    wire_stop(&w);
}
END_TEST

/* Others go on, and what came too much is counted. */
START_TEST(R10_payload_for_which_there_is_no_memory_aborts_its_stream)
{
    struct smux_config config = wire_config(1);
    uint8_t frame[FRAME_HEADER + 100];
    smux_estream *stream, *other;
    struct wire w;
    size_t taken;

    stream = start_server(&w, &config, FEED_WHOLE);
    wire_syn(&w, 5);
    other = wire_accept(&w, 5);
    put_psh(frame, 1, 3, (const uint8_t[100]){0}, 100);
    for (size_t n = 0; n < sizeof frame; n += 9) { /* the frame comes in pieces */
        w.heap.fail_at = w.heap.calls + 1;
        w.heap.fail_on = true;
        ck_assert_int_eq(smux_engine_recv(w.engine, frame + n, 9, w.now, &taken), SMUX_OK);
        ck_assert_uint_eq(taken, 9);
    }
    w.heap.fail_at = 0;
    w.heap.fail_on = false;
    expect_alive(&w);
    expect_status(&w, stream, SMUX_ENOMEM);
    expect_limit(&w, ABORTED_MEMORY, 1);
    ck_assert_uint_eq(wire_stats(&w).payload_discarded, 100);
    wire_skip(&w);
    wire_psh(&w, 5, 100);
    expect_read(&w, other, 100);
    wire_stop(&w);
}
END_TEST

START_TEST(limits_have_names)
{
    for (unsigned i = 0; i < SMUX_LIMIT_COUNT; i++) {
        ck_assert_ptr_nonnull(smux_limit_name(i));
        for (unsigned j = 0; j < i; j++) {
            ck_assert_str_ne(smux_limit_name(i), smux_limit_name(j));
        }
    }
    ck_assert_str_eq(smux_limit_name(SMUX_LIMIT_REFUSED_STREAMS), "refused_streams");
    ck_assert_str_eq(smux_limit_name(SMUX_LIMIT_ENDED_IDLE), "ended_idle");
    ck_assert_ptr_null(smux_limit_name(SMUX_LIMIT_COUNT));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *tc = tcase_create("limits");

    add_every_split(tc, L1_streams_that_are_not_closed_yet);
    add_every_split(tc, L2_streams_that_wait_to_be_accepted);
    add_every_split(tc, L2_stream_that_waits_too_long_to_be_accepted);
    add_every_split(tc, L3_unread_data_pauses_reading);
    tcase_add_test(tc, L4_heap_of_a_session);
    add_every_split(tc, L5_window_twice_overrun);
    add_every_split(tc, L5_credit_for_what_was_not_sent);
    add_every_split(tc, L6_glitches_end_the_session);
    add_every_split(tc, L7_refusals_that_cannot_be_queued);
    add_every_split(tc, L8_what_waits_to_be_sent);
    add_every_split(tc, L8_every_stream_may_queue_4_KiB);
    add_every_split(tc, L9_silence_of_a_peer_that_sends_nops);
    add_every_split(tc, L10_stalled_session_gives_up_its_largest_stream);
    add_every_split(tc, L11_peer_that_takes_no_data);
    add_every_split(tc, L12_session_without_streams);
    add_every_split(tc, L13_closed_streams_that_are_still_credited);
    add_every_split(tc, L16_throttled_session_takes_only_what_is_read);
    add_every_split(tc, L16_session_with_unread_data_pauses_when_it_is_throttled);
    add_every_split(tc, L16_throttled_session_queues_little);
    add_every_split(tc, L16_throttling_leaves_smaller_limits_as_they_are);
    add_every_split(tc, L18_frame_that_does_not_come_to_its_end);
    add_every_split(tc, L19_writer_whose_peer_has_finished_and_gives_no_credit);
    add_every_split(tc, L22_guard_and_linger_have_an_end);
    tcase_add_test(tc, R10_stream_for_which_there_is_no_memory_is_refused);
    tcase_add_test(tc, R10_payload_for_which_there_is_no_memory_aborts_its_stream);
    tcase_add_test(tc, R10_refusal_for_which_there_is_no_memory_is_not_sent);
    tcase_add_test(tc, R18_limits_take_no_memory_when_they_act);
    tcase_add_test(tc, limits_have_names);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
