/*
 * test_values.c - numbers, sizes and durations as typed, and the wait between attempts.
 */
#include "backoff.h"
#include "support/suite.h"
#include "values.h"

START_TEST(sizes)
{
    static const struct {
        const char *text;
        uint32_t bytes;
    } good[] = {{"0", 0},          {"4096", 4096},    {"1B", 1},
                {"64KiB", 65536},  {"2MiB", 2097152}, {"1GiB", 1u << 30},
                {"8kB", 8000},     {"1MB", 1000000},  {"4GB", 4000000000},
                {"3GiB", 3u << 30}};
    static const char *const bad[] = {"",           "x",    "-1",   "1 MiB", "1mib",
                                      "1.5MiB",     "MiB",  "1K",   "4GiB",  "4294967295",
                                      "4294967296", "0x10", "5GiB", "1MiBx"};
    uint32_t bytes = 7;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_msg(value_parse_size(good[i].text, &bytes), "%s", good[i].text);
        ck_assert_uint_eq(bytes, good[i].bytes);
    }
    bytes = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!value_parse_size(bad[i], &bytes), "%s", bad[i]);
    }
    ck_assert_uint_eq(bytes, 7);
}
END_TEST

START_TEST(durations)
{
    static const struct {
        const char *text;
        uint32_t ms;
    } good[] = {{"0", 0},         {"30", 30000},  {"0.5", 500},    {"0.0005", 0},
                {"1.5m", 90000},  {"250ms", 250}, {"10s", 10000},  {"2h", 7200000},
                {"1d", 86400000}, {"0.25s", 250}, {"1.999", 1999}, {"49d", 4233600000}};
    static const char *const bad[] = {"", ".5", "1.", "1.s", "1 s", "1S", "50d", "s", "-1", "1e3"};
    uint32_t ms = 7;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_msg(value_parse_duration(good[i].text, &ms), "%s", good[i].text);
        ck_assert_uint_eq(ms, good[i].ms);
    }
    ms = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!value_parse_duration(bad[i], &ms), "%s", bad[i]);
    }
    ck_assert_uint_eq(ms, 7);
}
END_TEST

START_TEST(bytes_for_people)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},           {1023, "1023 B"},        {1024, "1.0 KiB"},        {1536, "1.5 KiB"},
        {2097152, "2.0 MiB"}, {150u << 20, "150 MiB"}, {UINT64_MAX, "16384 PiB"}};
    char text[32];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_str_eq(value_format_bytes(cases[i].bytes, text, sizeof(text)), cases[i].text);
    }
}
END_TEST

START_TEST(backoff_doubles_up_to_the_cap)
{
    /* All bits set asks for a long delay, none for no delay at all: full jitter. */
    ck_assert_uint_eq(backoff_delay_ms(500, 30000, 1, 500), 500);
    ck_assert_uint_eq(backoff_delay_ms(500, 30000, 2, 1000), 1000);
    ck_assert_uint_eq(backoff_delay_ms(500, 30000, 6, 16000), 16000);
    ck_assert_uint_eq(backoff_delay_ms(500, 30000, 7, 30000), 30000);
    ck_assert_uint_eq(backoff_delay_ms(500, 30000, 4000000000u, 30000), 30000);
    ck_assert_uint_eq(backoff_delay_ms(500, 100, 1, 100), 100);
    for (unsigned attempt = 1; attempt < 100; attempt++) {
        ck_assert_uint_eq(backoff_delay_ms(500, 30000, attempt, 0), 0);
        ck_assert_uint_le(backoff_delay_ms(500, 30000, attempt, UINT64_MAX - attempt), 30000);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("values");
    TCase *tc = tcase_create("values");

    tcase_add_test(tc, sizes);
    tcase_add_test(tc, durations);
    tcase_add_test(tc, bytes_for_people);
    tcase_add_test(tc, backoff_doubles_up_to_the_cap);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
