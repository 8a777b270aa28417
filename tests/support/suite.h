/*
 * suite.h - the main function that all test programs share.
 */
#ifndef SUPPORT_SUITE_H
#define SUPPORT_SUITE_H

#include <check.h>
#include <stdlib.h>

/** The share of n rounds that SMUX_TEST_PERCENT leaves, at least 1: slow builds set it lower. */
static inline int suite_rounds(int n)
{
    const char *percent = getenv("SMUX_TEST_PERCENT");
    long long share = (long long)n * (percent != NULL ? atoi(percent) : 100) / 100;

    return share > 0 ? (int)share : 1;
}

/** Runs a suite and frees it; returns the exit status of the program. */
static inline int suite_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
