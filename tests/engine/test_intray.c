/*
 * test_intray.c - small frames that came together stay together until they are read, and nothing but
 * the memory they take shows it [BKT-2].
 */
#include "support/suite.h"
#include "support/wire.h"

#define STREAMS 4
#define PIECE   64u

static uint32_t id_of(unsigned i)
{
    return 3 + 2 * i;
}

/* Takes what is new, as every owner does: a stream whose news nobody took is not like most. */
static void take_news(struct wire *w)
{
    unsigned events;

    while (smux_engine_next_ready(w->engine, &events) != NULL) {
    }
}

/* A server that has accepted some streams, has read something of each, and has told their windows. */
static void start(struct wire *w, unsigned version, int mode, smux_estream *streams[STREAMS])
{
    struct smux_config config = wire_config(version);

    config.max_receive_buffer = 4 << 20;
    wire_start(w, SMUX_SERVER, &config, mode);
    for (unsigned i = 0; i < STREAMS; i++) {
        wire_syn(w, id_of(i));
        wire_psh(w, id_of(i), 1);
        streams[i] = wire_accept(w, id_of(i));
        expect_read(w, streams[i], 1);
    }
    wire_skip(w);
    take_news(w);
}

/* One frame for each stream, all in one piece. */
static void feed_run(struct wire *w, size_t len)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        wire_put_psh(w, id_of(i), len);
    }
    wire_push(w);
}

static void read_piece(struct wire *w, smux_estream *stream)
{
    take_news(w);
    expect_read(w, stream, PIECE);
}

static void read_in_two(struct wire *w, smux_estream *stream)
{
    expect_read(w, stream, PIECE / 2);
    expect_read(w, stream, PIECE - PIECE / 2);
}

static uint32_t charge(const struct wire *w)
{
    return wire_stats(w).receive_buffer;
}

/* Lets frames of one stream come and be read until all memory for frames was used again. */
static void turn_over(struct wire *w, smux_estream *stream)
{
    uint32_t id = smux_estream_id(stream);

    for (unsigned i = 0; i < 1000; i++) {
        wire_psh(w, id, PIECE);
        read_piece(w, stream);
    }
}

START_TEST(BKT_2_frames_that_came_together_share_their_memory)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 1 + (unsigned)_i, FEED_WHOLE, streams);
    ck_assert_uint_eq(charge(&w), 0);
    wire_psh(&w, id_of(0), PIECE);
    uint32_t one = charge(&w);
    ck_assert_uint_ge(one, PIECE);
    read_piece(&w, streams[0]);
    ck_assert_uint_eq(charge(&w), 0);
    feed_run(&w, PIECE);
    ck_assert_uint_eq(charge(&w), one);
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_uint_eq(charge(&w), one);
        ck_assert_uint_eq(wire_stream_stats(&w, streams[i]).unread, PIECE);
        read_piece(&w, streams[i]);
    }
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_2_a_stream_that_nobody_reads_does_not_keep_the_memory_of_others)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, FEED_WHOLE, streams);
    feed_run(&w, PIECE);
    for (unsigned i = 1; i < STREAMS; i++) {
        read_piece(&w, streams[i]);
    }
    turn_over(&w, streams[1]);
    ck_assert_uint_le(charge(&w), 4 * PIECE);
    read_piece(&w, streams[0]);
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

/* Beside that lie frames of a stream that is gone, and of others that have read them. */
START_TEST(only_what_is_unread_gives_way)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, FEED_WHOLE, streams);
    feed_run(&w, PIECE);
    read_piece(&w, streams[3]);
    wire_fin(&w, id_of(3));
    expect_status(&w, streams[3], SMUX_EOF);
    smux_estream_close(w.engine, streams[3]);
    wire_skip(&w);
    for (unsigned i = 0; i < 20; i++) {
        read_piece(&w, streams[1]);
        wire_psh(&w, id_of(1), PIECE);
    }
    read_piece(&w, streams[2]);
    turn_over(&w, streams[2]);
    ck_assert_uint_le(charge(&w), 2 * 4 * PIECE);
    read_piece(&w, streams[0]);
    read_piece(&w, streams[1]);
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

/* Memory that is allocated for a stream that has something unread, beyond what it takes without. */
static size_t memory_of_unread(struct wire *w, smux_estream *stream)
{
    wire_sleep(w, 120000);
    size_t with = w->heap.now;
    read_piece(w, stream);
    wire_sleep(w, 120000);
    return with - w->heap.now;
}

