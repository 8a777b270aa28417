/*
 * Connections in the poll loop: data, half-close, drain, peers that vanish or talk nonsense.
 *
 * ctest-timeout: 60
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "frames.h"
#include "heap.h"
#include "suite.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static smux_poll *loop;
static struct end caller;
static struct end echo;
static struct heap heap;
static struct smux_config config;

static void setup(void)
{
    ck_assert_int_eq(smux_poll_new(&loop), SMUX_OK);
    heap_init(&heap);
    smux_config_init(&config);
    config.allocator = &heap.allocator;
    config.fin_linger_ms = 5; /* so that the tests are quick */
}

static void teardown(void)
{
    end_free(&caller);
    end_free(&echo);
    smux_poll_free(loop);
    ck_assert_uint_eq(heap.now, 0);
}

/** Connects a caller and an echo end over one kind of link, with one version. */
static void connect_ends(enum link link, uint32_t version)
{
    struct smux_transport transports[2];

    config.version = version;
    link_make(link, transports);
    ck_assert_int_eq(end_init_caller(&caller, SMUX_CLIENT, &transports[0], &config), SMUX_OK);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transports[1], &config), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, caller.conn), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, echo.conn), SMUX_OK);
}

/** Makes an end of a role whose peer is the returned descriptor. */
static int connect_raw(struct end *end, enum smux_role role)
{
    int fds[2];
    struct smux_transport transport;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(end_init_echo(end, role, &transport, &config), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, end->conn), SMUX_OK);
    return fds[1];
}

/** Runs the loop until a condition holds; a test that hangs ends with a message. */
#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        uint64_t until_us = smux_now_us() + 5000000;                                               \
        while (!(condition)) {                                                                     \
            ck_assert_msg(smux_now_us() < until_us, "never happened: %s", #condition);             \
            (void)smux_poll_run_once(loop, until_us);                                              \
        }                                                                                          \
    } while (0)

/** Runs the loop for some time; returns how often it woke up. */
static unsigned run_for(uint64_t us)
{
    uint64_t until_us = smux_now_us() + us;
    unsigned n = 0;

    while (smux_now_us() < until_us) {
        n += smux_poll_run_once(loop, until_us) == SMUX_OK ? 1 : 0;
    }
    return n;
}

/* Loop tests over all links and both versions. */
#define ALL_LINKS     (2 * LINK_KINDS)
#define LINK_OF(i)    ((enum link)((i) / 2))
#define VERSION_OF(i) ((uint32_t)((i) % 2 + 1))

/* --- data ---------------------------------------------------------------------------------- */

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

START_TEST(a_stream_without_data_ends_in_order)
{
    connect_ends(LINK_OF(_i), VERSION_OF(_i));
    caller.to_send = 0;
    ck_assert_int_eq(end_call(&caller), SMUX_OK);
    RUN_UNTIL(caller.complete == 1 && echo.complete == 1);
}
END_TEST

START_TEST(an_idle_connection_does_not_wake_the_loop)
{
    connect_ends(LINK_OF(_i), VERSION_OF(_i));
    caller.to_send = 1000;
    ck_assert_int_eq(end_call(&caller), SMUX_OK);
    RUN_UNTIL(caller.complete == 1);
    (void)run_for(50000); /* timers of the stream */
    ck_assert_uint_le(run_for(200000), 1);
}
END_TEST

/** A server that finds these bytes in its transport; returns the other end of that. */
static struct smux_transport served_bytes(void *bytes, size_t len)
{
    struct smux_iov iov = {bytes, len};
    struct smux_transport ends[2];
    size_t taken = 0;

    ck_assert_int_eq(smux_transport_pair(len, ends), SMUX_OK);
    ck_assert_int_eq(ends[1].ops->writev(ends[1].ctx, &iov, 1, &taken), SMUX_OK);
    ck_assert_uint_eq(taken, len);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &ends[0], &config), SMUX_OK);
    return ends[1];
}

