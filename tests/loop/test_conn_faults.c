/*
 * Connections whose system calls fail: each fault once at every call of a whole exchange. What
 * must hold each time: content is exact or the stream reports an error, both ends come to an
 * end, the loop does not spin, and all memory and descriptors come back.
 *
 * ctest-timeout: 60
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "faults.h"
#include "frames.h"
#include "heap.h"
#include "suite.h"

#include "transport/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAMS 3
#define BYTES   20000

/** No exchange needs more turns of the loop, unless it spins. */
#define MAX_TURNS 200000

static struct end caller;
static struct end echo;
static struct heap heap;
static struct smux_config config;

static void setup(void)
{
    heap_init(&heap);
    smux_config_init(&config);
    config.allocator = &heap.allocator;
    config.fin_linger_ms = 1;
    config.drain_timeout_ms = 100; /* a shutdown that fails is never answered */
    config.version = 2;
}

/** Runs until both ends are closed; `faults` lists no more than the system calls in between. */
static void run_to_the_end(smux_poll *loop)
{
    unsigned turns = 0;
    bool draining = false;

    while (caller.conn != NULL || echo.conn != NULL) {
        ck_assert_uint_lt(turns++, MAX_TURNS);
        (void)smux_poll_run_once(loop, smux_now_us() + 1000000);
        if (caller.conn != NULL && !draining && caller.complete + caller.failed == STREAMS) {
            draining = true;
            smux_conn_drain(caller.conn);
        }
    }
}

/** Runs one whole exchange: three streams, then a drain. The faults are already planned. */
static void run_exchange(enum link link)
{
    smux_poll *loop;
    struct smux_transport transports[2];

    ck_assert_int_eq(smux_poll_new(&loop), SMUX_OK);
    link_make(link, transports);
    ck_assert_int_eq(end_init_caller(&caller, SMUX_CLIENT, &transports[0], &config), SMUX_OK);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transports[1], &config), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, caller.conn), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, echo.conn), SMUX_OK);
    caller.to_send = BYTES;
    for (unsigned i = 0; i < STREAMS; i++) {
        (void)end_call(&caller); /* fails if the session has died already */
    }
    run_to_the_end(loop);
    smux_poll_free(loop);
}

static void check_everything_arrived(void)
{
    ck_assert(!caller.wrong && caller.cut == 0);
    ck_assert_uint_eq(caller.complete, STREAMS);
    ck_assert_uint_eq(echo.complete, STREAMS);
    ck_assert_uint_eq(caller.received, STREAMS * BYTES);
    ck_assert_int_eq(caller.status, SMUX_ECLOSED);
}

/** Returns how many calls of a kind an exchange makes without faults. */
static unsigned count_calls(enum link link, enum fault_call call)
{
    unsigned n;

    faults_begin();
    run_exchange(link);
    n = faults_count(call);
    faults_end();
    check_everything_arrived();
    return n;
}

struct fault {
    enum fault_call call;
    int error;
    bool harmless;
};

static const struct fault fault_kinds[] = {
    {FAULT_READ, EINTR, true},          {FAULT_READ, EAGAIN, true},
    {FAULT_READ, ECONNRESET, false},    {FAULT_READ, ETIMEDOUT, false},
    {FAULT_READ, ENOBUFS, false},       {FAULT_READ, ENOMEM, false},
    {FAULT_READ, EIO, false},           {FAULT_WRITE, EINTR, true},
    {FAULT_WRITE, EAGAIN, true},        {FAULT_WRITE, EPIPE, false},
    {FAULT_WRITE, ECONNRESET, false},   {FAULT_WRITE, ETIMEDOUT, false},
    {FAULT_WRITE, ENOBUFS, false},      {FAULT_WRITE, ENOMEM, false},
    {FAULT_WRITE, EIO, false},          {FAULT_POLL, EINTR, true},
    {FAULT_SHUTDOWN, ENOTCONN, true},   {FAULT_CLOSE, EINTR, true},
    {FAULT_CLOSE, EIO, true},           {FAULT_SETSOCKOPT, ENOPROTOOPT, true},
    {FAULT_SETSOCKOPT, EINVAL, true},   {FAULT_RANDOM, EINTR, true},
    {FAULT_RANDOM, ENOSYS, true},       {FAULT_READ, 0, false},
    {FAULT_READ, ECONNREFUSED, false},  {FAULT_READ, ENOTCONN, false},
    {FAULT_READ, EHOSTUNREACH, false},  {FAULT_WRITE, ENOTCONN, false},
    {FAULT_WRITE, EHOSTUNREACH, false}, {FAULT_WRITE, ENETDOWN, false},
    {FAULT_WRITE, EMSGSIZE, false},     {FAULT_POLL, 0, true},
    {FAULT_POLL, ENOMEM, true},         {FAULT_CLOSE, ENOSPC, true},
    {FAULT_SETSOCKOPT, ENOMEM, true},   {FAULT_RANDOM, EAGAIN, true},
};
#define N_FAULT_KINDS ((int)(sizeof fault_kinds / sizeof fault_kinds[0]))

