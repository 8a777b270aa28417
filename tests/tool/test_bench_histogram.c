/*
 * test_bench_histogram.c - buckets, quantiles and differences of the latency histogram.
 */
#include "bench_histogram.h"
#include "support/suite.h"

#include <string.h>

/* Zeros are an empty histogram; it is too large for the stack of a test of its own. */
static struct histogram h;
static struct histogram other;

static void setup(void)
{
    memset(&h, 0, sizeof(h));
    memset(&other, 0, sizeof(other));
}

START_TEST(an_empty_histogram_has_quantiles_of_zero)
{
    ck_assert_uint_eq(histogram_total(&h), 0);
    ck_assert_double_eq(histogram_quantile_us(&h, 0.5), 0);
    ck_assert_double_eq(histogram_quantile_us(&h, 1), 0);
}
END_TEST

START_TEST(buckets_follow_each_other_without_gap)
{
    uint64_t end = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        ck_assert_uint_gt(histogram_bucket_end_ns(i), end);
        end = histogram_bucket_end_ns(i);
    }
    ck_assert_uint_eq(end, UINT64_C(1) << 42);
}
END_TEST

/* Each value alone: the quantile is within half a bucket, 1/128 of the value. */
START_TEST(a_value_is_known_within_its_bucket)
{
    for (uint64_t ns = 1; ns < (UINT64_C(1) << 41); ns += ns / 7 + 1) {
        double error;
        setup();
        histogram_record(&h, ns);
        error = histogram_quantile_us(&h, 0.5) * 1000 - (double)ns;
        ck_assert_double_le(error, (double)ns / 128 + 0.5);
        ck_assert_double_ge(error, -(double)ns / 128 - 0.5);
    }
}
END_TEST

START_TEST(values_beyond_the_range_go_into_the_last_bucket)
{
    histogram_record(&h, UINT64_MAX);
    ck_assert_uint_eq(histogram_count(&h, HISTOGRAM_BUCKETS - 1), 1);
}
END_TEST

START_TEST(quantiles_of_a_thousand_values)
{
    for (uint64_t us = 1; us <= 1000; us++) {
        histogram_record(&h, us * 1000);
    }
    ck_assert_double_eq_tol(histogram_quantile_us(&h, 0), 1, 0.02);
    ck_assert_double_eq_tol(histogram_quantile_us(&h, 0.5), 500, 8);
    ck_assert_double_eq_tol(histogram_quantile_us(&h, 0.99), 990, 16);
    ck_assert_double_le(histogram_quantile_us(&h, 1), 1000);
}
END_TEST

START_TEST(a_difference_holds_what_came_between)
{
    histogram_record(&other, 1000);
    histogram_add(&h, &other);
    histogram_record(&h, 50000);
    histogram_record(&h, 50000);
    histogram_subtract(&h, &other);
    ck_assert_uint_eq(histogram_total(&h), 2);
    ck_assert_double_eq_tol(histogram_quantile_us(&h, 0), 50, 1);
}
END_TEST

START_TEST(adding_nothing_changes_nothing)
{
    histogram_record(&h, 10);
    histogram_add(&h, NULL);
    ck_assert_uint_eq(histogram_total(&h), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench_histogram");
    TCase *tcase = tcase_create("all");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, an_empty_histogram_has_quantiles_of_zero);
    tcase_add_test(tcase, buckets_follow_each_other_without_gap);
    tcase_add_test(tcase, a_value_is_known_within_its_bucket);
    tcase_add_test(tcase, values_beyond_the_range_go_into_the_last_bucket);
    tcase_add_test(tcase, quantiles_of_a_thousand_values);
    tcase_add_test(tcase, a_difference_holds_what_came_between);
    tcase_add_test(tcase, adding_nothing_changes_nothing);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
