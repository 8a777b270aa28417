/*
 * Connections in a libuv loop.
 *
 * ctest-timeout: 60
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "frames.h"
#include "heap.h"
#include "suite.h"

#include <smux/uv.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uv_loop_t loop;
static struct end caller;
static struct end echo;
static struct heap heap;
static struct smux_config config;

static void setup(void)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    heap_init(&heap);
    smux_config_init(&config);
    config.allocator = &heap.allocator;
    config.fin_linger_ms = 5;
}

/** Frees the ends. The loop must come to its end then, with every handle closed. */
static void teardown(void)
{
    end_free(&caller);
    end_free(&echo);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_uint_eq(heap.now, 0);
}

static void connect_ends(enum link link, uint32_t version)
{
    struct smux_transport transports[2];

    config.version = version;
    link_make(link, transports);
    ck_assert_int_eq(end_init_caller(&caller, SMUX_CLIENT, &transports[0], &config), SMUX_OK);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transports[1], &config), SMUX_OK);
    ck_assert_int_eq(smux_uv_attach(caller.conn, &loop), SMUX_OK);
    ck_assert_int_eq(smux_uv_attach(echo.conn, &loop), SMUX_OK);
}

static int connect_raw(struct end *end, enum smux_role role)
{
    int fds[2];
    struct smux_transport transport;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(end_init_echo(end, role, &transport, &config), SMUX_OK);
    ck_assert_int_eq(smux_uv_attach(end->conn, &loop), SMUX_OK);
    return fds[1];
}

/** Runs the loop until a condition holds; Check's time limit ends a test that hangs. */
#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            ck_assert_msg(uv_run(&loop, UV_RUN_ONCE) != 0 || (condition),                          \
                          "nothing left to wait for: %s", #condition);                             \
        }                                                                                          \
    } while (0)

#define ALL_LINKS     (2 * LINK_KINDS)
#define LINK_OF(i)    ((enum link)((i) / 2))
#define VERSION_OF(i) ((uint32_t)((i) % 2 + 1))

START_TEST(echo_returns_every_byte_in_order)
{
    connect_ends(LINK_OF(_i), VERSION_OF(_i));
    for (unsigned i = 0; i < 20; i++) {
        caller.to_send = 100000;
        ck_assert_int_eq(end_call(&caller), SMUX_OK);
    }
    RUN_UNTIL(caller.complete + caller.failed == 20);
    ck_assert(!caller.wrong && caller.cut == 0);
    ck_assert_uint_eq(caller.complete, 20);
    ck_assert_uint_eq(caller.received, 2000000);
    RUN_UNTIL(echo.complete == 20);
}
END_TEST

START_TEST(END_4_drain_delivers_everything_and_ends_the_loop)
{
    connect_ends(LINK_OF(_i), VERSION_OF(_i));
    caller.to_send = 200000;
    ck_assert_int_eq(end_call(&caller), SMUX_OK);
    smux_conn_drain(caller.conn);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert_int_eq(caller.status, SMUX_ECLOSED);
    ck_assert_uint_eq(echo.received, 200000);
    ck_assert_int_ne(echo.status, SMUX_OK);
}
END_TEST

static void count_turn(uv_prepare_t *handle)
{
    unsigned *turns = handle->data;

    (*turns)++;
}

static void stop_loop(uv_timer_t *handle)
{
    uv_stop(handle->loop);
}

/** Counts the turns of the loop during 200 ms. */
static unsigned turns_in_a_while(void)
{
    unsigned turns = 0;
    uv_prepare_t prepare;
    uv_timer_t timer;

    uv_prepare_init(&loop, &prepare);
    prepare.data = &turns;
    uv_prepare_start(&prepare, count_turn);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, stop_loop, 200, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    return turns;
}

START_TEST(an_idle_connection_does_not_wake_the_loop)
{
    connect_ends(LINK_OF(_i), VERSION_OF(_i));
    caller.to_send = 1000;
    ck_assert_int_eq(end_call(&caller), SMUX_OK);
    RUN_UNTIL(caller.complete == 1 && echo.complete == 1);
    ck_assert_uint_le(turns_in_a_while(), 10);
}
END_TEST

START_TEST(END_3_a_peer_that_vanishes_ends_the_session)
{
    int raw = connect_raw(&echo, SMUX_SERVER);

    close(raw);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_int_eq(echo.status, SMUX_EOF);
}
END_TEST

/** Makes two connected TCP sockets. */
static void tcp_pair(int out_fds[2])
{
    char address[64];
    int listener;

    ck_assert_int_eq(smux_listen("0", &listener), SMUX_OK);
    ck_assert_int_eq(smux_socket_address(listener, false, address, sizeof address), SMUX_OK);
    ck_assert_int_eq(smux_dial(address, 2000, &out_fds[0]), SMUX_OK);
    ck_assert_int_eq(smux_accept_fd(listener, 2000, &out_fds[1]), SMUX_OK);
    close(listener);
}

