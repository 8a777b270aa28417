/*
 * test_ahead.c - one read brings several large frames, each to its place, if they are what the engine
 * expects; if not, nothing is lost [FRM-9].
 */
#include "support/suite.h"
#include "support/wire.h"

#include <string.h>

#define MAX_IOV      20
#define MAX_READ_IOV 64
#define LARGE        10000u
#define STREAMS      32u

/* What the peer sends; the payload of each frame begins with another byte and counts on. */
struct input {
    uint8_t bytes[300000];
    size_t len;
    size_t at; /* read so far */
};

static smux_estream *streams[STREAMS];

static uint32_t id_of(unsigned i)
{
    return 3 + 2 * i;
}

static void add_psh(struct input *in, const struct wire *w, unsigned i, size_t len)
{
    static uint8_t payload[65535];

    for (size_t k = 0; k < len; k++) {
        payload[k] = (uint8_t)(i + k);
    }
    ck_assert_uint_le(in->len + 8 + len, sizeof(in->bytes));
    in->len += put_psh(in->bytes + in->len, smux_engine_version(w->engine), id_of(i), payload, len);
}

/* Fills the vectors as far as there is something. Returns the bytes. */
static size_t fill_places(struct input *in, const struct smux_iov *iov, int n)
{
    size_t taken = 0;

    for (int i = 0; i < n; i++) {
        size_t left = in->len - in->at;
        size_t part = iov[i].len < left ? iov[i].len : left;
        memcpy(iov[i].base, in->bytes + in->at, part);
        in->at += part;
        taken += part;
    }
    return taken;
}

/* Reads once, as much as there is and fits. Returns the number of vectors. */
static int read_once(struct wire *w, struct input *in, struct smux_iov *iov, int max)
{
    int n = smux_engine_recv_iov(w->engine, iov, max);

    ck_assert_int_le(n, max);
    ck_assert_int_eq(smux_engine_recv_commit(w->engine, fill_places(in, iov, n), w->now), SMUX_OK);
    return n;
}

static void read_all(struct wire *w, struct input *in)
{
    struct smux_iov iov[MAX_IOV];

    while (in->at < in->len) {
        ck_assert_int_gt(read_once(w, in, iov, MAX_IOV), 0);
    }
}

/* The next bytes of a stream are those of one frame. */
static void expect_payload(struct wire *w, unsigned i, size_t len)
{
    static uint8_t buf[65536];
    size_t done = 0;

    while (done < len) {
        size_t n = 0;
        ck_assert_int_eq(smux_estream_read(w->engine, streams[i], buf + done, len - done, &n),
                         SMUX_OK);
        done += n;
    }
    for (size_t k = 0; k < len; k++) {
        if (buf[k] != (uint8_t)(i + k)) { /* an assertion for each would take too long */
            ck_abort_msg("stream %u, byte %zu of %zu: %u", i, k, len, buf[k]);
        }
    }
}

static void start(struct wire *w, unsigned version, uint32_t budget)
{
    struct smux_config config = wire_config(version);

    config.max_receive_buffer = budget;
    config.max_stream_buffer = budget < 65536 ? budget : 65536;
    config.accept_backlog = STREAMS;
    wire_start(w, SMUX_SERVER, &config, FEED_WHOLE);
    for (unsigned i = 0; i < STREAMS; i++) {
        wire_syn(w, id_of(i));
        streams[i] = wire_accept(w, id_of(i));
    }
}

/* Frames of one length, which are read by the application. */
static void send_alike(struct wire *w, struct input *in, unsigned n, size_t len)
{
    in->len = in->at = 0;
    for (unsigned i = 0; i < n; i++) {
        add_psh(in, w, 0, len);
    }
    read_all(w, in);
    for (unsigned i = 0; i < n; i++) {
        expect_payload(w, 0, len);
    }
    in->len = in->at = 0;
}

static void *place_of(struct wire *w, unsigned i)
{
    struct smux_iov iov;
    int n = 0;

    ck_assert_int_eq(smux_estream_peek(w->engine, streams[i], &iov, 1, &n), SMUX_OK);
    ck_assert_uint_eq(iov.len, LARGE);
    return iov.base;
}

/* How many frames a read now has places for. */
static int frames_expected(struct wire *w)
{
    struct smux_iov iov[MAX_IOV];
    int n = smux_engine_recv_iov(w->engine, iov, MAX_IOV);

    ck_assert_int_eq(smux_engine_recv_commit(w->engine, 0, w->now), SMUX_OK);
    return (n - 1) / 2;
}

