/*
 * test_priority.c - classes, weights, and small bursts beside bulk, on the wire [ORD-3].
 *
 * ctest-timeout: 300
 */
#include "support/suite.h"
#include "support/wire.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STREAMS 65
#define QUEUE       131072 /* bytes that a busy stream has waiting */
#define PIECE       4096   /* bytes that the slow transport takes at once */

/* One engine behind a slow transport. Streams with a number below `busy` always have data. */
struct load {
    struct wire w;
    smux_estream *streams[MAX_STREAMS];
    uint64_t sent[MAX_STREAMS];
    unsigned n;
    unsigned busy;
    size_t piece; /* that the transport takes at once */
    int last;     /* whose frame was taken last; -1 for a frame without payload */
};

static void load_fill(struct load *load)
{
    for (unsigned i = 0; i < load->busy; i++) {
        if (wire_stream_stats(&load->w, load->streams[i]).unsent < QUEUE / 2) {
            wire_write(&load->w, load->streams[i], QUEUE / 2);
        }
    }
}

static void load_start(struct load *load, unsigned version, unsigned busy, unsigned idle)
{
    struct smux_config config = wire_config(version);

    memset(load, 0, sizeof *load);
    config.max_send_buffer = MAX_STREAMS * 262144;
    wire_start(&load->w, SMUX_CLIENT, &config, FEED_WHOLE);
    load->w.blocked = true;
    load->n = busy + idle;
    load->busy = busy;
    load->piece = PIECE;
    for (unsigned i = 0; i < load->n; i++) {
        load->streams[i] = wire_open(&load->w);
        if (version == 2) { /* a window that is never in the way */
            wire_upd(&load->w, smux_estream_id(load->streams[i]), 0, 1u << 30);
        }
    }
}

static void load_set(struct load *load, unsigned i, unsigned priority, unsigned weight)
{
    int status = smux_estream_set_priority(load->w.engine, load->streams[i], priority, weight);

    ck_assert_int_eq(status, SMUX_OK);
}

/* Takes the next frame off the wire; returns the bytes of its payload. */
static size_t load_frame(struct load *load)
{
    struct bytes *out = &load->w.out;
    struct frame frame;
    size_t len;

    while ((len = frame_next(bytes_head(out), bytes_len(out), &frame)) == 0) {
        load_fill(load);
        if (wire_take(&load->w, load->piece) == 0) {
            ck_abort_msg("nothing to send");
        }
    }
    bytes_drop(out, len);
    load->last = frame.cmd == CMD_PSH ? (int)(frame.id - 3) / 2 : -1;
    if (load->last >= 0) {
        load->sent[load->last] += frame.len;
    }
    return frame.len;
}

/* Takes `len` bytes of payload and counts anew from there. */
static void load_skip(struct load *load, uint64_t len)
{
    for (uint64_t done = 0; done < len;) {
        done += load_frame(load);
    }
    memset(load->sent, 0, sizeof load->sent);
}

static void load_run(struct load *load, uint64_t len)
{
    for (uint64_t done = 0; done < len;) {
        done += load_frame(load);
    }
}

/* Payload of others until stream `i` has its next frame. */
static size_t load_until(struct load *load, int i)
{
    size_t foreign = 0;

    for (;;) {
        size_t len = load_frame(load);
        if (load->last == i) {
            return foreign;
        }
        foreign += len;
        if (foreign > 64 << 20) {
            ck_abort_msg("stream %d waits for ever", i);
        }
    }
}

/* --- weights ------------------------------------------------------------------------------- */

static void check_ratio(const struct load *load, double expected)
{
    double ratio = (double)load->sent[0] / (double)load->sent[1];

    ck_assert_msg(ratio > 0.97 * expected && ratio < 1.03 * expected, "%.3f:1 instead of %.3f:1",
                  ratio, expected);
}

START_TEST(ORD_3_weights_share_by_bytes_within_3_percent)
{
    static const unsigned pairs[][2] = {{32, 16}, {2, 1}, {256, 128}, {16, 48}, {7, 5}, {16, 16}};

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct load load;

        load_start(&load, (unsigned)_i, 2, 0);
        load_set(&load, 0, SMUX_PRIORITY_DEFAULT, pairs[i][0]);
        load_set(&load, 1, SMUX_PRIORITY_DEFAULT, pairs[i][1]);
        load_skip(&load, 1 << 20);
        load_run(&load, 48 << 20);
        check_ratio(&load, (double)pairs[i][0] / pairs[i][1]);
        wire_stop(&load.w);
    }
}
END_TEST

