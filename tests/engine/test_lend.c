/*
 * test_lend.c - memory that is lent or posted instead of copied, room that is reserved, and the
 * rule that handed-out memory stays put (engine.h, rule 2).
 *
 * ctest-timeout: 900
 */
#include "support/suite.h"
#include "support/wire.h"

#include <stdlib.h>
#include <string.h>

static smux_estream *start_client(struct wire *w, unsigned version, int mode)
{
    struct smux_config config = wire_config(version);
    smux_estream *stream;

    wire_start(w, SMUX_CLIENT, &config, mode);
    stream = wire_open(w);
    expect_syn(w, 3);
    return stream;
}

/* Lends the next `len` bytes of our content; they are in the returned memory. */
static uint8_t *lend(struct wire *w, smux_estream *stream, size_t len)
{
    struct wire_flow *flow = wire_flow(w, smux_estream_id(stream));
    uint8_t *data = malloc(len);

    ck_assert(data != NULL);
    /* The same content as wire_write() would make. */
    wire_content(w, flow, data, len);
    ck_assert_int_eq(smux_estream_lend(w->engine, stream, data, len), SMUX_OK);
    flow->written += len;
    return data;
}

static void scratch(uint8_t *data, size_t len)
{
    memset(data, 0xee, len); /* whoever still reads it is found out */
    free(data);
}

START_TEST(loan_is_sent_and_given_back)
{
    smux_estream *stream;
    uint8_t *data;
    struct wire w;
    size_t kept;

    stream = start_client(&w, 1, _i);
    data = lend(&w, stream, 500000);
    ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 500000);
    ck_assert((smux_estream_events(w.engine, stream) & SMUX_EVENT_WRITABLE) == 0);
    expect_data(&w, 3, 500000);
    ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 0);
    ck_assert((smux_estream_events(w.engine, stream) & SMUX_EVENT_WRITABLE) != 0);
    ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
    scratch(data, 500000);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(loan_comes_behind_what_was_written_before)
{
    smux_estream *stream;
    uint8_t *data;
    struct wire w;

    stream = start_client(&w, 1, _i);
    w.blocked = true;
    wire_write(&w, stream, 1000);
    data = lend(&w, stream, 1000);
    wire_write(&w, stream, 500);
    wire_write(&w, stream, 500);
    smux_estream_shutdown(w.engine, stream);
    w.blocked = false;
    expect_data(&w, 3, 3000);
    expect_fin(&w, 3);
    scratch(data, 1000);
    wire_stop(&w);
}
END_TEST

START_TEST(one_loan_a_stream)
{
    smux_estream *stream, *other;
    uint8_t *data, *more;
    struct wire w;
    size_t kept;

    stream = start_client(&w, 1, _i);
    other = wire_open(&w);
    expect_syn(&w, 5);
    w.blocked = true;
    ck_assert_int_eq(smux_estream_lend(w.engine, stream, "", 0), SMUX_EINVAL);
    data = lend(&w, stream, 10);
    ck_assert_int_eq(smux_estream_lend(w.engine, stream, "x", 1), SMUX_EINVAL);
    more = lend(&w, other, 10);
    ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
    ck_assert_uint_eq(kept, 0); /* nothing was formed */
    wire_flow(&w, 3)->written = 0;
    scratch(data, 10);
    w.blocked = false;
    expect_data(&w, 5, 10);
    scratch(more, 10);
    data = lend(&w, stream, 20);
    expect_data(&w, 3, 20);
    scratch(data, 20);
    wire_stop(&w);
}
END_TEST

START_TEST(reclaim_keeps_what_was_formed_and_drops_the_rest)
{
    static const size_t takes[] = {0, 1, 7, 8, 9, 5000, 32768 + 8, 32768 + 9, 150000, 299999};

    for (unsigned version = 1; version <= 2; version++) {
        for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
            smux_estream *stream;
            uint8_t *data;
            struct wire w;
            size_t kept = 1;

            stream = start_client(&w, version, _i);
            w.blocked = true;
            data = lend(&w, stream, 300000);
            wire_take(&w, takes[i]);
            ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
            scratch(data, 300000);
            ck_assert_uint_le(kept, 300000);
            if (takes[i] == 0) {
                ck_assert_uint_eq(kept, 0);
            }
            ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 0);
            wire_flow(&w, 3)->written = kept;
            wire_write(&w, stream, 100); /* goes on exactly behind */
            w.blocked = false;
            if (kept + 100 <= 262144 || version == 1) {
                expect_data(&w, 3, kept + 100);
            }
            smux_estream_close(w.engine, stream);
            wire_stop(&w);
        }
    }
}
END_TEST

