/*
 * test_tray.c - small frames that writes lay out ahead are not begun by that [FRM-10].
 */
#include "support/must.h"
#include "support/suite.h"
#include "support/wire.h"

#include <time.h>

#define STREAMS 4

/* A client whose streams have told their SYNs, behind a transport that takes nothing. */
static void start(struct wire *w, unsigned version, int mode, smux_estream *streams[STREAMS])
{
    struct smux_config config = wire_config(version);

    wire_start(w, SMUX_CLIENT, &config, mode);
    for (int i = 0; i < STREAMS; i++) {
        streams[i] = wire_open(w);
    }
    wire_skip(w);
    w->blocked = true;
}

static void expect_psh_at(struct wire *w, uint32_t id, size_t len, int line)
{
    struct frame frame;

    w->blocked = false;
    ck_assert_msg(wire_frame(w, &frame), "line %d: no frame", line);
    ck_assert_msg(frame.cmd == CMD_PSH && frame.id == id && frame.len == len,
                  "line %d: %s(%u) of %u bytes", line, frame_name(frame.cmd), (unsigned)frame.id,
                  (unsigned)frame.len);
}
#define expect_psh(w, stream, len) expect_psh_at((w), smux_estream_id(stream), (len), __LINE__)

START_TEST(FRM_10_an_abort_takes_a_small_write_back)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    for (int i = 0; i < STREAMS; i++) {
        wire_write(&w, streams[i], 64);
    }
    smux_estream_abort(w.engine, streams[0], SMUX_EABORTED);
    smux_estream_abort(w.engine, streams[2], SMUX_EABORTED);
    ck_assert_uint_eq(wire_stats(&w).send_buffer, 128);
    ck_assert_uint_eq(wire_stream_stats(&w, streams[1]).unsent, 64);
    ck_assert_uint_eq(wire_stream_stats(&w, streams[2]).unsent, 0);
    w.blocked = false;
    expect_fin(&w, smux_estream_id(streams[0]));
    expect_fin(&w, smux_estream_id(streams[2]));
    expect_data(&w, smux_estream_id(streams[1]), 64);
    expect_data(&w, smux_estream_id(streams[3]), 64);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(ORD_4_small_writes_merge_whichever_comes_between)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    wire_write(&w, streams[0], 10);
    wire_write(&w, streams[1], 20);
    wire_write(&w, streams[1], 30);
    wire_write(&w, streams[0], 40);
    wire_write(&w, streams[2], 50);
    expect_psh(&w, streams[1], 50);
    expect_psh(&w, streams[0], 50);
    expect_psh(&w, streams[2], 50);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(ORD_4_small_writes_merge_into_a_large_frame)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    for (int i = 0; i < 100; i++) {
        wire_write(&w, streams[0], 100);
    }
    expect_psh(&w, streams[0], 10000);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(ORD_3_more_urgent_streams_overtake_small_writes)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    ck_assert_int_eq(smux_estream_set_priority(w.engine, streams[1], 7, 16), SMUX_OK);
    wire_write(&w, streams[0], 64);
    wire_write(&w, streams[1], 64);
    wire_write(&w, streams[2], 64);
    ck_assert_int_eq(smux_estream_set_priority(w.engine, streams[0], 0, 16), SMUX_OK);
    expect_psh(&w, streams[1], 64);
    expect_psh(&w, streams[2], 64);
    expect_psh(&w, streams[0], 64);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FIN_1_the_end_of_a_stream_is_behind_its_small_write)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    wire_write(&w, streams[0], 64);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, streams[0]), SMUX_OK);
    wire_write(&w, streams[1], 64);
    smux_estream_close(w.engine, streams[1]);
    w.blocked = false;
    expect_data(&w, 3, 64);
    expect_data(&w, 5, 64);
    expect_fin(&w, 3);
    expect_fin(&w, 5);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(WIN_9_a_window_that_shrinks_holds_a_small_write_back)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    wire_write(&w, streams[0], 64);
    wire_write(&w, streams[1], 64);
    wire_upd(&w, smux_estream_id(streams[0]), 0, 0);
    expect_psh(&w, streams[1], 64);
    expect_quiet(&w);
    wire_upd(&w, smux_estream_id(streams[0]), 0, 64);
    expect_psh(&w, streams[0], 64);
    wire_stop(&w);
}
END_TEST

START_TEST(L8_small_writes_end_where_the_queue_of_a_stream_does)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    config.max_stream_send_buffer = 100;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    stream = wire_open(&w);
    wire_skip(&w);
    w.blocked = true;
    wire_write(&w, stream, 64);
    ck_assert_uint_eq(wire_write_some(&w, stream, 64), 36);
    expect_psh(&w, stream, 100);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

static void without_memory(struct wire *w)
{
    w->heap.fail_at = w->heap.calls + 1;
    w->heap.fail_on = true;
}

static void with_memory(struct wire *w)
{
    w->heap.fail_at = 0;
    w->heap.fail_on = false;
}