START_TEST(ORD_3_a_weight_changes_while_data_waits)
{
    struct load load;

    load_start(&load, (unsigned)_i, 2, 0);
    load_skip(&load, 1 << 20);
    load_run(&load, 8 << 20);
    check_ratio(&load, 1);
    load_set(&load, 0, SMUX_PRIORITY_DEFAULT, 4 * SMUX_WEIGHT_DEFAULT);
    load_skip(&load, 1 << 20);
    load_run(&load, 24 << 20);
    check_ratio(&load, 4);
    load_set(&load, 0, SMUX_PRIORITY_DEFAULT, SMUX_WEIGHT_DEFAULT / 2);
    load_skip(&load, 1 << 20);
    load_run(&load, 24 << 20);
    check_ratio(&load, 0.5);
    wire_stop(&load.w);
}
END_TEST

/* --- fairness ------------------------------------------------------------------------------ */

START_TEST(ORD_3_64_equal_streams_have_a_jain_index_of_99_percent)
{
    struct load load;
    double sum = 0, squares = 0;

    load_start(&load, (unsigned)_i, 64, 0);
    load_run(&load, 24 << 20);
    for (unsigned i = 0; i < 64; i++) {
        double bytes = (double)load.sent[i];

        ck_assert_uint_gt(load.sent[i], 0); /* nobody starves within a class */
        sum += bytes;
        squares += bytes * bytes;
    }
    ck_assert_double_ge(sum * sum / (64 * squares), 0.99);
    wire_stop(&load.w);
}
END_TEST

/* It writes a little whenever its queue is empty: small enough to be fresh each time. */
START_TEST(ORD_3_tiny_bursts_get_no_more_than_their_share)
{
    static const unsigned bursts[] = {1, 64, 1000, 5000, 30000};

    for (size_t i = 0; i < sizeof bursts / sizeof bursts[0]; i++) {
        struct load load;
        uint64_t total = 0;

        load_start(&load, (unsigned)_i, 8, 1);
        load_skip(&load, 1 << 20);
        while (total < 16 << 20) {
            if (wire_stream_stats(&load.w, load.streams[8]).unsent == 0) {
                wire_write(&load.w, load.streams[8], bursts[i]);
            }
            total += load_frame(&load);
        }
        ck_assert_msg((double)load.sent[8] < 1.03 * (double)total / 9, "bursts of %u get %llu",
                      bursts[i], (unsigned long long)load.sent[8]);
        wire_stop(&load.w);
    }
}
END_TEST

/* A fast transport: turns of four frames. A writer who waits until all of a message is sent, and
 * then writes the next, has it sent in one piece: its reader would be woken for each of them. */
START_TEST(ORD_3_messages_that_fit_into_a_turn_are_not_cut)
{
    const size_t message = 3 * 32768 + 8192; /* which leaves a quarter of a turn unused */
    unsigned pieces = 0;
    uint64_t total = 0;
    struct load load;

    load_start(&load, (unsigned)_i, 0, 4);
    load.piece = SIZE_MAX;
    for (int before = -1; total < 16 << 20; before = load.last) {
        for (unsigned i = 0; i < 4; i++) {
            if (wire_stream_stats(&load.w, load.streams[i]).unsent == 0) {
                wire_write(&load.w, load.streams[i], message);
            }
        }
        total += load_frame(&load);
        pieces += load.last >= 0 && load.last != before;
    }
    /* But for the first ones, before it is known that the transport is fast. */
    ck_assert_msg(pieces < total / message * 9 / 8, "%llu messages were sent in %u pieces",
                  (unsigned long long)(total / message), pieces);
    wire_stop(&load.w);
}
END_TEST

/* --- latency ------------------------------------------------------------------------------- */

/* One that answers as soon as it was asked, beside 64 that have no end of data: it waits for what
 * is formed already and for one frame, not for 64. */