START_TEST(reclaim_without_a_loan_is_harmless)
{
    smux_estream *stream;
    struct wire w;
    size_t kept = 1;

    stream = start_client(&w, 1, _i);
    ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
    ck_assert_uint_eq(kept, 0);
    ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(reclaim_after_abort_and_after_death)
{
    for (int how = 0; how < 2; how++) {
        smux_estream *stream;
        uint8_t *data;
        struct wire w;
        size_t kept;

        stream = start_client(&w, 1, _i);
        w.blocked = true;
        data = lend(&w, stream, 100000);
        wire_take(&w, 100);
        if (how == 0) {
            smux_estream_abort(w.engine, stream, SMUX_EABORTED);
        } else {
            smux_engine_fail(w.engine, SMUX_EIO, "cut");
        }
        ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
        ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 0);
        scratch(data, 100000);
        if (how == 0) {
            wire_flow(&w, 3)->written = kept;
            w.blocked = false;
            expect_data(&w, 3, kept);
            expect_fin(&w, 3);
        }
        smux_estream_close(w.engine, stream);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(END_1_reclaim_without_memory_ends_the_session_for_all)
{
    smux_estream *stream, *other;
    unsigned events, told = 0;
    uint8_t *data;
    struct wire w;
    size_t kept;

    stream = start_client(&w, 1, _i);
    other = wire_open(&w);
    expect_syn(&w, 5);
    w.blocked = true;
    data = lend(&w, stream, 100000);
    wire_take(&w, 100); /* a begun frame, which has to be finished from elsewhere */
    while (smux_engine_next_ready(w.engine, &events) != NULL) {
    }
    w.heap.fail_at = w.heap.calls + 1;
    w.heap.fail_on = true;
    ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_EIO);
    w.heap.fail_at = 0;
    scratch(data, 100000);
    expect_dead(&w, SMUX_EIO);
    ck_assert(strstr(smux_engine_error_text(w.engine), "memory") != NULL);
    ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 0);
    for (smux_estream *s; (s = smux_engine_next_ready(w.engine, &events)) != NULL;) {
        told += s == stream || s == other;
    }
    ck_assert_uint_eq(told, 2);
    expect_status(&w, other, SMUX_EIO);
    wire_stop(&w);
}
END_TEST

START_TEST(owner_of_a_loan_is_told_when_the_session_dies)
{
    smux_estream *stream;
    unsigned events;
    uint8_t *data;
    struct wire w;
    size_t kept;

    stream = start_client(&w, 1, _i);
    w.blocked = true;
    data = lend(&w, stream, 10000);
    wire_take(&w, 1);
    smux_estream_abort(w.engine, stream, SMUX_EABORTED); /* what was formed is still on loan */
    while (smux_engine_next_ready(w.engine, &events) != NULL) {
    }
    if (smux_estream_lent(w.engine, stream) > 0) {
        smux_engine_fail(w.engine, SMUX_EIO, "cut");
        ck_assert_ptr_eq(smux_engine_next_ready(w.engine, &events), stream);
        ck_assert((events & SMUX_EVENT_WRITABLE) != 0);
    }
    ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
    scratch(data, 10000);
    wire_stop(&w);
}
END_TEST

/* The stream is over, but the transport has not taken its last frames. */
START_TEST(owner_of_a_loan_that_is_on_its_way_is_told_when_the_session_dies)
{
    smux_estream *stream;
    unsigned events;
    uint8_t *data;
    struct wire w;
    size_t kept;

    stream = start_client(&w, 1, _i);
    w.blocked = true;
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    data = lend(&w, stream, 10000);
    smux_estream_shutdown(w.engine, stream);
    wire_take(&w, 1); /* all frames are formed */
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 10000);
    while (smux_engine_next_ready(w.engine, &events) != NULL) {
    }
    smux_engine_fail(w.engine, SMUX_EIO, "cut");
    ck_assert_ptr_eq(smux_engine_next_ready(w.engine, &events), stream);
    ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
    scratch(data, 10000);
    wire_stop(&w);
}
END_TEST

