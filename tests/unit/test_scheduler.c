/*
 * test_scheduler.c - whose turn it is: the scheduler without frames and bytes.
 *
 * ctest-timeout: 300
 */
#include "engine/scheduler.h"
#include "support/rng.h"
#include "support/suite.h"

#include <string.h>

#define FRAME   32768
#define STREAMS 100

static struct smux__scheduler scheduler;
static struct smux_estream streams[STREAMS];
static struct smux__traffic traffic[STREAMS];
static uint64_t sent[STREAMS];

static void make(unsigned i)
{
    streams[i] = (struct smux_estream){.id = i, .traffic = &traffic[i]};
    traffic[i] = (struct smux__traffic){.stream = &streams[i]};
    smux__scheduler_adopt(&scheduler, &streams[i]);
}

static void start(uint32_t frame, unsigned n)
{
    memset(sent, 0, sizeof sent);
    smux__scheduler_init(&scheduler, frame);
    for (unsigned i = 0; i < n; i++) {
        make(i);
    }
}

static void join(unsigned i)
{
    smux__scheduler_join(&scheduler, &streams[i]);
}

static void leave(unsigned i)
{
    smux__scheduler_leave(&scheduler, &streams[i]);
}

static void set(unsigned i, unsigned priority, unsigned weight)
{
    smux__scheduler_set(&scheduler, &streams[i], priority, weight);
}

/* Sends one frame of up to `len` bytes; returns whose it was. */
static unsigned send_one(uint32_t len)
{
    struct smux_estream *stream = smux__scheduler_next(&scheduler);

    smux__scheduler_sent(&scheduler, stream, len);
    sent[stream->id] += len;
    return stream->id;
}

/* As ck_assert(), which is too slow for the innermost loops. */
#define expect(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("%s", #condition);                                                        \
        }                                                                                          \
    } while (0)

/* The invariants of scheduler.h. */
static unsigned check_list(const struct smux__stream_list *list, unsigned class, uint32_t fresh)
{
    const struct smux_estream *prev = NULL;
    unsigned n = 0;

    for (const struct smux_estream *stream = list->head; stream != NULL; n++) {
        expect(stream->priority == class);
        expect((stream->flags & (STREAM_IN_DATA | STREAM_IN_FRESH)) == (STREAM_IN_DATA | fresh));
        expect(fresh == 0 || stream->deficit > 0);
        expect(stream->traffic->sched.prev == prev);
        prev = stream;
        stream = stream->traffic->sched.next;
    }
    expect(list->tail == prev);
    return n;
}

static void check_lists(unsigned expected)
{
    unsigned total = 0;

    for (unsigned i = 0; i <= SMUX_PRIORITY_MAX; i++) {
        unsigned n = check_list(&scheduler.classes[i].fresh, i, STREAM_IN_FRESH) +
                     check_list(&scheduler.classes[i].waiting, i, 0);
        expect(((scheduler.busy >> i) & 1) == (n > 0));
        total += n;
    }
    expect(total == expected);
}

/* Each choice is of the highest class that has streams, and the lists stay whole. */
START_TEST(random_use_keeps_the_invariants)
{
    struct rng rng;
    unsigned joined = 0;

    rng_seed(&rng, (uint64_t)_i);
    start(rng_log(&rng, 1, 65535), STREAMS);
    smux__scheduler_set_turn_of_many(&scheduler, rng_log(&rng, 1, 1 << 20), 4);
    for (int step = 0; step < 5000; step++) {
        unsigned i = rng_below(&rng, STREAMS);
        bool is_in = (streams[i].flags & STREAM_IN_DATA) != 0;

        switch (rng_below(&rng, 4)) {
        case 0:
            if (!is_in) {
                join(i);
                joined++;
            }
            break;
        case 1:
            if (is_in && rng_chance(&rng, 50)) {
                leave(i);
                joined--;
            }
            break;
        case 2:
            set(i, rng_below(&rng, SMUX_PRIORITY_MAX + 1), rng_between(&rng, 1, SMUX_WEIGHT_MAX));
            break;
        default:
            if (smux__scheduler_busy(&scheduler)) {
                unsigned who = send_one(rng_log(&rng, 1, 65535));
                expect(scheduler.busy >> streams[who].priority == 1);
            }
            break;
        }
        check_lists(joined);
    }
}
END_TEST

