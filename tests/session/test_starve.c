/*
 * test_starve.c - sessions, their threads and transports: each allocation fails in turn, once and
 * from then on (K1).
 *
 * A scenario is played without a failure first, where it must succeed. With one, each call may
 * report an error and whoever waits is let go after a while; but bytes are right, an end that is
 * short is known to the other side as a failure, and no memory and no descriptor stay.
 *
 * ctest-scarce
 * ctest-timeout: 300
 * ctest-waits
 */
#include "exchange.h"
#include "faults.h"
#include "flow.h"
#include "scarce.h"
#include "starve.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Tells whether an allocation failed, which explains all errors. */
static bool was_scarce(void)
{
    return scarce_failures() > 0;
}

/* --- scenarios --------------------------------------------------------------------------- */

static void sessions_over_a_socket_pair(void)
{
    if (open_ends(WIRE_SOCKET, NULL)) {
        close_ends();
    }
}

static void sessions_in_memory(void)
{
    if (open_ends(WIRE_MEMORY, NULL)) {
        (void)exchange(5000, 1000);
        close_ends();
    }
}

static void sessions_that_dialled(void)
{
    int listener, fds[2] = {-1, -1};
    char address[64];

    ck_assert_int_eq(smux_listen("0", &listener), SMUX_OK);
    ck_assert_int_eq(smux_socket_address(listener, false, address, sizeof address), SMUX_OK);
    bool connected =
        fine(smux_dial(address, 1000, &fds[0])) && fine(smux_accept_fd(listener, 1000, &fds[1]));
    ends.client = ends.server = NULL;
    if (connected && !fine(smux_client(fds[0], NULL, &ends.client))) {
        close(fds[0]);
    }
    if (connected && !fine(smux_server(fds[1], NULL, &ends.server))) {
        close(fds[1]);
    }
    if (ends.client != NULL && ends.server != NULL) {
        (void)exchange(100, 100);
    }
    close_ends();
    close(listener);
}

static void one_small_exchange(void)
{
    if (open_ends(WIRE_TCP, NULL)) {
        (void)exchange(100, 10);
        close_ends();
    }
}

static void version_1(void)
{
    struct smux_config config;

    smux_config_init(&config);
    config.fin_linger_ms = 5;
    if (open_ends(WIRE_SOCKET, &config)) {
        (void)exchange(50000, 3000);
        close_ends();
    }
}

static void version_2(void)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = 2;
    config.fin_linger_ms = 5;
    if (open_ends(WIRE_SOCKET, &config)) {
        (void)exchange(50000, 3000);
        close_ends();
    }
}

static void large_writes_that_lend(void)
{
    if (open_ends(WIRE_SOCKET, NULL)) {
        (void)exchange(700000, 700000);
        close_ends();
    }
}

static void several_exchanges_in_a_row(void)
{
    if (open_ends(WIRE_SOCKET, NULL)) {
        for (int i = 0; i < 4 && smux_session_error(ends.client) == SMUX_OK; i++) {
            (void)exchange(4000, 4000);
        }
        close_ends();
    }
}

static void twenty_streams_opened(void)
{
    smux_stream *streams[20];

    if (!open_ends(WIRE_SOCKET, NULL)) {
        return;
    }
    for (int i = 0; i < 20; i++) {
        streams[i] = open_stream();
        if (streams[i] != NULL) {
            (void)fine(smux_stream_write(streams[i], "abc", 3, NULL));
        }
    }
    for (int i = 0; i < 20; i++) {
        if (streams[i] != NULL) {
            smux_stream_close(streams[i]);
        }
    }
    abort_ends();
}

static void a_session_closed_before_its_streams(void)
{
    smux_stream *stream;

    if (!open_ends(WIRE_SOCKET, NULL)) {
        return;
    }
    stream = open_stream();
    if (stream != NULL) {
        (void)fine(smux_stream_write(stream, "abc", 3, NULL));
    }
    abort_ends();
    if (stream != NULL) {
        smux_stream_close(stream);
    }
}

static void a_write_cut_by_its_deadline(void)
{
    size_t written = 0;
    smux_stream *stream;

    if (!open_ends(WIRE_SOCKET, NULL)) {
        return;
    }
    stream = open_stream();
    if (stream != NULL) {
        uint8_t *buf = calloc(1, 16 << 20);
        smux_stream_set_write_deadline(stream, in_ms(5));
        int status = smux_stream_write(stream, buf, 16 << 20, &written);
        ck_assert(scarce_failures() > 0 || (status != SMUX_OK && written < 16 << 20));
        free(buf); /* whoever still refers to it meets a sanitizer */
        smux_stream_close(stream);
    }
    abort_ends();
}

