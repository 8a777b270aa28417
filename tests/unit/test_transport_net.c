/*
 * Dialling, listening and accepting; addresses are in test_transport_address.c.
 *
 * ctest-timeout: 30
 */
#define _GNU_SOURCE 1

#include "faults.h"
#include "suite.h"

#include "transport/address.h"
#include "transport/sys.h"

#include <smux/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- connecting ---------------------------------------------------------------------------- */

/** Listens, and writes down under which address. */
static int listen_at(const char *text, char address[static 64])
{
    int fd = -1;

    ck_assert_int_eq(smux_listen(text, &fd), SMUX_OK);
    ck_assert_int_eq(smux_socket_address(fd, false, address, 64), SMUX_OK);
    return fd;
}

static int dial(const char *address)
{
    int fd = -1;

    ck_assert_int_eq(smux_dial(address, 2000, &fd), SMUX_OK);
    return fd;
}

static int accept_from(int listener)
{
    int fd = -1;

    ck_assert_int_eq(smux_accept_fd(listener, 2000, &fd), SMUX_OK);
    return fd;
}

/** Tells whether bytes written to one descriptor come out of the other. */
static void check_connected(int from, int to)
{
    char buf[4] = "";

    ck_assert_int_eq(write(from, "abc", 4), 4);
    ck_assert_int_eq(read(to, buf, sizeof buf), 4);
    ck_assert_str_eq(buf, "abc");
}

static void check_blocking_and_closed_on_exec(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
}

START_TEST(a_port_alone_is_reachable_over_loopback)
{
    char address[64];
    char seen[64];
    char known[64];
    int listener = listen_at("0", address);

    ck_assert_int_eq(strncmp(address, "127.0.0.1:", 10), 0);
    int client = dial(address + 10); /* the port alone */
    int server = accept_from(listener);
    check_connected(client, server);
    check_blocking_and_closed_on_exec(client);
    check_blocking_and_closed_on_exec(server);
    ck_assert_int_eq(smux_socket_address(client, true, seen, sizeof seen), SMUX_OK);
    ck_assert_str_eq(seen, address);
    ck_assert_int_eq(smux_socket_address(client, false, known, sizeof known), SMUX_OK);
    ck_assert_int_eq(smux_socket_address(server, true, seen, sizeof seen), SMUX_OK);
    ck_assert_str_eq(seen, known);
}
END_TEST

START_TEST(an_empty_host_listens_for_both_families)
{
    char address[64];
    char dialled[64];
    char seen[64];
    int listener = listen_at(":0", address);
    const char *port = strrchr(address, ':') + 1;

    (void)snprintf(dialled, sizeof dialled, "127.0.0.1:%s", port);
    int client = dial(dialled);
    int server = accept_from(listener);
    check_connected(client, server);
    ck_assert_int_eq(smux_socket_address(server, true, seen, sizeof seen), SMUX_OK);
    ck_assert_int_eq(strncmp(seen, "127.0.0.1:", 10), 0); /* not ::ffff:127.0.0.1 */
    (void)snprintf(dialled, sizeof dialled, "[::1]:%s", port);
    if (smux_dial(dialled, 2000, &client) == SMUX_OK) { /* this machine has IPv6 */
        check_connected(client, accept_from(listener));
    }
}
END_TEST

START_TEST(a_refused_connection_is_an_io_error)
{
    char address[64];
    int fd;

    close(listen_at("0", address));
    ck_assert_int_eq(smux_dial(address, 2000, &fd), SMUX_EIO);
    ck_assert_int_eq(errno, ECONNREFUSED);
}
END_TEST

START_TEST(an_unknown_host_is_an_address_error)
{
    int fd;

    ck_assert_int_eq(smux_dial("[::zz]:80", 2000, &fd), SMUX_EADDRESS);
    ck_assert_int_eq(smux_listen("[::zz]:80", &fd), SMUX_EADDRESS);
}
END_TEST

START_TEST(a_port_in_use_is_an_io_error)
{
    char address[64];
    int fd;

    (void)listen_at("0", address);
    ck_assert_int_eq(smux_listen(address, &fd), SMUX_EIO);
    ck_assert_int_eq(errno, EADDRINUSE);
}
END_TEST