START_TEST(bytes_follow_the_weights_for_every_frame_size)
{
    static const unsigned weights[] = {1, 2, 3, 16, 17, 100, 256};
    const unsigned n = sizeof weights / sizeof weights[0];
    struct rng rng;
    uint64_t total = 0;

    rng_seed(&rng, (uint64_t)_i);
    start(1u << _i, n);
    for (unsigned i = 0; i < n; i++) {
        set(i, SMUX_PRIORITY_DEFAULT, weights[i]);
        join(i);
    }
    for (int step = 0; step < 400000; step++) {
        uint32_t len = rng_between(&rng, 1, 1u << _i);
        send_one(len);
        total += len;
    }
    for (unsigned i = 0; i < n; i++) {
        double share = (double)sent[i] / (double)total * (1 + 2 + 3 + 16 + 17 + 100 + 256);
        ck_assert_double_gt(share, 0.97 * weights[i]);
        ck_assert_double_lt(share, 1.03 * weights[i]);
    }
}
END_TEST

/* It runs empty after each frame and is back before the next one. */
START_TEST(running_empty_again_and_again_gives_no_more_than_a_share)
{
    const uint32_t burst = (uint32_t)_i;
    uint64_t total = 0;

    start(FRAME, 9);
    for (unsigned i = 0; i < 9; i++) {
        join(i);
    }
    while (total < 32 << 20) {
        unsigned who = smux__scheduler_next(&scheduler)->id;
        uint32_t len = who == 0 ? burst : FRAME;

        send_one(len);
        total += len;
        if (who == 0) {
            leave(0);
            join(0);
        }
    }
    ck_assert_double_lt((double)sent[0], 1.03 * (double)total / 9);
    ck_assert_double_gt((double)sent[0], 0.97 * (double)total / 9);
}
END_TEST

/* The same by one that changes its class back and forth between its bursts. */
START_TEST(changing_the_class_again_and_again_gives_no_more_than_a_share)
{
    uint64_t total = 0;

    start(FRAME, 9);
    for (unsigned i = 0; i < 9; i++) {
        join(i);
    }
    while (total < 32 << 20) {
        unsigned who = send_one(4096);

        total += 4096;
        if (who == 0) {
            leave(0);
            set(0, 7, SMUX_WEIGHT_MAX);
            set(0, SMUX_PRIORITY_DEFAULT, SMUX_WEIGHT_DEFAULT);
            join(0);
        }
    }
    ck_assert_double_lt((double)sent[0], 1.05 * (double)total / 9);
}
END_TEST

/* How much the transport takes changes all the time, and with it the length of a turn. */
START_TEST(I14_turns_that_change_their_length_are_fair)
{
    enum {
        N = 6,
        LONGEST = 4 * FRAME
    };

    start(FRAME, N);
    for (unsigned i = 0; i < N; i++) {
        join(i);
    }
    for (unsigned i = 0; i < 20000; i++) { /* long turns whenever stream 0 is served */
        unsigned who = send_one(FRAME / 8);
        smux__scheduler_set_turn(&scheduler, who == 0 || who == N - 1 ? LONGEST : FRAME / 4);
        uint64_t least = sent[0], most = sent[0];
        for (unsigned k = 1; k < N; k++) {
            least = sent[k] < least ? sent[k] : least;
            most = sent[k] > most ? sent[k] : most;
        }
        ck_assert_uint_le(most - least, LONGEST + FRAME / 8);
    }
}
END_TEST

/* New streams, one after the other and each with a full quantum, never end. */
START_TEST(new_streams_without_end_do_not_starve_the_old_ones)
{
    uint64_t others = 0;

    start(FRAME, 2);
    join(0);
    ck_assert_uint_eq(send_one(FRAME), 0);
    for (int i = 0; i < 10000; i++) {
        make(1);
        join(1);
        while (send_one(FRAME) == 0) {
            others = 0;
        }
        others += FRAME;
        leave(1);
        expect(others <= 65 * FRAME);
    }
}
END_TEST

START_TEST(a_stream_that_was_idle_goes_first)
{
    start(FRAME, STREAMS);
    for (unsigned i = 1; i < STREAMS; i++) {
        join(i);
    }
    for (int i = 0; i < 1000; i++) {
        send_one(FRAME);
    }
    for (int i = 0; i < 500; i++) { /* 500 * 64 bytes are less than its share of a round */
        join(0);
        ck_assert_uint_eq(send_one(64), 0);
        leave(0);
    }
}
END_TEST