START_TEST(frames_of_one_length_are_read_together_each_to_its_place)
{
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;

    start(&w, (unsigned)_i, 1 << 20);
    send_alike(&w, &in, 3, LARGE);
    for (unsigned i = 1; i <= 3; i++) {
        add_psh(&in, &w, i, LARGE);
    }
    ck_assert_int_ge(read_once(&w, &in, iov, MAX_IOV), 6);
    ck_assert_uint_eq(in.at, in.len);
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_ptr_eq(place_of(&w, i), iov[2 * i - 1].base);
        expect_payload(&w, i, LARGE);
    }
    wire_stop(&w);
}
END_TEST

START_TEST(an_owner_with_two_vectors_gets_one_frame_at_a_time)
{
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;

    start(&w, (unsigned)_i, 1 << 20);
    send_alike(&w, &in, 3, LARGE);
    add_psh(&in, &w, 1, LARGE);
    add_psh(&in, &w, 2, LARGE);
    ck_assert_int_eq(read_once(&w, &in, iov, 2), 1);
    ck_assert_uint_eq(in.at, 8);
    ck_assert_int_eq(read_once(&w, &in, iov, 2), 2);
    ck_assert_uint_eq(in.at, 8 + LARGE + 8);
    read_all(&w, &in);
    expect_payload(&w, 1, LARGE);
    expect_payload(&w, 2, LARGE);
    wire_stop(&w);
}
END_TEST

/* Lengths of frames that come instead of those that are expected; the last ones, so that all places
 * are filled, are as expected, but not where they are. */