START_TEST(L23_one_turn_receives_a_bounded_amount)
{
    static uint8_t frames[400000];
    static const uint8_t payload[992];
    struct smux_session_stats stats;
    size_t len = 0;

    while (len < sizeof frames) { /* each with its header is 1000 bytes */
        len += put_psh(frames + len, 1, 2, payload, sizeof payload);
    }
    struct smux_transport far = served_bytes(frames, len);
    smux_conn_on_readable(echo.conn);
    smux_engine_stats(smux_conn_engine(echo.conn), &stats);
    ck_assert_uint_ge(stats.wire_in, 128 * 1024);
    ck_assert_uint_lt(stats.wire_in, 256 * 1024);
    smux_transport_close(&far);
}
END_TEST

START_TEST(L23_one_turn_decodes_a_bounded_number_of_frames)
{
    enum {
        TURN_FRAMES = 1024
    };
    static uint8_t frames[256 * 1024];
    struct smux_session_stats stats;
    size_t len = 0;

    while (len < sizeof frames) {
        len += put_header(frames + len, 1, CMD_FIN, 0, 2);
    }
    struct smux_transport far = served_bytes(frames, len);
    smux_conn_on_readable(echo.conn);
    smux_engine_stats(smux_conn_engine(echo.conn), &stats);
    uint64_t first = stats.frames_in.fin;
    ck_assert_uint_ge(first, TURN_FRAMES);
    ck_assert_uint_lt(first, TURN_FRAMES + 65536 / 8); /* what one read may bring */
    smux_conn_on_readable(echo.conn);                  /* which asks for less, from now on */
    smux_engine_stats(smux_conn_engine(echo.conn), &stats);
    ck_assert_uint_ge(stats.frames_in.fin, first + TURN_FRAMES);
    ck_assert_uint_lt(stats.frames_in.fin, first + 2 * TURN_FRAMES);
    smux_transport_close(&far);
}
END_TEST

START_TEST(L23_a_flood_between_large_frames_is_bounded_too)
{
    enum {
        TURN_FRAMES = 1024,
        LARGE = 992, /* of payload: not so much that it gets a read of its own */
        LARGE_BYTES = 32 * 1024,
        FLOOD_BYTES = 128 * 1024,
        CYCLES = 4
    };
    static uint8_t bytes[CYCLES * (LARGE_BYTES + FLOOD_BYTES)];
    static const uint8_t payload[LARGE];
    struct smux_session_stats stats = {.wire_in = 0};
    size_t all = 0;

    for (size_t cycle = 1; cycle <= CYCLES; cycle++) {
        size_t end = cycle * sizeof bytes / CYCLES;
        while (all + LARGE_BYTES < end) {
            all += put_header(bytes + all, 1, CMD_FIN, 0, 2);
        }
        while (all + LARGE + FRAME_HEADER <= end) {
            all += put_psh(bytes + all, 1, 2, payload, sizeof payload);
        }
    }
    struct smux_transport far = served_bytes(bytes, all);
    while (stats.wire_in < all) {
        uint64_t before = stats.frames_in.fin;
        smux_conn_on_readable(echo.conn);
        smux_engine_stats(smux_conn_engine(echo.conn), &stats);
        ck_assert_uint_le(stats.frames_in.fin - before, 3 * TURN_FRAMES);
    }
    smux_transport_close(&far);
}
END_TEST

/** Several large frames that come with one read are no reason to stop before the turn is over. */
START_TEST(L23_one_turn_receives_as_much_of_large_frames)
{
    static uint8_t frames[400000];
    static const uint8_t payload[5000];
    struct smux_session_stats stats;
    size_t len = put_header(frames, 1, CMD_SYN, 0, 3);

    while (len + sizeof payload + FRAME_HEADER <= sizeof frames) {
        len += put_psh(frames + len, 1, 3, payload, sizeof payload);
    }
    struct smux_transport far = served_bytes(frames, len);
    smux_conn_on_readable(echo.conn);
    smux_engine_stats(smux_conn_engine(echo.conn), &stats);
    ck_assert_uint_ge(stats.wire_in, 128 * 1024);
    ck_assert_uint_lt(stats.wire_in, 256 * 1024);
    smux_transport_close(&far);
}
END_TEST