/* A debt is paid in the rounds that pass, whether the stream waits for it or does something else. */
START_TEST(a_debt_is_forgotten_when_its_rounds_have_passed)
{
    start(FRAME, 3);
    set(0, SMUX_PRIORITY_DEFAULT, 2);
    join(0);
    ck_assert_uint_eq(send_one(FRAME), 0); /* it had 1/8 of that: 7 rounds of credit are due */
    leave(0);
    join(1);
    join(2);
    for (int i = 0; i < 2 * 6; i++) {
        send_one(FRAME);
    }
    join(0);
    ck_assert_uint_ne(smux__scheduler_next(&scheduler)->id, 0);
    leave(0);
    for (int i = 0; i < 2 * 9; i++) {
        send_one(FRAME);
    }
    join(0);
    ck_assert_uint_eq(smux__scheduler_next(&scheduler)->id, 0);
}
END_TEST

/* --- long turns of many streams ------------------------------------------------------------- */

enum {
    MANY = 20,
    LONG_TURN = 8 * FRAME
};

/* `n` streams that have data all the time, in the middle of a round. */
static void start_many(unsigned n)
{
    start(FRAME, n);
    smux__scheduler_set_turn_of_many(&scheduler, LONG_TURN, MANY);
    for (unsigned i = 0; i < n; i++) {
        join(i);
    }
    for (unsigned i = 0; i < 3 * n; i++) {
        send_one(FRAME);
    }
}

/* How many frames in a row the next stream sends. */
static unsigned next_turn(void)
{
    unsigned who, n = 0;

    do {
        who = send_one(FRAME);
        n++;
    } while (smux__scheduler_next(&scheduler)->id == who);
    return n;
}

START_TEST(turns_are_long_while_streams_are_many)
{
    start_many(MANY);
    (void)next_turn(); /* its rest */
    for (unsigned i = 0; i < 3 * MANY; i++) {
        ck_assert_uint_eq(next_turn(), LONG_TURN / FRAME);
    }
    leave(0);
    for (unsigned i = 0; i < 2 * MANY; i++) { /* until the round is over, and one of one less */
        (void)next_turn();
    }
    ck_assert_uint_eq(next_turn(), 1);
    join(0);
    for (unsigned i = 0; i < 3 * MANY; i++) {
        (void)next_turn();
    }
    ck_assert_uint_eq(next_turn(), LONG_TURN / FRAME);
}
END_TEST

START_TEST(a_long_turn_goes_on_where_it_was)
{
    start_many(MANY);
    (void)next_turn();
    unsigned who = send_one(FRAME);
    for (unsigned i = 1; i < LONG_TURN / FRAME; i++) {
        leave(who);
        unsigned other = smux__scheduler_next(&scheduler)->id;
        ck_assert_uint_ne(other, who);
        if (i == 2) { /* it was away for too long, but only a little */
            send_one(FRAME);
        }
        join(who);
        ck_assert((streams[who].flags & STREAM_IN_FRESH) == 0);
        ck_assert_uint_eq(send_one(FRAME), who);
        check_lists(MANY);
    }
    ck_assert_uint_ne(send_one(FRAME), who);
}
END_TEST

/* Who comes back in the middle of its turn is not in front of one that has nothing to send as a
 * rule. */
START_TEST(a_stream_that_was_idle_goes_before_a_long_turn)
{
    start_many(MANY);
    make(MANY);
    (void)next_turn();
    for (unsigned i = 0; i < MANY * LONG_TURN / FRAME; i++) { /* a round */
        unsigned who = send_one(FRAME);
        join(MANY);
        leave(who);
        join(who);
        ck_assert_uint_eq(send_one(64), MANY);
        leave(MANY);
    }
}
END_TEST

/* In the class that it moves to, nobody has long turns; nor has one that was made meanwhile. */
START_TEST(credit_of_a_long_turn_does_not_move_along)
{
    start_many(MANY);
    (void)next_turn();
    unsigned who = send_one(FRAME);
    make(MANY);
    set(MANY, SMUX_PRIORITY_MAX, SMUX_WEIGHT_DEFAULT);
    set(who, SMUX_PRIORITY_MAX, SMUX_WEIGHT_DEFAULT);
    join(MANY);
    for (unsigned i = 0; i < 3 * LONG_TURN / FRAME; i++) {
        ck_assert_uint_eq(next_turn(), 1);
    }
}
END_TEST