START_TEST(dialling_gives_up_in_time)
{
    char address[64];
    int listener = listen_at("@smux-test-full", address);
    int fd;
    uint64_t begin_us = smux_now_us();
    int status;

    ck_assert_int_eq(listen(listener, 0), 0);
    do {
        status = smux_dial(address, 50, &fd); /* fills the backlog */
    } while (status == SMUX_OK);
    ck_assert_int_eq(status, SMUX_EDEADLINE);
    ck_assert_uint_lt(smux_now_us() - begin_us, 1000000);
}
END_TEST

START_TEST(dialling_tcp_gives_up_in_time)
{
    char address[64];
    int listener = listen_at("0", address);
    int fd;
    int status;

    ck_assert_int_eq(listen(listener, 0), 0);
    do {
        status = smux_dial(address, 50, &fd);
    } while (status == SMUX_OK);
    ck_assert_int_eq(status, SMUX_EDEADLINE);
}
END_TEST

START_TEST(an_interrupted_connect_goes_on)
{
    char address[64];
    int fd;

    (void)listen_at("0", address);
    faults_begin();
    faults_fail(FAULT_POLL, 1, EINTR, 2);
    ck_assert_int_eq(smux_dial(address, 2000, &fd), SMUX_OK);
    faults_end();
}
END_TEST

static struct addrinfo *chained[50];
static int n_chained;

/** Answers with 127.0.0.2, where nobody listens, again and again, and 127.0.0.1 in the end. */
static int many_addresses(const char *host, const char *service, const struct addrinfo *hints,
                          struct addrinfo **out_list)
{
    (void)host;
    for (int i = 0; i < n_chained; i++) {
        const char *numeric = i == n_chained - 1 ? "127.0.0.1" : "127.0.0.2";

        ck_assert_int_eq(getaddrinfo(numeric, service, hints, &chained[i]), 0);
        ck_assert_ptr_null(chained[i]->ai_next);
        if (i > 0) {
            chained[i - 1]->ai_next = chained[i];
        }
    }
    *out_list = chained[0];
    return 0;
}

static void free_many(struct addrinfo *list)
{
    ck_assert_ptr_eq(list, chained[0]);
    for (int i = 0; i < n_chained; i++) {
        chained[i]->ai_next = NULL;
        freeaddrinfo(chained[i]);
    }
}

START_TEST(K6_all_addresses_of_a_name_are_tried)
{
    char address[64];
    char dialled[64];
    int listener = listen_at("0", address);

    n_chained = _i == 0 ? 2 : 50;
    smux__sys.getaddrinfo = many_addresses;
    smux__sys.freeaddrinfo = free_many;
    (void)snprintf(dialled, sizeof dialled, "example:%s", address + 10);
    int client = dial(dialled);
    check_connected(client, accept_from(listener));
}
END_TEST

static int slow_address(const char *host, const char *service, const struct addrinfo *hints,
                        struct addrinfo **out_list)
{
    (void)host;
    (void)usleep(60000);
    return getaddrinfo("127.0.0.1", service, hints, out_list);
}

