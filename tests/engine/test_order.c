/*
 * test_order.c - ORD-1..4: the order of frames, fairness between streams, exact writes.
 *
 * ctest-timeout: 900
 */
#include "support/suite.h"
#include "support/wire.h"

#include <stdlib.h>
#include <string.h>

START_TEST(ORD_1_syn_then_data_then_fin_and_only_updates_behind)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    w.blocked = true;
    stream = wire_open(&w);
    wire_write(&w, stream, 1000);
    wire_psh(&w, 3, 50000);
    expect_read(&w, stream, 50000); /* an update may come after the SYN */
    smux_estream_shutdown(w.engine, stream);
    w.blocked = false;
    expect_syn(&w, 3);
    expect_upd(&w, 3, 50000, 65536);
    expect_data(&w, 3, 1000);
    expect_fin(&w, 3);
    wire_psh(&w, 3, 50000);
    expect_read(&w, stream, 50000);
    expect_upd(&w, 3, 100000, 65536);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

/* Takes output in pieces of `piece` bytes and returns the first frame of this kind; *out_before
 * are the payload bytes that came in front of it. */
static void take_until(struct wire *w, size_t piece, unsigned cmd, uint32_t id, size_t *out_before)
{
    struct frame frame;
    size_t len;

    *out_before = 0;
    for (;;) {
        len = frame_next(bytes_head(&w->out), bytes_len(&w->out), &frame);
        if (len == 0) {
            ck_assert_msg(wire_take(w, piece) > 0, "no %s(%u)", frame_name(cmd), (unsigned)id);
            continue;
        }
        bytes_drop(&w->out, len);
        if (frame.cmd == cmd && frame.id == id) {
            return;
        }
        *out_before += frame.len;
    }
}

/* Forgets the complete frames that were taken. */
static void drop_frames(struct wire *w)
{
    struct frame frame;
    size_t len;

    while ((len = frame_next(bytes_head(&w->out), bytes_len(&w->out), &frame)) > 0) {
        bytes_drop(&w->out, len);
    }
}

START_TEST(ORD_3_control_frames_overtake_data)
{
    struct smux_config config = wire_config(2);
    smux_estream *bulk, *other;
    struct wire w;
    size_t before;

    config.max_frame_size = 1000;
    config.keepalive_interval_ms = 10000;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    w.blocked = true;
    bulk = wire_open(&w);
    other = wire_open(&w);
    wire_write(&w, bulk, 200000);
    take_until(&w, 700, CMD_SYN, 5, &before);
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_eq(wire_take(&w, 700), 700); /* a slow transport */
    }
    drop_frames(&w);
    wire_psh(&w, 5, 50000);
    expect_read(&w, other, 50000);
    smux_estream_shutdown(w.engine, other);
    wire_open(&w);
    w.now += 10000001;
    smux_engine_tick(w.engine, w.now);
    take_until(&w, 700, CMD_SYN, 7, &before);
    ck_assert_msg(before < 30000, "SYN behind %zu bytes of data", before);
    wire_stop(&w);
}
END_TEST

/* --- fairness ------------------------------------------------------------------------------ */

#define BULKS 16

/* All streams have a backlog from the first byte on. After every frame the bytes sent must not
 * differ by more than one largest frame and one turn, which is half of a batch at most. */