START_TEST(ORD_3_a_small_burst_does_not_wait_for_a_round_of_64_bulk_streams)
{
    struct load load;
    size_t most = 0, sum = 0;
    struct rng rng;

    rng_seed(&rng, 1);
    load_start(&load, (unsigned)_i, 64, 1);
    load_skip(&load, 8 << 20);
    for (int i = 0; i < 400; i++) {
        wire_write(&load.w, load.streams[64], 64);
        size_t foreign = load_until(&load, 64);

        sum += foreign;
        most = foreign > most ? foreign : most;
        load_run(&load, rng_below(&rng, 100000));
    }
    ck_assert_msg(most <= 2 * 32768, "64 bytes waited for up to %zu, %zu on average", most,
                  sum / 400);
    wire_stop(&load.w);
}
END_TEST

/* --- classes ------------------------------------------------------------------------------- */

START_TEST(ORD_3_a_higher_class_goes_first_whatever_the_weights)
{
    struct load load;

    load_start(&load, (unsigned)_i, 0, 8);
    for (unsigned i = 0; i < 8; i++) { /* queued from the lowest class to the highest */
        load_set(&load, i, i, 256 >> i);
        wire_write(&load.w, load.streams[i], QUEUE);
    }
    for (int i = 7; i >= 0; i--) {
        while (load.sent[i] < QUEUE) {
            load_frame(&load);
            ck_assert(load.last == i || load.last == -1);
        }
    }
    wire_stop(&load.w);
}
END_TEST

START_TEST(ORD_3_a_lower_class_starves_as_long_as_a_higher_one_has_data)
{
    struct load load;

    load_start(&load, (unsigned)_i, 2, 1);
    load_skip(&load, 1 << 20);
    load_set(&load, 2, SMUX_PRIORITY_DEFAULT - 1, SMUX_WEIGHT_MAX);
    wire_write(&load.w, load.streams[2], 1000);
    load_run(&load, 16 << 20);
    ck_assert_uint_eq(load.sent[2], 0);
    ck_assert_uint_gt(load.sent[1], 7 << 20); /* within the class all is as ever */
    load.busy = 0;
    load_until(&load, 2);
    ck_assert_uint_eq(load.sent[2], 1000);
    wire_stop(&load.w);
}
END_TEST

START_TEST(ORD_3_a_class_without_credit_from_the_peer_holds_nobody_up)
{
    struct smux_config config = wire_config(2);
    smux_estream *low, *high;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, FEED_WHOLE);
    low = wire_open(&w);
    high = wire_open(&w);
    expect_syn(&w, 3);
    expect_syn(&w, 5);
    ck_assert_int_eq(smux_estream_set_priority(w.engine, high, 7, 1), SMUX_OK);
    wire_write(&w, high, 262144);
    expect_data(&w, 5, 262144); /* the whole window */
    w.blocked = true;
    wire_write(&w, high, 50000);
    wire_write(&w, low, 50000);
    w.blocked = false;
    expect_data(&w, 3, 50000);
    w.blocked = true;
    wire_write(&w, low, 50000);
    wire_upd(&w, 5, 262144, 262144);
    w.blocked = false;
    expect_data(&w, 5, 50000);
    expect_data(&w, 3, 50000);
    wire_stop(&w);
}
END_TEST

START_TEST(ORD_3_a_class_changes_while_data_waits)
{
    struct load load;

    load_start(&load, (unsigned)_i, 4, 2);
    load_skip(&load, 1 << 20);
    load_set(&load, 4, 0, 1);
    wire_write(&load.w, load.streams[4], QUEUE);
    load_run(&load, 4 << 20);
    ck_assert_uint_eq(load.sent[4], 0);

    load_set(&load, 4, 7, 1); /* up: all of it at once, but for what was formed already */
    ck_assert_uint_le(load_until(&load, 4), 2 * 32768);
    while (load.sent[4] < QUEUE) {
        load_frame(&load);
        ck_assert_int_eq(load.last, 4);
    }

    load_set(&load, 0, 2, SMUX_WEIGHT_MAX); /* down: nothing while the others have data */
    load_skip(&load, 1 << 20);
    load_run(&load, 4 << 20);
    ck_assert_uint_eq(load.sent[0], 0);

    load_set(&load, 0, SMUX_PRIORITY_DEFAULT, SMUX_WEIGHT_DEFAULT); /* and back */
    load_skip(&load, 1 << 20);
    load_run(&load, 24 << 20);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_double_gt((double)load.sent[i], 0.97 * (6 << 20));
        ck_assert_double_lt((double)load.sent[i], 1.03 * (6 << 20));
    }
    wire_stop(&load.w);
}
END_TEST

