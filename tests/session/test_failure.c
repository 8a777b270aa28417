/*
 * Sessions whose peer or transport fails, whose memory runs out, or whose process forks.
 *
 * ctest-timeout: 60
 * ctest-waits
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "faults.h"
#include "flow.h"
#include "frames.h"
#include "heap.h"
#include "suite.h"

#include "session/port.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
#define SANITIZER_THREADS 1
#else
#define SANITIZER_THREADS 0
#endif

/* The allocators of these may be locked for ever in a child of several threads. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define FORBID_FORK
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(FORBID_FORK)
#define FORK_WITH_THREADS
#endif

static struct ends ends;

/* A session whose peer is a bare socket. */
static smux_session *session;
static int peer;

static void setup(enum smux_role role, const struct smux_config *config)
{
    int fds[2];

    wire_tcp(fds);
    peer = fds[1];
    ck_assert_int_eq(role == SMUX_CLIENT ? smux_client(fds[0], config, &session)
                                         : smux_server(fds[0], config, &session),
                     SMUX_OK);
}

static void peer_sends(const void *data, size_t len)
{
    ck_assert_int_eq(write(peer, data, len), (ssize_t)len);
}

/* Closes a socket so that the other side gets a reset. */
static void peer_resets(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(peer);
}

static bool has_ended(void *arg)
{
    return smux_session_error(arg) != SMUX_OK;
}

static void expect_text(const char *part)
{
    char text[200];

    smux_session_error_text(session, text, sizeof text);
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" does not contain \"%s\"", text, part);
}

/* The peer reads the end of the connection. */
static void expect_hang_up(void)
{
    char buf[1000];
    ssize_t n;

    while ((n = read(peer, buf, sizeof buf)) > 0) {
    }
}

/* --- peers that break the protocol --------------------------------------------------------- */

START_TEST(a_peer_that_speaks_http_is_named)
{
    smux_stream *stream;

    setup(SMUX_SERVER, NULL);
    peer_sends("GET / HTTP/1.1\r\n\r\n", 18);
    ck_assert_int_eq(smux_session_accept(session, &stream), SMUX_EPROTO);
    expect_text("HTTP");
    expect_hang_up(); /* at once (R1) */
    ck_assert_int_eq(smux_session_open(session, &stream), SMUX_EPROTO);
    ck_assert_int_eq(smux_session_close(session), SMUX_EPROTO);
    close(peer);
}
END_TEST

START_TEST(garbage_is_noticed_although_nobody_waits)
{
    setup(SMUX_SERVER, NULL);
    peer_sends("\1\11\0\0\0\0\0\0", 8);
    ck_assert(await(has_ended, session));
    ck_assert_int_eq(smux_session_error(session), SMUX_EPROTO);
    expect_hang_up();
    ck_assert_int_eq(smux_session_close(session), SMUX_EPROTO);
    close(peer);
}
END_TEST

/* Complete data stays readable after the error, then the reason follows [END-2]. */
START_TEST(data_before_an_error_stays_readable)
{
    smux_stream *stream;
    char buf[10];
    size_t n;

    setup(SMUX_SERVER, NULL);
    peer_sends("\1\0\0\0\3\0\0\0\1\2\5\0\3\0\0\0hello", 21);
    ck_assert_int_eq(smux_session_accept(session, &stream), SMUX_OK);
    peer_sends("\1\2\5\0\3\0\0\0world\7\0\0\0\0\0\0\0", 21);
    ck_assert(await(has_ended, session));
    ck_assert_int_eq(smux_stream_read(stream, buf, 10, &n), SMUX_OK);
    ck_assert_uint_eq(n, 10);
    ck_assert_int_eq(memcmp(buf, "helloworld", 10), 0);
    ck_assert_int_eq(smux_stream_read(stream, buf, 10, &n), SMUX_EPROTO);
    ck_assert_int_eq(smux_stream_write(stream, buf, 1, &n), SMUX_EPROTO);
    smux_stream_close(stream);
    ck_assert_int_eq(smux_session_close(session), SMUX_EPROTO);
    close(peer);
}
END_TEST

/* --- connections that break ---------------------------------------------------------------- */