START_TEST(FRM_9_frames_of_other_lengths_arrive_whole_and_in_order)
{
    static const size_t lens[] = {LARGE, 300, LARGE - 1, LARGE + 1, 20000, 1, 4096, 65535, LARGE};
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;

    for (size_t first = 0; first < sizeof(lens) / sizeof(lens[0]); first++) {
        start(&w, (unsigned)_i, 1 << 20);
        send_alike(&w, &in, 3, LARGE);
        for (size_t i = first; i < sizeof(lens) / sizeof(lens[0]); i++) {
            add_psh(&in, &w, (unsigned)i, lens[i]);
        }
        ck_assert_int_gt(read_once(&w, &in, iov, MAX_IOV), 3);
        read_all(&w, &in);
        for (size_t i = first; i < sizeof(lens) / sizeof(lens[0]); i++) {
            expect_payload(&w, (unsigned)i, lens[i]);
        }
        ck_assert_uint_eq(wire_stats(&w).receive_buffer, 0);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(FRM_9_a_read_that_ends_anywhere_goes_on_there)
{
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;

    for (size_t cut = 1; cut < 3 * (8 + LARGE); cut += cut % LARGE < 20 ? 1 : 1237) {
        start(&w, 2, 1 << 20);
        send_alike(&w, &in, 3, LARGE);
        for (unsigned i = 1; i <= 3; i++) {
            add_psh(&in, &w, i, LARGE);
        }
        size_t len = in.len;
        in.len = cut;
        (void)read_once(&w, &in, iov, MAX_IOV);
        ck_assert_uint_eq(in.at, cut);
        in.len = len;
        read_all(&w, &in);
        for (unsigned i = 1; i <= 3; i++) {
            expect_payload(&w, i, LARGE);
        }
        wire_stop(&w);
    }
}
END_TEST

START_TEST(a_wrong_guess_asks_for_more_frames_alike_before_the_next)
{
    static struct input in;
    struct wire w;

    start(&w, (unsigned)_i, 1 << 20);
    send_alike(&w, &in, 2, LARGE);
    ck_assert_int_eq(frames_expected(&w), 0);
    send_alike(&w, &in, 1, LARGE);
    ck_assert_int_gt(frames_expected(&w), 0);
    send_alike(&w, &in, 1, LARGE / 2); /* wrong */
    send_alike(&w, &in, 3, LARGE);
    ck_assert_int_eq(frames_expected(&w), 0);
    send_alike(&w, &in, 2, LARGE);
    ck_assert_int_gt(frames_expected(&w), 0);
    wire_stop(&w);
}
END_TEST

/* Frames that nobody reads, each for a stream of its own from `first` on. */
static void fill(struct wire *w, struct input *in, unsigned first, unsigned n, size_t len)
{
    for (unsigned i = first; i < first + n; i++) {
        in->len = in->at = 0;
        add_psh(in, w, i, len);
        read_all(w, in);
    }
    in->len = in->at = 0;
}

START_TEST(BKT_4_no_more_frames_are_expected_than_the_budget_has_room_for)
{
    static struct input in;
    struct wire w;

    start(&w, (unsigned)_i, 1 << 20);
    fill(&w, &in, 10, 15, 65535);
    send_alike(&w, &in, 3, LARGE);
    for (int left = 5; left >= 0;
         left--) { /* 4 are as much as four times what the last read brought */
        ck_assert_int_eq(frames_expected(&w), left < 4 ? left : 4);
        fill(&w, &in, 1, 1, LARGE);
    }
    wire_stop(&w);
}
END_TEST

/* Frames that take more memory than their bytes use the budget up within one read. */
START_TEST(BKT_4_what_is_beyond_the_budget_waits_undecoded)
{
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;
    const uint32_t budget = 1 << 19;
    const unsigned n = 18;

    start(&w, (unsigned)_i, budget);
    fill(&w, &in, 20, 7, 65535);
    fill(&w, &in, 27, 1, 49152);
    fill(&w, &in, 28, 1, 3072);
    send_alike(&w, &in, 3, 5000);
    ck_assert_int_eq(frames_expected(&w), 2);
    for (unsigned i = 0; i < n; i++) {
        add_psh(&in, &w, i, 520);
    }
    (void)read_once(&w, &in, iov, MAX_IOV);
    ck_assert_uint_eq(in.at, in.len);
    ck_assert(!smux_engine_wants_read(w.engine));
    ck_assert_uint_lt(wire_stats(&w).receive_buffer, budget + 1000);
    for (unsigned i = 0; i < n; i++) {
        expect_payload(&w, i, 520);
    }
    ck_assert(smux_engine_wants_read(w.engine));
    wire_stop(&w);
}
END_TEST

START_TEST(posted_memory_gets_its_payload_although_there_was_a_place_for_it)
{
    static struct input in;
    static uint8_t buf[LARGE];
    struct smux_iov iov[MAX_IOV];
    struct wire w;
    size_t got = 0;

    start(&w, (unsigned)_i, 1 << 20);
    send_alike(&w, &in, 3, LARGE);
    add_psh(&in, &w, 1, LARGE);
    add_psh(&in, &w, 2, LARGE);
    ck_assert_int_eq(smux_estream_post(w.engine, streams[1], buf, sizeof(buf)), SMUX_OK);
    ck_assert_int_gt(read_once(&w, &in, iov, MAX_IOV), 3);
    smux_estream_unpost(w.engine, streams[1], &got);
    ck_assert_uint_eq(got, LARGE);
    ck_assert_mem_eq(buf, in.bytes + 8, LARGE);
    expect_payload(&w, 2, LARGE);
    wire_stop(&w);
}
END_TEST

START_TEST(without_memory_for_more_places_there_are_fewer)
{
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;

    for (unsigned fail = 1; fail <= 4; fail++) {
        start(&w, (unsigned)_i, 1 << 20);
        send_alike(&w, &in, 3, LARGE);
        wire_sleep(&w, 4000); /* memory that is kept for reuse is given back */
        add_psh(&in, &w, 1, LARGE);
        add_psh(&in, &w, 2, LARGE);
        w.heap.fail_at = w.heap.calls + 1 + fail;
        int n = read_once(&w, &in, iov, MAX_IOV);
        ck_assert_int_eq(n, fail);
        w.heap.fail_at = 0;
        read_all(&w, &in);
        expect_payload(&w, 1, LARGE);
        expect_payload(&w, 2, LARGE);
        wire_stop(&w);
    }
}
END_TEST

/* None for the record of a stream that was at rest, just then. */
START_TEST(without_memory_to_give_its_place_to_a_stream_a_payload_is_copied)
{
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;

    start(&w, (unsigned)_i, 1 << 20);
    send_alike(&w, &in, 3, LARGE);
    wire_sleep(&w, 4000); /* memory that is kept for reuse is given back */
    add_psh(&in, &w, 1, LARGE);
    int n = smux_engine_recv_iov(w.engine, iov, MAX_IOV);
    const void *place = iov[1].base;
    size_t taken = fill_places(&in, iov, n);
    w.heap.fail_at = w.heap.calls + 1;
    ck_assert_int_eq(smux_engine_recv_commit(w.engine, taken, w.now), SMUX_OK);
    ck_assert_uint_gt(w.heap.calls, w.heap.fail_at);
    ck_assert_ptr_ne(place_of(&w, 1), place);
    expect_payload(&w, 1, LARGE);
    wire_stop(&w);
}
END_TEST

/* A frame begins in the place of another, for which its chunk is too small: what has come of it lies in a
 * chunk with room for all of it, which is where the rest belongs. */
START_TEST(BKT_4_a_frame_is_charged_once_although_its_rest_has_a_place)
{
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;
    const uint32_t len = 65535, begun = 1000;

    start(&w, (unsigned)_i, 4 << 20);
    send_alike(&w, &in, 3, len);
    add_psh(&in, &w, 1, len - begun - 8);
    add_psh(&in, &w, 2, len);
    (void)read_once(&w, &in, iov, MAX_IOV);
    ck_assert_uint_eq(in.at, in.len);
    ck_assert_uint_lt(wire_stats(&w).receive_buffer, 2 * (65536 + 100));
    expect_payload(&w, 1, len - begun - 8);
    expect_payload(&w, 2, len);
    wire_stop(&w);
}
END_TEST

/* Places are not charged, and while frames of a byte, each for a stream whose last chunk is full, use up
 * the budget from the first of them, the others hold what is not decoded yet. */
START_TEST(L4_places_for_expected_frames_keep_to_the_bound)
{
    static struct input in;
    struct smux_iov iov[MAX_READ_IOV];
    struct wire w;
    const uint32_t budget = (uint32_t)_i << 19, full = 16384 + 40, largest = 65536 + 40;
    const unsigned n = 16;

    start(&w, 1, budget);
    fill(&w, &in, 1, n, full - 40);
    while (budget - wire_stats(&w).receive_buffer > 200000 + largest) {
        fill(&w, &in, 20, 1, 65535);
    }
    send_alike(&w, &in, 10, 4097);
    uint32_t left = budget - wire_stats(&w).receive_buffer;
    for (unsigned i = 1; i <= n && left > full; i++, left -= full) {
        add_psh(&in, &w, i, 1);
    }
    add_psh(&in, &w, 20, 65535);
    add_psh(&in, &w, 20, 65535);
    heap_reset_peak(&w.heap);
    while (smux_engine_wants_read(w.engine)) {
        (void)read_once(&w, &in, iov, MAX_READ_IOV);
    }
    ck_assert_uint_ge(wire_stats(&w).receive_buffer, budget);
    ck_assert_uint_le(w.heap.peak, (size_t)budget / 4 * 5 + STREAMS * 256 + (64 << 10));
    wire_stop(&w);
}
END_TEST

/* What a slow peer sends comes in little pieces: places for much more would be taken and given back with
 * each of them. */
START_TEST(no_frames_are_expected_while_little_comes_at_a_time)
{
    static struct input in;
    struct smux_iov iov[MAX_IOV];
    struct wire w;

    start(&w, (unsigned)_i, 1 << 20);
    send_alike(&w, &in, 3, LARGE);
    ck_assert_int_gt(frames_expected(&w), 0);
    for (unsigned i = 1; i <= 3; i++) {
        add_psh(&in, &w, i, LARGE);
    }
    for (size_t len = in.len, i = 0; i < 100; i++) {
        in.len = in.at + 1;
        (void)read_once(&w, &in, iov, MAX_IOV);
        ck_assert_int_eq(frames_expected(&w), 0);
        in.len = len;
    }
    read_all(&w, &in);
    ck_assert_int_gt(frames_expected(&w), 0);
    for (unsigned i = 1; i <= 3; i++) {
        expect_payload(&w, i, LARGE);
    }
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ahead");
    TCase *tc = tcase_create("ahead");

    tcase_add_loop_test(tc, frames_of_one_length_are_read_together_each_to_its_place, 1, 3);
    tcase_add_loop_test(tc, an_owner_with_two_vectors_gets_one_frame_at_a_time, 1, 3);
    tcase_add_loop_test(tc, FRM_9_frames_of_other_lengths_arrive_whole_and_in_order, 1, 3);
    tcase_add_test(tc, FRM_9_a_read_that_ends_anywhere_goes_on_there);
    tcase_add_loop_test(tc, a_wrong_guess_asks_for_more_frames_alike_before_the_next, 1, 3);
    tcase_add_loop_test(tc, BKT_4_no_more_frames_are_expected_than_the_budget_has_room_for, 1, 3);
    tcase_add_loop_test(tc, BKT_4_what_is_beyond_the_budget_waits_undecoded, 1, 3);
    tcase_add_loop_test(tc, posted_memory_gets_its_payload_although_there_was_a_place_for_it, 1, 3);
    tcase_add_loop_test(tc, without_memory_for_more_places_there_are_fewer, 1, 3);
    tcase_add_loop_test(tc, without_memory_to_give_its_place_to_a_stream_a_payload_is_copied, 1, 3);
    tcase_add_loop_test(tc, BKT_4_a_frame_is_charged_once_although_its_rest_has_a_place, 1, 3);
    tcase_add_loop_test(tc, L4_places_for_expected_frames_keep_to_the_bound, 1, 5);
    tcase_add_loop_test(tc, no_frames_are_expected_while_little_comes_at_a_time, 1, 3);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