static void check_after_fault(const struct fault *fault, unsigned nth, unsigned fds)
{
    ck_assert_msg(!caller.wrong && caller.cut == 0, "wrong content, call %u", nth);
    ck_assert_msg(heap.now == 0, "%zu bytes leaked, call %u", heap.now, nth);
    ck_assert_uint_eq(faults_open_fds(), fds);
    if (fault->harmless) {
        check_everything_arrived();
    }
}

START_TEST(K2_K3_K4_a_fault_at_any_call)
{
    const struct fault *fault = &fault_kinds[_i];
    unsigned fds = faults_open_fds();
    unsigned calls = count_calls(LINK_SOCKET, fault->call);

    for (unsigned nth = 1; nth <= calls; nth++) {
        faults_begin();
        faults_fail(fault->call, nth, fault->error, 1);
        run_exchange(LINK_SOCKET);
        faults_end();
        check_after_fault(fault, nth, fds);
    }
}
END_TEST

START_TEST(K2_K3_a_direction_that_fails_for_good)
{
    const struct fault fault = {_i == 0 ? FAULT_READ : FAULT_WRITE, EIO, false};
    unsigned fds = faults_open_fds();
    unsigned calls = count_calls(LINK_SOCKET, fault.call);

    for (unsigned nth = 1; nth <= calls; nth++) {
        faults_begin();
        faults_fail(fault.call, nth, fault.error, 0);
        run_exchange(LINK_SOCKET);
        faults_end();
        check_after_fault(&fault, nth, fds);
    }
}
END_TEST

static const size_t cuts[] = {1, 7, 8, 9, 1000};

START_TEST(K2_K3_short_counts_lose_nothing)
{
    faults_begin();
    faults_shorten(FAULT_READ, cuts[_i / 2]);
    faults_shorten(FAULT_WRITE, cuts[(_i + 1) / 2]);
    run_exchange(LINK_SOCKET);
    faults_end();
    check_everything_arrived();
}
END_TEST

/* --- a clock that the test moves ----------------------------------------------------------- */

static struct smux__sys real;
static uint64_t skipped_s;

static int skipping_clock(clockid_t clock, struct timespec *out_time)
{
    int rc = real.clock_gettime(clock, out_time);

    out_time->tv_sec += (time_t)skipped_s;
    return rc;
}

static unsigned run_turns(smux_poll *loop, unsigned n)
{
    unsigned served = 0;

    for (unsigned i = 0; i < n; i++) {
        served += smux_poll_run_once(loop, smux_now_us() + 1000) == SMUX_OK ? 1 : 0;
    }
    return served;
}

/** Sends data to a stream that nobody reads, until nothing more is taken. */
static void fill(int raw, smux_poll *loop)
{
    static uint8_t buf[32 + FRAME_MAX];
    static const char payload[1000];
    size_t len = put_syn(buf, 1, 3);

    ck_assert_int_eq(write(raw, buf, len), (ssize_t)len);
    len = put_psh(buf, 1, 3, payload, sizeof payload);
    while (send(raw, buf, len, MSG_DONTWAIT) > 0) {
        (void)run_turns(loop, 1);
    }
}

static void note_closed(smux_conn *conn, void *user)
{
    *(int *)user = smux_engine_error(smux_conn_engine(conn));
}

/** A version 1 session whose budget a stream that nobody reads has filled. */
struct paused {
    smux_poll *loop;
    smux_conn *conn;
    smux_engine *engine;
    smux_estream *stream; /**< which nobody reads from */
    int peer;
    int status; /**< why it closed; SMUX_OK before */
};

