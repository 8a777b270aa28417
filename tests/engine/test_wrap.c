/*
 * test_wrap.c - counters of version 2 beyond 2^32: WIN-9, UPD-5, and the rows of table 9.1 that
 * need them. 4 GiB really pass, but nobody copies or looks at them.
 *
 * ctest-timeout: 600
 */
#include "support/gopeer.h"
#include "support/suite.h"
#include "support/wire.h"

#include <stdlib.h>

#define LOAN ((size_t)8 << 20)

/* --- the sender ---------------------------------------------------------------------------- */

struct sender {
    struct wire w;
    smux_estream *stream;
    uint8_t *loan;
    uint64_t sent;  /* payload bytes seen, by their headers */
    uint64_t read;  /* of these read by the Go peer, if there is one */
    size_t payload; /* of the current frame, still to come */
    size_t have;    /* bytes of the current header */
    uint8_t header[FRAME_HEADER];
};

static void sender_start(struct sender *s, int mode)
{
    struct smux_config config = wire_config(2);

    config.max_frame_size = 65535;
    wire_start(&s->w, SMUX_CLIENT, &config, mode);
    s->stream = wire_open(&s->w);
    s->loan = calloc(1, LOAN);
    ck_assert(s->loan != NULL);
    s->sent = 0;
    s->read = 0;
    s->payload = 0;
    s->have = 0;
}

static void sender_stop(struct sender *s)
{
    size_t kept;

    if (smux_estream_lent(s->w.engine, s->stream) > 0) {
        ck_assert_int_eq(smux_estream_reclaim(s->w.engine, s->stream, &kept), SMUX_OK);
    }
    wire_stop(&s->w);
    free(s->loan);
}

static void sender_see(struct sender *s, const uint8_t *data, size_t len)
{
    struct frame frame;

    while (len > 0) {
        size_t part = s->payload < len ? s->payload : len;

        s->payload -= part;
        data += part;
        len -= part;
        if (len > 0) {
            s->header[s->have++] = *data++;
            len--;
        }
        if (s->have == FRAME_HEADER) {
            frame_header(s->header, &frame);
            s->have = 0;
            s->payload = frame.len;
            s->sent += frame.cmd == CMD_PSH ? frame.len : 0;
        }
    }
}

/* Takes all that the window lets go. */
static void sender_flush(struct sender *s)
{
    struct smux_iov iov[WIRE_IOVS];
    int n;

    for (;;) {
        if (smux_estream_lent(s->w.engine, s->stream) == 0) {
            ck_assert_int_eq(smux_estream_lend(s->w.engine, s->stream, s->loan, LOAN), SMUX_OK);
        }
        n = smux_engine_send_iov(s->w.engine, iov, WIRE_IOVS, s->w.now);
        if (n == 0) {
            return;
        }
        size_t total = 0;
        for (int i = 0; i < n; i++) {
            sender_see(s, iov[i].base, iov[i].len);
            total += iov[i].len;
        }
        smux_engine_send_commit(s->w.engine, total, s->w.now);
    }
}

/* Sends until exactly `total` bytes are sent and acknowledged. */
static void sender_advance(struct sender *s, uint64_t total)
{
    while (s->sent < total) {
        uint64_t left = total - s->sent;
        uint32_t window = left < 0x1000000 ? (uint32_t)left : 0x1000000;

        wire_upd(&s->w, 3, (uint32_t)s->sent, window);
        sender_flush(s);
        /* One byte short of an edge of 0 mod 2^32, unless the window is 1 [WIN-9]. */
    }
    ck_assert_uint_eq(s->sent, total);
    wire_upd(&s->w, 3, (uint32_t)total, 0);
}

START_TEST(WIN_9_window_is_not_filled_up_to_a_multiple_of_2_32)
{
    struct sender s;

    sender_start(&s, FEED_WHOLE);
    wire_upd(&s.w, 3, 0, 0);
    sender_flush(&s);

    sender_advance(&s, 0xffff8000); /* the row of the table: edge 0 */
    wire_upd(&s.w, 3, 0xffff8000, 32768);
    ck_assert_uint_eq(wire_stream_stats(&s.w, s.stream).send_window, 32767);
    sender_flush(&s);
    ck_assert_uint_eq(s.sent, 0xffffffff);

    wire_upd(&s.w, 3, 0xffffffff, 1); /* a window of 1 must be used all the same */
    ck_assert_uint_eq(wire_stream_stats(&s.w, s.stream).send_window, 1);
    sender_flush(&s);
    ck_assert_uint_eq(s.sent, UINT64_C(0x100000000));
    expect_alive(&s.w);
    sender_stop(&s);
}
END_TEST

