/*
 * test_end.c - END-1..5: the end of a session, expected or not. [END-6] is about transports.
 */
#include "support/suite.h"
#include "support/wire.h"

#include <string.h>

static smux_estream *start_server(struct wire *w, unsigned version, int mode)
{
    struct smux_config config = wire_config(version);

    wire_start(w, SMUX_SERVER, &config, mode);
    wire_syn(w, 3);
    return wire_accept(w, 3);
}

START_TEST(END_1_first_error_wins_and_everyone_gets_it)
{
    smux_estream *stream, *other;
    char text[200];
    size_t len;
    struct smux_iov iov;
    struct wire w;

    stream = start_server(&w, 2, _i);
    other = wire_open(&w);
    smux_engine_fail(w.engine, SMUX_EIO, "connection reset by peer");
    ck_assert(strstr(smux_engine_error_text(w.engine), "connection reset by peer") != NULL);
    strncpy(text, smux_engine_error_text(w.engine), sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    smux_engine_fail(w.engine, SMUX_EPROTO, "second");
    smux_engine_recv_eof(w.engine, w.now);
    ck_assert_int_eq(smux_engine_tick(w.engine, w.now + 1000000000), SMUX_EIO);
    expect_dead(&w, SMUX_EIO);
    ck_assert_str_eq(smux_engine_error_text(w.engine), text);
    for (int i = 0; i < 2; i++) {
        smux_estream *s = i == 0 ? stream : other;

        expect_status(&w, s, SMUX_EIO);
        ck_assert_int_eq(smux_estream_write(w.engine, s, "x", 1, &len), SMUX_EIO);
        ck_assert_int_eq(smux_estream_write_reserve(w.engine, s, 1, &iov), SMUX_EIO);
        ck_assert_int_eq(smux_estream_lend(w.engine, s, "x", 1), SMUX_EIO);
        ck_assert_int_eq(smux_estream_shutdown(w.engine, s), SMUX_EIO);
    }
    ck_assert_int_eq(smux_engine_accept(w.engine, &other), SMUX_EIO);
    ck_assert_int_eq(smux_engine_recv(w.engine, "x", 1, w.now, &len), SMUX_EIO);
    ck_assert_uint_eq(len, 0);
    smux_estream_close(w.engine, stream);
    wire_stop(&w);
}
END_TEST

START_TEST(END_1_all_streams_are_told)
{
    unsigned events;
    uint32_t told = 0;
    struct wire w;

    start_server(&w, 1, _i);
    for (uint32_t id = 5; id < 45; id += 2) {
        wire_syn(&w, id);
        wire_accept(&w, id);
    }
    while (smux_engine_next_ready(w.engine, &events) != NULL) {
    }
    smux_engine_fail(w.engine, SMUX_EIO, "cut");
    while (smux_engine_next_ready(w.engine, &events) != NULL) {
        ck_assert((events & SMUX_EVENT_READABLE) != 0);
        told++;
    }
    ck_assert_uint_eq(told, 21);
    wire_stop(&w);
}
END_TEST

START_TEST(END_1_text_of_a_living_session_and_of_a_plain_failure)
{
    struct wire w;

    start_server(&w, 1, _i);
    ck_assert_int_eq(smux_engine_error(w.engine), SMUX_OK);
    ck_assert_str_eq(smux_engine_error_text(w.engine), smux_strerror(SMUX_OK));
    smux_engine_fail(w.engine, SMUX_ECLOSED, NULL);
    expect_dead(&w, SMUX_ECLOSED);
    ck_assert_str_eq(smux_engine_error_text(w.engine), smux_strerror(SMUX_ECLOSED));
    wire_stop(&w);
}
END_TEST

START_TEST(END_2_complete_data_stays_readable)
{
    smux_estream *stream, *finished;
    uint8_t header[FRAME_HEADER];
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_syn(&w, 5);
    finished = wire_accept(&w, 5);
    wire_psh(&w, 3, 20000);
    wire_psh(&w, 5, 1000);
    wire_fin(&w, 5);
    wire_feed(&w, header, put_header(header, 1, 7, 0, 3));
    expect_dead(&w, SMUX_EPROTO);
    expect_read(&w, stream, 20000);
    expect_status(&w, stream, SMUX_EPROTO);
    expect_read(&w, finished, 1000);
    expect_status(&w, finished, SMUX_EOF); /* its FIN had arrived */
    wire_stop(&w);
}
END_TEST

/* What was read ahead while reading paused is not decoded any more. */
START_TEST(END_2_error_stops_decoding)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.max_receive_buffer = 65536;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_data(&w, 3, 100000, 500);
    ck_assert(!smux_engine_wants_read(w.engine));
    uint32_t unread = wire_stream_stats(&w, stream).unread;
    ck_assert_uint_lt(unread, 100000);
    smux_engine_fail(w.engine, SMUX_EIO, "cut");
    expect_read(&w, stream, unread);
    expect_status(&w, stream, SMUX_EIO);
    wire_stop(&w);
}
END_TEST