/* The time of the look-up counts. A listener whose queue is full swallows what comes. */
START_TEST(K6_a_name_that_is_found_too_late_has_no_time_left)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    char dialled[32];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int fd;

    ck_assert_int_eq(bind(listener, (const struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 0), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(dialled, sizeof dialled, "example:%u", ntohs(address.sin_port));
    for (int i = 0; i < 4; i++) {
        int filler = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        (void)connect(filler, (const struct sockaddr *)&address, len);
    }
    smux__sys.getaddrinfo = slow_address;
    uint64_t begin_us = smux_now_us();
    ck_assert_int_eq(smux_dial(dialled, 50, &fd), SMUX_EDEADLINE);
    ck_assert_uint_lt(smux_now_us() - begin_us, 1000000);
}
END_TEST

static int no_address(const char *host, const char *service, const struct addrinfo *hints,
                      struct addrinfo **out_list)
{
    (void)host;
    (void)service;
    (void)hints;
    *out_list = NULL;
    return 0;
}

START_TEST(a_name_without_addresses_is_an_address_error)
{
    int fd;

    smux__sys.getaddrinfo = no_address;
    ck_assert_int_eq(smux_dial("example:80", 100, &fd), SMUX_EADDRESS);
    ck_assert_int_eq(smux_listen("example:80", &fd), SMUX_EADDRESS);
}
END_TEST

START_TEST(no_descriptor_left_is_an_io_error)
{
    int fd;

    faults_begin();
    faults_fail(FAULT_SOCKET, 1, EMFILE, 0);
    ck_assert_int_eq(smux_dial("127.0.0.1:1", 100, &fd), SMUX_EIO);
    ck_assert_int_eq(errno, EMFILE);
    ck_assert_int_eq(smux_listen("0", &fd), SMUX_EIO);
    ck_assert_int_eq(errno, EMFILE);
    faults_end();
}
END_TEST

/* --- Unix sockets -------------------------------------------------------------------------- */

static char directory[32];
static char path[64];

static void setup_directory(void)
{
    (void)snprintf(directory, sizeof directory, "/tmp/smux-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/socket", directory);
}

static void teardown_directory(void)
{
    (void)unlink(path);
    (void)rmdir(directory);
}

START_TEST(a_unix_socket_is_for_its_owner_only)
{
    char address[64];
    struct stat info;

    (void)umask(0);
    int listener = listen_at(path, address);
    ck_assert_int_eq(strncmp(address, "unix:/", 6), 0);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    int client = dial(address);
    check_connected(client, accept_from(listener));
}
END_TEST

START_TEST(a_stale_unix_socket_is_replaced)
{
    char address[64];

    close(listen_at(path, address));
    int listener = listen_at(path, address);
    int client = dial(path);
    check_connected(client, accept_from(listener));
}
END_TEST

START_TEST(a_unix_socket_in_use_is_left_alone)
{
    char address[64];
    int listener = listen_at(path, address);
    int fd;

    ck_assert_int_eq(smux_listen(path, &fd), SMUX_EIO);
    ck_assert_int_eq(errno, EADDRINUSE);
    close(accept_from(listener)); /* the attempt to find out */
    int client = dial(path);
    check_connected(client, accept_from(listener));
}
END_TEST

START_TEST(a_file_in_the_way_is_left_alone)
{
    struct stat info;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    close(fd);
    ck_assert_int_eq(smux_listen(path, &fd), SMUX_EIO);
    ck_assert_int_eq(errno, EADDRINUSE);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert(S_ISREG(info.st_mode));
}
END_TEST

#ifdef __linux__
START_TEST(abstract_names_work)
{
    char address[64];
    int listener = listen_at("@smux-test-abstract", address);

    ck_assert_str_eq(address, "@smux-test-abstract");
    int client = dial("unix:@smux-test-abstract");
    check_connected(client, accept_from(listener));
}
END_TEST
#endif

START_TEST(an_address_that_does_not_fit_is_refused)
{
    char address[64];
    char small[8];
    int fd = listen_at("0", address);

    ck_assert_int_eq(smux_socket_address(fd, false, small, sizeof small), SMUX_EINVAL);
    ck_assert_int_eq(smux_socket_address(fd, true, small, sizeof small), SMUX_EINVAL);
    ck_assert_int_eq(smux_socket_address(-1, false, small, sizeof small), SMUX_EINVAL);
}
END_TEST

/* --- descriptors --------------------------------------------------------------------------- */

START_TEST(open_descriptors_are_taken_over)
{
    char address[64];
    char text[32];
    int listener = listen_at("0", address);
    int fd = -1;

    (void)snprintf(text, sizeof text, "fd:%d", listener);
    ck_assert_int_eq(smux_listen(text, &fd), SMUX_OK);
    ck_assert_int_eq(fd, listener);
    int client = dial(address);
    (void)snprintf(text, sizeof text, "fd:%d", client);
    ck_assert_int_eq(smux_dial(text, 100, &fd), SMUX_OK);
    ck_assert_int_eq(fd, client);
    ck_assert_int_eq(smux_listen(text, &fd), SMUX_EADDRESS); /* it does not listen */
    ck_assert_int_eq(smux_dial("fd:9999", 100, &fd), SMUX_EADDRESS);
}
END_TEST

/* --- accepting ----------------------------------------------------------------------------- */

START_TEST(accepting_gives_up_in_time)
{
    char address[64];
    int listener = listen_at("0", address);
    uint64_t begin_us = smux_now_us();
    int fd;

    ck_assert_int_eq(smux_accept_fd(listener, 30, &fd), SMUX_EDEADLINE);
    ck_assert_uint_ge(smux_now_us() - begin_us, 30000);
}
END_TEST

static const int passing_errors[] = {EINTR, EAGAIN, ECONNABORTED, EPROTO};

START_TEST(failures_of_one_connection_are_skipped)
{
    char address[64];
    int listener = listen_at("0", address);
    int fd;

    (void)dial(address);
    faults_begin();
    faults_fail(FAULT_POLL, 1, EINTR, 1);
    faults_fail(FAULT_ACCEPT, 1, passing_errors[_i], 2);
    ck_assert_int_eq(smux_accept_fd(listener, 2000, &fd), SMUX_OK);
    ck_assert_uint_eq(faults_count(FAULT_ACCEPT), 3);
    faults_end();
}
END_TEST

START_TEST(a_full_descriptor_table_is_reported_at_once)
{
    char address[64];
    int listener = listen_at("0", address);
    int fd;

    (void)dial(address);
    faults_begin();
    faults_fail(FAULT_ACCEPT, 1, EMFILE, 0);
    ck_assert_int_eq(smux_accept_fd(listener, 2000, &fd), SMUX_EIO);
    ck_assert_int_eq(errno, EMFILE);
    ck_assert_uint_eq(faults_count(FAULT_ACCEPT), 1);
    faults_end();
}
END_TEST

/* Tests that run in one process must not leave a changed table behind. */
static struct smux__sys saved_sys;

static void save_sys(void)
{
    saved_sys = smux__sys;
}

static void restore_sys(void)
{
    smux__sys = saved_sys;
}

static TCase *dial_tests(void)
{
    TCase *tc = tcase_create("dialling");

    tcase_add_checked_fixture(tc, save_sys, restore_sys);
    tcase_add_test(tc, a_port_alone_is_reachable_over_loopback);
    tcase_add_test(tc, an_empty_host_listens_for_both_families);
    tcase_add_test(tc, a_refused_connection_is_an_io_error);
    tcase_add_test(tc, an_unknown_host_is_an_address_error);
    tcase_add_test(tc, a_port_in_use_is_an_io_error);
    tcase_add_test(tc, dialling_gives_up_in_time);
    tcase_add_test(tc, dialling_tcp_gives_up_in_time);
    tcase_add_test(tc, an_interrupted_connect_goes_on);
    tcase_add_loop_test(tc, K6_all_addresses_of_a_name_are_tried, 0, 2);
    tcase_add_test(tc, K6_a_name_that_is_found_too_late_has_no_time_left);
    tcase_add_test(tc, a_name_without_addresses_is_an_address_error);
    tcase_add_test(tc, no_descriptor_left_is_an_io_error);
    return tc;
}

static TCase *unix_tests(void)
{
    TCase *tc = tcase_create("unix");

    tcase_add_checked_fixture(tc, setup_directory, teardown_directory);
    tcase_add_test(tc, a_unix_socket_is_for_its_owner_only);
    tcase_add_test(tc, a_stale_unix_socket_is_replaced);
    tcase_add_test(tc, a_unix_socket_in_use_is_left_alone);
    tcase_add_test(tc, a_file_in_the_way_is_left_alone);
#ifdef __linux__
    tcase_add_test(tc, abstract_names_work);
#endif
    tcase_add_test(tc, an_address_that_does_not_fit_is_refused);
    return tc;
}

static TCase *accept_tests(void)
{
    TCase *tc = tcase_create("accepting");

    tcase_add_test(tc, open_descriptors_are_taken_over);
    tcase_add_test(tc, accepting_gives_up_in_time);
    tcase_add_loop_test(tc, failures_of_one_connection_are_skipped, 0, 4);
    tcase_add_test(tc, a_full_descriptor_table_is_reported_at_once);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("transport_net");

    suite_add_tcase(suite, dial_tests());
    suite_add_tcase(suite, unix_tests());
    suite_add_tcase(suite, accept_tests());
    return suite_main(suite);
}