static void check_fairness(int mode, unsigned version, uint32_t frame_size, size_t piece)
{
    struct smux_config config = wire_config(version);
    smux_estream *streams[BULKS];
    uint64_t sent[BULKS] = {0};
    struct frame frame;
    struct wire w;
    size_t len;

    config.max_frame_size = frame_size;
    config.max_send_buffer = BULKS * 262144;
    wire_start(&w, SMUX_CLIENT, &config, mode);
    w.blocked = true;
    for (int i = 0; i < BULKS; i++) {
        streams[i] = wire_open(&w);
        if (version == 2) { /* the peer knows them: no first flight [BKT-7] */
            wire_upd(&w, smux_estream_id(streams[i]), 0, 262144);
        }
        wire_write(&w, streams[i], 200000);
    }
    for (;;) {
        uint64_t low = UINT64_MAX, high = 0;

        len = frame_next(bytes_head(&w.out), bytes_len(&w.out), &frame);
        if (len == 0) {
            if (wire_take(&w, piece) == 0) {
                break;
            }
            continue;
        }
        bytes_drop(&w.out, len);
        if (frame.cmd != CMD_PSH) {
            continue;
        }
        sent[(frame.id - 3) / 2] += frame.len;
        for (int i = 0; i < BULKS; i++) {
            low = sent[i] < low ? sent[i] : low;
            high = sent[i] > high ? sent[i] : high;
        }
        ck_assert_msg(high - low <= 65535 + 131072,
                      "after %llu bytes of one stream, %llu of another", (unsigned long long)high,
                      (unsigned long long)low);
        if (low > 100000) {
            break;
        }
    }
    for (int i = 0; i < BULKS; i++) {
        ck_assert_uint_gt(sent[i], 100000);
    }
    wire_stop(&w);
}

START_TEST(ORD_3_backlogged_streams_share_by_bytes)
{
    check_fairness(_i, 1, 65535, 1 << 20);
    check_fairness(_i, 1, 32768, 1000);
    check_fairness(_i, 2, 32768, 65536);
    check_fairness(_i, 2, 1000, 3000);
}
END_TEST

START_TEST(ORD_3_frame_sizes_do_not_matter_for_the_share)
{
    /* One stream is written in small pieces, the other in large ones: equal bytes, not frames. */
    smux_estream *small, *large;
    uint64_t sent[2] = {0, 0};
    struct frame frame;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    w.blocked = true;
    small = wire_open(&w);
    large = wire_open(&w);
    for (int i = 0; i < 2000; i++) {
        wire_write(&w, small, 100);
    }
    wire_write(&w, large, 200000);
    while (sent[0] < 150000 && sent[1] < 150000) {
        size_t len = frame_next(bytes_head(&w.out), bytes_len(&w.out), &frame);

        if (len == 0) {
            ck_assert_uint_gt(wire_take(&w, 5000), 0);
            continue;
        }
        bytes_drop(&w.out, len);
        sent[frame.id == 5] += frame.len;
    }
    ck_assert_uint_ge(sent[0], 150000 - 65535);
    ck_assert_uint_ge(sent[1], 150000 - 65535);
    wire_stop(&w);
}
END_TEST

START_TEST(ORD_3_small_stream_is_not_behind_the_bulk)
{
    smux_estream *bulk, *small;
    struct wire w;
    size_t before;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    w.blocked = true;
    bulk = wire_open(&w);
    small = wire_open(&w);
    wire_write(&w, bulk, 262144);
    take_until(&w, 4096, CMD_SYN, 5, &before);
    for (int i = 0; i < 200; i++) { /* a slow transport: little is formed ahead of it */
        ck_assert_uint_eq(wire_take(&w, 4096), 4096);
        wire_write_some(&w, bulk, 4096);
    }
    while (wire_stream_stats(&w, bulk).unsent < 100000) {
        ck_assert_uint_gt(wire_write_some(&w, bulk, 4096), 0);
    }
    drop_frames(&w);
    wire_write(&w, small, 64);
    take_until(&w, 4096, CMD_PSH, 5, &before);
    ck_assert_msg(before <= 4 * 32768, "64 bytes waited for %zu", before);
    wire_stop(&w);
}
END_TEST

/* --- ORD-4: writes are exact --------------------------------------------------------------- */

START_TEST(ORD_4_small_writes_merge_into_frames)
{
    smux_estream *stream;
    struct frame frame;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    w.blocked = true;
    stream = wire_open(&w);
    for (int i = 0; i < 500; i++) {
        wire_write(&w, stream, 20);
    }
    w.blocked = false;
    expect_syn(&w, 3);
    ck_assert(wire_frame(&w, &frame));
    ck_assert_uint_eq(frame.cmd, CMD_PSH);
    ck_assert_uint_ge(frame.len, 1000); /* not a frame a write */
    wire_stop(&w);
}
END_TEST