/** As above, with frames that are so large that several are expected to come with a read. */
START_TEST(L23_a_flood_instead_of_large_frames_is_bounded_too)
{
    enum {
        TURN_FRAMES = 1024,
        LARGE = 4096,
        NUM_LARGE = 40,
        FLOOD_BYTES = 160 * 1024,
        CYCLES = 6
    };
    static uint8_t
        bytes[FRAME_HEADER + CYCLES * (NUM_LARGE * (FRAME_HEADER + LARGE) + FLOOD_BYTES)];
    static const uint8_t payload[LARGE];
    struct smux_session_stats stats = {.wire_in = 0};
    size_t all = put_header(bytes, 1, CMD_SYN, 0, 3);

    for (size_t cycle = 0; cycle < CYCLES; cycle++) {
        for (int i = 0; i < NUM_LARGE; i++) {
            all += put_psh(bytes + all, 1, 3, payload, sizeof payload);
        }
        for (int i = 0; i < FLOOD_BYTES / FRAME_HEADER; i++) {
            all += put_header(bytes + all, 1, CMD_FIN, 0, 2);
        }
    }
    struct smux_transport far = served_bytes(bytes, all);
    while (stats.wire_in < all) {
        uint64_t before = stats.frames_in.fin;
        smux_conn_on_readable(echo.conn);
        smux_engine_stats(smux_conn_engine(echo.conn), &stats);
        ck_assert_uint_le(stats.frames_in.fin - before, 4 * TURN_FRAMES);
    }
    smux_transport_close(&far);
}
END_TEST

/** An owner that notices being told, and nothing else. */
static void count_turns(smux_conn *conn, void *user)
{
    unsigned *turns = user;

    (void)conn;
    ++*turns;
}

static uint64_t frames_in(smux_conn *conn)
{
    struct smux_session_stats stats;

    smux_engine_stats(smux_conn_engine(conn), &stats);
    return stats.frames_in.psh;
}

/** Reads outside of a turn; returns whether that let frames in of which no input will tell. */
static bool read_lets_frames_in(smux_conn *conn, smux_estream *stream)
{
    char buf[900];
    size_t n;
    uint64_t before = frames_in(conn);

    ck_assert_int_eq(smux_estream_read(smux_conn_engine(conn), stream, buf, sizeof buf, &n),
                     SMUX_OK);
    return frames_in(conn) > before && !smux_engine_wants_read(smux_conn_engine(conn));
}

START_TEST(BKT_4_owner_is_told_of_frames_that_its_reading_lets_in)
{
    const struct smux_conn_events events = {.ready = count_turns};
    static uint8_t bytes[FRAME_MAX];
    struct smux_transport transport;
    smux_estream *stream;
    smux_conn *conn;
    unsigned turns = 0;
    size_t len = put_syn(bytes, 1, 3);
    int fds[2];

    for (int i = 0; i < 60; i++) {
        len += put_header(bytes + len, 1, CMD_PSH, 1000, 3) + 1000;
    }
    config.max_receive_buffer = 16384;
    config.max_stream_buffer = 8192;
    config.keepalive_interval_ms = SMUX_OFF;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(smux_conn_new(SMUX_SERVER, &transport, &config, 0, &events, &turns, &conn),
                     SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, conn), SMUX_OK);
    ck_assert_int_eq(write(fds[1], bytes, len), (ssize_t)len);
    run_for(10000);
    ck_assert_int_eq(smux_engine_accept(smux_conn_engine(conn), &stream), SMUX_OK);
    while (!read_lets_frames_in(conn, stream)) {
        smux_conn_flush(conn);
        run_for(1000);
    }
    turns = 0;
    smux_conn_flush(conn);
    run_for(10000);
    ck_assert_uint_gt(turns, 0);
    smux_conn_free(conn);
    close(fds[1]);
}
END_TEST

/* --- ends in order ------------------------------------------------------------------------- */

START_TEST(END_4_drain_delivers_everything_first)
{
    connect_ends(LINK_OF(_i), VERSION_OF(_i));
    caller.to_send = 200000;
    ck_assert_int_eq(end_call(&caller), SMUX_OK);
    smux_conn_drain(caller.conn);
    RUN_UNTIL(caller.status != SMUX_OK && echo.status != SMUX_OK);
    ck_assert_int_eq(caller.status, SMUX_ECLOSED);
    ck_assert_str_eq(caller.text, "closed on this side");
    ck_assert_uint_eq(echo.received, 200000);
    ck_assert(!caller.wrong && caller.cut == 0);
}
END_TEST