START_TEST(what_waits_behind_a_loan_is_not_lent)
{
    smux_estream *stream;
    uint8_t *data;
    struct wire w;

    stream = start_client(&w, 2, _i);
    w.blocked = true;
    data = lend(&w, stream, 262144); /* fills the window */
    wire_write(&w, stream, 1000);
    wire_take(&w, 1);
    ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 262144);
    w.blocked = false;
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 0);
    scratch(data, 262144);
    wire_upd(&w, 3, 262144, 65536);
    expect_data(&w, 3, 1000);
    wire_stop(&w);
}
END_TEST

/* A loan that is taken back leaves what was written before and behind it in chunks of their own. */
START_TEST(a_queue_in_very_many_pieces_needs_more_than_one_frame)
{
    enum {
        PIECES = 30,
        LEN = 50
    };
    smux_estream *stream;
    struct frame frame;
    struct wire w;
    unsigned frames = 0;

    stream = start_client(&w, 1, _i);
    w.blocked = true;
    for (int i = 0; i < PIECES; i++) {
        uint8_t *data;
        size_t kept;

        wire_write(&w, stream, LEN);
        data = lend(&w, stream, 10);
        wire_write(&w, stream, LEN);
        ck_assert_int_eq(smux_estream_reclaim(w.engine, stream, &kept), SMUX_OK);
        ck_assert_uint_eq(kept, 0);
        scratch(data, 10);
    }
    w.blocked = false;
    wire_pump(&w);
    while (wire_frame(&w, &frame)) {
        ck_assert_uint_eq(frame.cmd, CMD_PSH);
        frames++;
    }
    ck_assert_uint_gt(frames, 1);
    ck_assert_uint_eq(wire_stream_stats(&w, stream).bytes_out, (size_t)2 * PIECES * LEN);
    wire_stop(&w);
}
END_TEST

START_TEST(loan_waits_for_the_window)
{
    smux_estream *stream;
    uint8_t *data;
    struct wire w;

    stream = start_client(&w, 2, _i);
    data = lend(&w, stream, 300000);
    ck_assert_uint_eq(wire_take_data(&w, 3), 262144);
    ck_assert_uint_eq(smux_estream_lent(w.engine, stream), 300000 - 262144);
    wire_upd(&w, 3, 262144, 65536);
    expect_data(&w, 3, 300000 - 262144);
    scratch(data, 300000);
    wire_stop(&w);
}
END_TEST

/* --- reserved room ------------------------------------------------------------------------- */

