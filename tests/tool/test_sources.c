/*
 * test_sources.c - L15: sessions are counted by where they come from.
 */
#include "sources.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "support/suite.h"

static struct sources sources;

static struct endpoint_address from(const char *text)
{
    struct endpoint_address out;

    memset(&out, 0, sizeof(out));
    if (strchr(text, ':') == NULL) {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = 1234};
        ck_assert_int_eq(inet_pton(AF_INET, text, &sin.sin_addr), 1);
        memcpy(&out.sa, &sin, sizeof(sin));
        out.len = sizeof(sin);
    } else {
        struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = 1234};
        ck_assert_int_eq(inet_pton(AF_INET6, text, &sin6.sin6_addr), 1);
        memcpy(&out.sa, &sin6, sizeof(sin6));
        out.len = sizeof(sin6);
    }
    return out;
}

/* One more session; returns its source when it is let in, marks `refused` when not. */
static struct source refused;

static struct source *take(const char *text, uint32_t limit)
{
    struct endpoint_address address = from(text);
    struct source *source;

    int status = sources_take(&sources, &address, limit, &source);
    ck_assert(status == SMUX_OK || status == SMUX_ELIMIT);
    return status == SMUX_OK ? source : &refused;
}

static void expect_empty(void)
{
    for (int i = 0; i < SOURCE_BUCKETS; i++) {
        ck_assert_ptr_null(sources.buckets[i]);
    }
}

START_TEST(L15_each_source_has_its_own_limit)
{
    struct source *a[2];
    struct source *b;

    a[0] = take("198.51.100.7", 2);
    a[1] = take("198.51.100.7", 2);
    ck_assert_ptr_eq(take("198.51.100.7", 2), &refused);
    b = take("198.51.100.8", 2);
    ck_assert_ptr_ne(b, &refused);
    sources_release(&sources, a[0]);
    a[0] = take("198.51.100.7", 2);
    ck_assert_ptr_ne(a[0], &refused);
    ck_assert_ptr_eq(take("198.51.100.7", 2), &refused);
    sources_release(&sources, a[0]);
    sources_release(&sources, a[1]);
    sources_release(&sources, b);
    expect_empty();
}
END_TEST

START_TEST(L15_sixty_four_bits_of_ipv6_are_one_source)
{
    struct source *one = take("2001:db8:0:1::1", 1);
    struct source *other;

    ck_assert_ptr_eq(take("2001:db8:0:1:ffff::2", 1), &refused);
    other = take("2001:db8:0:2::1", 1);
    ck_assert_ptr_ne(other, &refused);
    sources_release(&sources, one);
    sources_release(&sources, other);
    expect_empty();
}
END_TEST

START_TEST(L15_mapped_address_is_the_ipv4_address)
{
    struct source *one = take("203.0.113.9", 1);

    ck_assert_ptr_eq(take("::ffff:203.0.113.9", 1), &refused);
    sources_release(&sources, one);
    expect_empty();
}
END_TEST

START_TEST(L15_loopback_and_unix_sockets_are_not_counted)
{
    struct endpoint_address address;
    struct source *source;

    for (int i = 0; i < 10; i++) {
        ck_assert_ptr_null(take("127.0.0.1", 1));
        ck_assert_ptr_null(take("::1", 1));
    }
    memset(&address, 0, sizeof(address));
    address.sa.ss_family = AF_UNIX;
    address.len = sizeof(address.sa.ss_family);
    ck_assert_int_eq(sources_take(&sources, &address, 1, &source), SMUX_OK);
    ck_assert_ptr_null(source);
    expect_empty();
}
END_TEST

START_TEST(L15_many_sources)
{
    static struct source *held[5000];
    char text[40];

    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof(text), "10.%d.%d.1", i / 250, i % 250);
        held[i] = take(text, 1);
        ck_assert_ptr_ne(held[i], &refused);
        ck_assert_ptr_eq(take(text, 1), &refused);
    }
    for (int i = 0; i < 5000; i++) {
        sources_release(&sources, held[i * 7 % 5000]);
    }
    expect_empty();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sources");
    TCase *tc = tcase_create("sources");

    tcase_add_test(tc, L15_each_source_has_its_own_limit);
    tcase_add_test(tc, L15_sixty_four_bits_of_ipv6_are_one_source);
    tcase_add_test(tc, L15_mapped_address_is_the_ipv4_address);
    tcase_add_test(tc, L15_loopback_and_unix_sockets_are_not_counted);
    tcase_add_test(tc, L15_many_sources);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