START_TEST(END_4_drain_of_an_unused_connection_is_quick)
{
    uint64_t begin_us = smux_now_us();

    connect_ends(LINK_OF(_i), VERSION_OF(_i));
    smux_conn_drain(caller.conn);
    RUN_UNTIL(caller.status != SMUX_OK && echo.status != SMUX_OK);
    ck_assert_int_eq(caller.status, SMUX_ECLOSED);
    ck_assert_int_eq(echo.status, SMUX_EOF);
    ck_assert_uint_lt(smux_now_us() - begin_us, 1000000);
}
END_TEST

START_TEST(L22_drain_waits_no_longer_than_its_limit)
{
    config.drain_timeout_ms = 50;
    int raw = connect_raw(&echo, SMUX_SERVER); /* a peer that never closes */
    uint64_t begin_us = smux_now_us();

    smux_conn_drain(echo.conn);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_int_eq(echo.status, SMUX_ECLOSED);
    ck_assert_str_eq(echo.text, "closed on this side; the peer did not close");
    ck_assert_uint_ge(smux_now_us() - begin_us, 50000);
    close(raw);
}
END_TEST

/** Shows signs of life until an end has closed; everything but these is dropped. */
static void chat(struct end *end, int raw)
{
    uint8_t nop[FRAME_HEADER];

    while (end->status == SMUX_OK) {
        (void)send(raw, nop, put_nop(nop, 1), MSG_NOSIGNAL);
        (void)smux_poll_run_once(loop, smux_now_us() + 10000);
    }
}

START_TEST(END_4_keepalive_does_not_disturb_a_drain)
{
    config.keepalive_mode = SMUX_KEEPALIVE_ALWAYS;
    config.keepalive_interval_ms = 20;
    config.keepalive_timeout_ms = 40;
    config.drain_timeout_ms = 200;
    int raw = connect_raw(&echo, SMUX_SERVER); /* a peer that lives and does not close */
    uint64_t begin_us = smux_now_us();

    smux_conn_drain(echo.conn);
    ck_assert_uint_le(run_for(100000), 5); /* nor does its time wake the loop */
    chat(&echo, raw);
    ck_assert_int_eq(echo.status, SMUX_ECLOSED);
    ck_assert_uint_ge(smux_now_us() - begin_us, 200000);
    close(raw);
}
END_TEST

START_TEST(END_4_drain_drops_what_still_arrives)
{
    char buf[64];
    static const char junk[100000];
    int raw = connect_raw(&echo, SMUX_SERVER);

    smux_conn_drain(echo.conn);
    while (read(raw, buf, sizeof buf) > 0) {
    }
    ck_assert_int_gt(send(raw, junk, sizeof junk, MSG_DONTWAIT), 0); /* not even smux */
    close(raw);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_int_eq(echo.status, SMUX_ECLOSED);
}
END_TEST

START_TEST(END_3_the_peers_end_without_streams_is_orderly)
{
    int raw = connect_raw(&echo, SMUX_SERVER);

    close(raw);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_int_eq(echo.status, SMUX_EOF);
}
END_TEST

/* --- ends out of order --------------------------------------------------------------------- */

START_TEST(END_3_a_peer_that_vanishes_cuts_its_streams)
{
    uint8_t buf[64];
    size_t len;
    int raw = connect_raw(&echo, SMUX_SERVER);

    len = put_syn(buf, 1, 3);
    len += put_psh(buf + len, 1, 3, "hello", 5);
    ck_assert_int_eq(write(raw, buf, len), (ssize_t)len);
    RUN_UNTIL(echo.received == 5);
    while (recv(raw, buf, sizeof buf, MSG_DONTWAIT) > 0) {
        /* unread bytes would turn the end into a reset */
    }
    close(raw);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_int_eq(echo.status, SMUX_ETRUNCATED);
    ck_assert_uint_eq(echo.failed, 1);
}
END_TEST