static void read_to_error(void *arg)
{
    char buf[100];
    size_t n;
    int status;

    while ((status = smux_stream_read(arg, buf, sizeof buf, &n)) == SMUX_OK) {
    }
    ck_assert_int_ne(status, SMUX_EOF); /* a cut is never an end [FIN-3] */
}

START_TEST(a_cut_connection_is_not_an_end)
{
    smux_stream *stream;
    struct task readers[2];

    setup(SMUX_CLIENT, NULL);
    ck_assert_int_eq(smux_session_open(session, &stream), SMUX_OK);
    task_start(&readers[0], read_to_error, stream);
    task_start(&readers[1], read_to_error, stream);
    sleep_ms(10);
    if (_i == 0) {
        close(peer);
    } else if (_i == 1) {
        peer_resets();
    } else {
        shutdown(peer, SHUT_WR);
    }
    task_join(&readers[0]);
    task_join(&readers[1]);
    if (_i == 2) {
        close(peer);
    }
    smux_stream_close(stream);
    ck_assert_int_ne(smux_session_close(session), SMUX_OK);
}
END_TEST

static void write_to_error(void *arg)
{
    size_t size = 16 << 20, n;
    uint8_t *buf = calloc(1, size);
    int status;

    while ((status = smux_stream_write(arg, buf, size, &n)) == SMUX_OK) {
    }
    /* EPIPE: no credit can come any more [END-3] */
    ck_assert(smux_status_is_fatal(status) || status == SMUX_EPIPE);
    free(buf);
}

static bool has_window(void *arg)
{
    struct smux_stream_stats stats;

    smux_stream_stats(arg, &stats);
    return stats.send_window == 1000;
}

/* The peer wants no more than 1000 bytes of 5000 that were accepted, and ends in order. */
START_TEST(END_3_closing_tells_that_data_of_a_closed_stream_was_not_sent)
{
    struct smux_config config;
    smux_stream *stream;
    uint8_t frame[FRAME_UPD];
    uint8_t data[5000] = {0};

    smux_config_init(&config);
    config.version = 2;
    setup(SMUX_CLIENT, &config);
    ck_assert_int_eq(smux_session_open(session, &stream), SMUX_OK);
    peer_sends(frame, put_upd(frame, 2, 3, 0, 1000));
    ck_assert(await(has_window, stream));
    ck_assert_int_eq(smux_stream_write(stream, data, sizeof data, NULL), SMUX_OK);
    smux_stream_close(stream);
    peer_sends(frame, put_fin(frame, 2, 3));
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    ck_assert(await(has_ended, session));
    ck_assert_int_eq(smux_session_close(session), SMUX_ETRUNCATED);
    close(peer);
}
END_TEST

START_TEST(a_cut_connection_ends_blocked_writers)
{
    smux_stream *streams[2];
    struct task writers[2];

    setup(SMUX_CLIENT, NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(smux_session_open(session, &streams[i]), SMUX_OK);
        task_start(&writers[i], write_to_error, streams[i]);
    }
    sleep_ms(20);
    if (_i == 0) {
        close(peer); /* with unread data: a reset, too */
    } else {
        peer_resets();
    }
    for (int i = 0; i < 2; i++) {
        task_join(&writers[i]);
        smux_stream_close(streams[i]);
    }
    ck_assert_int_ne(smux_session_close(session), SMUX_OK);
}
END_TEST

static bool holds_more_than_it_can_send(void *arg)
{
    struct smux_stream_stats stats;

    smux_stream_stats(arg, &stats);
    return stats.unsent > 0;
}

static bool has_received_two_headers(void *arg)
{
    struct smux_session_stats stats;

    smux_session_stats(arg, &stats);
    return stats.wire_in == (uint64_t)2 * FRAME_HEADER;
}