static void read_until_told(void *arg)
{
    char byte;
    size_t n;

    /* A stream that is refused for want of memory ends without data [OPN-4]. */
    ck_assert(smux_stream_read(arg, &byte, 1, &n) != SMUX_EOF || scarce_failures() > 0);
}

static void an_abort_with_a_blocked_reader(void)
{
    struct task reader;
    smux_stream *stream;

    if (!open_ends(WIRE_SOCKET, NULL)) {
        return;
    }
    stream = open_stream();
    if (stream != NULL) {
        task_start(&reader, read_until_told, stream);
        sleep_ms(1);
        smux_stream_abort(stream);
        task_join(&reader);
        smux_stream_close(stream);
    }
    abort_ends();
}

static int take(void *arg, const void *data, size_t len)
{
    size_t *total = arg;

    ck_assert_uint_eq(flow_check(3, *total, data, len), len);
    *total += len;
    return SMUX_OK;
}

static void copy_all(void *arg)
{
    smux_stream *stream;
    size_t total = 0;

    smux_session_set_accept_deadline(ends.server, in_ms(patience_ms));
    if (!fine(smux_session_accept(ends.server, &stream))) {
        return;
    }
    smux_stream_set_deadline(stream, in_ms(patience_ms));
    if (fine(smux_stream_copy_to(stream, take, &total, NULL))) {
        ck_assert(total == *(size_t *)arg || scarce_failures() > 0);
    }
    smux_stream_close(stream);
}

static void vectors_written_and_copied_to_a_sink(void)
{
    size_t len = 30000;
    struct task reader;
    uint8_t buf[30000];
    struct smux_iov iov[3] = {{buf, 7}, {buf + 7, 20000}, {buf + 20007, 9993}};
    smux_stream *stream;

    if (!open_ends(WIRE_SOCKET, NULL)) {
        return;
    }
    flow_fill(3, 0, buf, sizeof buf);
    task_start(&reader, copy_all, &len);
    stream = open_stream();
    if (stream != NULL && fine(smux_stream_writev(stream, iov, 3, NULL))) {
        (void)fine(smux_stream_shutdown(stream));
    }
    if (stream != NULL) {
        smux_stream_close(stream);
    }
    if (scarce_failures() > 0) {
        smux_session_abort(ends.client);
    }
    task_join(&reader);
    close_ends();
}

/* --- the table --------------------------------------------------------------------------- */

static const struct scenario {
    const char *name;
    void (*play)(void);
} scenarios[] = {
    {"sessions over a socket pair", sessions_over_a_socket_pair},
    {"sessions in memory", sessions_in_memory},
    {"sessions that dialled", sessions_that_dialled},
    {"one small exchange", one_small_exchange},
    {"version 1", version_1},
    {"version 2", version_2},
    {"large writes that lend", large_writes_that_lend},
    {"several exchanges in a row", several_exchanges_in_a_row},
    {"twenty streams opened", twenty_streams_opened},
    {"a session closed before its streams", a_session_closed_before_its_streams},
    {"a write cut by its deadline", a_write_cut_by_its_deadline},
    {"an abort with a blocked reader", an_abort_with_a_blocked_reader},
    {"vectors written and copied to a sink", vectors_written_and_copied_to_a_sink},
};
#define N_SCENARIOS ((int)(sizeof scenarios / sizeof scenarios[0]))

/* The background thread may still be on its way out. */
static bool nothing_is_left(void *arg)
{
    return scarce_live() == 0 && faults_open_fds() == *(unsigned *)arg;
}

/* The n-th allocation fails; 0 for none. Returns whether there was one. */
static bool play(const void *arg, unsigned n, bool on)
{
    const struct scenario *scenario = arg;
    unsigned fds = faults_open_fds();

    exchange_begin(n == 0 ? 5000 : PATIENCE_MS, was_scarce);
    scarce_begin(n, on);
    scenario->play();
    ck_assert_msg(await(nothing_is_left, &fds), "%s, %u: %zu blocks, %u descriptors stay",
                  scenario->name, n, scarce_live(), faults_open_fds() - fds);
    return scarce_end() > 0;
}

START_TEST(K1_every_allocation_fails)
{
    const struct scenario *scenario = &scenarios[_i];

    starve(play, scenario, scenario->name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("starved sessions");
    TCase *tc = tcase_create("starved sessions");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, K1_every_allocation_fails, 0, N_SCENARIOS);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
