/*
 * Calls that meet on a stream that is written.
 */
#define _GNU_SOURCE 1

#include "scenarios.h"
#include "scene.h"

#include "flow.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Two streams, so that one writer's memory is sent, and one reader's filled, by the thread of the
 * other. */
void T3_deadline_and_memory_used_again(struct rng *rng)
{
    struct actor actors[4];
    struct smux_config config;
    smux_stream *other[2];
    uint32_t piece = rng_between(rng, 16384, 40000);

    scene_config(&config, rng);
    config.max_frame_size = rng_between(rng, 8000, 40000);
    config.max_stream_buffer = 100000;
    config.max_receive_buffer = 1 << 20;
    scene_begin(rng, &config);
    ends_stream(&scene.ends, &other[0], &other[1]);
    smux_stream *const streams[4] = {scene.near, scene.far, other[0], other[1]};
    struct flow flows[4];
    for (unsigned i = 0; i < 4; i++) {
        flows[i] = (struct flow){.stream = streams[i], .key = i / 2, .len = 100000, .piece = piece};
        flows[i].large = true;
        flows[i].shut = true;
        flows[i].seed = rng_next(rng);
        actor_start(&actors[i], i % 2 == 0 ? "writer" : "reader",
                    i % 2 == 0 ? flow_write_patiently : flow_read_exactly, &flows[i]);
    }
    for (int i = 0; i < 4; i++) {
        actor_join(&actors[i]);
    }
    smux_stream_close(other[0]);
    smux_stream_close(other[1]);
    scene_end();
}

/* One write of a flow, whatever becomes of it. */
static void write_once(void *arg)
{
    struct flow *flow = arg;
    uint8_t *buf = malloc((size_t)flow->len);
    size_t n;

    flow_fill(flow->key, 0, buf, (size_t)flow->len);
    flow->status = smux_stream_write(flow->stream, buf, (size_t)flow->len, &n);
    memset(buf, 0xcc, (size_t)flow->len);
    flow->done = n;
    atomic_fetch_add(&scene.returned, 1);
    free(buf);
}

/* Reads what a writer was told that it has written, and the end. */
static void expect_written(const struct flow *out)
{
    struct flow in = {.stream = scene.far, .key = out->key, .len = out->done, .piece = 30000};

    in.shut = true;
    in.seed = out->seed;
    flow_read_exactly(&in);
}

void T4_window_update_against_deadline(struct rng *rng)
{
    struct actor writer, reader;
    struct smux_config config;
    uint32_t wait_us = rng_log(rng, 100, 20000);

    scene_config(&config, rng);
    config.version = 2;
    config.max_frame_size = rng_log(rng, 100, 40000);
    scene_begin(rng, &config);
    struct flow out = {.stream = scene.near, .key = 4, .len = rng_log(rng, 1000, 100000)};
    out.seed = rng_next(rng);
    struct flow in = {.stream = scene.far, .key = 4, .piece = 30000, .seed = rng_next(rng)};
    smux_stream_set_write_deadline(scene.near, smux_now_us() + wait_us);
    actor_start(&writer, "writer", write_once, &out);
    scene_sleep(wait_us);
    actor_start(&reader, "reader", flow_read_prefix, &in);
    actor_join(&writer);
    expect_status(out.status, SMUX_OK, SMUX_EDEADLINE);
    ck_assert_int_eq(smux_stream_shutdown(scene.near), SMUX_OK);
    actor_join(&reader);
    ck_assert_int_eq(in.status, SMUX_EOF);
    ck_assert_uint_eq(in.done, out.done);
    scene_end();
}

void T5_shutdown_against_blocked_writer(struct rng *rng)
{
    struct actor writer;
    struct smux_config config;

    scene_config(&config, rng);
    config.max_frame_size = rng_log(rng, 100, 40000);
    scene_begin(rng, &config);
    struct flow out = {.stream = scene.near, .key = 5, .len = rng_log(rng, 1000, 100000)};
    out.seed = rng_next(rng);
    actor_start(&writer, "writer", write_once, &out);
    if (rng_chance(rng, 50)) {
        scene_await_blocked(scene.ends.client, 1);
    }
    scene_pause(rng, 2000);
    ck_assert_int_eq(smux_stream_shutdown(scene.near), SMUX_OK);
    struct flow in = {.stream = scene.far, .key = 5, .piece = 30000, .seed = rng_next(rng)};
    flow_read_prefix(&in);
    ck_assert_int_eq(in.status, SMUX_EOF);
    actor_join(&writer);
    expect_status(out.status, SMUX_OK, SMUX_EPIPE);
    ck_assert_uint_eq(in.done, out.done);
    scene_end();
}