static void pause_session(struct paused *p)
{
    int fds[2];
    struct smux_transport transport;
    struct smux_conn_events events = {.closed = note_closed};

    config.version = 1;
    config.max_receive_buffer = 65536;
    config.keepalive_interval_ms = SMUX_OFF; /* so that no write finds out */
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    p->status = SMUX_OK;
    p->peer = fds[1];
    ck_assert_int_eq(
        smux_conn_new(SMUX_SERVER, &transport, &config, 0, &events, &p->status, &p->conn), SMUX_OK);
    p->engine = smux_conn_engine(p->conn);
    ck_assert_int_eq(smux_poll_new(&p->loop), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(p->loop, p->conn), SMUX_OK);
    fill(p->peer, p->loop);
    ck_assert_int_eq(smux_engine_accept(p->engine, &p->stream), SMUX_OK);
    ck_assert(!smux_engine_wants_read(p->engine));
    real = smux__sys;
    smux__sys.clock_gettime = skipping_clock;
}

static void end_paused(struct paused *p)
{
    smux__sys = real;
    smux_conn_free(p->conn);
    smux_poll_free(p->loop);
}

/** The session has noticed, opens no more streams, and does not spin. */
static void expect_noticed(struct paused *p)
{
    smux_estream *stream;

    (void)run_turns(p->loop, 3);
    ck_assert_int_eq(smux_engine_open(p->engine, &stream), SMUX_EGOAWAY);
    ck_assert_uint_le(run_turns(p->loop, 20), 1);
    ck_assert_int_eq(p->status, SMUX_OK);
}

START_TEST(KA_5_a_paused_session_notices_that_its_peer_is_gone)
{
    struct paused p;
    smux_estream *stream;

    pause_session(&p);
    (void)run_turns(p.loop, 3);
    ck_assert_int_eq(smux_engine_open(p.engine, &stream), SMUX_OK);
    smux_estream_abort(p.engine, stream, SMUX_EABORTED);
    smux_estream_close(p.engine, stream);
    close(p.peer);
    expect_noticed(&p);
    skipped_s += 4;
    (void)run_turns(p.loop, 3);
    ck_assert_int_eq(p.status, SMUX_OK); /* what came before may still be read */
    skipped_s += 2;
    (void)run_turns(p.loop, 3);
    ck_assert_int_eq(p.status, SMUX_EIO);
    end_paused(&p);
}
END_TEST

/* All data of a peer that ended in order is there, and has time. */
START_TEST(KA_5_a_paused_session_notices_that_its_peer_has_ended)
{
    static uint8_t buf[65536];
    struct paused p;
    size_t n;
    int status;

    pause_session(&p);
    ck_assert_int_eq(shutdown(p.peer, SHUT_WR), 0);
    expect_noticed(&p);
    for (unsigned i = 0; i < 5; i++) {
        skipped_s += 31;
        (void)run_turns(p.loop, 3);
    }
    ck_assert_int_eq(p.status, SMUX_OK);
    do {
        status = smux_estream_read(p.engine, p.stream, buf, sizeof buf, &n);
        smux_conn_flush(p.conn);
        (void)run_turns(p.loop, 3);
    } while (status == SMUX_OK && n > 0);
    ck_assert_int_eq(status, SMUX_ETRUNCATED); /* without a FIN */
    end_paused(&p);
    close(p.peer);
}
END_TEST

START_TEST(a_connection_without_memory_waits_and_goes_on)
{
    smux_poll *loop;
    int fds[2];
    uint8_t buf[64];
    struct smux_transport transport;
    size_t len = put_syn(buf, 2, 3);

    ck_assert_int_eq(smux_poll_new(&loop), SMUX_OK);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(smux_transport_fd(fds[0], fds[0], &transport), SMUX_OK);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transport, &config), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, echo.conn), SMUX_OK);
    heap.fail_at = heap.calls + 1;
    heap.fail_on = true;
    len += put_psh(buf + len, 2, 3, "hello", 5);
    ck_assert_int_eq(write(fds[1], buf, len), (ssize_t)len);
    uint64_t begin_us = smux_now_us();
    unsigned turns = 0;
    while (smux_now_us() - begin_us < 100000) {
        turns += run_turns(loop, 1);
    }
    ck_assert_uint_lt(turns, 50); /* a pause of 10 ms between two tries */
    ck_assert_uint_eq(echo.received, 0);
    heap.fail_at = 0;
    while (echo.received < 5) {
        (void)run_turns(loop, 1);
    }
    end_free(&echo);
    close(fds[1]);
    smux_poll_free(loop);
}
END_TEST

