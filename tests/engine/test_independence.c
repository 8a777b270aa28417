/*
 * test_independence.c - BKT-7: streams that nobody reads do not slow down one that is read.
 */
#include "support/line.h"
#include "support/suite.h"
#include "support/wire.h"

#define MBIT UINT64_C(125000) /* bytes a second */

static struct line line;

/* Bytes of the last stream in a second, after everything has settled. */
static uint64_t measure(unsigned unread, uint64_t rtt_us)
{
    line_start(&line, 500 * MBIT, rtt_us / 2, NULL, NULL);
    for (unsigned i = 0; i < unread; i++) {
        (void)line_open(&line, 0);
    }
    unsigned live = line_open(&line, LINE_FAST);
    line_run(&line, 500000);
    uint64_t before = line.streams[live].read;
    line_run(&line, 1000000);
    return line.streams[live].read - before;
}

static const unsigned numbers[] = {16, 64, 1000};

START_TEST(BKT_7_one_reader_among_many_that_do_not_read)
{
    uint64_t alone = measure(0, 10000);
    line_stop(&line);
    uint64_t beside = measure(numbers[_i], 10000);
    ck_assert_uint_ge(beside, alone * 9 / 10);
    ck_assert_uint_eq(line_stats(&line).receive_pauses, 0);
    ck_assert_uint_le(line.heap[1].peak, 4194304 + 4194304 / 4 + 256 * numbers[_i] + 65536);
    line_stop(&line);
}
END_TEST

/* --- the first flight ---------------------------------------------------------------------- */

#define FIRST 2048 /* bytes a stream, once 1 MiB are on their way without a word from the peer */

/* A client whose peer read nothing of four streams yet; opens a fifth one. */
static void start_crowded(struct wire *w, int mode, smux_estream *out_streams[5])
{
    struct smux_config config = wire_config(2);

    config.max_send_buffer = 16 << 20;
    config.max_stream_send_buffer = 1 << 20;
    wire_start(w, SMUX_CLIENT, &config, mode);
    for (uint32_t i = 0; i < 5; i++) {
        out_streams[i] = wire_open(w);
        wire_write(w, out_streams[i], 300000);
        expect_syn(w, 3 + 2 * i);
        expect_data(w, 3 + 2 * i, i < 4 ? 262144 : FIRST);
    }
    expect_quiet(w);
}

START_TEST(BKT_7_an_update_ends_the_first_flight)
{
    smux_estream *streams[5];
    struct wire w;

    start_crowded(&w, _i, streams);
    wire_upd(&w, 11, FIRST, 65536);
    expect_data(&w, 11, 65536);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* A peer may wait for half of the first window before it says anything. */
START_TEST(BKT_7_the_first_flight_grows_while_the_peer_is_silent)
{
    smux_estream *streams[5];
    struct wire w;

    start_crowded(&w, _i, streams);
    for (uint32_t size = FIRST; size < 262144; size *= 2) {
        wire_sleep(&w, 199);
        expect_quiet(&w);
        wire_sleep(&w, 1);
        expect_data(&w, 11, size);
        expect_quiet(&w);
    }
    wire_sleep(&w, 1000);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_7_nothing_is_held_back_once_the_peer_has_ended)
{
    smux_estream *streams[5];
    struct wire w;

    start_crowded(&w, _i, streams);
    for (uint32_t i = 0; i < 5; i++) {
        wire_fin(&w, 3 + 2 * i);
    }
    smux_engine_recv_eof(w.engine, w.now);
    wire_sleep(&w, 200);
    ck_assert_uint_eq(wire_stream_stats(&w, streams[4]).bytes_out, 262144);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_7_others_make_room_for_first_flights)
{
    smux_estream *streams[5];
    struct wire w;

    start_crowded(&w, _i, streams);
    wire_upd(&w, 3, 0, 262144); /* read nothing: changes nothing */
    wire_sleep(&w, 200);
    expect_data(&w, 11, FIRST);
    wire_upd(&w, 3, 262144, 0);
    wire_sleep(&w, 200);
    wire_skip(&w);
    ck_assert_uint_eq(wire_stream_stats(&w, streams[4]).bytes_out, 262144);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_7_streams_that_end_make_room_for_first_flights)
{
    smux_estream *streams[5];
    struct wire w;

    start_crowded(&w, _i, streams);
    wire_fin(&w, 3);
    smux_estream_abort(w.engine, streams[0], SMUX_EABORTED);
    wire_skip(&w);
    wire_sleep(&w, 200);
    wire_skip(&w);
    ck_assert_uint_eq(wire_stream_stats(&w, streams[4]).bytes_out, 262144);
    wire_stop(&w);
}
END_TEST

/* Whether the peer says before (_i == 0) or after the close that it has read. */
START_TEST(BKT_7_what_was_read_of_closed_streams_counts_as_read)
{
    struct smux_config config = wire_config(2);
    struct wire w;

    config.max_send_buffer = 16 << 20;
    config.max_stream_send_buffer = 1 << 20;
    wire_start(&w, SMUX_CLIENT, &config, FEED_WHOLE);
    for (uint32_t id = 3; id < 13; id += 2) {
        smux_estream *stream = wire_open(&w);

        wire_write(&w, stream, 240000);
        if (_i == 1) {
            smux_estream_close(w.engine, stream);
        }
        wire_skip(&w);
        wire_upd(&w, id, 240000, 262144);
        if (_i == 0) {
            smux_estream_close(w.engine, stream);
        }
        wire_skip(&w);
    }
    wire_write(&w, wire_open(&w), 200000);
    expect_syn(&w, 13);
    expect_data(&w, 13, 200000);
    wire_stop(&w);
}
END_TEST

/* A first word that only repeats what the sender assumes anyway is no glitch [UPD-7]. */
START_TEST(UPD_7_a_hint_costs_nothing)
{
    struct smux_config config = wire_config(2);
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    smux_estream *stream = wire_open(&w);
    wire_skip(&w);
    wire_upd(&w, smux_estream_id(stream), 0, 262144);
    expect_glitches(&w, 0);
    wire_upd(&w, smux_estream_id(stream), 0, 262144);
    expect_glitches(&w, 1);
    wire_stop(&w);
}
END_TEST

/* And none is sent that would say nothing: the window that is offered is not less. */
START_TEST(UPD_7_no_hint_without_need)
{
    struct smux_config config = wire_config(2);
    struct wire w;

    config.max_stream_buffer = 0;
    config.max_receive_buffer = 64 << 20;
    wire_start(&w, SMUX_SERVER, &config, _i);
    for (uint32_t id = 3; id < 3 + 2 * 36; id += 2) { /* 9 MB: more than an eighth */
        wire_syn(&w, id);
        (void)wire_accept(&w, id);
        wire_data(&w, id, 262144, 65535);
    }
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("independence");
    TCase *tc = tcase_create("independence");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, BKT_7_one_reader_among_many_that_do_not_read, 0, 3);
    add_every_split(tc, BKT_7_an_update_ends_the_first_flight);
    add_every_split(tc, BKT_7_the_first_flight_grows_while_the_peer_is_silent);
    add_every_split(tc, BKT_7_others_make_room_for_first_flights);
    add_every_split(tc, BKT_7_nothing_is_held_back_once_the_peer_has_ended);
    add_every_split(tc, BKT_7_streams_that_end_make_room_for_first_flights);
    tcase_add_loop_test(tc, BKT_7_what_was_read_of_closed_streams_counts_as_read, 0, 2);
    add_every_split(tc, UPD_7_a_hint_costs_nothing);
    add_every_split(tc, UPD_7_no_hint_without_need);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