/* T11: the peer ends in order and then takes no more. Nobody receives any more when writing fails. */
START_TEST(a_transport_that_fails_after_its_end_ends_blocked_calls)
{
    struct smux_config config;
    struct smux_transport wire[2];
    smux_stream *streams[2];
    struct task writers[2];

    smux_config_init(&config);
    config.keepalive_interval_ms = SMUX_OFF; /* would notice */
    wire_make((enum wire)_i, wire);
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &wire[0], &config, &session), SMUX_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(smux_session_open(session, &streams[i]), SMUX_OK);
        task_start(&writers[i], write_to_error, streams[i]);
    }
    for (int i = 0; i < 2; i++) { /* they fill the transport */
        ck_assert(await(holds_more_than_it_can_send, streams[i]));
    }
    uint8_t fins[2 * FRAME_HEADER];
    const struct smux_iov iov = {fins, sizeof fins};
    size_t n = put_fin(fins, 1, 3);
    put_fin(fins + n, 1, 5);
    ck_assert_int_eq(wire[1].ops->writev(wire[1].ctx, &iov, 1, &n), SMUX_OK);
    wire[1].ops->shutdown(wire[1].ctx);
    ck_assert(await(has_received_two_headers, session));
    sleep_ms(20);
    smux_stream_set_read_deadline(streams[0], SMUX_NEVER); /* makes the background look, */
    sleep_ms(20);                                          /* which then has done so */
    wire[1].ops->close(wire[1].ctx);
    uint64_t soon_us = in_ms(500); /* a timer of the engine would notice, too, but later */
    for (int i = 0; i < 2; i++) {
        task_join(&writers[i]);
        smux_stream_close(streams[i]);
    }
    ck_assert_int_ne(smux_session_close(session), SMUX_OK);
    ck_assert_uint_lt(smux_now_us(), soon_us);
}
END_TEST

/* T11: what the peer had sent before the connection broke is read although writing failed. */
START_TEST(a_failed_write_does_not_lose_what_arrived)
{
    smux_stream *stream;
    char buf[100];
    size_t n;
    int status;

    setup(SMUX_SERVER, NULL);
    peer_sends("\1\0\0\0\3\0\0\0\1\2\5\0\3\0\0\0hello", 21);
    ck_assert_int_eq(smux_session_accept(session, &stream), SMUX_OK);
    peer_sends("\1\2\5\0\3\0\0\0world\1\1\0\0\3\0\0\0", 21);
    close(peer); /* an end after data; our writes will be answered by a reset */
    do {
        status = smux_stream_write(stream, "x", 1, &n);
        sleep_ms(1);
    } while (status == SMUX_OK);
    ck_assert_int_eq(smux_stream_read(stream, buf, sizeof buf, &n), SMUX_OK);
    ck_assert_uint_eq(n, 10);
    ck_assert_int_eq(smux_stream_read(stream, buf, sizeof buf, &n), SMUX_EOF);
    smux_stream_close(stream);
    smux_session_close(session);
}
END_TEST

/* A transport that holds a read back until it is told, and whose writes fail when it is told. */
static struct {
    struct smux_transport inner;
    struct smux_transport_ops ops;
    atomic_bool hold, holds, broken;
} gate;

static int gate_readv(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    int status = gate.inner.ops->readv(ctx, iov, n, out_len);

    while (status == SMUX_OK && gate.hold) {
        gate.holds = true;
        sleep_ms(1);
    }
    return status;
}

static int gate_writev(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    return gate.broken ? SMUX_EIO : gate.inner.ops->writev(ctx, iov, n, out_len);
}

static void setup_gate(enum smux_role role, const struct smux_config *config)
{
    struct smux_transport transport;
    int fds[2];

    wire_tcp(fds);
    peer = fds[1];
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &gate.inner), SMUX_OK);
    gate.ops = *gate.inner.ops;
    gate.ops.readv = gate_readv;
    gate.ops.writev = gate_writev;
    gate.ops.readv_wait = NULL;
    transport = (struct smux_transport){&gate.ops, gate.inner.ctx};
    ck_assert_int_eq(smux_session_new(role, &transport, config, &session), SMUX_OK);
}

static void read_once(void *arg)
{
    char byte;
    size_t n;

    ck_assert_int_eq(smux_stream_read(arg, &byte, 1, &n), SMUX_EIO);
}

/* The write fails while the receiver is in the midst of a read, which brings it a little of no
 * interest: it seems to have read all, and nothing more will come to wake it. */
