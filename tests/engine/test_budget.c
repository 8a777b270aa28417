/*
 * test_budget.c - BKT-1..8: the budget of a session for unread data.
 *
 * ctest-timeout: 900
 */
#include "support/suite.h"
#include "support/wire.h"

#include <stdlib.h>
#include <string.h>

/* L4, and what the receive path may hold for bytes that are not decoded yet. */
static size_t heap_limit(uint32_t budget, uint32_t streams)
{
    return (size_t)budget + budget / 4 + (size_t)256 * streams + 65536;
}

static struct smux_config budget_config(unsigned version, uint32_t budget)
{
    struct smux_config config = wire_config(version);

    config.max_receive_buffer = budget;
    config.max_stream_buffer = budget < 65536 ? budget : 65536;
    return config;
}

START_TEST(BKT_1_range_of_the_budget)
{
    static const struct {
        uint32_t budget, window;
        int status;
    } cases[] = {
        {0, 0, SMUX_OK},
        {1, 1, SMUX_OK},
        {65536, 0, SMUX_OK},
        {65535, 65536, SMUX_ECONFIG},
        {65535, 0, SMUX_OK},
        {1, 0, SMUX_OK},
        {1, 2, SMUX_ECONFIG},
        {0x7fffffff, 0, SMUX_OK},
        {0x80000000, 0, SMUX_ECONFIG},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smux_config config = wire_config(2);
        const char *why = NULL;

        config.max_receive_buffer = cases[i].budget;
        config.max_stream_buffer = cases[i].window;
        ck_assert_int_eq(smux_config_check(&config, SMUX_CLIENT, &why), cases[i].status);
        ck_assert((why == NULL) == (cases[i].status == SMUX_OK));
    }
}
END_TEST

START_TEST(BKT_1_default_is_4_MiB)
{
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    ck_assert_uint_eq(wire_stats(&w).receive_budget, 4194304);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_2_charge_covers_the_data)
{
    static const size_t lens[] = {1, 2, 63, 64, 65, 1000, 4096, 30000, 65535};
    smux_estream *stream;
    uint32_t before = 0;
    size_t unread = 0;
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        wire_psh(&w, 3, lens[i]);
        unread += lens[i];
        ck_assert_uint_ge(wire_stats(&w).receive_buffer, unread);
        ck_assert_uint_ge(wire_stats(&w).receive_buffer, before);
        before = wire_stats(&w).receive_buffer;
    }
    expect_read(&w, stream, unread);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_stop(&w);
}
END_TEST

/* Floods with frames of `len` bytes on `streams` streams until nothing more is taken, or until
 * `frames` frames were. Nobody reads. The heap must stay within L4. */
static void flood(int mode, uint32_t streams, size_t len, uint32_t frames, uint32_t budget)
{
    struct smux_config config = budget_config(1, budget);
    size_t limit;
    struct wire w;

    config.accept_backlog = streams;
    wire_start(&w, SMUX_SERVER, &config, mode);
    for (uint32_t i = 0; i < streams; i++) {
        wire_syn(&w, 3 + 2 * i);
    }
    limit = w.heap.now + heap_limit(budget, 0); /* the streams themselves are there already */
    heap_reset_peak(&w.heap);
    for (uint32_t i = 0; i < frames && smux_engine_wants_read(w.engine); i++) {
        uint8_t frame[FRAME_HEADER + 100] = {0};

        put_header(frame, 1, CMD_PSH, (unsigned)len, 3 + 2 * (i % streams));
        wire_feed(&w, frame, FRAME_HEADER + len);
    }
    ck_assert_msg(!smux_engine_wants_read(w.engine), "the flood was not stopped");
    ck_assert_msg(w.heap.peak <= limit, "heap of %zu bytes, %zu allowed", w.heap.peak, limit);
    ck_assert_uint_ge(wire_stats(&w).payload_in * 2, budget > 65536 ? budget / 100 : 1);
    expect_glitches(&w, 0);
    wire_stop(&w);
}

START_TEST(BKT_2_one_byte_frames_on_one_stream_stay_within_the_heap)
{
    flood(_i, 1, 1, 10000000, 1 << 18);
}
END_TEST