START_TEST(END_2_error_stops_sending)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    w.blocked = true;
    wire_write(&w, stream, 100000);
    ck_assert_uint_eq(wire_take(&w, 100), 100);
    wire_header(&w, 9, 0, 0);
    expect_dead(&w, SMUX_EPROTO);
    smux_engine_send_commit(w.engine, 0, w.now);
    ck_assert_uint_eq(wire_take(&w, 100), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_end_between_frames)
{
    smux_estream *open, *finished;
    struct wire w;
    size_t len;

    open = start_server(&w, 1, _i);
    wire_syn(&w, 5);
    finished = wire_accept(&w, 5);
    wire_psh(&w, 3, 100);
    wire_psh(&w, 5, 100);
    wire_fin(&w, 5);
    smux_engine_recv_eof(w.engine, w.now);
    expect_read(&w, open, 100);
    expect_status(&w, open, SMUX_ETRUNCATED);
    ck_assert_int_eq(smux_estream_write(w.engine, open, "x", 1, &len), SMUX_ETRUNCATED);
    expect_read(&w, finished, 100);
    expect_status(&w, finished, SMUX_EOF);
    wire_write(&w, finished, 1000); /* may still be written to */
    smux_estream_shutdown(w.engine, finished);
    {
        struct frame frame;

        ck_assert(wire_frame(&w, &frame));
        if (frame.cmd == CMD_FIN && frame.id == 3) { /* of the failed one: allowed */
            ck_assert(wire_frame(&w, &frame));
        }
        ck_assert_uint_eq(frame.cmd, CMD_PSH);
        ck_assert_uint_eq(frame.id, 5);
        ck_assert_uint_eq(frame.len, 1000);
    }
    expect_fin(&w, 5);
    ck_assert(!smux_engine_wants_read(w.engine));
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_end_inside_a_frame)
{
    /* In a header, between header and payload, in the payload. */
    static const size_t cuts[] = {1, 7, 8, 9, 107};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        uint8_t frame[FRAME_HEADER + 100] = {0};
        smux_estream *open, *finished;
        struct wire w;
        char buf[200];
        size_t len;

        open = start_server(&w, 1, _i);
        wire_syn(&w, 5);
        finished = wire_accept(&w, 5);
        wire_psh(&w, 5, 100);
        wire_fin(&w, 5);
        put_header(frame, 1, CMD_PSH, 100, 3);
        wire_feed(&w, frame, cuts[i]);
        smux_engine_recv_eof(w.engine, w.now);
        while (smux_estream_read(w.engine, open, buf, sizeof(buf), &len) == SMUX_OK) {
        }
        expect_status(&w, open, SMUX_ETRUNCATED);
        expect_read(&w, finished, 100);
        expect_status(&w, finished, SMUX_EOF);
        wire_stop(&w);
    }
}
END_TEST

