/*
 * Looking again instead of sleeping (spin.c) ends within its bound, happens in fast sessions only, and
 * becomes rare where it is in vain.
 *
 * ctest-timeout: 60
 */
#include "session/session_internal.h"
#include "suite.h"

#include <smux/transport.h>

/* More than a look takes at most, and less than what would be noticed. */
#define BOUND_US 100

/* A measurement counts for a millisecond. Who needed more than half of it was held up. */
#define HELD_UP_US 500

/* As the meter leaves a session: `fast` or not, measured `age_us` ago. */
static void metered(struct smux_session *session, bool fast, uint64_t age_us)
{
    session->fast = fast;
    session->metered_us = smux_now_us() - age_us;
}

/* Asks just behind the meter, again if the machine was busy with others in between. */
static uint64_t fast_look_until(struct smux_session *session, struct smux__spin *spin)
{
    const bool skips = spin->skip > 0;
    uint64_t until_us, start_us;

    do {
        start_us = smux_now_us();
        metered(session, true, 0);
        until_us = smux__spin_until(session, spin);
    } while (until_us == 0 && !skips && smux_now_us() - start_us > HELD_UP_US);
    return until_us;
}

/* How many of 1000 occasions are looks, if each has this result. */
static unsigned count_looks(bool success)
{
    static struct smux_session session;
    struct smux__spin spin = {0};
    unsigned n = 0;

    for (unsigned i = 0; i < 1000; i++) {
        if (fast_look_until(&session, &spin) != 0) {
            smux__spin_note(&spin, success);
            n++;
        }
    }
    return n;
}

START_TEST(a_look_ends_within_its_bound)
{
    static struct smux_session session;
    struct smux__spin spin = {0};
    uint64_t now_us = smux_now_us();

    uint64_t until_us = fast_look_until(&session, &spin);
    ck_assert_uint_gt(until_us, now_us);
    ck_assert_uint_le(until_us, smux_now_us() + BOUND_US);
}
END_TEST

START_TEST(a_slow_session_does_not_look)
{
    static struct smux_session session;
    struct smux__spin spin = {0};

    metered(&session, false, 0);
    ck_assert_uint_eq(smux__spin_until(&session, &spin), 0);
    metered(&session, true, 100000); /* it was fast, and nothing has moved since */
    ck_assert_uint_eq(smux__spin_until(&session, &spin), 0);
}
END_TEST

START_TEST(looks_in_vain_become_rare)
{
    unsigned in_vain = count_looks(false);

    ck_assert_uint_gt(in_vain, 10); /* it is tried again now and then */
    ck_assert_uint_lt(in_vain, 40);
    ck_assert_uint_eq(count_looks(true), 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spin");
    TCase *tcase = tcase_create("spin");

    tcase_add_test(tcase, a_look_ends_within_its_bound);
    tcase_add_test(tcase, a_slow_session_does_not_look);
    tcase_add_test(tcase, looks_in_vain_become_rare);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