START_TEST(a_reset_by_the_peer_ends_the_session)
{
    int fds[2];
    struct smux_transport transport;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    tcp_pair(fds);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transport, &config), SMUX_OK);
    ck_assert_int_eq(smux_uv_attach(echo.conn, &loop), SMUX_OK);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_int_eq(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(fds[1]);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_int_eq(echo.status, SMUX_EIO);
    ck_assert_str_eq(echo.text, "reading failed: Connection reset by peer");
}
END_TEST

/** Makes a version 1 session that a stream which nobody reads has filled; returns its peer. */
static int make_paused(const int fds[2], smux_conn **out_conn)
{
    static uint8_t bytes[FRAME_HEADER + 20 * FRAME_MAX];
    struct smux_transport transport;
    smux_engine *engine;
    smux_estream *stream;
    size_t len = put_syn(bytes, 1, 3);

    for (int i = 0; i < 20; i++) {
        len += put_header(bytes + len, 1, CMD_PSH, 1000, 3) + 1000;
    }
    config.max_receive_buffer = 16384;
    config.keepalive_interval_ms = SMUX_OFF;
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(smux_conn_new(SMUX_SERVER, &transport, &config, 0, NULL, NULL, out_conn),
                     SMUX_OK);
    engine = smux_conn_engine(*out_conn);
    ck_assert_int_eq(smux_uv_attach(*out_conn, &loop), SMUX_OK);
    ck_assert_int_eq(write(fds[1], bytes, len), (ssize_t)len);
    RUN_UNTIL(!smux_engine_wants_read(engine));
    ck_assert_int_eq(smux_engine_accept(engine, &stream), SMUX_OK);
    return fds[1];
}

/* The peer ends in order, or resets the connection. */
START_TEST(KA_5_a_paused_session_notices_that_its_peer_is_gone)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    smux_estream *stream;
    smux_conn *conn;
    int fds[2];
    int peer;

    tcp_pair(fds);
    peer = make_paused(fds, &conn);
    ck_assert_uint_le(turns_in_a_while(), 10);
    if (_i == 0) {
        ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    } else {
        ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
        close(peer);
    }
    ck_assert_uint_le(turns_in_a_while(), 10);
    ck_assert_int_eq(smux_engine_open(smux_conn_engine(conn), &stream), SMUX_EGOAWAY);
    ck_assert_int_eq(smux_engine_error(smux_conn_engine(conn)), SMUX_OK);
    smux_conn_free(conn);
    if (_i == 0) {
        close(peer);
    }
}
END_TEST

START_TEST(END_2_a_peer_that_does_not_speak_smux_is_told_to_go)
{
    char buf[64];
    int raw = connect_raw(&echo, SMUX_SERVER);

    ck_assert_int_eq(write(raw, "SSH-2.0-OpenSSH_9\r\n", 19), 19);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_int_eq(echo.status, SMUX_EPROTO);
    ck_assert_int_le(read(raw, buf, sizeof buf), 0);
    close(raw);
}
END_TEST

START_TEST(a_regular_file_is_refused)
{
    FILE *file = tmpfile();
    int fds[2];
    struct smux_transport transport;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(smux_transport_fd(dup(fileno(file)), fds[1], &transport), SMUX_OK);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transport, &config), SMUX_OK);
    ck_assert_int_eq(smux_uv_attach(echo.conn, &loop), SMUX_EIO);
    close(fds[0]);
    (void)fclose(file);
}
END_TEST

static void free_it(smux_conn *conn, void *user)
{
    unsigned *frees = user;

    (*frees)++;
    smux_conn_free(conn);
}

START_TEST(an_event_may_free_its_connection)
{
    unsigned frees = 0;
    uint8_t nop[16];
    int fds[2];
    struct smux_transport transport;
    smux_conn *conn;
    struct smux_conn_events events = {.ready = _i == 0 ? free_it : NULL,
                                      .closed = _i == 0 ? NULL : free_it};

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(smux_conn_new(SMUX_SERVER, &transport, &config, 0, &events, &frees, &conn),
                     SMUX_OK);
    ck_assert_int_eq(smux_uv_attach(conn, &loop), SMUX_OK);
    (void)put_nop(nop, 1);
    ck_assert_int_eq(write(fds[1], nop, FRAME_HEADER), FRAME_HEADER);
    close(fds[1]);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert_uint_eq(frees, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uv");
    TCase *tc = tcase_create("uv");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 10);
    tcase_add_loop_test(tc, echo_returns_every_byte_in_order, 0, ALL_LINKS);
    tcase_add_loop_test(tc, END_4_drain_delivers_everything_and_ends_the_loop, 0, ALL_LINKS);
    tcase_add_loop_test(tc, an_idle_connection_does_not_wake_the_loop, 0, 2);
    tcase_add_test(tc, END_3_a_peer_that_vanishes_ends_the_session);
    tcase_add_test(tc, a_reset_by_the_peer_ends_the_session);
    tcase_add_loop_test(tc, KA_5_a_paused_session_notices_that_its_peer_is_gone, 0, 2);
    tcase_add_test(tc, END_2_a_peer_that_does_not_speak_smux_is_told_to_go);
    tcase_add_test(tc, a_regular_file_is_refused);
    tcase_add_loop_test(tc, an_event_may_free_its_connection, 0, 2);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