START_TEST(BKT_2_a_quiet_session_does_not_keep_the_memory_of_all_for_one)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    wire_sleep(&w, 120000); /* nothing is kept that would be given back */
    feed_run(&w, PIECE);
    for (unsigned i = 1; i < STREAMS; i++) {
        read_piece(&w, streams[i]);
    }
    ck_assert_uint_le(memory_of_unread(&w, streams[0]), 4 * PIECE);
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_2_a_part_that_is_left_unread_takes_no_more_and_gives_way)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, FEED_WHOLE, streams);
    feed_run(&w, PIECE);
    uint32_t before = charge(&w);
    expect_read(&w, streams[0], PIECE - 1);
    ck_assert_uint_eq(charge(&w), before);
    for (unsigned i = 1; i < STREAMS; i++) {
        read_in_two(&w, streams[i]);
    }
    take_news(&w);
    turn_over(&w, streams[1]);
    ck_assert_uint_lt(charge(&w), before);
    expect_read(&w, streams[0], 1);
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

static void expect_news_in_order(struct wire *w, smux_estream *const streams[STREAMS])
{
    unsigned events = 0;

    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_ptr_eq(smux_engine_next_ready(w->engine, &events), streams[i]);
        ck_assert_uint_eq(events, SMUX_EVENT_READABLE | SMUX_EVENT_WRITABLE);
    }
    ck_assert_ptr_null(smux_engine_next_ready(w->engine, &events));
}

START_TEST(frames_of_several_streams_are_news_in_their_order)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    feed_run(&w, PIECE);
    expect_news_in_order(&w, streams);
    wire_stop(&w);
}
END_TEST

START_TEST(news_that_come_later_stand_behind_those_of_a_run)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    for (unsigned i = 0; i < STREAMS - 1; i++) {
        wire_put_psh(&w, id_of(i), PIECE);
    }
    wire_push(&w);
    wire_psh(&w, id_of(STREAMS - 1), PIECE);
    expect_news_in_order(&w, streams);
    wire_stop(&w);
}
END_TEST

START_TEST(a_stream_that_is_closed_takes_only_its_own_news_along)
{
    smux_estream *streams[STREAMS];
    struct wire w;
    unsigned events;

    start(&w, 2, _i, streams);
    wire_psh(&w, id_of(0), PIECE);
    wire_put_psh(&w, id_of(1), PIECE);
    wire_put_psh(&w, id_of(2), PIECE);
    wire_psh(&w, id_of(3), PIECE);
    smux_estream_close(w.engine, streams[1]);
    smux_estream_close(w.engine, streams[3]);
    ck_assert_ptr_eq(smux_engine_next_ready(w.engine, &events), streams[0]);
    ck_assert_ptr_eq(smux_engine_next_ready(w.engine, &events), streams[2]);
    ck_assert_ptr_null(smux_engine_next_ready(w.engine, &events));
    wire_stop(&w);
}
END_TEST

START_TEST(more_for_a_stream_stands_behind_what_it_has)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    feed_run(&w, PIECE);
    take_news(&w);
    feed_run(&w, 10);
    wire_psh(&w, id_of(1), 5000);
    for (unsigned i = 0; i < STREAMS; i++) {
        expect_read(&w, streams[i], PIECE + 10 + (i == 1 ? 5000 : 0));
    }
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(a_small_frame_is_read_bit_by_bit)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    feed_run(&w, PIECE);
    for (unsigned i = 0; i < PIECE; i++) {
        expect_read(&w, streams[i % 2], 1);
        expect_read(&w, streams[(i + 1) % 2], 1);
    }
    read_piece(&w, streams[3]);
    read_piece(&w, streams[2]);
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(what_was_shown_stays_where_it_is)
{
    smux_estream *streams[STREAMS];
    struct smux_iov iov;
    struct wire w;
    int n = 0;

    start(&w, 2, _i, streams);
    feed_run(&w, PIECE);
    ck_assert_int_eq(smux_estream_peek(w.engine, streams[0], &iov, 1, &n), SMUX_OK);
    ck_assert_int_eq(n, 1);
    ck_assert_uint_eq(iov.len, PIECE);
    read_piece(&w, streams[1]);
    turn_over(&w, streams[1]);
    expect_content(&w, wire_flow(&w, id_of(0)), iov.base, iov.len);
    smux_estream_consume(w.engine, streams[0], iov.len);
    expect_status(&w, streams[0], SMUX_EAGAIN);
    wire_stop(&w);
}
END_TEST

