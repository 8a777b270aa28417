/*
 * Calls that hand each other the work of their session: receiving, sending, timers.
 */
#define _GNU_SOURCE 1

#include "scenarios.h"
#include "scene.h"

#include "flow.h"
#include "frames.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STREAMS 5

static struct ends ends;
static smux_stream *near[MAX_STREAMS], *far[MAX_STREAMS];

static void open_streams(struct rng *rng, const struct smux_config *config, unsigned n)
{
    scene_open(&ends, rng, config, config);
    for (unsigned i = 0; i < n; i++) {
        ends_stream(&ends, &near[i], &far[i]);
    }
}

static void close_all(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        smux_stream_close(near[i]);
        smux_stream_close(far[i]);
    }
    scene_close(&ends);
}

/* Reads one byte, as often as told. */
struct taker {
    smux_stream *stream;
    unsigned times;
    int status;
};

static void take_bytes(void *arg)
{
    struct taker *taker = arg;
    char byte;
    size_t n;

    for (unsigned i = 0; i < taker->times; i++) {
        taker->status = smux_stream_read(taker->stream, &byte, 1, &n);
    }
}

static void give_byte(smux_stream *stream)
{
    ck_assert_int_eq(smux_stream_write(stream, "x", 1, NULL), SMUX_OK);
}

/* --- the receiver's role ---------------------------------------------------------------------- */

void T12_role_handed_over_as_a_deadline_comes(struct rng *rng)
{
    struct actor actors[2];
    struct smux_config config;

    scene_config(&config, rng);
    open_streams(rng, &config, 2);
    struct taker takers[2] = {{far[0], 1, 0}, {far[1], 1, 0}};
    for (int i = 0; i < 2; i++) {
        actor_start(&actors[i], i == 0 ? "owner" : "other", take_bytes, &takers[i]);
    }
    scene_pause(rng, 2000);
    smux_stream_set_read_deadline(far[0], smux_now_us() + rng_below(rng, 2) * rng_below(rng, 500));
    give_byte(near[1]);
    uint64_t given_us = smux_now_us();
    actor_join(&actors[1]);
    ck_assert_int_eq(takers[1].status, SMUX_OK);
    ck_assert_uint_lt(smux_now_us() - given_us, 1000000);
    actor_join(&actors[0]);
    ck_assert_int_eq(takers[0].status, SMUX_EDEADLINE);
    close_all(2);
}

void T13_readers_that_leave_with_the_role(struct rng *rng)
{
    struct actor actors[MAX_STREAMS];
    struct taker takers[MAX_STREAMS];
    unsigned left[MAX_STREAMS];
    struct smux_config config;
    unsigned total = 0;

    scene_config(&config, rng);
    open_streams(rng, &config, MAX_STREAMS);
    for (unsigned i = 0; i < MAX_STREAMS; i++) {
        left[i] = rng_between(rng, 1, 4);
        total += left[i];
        takers[i] = (struct taker){far[i], left[i], 0};
        actor_start(&actors[i], "reader", take_bytes, &takers[i]);
    }
    while (total > 0) {
        unsigned i = rng_below(rng, MAX_STREAMS);
        if (left[i] > 0) {
            give_byte(near[i]);
            left[i]--;
            total--;
            scene_pause(rng, 3000);
        }
    }
    for (int i = 0; i < MAX_STREAMS; i++) {
        actor_join(&actors[i]);
        ck_assert_int_eq(takers[i].status, SMUX_OK);
    }
    close_all(MAX_STREAMS);
}

static void echo_bytes(void *arg)
{
    char byte;
    size_t n;
    int status;

    while ((status = smux_stream_read(arg, &byte, 1, &n)) == SMUX_OK) {
        ck_assert_int_eq(smux_stream_write(arg, &byte, 1, NULL), SMUX_OK);
    }
    ck_assert_int_eq(status, SMUX_EOF);
}

