/*
 * Classes and weights of streams, set by other threads than those that write.
 *
 * ctest-timeout: 60
 */
#include "ends.h"
#include "flow.h"
#include "frames.h"
#include "suite.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- who is served ------------------------------------------------------------------------- */

/* The peer of a session, played by the test: it reads frames as slowly as it likes. */
struct peer {
    int fd;
    uint64_t got[2]; /* payload bytes, a stream */
};

static void peer_read(const struct peer *peer, void *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = recv(peer->fd, (char *)buf + done, len - done, 0);
        ck_assert_int_gt(n, 0);
        done += (size_t)n;
    }
}

/* Takes `len` bytes of payload and counts them anew. */
static void peer_take(struct peer *peer, uint64_t len)
{
    static uint8_t buf[FRAME_MAX];
    struct frame frame;

    memset(peer->got, 0, sizeof peer->got);
    while (peer->got[0] + peer->got[1] < len) {
        peer_read(peer, buf, FRAME_HEADER);
        frame_header(buf, &frame);
        peer_read(peer, buf, frame.len);
        if (frame.cmd == CMD_PSH) {
            peer->got[(frame.id - 3) / 2] += frame.len;
        }
    }
}

/* One write, larger than all that is read: it blocks from the beginning to the end of the test. */
static void write_for_ever(void *arg)
{
    static char zeros[64 << 20];

    ck_assert_int_eq(smux_stream_write(arg, zeros, sizeof zeros, NULL), SMUX_EABORTED);
}

static bool has_data_waiting(void *arg)
{
    struct smux_stream_stats stats;

    smux_stream_stats(arg, &stats);
    return stats.unsent > 0;
}

static void set(smux_stream *stream, unsigned priority, unsigned weight)
{
    ck_assert_int_eq(smux_stream_set_priority(stream, priority, weight), SMUX_OK);
}

/* The share of stream 0 in the next 8 MiB; what was on its way before does not count. */
static void expect_share(struct peer *peer, double low, double high)
{
    peer_take(peer, 4 << 20);
    peer_take(peer, 8 << 20);
    double share = (double)peer->got[0] / (double)(peer->got[0] + peer->got[1]);
    ck_assert_double_ge(share, low);
    ck_assert_double_le(share, high);
}

START_TEST(the_priority_of_a_blocked_writer_is_set_by_another_thread)
{
    smux_session *session;
    smux_stream *streams[2];
    struct task writers[2];
    struct peer peer;
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    peer.fd = fds[1];
    ck_assert_int_eq(smux_client(fds[0], NULL, &session), SMUX_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(smux_session_open(session, &streams[i]), SMUX_OK);
        task_start(&writers[i], write_for_ever, streams[i]);
    }
    for (int i = 0; i < 2; i++) {
        ck_assert(await(has_data_waiting, streams[i]));
    }
    expect_share(&peer, 0.48, 0.52);
    set(streams[1], 7, 1);
    expect_share(&peer, 0, 0);
    set(streams[0], 7, 3);
    expect_share(&peer, 0.73, 0.77);
    set(streams[1], 6, SMUX_WEIGHT_MAX);
    expect_share(&peer, 1, 1);
    for (int i = 0; i < 2; i++) {
        smux_stream_abort(streams[i]);
        task_join(&writers[i]);
        smux_stream_close(streams[i]);
    }
    smux_session_abort(session);
    (void)smux_session_close(session);
    close(peer.fd);
}
END_TEST

/* --- all at once --------------------------------------------------------------------------- */

#define STREAMS 6
#define LEN     (8u << 20)

static smux_stream *near[STREAMS], *far[STREAMS];
static _Atomic int writing;

static void send_all(void *arg)
{
    flow_send(arg, flow_key(1, smux_stream_id(arg), 0), LEN, 70000);
    ck_assert_int_eq(smux_stream_shutdown(arg), SMUX_OK);
    writing--;
}

static void expect_all(void *arg)
{
    flow_expect(arg, flow_key(1, smux_stream_id(arg), 0), LEN);
    expect_end(arg);
}

START_TEST(priorities_change_all_the_time_and_no_byte_is_lost)
{
    struct task senders[STREAMS], readers[STREAMS];
    struct ends ends;
    unsigned n;

    ends_open_version(&ends, WIRE_SOCKET, (uint32_t)_i);
    writing = STREAMS;
    for (int i = 0; i < STREAMS; i++) {
        ends_stream(&ends, &near[i], &far[i]);
        task_start(&readers[i], expect_all, far[i]);
        task_start(&senders[i], send_all, near[i]);
    }
    for (n = 0; writing > 0; n++) {
        smux_stream *stream = near[n % STREAMS];

        if (smux_stream_set_priority(stream, n % 7, 1 + n % 256) != SMUX_OK ||
            smux_stream_set_priority(stream, 8, 16) != SMUX_EINVAL) {
            ck_abort_msg("call %u", n);
        }
    }
    ck_assert_uint_gt(n, 100);
    for (int i = 0; i < STREAMS; i++) {
        task_join(&senders[i]);
        task_join(&readers[i]);
        smux_stream_close(near[i]);
        smux_stream_close(far[i]);
    }
    ends_close(&ends);
}
END_TEST

START_TEST(numbers_out_of_range_are_refused)
{
    struct ends ends;

    ends_open(&ends, WIRE_MEMORY, NULL);
    ends_stream(&ends, &near[0], &far[0]);
    ck_assert_int_eq(smux_stream_set_priority(near[0], SMUX_PRIORITY_MAX + 1, 16), SMUX_EINVAL);
    ck_assert_int_eq(smux_stream_set_priority(near[0], 0, 0), SMUX_EINVAL);
    ck_assert_int_eq(smux_stream_set_priority(near[0], 0, SMUX_WEIGHT_MAX + 1), SMUX_EINVAL);
    ck_assert_int_eq(smux_stream_set_priority(NULL, 0, 16), SMUX_EINVAL);
    set(near[0], 0, 1);
    set(near[0], SMUX_PRIORITY_MAX, SMUX_WEIGHT_MAX);
    smux_session_abort(ends.client);
    set(near[0], SMUX_PRIORITY_DEFAULT, SMUX_WEIGHT_DEFAULT); /* no harm in it */
    smux_stream_close(near[0]);
    smux_stream_close(far[0]);
    (void)smux_session_close(ends.client);
    (void)smux_session_close(ends.server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session priority");
    TCase *tcase = tcase_create("priority");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_priority_of_a_blocked_writer_is_set_by_another_thread);
    tcase_add_loop_test(tcase, priorities_change_all_the_time_and_no_byte_is_lost, 1, 3);
    tcase_add_test(tcase, numbers_out_of_range_are_refused);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
