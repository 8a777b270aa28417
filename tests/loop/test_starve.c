/*
 * test_starve.c - connections in loops: each allocation fails in turn, once and from then on
 * (K1). What must hold: content is exact, or a stream or connection tells of an error; both ends
 * come to an end; no memory and no descriptor stay.
 *
 * ctest-scarce
 * ctest-timeout: 300
 * ctest-waits
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "faults.h"
#include "scarce.h"
#include "starve.h"
#include "suite.h"

#include <smux/uv.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define MAX_STREAMS 20
/* Until the scenario gives up on streams that a failure has stopped. */
#define PATIENCE_US 20000

static struct end caller;
static struct end echo;

static const struct scenario {
    const char *name;
    enum link link;
    uint32_t version;
    bool uv;
    unsigned streams;
    uint64_t bytes;
} scenarios[] = {
    {"two ends and no stream", LINK_SOCKET, 1, false, 0, 0},
    {"a stream in memory", LINK_PAIR, 1, false, 1, 3000},
    {"a stream over pipes", LINK_PIPES, 2, false, 1, 3000},
    {"three streams over a socket", LINK_SOCKET, 1, false, 3, 20000},
    {"three streams over a socket, version 2", LINK_SOCKET, 2, false, 3, 20000},
    {"twenty streams", LINK_SOCKET, 2, false, MAX_STREAMS, 500},
    {"a stream in a libuv loop", LINK_SOCKET, 2, true, 1, 3000},
    {"three streams over pipes in a libuv loop", LINK_PIPES, 2, true, 3, 20000},
    {"a stream in memory in a libuv loop", LINK_PAIR, 1, true, 1, 3000},
};
#define N_SCENARIOS ((int)(sizeof scenarios / sizeof scenarios[0]))

/* Either of the two loops. */
struct loop {
    smux_poll *poll;
    uv_loop_t uv;
    bool is_uv;
};

static bool fine(int status)
{
    ck_assert_msg(status == SMUX_OK || scarce_failures() > 0, "%s", smux_strerror(status));
    return status == SMUX_OK;
}

static bool loop_init(struct loop *loop, bool uv)
{
    loop->is_uv = uv;
    loop->poll = NULL;
    if (uv) {
        ck_assert_int_eq(uv_loop_init(&loop->uv), 0);
        return true;
    }
    return fine(smux_poll_new(&loop->poll));
}

static bool loop_attach(struct loop *loop, smux_conn *conn)
{
    return fine(loop->is_uv ? smux_uv_attach(conn, &loop->uv) : smux_poll_attach(loop->poll, conn));
}

static void on_time(uv_timer_t *timer)
{
    (void)timer;
}

static void loop_turn(struct loop *loop)
{
    if (loop->is_uv) {
        uv_timer_t timer; /* so that a turn ends */
        uv_timer_init(&loop->uv, &timer);
        uv_timer_start(&timer, on_time, 10, 0);
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
        uv_close((uv_handle_t *)&timer, NULL);
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    } else {
        (void)smux_poll_run_once(loop->poll, smux_now_us() + 10000);
    }
}

static void loop_deinit(struct loop *loop)
{
    if (loop->is_uv) {
        ck_assert_int_eq(uv_run(&loop->uv, UV_RUN_DEFAULT), 0);
        ck_assert_int_eq(uv_loop_close(&loop->uv), 0);
    } else {
        smux_poll_free(loop->poll);
    }
}

/* Makes both transports; what could not be made has no operations. */
static void make_link(enum link link, struct smux_transport out[2])
{
    int fds[2][2]; /* reading and writing, of each end */

    out[0].ops = out[1].ops = NULL;
    if (link == LINK_PAIR) {
        (void)fine(smux_transport_pair(1000, out));
        return;
    }
    link_make_fds(link, fds);
    for (int i = 0; i < 2; i++) {
        if (!fine(smux_transport_fd(fds[i][0], fds[i][1], &out[i]))) {
            out[i].ops = NULL;
            close(fds[i][0]);
            if (fds[i][1] != fds[i][0]) {
                close(fds[i][1]);
            }
        }
    }
}