START_TEST(a_receiver_that_missed_a_failed_write_notices)
{
    struct smux_config config;
    smux_stream *waiting, *writing;
    struct task reader;
    size_t n;

    smux_config_init(&config);
    config.keepalive_interval_ms = SMUX_OFF; /* would notice */
    setup_gate(SMUX_SERVER, &config);
    peer_sends("\1\0\0\0\3\0\0\0\1\0\0\0\5\0\0\0", 16);
    ck_assert_int_eq(smux_session_accept(session, &waiting), SMUX_OK);
    ck_assert_int_eq(smux_session_accept(session, &writing), SMUX_OK);
    smux_stream_set_read_deadline(waiting, in_ms(3000));
    task_start(&reader, read_once, waiting);
    sleep_ms(20); /* it is the receiver */
    gate.hold = true;
    peer_sends("\1\3\0\0\0\0\0\0", 8);
    while (!gate.holds) {
        sleep_ms(1);
    }
    gate.broken = true;
    (void)smux_stream_write(writing, "x", 1, &n);
    gate.hold = false;
    task_join(&reader);
    smux_stream_close(waiting);
    smux_stream_close(writing);
    ck_assert_int_eq(smux_session_close(session), SMUX_EIO);
    close(peer);
}
END_TEST

/* A session whose budget is used up does not read, but notices the end of its peer [KA-5]. */
START_TEST(a_paused_session_notices_a_reset)
{
    struct smux_config config;
    smux_stream *stream;
    char frame[8 + 1000] = "\1\2\350\3\3\0\0\0";

    smux_config_init(&config);
    config.max_receive_buffer = 100000;
    setup(SMUX_SERVER, &config);
    peer_sends("\1\0\0\0\3\0\0\0", 8);
    ck_assert_int_eq(smux_session_accept(session, &stream), SMUX_OK);
    for (int i = 0; i < 200; i++) {
        peer_sends(frame, sizeof frame);
    }
    sleep_ms(30);
    ck_assert_int_eq(smux_session_error(session), SMUX_OK);
    peer_resets();
    ck_assert(await(has_ended, session));
    smux_stream_close(stream);
    ck_assert_int_eq(smux_session_close(session), SMUX_EIO);
}
END_TEST

static bool opens_none(void *arg)
{
    smux_stream *stream;
    int status = smux_session_open(arg, &stream);

    if (status == SMUX_OK) {
        smux_stream_close(stream);
    }
    return status == SMUX_EGOAWAY;
}

static bool has_paused(void *arg)
{
    struct smux_session_stats stats;

    smux_session_stats(arg, &stats);
    return stats.receive_pauses > 0;
}

/* All that the peer has sent is with our kernel. */
static bool has_arrived(void *arg)
{
    int left;

    (void)arg;
    ck_assert_int_eq(ioctl(peer, TIOCOUTQ, &left), 0);
    return left == 0;
}

/* It does not take streams that nobody will answer, and loses nothing of what came. */
START_TEST(a_paused_session_notices_the_end_of_its_peer)
{
    struct smux_config config;
    smux_stream *stream;
    static char buf[40000];
    char frame[8 + 1000] = "\1\2\350\3\3\0\0\0";
    size_t n, total = 0;

    smux_config_init(&config);
    config.max_receive_buffer =
        20000; /* the rest must fit into our socket, or the end waits for it */
    setup(SMUX_SERVER, &config);
    peer_sends("\1\0\0\0\3\0\0\0", 8);
    ck_assert_int_eq(smux_session_accept(session, &stream), SMUX_OK);
    for (int i = 0; i < 40; i++) {
        peer_sends(frame, sizeof frame);
    }
    peer_sends("\1\1\0\0\3\0\0\0", 8);
    ck_assert(await(has_paused, session));
    ck_assert(await(has_arrived, NULL));
    ck_assert(!opens_none(session));
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    ck_assert(await(opens_none, session));
    ck_assert_int_eq(smux_session_error(session), SMUX_OK);
    while (smux_stream_read(stream, buf, sizeof buf, &n) == SMUX_OK) {
        total += n;
    }
    ck_assert_uint_eq(total, 40000);
    smux_stream_close(stream);
    (void)smux_session_close(session);
    close(peer);
}
END_TEST

