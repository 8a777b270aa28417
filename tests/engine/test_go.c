/*
 * test_go.c - the engine against the counting of Go smux (support/gopeer.h), version 2.
 *
 * ctest-timeout: 900
 */
#include "support/gopeer.h"
#include "support/suite.h"
#include "support/wire.h"

static const uint32_t windows[] = {1, 2, 3, 511, 1024, 4096, 65536, 1 << 20};
#define NUM_WINDOWS (int)(sizeof(windows) / sizeof(windows[0]))

/* How much fits into a test: small windows cost a frame or two a byte. */
static uint32_t total_for(uint32_t window)
{
    return window < 512 ? 300000 + window * 50 : 2000000;
}

/* The application of a Go reader takes up to `chunk` bytes at a time. */
static void go_read_all(struct wire *w, struct go_reader *go, uint32_t *unread, uint32_t chunk)
{
    uint32_t consumed;

    while (*unread > 0) {
        uint32_t n = *unread < chunk ? *unread : chunk;

        *unread -= n;
        if (go_reader_read(go, n, &consumed)) {
            wire_upd(w, 3, consumed, go->buffer);
        }
    }
}

static void send_to_go(int mode, uint32_t window, uint32_t chunk, uint32_t frame_size)
{
    struct smux_config config = wire_config(2);
    struct go_reader go = {window, 0, 0};
    uint32_t total = total_for(window);
    uint32_t unread = 0;
    smux_estream *stream;
    struct wire w;

    config.max_frame_size = frame_size;
    wire_start(&w, SMUX_CLIENT, &config, mode);
    stream = wire_open(&w);
    expect_syn(&w, 3);
    while (wire_flow(&w, 3)->got < total) {
        uint64_t before = wire_flow(&w, 3)->got;
        uint64_t left = total - wire_flow(&w, 3)->written;

        wire_write_some(&w, stream, left < 200000 ? (size_t)left : 200000);
        unread += (uint32_t)wire_take_data(&w, 3);
        go_read_all(&w, &go, &unread, chunk);
        if (wire_flow(&w, 3)->got == before) {
            wire_sleep(&w, 201); /* at most the wait for a better window [WIN-8] */
            unread += (uint32_t)wire_take_data(&w, 3);
            ck_assert_msg(wire_flow(&w, 3)->got > before, "stuck at %u of %u", (unsigned)before,
                          (unsigned)total);
        }
    }
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    expect_alive(&w);
    expect_glitches(&w, 0);
    wire_stop(&w);
}

START_TEST(go_reader_with_any_stream_buffer_gets_everything)
{
    send_to_go(FEED_WHOLE, windows[_i], 65536, 32768);
    send_to_go(FEED_RANDOM, windows[_i], 1000, 32768);
    send_to_go(FEED_IOV, windows[_i], 7, 100);
}
END_TEST

START_TEST(go_reader_never_makes_us_wait_for_the_silly_window_timer)
{
    /* An update each half window: what is held back always has a better moment coming. */
    for (uint32_t window = 4096; window <= 262144; window *= 2) {
        struct smux_config config = wire_config(2);
        struct go_reader go = {window, 0, 0};
        uint32_t unread = 0;
        smux_estream *stream;
        struct wire w;

        wire_start(&w, SMUX_CLIENT, &config, FEED_WHOLE);
        stream = wire_open(&w);
        expect_syn(&w, 3);
        for (int i = 0; i < 200; i++) {
            uint64_t before = wire_flow(&w, 3)->got;

            wire_write_some(&w, stream, 262144);
            unread += (uint32_t)wire_take_data(&w, 3);
            go_read_all(&w, &go, &unread, window);
            unread += (uint32_t)wire_take_data(&w, 3);
            ck_assert_msg(wire_flow(&w, 3)->got > before, "window %u: waits", (unsigned)window);
        }
        wire_stop(&w);
    }
}
END_TEST

static void receive_from_go(int mode, uint32_t window, uint32_t frame_size, uint32_t chunk)
{
    struct smux_config config = wire_config(2);
    struct go_writer go = {0, 0, 262144};
    uint32_t total = total_for(window);
    smux_estream *stream;
    struct wire w;
    bool error;

    config.max_stream_buffer = window;
    wire_start(&w, SMUX_SERVER, &config, mode);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    while (wire_flow(&w, 3)->read < total) {
        uint64_t before = wire_flow(&w, 3)->read;
        int32_t room = go_writer_window(&go, &error);
        struct frame frame;
        uint32_t unread;

        ck_assert_msg(!error, "ErrConsumed");
        while (room > 0 && go.num_written < total) {
            uint32_t n = (uint32_t)room < frame_size ? (uint32_t)room : frame_size;

            n = n < total - go.num_written ? n : total - go.num_written;
            wire_psh(&w, 3, n);
            go.num_written += n;
            room -= (int32_t)n;
        }
        unread = wire_stream_stats(&w, stream).unread;
        expect_read(&w, stream, unread < chunk ? unread : chunk);
        while (wire_frame(&w, &frame)) {
            ck_assert_uint_eq(frame.cmd, CMD_UPD);
            go.peer_consumed = frame.consumed;
            go.peer_window = frame.window;
        }
        ck_assert_msg(wire_flow(&w, 3)->read > before, "stuck at %u of %u", (unsigned)before,
                      (unsigned)total);
    }
    expect_glitches(&w, 0);
    ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
    wire_stop(&w);
}

START_TEST(go_writer_gets_credit_in_time_for_any_window_of_ours)
{
    receive_from_go(FEED_WHOLE, windows[_i], 32768, 65536);
    receive_from_go(FEED_RANDOM, windows[_i], 65535, 1000);
    receive_from_go(FEED_IOV, windows[_i], 100, 1 << 20);
}
END_TEST

START_TEST(go_writer_that_missed_an_update_goes_on_with_the_next)
{
    /* An update may be lost before the Go opener knows its stream [M2, UPD-2]. */
    for (int i = 0; i < NUM_WINDOWS; i++) {
        struct smux_config config = wire_config(2);
        smux_estream *stream;
        struct frame frame;
        struct wire w;

        config.max_stream_buffer = windows[i];
        wire_start(&w, SMUX_SERVER, &config, _i);
        wire_syn(&w, 3);
        stream = wire_accept(&w, 3);
        wire_psh(&w, 3, 10);
        expect_read(&w, stream, 10);
        expect_upd(&w, 3, 10, windows[i]); /* lost */
        wire_data(&w, 3, 262144 - 10, 32768);
        expect_read(&w, stream, 262144 - 10);
        ck_assert_msg(wire_frame(&w, &frame), "no second update for window %u",
                      (unsigned)windows[i]);
        ck_assert_uint_gt(frame.consumed, 10);
        wire_stop(&w);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("Go's counting");
    TCase *tc = tcase_create("Go's counting");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, go_reader_with_any_stream_buffer_gets_everything, 0, NUM_WINDOWS);
    tcase_add_test(tc, go_reader_never_makes_us_wait_for_the_silly_window_timer);
    tcase_add_loop_test(tc, go_writer_gets_credit_in_time_for_any_window_of_ours, 0, NUM_WINDOWS);
    add_every_split(tc, go_writer_that_missed_an_update_goes_on_with_the_next);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
