/*
 * test_rows.c - long turns of many streams behind a fast transport, and for whom an owner with a thread
 * for each stream waits meanwhile: smux_engine_send_stream().
 */
#include "support/bytes.h"
#include "support/frames.h"
#include "support/suite.h"

#include <smux/engine.h>

#include <string.h>

#define MANY 40
#define IDLE MANY /* one more, which has nothing to send as a rule */
#define LOAN 131072u
#define TURN 1048576u
/* Nothing of this takes so long. */
#define QUIET_MS 20000u

/* An engine whose transport takes all, so many bytes a microsecond. */
struct load {
    smux_engine *engine;
    smux_estream *streams[MANY + 1];
    unsigned busy; /* the first of them have a loan all the time */
    uint64_t rate;
    uint64_t now_us;
    struct bytes out;
};

static uint8_t memory[LOAN];

static void lend(struct load *load, unsigned i)
{
    size_t kept;

    ck_assert_int_eq(smux_estream_reclaim(load->engine, load->streams[i], &kept), SMUX_OK);
    ck_assert_int_eq(smux_estream_lend(load->engine, load->streams[i], memory, LOAN), SMUX_OK);
}

/* The writers that were told come back. */
static void lend_all(struct load *load)
{
    for (unsigned i = 0; i < load->busy; i++) {
        if (smux_estream_lent(load->engine, load->streams[i]) == 0) {
            lend(load, i);
        }
    }
}

/* Sends once, at most so many bytes; the frames are in load.out. Returns the bytes. */
static size_t send_some(struct load *load, size_t most)
{
    struct smux_iov iov[64];
    size_t len = 0;
    int n = smux_engine_send_iov(load->engine, iov, 64, load->now_us);

    for (int i = 0; i < n && len < most; i++) {
        size_t piece = iov[i].len < most - len ? iov[i].len : most - len;
        bytes_put(&load->out, iov[i].base, piece);
        len += piece;
    }
    load->now_us += 1 + len / load->rate;
    smux_engine_send_commit(load->engine, len, load->now_us);
    return len;
}

static size_t send_once(struct load *load)
{
    return send_some(load, SIZE_MAX);
}

/* A window that is never in the way. */
static void open_window(struct load *load, unsigned i)
{
    uint8_t buf[FRAME_HEADER + 8];
    size_t taken;

    if (smux_engine_version(load->engine) == 2) {
        size_t len = put_upd(buf, 2, smux_estream_id(load->streams[i]), 0, 1u << 30);
        ck_assert_int_eq(smux_engine_recv(load->engine, buf, len, load->now_us, &taken), SMUX_OK);
    }
}

static void start(struct load *load, unsigned version, unsigned busy, uint64_t rate)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = version;
    config.keepalive_interval_ms = QUIET_MS;
    config.max_remote_streams = 1;
    *load = (struct load){.busy = busy, .rate = rate, .now_us = 1000000};
    ck_assert_int_eq(smux_engine_new(SMUX_CLIENT, &config, 0, load->now_us, &load->engine),
                     SMUX_OK);
    for (unsigned i = 0; i <= MANY; i++) {
        ck_assert_int_eq(smux_engine_open(load->engine, &load->streams[i]), SMUX_OK);
        open_window(load, i);
    }
    for (unsigned i = 0; i < 4 * MANY; i++) { /* until it knows how fast it is */
        lend_all(load);
        ck_assert_uint_gt(send_once(load), 0);
    }
    bytes_drop(&load->out, bytes_len(&load->out));
}

static void stop(struct load *load)
{
    smux_engine_free(load->engine);
    bytes_free(&load->out);
}

static unsigned number_of(const struct load *load, const smux_estream *stream)
{
    unsigned i = 0;

    while (load->streams[i] != stream) {
        ck_assert_uint_lt(++i, MANY + 1);
    }
    return i;
}

/* Goes on until a stream is in the middle of its turn; returns its number. */
static unsigned await_row(struct load *load)
{
    for (unsigned i = 0; i < 2 * MANY; i++) {
        lend_all(load);
        (void)send_once(load);
        if (smux_engine_send_stream(load->engine) != NULL) {
            bytes_drop(&load->out, bytes_len(&load->out));
            return number_of(load, smux_engine_send_stream(load->engine));
        }
    }
    ck_abort_msg("no turn is long");
    return 0;
}