/* The engine has taken bytes that it has no budget for yet. */
START_TEST(END_3_end_that_is_told_early_waits_for_what_came_before)
{
    struct smux_config config = wire_config(1);
    uint8_t buf[20 * (FRAME_HEADER + 10) + 2 * FRAME_HEADER];
    smux_estream *stream, *cut;
    size_t len = 0;
    struct wire w;

    config.max_stream_buffer = 64;
    config.max_receive_buffer = 64;
    wire_start(&w, SMUX_SERVER, &config, FEED_IOV);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    for (int i = 0; i < 20; i++) {
        len += put_psh(buf + len, 1, 3, "0123456789", 10);
    }
    len += put_header(buf + len, 1, CMD_FIN, 0, 3);
    len += put_header(buf + len, 1, CMD_SYN, 0, 5);
    wire_feed(&w, buf, len);
    ck_assert(bytes_len(&w.in) == 0 && !smux_engine_wants_read(w.engine));
    for (int i = 0; i < 2; i++) { /* which may be told twice */
        smux_engine_recv_eof(w.engine, w.now);
    }
    for (size_t got, total = 0; total < 200; total += got) {
        ck_assert_int_eq(smux_estream_read(w.engine, stream, buf, sizeof(buf), &got), SMUX_OK);
        ck_assert_uint_gt(got, 0);
    }
    expect_status(&w, stream, SMUX_EOF);
    cut = wire_accept(&w, 5);
    expect_status(&w, cut, SMUX_ETRUNCATED);
    smux_estream_close(w.engine, cut);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    expect_quiet(&w);
    expect_dead(&w, SMUX_ETRUNCATED);
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_end_without_streams_is_clean)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    smux_estream_close(w.engine, stream);
    expect_fin(&w, 3);
    smux_engine_recv_eof(w.engine, w.now);
    expect_quiet(&w);
    ck_assert_int_eq(smux_engine_error(w.engine), SMUX_EOF); /* nothing was cut */
    ck_assert_int_eq(smux_engine_open(w.engine, &stream), SMUX_EOF);
    ck_assert_int_eq(smux_engine_accept(w.engine, &stream), SMUX_EOF);
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_streams_opened_after_the_end_fail)
{
    smux_estream *stream;
    struct wire w;
    int status;

    start_server(&w, 1, _i);
    smux_engine_recv_eof(w.engine, w.now);
    status = smux_engine_open(w.engine, &stream);
    if (status == SMUX_OK) { /* then its end is told at once */
        expect_status(&w, stream, SMUX_ETRUNCATED);
    } else {
        ck_assert(status == SMUX_ETRUNCATED || status == SMUX_EGOAWAY);
    }
    wire_stop(&w);
}
END_TEST

/* A stream whose peer has sent 100 bytes, has ended its output, and has left a window of 1000 bytes
 * for 5000: the rest waits for credit that cannot come any more. The peer must not take that for
 * the end of the data, and what it sent is still there. */
static void expect_starved(struct wire *w, smux_estream *stream)
{
    expect_quiet(w);
    expect_dead(w, SMUX_ETRUNCATED); /* data was accepted and not sent */
    expect_read(w, stream, 100);
    expect_status(w, stream, SMUX_EPIPE);
    smux_estream_close(w->engine, stream);
    wire_stop(w);
}

START_TEST(END_3_data_without_window_fails_at_the_end)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_upd(&w, 3, 0, 1000);
    wire_write(&w, stream, 5000);
    expect_data(&w, 3, 1000);
    wire_psh(&w, 3, 100);
    wire_fin(&w, 3);
    smux_engine_recv_eof(w.engine, w.now);
    expect_starved(&w, stream);
}
END_TEST

