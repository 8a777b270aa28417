/*
 * Calls that meet on a stream that is read.
 */
#define _GNU_SOURCE 1

#include "scenarios.h"
#include "scene.h"

#include <check.h>
#include <stdlib.h>

struct reader {
    smux_stream *stream;
    uint32_t size;
    bool once;
    uint64_t got;
    int status;
};

static void read_counted(void *arg)
{
    struct reader *reader = arg;
    uint8_t *buf = malloc(reader->size);
    size_t n;

    do {
        reader->status = smux_stream_read(reader->stream, buf, reader->size, &n);
        ck_assert(count_is_right(buf, n));
        reader->got += n;
    } while (reader->status == SMUX_OK && !reader->once);
    atomic_fetch_add(&scene.returned, 1);
    free(buf);
}

struct writer {
    smux_stream *stream;
    uint64_t len;
    uint64_t seed;
    uint64_t done;
    int status;
};

static void write_counted(void *arg)
{
    struct writer *writer = arg;
    uint8_t buf[5000];
    struct rng rng;

    rng_seed(&rng, writer->seed);
    while (writer->done < writer->len && writer->status == SMUX_OK) {
        uint64_t left = writer->len - writer->done;
        size_t len = rng_log(&rng, 1, sizeof buf), n;
        len = len < left ? len : (size_t)left;
        count_fill(writer->done, buf, len);
        writer->status = smux_stream_write(writer->stream, buf, len, &n);
        writer->done += n;
    }
}

/* After a close the handle is good for those calls only that are blocked already; after an abort
 * for all. */
static void stop_readers(bool by_close, struct rng *rng)
{
    if (by_close) {
        scene_await_blocked(scene.ends.server, 2);
    }
    scene_pause(rng, 2000);
    if (by_close) {
        smux_stream_close(scene.far);
        scene.far = NULL;
    } else {
        smux_stream_abort(scene.far);
    }
}

void T1_two_readers_and_close(struct rng *rng)
{
    struct actor actors[3];
    struct reader readers[2];
    struct smux_config config;
    bool by_close = rng_chance(rng, 50);

    scene_config(&config, rng);
    scene_begin(rng, &config);
    for (int i = 0; i < 2; i++) {
        readers[i] = (struct reader){scene.far, rng_log(rng, 1, 20000), by_close, 0, 0};
        actor_start(&actors[i], i == 0 ? "reader 1" : "reader 2", read_counted, &readers[i]);
    }
    struct writer writer = {
        .stream = scene.near, .len = rng_below(rng, 100), .seed = rng_next(rng)};
    actor_start(&actors[2], "writer", write_counted, &writer);
    stop_readers(by_close, rng);
    for (int i = 0; i < 3; i++) {
        actor_join(&actors[i]);
    }
    for (int i = 0; i < 2; i++) {
        expect_status(readers[i].status, SMUX_EABORTED, by_close ? SMUX_OK : SMUX_EABORTED);
    }
    ck_assert_uint_le(readers[0].got + readers[1].got, writer.done);
    scene_end();
}

void T2_read_against_the_last_data_and_fin(struct rng *rng)
{
    struct actor actors[2];
    struct reader readers[2];
    struct smux_config config;
    unsigned n = rng_between(rng, 1, 2);

    scene_config(&config, rng);
    scene_begin(rng, &config);
    for (unsigned i = 0; i < n; i++) {
        readers[i] = (struct reader){scene.far, rng_log(rng, 1, 20000), false, 0, 0};
        actor_start(&actors[i], i == 0 ? "reader 1" : "reader 2", read_counted, &readers[i]);
    }
    struct writer writer = {
        .stream = scene.near, .len = rng_below(rng, 5000), .seed = rng_next(rng)};
    write_counted(&writer);
    ck_assert_int_eq(writer.status, SMUX_OK);
    scene_pause(rng, 5000);
    ck_assert_int_eq(smux_stream_shutdown(scene.near), SMUX_OK);
    uint64_t got = 0;
    for (unsigned i = 0; i < n; i++) {
        actor_join(&actors[i]);
        ck_assert_int_eq(readers[i].status, SMUX_EOF);
        got += readers[i].got;
    }
    ck_assert_uint_eq(got, writer.len);
    scene_end();
}

static int take_counted(void *arg, const void *data, size_t len)
{
    struct reader *reader = arg;

    ck_assert(count_is_right(data, len));
    reader->got += len;
    return SMUX_OK;
}

static void copy_counted(void *arg)
{
    struct reader *reader = arg;

    reader->status = smux_stream_copy_to(reader->stream, take_counted, reader, NULL);
}

/* What one shows to its sink is not the other's, and the other way round. */
void copy_against_a_second_reader(struct rng *rng)
{
    struct actor actors[2];
    struct smux_config config;

    scene_config(&config, rng);
    config.version = 2;
    config.max_stream_buffer = rng_log(rng, 50, 300); /* so window updates are sent in between */
    config.max_receive_buffer = 8000;
    scene_begin(rng, &config);
    struct reader copier = {.stream = scene.far};
    struct reader reader = {.stream = scene.far, .size = rng_log(rng, 1, 100)};
    struct writer writer = {.stream = scene.near, .len = 5000, .seed = rng_next(rng)};
    actor_start(&actors[0], "copier", copy_counted, &copier);
    actor_start(&actors[1], "reader", read_counted, &reader);
    write_counted(&writer);
    ck_assert_int_eq(smux_stream_shutdown(scene.near), SMUX_OK);
    actor_join(&actors[0]);
    actor_join(&actors[1]);
    ck_assert_int_eq(copier.status, SMUX_OK);
    ck_assert_int_eq(reader.status, SMUX_EOF);
    ck_assert_uint_eq(copier.got + reader.got, writer.len);
    scene_end();
}
/* --- deadlines -------------------------------------------------------------------------------- */

void T20_deadline_changed_while_waiting(struct rng *rng)
{
    struct actor actor;
    struct smux_config config;
    struct reader reader;
    bool served = rng_chance(rng, 50);

    scene_config(&config, rng);
    scene_begin(rng, &config);
    reader = (struct reader){scene.far, 10, true, 0, 0};
    if (rng_chance(rng, 50)) {
        smux_stream_set_read_deadline(scene.far, in_ms(1000));
    }
    actor_start(&actor, "reader", read_counted, &reader);
    for (unsigned i = rng_below(rng, 6); i > 0; i--) {
        uint64_t later_us = smux_now_us() + rng_between(rng, 1000000, 2000000);
        smux_stream_set_read_deadline(scene.far, rng_chance(rng, 30) ? SMUX_NEVER : later_us);
        scene_pause(rng, 1000);
    }
    uint64_t last_us = smux_now_us() + rng_below(rng, 3) * rng_below(rng, 2000);
    smux_stream_set_read_deadline(scene.far, last_us);
    scene_pause(rng, 3000);
    if (served) {
        ck_assert_int_eq(smux_stream_write(scene.near, "\1", 1, NULL), SMUX_OK);
    }
    actor_join(&actor);
    expect_status(reader.status, SMUX_EDEADLINE, served ? SMUX_OK : SMUX_EDEADLINE);
    ck_assert(reader.status == SMUX_OK || smux_now_us() >= last_us);
    ck_assert_uint_lt(smux_now_us(), last_us + 900000); /* and not at one of the others */
    scene_end();
}
