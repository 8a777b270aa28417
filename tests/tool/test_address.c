/*
 * test_address.c - addresses as typed, as the kernel takes them, and back.
 */
#include "address.h"

#include <stdio.h>
#include <string.h>

#include "support/suite.h"

/* Writes all addresses something resolves to, with spaces between. */
static const char *resolved(const char *text, bool listening)
{
    static char out[ADDRESS_MAX * ADDRESS_TEXT];
    struct address address;
    struct address_list list;
    size_t len = 0;

    ck_assert_ptr_null(address_parse(text, &address));
    if (!address_resolve_now(&address, listening, &list)) {
        return "later";
    }
    for (size_t i = 0; i < list.n; i++) {
        char one[ADDRESS_TEXT];
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s", i == 0 ? "" : " ",
                                address_format(&list.items[i], one, sizeof(one)));
    }
    return out;
}

START_TEST(forms)
{
    ck_assert_str_eq(resolved("1.2.3.4:80", false), "1.2.3.4:80");
    ck_assert_str_eq(resolved("[2001:db8::1]:80", false), "[2001:db8::1]:80");
    ck_assert_str_eq(resolved("80", false), "127.0.0.1:80 [::1]:80");
    ck_assert_str_eq(resolved("80", true), "127.0.0.1:80 [::1]:80");
    ck_assert_str_eq(resolved(":80", false), "127.0.0.1:80 [::1]:80");
    ck_assert_str_eq(resolved(":80", true), "0.0.0.0:80 [::]:80");
    ck_assert_str_eq(resolved("unix:/a/b", false), "unix:/a/b");
    ck_assert_str_eq(resolved("unix:relative", false), "unix:relative");
    ck_assert_str_eq(resolved("/a/b", false), "unix:/a/b");
    ck_assert_str_eq(resolved("./b", false), "unix:./b");
    ck_assert_str_eq(resolved("@name", false), "@name");
    ck_assert_str_eq(resolved("host.example:80", false), "later");
    ck_assert_str_eq(resolved("fd:3", true), "later");
    ck_assert_str_eq(resolved("-", true), "later");
}
END_TEST

START_TEST(limits)
{
    struct address address;
    char text[600];

    ck_assert_ptr_null(address_parse("h:0", &address));
    ck_assert_ptr_null(address_parse("h:65535", &address));
    ck_assert_ptr_nonnull(address_parse("h:65536", &address));
    ck_assert_ptr_nonnull(address_parse("", &address));
    ck_assert_ptr_nonnull(address_parse(":", &address));
    ck_assert_ptr_nonnull(address_parse("[]:1", &address));
    memset(text, 'h', sizeof(text));
    memcpy(text + 255, ":80", 4);
    ck_assert_ptr_null(address_parse(text, &address)); /* the longest host name */
    memset(text, 'h', 256);
    memcpy(text + 256, ":80", 4);
    ck_assert_ptr_nonnull(address_parse(text, &address));
    memset(text, '1', 256);
    text[0] = '[';
    memcpy(text + 257, "]:80", 5);
    text[256] = '1';
    ck_assert_ptr_nonnull(address_parse(text, &address));
    memset(text, 'p', 108);
    text[0] = '/';
    text[107] = '\0';
    ck_assert_str_eq(resolved(text, false) + 5, text); /* the longest path */
    text[107] = 'p';
    text[108] = '\0';
    ck_assert_ptr_nonnull(address_parse(text, &address));
}
END_TEST

static bool is_local(const char *text)
{
    struct address address;
    struct address_list list;

    ck_assert_ptr_null(address_parse(text, &address));
    ck_assert(address_resolve_now(&address, true, &list));
    return address_is_local(&list.items[0]);
}

START_TEST(loopback)
{
    ck_assert(is_local("127.0.0.1:1"));
    ck_assert(is_local("127.255.0.9:1"));
    ck_assert(is_local("[::1]:1"));
    ck_assert(is_local("[::ffff:127.0.0.1]:1"));
    ck_assert(is_local("/path"));
    ck_assert(is_local("@name"));
    ck_assert(!is_local("0.0.0.0:1"));
    ck_assert(!is_local("[::]:1"));
    ck_assert(!is_local("128.0.0.1:1"));
    ck_assert(!is_local("[::ffff:10.0.0.1]:1"));
    ck_assert(!is_local("[::ffff:0.0.0.0]:1"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address");
    TCase *tc = tcase_create("address");

    tcase_add_test(tc, forms);
    tcase_add_test(tc, limits);
    tcase_add_test(tc, loopback);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