START_TEST(END_3_data_that_uses_up_the_window_after_the_end_fails)
{
    smux_estream *stream;
    size_t len;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_upd(&w, 3, 0, 1000);
    wire_psh(&w, 3, 100);
    wire_fin(&w, 3);
    smux_engine_recv_eof(w.engine, w.now);
    wire_write(&w, stream, 5000);
    expect_data(&w, 3, 1000);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_EPIPE);
    expect_starved(&w, stream);
}
END_TEST

START_TEST(END_3_write_into_a_window_that_was_used_up_before_the_end_fails)
{
    smux_estream *stream;
    size_t len;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_upd(&w, 3, 0, 1000);
    wire_write(&w, stream, 1000);
    expect_data(&w, 3, 1000);
    wire_fin(&w, 3);
    smux_engine_recv_eof(w.engine, w.now);
    expect_alive(&w);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "x", 1, &len), SMUX_EPIPE);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    expect_fin(&w, 3);
    expect_quiet(&w);
    ck_assert_int_eq(smux_engine_error(w.engine), SMUX_EOF);
    wire_stop(&w);
}
END_TEST

/* The connection had ended in order, so it is no loss that a FIN cannot be sent any more. */
START_TEST(END_3_shutdown_after_the_end_of_the_transport_is_no_failure)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_fin(&w, 3);
    for (int i = 0; i < 2; i++) { /* which may be told twice */
        smux_engine_recv_eof(w.engine, w.now);
        expect_alive(&w);
    }
    smux_engine_fail(w.engine, SMUX_EIO, "broken pipe");
    ck_assert_int_eq(smux_engine_error(w.engine), SMUX_EOF);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_data_of_a_closed_stream_that_cannot_be_sent_is_not_forgotten)
{
    for (int with_fin = 0; with_fin < 2; with_fin++) {
        smux_estream *stream;
        struct wire w;

        stream = start_server(&w, 2, _i);
        wire_upd(&w, 3, 0, 1000);
        wire_write(&w, stream, 5000);
        smux_estream_close(w.engine, stream);
        expect_data(&w, 3, 1000);
        if (with_fin) {
            wire_fin(&w, 3);
        }
        smux_engine_recv_eof(w.engine, w.now);
        expect_quiet(&w); /* no FIN either: it would pass for the end of the data */
        expect_dead(&w, SMUX_ETRUNCATED);
        wire_stop(&w);
    }
}
END_TEST

/* The same when it turns out only after the end that the window does not suffice. */
START_TEST(END_3_closed_stream_that_uses_up_its_window_after_the_end_is_a_loss)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 2, _i);
    wire_upd(&w, 3, 0, 1000);
    w.blocked = true;
    wire_write(&w, stream, 5000);
    smux_estream_close(w.engine, stream);
    wire_fin(&w, 3);
    smux_engine_recv_eof(w.engine, w.now);
    expect_alive(&w);
    w.blocked = false;
    expect_data(&w, 3, 1000);
    expect_quiet(&w);
    expect_dead(&w, SMUX_ETRUNCATED);
    ck_assert_uint_eq(wire_stats(&w).streams_now, 0);
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_closed_stream_with_all_its_data_on_the_way_is_no_loss)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    wire_write(&w, stream, 5000);
    smux_estream_close(w.engine, stream);
    w.blocked = true;
    wire_take(&w, 3000);
    smux_engine_recv_eof(w.engine, w.now);
    w.blocked = false;
    expect_data(&w, 3, 5000);
    expect_fin(&w, 3);
    expect_quiet(&w);
    ck_assert_int_eq(smux_engine_error(w.engine), SMUX_EOF);
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_transport_that_fails_with_data_before_it_is_no_clean_end)
{
    smux_estream *stream;
    struct wire w;

    /* Part of the frames is left, although nothing is queued any more. */
    stream = start_server(&w, 1, _i);
    wire_fin(&w, 3);
    wire_write(&w, stream, 5000);
    smux_estream_close(w.engine, stream);
    w.blocked = true;
    wire_take(&w, 3000);
    smux_engine_recv_eof(w.engine, w.now);
    smux_engine_fail(w.engine, SMUX_EIO, "broken pipe");
    expect_dead(&w, SMUX_EIO);
    wire_stop(&w);

    /* Nothing but the FIN is left. */
    stream = start_server(&w, 1, _i);
    wire_fin(&w, 3);
    wire_write(&w, stream, 5000);
    smux_estream_close(w.engine, stream);
    w.blocked = true;
    wire_take(&w, 5000 + FRAME_HEADER);
    smux_engine_recv_eof(w.engine, w.now);
    smux_engine_fail(w.engine, SMUX_EIO, "broken pipe");
    ck_assert_int_eq(smux_engine_error(w.engine), SMUX_EOF);
    wire_stop(&w);
}
END_TEST