START_TEST(BKT_2_one_byte_frames_on_many_streams_stay_within_the_heap)
{
    flood(_i, 10, 1, 10000000, 1 << 18);
    flood(_i, 1000, 1, 10000000, 1 << 18);
}
END_TEST

START_TEST(BKT_2_odd_frames_stay_within_the_heap)
{
    flood(_i, 7, 65, 1000000, 1 << 19);
    flood(_i, 100, 97, 1000000, 1 << 19);
}
END_TEST

START_TEST(BKT_2_packing_uses_the_budget_well)
{
    struct smux_config config = budget_config(1, 1 << 20);
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    while (smux_engine_wants_read(w.engine)) {
        wire_psh(&w, 3, 1);
    }
    /* One-byte frames of one stream share chunks: at least half of the budget is data. */
    ck_assert_uint_ge(wire_stats(&w).payload_in, 1 << 19);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_3_charge_returns_at_once)
{
    for (int how = 0; how < 4; how++) {
        smux_estream *stream;
        struct wire w;

        wire_start(&w, SMUX_SERVER, NULL, _i);
        wire_syn(&w, 3);
        stream = wire_accept(&w, 3);
        for (int i = 0; i < 50; i++) {
            wire_psh(&w, 3, 1 + 37 * (size_t)i);
        }
        switch (how) {
        case 0:
            expect_read(&w, stream, (size_t)wire_stats(&w).payload_in);
            break;
        case 1:
            smux_estream_abort(w.engine, stream, SMUX_EABORTED);
            break;
        case 2:
            smux_estream_close(w.engine, stream);
            break;
        default:
            smux_engine_fail(w.engine, SMUX_EIO, "cut");
            smux_estream_close(w.engine, stream);
            break;
        }
        ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(BKT_4_reading_stops_when_the_budget_is_used_up)
{
    static const uint32_t budgets[] = {1, 100, 5000, 65536, 300000};

    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        struct smux_config config = budget_config(1, budgets[i]);
        smux_estream *stream;
        struct wire w;

        wire_start(&w, SMUX_SERVER, &config, _i);
        wire_syn(&w, 3);
        stream = wire_accept(&w, 3);
        for (int n = 0; n < 8; n++) {
            wire_psh(&w, 3, 65535);
        }
        ck_assert(!smux_engine_wants_read(w.engine));
        ck_assert_uint_le(wire_stats(&w).payload_in, (uint64_t)budgets[i] + 65534);
        ck_assert_uint_eq(wire_stats(&w).receive_pauses, 1);
        for (int n = 0; n < 8; n++) {
            expect_read(&w, stream, 65535);
            wire_push(&w);
        }
        ck_assert(smux_engine_wants_read(w.engine));
        ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(BKT_4_taken_counts_exactly_when_the_budget_ends)
{
    struct smux_config config = budget_config(1, 1000);
    uint8_t buf[4 * (FRAME_HEADER + 600)];
    smux_estream *stream;
    struct wire w;
    size_t len = 0;
    size_t taken;

    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    memset(buf, 'x', sizeof(buf));
    for (int i = 0; i < 4; i++) {
        len += put_header(buf + len, 1, CMD_PSH, 600, 3) + 600;
    }
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    ck_assert_int_eq(smux_engine_recv(w.engine, buf, len, w.now, &taken), SMUX_OK);
    ck_assert_uint_lt(taken, len);
    ck_assert_uint_eq(taken % (FRAME_HEADER + 600), 0); /* whole frames only */
    ck_assert_uint_eq(wire_stats(&w).wire_in, 8 + taken);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED);
    ck_assert(smux_engine_wants_read(w.engine));
    len -= taken;
    ck_assert_int_eq(smux_engine_recv(w.engine, buf + taken, len, w.now, &taken), SMUX_OK);
    ck_assert_uint_eq(taken, len);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_5_budget_is_conserved)
{
    struct smux_config config = budget_config(2, 100000);
    smux_estream *streams[8] = {NULL};
    struct rng rng;
    struct wire w;

    config.accept_backlog = 3;
    config.max_remote_streams = 7;
    wire_start(&w, SMUX_SERVER, &config, _i);
    rng_seed(&rng, 5);
    for (uint32_t id = 3; id < 1200; id += 2) {
        uint32_t slot = rng_below(&rng, 8);

        wire_syn(&w, id);
        wire_psh(&w, id, rng_log(&rng, 1, 3000));
        if (streams[slot] != NULL) {
            if (rng_chance(&rng, 50)) {
                smux_estream_abort(w.engine, streams[slot], SMUX_EABORTED);
            }
            smux_estream_close(w.engine, streams[slot]);
            streams[slot] = NULL;
        }
        if (rng_chance(&rng, 10)) {
            w.heap.fail_at = w.heap.calls + rng_between(&rng, 1, 3);
        }
        if (smux_engine_accept(w.engine, &streams[slot]) != SMUX_OK) {
            streams[slot] = NULL;
        }
        wire_skip(&w);
    }
    ck_assert_int_eq(smux_engine_error(w.engine), SMUX_OK);
    for (int i = 0; i < 8; i++) {
        if (streams[i] != NULL) {
            smux_estream_close(w.engine, streams[i]);
        }
    }
    while (smux_engine_accept(w.engine, &streams[0]) == SMUX_OK) {
        smux_estream_close(w.engine, streams[0]);
    }
    wire_push(&w);
    while (smux_engine_accept(w.engine, &streams[0]) == SMUX_OK) {
        smux_estream_close(w.engine, streams[0]);
    }
    wire_sleep(&w, 600000); /* discard records end, too */
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    ck_assert_uint_eq(wire_stats(&w).streams_now, 0);
    ck_assert_uint_eq(wire_stats(&w).credit_now, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_6_pause_of_receiving_never_stops_sending)
{
    struct smux_config config = budget_config(2, 65536);
    smux_estream *full, *other;
    struct wire w;

    config.keepalive_interval_ms = 10000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    full = wire_accept(&w, 3);
    other = wire_accept(&w, 5);
    wire_skip(&w);
    wire_psh(&w, 5, 1000);
    for (int i = 0; i < 8; i++) {
        wire_psh(&w, 3, 30000);
    }
    ck_assert(!smux_engine_wants_read(w.engine));
    wire_skip(&w); /* windows told ahead of any reading */
    wire_write(&w, other, 5000);
    expect_data(&w, 5, 5000);
    expect_read(&w, other, 1000);
    {
        struct frame frame;

        ck_assert(wire_frame(&w, &frame));
        ck_assert_uint_eq(frame.cmd, CMD_UPD);
        ck_assert_uint_eq(frame.id, 5);
        ck_assert_uint_eq(frame.consumed, 1000);
    }
    ck_assert_int_eq(smux_estream_shutdown(w.engine, other), SMUX_OK);
    expect_fin(&w, 5);
    wire_open(&w);
    expect_syn(&w, 2);
    wire_sleep(&w, 10001);
    expect_nop(&w);
    ck_assert_uint_gt(wire_stream_stats(&w, full).unread, 0);
    wire_stop(&w);
}
END_TEST

/* --- BKT-7: the credit ledger -------------------------------------------------------------- */

START_TEST(BKT_7_windows_shrink_before_reading_pauses)
{
    enum {
        STREAMS = 40
    };
    struct smux_config config = budget_config(2, 1 << 20);
    smux_estream *streams[STREAMS];
    uint64_t granted = 0;
    uint32_t last[STREAMS];
    struct frame frame;
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    for (uint32_t i = 0; i < STREAMS; i++) {
        wire_syn(&w, 3 + 2 * i);
        streams[i] = wire_accept(&w, 3 + 2 * i);
    }
    /* After the first updates all windows together must fit into the budget, but for a little:
     * no stream is offered less than 16 KiB. */
    for (int round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < STREAMS; i++) {
            wire_psh(&w, 3 + 2 * i, 5000);
            expect_read(&w, streams[i], 5000);
        }
        while (wire_frame(&w, &frame)) {
            ck_assert_uint_eq(frame.cmd, CMD_UPD);
            last[(frame.id - 3) / 2] = frame.consumed + frame.window;
        }
    }
    for (uint32_t i = 0; i < STREAMS; i++) {
        granted += last[i] - (uint32_t)wire_flow(&w, 3 + 2 * i)->fed;
    }
    ck_assert_msg(granted <= (1 << 20) + (1 << 17), "%zu bytes of credit granted", (size_t)granted);
    ck_assert_uint_gt(wire_stats(&w).windows_shrunk, 0);
    ck_assert_uint_eq(wire_stats(&w).receive_pauses, 0);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_7_unread_stream_does_not_stop_others_in_v2)
{
    struct smux_config config = budget_config(2, 4 << 20);
    smux_estream *unread, *read;
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    unread = wire_accept(&w, 3);
    read = wire_accept(&w, 5);
    wire_data(&w, 3, 262144, 32768); /* all that an obedient peer sends */
    for (int i = 0; i < 300; i++) {
        wire_psh(&w, 5, 32768);
        expect_read(&w, read, 32768);
    }
    ck_assert_uint_eq(wire_stream_stats(&w, unread).unread, 262144);
    ck_assert_uint_eq(wire_stats(&w).receive_pauses, 0);
    wire_stop(&w);
}
END_TEST

/* --- BKT-8: a stream that nobody reads ----------------------------------------------------- */

START_TEST(BKT_8_default_is_to_pause_for_ever)
{
    struct smux_config config = budget_config(1, 65536);
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_data(&w, 3, 100000, 10000);
    wire_sleep(&w, 3600000);
    expect_alive(&w);
    expect_quiet(&w);
    expect_read(&w, stream, 60000);
    wire_push(&w);
    expect_read(&w, stream, 40000);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_8_stall_timeout_aborts_the_largest_stream)
{
    struct smux_config config = budget_config(1, 65536);
    smux_estream *large, *small;
    struct wire w;

    config.stall_timeout_ms = 5000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 5);
    small = wire_accept(&w, 3);
    large = wire_accept(&w, 5);
    wire_psh(&w, 3, 2000);
    wire_data(&w, 5, 100000, 10000);
    ck_assert(!smux_engine_wants_read(w.engine));
    wire_sleep(&w, 4000);
    expect_quiet(&w);
    wire_sleep(&w, 2000);
    expect_fin(&w, 5);
    expect_status(&w, large, SMUX_ESTALLED);
    ck_assert(smux_engine_wants_read(w.engine));
    wire_push(&w);
    wire_psh(&w, 3, 100);
    expect_read(&w, small, 2100);
    ck_assert_uint_eq(wire_stats(&w).streams_aborted, 1);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

/* The budget is used up by room that was handed out for the rest of a payload. */
START_TEST(BKT_8_stall_without_unread_data_aborts_nothing)
{
    struct smux_config config = budget_config(1, 20000);
    static uint8_t zeros[30000], buf[30000];
    smux_estream *stream;
    struct smux_iov iov[2];
    struct wire w;
    size_t got;

    config.stall_timeout_ms = 5000;
    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_header(&w, CMD_PSH, 60000, 3);
    wire_feed(&w, zeros, 30000);
    ck_assert_int_ge(smux_engine_recv_iov(w.engine, iov, 2), 1);
    ck_assert_int_eq(smux_estream_read(w.engine, stream, buf, sizeof(buf), &got), SMUX_OK);
    ck_assert_uint_eq(got, 30000);
    ck_assert_uint_gt(wire_stats(&w).receive_buffer, 20000);
    for (int i = 0; i < 3; i++) {
        w.now += 30000000; /* the first one tells that time has passed */
        ck_assert_int_eq(smux_engine_tick(w.engine, w.now), SMUX_OK);
        ck_assert_uint_gt(smux_engine_deadline(w.engine), w.now);
    }
    ck_assert_uint_eq(wire_stats(&w).streams_aborted, 0);
    smux_engine_recv_commit(w.engine, 0, w.now);
    wire_feed(&w, zeros, 30000);
    ck_assert_int_eq(smux_estream_read(w.engine, stream, buf, sizeof(buf), &got), SMUX_OK);
    ck_assert_uint_eq(got, 30000);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_8_local_read_restarts_the_stall_timeout)
{
    struct smux_config config = budget_config(1, 65536);
    smux_estream *stream;
    struct wire w;

    config.stall_timeout_ms = 5000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_data(&w, 3, 500000, 60000);
    for (int i = 0; i < 30; i++) {
        wire_sleep(&w, 4000);
        expect_read(&w, stream, 100); /* slow, but it reads */
        wire_push(&w);
    }
    expect_quiet(&w);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

/* Takes three frames at once, of which the budget lets in two; what follows lies undecoded in the
 * buffer. */
static smux_estream *start_with_a_frame_that_waits(struct wire *w, uint8_t last_version)
{
    struct smux_config config = budget_config(1, 1000);
    uint8_t frames[3 * (FRAME_HEADER + 600)];
    smux_estream *stream;
    size_t len = 0;

    wire_start(w, SMUX_SERVER, &config, FEED_IOV);
    wire_syn(w, 3);
    stream = wire_accept(w, 3);
    for (int i = 0; i < 3; i++) {
        len += put_psh(frames + len, i < 2 ? 1 : last_version, 3, (const uint8_t[600]){0}, 600);
    }
    wire_feed(w, frames, len);
    ck_assert_uint_eq(wire_stream_stats(w, stream).unread, 1200);
    ck_assert_uint_eq(wire_stats(w).receive_pauses, 1);
    return stream;
}

static void expect_decoded(struct wire *w, smux_estream *stream, int end)
{
    char buf[2000];
    size_t len;

    ck_assert_int_eq(smux_estream_read(w->engine, stream, buf, sizeof buf, &len), SMUX_OK);
    ck_assert_uint_eq(len, 1200);
    expect_dead(w, end);
    expect_status(w, stream, end);
    ck_assert_uint_eq(wire_stats(w).frames_in.psh, 2);
    wire_stop(w);
}

START_TEST(BKT_4_what_had_no_budget_when_the_session_failed_is_not_decoded)
{
    struct wire w;
    smux_estream *stream = start_with_a_frame_that_waits(&w, 1);

    smux_engine_fail(w.engine, SMUX_EIO, NULL);
    expect_decoded(&w, stream, SMUX_EIO);
}
END_TEST

/* The end waits for it, and then is none. */
START_TEST(END_2_an_error_in_what_had_no_budget_comes_before_the_end)
{
    struct wire w;
    smux_estream *stream = start_with_a_frame_that_waits(&w, 9);

    smux_engine_recv_eof(w.engine, w.now);
    expect_alive(&w);
    expect_decoded(&w, stream, SMUX_EPROTO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("budget");
    TCase *tc = tcase_create("budget");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, BKT_1_range_of_the_budget);
    add_every_split(tc, BKT_1_default_is_4_MiB);
    add_every_split(tc, BKT_2_charge_covers_the_data);
    add_every_split(tc, BKT_2_one_byte_frames_on_one_stream_stay_within_the_heap);
    add_every_split(tc, BKT_2_one_byte_frames_on_many_streams_stay_within_the_heap);
    add_every_split(tc, BKT_2_odd_frames_stay_within_the_heap);
    add_every_split(tc, BKT_2_packing_uses_the_budget_well);
    add_every_split(tc, BKT_3_charge_returns_at_once);
    add_every_split(tc, BKT_4_reading_stops_when_the_budget_is_used_up);
    tcase_add_test(tc, BKT_4_taken_counts_exactly_when_the_budget_ends);
    add_every_split(tc, BKT_5_budget_is_conserved);
    add_every_split(tc, BKT_6_pause_of_receiving_never_stops_sending);
    add_every_split(tc, BKT_7_windows_shrink_before_reading_pauses);
    add_every_split(tc, BKT_7_unread_stream_does_not_stop_others_in_v2);
    add_every_split(tc, BKT_8_default_is_to_pause_for_ever);
    add_every_split(tc, BKT_8_stall_timeout_aborts_the_largest_stream);
    tcase_add_test(tc, BKT_8_stall_without_unread_data_aborts_nothing);
    add_every_split(tc, BKT_8_local_read_restarts_the_stall_timeout);
    tcase_add_test(tc, BKT_4_what_had_no_budget_when_the_session_failed_is_not_decoded);
    tcase_add_test(tc, END_2_an_error_in_what_had_no_budget_comes_before_the_end);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