/* A reader at rest goes on where the pause began. */
START_TEST(a_paused_session_goes_on)
{
    struct smux_config config;
    smux_stream *near, *far;

    smux_config_init(&config);
    config.max_receive_buffer = 100000;
    ends_open(&ends, (enum wire)_i, &config);
    ends_stream(&ends, &near, &far);
    uint8_t *buf = malloc(8 << 20);
    size_t n, written = 0;
    flow_fill(4, 0, buf, 8 << 20);
    do { /* more than once if the machine was busy with others for so long */
        smux_stream_set_write_deadline(near, in_ms(50));
        ck_assert_int_eq(smux_stream_write(near, buf + written, (8 << 20) - written, &n),
                         SMUX_EDEADLINE);
        written += n;
    } while (written < 100000);
    free(buf);
    smux_stream_shutdown(near);
    flow_expect(far, 4, written);
    expect_end(far);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

static bool has_stalled(void *arg)
{
    struct smux_session_stats stats;

    smux_session_stats(arg, &stats);
    return stats.limits[SMUX_LIMIT_ABORTED_STALL] > 0;
}

/* What it reads is there already, so that the engine hears of nothing but the reads. */
START_TEST(BKT_8_a_slow_reader_is_not_taken_for_a_stalled_one)
{
    struct smux_config config;
    smux_stream *near, *far;
    uint8_t buf[100000] = {0};
    size_t n;

    smux_config_init(&config);
    config.max_receive_buffer = 65536;
    config.max_stream_buffer = 16384;
    config.stall_timeout_ms = 1000; /* a busy machine may stop us for a while */
    ends_open(&ends, WIRE_SOCKET, &config);
    ends_stream(&ends, &near, &far);
    ck_assert_int_eq(smux_stream_write(near, buf, sizeof buf, NULL), SMUX_OK);
    for (int i = 0; i < 60; i++) {
        sleep_ms(20);
        ck_assert_int_eq(smux_stream_read(far, buf, 100, &n), SMUX_OK);
    }
    ck_assert(await(has_stalled, ends.server)); /* this one is */
    ck_assert_int_eq(smux_stream_read(far, buf, 100, &n), SMUX_ESTALLED);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

static void accept_none(void *arg)
{
    smux_stream *stream;

    ck_assert_int_eq(smux_session_accept(arg, &stream), SMUX_ETIMEDOUT);
}

/* The timer of the engine runs, whether somebody waits or not. */
START_TEST(silence_ends_a_session)
{
    struct smux_config config;
    struct task accepter;

    smux_config_init(&config);
    config.keepalive_mode = SMUX_KEEPALIVE_ALWAYS;
    config.keepalive_interval_ms = 20;
    config.keepalive_timeout_ms = 500; /* a busy machine may stop us for a while */
    uint64_t start_us = smux_now_us();
    setup(SMUX_SERVER, &config);
    if (_i == 0) {
        task_start(&accepter, accept_none, session);
    }
    char nop[8] = {0};
    ck_assert_int_eq(read(peer, nop, 8), 8); /* it shows that it lives */
    ck_assert_int_eq(memcmp(nop, "\1\3\0\0\0\0\0\0", 8), 0);
    ck_assert(await(has_ended, session));
    ck_assert_int_eq(smux_session_error(session), SMUX_ETIMEDOUT);
    ck_assert_uint_ge(smux_now_us() - start_us, 500000);
    ck_assert_uint_lt(smux_now_us() - start_us, 2000000);
    if (_i == 0) {
        task_join(&accepter);
    }
    smux_session_close(session);
    close(peer);
}
END_TEST

/* --- shortage ------------------------------------------------------------------------------ */

static void use_sessions(struct heap *heap)
{
    struct smux_config config;
    struct smux_transport transports[2];
    smux_stream *near, *far;
    char byte;
    size_t n;

    smux_config_init(&config);
    config.allocator = &heap->allocator;
    wire_make(WIRE_SOCKET, transports);
    int status = smux_session_new(SMUX_CLIENT, &transports[0], &config, &ends.client);
    if (status != SMUX_OK) {
        ck_assert_int_eq(status, SMUX_ENOMEM);
        smux_transport_close(&transports[0]);
        smux_transport_close(&transports[1]);
        return;
    }
    ck_assert_int_eq(smux_session_new(SMUX_SERVER, &transports[1], NULL, &ends.server), SMUX_OK);
    status = smux_session_open(ends.client, &near);
    if (status == SMUX_OK) {
        if (smux_stream_write(near, "hi", 2, &n) == SMUX_OK) {
            smux_session_set_accept_deadline(ends.server, in_ms(1000));
            if (smux_session_accept(ends.server, &far) == SMUX_OK) {
                (void)smux_stream_write(far, "ho", 2, &n);
                smux_stream_set_read_deadline(near, in_ms(100));
                (void)smux_stream_read(near, &byte, 1, &n);
                smux_stream_close(far);
            }
        }
        smux_stream_close(near);
    }
    smux_session_abort(ends.client);
    smux_session_close(ends.client);
    smux_session_close(ends.server);
}

static atomic_bool no_memory;

static void *scarce_alloc(size_t size, void *ctx)
{
    (void)ctx;
    return atomic_load(&no_memory) ? NULL : malloc(size);
}

static void scarce_free(void *ptr, void *ctx)
{
    (void)ctx;
    free(ptr);
}

static void read_until_failure(void *arg)
{
    char byte;
    size_t n;

    ck_assert_int_eq(smux_stream_read(arg, &byte, 1, &n), SMUX_EIO);
}

static void write_until_failure(void *arg)
{
    size_t size = 64 << 20;
    char *data = calloc(1, size);
    size_t n;

    ck_assert_int_eq(smux_stream_write(arg, data, size, &n), SMUX_EIO); /* not SMUX_EDEADLINE */
    free(data);
}

/* The peer reads nothing: what it holds no longer grows. */
static bool connection_is_full(void *arg)
{
    int *before = arg;
    int held;

    ck_assert_int_eq(ioctl(peer, FIONREAD, &held), 0);
    bool full = held > 100000 && held == *before;
    *before = held;
    sleep_ms(100);
    return full;
}

/* A write that ends early copies what it has begun to send. Without memory the session dies, and
 * everybody has to learn of it. */
START_TEST(END_1_a_write_cut_without_memory_ends_the_session_for_all)
{
    const struct smux_allocator scarce = {.alloc = scarce_alloc, .free = scarce_free};
    struct smux_config config;
    struct task reader, writer;
    smux_stream *stream, *other;
    int held = 0;

    smux_config_init(&config);
    config.allocator = &scarce;
    setup(SMUX_CLIENT, &config);
    ck_assert_int_eq(smux_session_open(session, &stream), SMUX_OK);
    ck_assert_int_eq(smux_session_open(session, &other), SMUX_OK);
    task_start(&reader, read_until_failure, other);
    task_start(&writer, write_until_failure, stream);
    ck_assert(await(connection_is_full, &held));
    atomic_store(&no_memory, true);
    smux_stream_set_write_deadline(stream, smux_now_us());
    task_join(&writer);
    task_join(&reader);
    atomic_store(&no_memory, false);
    ck_assert_int_eq(smux_session_error(session), SMUX_EIO);
    expect_text("memory");
    smux_stream_close(stream);
    smux_stream_close(other);
    ck_assert_int_eq(smux_session_close(session), SMUX_EIO);
    close(peer);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    struct heap heap;
    uint64_t n = 0;

    do {
        heap_init(&heap);
        heap.fail_at = ++n;
        use_sessions(&heap);
        ck_assert_uint_eq(heap.now, 0); /* [I12] */
    } while (heap.failures > 0);
    ck_assert_uint_gt(n, 3);
}
END_TEST

/* Without descriptors a caller polls without an alarm, and is woken all the same. */
static void read_until_aborted(void *arg)
{
    char byte;
    size_t n;

    ck_assert_int_eq(smux_stream_read(arg, &byte, 1, &n), SMUX_EABORTED);
}

START_TEST(calls_wait_without_descriptors)
{
    smux_stream *near, *far;
    struct task reader;
    struct rlimit limit, before;

    ends_open_version(&ends, WIRE_SOCKET, 1);
    ends_stream(&ends, &near, &far);
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_int_eq(dup(0), -1);
    task_start(&reader, read_until_aborted, far);
    sleep_ms(20);
    uint64_t start_us = smux_now_us();
    smux_stream_abort(far);
    task_join(&reader);
    ck_assert_uint_lt(smux_now_us() - start_us, 2000000);
    setrlimit(RLIMIT_NOFILE, &before);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* Sanitizers may start a thread of their own, but only one. */
static bool only_threads(void *arg)
{
    return count_threads() <= *(unsigned *)arg + SANITIZER_THREADS;
}

START_TEST(nothing_is_left_open)
{
    unsigned before = faults_open_fds(), threads = count_threads();

    for (int i = 0; i < 20; i++) {
        smux_stream *near, *far;
        ends_open_version(&ends, (enum wire)(i % WIRE_KINDS), 1);
        ends_stream(&ends, &near, &far);
        smux_stream_close(near);
        smux_stream_close(far);
        ends_close(&ends);
        ck_assert(await(only_threads, &threads)); /* a thread is counted until it is quite gone */
    }
    ck_assert_uint_eq(faults_open_fds(), before);
}
END_TEST

/* --- fork (T22) ---------------------------------------------------------------------------- */

#ifdef FORK_WITH_THREADS

static void echo_all(void *arg)
{
    char buf[1000];
    size_t n;

    while (smux_stream_read(arg, buf, sizeof buf, &n) == SMUX_OK) {
        ck_assert_int_eq(smux_stream_write(arg, buf, n, NULL), SMUX_OK);
    }
    ck_assert_int_eq(smux_stream_shutdown(arg), SMUX_OK);
}

static void child_close(smux_stream *near, smux_stream *far, bool session_first)
{
    if (session_first) {
        smux_session_close(ends.client);
        smux_stream_close(near);
    } else {
        smux_stream_close(near);
        smux_session_close(ends.client);
    }
    smux_stream_close(far);
    smux_session_close(ends.server);
}

/* It may also have sessions of its own. */
static int child_run(smux_stream *near, smux_stream *far, bool session_first)
{
    struct ends own;
    smux_stream *a, *b;

    child_close(near, far, session_first);
#ifndef __SANITIZE_THREAD__ /* does not support threads in such a child */
    ends_open_version(&own, WIRE_TCP, 2);
    ends_stream(&own, &a, &b);
    smux_stream_close(a);
    smux_stream_close(b);
    ends_close(&own);
#else
    (void)own;
    (void)a;
    (void)b;
#endif
    return 0;
}

START_TEST(a_child_closes_what_it_inherited_without_harm)
{
    smux_stream *near, *far;
    struct task echo;
    int status;

    ends_open_version(&ends, WIRE_TCP, 1);
    ends_stream(&ends, &near, &far);
    task_start(&echo, echo_all, far);
    for (unsigned round = 0; round < 10; round++) {
        pid_t child = fork();
        if (child == 0) {
            _exit(child_run(near, far, _i == 0));
        }
        flow_send(near, round, 100000, 1000); /* the parent goes on */
        flow_expect(near, round, 100000);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
    flow_send(near, 99, 1000, 1000);
    flow_expect(near, 99, 1000);
    smux_stream_shutdown(near);
    expect_end(near);
    task_join(&echo);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("session failures");
    TCase *tcase = tcase_create("failures");

    signal(SIGPIPE, SIG_IGN);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, a_peer_that_speaks_http_is_named);
    tcase_add_test(tcase, garbage_is_noticed_although_nobody_waits);
    tcase_add_test(tcase, data_before_an_error_stays_readable);
    tcase_add_loop_test(tcase, a_cut_connection_is_not_an_end, 0, 3);
    tcase_add_test(tcase, END_3_closing_tells_that_data_of_a_closed_stream_was_not_sent);
    tcase_add_loop_test(tcase, a_cut_connection_ends_blocked_writers, 0, 2);
    tcase_add_loop_test(tcase, a_transport_that_fails_after_its_end_ends_blocked_calls, 0,
                        WIRE_KINDS);
    tcase_add_test(tcase, a_failed_write_does_not_lose_what_arrived);
    tcase_add_test(tcase, a_receiver_that_missed_a_failed_write_notices);
    tcase_add_test(tcase, a_paused_session_notices_a_reset);
    tcase_add_test(tcase, a_paused_session_notices_the_end_of_its_peer);
    tcase_add_loop_test(tcase, a_paused_session_goes_on, 0, WIRE_KINDS);
    tcase_add_test(tcase, BKT_8_a_slow_reader_is_not_taken_for_a_stalled_one);
    tcase_add_loop_test(tcase, silence_ends_a_session, 0, 2);
    tcase_add_test(tcase, END_1_a_write_cut_without_memory_ends_the_session_for_all);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, calls_wait_without_descriptors);
    tcase_add_test(tcase, nothing_is_left_open);
#ifdef FORK_WITH_THREADS
    tcase_add_loop_test(tcase, a_child_closes_what_it_inherited_without_harm, 0, 2);
#endif
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
