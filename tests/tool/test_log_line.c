/*
 * test_log_line.c - whatever a value holds, a log line is one bounded line of printable ASCII.
 */
#include "log_line.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "support/suite.h"

/* Makes a line with one field and returns it without what stands before that. */
static const char *line_of(enum log_format format, const struct log_field *field)
{
    static struct log_line line;

    log_line_begin(&line, format, LEVEL_INFO, "client", "event");
    log_line_add(&line, field);
    log_line_end(&line);
    ck_assert_uint_eq(line.len, strlen(line.text));
    ck_assert_int_eq(line.text[line.len - 1], '\n');
    size_t n = 0;
    while (line.text[n] >= ' ' && line.text[n] <= '~') {
        n++;
    }
    ck_assert_msg(n == line.len - 1, "byte %d at %zu", line.text[n], n);
    return strstr(line.text, format == LOG_FORMAT_JSON ? "\"event\":\"event\"" : "event");
}

START_TEST(text_values)
{
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_STR("k", "word")), "event k=word\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_STR("k", "two words")),
                     "event k=\"two words\"\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_STR("k", "")), "event k=\"\"\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_STR("k", NULL)), "event\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_STR("k", "a\"b\\c")),
                     "event k=\"a\\\"b\\\\c\"\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_STR("k", "x\n2026 error fake=1\033[2J\xff")),
                     "event k=\"x\\x0a2026 error fake=1\\x1b[2J\\xff\"\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_U64("k", UINT64_MAX)),
                     "event k=18446744073709551615\n");
}
END_TEST

START_TEST(times)
{
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_US("k", 350)), "event k=350us\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_US("k", 42100)), "event k=42.1ms\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_MS("k", 700)), "event k=0.7s\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_MS("k", 30000)), "event k=30s\n");
    ck_assert_str_eq(line_of(LOG_FORMAT_TEXT, &LOG_MS("k", 163700)), "event k=163.7s\n");
    ck_assert_ptr_nonnull(strstr(line_of(LOG_FORMAT_JSON, &LOG_MS("k", 700)), "\"k\":0.700000}"));
}
END_TEST

/* Returns what a JSON reader makes of a field. */
static json_t *json_value(const struct log_field *field)
{
    static struct log_line line;
    json_error_t error;
    json_t *object;

    log_line_begin(&line, LOG_FORMAT_JSON, LEVEL_WARN, "server", "event");
    log_line_add(&line, field);
    log_line_end(&line);
    object = json_loads(line.text, 0, &error);
    ck_assert_msg(object != NULL, "%s: %s", error.text, line.text);
    ck_assert_str_eq(json_string_value(json_object_get(object, "level")), "warn");
    return object;
}

START_TEST(json_is_json)
{
    static const char *const texts[] = {"", "word", "a\"b\\c", "x\ny\t\033", "\x01\x7f"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *object = json_value(&LOG_STR("k", texts[i]));
        ck_assert_str_eq(json_string_value(json_object_get(object, "k")), texts[i]);
        json_decref(object);
    }
}
END_TEST

START_TEST(long_values_are_cut)
{
    static char text[3 * LOG_LINE_MAX];

    for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
        /* Every length around the limit, with a byte that is escaped at the end. */
        for (size_t len = LOG_LINE_MAX - 200; len < LOG_LINE_MAX + 20; len++) {
            memset(text, 'x', len);
            strcpy(text + len, "\n\"\x02 tail");
            line_of((enum log_format)format, &LOG_STR("k", text));
            if (format == LOG_FORMAT_JSON) {
                json_decref(json_value(&LOG_STR("k", text)));
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_line");
    TCase *tc = tcase_create("log_line");

    tcase_add_test(tc, text_values);
    tcase_add_test(tc, times);
    tcase_add_test(tc, json_is_json);
    tcase_add_test(tc, long_values_are_cut);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
