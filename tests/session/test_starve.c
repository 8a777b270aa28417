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
#include "ends.h"
#include "faults.h"
#include "flow.h"
#include "scarce.h"
#include "starve.h"
#include "suite.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long calls wait: with a failure planned, only until the scenario gives up. */
#define PATIENCE_MS 50
static unsigned patience_ms;
static struct ends ends;
static atomic_bool far_failed; /* the server's end of a stream told of an error */
static atomic_bool gave_up;    /* somebody on a busy machine, which the others meet as any error */

/* Tells whether something went wrong that explains errors: an allocation, or a busy machine. */
static bool excused(int status)
{
    if (status == SMUX_EDEADLINE && patience_ms == PATIENCE_MS) {
        atomic_store(&gave_up, true);
    }
    return scarce_failures() > 0 || atomic_load(&gave_up);
}

/* Says whether a call succeeded. */
static bool fine(int status)
{
    ck_assert_msg(status == SMUX_OK || excused(status), "%s", smux_strerror(status));
    return status == SMUX_OK;
}

/* --- ends -------------------------------------------------------------------------------- */

static bool make_transport(int fd, struct smux_transport *out)
{
    if (!fine(smux_transport_fd(fd, fd, out))) {
        close(fd);
        out->ops = NULL;
        return false;
    }
    return true;
}

static bool make_wire(enum wire wire, struct smux_transport out[2])
{
    int fds[2];

    out[0].ops = out[1].ops = NULL;
    if (wire == WIRE_MEMORY) {
        return fine(smux_transport_pair(65536, out));
    }
    if (wire == WIRE_TCP) {
        wire_tcp(fds);
    } else {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    }
    bool first = make_transport(fds[0], &out[0]);
    bool second = make_transport(fds[1], &out[1]);
    return first && second;
}

static smux_session *make_session(enum smux_role role, struct smux_transport *transport,
                                  const struct smux_config *config)
{
    smux_session *session = NULL;

    if (transport->ops != NULL && !fine(smux_session_new(role, transport, config, &session))) {
        smux_transport_close(transport);
    }
    return session;
}

/* In order, if nothing went wrong. */
static void close_end(smux_session *session)
{
    if (session != NULL && scarce_failures() > 0) {
        smux_session_abort(session);
    }
    if (session != NULL) {
        int status = smux_session_close(session);
        ck_assert(status == SMUX_OK || patience_ms == PATIENCE_MS);
    }
}

static void close_ends(void)
{
    close_end(ends.client);
    close_end(ends.server);
}

static void abort_ends(void)
{
    smux_session_abort(ends.client);
    smux_session_abort(ends.server);
    (void)smux_session_close(ends.client);
    (void)smux_session_close(ends.server);
}

static bool open_ends(enum wire wire, const struct smux_config *config)
{
    struct smux_config own;
    struct smux_transport transports[2];

    smux_config_init(&own);
    own.fin_linger_ms = 5;
    own.drain_timeout_ms = 200;
    own = config != NULL ? *config : own;
    (void)make_wire(wire, transports);
    ends.client = make_session(SMUX_CLIENT, &transports[0], &own);
    ends.server = make_session(SMUX_SERVER, &transports[1], &own);
    if (ends.client != NULL && ends.server != NULL) {
        return true;
    }
    close_ends();
    return false;
}

/* --- streams ----------------------------------------------------------------------------- */

static smux_stream *open_stream(void)
{
    smux_stream *stream;

    if (!fine(smux_session_open(ends.client, &stream))) {
        return NULL;
    }
    smux_stream_set_deadline(stream, in_ms(patience_ms));
    return stream;
}

static bool write_flow(smux_stream *stream, size_t len, size_t piece)
{
    uint8_t *buf = malloc(piece);
    size_t written = 0;
    bool good = true;

    for (size_t done = 0; done < len && good; done += written) {
        size_t n = len - done < piece ? len - done : piece;
        flow_fill(3, done, buf, n);
        good = fine(smux_stream_write(stream, buf, n, &written));
    }
    free(buf);
    return good;
}

/* Reads to the end and compares; returns how many bytes came, and how it ended. */
static size_t read_flow(smux_stream *stream, int *out_status)
{
    uint8_t buf[8000];
    size_t total = 0;
    size_t n;

    while ((*out_status = smux_stream_read(stream, buf, sizeof buf, &n)) == SMUX_OK) {
        ck_assert_uint_eq(flow_check(3, total, buf, n), n);
        total += n;
    }
    ck_assert_msg(*out_status == SMUX_EOF || excused(*out_status), "%s",
                  smux_strerror(*out_status));
    return total;
}

/* The server's thread: sends everything back. */
static void echo_one(void *arg)
{
    smux_stream *stream;
    uint8_t buf[8000];
    size_t n;
    int status;

    (void)arg;
    smux_session_set_accept_deadline(ends.server, in_ms(patience_ms));
    if (!fine(smux_session_accept(ends.server, &stream))) {
        atomic_store(&far_failed, true);
        return;
    }
    smux_stream_set_deadline(stream, in_ms(patience_ms));
    while ((status = smux_stream_read(stream, buf, sizeof buf, &n)) == SMUX_OK) {
        status = smux_stream_write(stream, buf, n, NULL);
        if (status != SMUX_OK) {
            break;
        }
    }
    if (status != SMUX_EOF || smux_stream_shutdown(stream) != SMUX_OK) {
        (void)fine(status == SMUX_EOF ? SMUX_EIO : status);
        atomic_store(&far_failed, true);
        smux_stream_abort(stream);
    }
    smux_stream_close(stream);
}

/* Sends `len` bytes through a stream and back. */
static void exchange(size_t len, size_t piece)
{
    struct task echo;
    int status = SMUX_OK;

    atomic_store(&far_failed, false);
    task_start(&echo, echo_one, NULL);
    smux_stream *stream = open_stream();
    size_t got = 0;
    bool written = stream != NULL && write_flow(stream, len, piece);
    if (written && fine(smux_stream_shutdown(stream))) {
        got = read_flow(stream, &status);
    } else {
        smux_session_abort(ends.client); /* lets the other side go */
    }
    task_join(&echo);
    ck_assert_msg(status != SMUX_EOF || got == len || atomic_load(&far_failed),
                  "%zu bytes of %zu look like all", got, len);
    if (stream != NULL) {
        smux_stream_close(stream);
    }
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
        exchange(5000, 1000);
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
        exchange(100, 100);
    }
    close_ends();
    close(listener);
}

static void one_small_exchange(void)
{
    if (open_ends(WIRE_TCP, NULL)) {
        exchange(100, 10);
        close_ends();
    }
}

static void version_1(void)
{
    struct smux_config config;

    smux_config_init(&config);
    config.fin_linger_ms = 5;
    if (open_ends(WIRE_SOCKET, &config)) {
        exchange(50000, 3000);
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
        exchange(50000, 3000);
        close_ends();
    }
}

static void large_writes_that_lend(void)
{
    if (open_ends(WIRE_SOCKET, NULL)) {
        exchange(700000, 700000);
        close_ends();
    }
}

static void several_exchanges_in_a_row(void)
{
    if (open_ends(WIRE_SOCKET, NULL)) {
        for (int i = 0; i < 4 && smux_session_error(ends.client) == SMUX_OK; i++) {
            exchange(4000, 4000);
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

    ck_assert_int_ne(smux_stream_read(arg, &byte, 1, &n), SMUX_EOF);
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

    patience_ms = n == 0 ? 5000 : PATIENCE_MS;
    atomic_store(&gave_up, false);
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