START_TEST(END_3_closed_stream_leaves_the_table_at_the_end)
{
    struct smux_config config = wire_config(2);
    smux_estream *closed[20];
    struct wire w;

    config.accept_guard_ms = 5;
    config.idle_timeout_ms = 1000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    for (uint32_t i = 0; i < 20; i++) {
        wire_syn(&w, 3 + 2 * i);
        closed[i] = wire_accept(&w, 3 + 2 * i);
    }
    wire_syn(&w, 101);
    wire_fin(&w, 101);
    wire_accept(&w, 101); /* complete, and stays open */
    wire_syn(&w, 103);
    wire_psh(&w, 103, 10); /* truncated, and can still be accepted */
    for (int i = 0; i < 20; i++) {
        smux_estream_close(w.engine, closed[i]); /* its FIN has to wait for the guard [OPN-5] */
    }
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 22);
    smux_engine_recv_eof(w.engine, w.now);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 2);
    expect_read(&w, wire_accept(&w, 103), 10);
    wire_stop(&w);
}
END_TEST

START_TEST(END_4_drain_ends_streams_behind_their_data)
{
    smux_estream *streams[3], *stream;
    struct wire w;

    streams[0] = start_server(&w, 1, _i);
    w.blocked = true;
    streams[1] = wire_open(&w);
    streams[2] = wire_open(&w);
    wire_write(&w, streams[0], 1000);
    wire_write(&w, streams[1], 2000);
    ck_assert(!smux_engine_drained(w.engine));
    smux_engine_drain(w.engine);
    ck_assert(!smux_engine_drained(w.engine));
    ck_assert_int_eq(smux_engine_open(w.engine, &stream), SMUX_EGOAWAY);
    w.blocked = false;
    wire_skip(&w);
    ck_assert_uint_eq(wire_flow(&w, 3)->got, 1000);
    ck_assert_uint_eq(wire_flow(&w, 2)->got, 2000);
    ck_assert_uint_eq(wire_stats(&w).frames_out.fin, 3);
    ck_assert(smux_engine_drained(w.engine));
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(END_4_drain_refuses_new_streams_and_goes_on_reading)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    smux_engine_drain(w.engine);
    expect_fin(&w, 3);
    wire_syn(&w, 5);
    expect_fin(&w, 5);
    wire_psh(&w, 3, 100);
    expect_read(&w, stream, 100);
    wire_fin(&w, 3);
    expect_status(&w, stream, SMUX_EOF);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(END_4_not_drained_before_control_frames_are_sent)
{
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;

    config.accept_guard_ms = 5;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_data(&w, 3, 40000, 20000);
    smux_engine_drain(w.engine);
    expect_fin(&w, 3);
    ck_assert(smux_engine_drained(w.engine));
    expect_read(&w, stream, 40000);
    ck_assert(!smux_engine_drained(w.engine)); /* an update is due [UPD-10] */
    expect_upd(&w, 3, 40000, 65536);
    ck_assert(smux_engine_drained(w.engine));
    wire_syn(&w, 5);
    ck_assert(!smux_engine_drained(w.engine)); /* a refusal is due */
    wire_sleep(&w, 10);
    expect_fin(&w, 5);
    ck_assert(smux_engine_drained(w.engine));
    wire_stop(&w);
}
END_TEST

START_TEST(END_4_drained_when_the_last_byte_is_taken)
{
    smux_estream *stream;
    struct wire w;

    stream = start_server(&w, 1, _i);
    w.blocked = true;
    wire_write(&w, stream, 100);
    smux_engine_drain(w.engine);
    for (size_t i = 0; i < 108 + 8; i++) {
        ck_assert(!smux_engine_drained(w.engine));
        ck_assert_uint_eq(wire_take(&w, 1), 1);
    }
    ck_assert(smux_engine_drained(w.engine));
    ck_assert_uint_eq(wire_take(&w, 1), 0);
    wire_stop(&w);
}
END_TEST

START_TEST(END_5_free_at_any_moment)
{
    for (int what = 0; what < 5; what++) {
        smux_estream *stream;
        struct smux_iov iov[2];
        struct wire w;

        stream = start_server(&w, 2, _i);
        wire_syn(&w, 5);
        w.blocked = true;
        wire_write(&w, stream, 100000);
        wire_psh(&w, 3, 5000);
        wire_psh(&w, 5, 5000);
        switch (what) {
        case 0:
            break;
        case 1:
            ck_assert_uint_eq(wire_take(&w, 100), 100);
            break;
        case 2:
            smux_engine_drain(w.engine);
            break;
        case 3:
            smux_estream_close(w.engine, stream);
            break;
        default:
            ck_assert_int_gt(smux_engine_recv_iov(w.engine, iov, 2), 0);
            ck_assert_int_gt(smux_engine_send_iov(w.engine, iov, 2, w.now), 0);
            break;
        }
        wire_stop(&w);
    }
    smux_engine_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("end");
    TCase *tc = tcase_create("end");

    tcase_set_timeout(tc, 120);

    add_every_split(tc, END_1_first_error_wins_and_everyone_gets_it);
    add_every_split(tc, END_1_all_streams_are_told);
    add_every_split(tc, END_1_text_of_a_living_session_and_of_a_plain_failure);
    add_every_split(tc, END_2_complete_data_stays_readable);
    add_every_split(tc, END_2_error_stops_decoding);
    add_every_split(tc, END_2_error_stops_sending);
    add_every_split(tc, END_3_end_between_frames);
    add_every_split(tc, END_3_end_inside_a_frame);
    tcase_add_test(tc, END_3_end_that_is_told_early_waits_for_what_came_before);
    add_every_split(tc, END_3_end_without_streams_is_clean);
    add_every_split(tc, END_3_streams_opened_after_the_end_fail);
    add_every_split(tc, END_3_data_without_window_fails_at_the_end);
    add_every_split(tc, END_3_data_that_uses_up_the_window_after_the_end_fails);
    add_every_split(tc, END_3_write_into_a_window_that_was_used_up_before_the_end_fails);
    add_every_split(tc, END_3_shutdown_after_the_end_of_the_transport_is_no_failure);
    add_every_split(tc, END_3_data_of_a_closed_stream_that_cannot_be_sent_is_not_forgotten);
    add_every_split(tc, END_3_closed_stream_that_uses_up_its_window_after_the_end_is_a_loss);
    add_every_split(tc, END_3_closed_stream_with_all_its_data_on_the_way_is_no_loss);
    add_every_split(tc, END_3_transport_that_fails_with_data_before_it_is_no_clean_end);
    add_every_split(tc, END_3_closed_stream_leaves_the_table_at_the_end);
    add_every_split(tc, END_4_drain_ends_streams_behind_their_data);
    add_every_split(tc, END_4_drain_refuses_new_streams_and_goes_on_reading);
    add_every_split(tc, END_4_drained_when_the_last_byte_is_taken);
    add_every_split(tc, END_4_not_drained_before_control_frames_are_sent);
    add_every_split(tc, END_5_free_at_any_moment);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