static bool has_frame(const struct load *load)
{
    struct frame frame;

    return frame_next(bytes_head(&load->out), bytes_len(&load->out), &frame) > 0;
}

/* The stream of the next frame, and how much payload that has. */
static unsigned next_frame(struct load *load, size_t *out_len)
{
    struct frame frame;
    size_t len = frame_next(bytes_head(&load->out), bytes_len(&load->out), &frame);

    ck_assert_uint_gt(len, 0);
    bytes_drop(&load->out, len);
    *out_len = frame.cmd == CMD_PSH ? frame.len : 0;
    return (frame.id - 3) / 2;
}

/* But at the end of a round, where the last of the old one may be the first of the new. */
START_TEST(a_turn_of_many_is_a_megabyte)
{
    struct load load;
    uint64_t total = 0;
    unsigned changes = 0;

    start(&load, 1, MANY, 4000);
    unsigned last = await_row(&load);
    while (total < 10 * (uint64_t)MANY * TURN) {
        size_t len;

        if (bytes_len(&load.out) == 0) {
            lend_all(&load);
            ck_assert_uint_gt(send_once(&load), 0);
        }
        unsigned who = next_frame(&load, &len);
        changes += who != last;
        last = who;
        total += len;
    }
    ck_assert_double_ge((double)total / changes, 0.9 * TURN);
    ck_assert_double_le((double)total / changes, 1.1 * TURN);
    stop(&load);
}
END_TEST

/* In the middle of its turn nothing is sent of others. */
START_TEST(what_is_sent_ends_with_the_loan_of_the_stream_in_its_turn)
{
    struct load load;
    unsigned rows = 0;

    start(&load, 1, MANY, 4000);
    unsigned who = await_row(&load);
    for (unsigned i = 0; i < 1000; i++) {
        lend(&load, who); /* the others have theirs out */
        (void)send_once(&load);
        ck_assert_uint_eq(smux_estream_lent(load.engine, load.streams[who]), 0);
        if (smux_engine_send_stream(load.engine) == load.streams[who]) {
            size_t len;
            while (bytes_len(&load.out) > 0) {
                ck_assert_uint_eq(next_frame(&load, &len), who);
            }
            rows++;
        } else {
            who = await_row(&load);
        }
    }
    ck_assert_uint_gt(rows, 500);
    stop(&load);
}
END_TEST

static unsigned count_rows(struct load *load)
{
    unsigned rows = 0;

    for (unsigned i = 0; i < 10 * MANY; i++) {
        lend_all(load);
        (void)send_once(load);
        rows += smux_engine_send_stream(load->engine) != NULL;
    }
    return rows;
}

/* Few streams, a slow transport, version 2, whose windows end a turn: nobody is awaited. */
START_TEST(turns_are_long_only_where_it_pays)
{
    static const struct {
        unsigned version, busy;
        uint64_t rate;
    } cases[] = {{1, 31, 4000}, {1, MANY, 100}, {2, MANY, 4000}};
    struct load load;

    start(&load, cases[_i].version, cases[_i].busy, cases[_i].rate);
    ck_assert_uint_eq(count_rows(&load), 0);
    stop(&load);
}
END_TEST

START_TEST(turns_get_short_when_the_transport_gets_slow)
{
    struct load load;

    start(&load, 1, MANY, 4000);
    ck_assert_uint_gt(count_rows(&load), 0);
    load.rate = 100;
    (void)count_rows(&load);
    ck_assert_uint_eq(count_rows(&load), 0);
    stop(&load);
}
END_TEST

/* Sends and looks what came: bytes since the last frame of each stream; the most that was. */
static uint64_t longest_wait(struct load *load, uint64_t total)
{
    uint64_t at[MANY] = {0};
    uint64_t sent = 0, longest = 0;
    size_t len;

    while (sent < total) {
        lend_all(load);
        ck_assert_uint_gt(send_some(load, 40000), 0);
        while (has_frame(load)) {
            unsigned who = next_frame(load, &len);
            longest = sent - at[who] > longest ? sent - at[who] : longest;
            at[who] = sent += len;
        }
    }
    for (unsigned i = 0; i < MANY; i++) {
        longest = sent - at[i] > longest ? sent - at[i] : longest;
    }
    return longest;
}