START_TEST(reserved_room_is_sent)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct smux_iov iov;
    struct rng rng;
    struct wire w;

    config.max_stream_send_buffer = 20000;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    stream = wire_open(&w);
    expect_syn(&w, 3);
    rng_seed(&rng, 1);
    for (int round = 0; round < 200; round++) {
        struct wire_flow *flow = wire_flow(&w, 3);
        int status = smux_estream_write_reserve(w.engine, stream, rng_log(&rng, 1, 30000), &iov);

        if (status == SMUX_EAGAIN) {
            w.blocked = false;
            wire_take_data(&w, 3);
            ck_assert_uint_eq(flow->got, flow->written);
            w.blocked = rng_chance(&rng, 80);
            continue;
        }
        ck_assert_int_eq(status, SMUX_OK);
        ck_assert_uint_ge(iov.len, 1);
        size_t len = rng_below(&rng, (uint32_t)iov.len + 1);
        wire_content(&w, flow, iov.base, len);
        memset((uint8_t *)iov.base + len, 0xee, iov.len - len);
        smux_estream_write_commit(w.engine, stream, len);
        flow->written += len;
        if (rng_chance(&rng, 20)) { /* mixed with plain writes */
            wire_write_some(&w, stream, rng_log(&rng, 1, 1000));
        }
    }
    w.blocked = false;
    wire_take_data(&w, 3);
    ck_assert_uint_eq(wire_flow(&w, 3)->got, wire_flow(&w, 3)->written);
    ck_assert_uint_eq(wire_stats(&w).send_buffer, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(unused_reservation_sends_nothing)
{
    smux_estream *stream;
    struct smux_iov iov;
    struct wire w;

    stream = start_client(&w, 1, _i);
    ck_assert_int_eq(smux_estream_write_reserve(w.engine, stream, 100, &iov), SMUX_OK);
    smux_estream_write_commit(w.engine, stream, 0);
    expect_quiet(&w);
    wire_write(&w, stream, 10);
    expect_data(&w, 3, 10);
    smux_estream_shutdown(w.engine, stream);
    ck_assert_int_eq(smux_estream_write_reserve(w.engine, stream, 100, &iov), SMUX_EPIPE);
    wire_stop(&w);
}
END_TEST

START_TEST(reservation_may_outlive_the_stream)
{
    for (int how = 0; how < 2; how++) {
        smux_estream *stream;
        struct smux_iov iov;
        struct wire w;

        stream = start_client(&w, 2, _i);
        ck_assert_int_eq(smux_estream_write_reserve(w.engine, stream, 100, &iov), SMUX_OK);
        if (how == 0) { /* the session dies, or the peer makes the stream fail, in between */
            smux_engine_fail(w.engine, SMUX_EIO, "cut");
        } else {
            wire_upd(&w, 3, 1, 1000);
        }
        smux_estream_write_commit(w.engine, stream, 100);
        ck_assert_uint_eq(wire_stream_stats(&w, stream).bytes_out, 0);
        smux_estream_close(w.engine, stream);
        wire_stop(&w);
    }
}
END_TEST

/* --- posted memory ------------------------------------------------------------------------- */

START_TEST(payload_lands_in_posted_memory)
{
    struct smux_config config = wire_config(2);
    static uint8_t buf[200000];
    smux_estream *stream;
    struct wire w;
    struct rng rng;
    size_t len;

    rng_seed(&rng, 2);
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    for (int round = 0; round < 100; round++) {
        size_t room = rng_log(&rng, 1, 100000);
        struct wire_flow *flow = wire_flow(&w, 3);
        int status = smux_estream_post(w.engine, stream, buf, room);

        ck_assert(status == SMUX_OK || status == SMUX_EAGAIN);
        if (status == SMUX_EAGAIN) {
            ck_assert_uint_gt(wire_stream_stats(&w, stream).unread, 0);
        }
        wire_psh(&w, 3, rng_log(&rng, 1, 65535));
        if (status == SMUX_OK) {
            smux_estream_unpost(w.engine, stream, &len);
            ck_assert_uint_le(len, room);
            expect_content(&w, flow, buf, len);
            memset(buf, 0xee, room);
        }
        if (rng_chance(&rng, 60)) { /* the rest is in the queue, exactly behind */
            expect_read(&w, stream, wire_stream_stats(&w, stream).unread);
        }
        ck_assert_uint_eq(wire_stream_stats(&w, stream).bytes_read, flow->read);
        wire_skip(&w);
    }
    expect_read(&w, stream, wire_stream_stats(&w, stream).unread);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(rest_of_a_large_payload_is_read_straight_into_posted_memory)
{
    struct smux_config config = wire_config(1);
    static uint8_t buf[60000];
    uint8_t header[FRAME_HEADER];
    smux_estream *stream;
    struct smux_iov iov[2];
    struct wire w;
    size_t len;
    int n;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    ck_assert_ptr_null(smux_engine_recv_stream(w.engine));
    wire_feed(&w, header, put_header(header, 1, CMD_PSH, 60000, 3));
    ck_assert_ptr_eq(smux_engine_recv_stream(w.engine), stream);
    ck_assert_int_eq(smux_estream_post(w.engine, stream, buf, sizeof(buf)), SMUX_OK);
    n = smux_engine_recv_iov(w.engine, iov, 2);
    ck_assert_int_ge(n, 1);
    ck_assert_ptr_eq(iov[0].base, buf);
    ck_assert_uint_eq(iov[0].len, 60000);
    wire_content(&w, wire_flow(&w, 3), buf, 60000); /* any bytes will do */
    ck_assert_int_eq(smux_engine_recv_commit(w.engine, 60000, w.now), SMUX_OK);
    ck_assert_ptr_null(smux_engine_recv_stream(w.engine));
    smux_estream_unpost(w.engine, stream, &len);
    ck_assert_uint_eq(len, 60000);
    expect_status(&w, stream, SMUX_EAGAIN);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(posted_bytes_count_as_consumed)
{
    struct smux_config config = wire_config(2);
    static uint8_t buf[50000];
    smux_estream *stream;
    struct frame frame;
    uint32_t consumed = 0;
    struct wire w;
    size_t len;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    ck_assert_int_eq(smux_estream_post(w.engine, stream, buf, sizeof(buf)), SMUX_OK);
    wire_psh(&w, 3, 50000);
    smux_estream_unpost(w.engine, stream, &len);
    expect_content(&w, wire_flow(&w, 3), buf, len);
    while (wire_frame(&w, &frame)) {
        ck_assert_uint_eq(frame.cmd, CMD_UPD);
        consumed = frame.consumed;
    }
    if (len == 50000) {
        ck_assert_uint_ge(consumed, 50000 - 32768);
    }
    wire_stop(&w);
}
END_TEST

START_TEST(post_is_of_no_use_with_unread_data_or_at_the_end)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    uint8_t buf[100];
    struct wire w;
    size_t len = 1;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_psh(&w, 3, 10);
    ck_assert_int_eq(smux_estream_post(w.engine, stream, buf, sizeof(buf)), SMUX_EAGAIN);
    expect_read(&w, stream, 10);
    ck_assert_int_eq(smux_estream_post(w.engine, stream, buf, sizeof(buf)), SMUX_OK);
    wire_fin(&w, 3);
    smux_estream_unpost(w.engine, stream, &len);
    ck_assert_uint_eq(len, 0);
    expect_status(&w, stream, SMUX_EOF);
    ck_assert_int_eq(smux_estream_post(w.engine, stream, buf, sizeof(buf)), SMUX_EAGAIN);
    wire_stop(&w);
}
END_TEST

/* --- rule 2: handed-out memory stays put --------------------------------------------------- */

START_TEST(memory_of_a_send_under_way_stays_put)
{
    for (int what = 0; what < 6; what++) {
        static uint8_t copy[1 << 20];
        smux_estream *stream, *other;
        struct smux_iov iov[64];
        size_t total = 0;
        struct wire w;
        int n;

        stream = start_client(&w, 1, _i);
        other = wire_open(&w);
        expect_syn(&w, 5);
        w.blocked = true;
        wire_write(&w, stream, 100000);
        n = smux_engine_send_iov(w.engine, iov, 64, w.now);
        for (int i = 0; i < n; i++) {
            memcpy(copy + total, iov[i].base, iov[i].len);
            total += iov[i].len;
        }
        switch (what) {
        case 0:
            smux_estream_abort(w.engine, stream, SMUX_EABORTED);
            break;
        case 1:
            smux_estream_close(w.engine, stream);
            wire_fin(&w, 3);
            break;
        case 2:
            wire_write(&w, other, 200000);
            smux_estream_shutdown(w.engine, other);
            break;
        case 3:
            wire_psh(&w, 3, 50000);
            wire_sleep(&w, 100000);
            break;
        case 4:
            smux_engine_fail(w.engine, SMUX_EIO, "cut");
            break;
        default:
            for (int i = 0; i < 100; i++) {
                wire_open(&w);
            }
            break;
        }
        total = 0;
        for (int i = 0; i < n; i++) {
            ck_assert_mem_eq(copy + total, iov[i].base, iov[i].len);
            total += iov[i].len;
        }
        smux_engine_send_commit(w.engine, total, w.now);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(memory_of_a_receive_under_way_stays_put)
{
    for (int what = 0; what < 4; what++) {
        struct smux_config config = wire_config(1);
        uint8_t frame[FRAME_HEADER] = {0};
        smux_estream *stream;
        struct smux_iov iov[2];
        size_t total = 0;
        struct wire w;
        int n;

        wire_start(&w, SMUX_SERVER, &config, _i);
        wire_syn(&w, 3);
        stream = wire_accept(&w, 3);
        wire_psh(&w, 3, 1000);
        /* Half a frame is there: the rest may be read to its own place. */
        wire_feed(&w, frame, put_header(frame, 1, CMD_PSH, 60000, 3));
        n = smux_engine_recv_iov(w.engine, iov, 2);
        ck_assert_int_gt(n, 0);
        ck_assert(!smux_engine_wants_read(w.engine));
        switch (what) {
        case 0:
            smux_estream_abort(w.engine, stream, SMUX_EABORTED);
            break;
        case 1:
            smux_estream_close(w.engine, stream);
            wire_skip(&w);
            break;
        case 2:
            expect_read(&w, stream, 1000);
            break;
        default:
            smux_engine_fail(w.engine, SMUX_EIO, "cut");
            smux_estream_close(w.engine, stream);
            break;
        }
        for (int i = 0; i < n; i++) {
            size_t part = iov[i].len < 60000 - total ? iov[i].len : 60000 - total;

            memset(iov[i].base, 'y', part); /* a sanitizer sees whether it is still ours */
            total += part;
        }
        smux_engine_recv_commit(w.engine, total, w.now);
        if (what == 2) {
            uint8_t buf[60000];
            size_t len;

            ck_assert_int_eq(smux_estream_read(w.engine, stream, buf, sizeof(buf), &len), SMUX_OK);
            ck_assert_uint_eq(len, total);
            for (size_t i = 0; i < len; i++) {
                ck_assert_uint_eq(buf[i], 'y');
            }
        }
        if (what < 2) {
            ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
        }
        wire_stop(&w);
    }
}
END_TEST

START_TEST(vectors_can_be_given_back_unused)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct smux_iov iov[64];
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_gt(smux_engine_recv_iov(w.engine, iov, 2), 0);
        ck_assert_int_eq(smux_engine_recv_commit(w.engine, 0, w.now), SMUX_OK);
    }
    wire_psh(&w, 3, 100);
    expect_read(&w, stream, 100);
    wire_write(&w, stream, 100);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_gt(smux_engine_send_iov(w.engine, iov, 64, w.now), 0);
        smux_engine_send_commit(w.engine, 0, w.now);
    }
    expect_data(&w, 3, 100);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lend");
    TCase *tc = tcase_create("lend");

    tcase_set_timeout(tc, 120);
    add_every_split(tc, loan_is_sent_and_given_back);
    add_every_split(tc, loan_comes_behind_what_was_written_before);
    add_every_split(tc, one_loan_a_stream);
    add_every_split(tc, reclaim_keeps_what_was_formed_and_drops_the_rest);
    add_every_split(tc, reclaim_without_a_loan_is_harmless);
    add_every_split(tc, reclaim_after_abort_and_after_death);
    add_every_split(tc, END_1_reclaim_without_memory_ends_the_session_for_all);
    add_every_split(tc, owner_of_a_loan_is_told_when_the_session_dies);
    add_every_split(tc, owner_of_a_loan_that_is_on_its_way_is_told_when_the_session_dies);
    add_every_split(tc, what_waits_behind_a_loan_is_not_lent);
    add_every_split(tc, a_queue_in_very_many_pieces_needs_more_than_one_frame);
    add_every_split(tc, loan_waits_for_the_window);
    add_every_split(tc, reserved_room_is_sent);
    add_every_split(tc, unused_reservation_sends_nothing);
    add_every_split(tc, reservation_may_outlive_the_stream);
    add_every_split(tc, payload_lands_in_posted_memory);
    add_every_split(tc, rest_of_a_large_payload_is_read_straight_into_posted_memory);
    add_every_split(tc, posted_bytes_count_as_consumed);
    add_every_split(tc, post_is_of_no_use_with_unread_data_or_at_the_end);
    add_every_split(tc, memory_of_a_send_under_way_stays_put);
    add_every_split(tc, memory_of_a_receive_under_way_stays_put);
    add_every_split(tc, vectors_can_be_given_back_unused);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