START_TEST(WIN_9_go_reader_does_not_stall_at_2_32)
{
    /* The case of M15: between two Go ends this stream stops for good at byte 2^32. */
    struct go_reader go = {32768, 0, 0};
    uint64_t total = UINT64_C(0x100000000) + 1000000;
    struct sender s;
    uint32_t consumed;

    sender_start(&s, FEED_WHOLE);
    while (s.sent < total) {
        uint64_t before = s.sent;

        sender_flush(&s);
        while (s.read < s.sent) {
            uint64_t left = s.sent - s.read;
            uint32_t n = left < 32768 ? (uint32_t)left : 32768;

            s.read += n;
            if (go_reader_read(&go, n, &consumed)) {
                wire_upd(&s.w, 3, consumed, go.buffer);
            }
        }
        if (s.sent == before) { /* held back for a better window [WIN-8] */
            s.w.now += 201000;
            smux_engine_tick(s.w.engine, s.w.now);
            sender_flush(&s);
        }
        ck_assert_msg(s.sent > before, "stalled after %llu bytes", (unsigned long long)s.sent);
    }
    expect_alive(&s.w);
    expect_glitches(&s.w, 0);
    sender_stop(&s);
}
END_TEST

START_TEST(WIN_4_row_in_flight_across_2_32)
{
    struct sender s;

    sender_start(&s, FEED_WHOLE);
    wire_upd(&s.w, 3, 0, 0);
    sender_flush(&s);

    sender_advance(&s, 0xfffffff0);
    wire_upd(&s.w, 3, 0xfffffff0, 32);
    sender_flush(&s);
    ck_assert_uint_eq(s.sent, UINT64_C(0x100000010));
    wire_upd(&s.w, 3, 0xfffffff0, 65536);
    ck_assert_uint_eq(wire_stream_stats(&s.w, s.stream).send_window, 65504);
    wire_upd(&s.w, 3, 0xffffffe0, 1); /* older, on the other side of the wrap */
    ck_assert_uint_eq(wire_stats(&s.w).upd_stale, 1);
    ck_assert_uint_eq(wire_stream_stats(&s.w, s.stream).send_window, 65504);
    wire_upd(&s.w, 3, 0, 65536); /* CONSUMED 0 is a value like any other */
    ck_assert_uint_eq(wire_stream_stats(&s.w, s.stream).send_window, 65536 - 16);
    wire_upd(&s.w, 3, 0x11, 65536); /* one ahead */
    expect_status(&s.w, s.stream, SMUX_ECONSUMED);
    sender_stop(&s);
}
END_TEST

/* --- the receiver -------------------------------------------------------------------------- */

/* Feeds one PSH without touching its payload. */
static void feed_blank(struct wire *w, size_t len)
{
    struct smux_iov iov[2];
    uint8_t header[FRAME_HEADER];

    wire_feed(w, header, put_header(header, 2, CMD_PSH, (unsigned)len, 3));
    while (len > 0) {
        int n = smux_engine_recv_iov(w->engine, iov, 2);
        size_t room = n == 0 ? 0 : iov[0].len + (n == 2 ? iov[1].len : 0);
        size_t part = room < len ? room : len;

        ck_assert(part > 0);
        ck_assert_int_eq(smux_engine_recv_commit(w->engine, part, w->now), SMUX_OK);
        len -= part;
    }
}

static void consume_all(struct wire *w, smux_estream *stream)
{
    struct smux_iov iov[16];
    int n;

    while (smux_estream_peek(w->engine, stream, iov, 16, &n) == SMUX_OK) {
        for (int i = 0; i < n; i++) {
            smux_estream_consume(w->engine, stream, iov[i].len);
        }
    }
}

START_TEST(UPD_5_consumed_of_0_after_a_wrap_is_sent)
{
    struct smux_config config = wire_config(2);
    bool seen_zero = false;
    smux_estream *stream;
    struct frame frame;
    uint32_t last = 0;
    uint64_t fed = 0;
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    while (fed < UINT64_C(0x100000000) + 1000000) {
        feed_blank(&w, 32768); /* a window of 65536: an update after each */
        fed += 32768;
        consume_all(&w, stream);
        while (wire_frame(&w, &frame)) {
            ck_assert_uint_eq(frame.cmd, CMD_UPD);
            ck_assert_uint_le((uint32_t)(frame.consumed - last), 65536);
            ck_assert_uint_eq(frame.window, 65536);
            last = frame.consumed;
            seen_zero = seen_zero || frame.consumed == 0;
        }
    }
    ck_assert_uint_eq(last, (uint32_t)fed);
    ck_assert_msg(seen_zero, "no update with CONSUMED 0");
    ck_assert_uint_eq(wire_stream_stats(&w, stream).bytes_read, fed);
    expect_glitches(&w, 0);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("counters beyond 2^32");
    TCase *tc = tcase_create("counters beyond 2^32");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, WIN_9_window_is_not_filled_up_to_a_multiple_of_2_32);
    tcase_add_test(tc, WIN_9_go_reader_does_not_stall_at_2_32);
    tcase_add_test(tc, WIN_4_row_in_flight_across_2_32);
    tcase_add_test(tc, UPD_5_consumed_of_0_after_a_wrap_is_sent);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