START_TEST(ORD_3_control_frames_of_the_lowest_class_go_before_data_of_the_highest)
{
    struct load load;

    load_start(&load, (unsigned)_i, 1, 0);
    load_set(&load, 0, 7, SMUX_WEIGHT_MAX);
    load_skip(&load, 1 << 20);
    load.streams[1] = wire_open(&load.w);
    load_set(&load, 1, 0, 1);
    ck_assert_int_eq(smux_estream_shutdown(load.w.engine, load.streams[1]), SMUX_OK);
    ck_assert_uint_le(load_until(&load, -1), 2 * 32768); /* SYN */
    ck_assert_uint_eq(load_until(&load, -1), 0);         /* FIN */
    wire_stop(&load.w);
}
END_TEST

START_TEST(numbers_out_of_range_are_refused_and_change_nothing)
{
    static const unsigned bad[][2] = {
        {8, 16}, {3, 0}, {3, 257}, {(unsigned)-1, 16}, {3, 65536 + 16}};
    struct load load;

    load_start(&load, (unsigned)_i, 2, 0);
    load_set(&load, 0, 5, 32);
    load_set(&load, 1, 5, 16);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (unsigned s = 0; s < 2; s++) {
            ck_assert_int_eq(
                smux_estream_set_priority(load.w.engine, load.streams[s], bad[i][0], bad[i][1]),
                SMUX_EINVAL);
        }
    }
    load_skip(&load, 1 << 20);
    load_run(&load, 24 << 20);
    check_ratio(&load, 2);
    wire_stop(&load.w);
}
END_TEST

START_TEST(a_stream_that_has_ended_may_still_be_set)
{
    struct load load;

    load_start(&load, (unsigned)_i, 0, 2);
    wire_write(&load.w, load.streams[0], 1000);
    wire_write(&load.w, load.streams[1], 1000);
    smux_estream_abort(load.w.engine, load.streams[0], SMUX_EABORTED);
    load_set(&load, 0, 7, 1);
    smux_engine_fail(load.w.engine, SMUX_EIO, "cable cut");
    load_set(&load, 1, 7, 1);
    ck_assert(!smux_engine_wants_write(load.w.engine));
    wire_stop(&load.w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("priority");
    TCase *tc = tcase_create("priority");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, ORD_3_weights_share_by_bytes_within_3_percent, 1, 3);
    tcase_add_loop_test(tc, ORD_3_a_weight_changes_while_data_waits, 1, 3);
    tcase_add_loop_test(tc, ORD_3_64_equal_streams_have_a_jain_index_of_99_percent, 1, 3);
    tcase_add_loop_test(tc, ORD_3_messages_that_fit_into_a_turn_are_not_cut, 1, 3);
    tcase_add_loop_test(tc, ORD_3_tiny_bursts_get_no_more_than_their_share, 1, 3);
    tcase_add_loop_test(tc, ORD_3_a_small_burst_does_not_wait_for_a_round_of_64_bulk_streams, 1, 3);
    tcase_add_loop_test(tc, ORD_3_a_higher_class_goes_first_whatever_the_weights, 1, 3);
    tcase_add_loop_test(tc, ORD_3_a_lower_class_starves_as_long_as_a_higher_one_has_data, 1, 3);
    tcase_add_test(tc, ORD_3_a_class_without_credit_from_the_peer_holds_nobody_up);
    tcase_add_loop_test(tc, ORD_3_a_class_changes_while_data_waits, 1, 3);
    tcase_add_loop_test(tc, ORD_3_control_frames_of_the_lowest_class_go_before_data_of_the_highest,
                        1, 3);
    tcase_add_loop_test(tc, numbers_out_of_range_are_refused_and_change_nothing, 1, 3);
    tcase_add_loop_test(tc, a_stream_that_has_ended_may_still_be_set, 1, 3);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