START_TEST(END_2_a_peer_that_does_not_speak_smux_is_told_to_go)
{
    char buf[64];
    int raw = connect_raw(&echo, SMUX_SERVER);

    ck_assert_int_eq(write(raw, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_int_eq(echo.status, SMUX_EPROTO);
    ck_assert_ptr_nonnull(strstr(echo.text, "HTTP"));
    ck_assert_int_le(read(raw, buf, sizeof buf), 0);
    close(raw);
}
END_TEST

START_TEST(END_2_complete_data_is_readable_after_a_failed_write)
{
    uint8_t buf[64];
    size_t len;
    int raw;

    /* The client's first NOP meets a peer that has sent a whole stream and gone. */
    int fds[2];
    struct smux_transport transport;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    raw = fds[1];
    len = put_syn(buf, 1, 2);
    len += put_psh(buf + len, 1, 2, "hello", 5);
    len += put_fin(buf + len, 1, 2);
    ck_assert_int_eq(write(raw, buf, len), (ssize_t)len);
    close(raw);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_CLIENT, &transport, &config), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, echo.conn), SMUX_OK);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_uint_eq(echo.accepted, 1);
    ck_assert_uint_eq(echo.received, 5);
    ck_assert_uint_eq(echo.complete, 1);
}
END_TEST

START_TEST(a_closed_connection_keeps_what_arrived_but_not_its_transport)
{
    char buf[8];
    int raw = connect_raw(&echo, SMUX_SERVER);

    echo.keep = true;
    ck_assert_ptr_nonnull(smux_conn_transport(echo.conn));
    ck_assert_int_eq(write(raw, "nonsense", 8), 8);
    RUN_UNTIL(echo.status != SMUX_OK);
    ck_assert_ptr_null(smux_conn_transport(echo.conn));
    ck_assert_int_le(read(raw, buf, sizeof buf), 0);
    smux_conn_flush(echo.conn);
    smux_conn_drain(echo.conn);
    smux_conn_on_timer(echo.conn);
    ck_assert_int_eq(smux_engine_error(smux_conn_engine(echo.conn)), SMUX_EPROTO);
    close(raw);
}
END_TEST

/* --- freeing at any time ------------------------------------------------------------------- */

static unsigned frees;

static void free_it(smux_conn *conn, void *user)
{
    (void)user;
    frees++;
    smux_conn_free(conn);
    smux_conn_flush(conn); /* still valid until the event returns */
}

START_TEST(an_event_may_free_its_connection)
{
    uint8_t buf[16];
    int fds[2];
    struct smux_transport transport;
    smux_conn *conn;
    struct smux_conn_events events = {.ready = _i == 0 ? free_it : NULL,
                                      .closed = _i == 0 ? NULL : free_it};

    frees = 0;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(smux_conn_new(SMUX_SERVER, &transport, &config, 0, &events, NULL, &conn),
                     SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, conn), SMUX_OK);
    (void)put_nop(buf, 1);
    ck_assert_int_eq(write(fds[1], buf, FRAME_HEADER), FRAME_HEADER);
    close(fds[1]);
    RUN_UNTIL(frees == 1);
    (void)run_for(1000);
    ck_assert_uint_eq(frees, 1);
}
END_TEST

static void free_the_other(smux_conn *conn, void *user)
{
    struct end *victim = user;

    (void)conn;
    end_free(victim);
}

START_TEST(an_event_may_free_another_connection)
{
    uint8_t nop[16];
    int fds[2];
    struct smux_transport transport;
    smux_conn *killer;
    struct smux_conn_events events = {.ready = free_the_other};
    int raw = -1;

    if (_i == 0) {
        raw = connect_raw(&echo, SMUX_SERVER); /* served before the killer */
    }
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(smux_conn_new(SMUX_SERVER, &transport, &config, 0, &events, &echo, &killer),
                     SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, killer), SMUX_OK);
    if (_i == 1) {
        raw = connect_raw(&echo, SMUX_SERVER); /* served after it */
    }
    (void)put_nop(nop, 1);
    ck_assert_int_eq(write(fds[1], nop, FRAME_HEADER), FRAME_HEADER);
    ck_assert_int_eq(write(raw, nop, FRAME_HEADER), FRAME_HEADER);
    RUN_UNTIL(echo.conn == NULL);
    (void)run_for(1000);
    smux_conn_free(killer);
    close(fds[1]);
    close(raw);
}
END_TEST

