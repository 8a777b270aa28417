/*
 * test_window.c - the arithmetic of version 2 windows against exact integers.
 */
#include "engine/window.h"
#include "support/rng.h"
#include "support/suite.h"

static uint32_t room(uint32_t sent, uint32_t acked, uint32_t wnd)
{
    struct smux__send_window w = {acked, wnd};

    return smux__window_room(&w, sent);
}

/* Section 9.1 of the wire protocol, row by row. */
START_TEST(WIN_1_the_worked_table)
{
    ck_assert_uint_eq(room(262144, 0, 262144), 0);
    ck_assert_uint_eq(room(262144, 32768, 65536), 0);
    ck_assert_uint_eq(room(0x00000010, 0xFFFFFFF0, 65536), 65504);
    ck_assert_uint_eq(room(150000, 100000, 65536), 15536);
    ck_assert_uint_eq(room(150000, 150000, 0), 0);
    ck_assert_uint_eq(room(0xFFFF8000, 0xFFFF8000, 32768), 32767);
    ck_assert_uint_eq(room(5, 5, 0x7FFFFFFF), 0x7FFFFFFF);
}
END_TEST

/* With 64-bit positions nothing wraps: the same rules, written down plainly. */
static int64_t exact_room(uint64_t sent, uint64_t acked, uint32_t wnd)
{
    int64_t left = (int64_t)(acked + wnd) - (int64_t)sent;

    if ((acked + wnd) % (UINT64_C(1) << 32) == 0 && wnd >= 2) {
        left -= 1;
    }
    return left > 0 ? left : 0;
}

START_TEST(WIN_1_room_equals_exact_integers)
{
    struct rng rng;

    rng_seed(&rng, 1);
    for (int i = suite_rounds(200000); i > 0; i--) {
        uint64_t near = (uint64_t)rng_below(&rng, 4) << 32;
        uint64_t acked = (UINT64_C(1) << 33) + near - rng_log(&rng, 1, 1u << 20);
        uint32_t inflight = rng_log(&rng, 1, SMUX__MAX_WINDOW) - 1;
        uint32_t wnd = rng_log(&rng, 1, SMUX__MAX_WINDOW) - 1;
        if (rng_chance(&rng, 20)) { /* an edge at a multiple of 2^32 */
            wnd = (uint32_t)(0 - acked) & SMUX__MAX_WINDOW;
        }
        uint64_t sent = acked + inflight;
        ck_assert_int_eq(room((uint32_t)sent, (uint32_t)acked, wnd), exact_room(sent, acked, wnd));
    }
}
END_TEST

START_TEST(WIN_4_updates_are_taken_ignored_or_refused_by_position)
{
    struct rng rng;

    rng_seed(&rng, 2);
    for (int i = suite_rounds(200000); i > 0; i--) {
        uint64_t acked = (UINT64_C(1) << 33) - rng_log(&rng, 1, 1u << 31);
        uint32_t inflight = rng_log(&rng, 1, SMUX__MAX_WINDOW) - 1;
        int64_t step = (int64_t)rng_log(&rng, 1, SMUX__MAX_WINDOW) - 1;
        if (rng_chance(&rng, 50)) {
            step = -step;
        }
        uint64_t consumed = acked + (uint64_t)step;
        uint64_t sent = acked + inflight;
        struct smux__send_window w = {(uint32_t)acked, 1000};
        enum smux__update verdict =
            smux__window_update(&w, (uint32_t)sent, (uint32_t)consumed, 2000);
        enum smux__update expected = step < 0          ? SMUX__UPDATE_STALE
                                     : consumed > sent ? SMUX__UPDATE_AHEAD
                                                       : SMUX__UPDATE_TAKEN;
        ck_assert_int_eq(verdict, expected);
        ck_assert_uint_eq(w.acked, (uint32_t)(expected == SMUX__UPDATE_TAKEN ? consumed : acked));
        ck_assert_uint_eq(w.wnd, expected == SMUX__UPDATE_TAKEN ? 2000 : 1000);
    }
}
END_TEST

START_TEST(WIN_5_the_same_update_again_changes_nothing)
{
    struct smux__send_window w = {100, 1000};

    ck_assert_int_eq(smux__window_update(&w, 500, 100, 1000), SMUX__UPDATE_SAME);
    ck_assert_int_eq(smux__window_update(&w, 500, 100, 999), SMUX__UPDATE_TAKEN);
    ck_assert_uint_eq(w.wnd, 999);
}
END_TEST

START_TEST(WIN_8_slivers_wait_but_never_with_nothing_in_flight)
{
    struct smux__send_window w = {0, 65536};

    ck_assert(smux__window_is_silly(&w, 65000, 536, 100000));
    ck_assert(!smux__window_is_silly(&w, 65000, 536, 536)); /* all that is pending */
    ck_assert(!smux__window_is_silly(&w, 64512, 1024, 100000));
    ck_assert(!smux__window_is_silly(&w, 0, 1, 100000)); /* nothing in flight */
    w.wnd = 1;
    ck_assert(!smux__window_is_silly(&w, 5, 1, 100000)); /* a window of one byte */
}
END_TEST

START_TEST(UPD_2_step_is_half_the_window_and_at_most_131072)
{
    ck_assert_uint_eq(smux__window_update_step(0), 1);
    ck_assert_uint_eq(smux__window_update_step(1), 1);
    ck_assert_uint_eq(smux__window_update_step(511), 255);
    ck_assert_uint_eq(smux__window_update_step(65536), 32768);
    ck_assert_uint_eq(smux__window_update_step(262144), 131072);
    ck_assert_uint_eq(smux__window_update_step(0x7FFFFFFF), 131072);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *tc = tcase_create("window");

    tcase_add_test(tc, WIN_1_the_worked_table);
    tcase_add_test(tc, WIN_1_room_equals_exact_integers);
    tcase_add_test(tc, WIN_4_updates_are_taken_ignored_or_refused_by_position);
    tcase_add_test(tc, WIN_5_the_same_update_again_changes_nothing);
    tcase_add_test(tc, WIN_8_slivers_wait_but_never_with_nothing_in_flight);
    tcase_add_test(tc, UPD_2_step_is_half_the_window_and_at_most_131072);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