/* Its buffers are full, say. A round of long turns that has begun would last minutes. */
START_TEST(turns_get_short_at_once_when_the_transport_takes_little)
{
    struct load load;

    start(&load, 1, MANY, 4000);
    (void)await_row(&load);
    load.rate = 1;
    ck_assert_uint_le(longest_wait(&load, 3 * (uint64_t)MANY * TURN), MANY * TURN / 4);
    stop(&load);
}
END_TEST

/* --- nothing urgent waits -------------------------------------------------------------------- */

static void open_another(struct load *load, unsigned who)
{
    smux_estream *stream;

    (void)who;
    ck_assert_int_eq(smux_engine_open(load->engine, &stream), SMUX_OK);
}

static void write_little(struct load *load, unsigned who)
{
    size_t len;

    (void)who;
    ck_assert_int_eq(smux_estream_write(load->engine, load->streams[IDLE], "x", 1, &len), SMUX_OK);
}

static void set(struct load *load, unsigned i, unsigned priority)
{
    ck_assert_int_eq(smux_estream_set_priority(load->engine, load->streams[i], priority, 16),
                     SMUX_OK);
}

static void write_in_higher_class(struct load *load, unsigned who)
{
    (void)who;
    set(load, IDLE, SMUX_PRIORITY_MAX);
    lend(load, IDLE);
}

static void write_after_a_pause(struct load *load, unsigned who)
{
    (void)who;
    lend(load, IDLE);
}

static void raise_one_that_waits(struct load *load, unsigned who)
{
    set(load, who == 0 ? 1 : 0, SMUX_PRIORITY_MAX);
}

static void end_another(struct load *load, unsigned who)
{
    (void)who;
    ck_assert_int_eq(smux_estream_shutdown(load->engine, load->streams[IDLE]), SMUX_OK);
}

static void shut_down(struct load *load, unsigned who)
{
    ck_assert_int_eq(smux_estream_shutdown(load->engine, load->streams[who]), SMUX_OK);
}

static void close_it(struct load *load, unsigned who)
{
    smux_estream_close(load->engine, load->streams[who]);
}

static void abort_it(struct load *load, unsigned who)
{
    smux_estream_abort(load->engine, load->streams[who], SMUX_EABORTED);
}

static void end_session(struct load *load, unsigned who)
{
    (void)who;
    smux_engine_fail(load->engine, SMUX_EIO, "of a test");
}

static void let_pass(struct load *load, uint64_t ms)
{
    load->now_us += ms * 1000;
    ck_assert_int_eq(smux_engine_tick(load->engine, load->now_us), SMUX_OK);
}

static void be_quiet(struct load *load, unsigned who)
{
    (void)who;
    let_pass(load, QUIET_MS);
}

/* The second stream that the peer opens is refused, when the guard is over. */
static void refuse_one(struct load *load, unsigned who)
{
    uint8_t buf[2 * FRAME_HEADER];
    size_t taken, len = put_syn(buf, 1, 2);

    len += put_syn(buf + len, 1, 4);
    ck_assert_int_eq(smux_engine_recv(load->engine, buf, len, load->now_us, &taken), SMUX_OK);
    ck_assert_ptr_eq(smux_engine_send_stream(load->engine), load->streams[who]); /* not yet */
    let_pass(load, 10);
}

static void end_input(struct load *load, unsigned who)
{
    (void)who;
    smux_engine_recv_eof(load->engine, load->now_us);
}

static void write_more(struct load *load, unsigned who)
{
    lend(load, who);
}

static void nothing(struct load *load, unsigned who)
{
    (void)load;
    (void)who;
}

static void write_in_lower_class(struct load *load, unsigned who)
{
    (void)who;
    set(load, IDLE, 0);
    lend(load, IDLE);
}

