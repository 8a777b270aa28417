/*
 * test_config.c - defaults and refusals of the configuration; status codes; the formatter.
 */
#include "engine/config.h"
#include "engine/text.h"
#include "support/suite.h"

#include <string.h>

START_TEST(zeros_mean_the_defaults_of_go)
{
    struct smux_config c;

    ck_assert_int_eq(smux__config_resolve(&c, NULL, SMUX_CLIENT, NULL), SMUX_OK);
    ck_assert_uint_eq(c.version, 1);
    ck_assert_uint_eq(c.max_frame_size, 32768);
    ck_assert_uint_eq(c.max_receive_buffer, 4194304);
    ck_assert_uint_eq(c.max_stream_buffer, 0);
    ck_assert_uint_eq(c.max_window_growth, 64 << 20);
    ck_assert_uint_eq(c.keepalive_interval_ms, 10000);
    ck_assert_uint_eq(c.keepalive_timeout_ms, 30000);
}
END_TEST

/* A caller compiled against an older, shorter struct. */
START_TEST(unknown_fields_of_an_older_caller_get_defaults)
{
    struct smux_config old, c;

    memset(&old, 0xAB, sizeof(old));
    smux_config_init_sized(&old, offsetof(struct smux_config, max_stream_buffer));
    old.version = 2;
    ck_assert_int_eq(smux__config_resolve(&c, &old, SMUX_CLIENT, NULL), SMUX_OK);
    ck_assert_uint_eq(c.version, 2);
    ck_assert_uint_eq(c.max_stream_buffer, 0);
    ck_assert_uint_eq(c.max_window_growth, 64 << 20);
}
END_TEST

static void set_version(struct smux_config *c)
{
    c->version = 3;
}
static void set_auto(struct smux_config *c)
{
    c->version = SMUX_VERSION_AUTO;
}
static void set_frame(struct smux_config *c)
{
    c->max_frame_size = 65536;
}
static void set_budget(struct smux_config *c)
{
    c->max_receive_buffer = 0x80000000u;
}
static void set_window(struct smux_config *c)
{
    c->max_stream_buffer = 0x80000000u;
}
static void set_window_above_budget(struct smux_config *c)
{
    c->max_receive_buffer = 1000;
    c->max_stream_buffer = 1001;
}
static void set_growth(struct smux_config *c)
{
    c->max_window_growth = 0x80000000u;
}
static void set_timeout(struct smux_config *c)
{
    c->keepalive_timeout_ms = 9999;
}
static void set_mode(struct smux_config *c)
{
    c->keepalive_mode = 3;
}
static void set_linger(struct smux_config *c)
{
    c->fin_linger_ms = 5001;
}
static void set_refusals(struct smux_config *c)
{
    c->max_refusals = (1u << 20) + 1;
}
static void set_busy_poll(struct smux_config *c)
{
    c->busy_poll_us = 1000001;
}
static void set_allocator(struct smux_config *c)
{
    static const struct smux_allocator none = {NULL, NULL, NULL};
    c->allocator = &none;
}
static void set_size(struct smux_config *c)
{
    c->struct_size = 0;
}

static const struct {
    void (*spoil)(struct smux_config *c);
    const char *field; /* that the message must name */
} refusals[] = {
    {set_version, "version"},          {set_auto, "client"},
    {set_frame, "max_frame_size"},     {set_budget, "max_receive_buffer"},
    {set_window, "max_stream_buffer"}, {set_window_above_budget, "must not be larger than"},
    {set_growth, "max_window_growth"}, {set_timeout, "keepalive_timeout_ms"},
    {set_mode, "keepalive_mode"},      {set_busy_poll, "busy_poll_us"},
    {set_linger, "fin_linger_ms"},     {set_refusals, "max_refusals"},
    {set_allocator, "allocator"},      {set_size, "struct_size"},
};
#define N_REFUSALS (int)(sizeof(refusals) / sizeof(refusals[0]))

START_TEST(each_refusal_names_its_field)
{
    struct smux_config c;
    const char *why = NULL;

    smux_config_init(&c);
    ck_assert_int_eq(smux_config_check(&c, SMUX_CLIENT, &why), SMUX_OK);
    ck_assert_ptr_null(why);
    refusals[_i].spoil(&c);
    ck_assert_int_eq(smux_config_check(&c, SMUX_CLIENT, &why), SMUX_ECONFIG);
    ck_assert_ptr_nonnull(strstr(why, refusals[_i].field));
}
END_TEST

START_TEST(a_server_may_wait_for_the_version)
{
    struct smux_config c;

    smux_config_init(&c);
    c.version = SMUX_VERSION_AUTO;
    ck_assert_int_eq(smux_config_check(&c, SMUX_SERVER, NULL), SMUX_OK);
}
END_TEST

START_TEST(keepalive_off_needs_no_longer_timeout)
{
    struct smux_config c;

    smux_config_init(&c);
    c.keepalive_interval_ms = SMUX_OFF;
    c.keepalive_timeout_ms = 1;
    ck_assert_int_eq(smux_config_check(&c, SMUX_CLIENT, NULL), SMUX_OK);
}
END_TEST

START_TEST(every_status_has_a_name_and_a_text_of_its_own)
{
#define STATUS_CODE(name, code, text) code,
    static const int codes[] = {SMUX_STATUS_MAP(STATUS_CODE)};
#undef STATUS_CODE
    const size_t n = sizeof(codes) / sizeof(codes[0]);

    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(strncmp(smux_status_name(codes[i]), "SMUX_", 5), 0);
        for (size_t j = i + 1; j < n; j++) {
            ck_assert_int_ne(codes[i], codes[j]);
            ck_assert_str_ne(smux_strerror(codes[i]), smux_strerror(codes[j]));
        }
    }
    ck_assert_str_eq(smux_strerror(12345), "unknown status");
    ck_assert(smux_status_is_fatal(SMUX_EPROTO) && !smux_status_is_fatal(SMUX_EPIPE));
}
END_TEST

START_TEST(R12_text_is_bounded_and_escaped)
{
    char out[16];
    struct smux__text text;

    memset(out, 'Z', sizeof(out));
    smux__text_init(&text, out, 8);
    smux__text_add_bytes(&text, (const uint8_t *)"\x01\"abcdefgh", 10);
    ck_assert_str_eq(out, "\"\\x01\\x");
    ck_assert_int_eq(out[8], 'Z');
    smux__text_init(&text, out, sizeof(out));
    smux__text_add_number(&text, 4294967295u);
    ck_assert_str_eq(out, "4294967295");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");

    tcase_add_test(tc, zeros_mean_the_defaults_of_go);
    tcase_add_test(tc, unknown_fields_of_an_older_caller_get_defaults);
    tcase_add_loop_test(tc, each_refusal_names_its_field, 0, N_REFUSALS);
    tcase_add_test(tc, a_server_may_wait_for_the_version);
    tcase_add_test(tc, keepalive_off_needs_no_longer_timeout);
    tcase_add_test(tc, every_status_has_a_name_and_a_text_of_its_own);
    tcase_add_test(tc, R12_text_is_bounded_and_escaped);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
