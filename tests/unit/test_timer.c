/*
 * test_timer.c - lists of timers: order, expiry, and the bound on the search for a place.
 */
#include "engine/timer.h"
#include "support/suite.h"

#define N 1000

static struct smux__timer_list list;
static struct smux__timer timers[N];

static void setup(void)
{
    smux__timer_list_init(&list);
    for (int i = 0; i < N; i++) {
        timers[i] = (struct smux__timer){NULL, NULL, 0};
    }
}

static void expect_sorted(unsigned n)
{
    uint64_t last = 0;

    for (const struct smux__timer *t = list.head.next; t != &list.head; t = t->next) {
        ck_assert_uint_ge(t->deadline_us, last);
        ck_assert_ptr_eq(t->next->prev, t);
        last = t->deadline_us;
        n--;
    }
    ck_assert_uint_eq(n, 0);
}

START_TEST(equal_durations_expire_in_the_order_of_their_start)
{
    for (int i = 0; i < N; i++) {
        smux__timer_start(&list, &timers[i], 100 + (uint64_t)i / 3);
    }
    expect_sorted(N);
    ck_assert_uint_eq(smux__timer_list_deadline(&list), 100);
    ck_assert_ptr_null(smux__timer_list_due(&list, 99));
    for (int i = 0; i < N; i++) {
        ck_assert_ptr_eq(smux__timer_list_due(&list, 1000), &timers[i]);
        smux__timer_stop(&timers[i]);
        ck_assert(!smux__timer_running(&timers[i]));
    }
    ck_assert_uint_eq(smux__timer_list_deadline(&list), SMUX_NEVER);
}
END_TEST

START_TEST(small_disorder_is_exact)
{
    for (uint64_t i = 0; i < N; i++) {
        uint64_t deadline_us = 1000 + i / 16 * 16 + (15 - i % 16);

        smux__timer_start(&list, &timers[i], deadline_us);
        ck_assert_uint_eq(timers[i].deadline_us, deadline_us);
    }
    expect_sorted(N);
}
END_TEST

/* The peer chooses the order: it must not make us walk. */
START_TEST(great_disorder_costs_no_search_and_expires_late_but_never_early)
{
    for (uint64_t i = 0; i < N; i++) {
        unsigned behind = 0;

        smux__timer_start(&list, &timers[i], 2 * N - i);
        ck_assert_uint_ge(timers[i].deadline_us, 2 * N - i);
        ck_assert_uint_le(timers[i].deadline_us, 2 * N);
        for (const struct smux__timer *t = timers[i].next; t != &list.head; t = t->next) {
            behind++;
        }
        ck_assert_uint_le(behind, SMUX__TIMER_STEPS);
    }
    expect_sorted(N);
}
END_TEST

START_TEST(stopping_what_does_not_run_is_harmless)
{
    smux__timer_stop(&timers[0]);
    smux__timer_start(&list, &timers[1], 5);
    smux__timer_stop(&timers[0]);
    expect_sorted(1);
    smux__timer_stop(&timers[1]);
    smux__timer_stop(&timers[1]);
    expect_sorted(0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer");
    TCase *tc = tcase_create("timer");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, equal_durations_expire_in_the_order_of_their_start);
    tcase_add_test(tc, small_disorder_is_exact);
    tcase_add_test(tc, stopping_what_does_not_run_is_harmless);
    tcase_add_test(tc, great_disorder_costs_no_search_and_expires_late_but_never_early);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
