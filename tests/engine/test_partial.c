/*
 * test_partial.c - FRM-9..11: frames that arrive or leave in pieces.
 *
 * ctest-timeout: 300
 */
#include "support/must.h"
#include "support/suite.h"
#include "support/wire.h"

#include <string.h>
#include <time.h>

/* --- FRM-9: the result does not depend on the splits --------------------------------------- */

/* What can be observed of a session after its input. */
struct outcome {
    int error;
    char text[200];
    struct smux_session_stats stats;
    uint64_t hash; /* of streams, their data and ends, and of the output */
};

static void outcome_add(struct outcome *o, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++) {
        o->hash = (o->hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
}

static void outcome_add_number(struct outcome *o, uint64_t number)
{
    outcome_add(o, &number, sizeof(number));
}

static void drain_stream(struct wire *w, smux_estream *stream, struct outcome *o)
{
    uint8_t buf[1000];
    size_t len;
    int status;

    outcome_add_number(o, smux_estream_id(stream));
    while ((status = smux_estream_read(w->engine, stream, buf, sizeof(buf), &len)) == SMUX_OK) {
        outcome_add(o, buf, len);
    }
    outcome_add_number(o, (uint64_t)(int64_t)status);
}

/* Random frames, mostly sound; sometimes a fatal one at the end. */
static size_t make_input(struct rng *rng, unsigned version, uint8_t *buf, size_t size)
{
    size_t len = 0;
    uint8_t payload[300];

    memset(payload, 'x', sizeof(payload));
    while (len + sizeof(payload) + FRAME_HEADER < size) {
        uint32_t id = 1 + 2 * rng_below(rng, 4);

        switch (rng_below(rng, 30)) {
        case 0:
            return len + put_header(buf + len, version, rng_below(rng, 9), rng_below(rng, 10), id);
        case 1:
            len += put_nop(buf + len, version);
            break;
        case 2:
        case 3:
            len += put_fin(buf + len, version, id);
            break;
        case 4:
        case 5:
            if (version == 2) {
                len += put_upd(buf + len, 2, id, rng_below(rng, 3), rng_below(rng, 90000));
            }
            break;
        case 6:
            len += put_psh(buf + len, version, id, payload, 0);
            break;
        case 7:
        case 8:
        case 9:
        case 10:
            len += put_syn(buf + len, version, id);
            break;
        default:
            len += put_psh(buf + len, version, id, payload, rng_log(rng, 1, sizeof(payload)));
            break;
        }
    }
    return len;
}

static void run_input(struct outcome *o, unsigned version, const uint8_t *data, size_t len,
                      int mode)
{
    struct smux_config config = wire_config(version);
    smux_estream *streams[16];
    size_t n = 0;
    struct wire w;

    memset(o, 0, sizeof(*o));
    wire_start(&w, SMUX_SERVER, &config, mode);
    wire_feed(&w, data, len);
    while (n < 16 && smux_engine_accept(w.engine, &streams[n]) == SMUX_OK) {
        drain_stream(&w, streams[n], o);
        n++;
    }
    wire_pump(&w);
    outcome_add(o, bytes_head(&w.out), bytes_len(&w.out));
    o->error = smux_engine_error(w.engine);
    strncpy(o->text, smux_engine_error_text(w.engine), sizeof(o->text) - 1);
    o->stats = wire_stats(&w);
    while (n > 0) {
        smux_estream_close(w.engine, streams[--n]);
    }
    wire_stop(&w);
}

START_TEST(FRM_9_result_does_not_depend_on_splits)
{
    static uint8_t data[4096];
    struct rng rng;

    rng_seed(&rng, 9);
    for (int round = 0; round < 300; round++) {
        unsigned version = 1 + rng_below(&rng, 2);
        size_t len = make_input(&rng, version, data, rng_between(&rng, 320, sizeof(data)));
        struct outcome whole, split;

        run_input(&whole, version, data, len, FEED_WHOLE);
        for (int mode = FEED_BYTES; mode < FEED_MODES; mode++) {
            run_input(&split, version, data, len, mode);
            ck_assert_msg(split.error == whole.error, "round %d, mode %d: %s, not %s", round, mode,
                          smux_status_name(split.error), smux_status_name(whole.error));
            ck_assert_str_eq(split.text, whole.text);
            ck_assert_msg(split.hash == whole.hash, "round %d, mode %d: another trace", round,
                          mode);
            ck_assert_mem_eq(&split.stats.frames_in, &whole.stats.frames_in,
                             sizeof(whole.stats.frames_in));
            ck_assert_uint_eq(split.stats.glitches, whole.stats.glitches);
            ck_assert_uint_eq(split.stats.payload_in, whole.stats.payload_in);
            ck_assert_uint_eq(split.stats.payload_discarded, whole.stats.payload_discarded);
        }
    }
}
END_TEST

START_TEST(FRM_9_garbage_never_hurts)
{
    struct rng rng;

    rng_seed(&rng, (uint64_t)_i);
    for (int round = 0; round < 300; round++) {
        struct smux_config config = wire_config(1 + rng_below(&rng, 2));
        uint8_t data[200];
        struct wire w;

        config.version = rng_chance(&rng, 20) ? SMUX_VERSION_AUTO : config.version;
        for (size_t i = 0; i < sizeof(data); i++) {
            /* Small values are more often sound than others. */
            data[i] = (uint8_t)rng_log(&rng, 1, 256) & 0xff;
        }
        wire_start(&w, SMUX_SERVER, &config, _i);
        wire_feed(&w, data, rng_between(&rng, 1, sizeof(data)));
        wire_pump(&w);
        wire_stop(&w);
    }
}
END_TEST

/* --- FRM-10: a begun frame is finished ----------------------------------------------------- */

START_TEST(FRM_10_begun_frame_is_finished_before_any_other)
{
    /* Cut in the SYN, inside the header of the PSH, and inside its payload. */
    static const size_t cuts[] = {1, 7, 9, 15, 17, 500, 1007};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        smux_estream *stream, *other;
        struct wire w;

        wire_start(&w, SMUX_CLIENT, NULL, _i);
        stream = wire_open(&w);
        other = wire_open(&w);
        wire_write(&w, stream, 1000);
        w.blocked = true;
        ck_assert_uint_eq(wire_take(&w, 16 + cuts[i]), 16 + cuts[i]);
        wire_write(&w, other, 10);
        smux_estream_shutdown(w.engine, other);
        w.blocked = false;
        expect_syn(&w, 3);
        expect_syn(&w, 5);
        expect_data(&w, 3, 1000);
        expect_data(&w, 5, 10);
        expect_fin(&w, 5);
        expect_quiet(&w);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(FRM_10_begun_frame_survives_abort_and_close)
{
    for (int close = 0; close < 2; close++) {
        struct smux_config config = wire_config(1);
        smux_estream *stream;
        struct wire w;
        struct frame frame;
        size_t rest = 0;

        config.max_frame_size = 1000;
        wire_start(&w, SMUX_CLIENT, &config, _i);
        stream = wire_open(&w);
        wire_write(&w, stream, 200000);
        w.blocked = true;
        ck_assert_uint_eq(wire_take(&w, 8 + 8 + 500), 516); /* SYN, half of the first PSH */
        smux_estream_abort(w.engine, stream, SMUX_EABORTED);
        if (close) {
            smux_estream_close(w.engine, stream);
        }
        w.blocked = false;
        expect_syn(&w, 3);
        ck_assert(wire_frame(&w, &frame));
        ck_assert_uint_eq(frame.cmd, CMD_PSH);
        ck_assert_uint_eq(frame.len, 1000);
        while (wire_frame(&w, &frame) && frame.cmd == CMD_PSH) {
            rest += frame.len; /* those already formed [FIN-12] */
        }
        ck_assert_uint_eq(frame.cmd, CMD_FIN);
        ck_assert_uint_lt(rest, 199000); /* the queue itself was dropped */
        expect_quiet(&w);
        wire_stop(&w);
    }
}
END_TEST

/* --- FRM-11: time for a frame -------------------------------------------------------------- */

START_TEST(FRM_11_started_frame_must_be_completed_in_time)
{
    /* In a header, behind the header of a PSH, inside its payload. */
    static const size_t parts[] = {1, 7, 8, 9, 17};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint8_t buf[FRAME_HEADER + 10];
        struct wire w;

        wire_start(&w, SMUX_SERVER, NULL, _i);
        wire_syn(&w, 3);
        put_psh(buf, 1, 3, "0123456789", 10);
        wire_sleep(&w, 500000); /* between frames time does not matter */
        wire_feed(&w, buf, parts[i]);
        wire_sleep(&w, 119000);
        expect_alive(&w);
        wire_sleep(&w, 2000);
        expect_dead(&w, SMUX_ETIMEDOUT);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(FRM_11_time_starts_with_the_frame)
{
    uint8_t buf[FRAME_HEADER + 10];
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    put_psh(buf, 1, 3, "0123456789", 10);
    for (int round = 0; round < 3; round++) {
        wire_feed(&w, buf, 9);
        wire_sleep(&w, 100000);
        expect_alive(&w);
        wire_feed(&w, buf + 9, 9);
    }
    wire_sleep(&w, 500000);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_11_own_pause_does_not_count)
{
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.max_receive_buffer = 65536;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_data(&w, 3, 65536, 4096);
    wire_data(&w, 3, 9000, 9000); /* the budget is used up: this one waits */
    ck_assert(!smux_engine_wants_read(w.engine));
    wire_sleep(&w, 600000);
    expect_alive(&w);
    expect_read(&w, stream, 40000); /* chunks are charged as a whole: less than 65536 came */
    wire_push(&w);
    expect_read(&w, stream, 65536 + 9000 - 40000);
    wire_sleep(&w, 600000);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_11_frame_timeout_can_be_set_and_switched_off)
{
    struct smux_config config = wire_config(1);
    struct wire w;

    config.frame_timeout_ms = 1000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_feed(&w, "\1", 1);
    wire_sleep(&w, 1100);
    expect_dead(&w, SMUX_ETIMEDOUT);
    wire_stop(&w);

    config.frame_timeout_ms = SMUX_OFF;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_feed(&w, "\1", 1);
    wire_sleep(&w, 3600000);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

/* Nothing more can come, so nothing is late; what else there is to do takes its time [END-3]. */
START_TEST(FRM_11_frame_that_the_end_of_the_input_cuts_has_no_limit)
{
    /* In a header, behind the header of a PSH, inside its payload. */
    static const size_t parts[] = {1, 7, 8, 9, 17};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint8_t buf[FRAME_HEADER + 10];
        smux_estream *stream;
        struct wire w;

        wire_start(&w, SMUX_SERVER, NULL, _i);
        wire_syn(&w, 3);
        wire_fin(&w, 3);
        stream = wire_accept(&w, 3);
        put_psh(buf, 1, 5, "0123456789", 10); /* of a stream that is gone */
        wire_feed(&w, buf, parts[i]);
        smux_engine_recv_eof(w.engine, w.now);
        wire_sleep(&w, 500000);
        expect_alive(&w);
        wire_write(&w, stream, 1000);
        expect_data(&w, 3, 1000);
        smux_estream_shutdown(w.engine, stream);
        expect_fin(&w, 3);
        expect_quiet(&w);
        expect_dead(&w, SMUX_ETRUNCATED);
        wire_stop(&w);
    }
}
END_TEST

/* What an owner does that gives back vectors whenever it has read nothing. */
START_TEST(FRM_9_commit_without_vectors_has_no_effect)
{
    struct smux_config config = wire_config(1);
    uint8_t frames[20 * (FRAME_HEADER + 10)], buf[200];
    size_t len = 0, got = 0, total = 0;
    smux_estream *stream;
    struct wire w;

    config.max_stream_buffer = 100;
    config.max_receive_buffer = 100;
    wire_start(&w, SMUX_SERVER, &config, FEED_IOV);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    memset(buf, 0, sizeof(buf));
    while (len < sizeof(frames)) {
        len += put_psh(frames + len, 1, 3, buf, 10);
    }
    wire_feed(&w, frames, len); /* more than the budget: the rest waits in the engine */
    ck_assert(!smux_engine_wants_read(w.engine));
    ck_assert_int_eq(smux_engine_recv_commit(w.engine, 0, w.now), SMUX_OK);
    while (smux_estream_read(w.engine, stream, buf, sizeof(buf), &got) == SMUX_OK) {
        total += got;
    }
    ck_assert_uint_eq(total, 200);
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

/* --- payload that lets its header go ahead ------------------------------------------------- */

#define PIECE 4096u

/* Reads `len` bytes from `data`, which come with one read. */
static void read_piece(struct wire *w, const void *data, size_t len)
{
    struct smux_iov iov[2];
    int n = smux_engine_recv_iov(w->engine, iov, 2);

    must(n >= 1 && iov[0].len >= len, "no place for a piece");
    if (len > 0) {
        memcpy(iov[0].base, data, len);
    }
    must(smux_engine_recv_commit(w->engine, len, w->now) == SMUX_OK, "a piece is not taken");
}

/* Frames come of which a read finds the header and the next one nothing, while so many wait to be
 * read. Returns the time of the processor that this takes. */
static double time_of_late_payload(unsigned waiting)
{
    static const uint8_t payload[PIECE];
    static uint8_t buf[PIECE];
    uint8_t header[FRAME_HEADER];
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;
    size_t len;

    config.max_receive_buffer = 128 << 20;
    wire_start(&w, SMUX_SERVER, &config, FEED_WHOLE);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    wire_data(&w, 3, (size_t)waiting * PIECE, PIECE);
    put_header(header, 1, CMD_PSH, PIECE, 3);
    clock_t start = clock();
    for (int i = 0; i < 2000; i++) {
        read_piece(&w, header, sizeof(header));
        read_piece(&w, NULL, 0);
        read_piece(&w, payload, sizeof(payload));
        must(smux_estream_read(w.engine, stream, buf, sizeof(buf), &len) == SMUX_OK &&
                 len == sizeof(buf),
             "nothing to read");
    }
    clock_t end = clock();
    ck_assert_uint_eq(wire_stream_stats(&w, stream).unread, waiting * PIECE);
    wire_stop(&w);
    return (double)(end - start);
}

/* The peer decides how often a read finds nothing: what it costs must not depend on what waits. */
START_TEST(FRM_9_read_that_finds_nothing_costs_the_same_whatever_waits)
{
    double few = time_of_late_payload(10);
    double many = time_of_late_payload(16000);

    for (int i = 0; i < 5 && many > 20 * few; i++) { /* others may have had the machine */
        few = time_of_late_payload(10);
        many = time_of_late_payload(16000);
    }
    ck_assert(many <= 20 * few);
}
END_TEST

/* The place for a payload is behind what waits when it is asked for. All of that may be gone when
 * something comes, or nothing. */
START_TEST(FRM_9_reads_while_a_read_is_under_way)
{
    uint8_t header[FRAME_HEADER], payload[PIECE], got[PIECE];
    struct smux_iov iov[2];
    smux_estream *stream;
    struct wire w;
    size_t len;

    wire_start(&w, SMUX_SERVER, NULL, FEED_WHOLE);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    put_header(header, 1, CMD_PSH, PIECE, 3);
    memset(payload, 'p', sizeof(payload));
    for (size_t waiting = 1; waiting <= 4; waiting++) {
        for (size_t gone = 0; gone <= waiting; gone++) {
            size_t come = gone % 2 * 100;
            wire_data(&w, 3, waiting * PIECE, PIECE);
            read_piece(&w, header, sizeof(header));
            ck_assert_int_ge(smux_engine_recv_iov(w.engine, iov, 2), 1);
            expect_read(&w, stream, gone * PIECE);
            memcpy(iov[0].base, payload, come);
            ck_assert_int_eq(smux_engine_recv_commit(w.engine, come, w.now), SMUX_OK);
            expect_read(&w, stream, (waiting - gone) * PIECE);
            read_piece(&w, payload + come, PIECE - come);
            for (size_t at = 0; at < PIECE; at += len) {
                ck_assert_int_eq(smux_estream_read(w.engine, stream, got + at, PIECE - at, &len),
                                 SMUX_OK);
            }
            ck_assert_mem_eq(got, payload, PIECE);
        }
    }
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("partial frames");
    TCase *tc = tcase_create("partial frames");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, FRM_9_result_does_not_depend_on_splits);
    tcase_add_test(tc, FRM_9_commit_without_vectors_has_no_effect);
    tcase_add_test(tc, FRM_9_read_that_finds_nothing_costs_the_same_whatever_waits);
    tcase_add_test(tc, FRM_9_reads_while_a_read_is_under_way);
    add_every_split(tc, FRM_9_garbage_never_hurts);
    add_every_split(tc, FRM_10_begun_frame_is_finished_before_any_other);
    add_every_split(tc, FRM_10_begun_frame_survives_abort_and_close);
    add_every_split(tc, FRM_11_started_frame_must_be_completed_in_time);
    add_every_split(tc, FRM_11_time_starts_with_the_frame);
    add_every_split(tc, FRM_11_own_pause_does_not_count);
    add_every_split(tc, FRM_11_frame_timeout_can_be_set_and_switched_off);
    add_every_split(tc, FRM_11_frame_that_the_end_of_the_input_cuts_has_no_limit);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
