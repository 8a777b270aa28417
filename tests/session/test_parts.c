/*
 * The small parts of the session layer: timers by time, sessions by number, lists, events.
 */
#include "ends.h"
#include "rng.h"
#include "suite.h"

#include "session/heap.h"
#include "session/port.h"
#include "session/registry.h"
#include "session/ring.h"

#include <poll.h>
#include <sys/resource.h>

/* --- heap ---------------------------------------------------------------------------------- */

#define TIMERS 300

static uint64_t earliest(const struct smux__timed *timers)
{
    uint64_t at_us = SMUX_NEVER;

    for (int i = 0; i < TIMERS; i++) {
        at_us = timers[i].at_us < at_us ? timers[i].at_us : at_us;
    }
    return at_us;
}

START_TEST(the_first_of_the_heap_is_the_earliest)
{
    struct smux__heap heap = {0};
    struct smux__timed timers[TIMERS];
    struct rng rng;

    rng_seed(&rng, 1);
    ck_assert(smux__heap_reserve(&heap, TIMERS));
    for (int i = 0; i < TIMERS; i++) {
        timers[i].at_us = SMUX_NEVER;
    }
    for (int i = 0; i < 20000; i++) {
        struct smux__timed *timer = &timers[rng_below(&rng, TIMERS)];
        smux__heap_set(&heap, timer, rng_chance(&rng, 30) ? SMUX_NEVER : rng_below(&rng, 1000));
        struct smux__timed *first = smux__heap_first(&heap);
        ck_assert_uint_eq(first != NULL ? first->at_us : SMUX_NEVER, earliest(timers));
    }
    for (int i = 0; i < TIMERS; i++) {
        smux__heap_set(&heap, &timers[i], SMUX_NEVER);
    }
    ck_assert_ptr_null(smux__heap_first(&heap));
    smux__heap_deinit(&heap);
}
END_TEST

/* --- registry ------------------------------------------------------------------------------ */

static smux_session *fake(unsigned i)
{
    static char sessions[100];

    return (smux_session *)(void *)&sessions[i];
}

START_TEST(a_number_leads_to_its_session_and_never_to_another)
{
    struct smux__registry registry = {0};
    uint64_t numbers[100], old[100];

    ck_assert_ptr_null(smux__registry_find(&registry, 0)); /* the bell */
    for (unsigned i = 0; i < 100; i++) {
        numbers[i] = smux__registry_add(&registry, fake(i));
        ck_assert_uint_ne(numbers[i], 0);
        ck_assert_uint_eq(numbers[i] >> 63, 0);
    }
    for (unsigned i = 0; i < 100; i += 2) {
        old[i] = numbers[i];
        smux__registry_remove(&registry, numbers[i]);
        ck_assert_ptr_null(smux__registry_find(&registry, old[i]));
    }
    for (unsigned i = 0; i < 100; i += 2) {
        numbers[i] = smux__registry_add(&registry, fake(i));
    }
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_ptr_eq(smux__registry_find(&registry, numbers[i]), fake(i));
        ck_assert_ptr_null(i % 2 == 0 ? smux__registry_find(&registry, old[i]) : NULL);
    }
    ck_assert_uint_eq(registry.n, 100); /* slots are used again */
    smux__registry_deinit(&registry);
}
END_TEST

/* --- ring ---------------------------------------------------------------------------------- */

START_TEST(a_ring_keeps_the_order_of_arrival)
{
    struct smux__node *head = NULL, nodes[3] = {{0}};

    for (int i = 0; i < 3; i++) {
        ck_assert(!smux__ring_linked(&nodes[i]));
        smux__ring_append(&head, &nodes[i]);
    }
    ck_assert_ptr_eq(head, &nodes[0]);
    ck_assert_ptr_eq(smux__ring_next(head, &nodes[1]), &nodes[2]);
    ck_assert_ptr_null(smux__ring_next(head, &nodes[2]));
    smux__ring_remove(&head, &nodes[0]);
    ck_assert_ptr_eq(head, &nodes[1]);
    smux__ring_append(&head, &nodes[0]);
    smux__ring_remove(&head, &nodes[2]);
    ck_assert_ptr_eq(smux__ring_next(head, &nodes[1]), &nodes[0]);
    smux__ring_remove(&head, &nodes[1]);
    smux__ring_remove(&head, &nodes[0]);
    ck_assert_ptr_null(head);
}
END_TEST

/* --- port ---------------------------------------------------------------------------------- */

static void set_event(void *arg)
{
    sleep_ms(20);
    smux__event_set(arg);
    smux__event_wake(arg);
}

START_TEST(an_event_wakes_its_sleeper)
{
    struct smux__event *event = smux__event_mine();
    struct task task;

    task_start(&task, set_event, event);
    ck_assert(smux__event_wait(event, SMUX_NEVER));
    ck_assert(smux__event_wait(event, 1)); /* it stays set */
    task_join(&task);
    ck_assert(!smux__event_wait(smux__event_mine(), 1));
}
END_TEST

START_TEST(an_event_gives_up_at_its_deadline)
{
    uint64_t deadline_us = in_ms(20);

    ck_assert(!smux__event_wait(smux__event_mine(), deadline_us));
    ck_assert_uint_ge(smux_now_us(), deadline_us);
}
END_TEST

START_TEST(a_poll_ends_at_its_deadline)
{
    struct pollfd none = {.fd = -1, .events = POLLIN, .revents = POLLIN};
    uint64_t deadline_us = smux_now_us() + 500;

    smux__port_poll(&none, 1, deadline_us);
    ck_assert_int_eq(none.revents, 0);
    ck_assert_uint_ge(smux_now_us(), deadline_us);
}
END_TEST

/* How often a thread of this process has gone to sleep. */
static long sleeps(void)
{
    struct rusage usage;

    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_nvcsw;
}

/* On 32-bit machines the kernel and the C library may not mean the same by a time. */
START_TEST(who_waits_sleeps_once)
{
    struct pollfd none = {.fd = -1, .events = POLLIN};
    long before = sleeps();

    ck_assert(!smux__event_wait(smux__event_mine(), in_ms(100)));
    ck_assert_int_lt(sleeps() - before, 20);
    smux__port_poll(&none, 1, in_ms(100));
    ck_assert_int_lt(sleeps() - before, 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session parts");
    TCase *tcase = tcase_create("parts");

    tcase_add_test(tcase, the_first_of_the_heap_is_the_earliest);
    tcase_add_test(tcase, a_number_leads_to_its_session_and_never_to_another);
    tcase_add_test(tcase, a_ring_keeps_the_order_of_arrival);
    tcase_add_test(tcase, an_event_wakes_its_sleeper);
    tcase_add_test(tcase, an_event_gives_up_at_its_deadline);
    tcase_add_test(tcase, a_poll_ends_at_its_deadline);
    tcase_add_test(tcase, who_waits_sleeps_once);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