/* Both classes have long turns. It goes on with that of the old one in none. */
START_TEST(a_stream_that_moves_is_in_no_turn_there)
{
    start_many(2 * MANY);
    for (unsigned i = 0; i < MANY; i++) {
        set(i, SMUX_PRIORITY_MAX, SMUX_WEIGHT_DEFAULT);
    }
    for (unsigned i = 0; i < 3 * MANY; i++) {
        send_one(FRAME);
    }
    (void)next_turn();
    unsigned who = send_one(FRAME);
    ck_assert_uint_lt(who, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        if (i != who) {
            leave(i);
        }
    }
    set(who, SMUX_PRIORITY_DEFAULT, SMUX_WEIGHT_DEFAULT);
    ck_assert(scheduler.classes[SMUX_PRIORITY_DEFAULT].long_turns);
    ck_assert((streams[who].flags & STREAM_IN_FRESH) != 0);
    check_lists(MANY + 1);
}
END_TEST

/* As who sets both anew with each request does. Of two turns, as it was away when a round ended. */
START_TEST(to_say_the_same_again_changes_nothing)
{
    start_many(MANY);
    (void)next_turn();
    unsigned who = send_one(FRAME);
    leave(who);
    while (streams[who].round == scheduler.classes[SMUX_PRIORITY_DEFAULT].round % SMUX__ROUNDS) {
        send_one(FRAME);
    }
    join(who);
    int32_t credit = streams[who].deficit;
    ck_assert_int_gt(credit, LONG_TURN);
    set(who, SMUX_PRIORITY_DEFAULT, SMUX_WEIGHT_DEFAULT);
    ck_assert_int_eq(streams[who].deficit, credit);
}
END_TEST

/* They run empty after each frame; some are back at once, others when another has sent a frame, which
 * may be in the next round. */
START_TEST(long_turns_are_fair)
{
    uint64_t total = 0;
    int away = -1;

    start_many(MANY + 1);
    set(0, SMUX_PRIORITY_DEFAULT, 2 * SMUX_WEIGHT_DEFAULT);
    memset(sent, 0, sizeof sent);
    for (unsigned i = 0; i < 5000 * (LONG_TURN / FRAME); i++) {
        unsigned who = send_one(FRAME);
        leave(who);
        if (away >= 0) {
            join((unsigned)away);
            away = -1;
        }
        if (who % 3 == 0) {
            away = (int)who;
        } else {
            join(who);
        }
        total += FRAME;
    }
    for (unsigned i = 0; i <= MANY; i++) {
        double share = (double)sent[i] / (double)total * (MANY + 2);
        ck_assert_double_gt(share, i == 0 ? 1.94 : 0.97);
        ck_assert_double_lt(share, i == 0 ? 2.06 : 1.03);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scheduler");
    TCase *tc = tcase_create("scheduler");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, random_use_keeps_the_invariants, 0, suite_rounds(100));
    tcase_add_loop_test(tc, bytes_follow_the_weights_for_every_frame_size, 4, 17);
    tcase_add_loop_test(tc, running_empty_again_and_again_gives_no_more_than_a_share, 1000, 1005);
    tcase_add_test(tc, changing_the_class_again_and_again_gives_no_more_than_a_share);
    tcase_add_test(tc, I14_turns_that_change_their_length_are_fair);
    tcase_add_test(tc, new_streams_without_end_do_not_starve_the_old_ones);
    tcase_add_test(tc, a_stream_that_was_idle_goes_first);
    tcase_add_test(tc, a_debt_is_forgotten_when_its_rounds_have_passed);
    tcase_add_test(tc, turns_are_long_while_streams_are_many);
    tcase_add_test(tc, a_long_turn_goes_on_where_it_was);
    tcase_add_test(tc, a_stream_that_was_idle_goes_before_a_long_turn);
    tcase_add_test(tc, credit_of_a_long_turn_does_not_move_along);
    tcase_add_test(tc, a_stream_that_moves_is_in_no_turn_there);
    tcase_add_test(tc, to_say_the_same_again_changes_nothing);
    tcase_add_test(tc, long_turns_are_fair);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
