/*
 * test_bench_summary.c - medians over runs and ratios to TCP.
 */
#include "bench_summary.h"
#include "support/suite.h"

#include <string.h>

static const struct bench_mode bulk = {.name = "bulk", .id = MODE_BULK};
static const struct bench_mode idle = {.name = "idle", .id = MODE_IDLE};
static struct bench_result results[6];

/* A result of one second. */
static void set(size_t i, const struct bench_mode *mode, enum bench_kind kind, uint64_t bytes)
{
    results[i].test.mode = mode;
    results[i].test.kind = kind;
    results[i].total = (struct bench_interval){.t1 = 1, .bytes = bytes};
}

static const struct summary_row *find(const struct summary *summary, const char *figure)
{
    for (size_t i = 0; i < summary->n; i++) {
        if (strcmp(summary->rows[i].figure->name, figure) == 0) {
            return &summary->rows[i];
        }
    }
    return NULL;
}

START_TEST(medians_and_ratios)
{
    struct summary summary;
    const struct summary_row *row;

    set(0, &bulk, KIND_TCP, 4000000000u);
    set(1, &bulk, KIND_V1, 1000000000u);
    set(2, &bulk, KIND_TCP, 2000000000u);
    set(3, &bulk, KIND_V1, 5000000000u);
    set(4, &bulk, KIND_TCP, 9000000000u);
    set(5, &bulk, KIND_V1, 3000000000u);
    ck_assert(summary_init(&summary, results, 6));
    row = find(&summary, "throughput");
    ck_assert_ptr_nonnull(row);
    ck_assert_uint_eq(row->cells[KIND_TCP].runs, 3);
    ck_assert_double_eq(row->cells[KIND_TCP].median, 4);
    ck_assert_double_eq(row->cells[KIND_V1].median, 3);
    ck_assert_double_eq(row->cells[KIND_V1].min, 1);
    ck_assert_double_eq(row->cells[KIND_V1].max, 5);
    ck_assert_double_eq(summary_ratio(row, KIND_V1), 0.75);
    ck_assert_uint_eq(row->cells[KIND_V2].runs, 0);
    ck_assert(!summary.has_kind[KIND_V2]);
    summary_deinit(&summary);
}
END_TEST

START_TEST(the_median_of_two_is_their_middle)
{
    struct summary summary;

    set(0, &bulk, KIND_V2, 1000000000u);
    set(1, &bulk, KIND_V2, 2000000000u);
    ck_assert(summary_init(&summary, results, 2));
    ck_assert_double_eq(find(&summary, "throughput")->cells[KIND_V2].median, 1.5);
    ck_assert_double_eq(summary_ratio(find(&summary, "throughput"), KIND_V2), 0);
    summary_deinit(&summary);
}
END_TEST

START_TEST(memory_of_tcp_is_not_compared)
{
    struct summary summary;

    set(0, &idle, KIND_TCP, 0);
    set(1, &idle, KIND_V2, 0);
    results[1].heap_per_stream = 200;
    ck_assert(summary_init(&summary, results, 2));
    ck_assert_uint_eq(find(&summary, "heap of a stream end")->cells[KIND_TCP].runs, 0);
    ck_assert_double_eq(find(&summary, "heap of a stream end")->cells[KIND_V2].median, 200);
    ck_assert_ptr_null(find(&summary, "throughput"));
    summary_deinit(&summary);
}
END_TEST

START_TEST(fairness_of_streams)
{
    uint64_t equal[] = {7, 7, 7, 7};
    uint64_t one[] = {9, 0, 0, 0};
    struct bench_result result = {.stream_bytes = equal, .n_streams = 4};

    ck_assert_double_eq(result_fairness(&result), 1);
    result.stream_bytes = one;
    ck_assert_double_eq(result_fairness(&result), 0.25);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench_summary");
    TCase *tcase = tcase_create("all");

    tcase_add_test(tcase, medians_and_ratios);
    tcase_add_test(tcase, the_median_of_two_is_their_middle);
    tcase_add_test(tcase, memory_of_tcp_is_not_compared);
    tcase_add_test(tcase, fairness_of_streams);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