/* Some milliseconds without a caller, and the background watches; about then a caller is back. */
void T17_background_against_a_caller(struct rng *rng)
{
    struct actor echo;
    struct smux_config config;

    scene_config(&config, rng);
    open_streams(rng, &config, 1);
    actor_start(&echo, "echo", echo_bytes, far[0]);
    for (unsigned i = 0; i < 8; i++) {
        struct taker taker = {near[0], 1, 0};
        give_byte(near[0]);
        scene_pause(rng, 12000);
        take_bytes(&taker);
        ck_assert_int_eq(taker.status, SMUX_OK);
        scene_pause(rng, 12000);
    }
    ck_assert_int_eq(smux_stream_shutdown(near[0]), SMUX_OK);
    actor_join(&echo);
    close_all(1);
}

/* --- the sender's role ------------------------------------------------------------------------ */

void T14_flush_under_way_hits_a_full_transport(struct rng *rng)
{
    struct actor actors[6];
    struct flow flows[6];
    struct smux_config config;

    scene_config(&config, rng);
    config.max_frame_size = rng_log(rng, 50, 20000);
    open_streams(rng, &config, 3);
    uint32_t piece = rng_log(rng, 4000, 40000); /* large ones are lent, not copied */
    for (unsigned i = 0; i < 6; i++) {
        flows[i] = (struct flow){.key = i / 2, .len = 2 * piece, .piece = piece, .shut = true};
        flows[i].stream = i % 2 == 0 ? near[i / 2] : far[i / 2];
        flows[i].seed = rng_next(rng);
        actor_start(&actors[i], i % 2 == 0 ? "writer" : "reader",
                    i % 2 == 0 ? flow_write_patiently : flow_read_exactly, &flows[i]);
    }
    for (int i = 0; i < 6; i++) {
        actor_join(&actors[i]);
    }
    close_all(3);
}

/* --- a peer by hand --------------------------------------------------------------------------- */

static smux_session *client;
static struct smux_transport peer;

/* Takes and drops what has arrived at the peer. */
static void peer_drain(void)
{
    static char buf[50000]; /* as much as the wire holds */
    const struct smux_iov iov = {buf, sizeof buf};
    size_t n;

    (void)peer.ops->readv(peer.ctx, &iov, 1, &n);
}

static void peer_send(const uint8_t *data, size_t len)
{
    for (size_t done = 0, n; done < len; done += n) {
        const struct smux_iov iov = {(void *)(uintptr_t)(data + done), len - done};
        peer_drain();
        if (peer.ops->writev(peer.ctx, &iov, 1, &n) == SMUX_EAGAIN) {
            sleep_ms(1);
            n = 0;
        }
    }
}

static void peer_send_data(const struct smux_config *config, uint32_t id, uint64_t key,
                           uint64_t offset, size_t len)
{
    uint8_t payload[2000], frame[FRAME_HEADER + sizeof payload];

    flow_fill(key, offset, payload, len);
    peer_send(frame, put_psh(frame, config->version, id, payload, len));
}

static void expect_dead(int status)
{
    expect_status(status, SMUX_EIO, SMUX_ETRUNCATED);
}

struct doomed {
    smux_stream *stream;
    size_t len;
};

static void write_until_dead(void *arg)
{
    const struct doomed *doomed = arg;
    uint8_t *buf = calloc(1, doomed->len);
    int status;

    while ((status = smux_stream_write(doomed->stream, buf, doomed->len, NULL)) == SMUX_OK) {
    }
    expect_dead(status);
    free(buf);
}

static void read_until_dead(void *arg)
{
    char buf[100];
    size_t n;

    expect_dead(smux_stream_read(arg, buf, sizeof buf, &n));
}

void T11_transport_error_while_a_writer_flushes(struct rng *rng)
{
    struct actor writers[2], reader;
    struct doomed doomed[2];
    struct smux_config config;

    scene_config(&config, rng);
    config.version = 1; /* no window stops the writers */
    scene_open_raw(&client, &peer, rng, &config);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(smux_session_open(client, &near[i]), SMUX_OK);
        doomed[i] = (struct doomed){near[i], rng_log(rng, 1, 40000)};
        actor_start(&writers[i], "writer", write_until_dead, &doomed[i]);
    }
    actor_start(&reader, "reader", read_until_dead, near[0]);
    for (unsigned i = rng_below(rng, 5); i > 0; i--) {
        peer_drain();
        scene_pause(rng, 1000);
    }
    peer.ops->close(peer.ctx);
    actor_join(&writers[0]);
    actor_join(&writers[1]);
    actor_join(&reader);
    smux_stream_close(near[0]);
    smux_stream_close(near[1]);
    expect_dead(smux_session_close(client));
}