START_TEST(ORD_4_full_queue_takes_a_part_and_tells_when_there_is_room)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    unsigned events = 0;
    struct wire w;
    size_t taken;
    char byte = 'x';

    config.max_stream_send_buffer = 10000;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    w.blocked = true;
    stream = wire_open(&w);
    taken = wire_write_some(&w, stream, 50000);
    ck_assert_uint_ge(taken, 10000);
    ck_assert_uint_le(taken, 10000 + 4096);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, &byte, 1, &taken), SMUX_EAGAIN);
    ck_assert((smux_estream_events(w.engine, stream) & SMUX_EVENT_WRITABLE) == 0);
    w.blocked = false;
    expect_syn(&w, 3);
    expect_data(&w, 3, (size_t)wire_flow(&w, 3)->written);
    ck_assert_ptr_eq(smux_engine_next_ready(w.engine, &events), stream);
    ck_assert((events & SMUX_EVENT_WRITABLE) != 0);
    ck_assert_ptr_null(smux_engine_next_ready(w.engine, &events));
    ck_assert_uint_eq(wire_write_some(&w, stream, 5000), 5000);
    expect_data(&w, 3, 5000);
    wire_stop(&w);
}
END_TEST

START_TEST(ORD_4_session_limit_leaves_every_stream_its_4_KiB)
{
    struct smux_config config = wire_config(1);
    uint64_t total = 0;
    struct wire w;

    config.max_send_buffer = 100000;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    w.blocked = true;
    for (int i = 0; i < 50; i++) {
        smux_estream *stream = wire_open(&w);
        size_t taken = wire_write_some(&w, stream, 60000);

        ck_assert_uint_ge(taken, 4096); /* no stream starves (L8) */
        total += taken;
    }
    ck_assert_uint_le(total, 100000 + 50 * 4096 + 65536);
    ck_assert_uint_eq(wire_stats(&w).send_buffer, total);
    w.blocked = false;
    wire_skip(&w);
    for (uint32_t i = 0; i < 50; i++) {
        ck_assert_uint_eq(wire_flow(&w, 3 + 2 * i)->got, wire_flow(&w, 3 + 2 * i)->written);
    }
    ck_assert_uint_eq(wire_stats(&w).send_buffer, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(ORD_4_stopped_streams_do_not_starve_the_rest_of_the_session)
{
    struct smux_config config = wire_config(2);
    smux_estream *stuck[8], *stream;
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    for (int i = 0; i < 8; i++) { /* windows used up, queues full */
        stuck[i] = wire_open(&w);
        wire_skip(&w);
        for (int n = 0; n < 4; n++) {
            wire_write_some(&w, stuck[i], 262144);
            wire_skip(&w);
        }
        wire_upd(&w, smux_estream_id(stuck[i]), 1, 0); /* the peer began to read and stopped */
    }
    stream = wire_open(&w);
    expect_syn(&w, smux_estream_id(stream));
    for (int n = 0; n < 50; n++) {
        wire_write(&w, stream, 4000);
        expect_data(&w, smux_estream_id(stream), 4000);
    }
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("order");
    TCase *tc = tcase_create("order");

    tcase_set_timeout(tc, 120);
    add_every_split(tc, ORD_1_syn_then_data_then_fin_and_only_updates_behind);
    add_every_split(tc, ORD_3_control_frames_overtake_data);
    add_every_split(tc, ORD_3_backlogged_streams_share_by_bytes);
    add_every_split(tc, ORD_3_frame_sizes_do_not_matter_for_the_share);
    add_every_split(tc, ORD_3_small_stream_is_not_behind_the_bulk);
    add_every_split(tc, ORD_4_small_writes_merge_into_frames);
    add_every_split(tc, ORD_4_full_queue_takes_a_part_and_tells_when_there_is_room);
    add_every_split(tc, ORD_4_session_limit_leaves_every_stream_its_4_KiB);
    add_every_split(tc, ORD_4_stopped_streams_do_not_starve_the_rest_of_the_session);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