START_TEST(a_stream_that_ends_gives_its_part_back)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    feed_run(&w, PIECE);
    smux_estream_abort(w.engine, streams[0], SMUX_EABORTED);
    smux_estream_close(w.engine, streams[1]);
    wire_fin(&w, id_of(2));
    read_piece(&w, streams[2]);
    expect_status(&w, streams[2], SMUX_EOF);
    read_piece(&w, streams[3]);
    ck_assert_uint_eq(charge(&w), 0);
    expect_status(&w, streams[0], SMUX_EABORTED);
    wire_stop(&w);
}
END_TEST

/* Both note something in the same place. */
START_TEST(a_loan_and_a_small_frame_do_not_mind_each_other)
{
    static const char data[20000];
    smux_estream *streams[STREAMS];
    struct wire w;
    size_t kept = 1;

    start(&w, 2, _i, streams);
    feed_run(&w, PIECE);
    ck_assert_int_eq(smux_estream_reclaim(w.engine, streams[0], &kept), SMUX_OK);
    ck_assert_uint_eq(kept, 0);
    read_piece(&w, streams[0]);
    w.blocked = true;
    ck_assert_int_eq(smux_estream_lend(w.engine, streams[1], data, sizeof(data)), SMUX_OK);
    read_piece(&w, streams[1]);
    wire_psh(&w, id_of(1), PIECE);
    ck_assert_int_eq(smux_estream_reclaim(w.engine, streams[1], &kept), SMUX_OK);
    ck_assert_uint_eq(kept, 0);
    read_piece(&w, streams[1]);
    wire_psh(&w, id_of(1), PIECE);
    read_piece(&w, streams[1]);
    wire_stop(&w);
}
END_TEST

/* The same, and no memory is kept for reuse. */
static void start_without_spare(struct wire *w, smux_estream *streams[STREAMS])
{
    start(w, 2, FEED_WHOLE, streams);
    wire_sleep(w, 60000);
}

/* Uses up what is kept after frames had to go to a queue, one at a time. */
static void use_spare(struct wire *w)
{
    wire_syn(w, id_of(STREAMS));
    wire_psh(w, id_of(STREAMS), PIECE); /* of a stream that is not accepted: not for the in-tray */
}

static void fail_from_now_on(struct wire *w)
{
    w->heap.fail_at = w->heap.calls + 1;
    w->heap.fail_on = true;
}

START_TEST(without_memory_for_any_small_frame_its_stream_is_aborted)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start_without_spare(&w, streams);
    fail_from_now_on(&w);
    feed_run(&w, PIECE);
    for (unsigned i = 0; i < STREAMS; i++) {
        expect_status(&w, streams[i], SMUX_ENOMEM);
    }
    ck_assert_uint_eq(wire_stats(&w).limits[SMUX_LIMIT_ABORTED_MEMORY], STREAMS);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(without_memory_small_frames_abort_their_stream)
{
    static const char loan[PIECE / 2];
    smux_estream *streams[STREAMS];
    struct smux_iov iov;
    struct wire w;
    int n = 1;

    start_without_spare(&w, streams);
    feed_run(&w, PIECE);
    fail_from_now_on(&w);
    ck_assert_int_eq(smux_estream_peek(w.engine, streams[0], &iov, 1, &n), SMUX_ENOMEM);
    ck_assert_int_eq(n, 0);
    read_in_two(&w, streams[1]); /* needs none */
    ck_assert_int_eq(smux_estream_lend(w.engine, streams[2], loan, sizeof(loan)), SMUX_ENOMEM);
    read_piece(&w, streams[2]);
    take_news(&w);
    wire_psh(&w, id_of(3), PIECE); /* cannot stand behind the first one */
    expect_status(&w, streams[3], SMUX_ENOMEM);
    ck_assert_uint_eq(charge(&w), 0);
    ck_assert_uint_eq(wire_stats(&w).limits[SMUX_LIMIT_ABORTED_MEMORY], 2);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(without_memory_for_many_a_frame_takes_some_for_itself)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start_without_spare(&w, streams);
    fail_from_now_on(&w);
    w.heap.fail_on = false;
    wire_psh(&w, id_of(0), PIECE);
    ck_assert_uint_eq(w.heap.failures, 1);
    ck_assert_uint_le(charge(&w), 4 * PIECE);
    read_piece(&w, streams[0]);
    wire_stop(&w);
}
END_TEST

