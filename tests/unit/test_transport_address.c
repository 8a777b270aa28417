/*
 * Texts of addresses.
 *
 * ctest-timeout: 30
 */
#include "suite.h"

#include "transport/address.h"

#include <smux/transport.h>

#include <string.h>

static const struct {
    const char *text;
    enum smux__address_kind kind;
    const char *host;
    const char *port;
} inet_texts[] = {
    {"host:80", SMUX__ADDRESS_HOST, "host", "80"},
    {"1.2.3.4:65535", SMUX__ADDRESS_HOST, "1.2.3.4", "65535"},
    {"[::1]:80", SMUX__ADDRESS_HOST, "::1", "80"},
    {"[fe80::1%lo]:080", SMUX__ADDRESS_HOST, "fe80::1%lo", "80"},
    {"9000", SMUX__ADDRESS_LOOPBACK, "", "9000"},
    {"0", SMUX__ADDRESS_LOOPBACK, "", "0"},
    {":9000", SMUX__ADDRESS_ANY, "", "9000"},
};
#define N_INET_TEXTS ((int)(sizeof inet_texts / sizeof inet_texts[0]))

START_TEST(hosts_and_ports_are_understood)
{
    struct smux__address address;

    ck_assert(smux__address_parse(inet_texts[_i].text, &address));
    ck_assert_int_eq(address.kind, inet_texts[_i].kind);
    ck_assert_str_eq(address.host, inet_texts[_i].host);
    ck_assert_str_eq(address.port, inet_texts[_i].port);
}
END_TEST

static const char *const path_texts[][2] = {
    {"unix:/tmp/x", "/tmp/x"}, {"unix:x", "x"}, {"/tmp/x", "/tmp/x"}, {"./x", "./x"},
    {"../x", "../x"},
};
#define N_PATH_TEXTS ((int)(sizeof path_texts / sizeof path_texts[0]))

START_TEST(paths_are_understood)
{
    struct smux__address address;

    ck_assert(smux__address_parse(path_texts[_i][0], &address));
    ck_assert_int_eq(address.kind, SMUX__ADDRESS_UNIX);
    ck_assert_str_eq(address.local.sun_path, path_texts[_i][1]);
}
END_TEST

START_TEST(descriptors_are_understood)
{
    struct smux__address address;

    ck_assert(smux__address_parse("fd:17", &address));
    ck_assert_int_eq(address.kind, SMUX__ADDRESS_FD);
    ck_assert_int_eq(address.fd, 17);
}
END_TEST

static const char *const bad_texts[] = {
    "",
    "host",
    "host:",
    ":",
    "host:65536",
    "host:-1",
    "host: 80",
    "host:8x",
    "::1:80",
    "[::1]",
    "[::1]80",
    "[::1:80",
    "[]:80",
    "unix:",
    "@",
    "unix:@",
    "fd:",
    "fd:x",
    "fd:-1",
    ".",
    "99999",
    "80 ",
    "host:+8",
    "fd:9999999999999999999",
    "host:00000000000080",
};
#define N_BAD_TEXTS ((int)(sizeof bad_texts / sizeof bad_texts[0]))

START_TEST(other_texts_are_refused)
{
    struct smux__address address;
    int fd;

    ck_assert_msg(!smux__address_parse(bad_texts[_i], &address), "%s", bad_texts[_i]);
    ck_assert_int_eq(smux_dial(bad_texts[_i], 100, &fd), SMUX_EADDRESS);
    ck_assert_int_eq(smux_listen(bad_texts[_i], &fd), SMUX_EADDRESS);
}
END_TEST

START_TEST(parts_that_are_too_long_are_refused)
{
    char text[400];
    struct smux__address address;

    memset(text, 'a', sizeof text);
    text[0] = '/';
    text[sizeof address.local.sun_path] = '\0';
    ck_assert(!smux__address_parse(text, &address));
    text[sizeof address.local.sun_path - 1] = '\0';
    ck_assert(smux__address_parse(text, &address));
    memset(text, 'a', sizeof text);
    memcpy(text + 256, ":80", 4);
    ck_assert(!smux__address_parse(text, &address));
    memcpy(text + 255, ":80", 4);
    ck_assert(smux__address_parse(text, &address));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport_address");
    TCase *tc = tcase_create("transport_address");

    tcase_add_loop_test(tc, hosts_and_ports_are_understood, 0, N_INET_TEXTS);
    tcase_add_loop_test(tc, paths_are_understood, 0, N_PATH_TEXTS);
    tcase_add_test(tc, descriptors_are_understood);
    tcase_add_loop_test(tc, other_texts_are_refused, 0, N_BAD_TEXTS);
    tcase_add_test(tc, parts_that_are_too_long_are_refused);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