/* --- transports of other kinds ------------------------------------------------------------- */

/** A transport on top of another: it reads ahead, so that its descriptor does not tell what can
 *  be read, and it waits for reading when it wants to write. */
struct ahead {
    struct smux_transport below;
    unsigned char buf[4096];
    size_t start;
    size_t len;
};

static int ahead_readv(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    struct ahead *ahead = ctx;

    (void)n;
    if (ahead->len == 0) {
        struct smux_iov all = {ahead->buf, sizeof ahead->buf};
        int status = ahead->below.ops->readv(ahead->below.ctx, &all, 1, &ahead->len);
        if (status != SMUX_OK) {
            return status;
        }
        ahead->start = 0;
    }
    *(unsigned char *)iov->base = ahead->buf[ahead->start++];
    ahead->len--;
    *out_len = 1;
    return SMUX_OK;
}

static int ahead_writev(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    struct ahead *ahead = ctx;

    return ahead->below.ops->writev(ahead->below.ctx, iov, n, out_len);
}

static void ahead_shutdown(void *ctx)
{
    struct ahead *ahead = ctx;

    ahead->below.ops->shutdown(ahead->below.ctx);
}

static void ahead_close(void *ctx)
{
    struct ahead *ahead = ctx;

    smux_transport_close(&ahead->below);
}

static int ahead_fd(void *ctx, enum smux_transport_event direction)
{
    struct ahead *ahead = ctx;

    return ahead->below.ops->fd(ahead->below.ctx, direction);
}

static unsigned ahead_events(void *ctx, unsigned wanted)
{
    (void)ctx;
    return wanted; /* that it exists makes the connection try both directions */
}

static bool ahead_pending(void *ctx)
{
    const struct ahead *ahead = ctx;

    return ahead->len > 0;
}

static const struct smux_transport_ops ahead_ops = {
    .readv = ahead_readv,
    .writev = ahead_writev,
    .shutdown = ahead_shutdown,
    .close = ahead_close,
    .fd = ahead_fd,
    .events = ahead_events,
    .pending = ahead_pending,
};

START_TEST(bytes_buffered_above_the_descriptor_are_read)
{
    static struct ahead ahead[2];
    struct smux_transport transports[2];
    smux_poll *loop;

    ck_assert_int_eq(smux_poll_new(&loop), SMUX_OK);
    link_make((enum link)_i, transports);
    for (int i = 0; i < 2; i++) {
        ahead[i].below = transports[i];
        transports[i] = (struct smux_transport){&ahead_ops, &ahead[i]};
    }
    ck_assert_int_eq(end_init_caller(&caller, SMUX_CLIENT, &transports[0], &config), SMUX_OK);
    ck_assert_int_eq(end_init_echo(&echo, SMUX_SERVER, &transports[1], &config), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, caller.conn), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(loop, echo.conn), SMUX_OK);
    caller.to_send = BYTES;
    for (unsigned i = 0; i < STREAMS; i++) {
        ck_assert_int_eq(end_call(&caller), SMUX_OK);
    }
    run_to_the_end(loop);
    check_everything_arrived();
    smux_poll_free(loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_faults");
    TCase *tc = tcase_create("faults");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, K2_K3_K4_a_fault_at_any_call, 0, N_FAULT_KINDS);
    tcase_add_loop_test(tc, K2_K3_a_direction_that_fails_for_good, 0, 2);
    tcase_add_loop_test(tc, K2_K3_short_counts_lose_nothing, 0, 9);
    tcase_add_test(tc, KA_5_a_paused_session_notices_that_its_peer_is_gone);
    tcase_add_test(tc, KA_5_a_paused_session_notices_that_its_peer_has_ended);
    tcase_add_test(tc, a_connection_without_memory_waits_and_goes_on);
    tcase_add_loop_test(tc, bytes_buffered_above_the_descriptor_are_read, 0, LINK_KINDS);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