/* What is in the tray needs memory to become a queue. */
START_TEST(without_memory_a_write_fails_and_what_was_written_leaves)
{
    smux_estream *streams[STREAMS];
    struct wire w;
    size_t len = 1;

    start(&w, 2, _i, streams);
    wire_write(&w, streams[0], 64);
    wire_write(&w, streams[1], 64);
    without_memory(&w);
    ck_assert_int_eq(smux_estream_write(w.engine, streams[0], "x", 1, &len), SMUX_ENOMEM);
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(smux_estream_lend(w.engine, streams[0], "x", 1), SMUX_ENOMEM);
    ck_assert_uint_eq(smux_estream_lent(w.engine, streams[0]), 0);
    with_memory(&w);
    expect_psh(&w, streams[0], 64);
    expect_psh(&w, streams[1], 64);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* It may not leave any more, and cannot wait: the other one does not suffer [R10]. */
START_TEST(R10_a_small_write_that_lost_its_window_without_memory_fails_its_stream)
{
    smux_estream *streams[STREAMS];
    struct wire w;
    size_t len;

    start(&w, 2, _i, streams);
    wire_write(&w, streams[0], 64);
    wire_write(&w, streams[1], 64);
    without_memory(&w);
    wire_upd(&w, smux_estream_id(streams[0]), 0, 0);
    with_memory(&w);
    expect_alive(&w);
    ck_assert_int_eq(smux_estream_write(w.engine, streams[0], "x", 1, &len), SMUX_ENOMEM);
    ck_assert_uint_eq(wire_stats(&w).send_buffer, 64);
    w.blocked = false;
    expect_fin(&w, smux_estream_id(streams[0]));
    expect_data(&w, smux_estream_id(streams[1]), 64);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* It has the last frame, which does not grow into what others leave of the tray. */
START_TEST(a_small_write_that_no_longer_fits_merges_all_the_same)
{
    enum {
        N = 15 /* frames of 512 bytes, which leave room for 250 */
    };
    struct smux_config config = wire_config(1);
    smux_estream *streams[N], *last;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    for (int i = 0; i < N; i++) {
        streams[i] = wire_open(&w);
    }
    last = wire_open(&w);
    wire_skip(&w);
    w.blocked = true;
    for (int i = 0; i < N; i++) {
        wire_write(&w, streams[i], 512);
    }
    wire_write(&w, last, 10);
    wire_write(&w, last, 400);
    for (int i = 0; i < N; i++) {
        expect_psh(&w, streams[i], 512);
    }
    expect_psh(&w, last, 410);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* A loan takes two vectors of what is formed, its header and itself, and so many frames of small
 * writes one, as they are too many to be copied. */
START_TEST(a_small_write_waits_until_there_is_a_vector_for_it)
{
    enum {
        LOANS = 20,
        TRAYS = WIRE_IOVS - 2 * LOANS,
        FRAMES = 5,
        LEN = 450,
    };
    struct smux_config config = wire_config(1);
    smux_estream *lenders[LOANS], *writers[FRAMES], *late;
    struct smux_iov iov[WIRE_IOVS];
    uint8_t loans[LOANS];
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    for (int i = 0; i < LOANS; i++) {
        lenders[i] = wire_open(&w);
    }
    for (int i = 0; i < FRAMES; i++) {
        writers[i] = wire_open(&w);
    }
    late = wire_open(&w);
    wire_skip(&w);
    w.blocked = true;
    for (int i = 0; i < LOANS; i++) {
        struct wire_flow *flow = wire_flow(&w, smux_estream_id(lenders[i]));
        wire_content(&w, flow, &loans[i], 1);
        flow->written++;
        ck_assert_int_eq(smux_estream_lend(w.engine, lenders[i], &loans[i], 1), SMUX_OK);
    }
    ck_assert_int_eq(smux_engine_send_iov(w.engine, iov, WIRE_IOVS, w.now), 2 * LOANS);
    for (int i = 0; i < TRAYS; i++) {
        for (int j = 0; j < FRAMES; j++) {
            wire_write(&w, writers[j], LEN);
        }
        ck_assert_int_eq(smux_engine_send_iov(w.engine, iov, WIRE_IOVS, w.now), 2 * LOANS + i + 1);
    }
    wire_write(&w, late, 10);
    ck_assert_int_eq(smux_engine_send_iov(w.engine, iov, WIRE_IOVS, w.now), WIRE_IOVS);
    ck_assert_uint_eq(wire_stream_stats(&w, late).unsent, 10);
    for (int i = 0; i < LOANS; i++) {
        expect_psh(&w, lenders[i], 1);
    }
    for (int i = 0; i < TRAYS * FRAMES; i++) {
        expect_psh(&w, writers[i % FRAMES], LEN);
    }
    expect_psh(&w, late, 10);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* More than fits waits in the scheduler, and nothing is lost. */
START_TEST(more_small_writes_than_fit_leave_in_order)
{
    struct smux_config config = wire_config(1);
    smux_estream *streams[64];
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    for (int i = 0; i < 64; i++) {
        streams[i] = wire_open(&w);
    }
    wire_skip(&w);
    w.blocked = true;
    for (int i = 0; i < 64; i++) {
        wire_write(&w, streams[i], 500);
    }
    for (int i = 0; i < 64; i++) {
        expect_psh(&w, streams[i], 500);
    }
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(small_writes_of_a_dead_session_count_as_unsent)
{
    smux_estream *streams[STREAMS];
    struct wire w;

    start(&w, 2, _i, streams);
    wire_write(&w, streams[0], 64);
    smux_engine_fail(w.engine, SMUX_EIO, NULL);
    ck_assert_uint_eq(wire_stream_stats(&w, streams[0]).unsent, 64);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* Each is formed, and nothing is taken: what waits is copied together. */
START_TEST(L8_small_writes_behind_a_transport_that_takes_nothing_hold_little)
{
    smux_estream *streams[STREAMS];
    struct smux_iov iov[64];
    struct wire w;

    start(&w, 2, _i, streams);
    size_t before = w.heap.now;
    for (int i = 0; i < 50; i++) {
        wire_write(&w, streams[0], 10);
        ck_assert_int_gt(smux_engine_send_iov(w.engine, iov, 64, w.now), 0);
        smux_engine_send_commit(w.engine, 0, w.now);
    }
    ck_assert_uint_le(w.heap.now - before, 32768);
    w.blocked = false;
    expect_data(&w, smux_estream_id(streams[0]), 500);
    wire_stop(&w);
}
END_TEST

/* So many streams have a small write waiting, and the peer changes the window of the last one without
 * end. Returns the time of the processor that this takes. */
static double time_of_updates(unsigned streams, uint32_t window)
{
    struct smux_config config = wire_config(2);
    uint8_t update[FRAME_UPD];
    smux_estream *stream = NULL;
    smux_estream *all[400];
    struct wire w;
    size_t len;

    wire_start(&w, SMUX_CLIENT, &config, FEED_WHOLE);
    for (unsigned i = 0; i < streams; i++) {
        all[i] = wire_open(&w);
    }
    wire_skip(&w);
    w.blocked = true;
    for (unsigned i = 0; i < streams; i++) {
        stream = all[i];
        wire_write(&w, stream, 1);
    }
    clock_t start = clock();
    for (uint32_t i = 0; i < 50000; i++) {
        put_upd(update, 2, smux_estream_id(stream), 0, window + i % 2);
        must(smux_engine_recv(w.engine, update, sizeof(update), w.now, &len) == SMUX_OK,
             "an update is not taken");
    }
    clock_t end = clock();
    expect_glitches(&w, 0);
    ck_assert_uint_eq(wire_stats(&w).send_buffer, streams);
    w.blocked = false;
    wire_skip(&w);
    ck_assert_uint_eq(wire_stats(&w).payload_out, streams);
    wire_stop(&w);
    return (double)(end - start);
}

START_TEST(WIN_5_update_costs_the_same_whatever_waits)
{
    uint32_t window = _i == 0 ? 10000 : 10;
    double few = time_of_updates(1, window);
    double many = time_of_updates(400, window);

    for (int i = 0; i < 5 && many > 8 * few; i++) { /* others may have had the machine */
        few = time_of_updates(1, window);
        many = time_of_updates(400, window);
    }
    ck_assert(many <= 8 * few);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tray");
    TCase *tc = tcase_create("tray");

    add_every_split(tc, FRM_10_an_abort_takes_a_small_write_back);
    add_every_split(tc, ORD_4_small_writes_merge_whichever_comes_between);
    add_every_split(tc, ORD_4_small_writes_merge_into_a_large_frame);
    add_every_split(tc, ORD_3_more_urgent_streams_overtake_small_writes);
    add_every_split(tc, FIN_1_the_end_of_a_stream_is_behind_its_small_write);
    add_every_split(tc, WIN_9_a_window_that_shrinks_holds_a_small_write_back);
    add_every_split(tc, L8_small_writes_end_where_the_queue_of_a_stream_does);
    add_every_split(tc, without_memory_a_write_fails_and_what_was_written_leaves);
    /* The other ways of feeding need memory. */
    tcase_add_loop_test(tc, R10_a_small_write_that_lost_its_window_without_memory_fails_its_stream,
                        0, FEED_RANDOM);
    add_every_split(tc, a_small_write_that_no_longer_fits_merges_all_the_same);
    add_every_split(tc, a_small_write_waits_until_there_is_a_vector_for_it);
    add_every_split(tc, more_small_writes_than_fit_leave_in_order);
    add_every_split(tc, L8_small_writes_behind_a_transport_that_takes_nothing_hold_little);
    tcase_add_loop_test(tc, WIN_5_update_costs_the_same_whatever_waits, 0, 2);
    add_every_split(tc, small_writes_of_a_dead_session_count_as_unsent);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