/* Makes an end and attaches it; false when that went wrong, and then nothing of it is left. */
static bool start_end(struct loop *loop, struct end *end, struct smux_transport *transport,
                      const struct smux_config *config, bool calls)
{
    end->conn = NULL;
    if (transport->ops == NULL) {
        return false;
    }
    int status = calls ? end_init_caller(end, SMUX_CLIENT, transport, config)
                       : end_init_echo(end, SMUX_SERVER, transport, config);
    if (!fine(status)) {
        smux_transport_close(transport);
        end->conn = NULL;
        return false;
    }
    if (!loop_attach(loop, end->conn)) {
        end_free(end);
        return false;
    }
    return true;
}

/* Turns the loop until all streams are through, or nothing will come any more. */
static void run_streams(struct loop *loop, unsigned opened)
{
    uint64_t give_up_us = smux_now_us() + PATIENCE_US;
    bool draining = false;

    while (caller.conn != NULL && echo.conn != NULL &&
           (scarce_failures() == 0 || smux_now_us() < give_up_us)) {
        loop_turn(loop);
        if (!draining && caller.conn != NULL &&
            caller.complete + caller.failed + caller.cut >= opened) {
            draining = true;
            smux_conn_drain(caller.conn);
        }
    }
    for (int i = 0; i < 3; i++) { /* the other end may be on its way out */
        loop_turn(loop);
    }
}

static void judge(const struct scenario *scenario)
{
    bool explained = echo.dropped || echo.failed > 0 || scarce_failures() > 0;

    ck_assert_msg(!caller.wrong, "%s: wrong bytes", scenario->name);
    ck_assert_msg(caller.cut == 0 || explained, "%s: short", scenario->name);
    if (scarce_failures() == 0) {
        ck_assert_uint_eq(caller.complete, scenario->streams);
        ck_assert_uint_eq(caller.received, scenario->streams * scenario->bytes);
    }
}

static void exchange(const struct scenario *scenario)
{
    struct loop loop;
    struct smux_transport transports[2];
    struct smux_config config;
    unsigned opened = 0;

    smux_config_init(&config);
    config.version = scenario->version;
    config.fin_linger_ms = 1;
    config.drain_timeout_ms = 50;
    if (!loop_init(&loop, scenario->uv)) {
        return;
    }
    make_link(scenario->link, transports);
    bool both = start_end(&loop, &caller, &transports[0], &config, true);
    both = start_end(&loop, &echo, &transports[1], &config, false) && both;
    if (both) {
        caller.to_send = scenario->bytes;
        for (unsigned i = 0; i < scenario->streams; i++) {
            opened += fine(end_call(&caller)) ? 1 : 0;
        }
        run_streams(&loop, opened);
        judge(scenario);
    }
    end_free(&caller);
    end_free(&echo);
    loop_deinit(&loop);
}

/* The n-th allocation fails; 0 for none. Returns whether there was one. */
static bool play(const void *arg, unsigned n, bool on)
{
    const struct scenario *scenario = arg;
    unsigned fds = faults_open_fds();

    memset(&caller, 0, sizeof caller);
    memset(&echo, 0, sizeof echo);
    scarce_begin(n, on);
    exchange(scenario);
    ck_assert_msg(scarce_live() == 0, "%s, %u: %zu blocks stay", scenario->name, n, scarce_live());
    ck_assert_uint_eq(faults_open_fds(), fds);
    return scarce_end() > 0;
}

START_TEST(K1_every_allocation_fails)
{
    const struct scenario *scenario = &scenarios[_i];

    uv_loop_t first; /* libuv keeps descriptors of its own from the first loop on */

    ck_assert_int_eq(uv_loop_init(&first), 0);
    ck_assert_int_eq(uv_loop_close(&first), 0);
    starve(play, scenario, scenario->name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("starved connections");
    TCase *tc = tcase_create("starved connections");

    signal(SIGPIPE, SIG_IGN); /* pipes */
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, K1_every_allocation_fails, 0, N_SCENARIOS);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
