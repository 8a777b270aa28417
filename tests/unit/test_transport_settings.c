/*
 * The configuration above the engine, the seed of a session, and the clock.
 *
 * ctest-timeout: 10
 */
#define _GNU_SOURCE 1

#include "faults.h"
#include "suite.h"

#include "transport/random.h"
#include "transport/settings.h"
#include "transport/sys.h"

#include <smux/transport.h>

#include <errno.h>

START_TEST(no_configuration_means_defaults_and_a_seed)
{
    struct smux_config settings;

    smux__settings_init(&settings, NULL);
    ck_assert_uint_eq(settings.drain_timeout_ms, 5000);
    ck_assert_uint_ne(settings.hash_seed, 0);
    ck_assert_int_eq(smux_config_check(&settings, SMUX_CLIENT, NULL), SMUX_OK);
}
END_TEST

START_TEST(what_the_caller_chose_stays)
{
    struct smux_config config;
    struct smux_config settings;

    smux_config_init(&config);
    config.version = 2;
    config.hash_seed = 42;
    config.drain_timeout_ms = 7;
    smux__settings_init(&settings, &config);
    ck_assert_uint_eq(settings.version, 2);
    ck_assert_uint_eq(settings.hash_seed, 42);
    ck_assert_uint_eq(settings.drain_timeout_ms, 7);
}
END_TEST

START_TEST(a_caller_that_knows_fewer_fields_gets_a_seed_too)
{
    struct smux_config config;
    struct smux_config settings;

    smux_config_init(&config);
    config.version = 2;
    config.hash_seed = 42;
    config.struct_size = offsetof(struct smux_config, hash_seed);
    smux__settings_init(&settings, &config);
    ck_assert_uint_eq(settings.version, 2);
    ck_assert_uint_eq(settings.struct_size, sizeof settings);
    ck_assert_uint_ne(settings.hash_seed, 0);
    ck_assert_uint_ne(settings.hash_seed, 42);
}
END_TEST

START_TEST(a_configuration_that_was_never_initialised_stays_refused)
{
    struct smux_config config = {0};
    struct smux_config settings;

    smux__settings_init(&settings, &config);
    ck_assert_int_eq(smux_config_check(&settings, SMUX_CLIENT, NULL), SMUX_ECONFIG);
}
END_TEST

START_TEST(seeds_differ_even_without_the_system)
{
    faults_begin();
    faults_fail(FAULT_RANDOM, 1, _i == 0 ? EINTR : ENOSYS, _i == 0 ? 1 : 0);
    uint64_t a = smux__random_seed();
    uint64_t b;
    uint64_t begin_us = smux_now_us();
    do {
        b = smux__random_seed(); /* without the system, time makes the difference */
    } while (a == b && smux_now_us() - begin_us < 1000);
    faults_end();
    ck_assert_uint_ne(a, 0);
    ck_assert_uint_ne(a, b);
}
END_TEST

static int stopped_clock(clockid_t clock, struct timespec *out_time)
{
    (void)clock;
    *out_time = (struct timespec){0};
    return 0;
}

START_TEST(the_time_is_never_zero)
{
    smux__sys.clock_gettime = stopped_clock;
    ck_assert_uint_eq(smux_now_us(), 1);
}
END_TEST

START_TEST(deadlines_know_off)
{
    ck_assert_uint_eq(smux__sys_deadline(SMUX_OFF), SMUX_NEVER);
    smux__sys.clock_gettime = stopped_clock;
    ck_assert_uint_eq(smux__sys_deadline(3), 3001);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport_settings");
    TCase *tc = tcase_create("settings");

    tcase_add_test(tc, no_configuration_means_defaults_and_a_seed);
    tcase_add_test(tc, what_the_caller_chose_stays);
    tcase_add_test(tc, a_caller_that_knows_fewer_fields_gets_a_seed_too);
    tcase_add_test(tc, a_configuration_that_was_never_initialised_stays_refused);
    tcase_add_loop_test(tc, seeds_differ_even_without_the_system, 0, 2);
    tcase_add_test(tc, the_time_is_never_zero);
    tcase_add_test(tc, deadlines_know_off);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