/* There is memory for the record of a stream that has data, and then none for these. */
START_TEST(without_memory_a_piece_does_not_move)
{
    smux_estream *streams[STREAMS];
    struct smux_iov iov;
    struct wire w;
    int n = 1;

    start_without_spare(&w, streams);
    feed_run(&w, PIECE);
    fail_from_now_on(&w);
    w.heap.fail_at++;
    ck_assert_int_eq(smux_estream_peek(w.engine, streams[0], &iov, 1, &n), SMUX_ENOMEM);
    ck_assert_int_eq(n, 0);
    read_piece(&w, streams[1]);
    wire_stop(&w);
}
END_TEST

START_TEST(without_memory_a_truncated_stream_stays_truncated)
{
    smux_estream *streams[STREAMS];
    struct smux_iov iov;
    struct wire w;
    int n = 1;

    start_without_spare(&w, streams);
    feed_run(&w, PIECE);
    fail_from_now_on(&w);
    smux_engine_recv_eof(w.engine, w.now);
    ck_assert_int_eq(smux_estream_peek(w.engine, streams[0], &iov, 1, &n), SMUX_ETRUNCATED);
    ck_assert_int_eq(n, 0);
    ck_assert_uint_eq(wire_stats(&w).limits[SMUX_LIMIT_ABORTED_MEMORY], 0);
    read_piece(&w, streams[1]);
    wire_stop(&w);
}
END_TEST

/* A frame whose header came alone cannot stand behind what its stream has. */
START_TEST(without_memory_the_payload_of_a_frame_is_dropped)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start_without_spare(&w, streams);
    feed_run(&w, PIECE);
    fail_from_now_on(&w);
    wire_header(&w, CMD_PSH, PIECE, id_of(0));
    expect_status(&w, streams[0], SMUX_ENOMEM);
    static const uint8_t payload[PIECE];
    wire_feed(&w, payload, sizeof(payload));
    ck_assert_uint_eq(wire_stats(&w).payload_discarded, PIECE);
    read_piece(&w, streams[1]);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(BKT_4_a_small_frame_is_read_while_reading_pauses)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 1, FEED_WHOLE, streams);
    feed_run(&w, PIECE);
    while (smux_engine_wants_read(w.engine)) {
        wire_psh(&w, id_of(0), 65535);
    }
    for (unsigned i = 1; i < STREAMS; i++) {
        read_piece(&w, streams[i]);
    }
    ck_assert_uint_eq(wire_stats(&w).receive_pauses, 1);
    wire_stop(&w);
}
END_TEST

/* One frame after the other for a stream that is read, while others have something unread. Ends before
 * frame `n`, or, if that is 0, when the others have given way; returns how many frames came. */
static unsigned press(struct wire *w, smux_estream *streams[STREAMS], unsigned n)
{
    unsigned i = 1;

    start_without_spare(w, streams);
    feed_run(w, PIECE);
    expect_read(w, streams[0], PIECE / 2); /* what is left gives way like the others */
    read_piece(w, streams[1]);
    for (uint32_t before = charge(w); i != n && (n > 0 || charge(w) == before); i++) {
        wire_psh(w, id_of(1), PIECE);
        read_piece(w, streams[1]);
    }
    return i;
}

START_TEST(without_memory_what_must_give_way_is_aborted)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    unsigned n = press(&w, streams, 0) - 1;
    wire_stop(&w);
    (void)press(&w, streams, n);
    use_spare(&w);
    fail_from_now_on(&w);
    wire_psh(&w, id_of(1), PIECE);
    ck_assert_uint_eq(wire_stats(&w).limits[SMUX_LIMIT_ABORTED_MEMORY], 3);
    read_piece(&w, streams[1]);
    expect_status(&w, streams[0], SMUX_ENOMEM);
    expect_status(&w, streams[2], SMUX_ENOMEM);
    expect_status(&w, streams[3], SMUX_ENOMEM);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

/* Frames of a session that may hold little are charged with what they take each. */
START_TEST(BKT_4_a_throttled_session_takes_no_more_for_small_frames)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    smux_engine_throttle(w.engine, true);
    feed_run(&w, PIECE);
    ck_assert_uint_le(charge(&w), STREAMS * 2 * PIECE);
    for (unsigned i = 0; i < STREAMS; i++) {
        read_piece(&w, streams[i]);
    }
    wire_stop(&w);
}
END_TEST

