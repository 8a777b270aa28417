/*
 * test_bench_request.c - the bytes of the bench protocol.
 */
#include "bench_request.h"
#include "support/suite.h"

START_TEST(a_request_is_a_letter_and_a_size)
{
    const struct bench_request request = {BENCH_SOURCE, 0x020304};
    const uint8_t expected[BENCH_REQUEST_SIZE] = {'G', 0x04, 0x03, 0x02, 0x00};
    uint8_t bytes[BENCH_REQUEST_SIZE];
    struct bench_request back;

    bench_request_encode(&request, bytes);
    ck_assert_mem_eq(bytes, expected, sizeof(expected));
    ck_assert(bench_request_decode(bytes, &back));
    ck_assert_int_eq(back.service, BENCH_SOURCE);
    ck_assert_uint_eq(back.size, 0x020304);
}
END_TEST

START_TEST(only_known_letters_are_requests)
{
    unsigned known = 0;

    for (unsigned letter = 0; letter < 256; letter++) {
        const uint8_t bytes[BENCH_REQUEST_SIZE] = {(uint8_t)letter, 1, 0, 0, 0};
        struct bench_request request;
        known += bench_request_decode(bytes, &request);
    }
    ck_assert_uint_eq(known, 6);
}
END_TEST

/* The server allocates as much as a source is asked to write at once. */
START_TEST(a_source_has_a_size_within_limits)
{
    static const struct {
        uint8_t bytes[BENCH_REQUEST_SIZE];
        bool ok;
    } cases[] = {
        {{'G', 0, 0, 0, 0}, false}, {{'G', 1, 0, 0, 0}, true},
        {{'G', 0, 0, 0, 1}, true}, /* BENCH_MAX_SIZE */
        {{'G', 1, 0, 0, 1}, false}, {{'G', 0xFF, 0xFF, 0xFF, 0xFF}, false},
        {{'S', 0, 0, 0, 0}, true},
    };
    struct bench_request request;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(bench_request_decode(cases[i].bytes, &request), cases[i].ok);
    }
}
END_TEST

START_TEST(counts_are_little_endian)
{
    const uint8_t expected[BENCH_COUNT_SIZE] = {8, 7, 6, 5, 4, 3, 2, 1};
    uint8_t bytes[BENCH_COUNT_SIZE];

    bench_count_encode(UINT64_C(0x0102030405060708), bytes);
    ck_assert_mem_eq(bytes, expected, sizeof(expected));
    ck_assert_uint_eq(bench_count_decode(bytes), UINT64_C(0x0102030405060708));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench_request");
    TCase *tcase = tcase_create("all");

    tcase_add_test(tcase, a_request_is_a_letter_and_a_size);
    tcase_add_test(tcase, only_known_letters_are_requests);
    tcase_add_test(tcase, a_source_has_a_size_within_limits);
    tcase_add_test(tcase, counts_are_little_endian);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