START_TEST(a_connection_can_be_freed_before_it_is_attached)
{
    struct smux_transport transports[2];

    link_make(LINK_PAIR, transports);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transports[0], &config), SMUX_OK);
    smux_transport_close(&transports[1]);
}
END_TEST

START_TEST(a_connection_that_cannot_be_made_leaves_the_transport)
{
    struct smux_transport transports[2];

    link_make(LINK_PAIR, transports);
    heap.fail_at = (uint64_t)_i + 1;
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transports[0], &config), SMUX_ENOMEM);
    config.version = 9;
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transports[0], &config), SMUX_ECONFIG);
    smux_conn *conn = (smux_conn *)(void *)&config;
    ck_assert_int_eq(smux_conn_new(SMUX_SERVER, &transports[0], &config, 0, NULL, NULL, &conn),
                     SMUX_ECONFIG);
    ck_assert_ptr_null(conn);
    smux_transport_close(&transports[0]);
    smux_transport_close(&transports[1]);
}
END_TEST

static TCase *make_case(const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 10);
    return tc;
}

static TCase *data_tests(void)
{
    TCase *tc = make_case("data");

    tcase_add_loop_test(tc, echo_returns_every_byte_in_order, 0, ALL_LINKS);
    tcase_add_loop_test(tc, a_stream_without_data_ends_in_order, 0, ALL_LINKS);
    tcase_add_loop_test(tc, an_idle_connection_does_not_wake_the_loop, 0, 2);
    tcase_add_test(tc, L23_one_turn_receives_a_bounded_amount);
    tcase_add_test(tc, L23_one_turn_receives_as_much_of_large_frames);
    tcase_add_test(tc, L23_a_flood_instead_of_large_frames_is_bounded_too);
    tcase_add_test(tc, L23_one_turn_decodes_a_bounded_number_of_frames);
    tcase_add_test(tc, L23_a_flood_between_large_frames_is_bounded_too);
    tcase_add_test(tc, BKT_4_owner_is_told_of_frames_that_its_reading_lets_in);
    return tc;
}

static TCase *end_tests(void)
{
    TCase *tc = make_case("ends");

    tcase_add_loop_test(tc, END_4_drain_delivers_everything_first, 0, ALL_LINKS);
    tcase_add_loop_test(tc, END_4_drain_of_an_unused_connection_is_quick, 0, ALL_LINKS);
    tcase_add_test(tc, L22_drain_waits_no_longer_than_its_limit);
    tcase_add_test(tc, END_4_keepalive_does_not_disturb_a_drain);
    tcase_add_test(tc, END_4_drain_drops_what_still_arrives);
    tcase_add_test(tc, END_3_the_peers_end_without_streams_is_orderly);
    tcase_add_test(tc, END_3_a_peer_that_vanishes_cuts_its_streams);
    tcase_add_test(tc, END_2_a_peer_that_does_not_speak_smux_is_told_to_go);
    tcase_add_test(tc, END_2_complete_data_is_readable_after_a_failed_write);
    tcase_add_test(tc, a_closed_connection_keeps_what_arrived_but_not_its_transport);
    return tc;
}

static TCase *free_tests(void)
{
    TCase *tc = make_case("freeing");

    tcase_add_loop_test(tc, an_event_may_free_its_connection, 0, 2);
    tcase_add_loop_test(tc, an_event_may_free_another_connection, 0, 2);
    tcase_add_test(tc, a_connection_can_be_freed_before_it_is_attached);
    tcase_add_loop_test(tc, a_connection_that_cannot_be_made_leaves_the_transport, 0, 2);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("conn");

    suite_add_tcase(suite, data_tests());
    suite_add_tcase(suite, end_tests());
    suite_add_tcase(suite, free_tests());
    return suite_main(suite);
}
