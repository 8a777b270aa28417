/*
 * Nobody sleeps on: whatever a call brings about, those who wait for it are told by that call.
 *
 * ctest-timeout: 60
 * ctest-waits
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "frames.h"
#include "suite.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- BKT-4: reading lets frames in that waited for room ------------------------------------- */

/* A session that has no timer of its own, so that nothing but the reading call can tell. */
#define BUDGET    16384
#define FRAME_LEN 3000
#define FRAMES    64

static smux_session *session;
static int peer;
static smux_stream *busy; /* fills the budget; read by the main thread */
static smux_stream *calm; /* somebody waits for its data */
static bool by_accept;    /* or for a new stream instead */
static atomic_bool woken;
static unsigned n_late_arrivals; /* what was waited for came in by reading */

static void start_session(void)
{
    struct smux_config config;
    int size = 1 << 20;
    int fds[2];

    smux_config_init(&config);
    config.keepalive_interval_ms = SMUX_OFF;
    config.accept_guard_ms = SMUX_OFF;
    config.accept_timeout_ms = SMUX_OFF;
    config.max_receive_buffer = BUDGET;
    config.max_stream_buffer = BUDGET / 2;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    ck_assert_int_eq(smux_server(fds[0], &config, &session), SMUX_OK);
    peer = fds[1];
}

static void peer_sends(const uint8_t *data, size_t len)
{
    ck_assert_int_eq(write(peer, data, len), (ssize_t)len);
}

static void start_streams(void)
{
    uint8_t buf[2 * FRAME_HEADER];
    size_t len = put_syn(buf, 1, 3);

    len += put_syn(buf + len, 1, 5);
    peer_sends(buf, len);
    ck_assert_int_eq(smux_session_accept(session, &busy), SMUX_OK);
    ck_assert_int_eq(smux_session_accept(session, &calm), SMUX_OK);
    ck_assert_uint_eq(smux_stream_id(busy), 3);
}

static void wait_for_news(void *arg)
{
    smux_stream *stream = NULL;
    char buf[16];
    size_t n;

    (void)arg;
    if (by_accept) {
        ck_assert_int_eq(smux_session_accept(session, &stream), SMUX_OK);
    } else {
        ck_assert_int_eq(smux_stream_read(calm, buf, sizeof buf, &n), SMUX_OK);
    }
    atomic_store(&woken, true);
    smux_stream_close(stream);
}

/* Sends frames for the busy stream, and behind `place` of them what is waited for. */
static void send_news(unsigned place)
{
    static uint8_t buf[FRAMES * (FRAME_HEADER + FRAME_LEN) + FRAME_MAX];
    static const uint8_t payload[FRAME_LEN];
    size_t len = 0;

    for (unsigned i = 0; i < FRAMES; i++) {
        if (i == place && by_accept) {
            len += put_syn(buf + len, 1, 7);
        } else if (i == place) {
            len += put_psh(buf + len, 1, 5, "hi", 2);
        }
        len += put_psh(buf + len, 1, 3, payload, FRAME_LEN);
    }
    peer_sends(buf, len);
}

static bool is_paused(void *arg)
{
    struct smux_session_stats stats;

    (void)arg;
    smux_session_stats(session, &stats);
    return stats.receive_pauses > 0;
}

static bool is_woken(void *arg)
{
    (void)arg;
    return atomic_load(&woken);
}

static bool news_came(void)
{
    struct smux_session_stats stats;

    smux_session_stats(session, &stats);
    return stats.frames_in.syn == 3 || stats.payload_in % 100 == 2;
}

static void expect_told(void)
{
    if (news_came()) {
        ck_assert_msg(await(is_woken, NULL), "what was waited for came, and nobody was told");
    }
}

static void read_until_news(void)
{
    char buf[900];
    size_t n;

    while (!news_came()) {
        ck_assert_int_eq(smux_stream_read(busy, buf, sizeof buf, &n), SMUX_OK);
    }
    expect_told();
}

/* Takes its time over every piece, so that nothing happens but what the last one brought about. */
static int slow_sink(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    expect_told();
    return news_came() ? SMUX_EABORTED : SMUX_OK;
}

static void copy_until_news(void)
{
    ck_assert_int_eq(smux_stream_copy_to(busy, slow_sink, NULL, NULL), SMUX_EABORTED);
}

/* One run with the news behind `place` frames. */
static void expect_news(unsigned place, void (*read_busy)(void))
{
    struct task waiter;

    atomic_store(&woken, false);
    start_session();
    start_streams();
    task_start(&waiter, wait_for_news, NULL);
    sleep_ms(10);
    send_news(place);
    ck_assert(await(is_paused, NULL));
    sleep_ms(10);
    n_late_arrivals += !news_came();
    read_busy();
    task_join(&waiter);
    smux_stream_close(busy);
    smux_stream_close(calm);
    smux_session_abort(session);
    ck_assert_int_eq(smux_session_close(session), SMUX_ECLOSED);
    close(peer);
}

static void expect_news_everywhere(void (*read_busy)(void))
{
    n_late_arrivals = 0;
    for (unsigned place = 2; place <= 14; place += 2) {
        expect_news(place, read_busy);
    }
    ck_assert_uint_ge(n_late_arrivals, 4); /* else this test proves nothing */
}

START_TEST(BKT_4_reading_wakes_those_whose_frames_it_lets_in)
{
    by_accept = _i == 1;
    expect_news_everywhere(read_until_news);
}
END_TEST

START_TEST(BKT_4_copying_wakes_those_whose_frames_it_lets_in)
{
    by_accept = _i == 1;
    expect_news_everywhere(copy_until_news);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wakeups");
    TCase *tcase = tcase_create("wakeups");

    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, BKT_4_reading_wakes_those_whose_frames_it_lets_in, 0, 2);
    tcase_add_loop_test(tcase, BKT_4_copying_wakes_those_whose_frames_it_lets_in, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