/* Nor for those that it has: one byte that nobody reads would stop it for ever. */
START_TEST(BKT_4_a_session_goes_on_that_is_throttled_with_a_small_frame_unread)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    feed_run(&w, PIECE);
    read_piece(&w, streams[1]);
    read_piece(&w, streams[2]);
    expect_read(&w, streams[3], PIECE - 1);
    smux_engine_throttle(w.engine, true);
    ck_assert_uint_le(charge(&w), STREAMS * 2 * PIECE);
    ck_assert(smux_engine_wants_read(w.engine));
    wire_psh(&w, id_of(1), PIECE);
    read_piece(&w, streams[1]);
    expect_read(&w, streams[3], 1);
    read_piece(&w, streams[0]);
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(without_memory_a_throttled_session_aborts_what_it_must_not_hold)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start_without_spare(&w, streams);
    feed_run(&w, PIECE);
    read_piece(&w, streams[1]);
    fail_from_now_on(&w);
    smux_engine_throttle(w.engine, true);
    ck_assert_uint_eq(charge(&w), 0);
    ck_assert_uint_eq(wire_stats(&w).limits[SMUX_LIMIT_ABORTED_MEMORY], STREAMS - 1);
    expect_status(&w, streams[0], SMUX_ENOMEM);
    expect_status(&w, streams[1], SMUX_EAGAIN);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

/* Then nothing can come, so it does not matter what the session holds. */
START_TEST(a_session_whose_input_ended_is_throttled_and_still_read)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    feed_run(&w, PIECE);
    smux_engine_recv_eof(w.engine, w.now);
    smux_engine_throttle(w.engine, true);
    for (unsigned i = 0; i < STREAMS; i++) {
        expect_read(&w, streams[i], PIECE);
    }
    ck_assert_uint_eq(charge(&w), 0);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intray");
    TCase *tc = tcase_create("intray");

    tcase_add_loop_test(tc, BKT_2_frames_that_came_together_share_their_memory, 0, 2);
    tcase_add_test(tc, BKT_2_a_stream_that_nobody_reads_does_not_keep_the_memory_of_others);
    tcase_add_test(tc, only_what_is_unread_gives_way);
    add_every_split(tc, BKT_2_a_quiet_session_does_not_keep_the_memory_of_all_for_one);
    tcase_add_test(tc, BKT_2_a_part_that_is_left_unread_takes_no_more_and_gives_way);
    add_every_split(tc, frames_of_several_streams_are_news_in_their_order);
    add_every_split(tc, news_that_come_later_stand_behind_those_of_a_run);
    add_every_split(tc, a_stream_that_is_closed_takes_only_its_own_news_along);
    add_every_split(tc, more_for_a_stream_stands_behind_what_it_has);
    add_every_split(tc, a_small_frame_is_read_bit_by_bit);
    add_every_split(tc, what_was_shown_stays_where_it_is);
    add_every_split(tc, a_stream_that_ends_gives_its_part_back);
    add_every_split(tc, a_loan_and_a_small_frame_do_not_mind_each_other);
    tcase_add_test(tc, without_memory_for_any_small_frame_its_stream_is_aborted);
    tcase_add_test(tc, without_memory_small_frames_abort_their_stream);
    tcase_add_test(tc, without_memory_for_many_a_frame_takes_some_for_itself);
    tcase_add_test(tc, without_memory_a_piece_does_not_move);
    tcase_add_test(tc, without_memory_a_truncated_stream_stays_truncated);
    tcase_add_test(tc, without_memory_the_payload_of_a_frame_is_dropped);
    tcase_add_test(tc, BKT_4_a_small_frame_is_read_while_reading_pauses);
    tcase_add_test(tc, without_memory_what_must_give_way_is_aborted);
    add_every_split(tc, BKT_4_a_throttled_session_takes_no_more_for_small_frames);
    add_every_split(tc, BKT_4_a_session_goes_on_that_is_throttled_with_a_small_frame_unread);
    tcase_add_test(tc, without_memory_a_throttled_session_aborts_what_it_must_not_hold);
    add_every_split(tc, a_session_whose_input_ended_is_throttled_and_still_read);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