void T6_close_against_half_written_frame(struct rng *rng)
{
    struct actor writers[2], reader;
    smux_stream *other_near, *other_far;
    struct smux_config config;

    scene_config(&config, rng);
    config.max_stream_send_buffer = 40000; /* a frame is formed while the one before is sent */
    scene_begin(rng, &config);
    ends_stream(&scene.ends, &other_near, &other_far);
    struct flow out = {.stream = scene.near, .key = 6, .len = rng_log(rng, 1, 20000)};
    struct flow other_out = {.stream = other_near, .key = 7, .len = rng_log(rng, 1, 9000)};
    struct flow other_in = {.stream = other_far, .key = 7, .len = other_out.len};
    out.seed = rng_next(rng);
    other_out.piece = other_in.piece = 3000;
    other_out.seed = other_in.seed = rng_next(rng);
    actor_start(&reader, "other reader", flow_read_exactly, &other_in);
    actor_start(&writers[0], "other writer", flow_write_patiently, &other_out);
    smux_stream_set_write_deadline(scene.near, in_ms(5));
    actor_start(&writers[1], "writer", write_once, &out);
    actor_join(&writers[1]);
    expect_status(out.status, SMUX_OK, SMUX_EDEADLINE);
    smux_stream_close(scene.near);
    scene.near = NULL;
    expect_written(&out);
    actor_join(&writers[0]);
    actor_join(&reader);
    smux_stream_close(other_near);
    smux_stream_close(other_far);
    scene_end();
}

/* --- two writers ------------------------------------------------------------------------------ */

/* Bytes of the two writers differ in their highest bit; the others count what it has written. */
struct half {
    smux_stream *stream;
    uint8_t flag;
    uint64_t seed;
    unsigned n_calls;
    size_t ends[100]; /* of the calls: bytes written by then */
};

static uint8_t half_byte(const struct half *half, size_t offset)
{
    return (uint8_t)(half->flag | offset % 127);
}

static void write_half(void *arg)
{
    struct half *half = arg;
    struct rng rng;
    uint8_t buf[2000];
    size_t done = 0;

    rng_seed(&rng, half->seed);
    half->n_calls = rng_between(&rng, 1, 100);
    for (unsigned call = 0; call < half->n_calls; call++) {
        size_t len = rng_log(&rng, 1, sizeof buf), n;
        for (size_t i = 0; i < len; i++) {
            buf[i] = half_byte(half, done + i);
        }
        int status = smux_stream_write(half->stream, buf, len, &n);
        expect_status(status, SMUX_OK, SMUX_EDEADLINE);
        ck_assert(status == SMUX_EDEADLINE || n == len);
        done += n;
        half->ends[call] = done;
        smux_stream_set_write_deadline(half->stream, smux_now_us() + rng_below(&rng, 3000));
    }
}

static bool is_end_of_call(const struct half *half, size_t offset)
{
    for (unsigned i = 0; i < half->n_calls; i++) {
        if (half->ends[i] == offset) {
            return true;
        }
    }
    return offset == 0;
}

static size_t half_len(const struct half *half)
{
    return half->ends[half->n_calls - 1];
}

/* Each writer's bytes are there in order; one follows the other between two calls only. */
static bool is_in_order(const struct half halves[2], const size_t done[2], const uint8_t *data,
                        size_t at)
{
    int who = data[at] >> 7;
    bool follows = at > 0 && data[at - 1] >> 7 != who;

    return data[at] == half_byte(&halves[who], done[who]) &&
           (!follows || is_end_of_call(&halves[1 - who], done[1 - who]));
}

static void expect_halves(const struct half halves[2], const uint8_t *data, size_t len)
{
    size_t done[2] = {0, 0};
    size_t at = 0;

    while (at < len && is_in_order(halves, done, data, at)) {
        done[data[at] >> 7]++;
        at++;
    }
    ck_assert_uint_eq(at, len); /* one for all: Check notes each assertion in a file */
    ck_assert_uint_eq(done[0], half_len(&halves[0]));
    ck_assert_uint_eq(done[1], half_len(&halves[1]));
}

#define HALVES_MAX ((size_t)2 * 100 * 2000)

struct collector {
    smux_stream *stream;
    uint8_t *data; /* HALVES_MAX + 1 */
    size_t len;
};

static void collect(void *arg)
{
    struct collector *collector = arg;
    size_t n;
    int status;

    while ((status = smux_stream_read(collector->stream, collector->data + collector->len,
                                      HALVES_MAX + 1 - collector->len, &n)) == SMUX_OK) {
        collector->len += n;
        ck_assert_uint_le(collector->len, HALVES_MAX);
    }
    ck_assert_int_eq(status, SMUX_EOF);
}

void T15_two_writers_one_partial(struct rng *rng)
{
    struct actor writers[2], reader;
    struct half halves[2];
    struct smux_config config;
    struct collector collector;

    scene_config(&config, rng);
    config.max_frame_size = rng_log(rng, 100, 40000);
    scene_begin(rng, &config);
    collector = (struct collector){scene.far, malloc(HALVES_MAX + 1), 0};
    for (int i = 0; i < 2; i++) {
        halves[i] =
            (struct half){.stream = scene.near, .flag = (uint8_t)(i << 7), .seed = rng_next(rng)};
        actor_start(&writers[i], i == 0 ? "writer 1" : "writer 2", write_half, &halves[i]);
    }
    actor_start(&reader, "reader", collect, &collector);
    actor_join(&writers[0]);
    actor_join(&writers[1]);
    ck_assert_int_eq(smux_stream_shutdown(scene.near), SMUX_OK);
    actor_join(&reader);
    expect_halves(halves, collector.data, collector.len);
    free(collector.data);
    scene_end();
}