static const struct {
    void (*act)(struct load *load, unsigned who);
    bool waits; /* for the stream in its turn, still */
} acts[] = {
    {nothing, true},
    {write_in_lower_class, true},
    {open_another, false},
    {write_little, false},
    {write_in_higher_class, false},
    {write_after_a_pause, false},
    {raise_one_that_waits, false},
    {end_another, false},
    {shut_down, false},
    {close_it, false},
    {abort_it, false},
    {end_session, false},
    {be_quiet, false},
    {refuse_one, false},
    {end_input, false},
    {write_more, false},
};

START_TEST(nobody_is_awaited_when_anything_is_urgent)
{
    struct load load;

    start(&load, 1, MANY, 4000);
    unsigned who = await_row(&load);
    smux_estream *stream = load.streams[who];
    acts[_i].act(&load, who);
    if (acts[_i].waits) {
        ck_assert_ptr_eq(smux_engine_send_stream(load.engine), stream);
    } else {
        ck_assert_ptr_null(smux_engine_send_stream(load.engine));
    }
    stop(&load);
}
END_TEST

/* To wake its writer would cost more than to send it with what others have. */
START_TEST(a_small_loan_is_not_awaited)
{
    struct load load;
    size_t kept;

    start(&load, 1, MANY, 4000);
    unsigned who = await_row(&load);
    smux_estream *stream = load.streams[who];
    ck_assert_int_eq(smux_estream_reclaim(load.engine, stream, &kept), SMUX_OK);
    ck_assert_int_eq(smux_estream_lend(load.engine, stream, memory, LOAN / 4), SMUX_OK);
    (void)send_once(&load);
    ck_assert_ptr_ne(smux_engine_send_stream(load.engine), stream);
    ck_assert_uint_eq(next_frame(&load, &kept), who);
    ck_assert(has_frame(&load)); /* of others */
    stop(&load);
}
END_TEST

/* And it leaves first. */
START_TEST(what_is_urgent_goes_before_the_rest_of_a_turn)
{
    static void (*const urgent[])(struct load *, unsigned) = {write_little, write_in_higher_class,
                                                              write_after_a_pause, end_another};
    struct load load;
    size_t len;

    start(&load, 1, MANY, 4000);
    unsigned who = await_row(&load);
    lend(&load, who);
    urgent[_i](&load, who);
    (void)send_once(&load);
    ck_assert_uint_eq(next_frame(&load, &len), IDLE);
    stop(&load);
}
END_TEST

/* An owner that asks nobody and sends on: others have their turn, and the interrupted one its rest. */
START_TEST(sending_on_is_fair)
{
    uint64_t sent[MANY] = {0};
    struct load load;

    start(&load, 1, MANY, 4000);
    for (unsigned i = 0; i < 20000; i++) {
        if (i % 3 == 0) { /* sent on before they come back */
            lend_all(&load);
        }
        (void)send_once(&load);
        while (bytes_len(&load.out) > 0) {
            size_t len;
            unsigned who = next_frame(&load, &len);
            sent[who] += len;
        }
    }
    uint64_t least = sent[0], most = sent[0];
    for (unsigned i = 1; i < MANY; i++) {
        least = sent[i] < least ? sent[i] : least;
        most = sent[i] > most ? sent[i] : most;
    }
    ck_assert_uint_gt(least, 10 * TURN);
    ck_assert_double_le((double)(most - least), 0.1 * (double)most);
    stop(&load);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rows");
    TCase *tc = tcase_create("rows");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_turn_of_many_is_a_megabyte);
    tcase_add_test(tc, what_is_sent_ends_with_the_loan_of_the_stream_in_its_turn);
    tcase_add_loop_test(tc, turns_are_long_only_where_it_pays, 0, 3);
    tcase_add_test(tc, turns_get_short_when_the_transport_gets_slow);
    tcase_add_test(tc, turns_get_short_at_once_when_the_transport_takes_little);
    tcase_add_loop_test(tc, nobody_is_awaited_when_anything_is_urgent, 0,
                        (int)(sizeof acts / sizeof acts[0]));
    tcase_add_test(tc, a_small_loan_is_not_awaited);
    tcase_add_loop_test(tc, what_is_urgent_goes_before_the_rest_of_a_turn, 0, 4);
    tcase_add_test(tc, sending_on_is_fair);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