/* --- timers ----------------------------------------------------------------------------------- */

#define SILENCE_MS 20

/* Sends a few bytes now and then, sometimes later than allowed; returns how many. */
static uint64_t break_silence(struct rng *rng, const struct smux_config *config, uint64_t key)
{
    uint64_t sent = 0;

    for (unsigned i = rng_below(rng, 5); i > 0; i--) {
        uint8_t payload[15], frame[FRAME_HEADER + sizeof payload];
        size_t len = rng_between(rng, 1, sizeof payload), n;
        scene_sleep(rng_between(rng, SILENCE_MS / 2, SILENCE_MS) * 1000);
        flow_fill(key, sent, payload, len);
        size_t frame_len = put_psh(frame, config->version, 3, payload, len);
        const struct smux_iov iov = {frame, frame_len};
        peer_drain();
        sent += len;
        if (peer.ops->writev(peer.ctx, &iov, 1, &n) != SMUX_OK || n < frame_len) {
            break; /* the session has ended, or the wire is too short */
        }
    }
    return sent;
}

void T18_silence_against_incoming_data(struct rng *rng)
{
    struct actor reader;
    struct smux_config config;

    scene_config(&config, rng);
    config.keepalive_mode = SMUX_KEEPALIVE_ALWAYS;
    config.keepalive_interval_ms = rng_between(rng, 1, SILENCE_MS / 2);
    config.keepalive_timeout_ms = SILENCE_MS;
    scene_open_raw(&client, &peer, rng, &config);
    int status = smux_session_open(client, &near[0]);
    expect_status(status, SMUX_OK, SMUX_ETIMEDOUT);
    if (status == SMUX_OK) {
        struct flow in = {.stream = near[0], .key = 18, .piece = 1000, .seed = rng_next(rng)};
        actor_start(&reader, "reader", flow_read_prefix, &in);
        uint64_t sent = break_silence(rng, &config, 18);
        actor_join(&reader);
        ck_assert_int_eq(in.status, SMUX_ETIMEDOUT);
        ck_assert_uint_le(in.done, sent);
        smux_stream_close(near[0]);
    }
    ck_assert_int_eq(smux_session_close(client), SMUX_ETIMEDOUT);
    peer.ops->close(peer.ctx);
}

#define STALL_MS 3

void T19_stall_abort_against_a_reader(struct rng *rng)
{
    struct actor actors[2];
    struct smux_config config;

    scene_config(&config, rng);
    config.version = 1; /* no window: one stream can fill the budget */
    config.stall_timeout_ms = STALL_MS;
    config.max_stream_buffer = 0;
    config.max_receive_buffer = 4000;
    scene_open_raw(&client, &peer, rng, &config);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(smux_session_open(client, &near[i]), SMUX_OK);
    }
    struct taker other = {near[1], 1, 0};
    actor_start(&actors[0], "other", take_bytes, &other);
    for (uint64_t sent = 0; sent < 4000; sent += 2000) {
        peer_send_data(&config, smux_stream_id(near[0]), 19, sent, 2000);
    }
    scene_sleep(rng_log(rng, 1, 2 * STALL_MS * 1000));
    struct flow in = {.stream = near[0], .key = 19, .piece = 10000, .seed = rng_next(rng)};
    actor_start(&actors[1], "reader", flow_read_prefix, &in);
    peer_send_data(&config, smux_stream_id(near[1]), 20, 0, 1); /* comes in behind all that */
    actor_join(&actors[0]);
    ck_assert_int_eq(other.status, SMUX_OK);
    smux_stream_abort(near[0]); /* lest the reader waits for more */
    actor_join(&actors[1]);
    expect_status(in.status, SMUX_EABORTED, SMUX_ESTALLED);
    ck_assert_uint_le(in.done, 4000);
    smux_stream_close(near[0]);
    smux_stream_close(near[1]);
    peer.ops->close(peer.ctx);
    int status = smux_session_close(client);
    ck_assert(status == SMUX_OK || smux_status_is_fatal(status));
}
