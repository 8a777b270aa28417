/*
 * Calls that meet the end of their session, and a fork.
 */
#define _GNU_SOURCE 1

#include "scenarios.h"
#include "scene.h"

#include <check.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- T7 --------------------------------------------------------------------------------------- */

static atomic_uint n_written, n_arrived;

static void open_and_write(void *arg)
{
    smux_stream *stream;
    int status;

    (void)arg;
    for (int i = 0; i < 30 && (status = smux_session_open(scene.ends.client, &stream)) == SMUX_OK;
         i++) {
        if (smux_stream_write(stream, "hello", 5, NULL) == SMUX_OK) {
            atomic_fetch_add(&n_written, 1);
        }
        smux_stream_close(stream);
    }
    expect_status(status, SMUX_OK, SMUX_EGOAWAY, SMUX_ECLOSED);
}

/* A stream ends behind all of its data, or says that it was cut. */
static void expect_hello(smux_stream *stream)
{
    char buf[16];
    size_t got = 0, n;
    int status;

    while ((status = smux_stream_read(stream, buf + got, sizeof buf - got, &n)) == SMUX_OK) {
        got += n;
    }
    if (status == SMUX_EOF && got > 0) {
        ck_assert_uint_eq(got, 5);
        atomic_fetch_add(&n_arrived, 1);
    }
    smux_stream_close(stream);
}

static void accept_hellos(void *arg)
{
    smux_stream *stream;
    int status;

    (void)arg;
    while ((status = smux_session_accept(scene.ends.server, &stream)) == SMUX_OK) {
        expect_hello(stream);
    }
    ck_assert_int_eq(status, SMUX_EOF);
}

void T7_open_against_session_close(struct rng *rng)
{
    struct actor openers[3], accepter;
    struct closer closer;
    struct smux_config config;

    atomic_store(&n_written, 0);
    atomic_store(&n_arrived, 0);
    scene_config(&config, rng);
    config.max_receive_buffer = 1 << 20; /* or streams not read yet stop the one that is */
    scene_begin(rng, &config);
    actor_start(&accepter, "accepter", accept_hellos, NULL);
    for (int i = 0; i < 3; i++) {
        actor_start(&openers[i], "opener", open_and_write, NULL);
    }
    scene_pause(rng, 5000);
    closer_start(&closer, scene.ends.client);
    for (int i = 0; i < 3; i++) {
        actor_join(&openers[i]);
    }
    actor_join(&accepter);
    ck_assert_uint_eq(n_arrived, n_written); /* what was accepted from a writer has arrived */
    scene_close_streams();
    expect_status(smux_session_close(scene.ends.server), SMUX_OK);
    closer_join(&closer);
    ck_assert_int_eq(closer.status, SMUX_OK);
}

/* --- T8 --------------------------------------------------------------------------------------- */

static atomic_uint n_accepted;

static void accept_all(void *arg)
{
    smux_stream *stream;
    int status;

    (void)arg;
    while ((status = smux_session_accept(scene.ends.server, &stream)) == SMUX_OK) {
        atomic_fetch_add(&n_accepted, 1);
        smux_stream_close(stream);
    }
    expect_status(status, SMUX_EGOAWAY, SMUX_ECLOSED);
}

/* Opens streams that are accepted, or refused when they grow old; either ends them. */
static void open_some(void *arg)
{
    struct rng rng;
    smux_stream *stream;
    char byte;
    size_t n;

    rng_seed(&rng, (uint64_t)(uintptr_t)arg);
    for (int i = 0; i < 12; i++) {
        int status = smux_session_open(scene.ends.client, &stream);
        if (status != SMUX_OK) {
            expect_end_status(status);
            return;
        }
        status = smux_stream_write(stream, "?", 1, NULL);
        if (status == SMUX_OK) {
            status = smux_stream_read(stream, &byte, 1, &n);
        }
        expect_end_status(status);
        smux_stream_close(stream);
        scene_pause(&rng, 3000);
    }
}

void T8_accept_against_close_and_age(struct rng *rng)
{
    struct actor accepters[2], openers[2];
    struct closer closer;
    struct smux_config config, server_config;

    scene_config(&config, rng);
    config.drain_timeout_ms = 100;
    server_config = config;
    server_config.accept_timeout_ms = 1;
    atomic_store(&n_accepted, 0);
    scene_open(&scene.ends, rng, &config, &server_config);
    ck_assert_int_eq(smux_session_open(scene.ends.server, &scene.far), SMUX_OK);
    ck_assert_int_eq(smux_session_accept(scene.ends.client, &scene.near), SMUX_OK);
    for (int i = 0; i < 2; i++) {
        void *seed = (void *)(uintptr_t)rng_below(rng, INT32_MAX);
        actor_start(&openers[i], "opener", open_some, seed);
    }
    scene_pause(rng, 10000);
    for (int i = 0; i < 2; i++) {
        actor_start(&accepters[i], "accepter", accept_all, NULL);
    }
    scene_pause(rng, 10000);
    closer_start(&closer, scene.ends.server);
    for (int i = 0; i < 2; i++) {
        actor_join(&accepters[i]);
        actor_join(&openers[i]);
    }
    closer_join(&closer);
    ck_assert_uint_le(n_accepted, 24);
    scene_close_streams();
    closer_start(&closer, scene.ends.client);
    closer_join(&closer);
}
/* --- T16 -------------------------------------------------------------------------------------- */

static void close_after_answer(void *arg)
{
    struct flow *flow = arg;

    flow_read_exactly(flow); /* and its end: so the FIN of the answer may linger */
    struct flow answer = {.stream = flow->stream, .key = 17, .len = 300, .piece = 300};
    flow_write_patiently(&answer);
    smux_stream_close(flow->stream);
}

void T16_fin_linger_against_session_close(struct rng *rng)
{
    struct actor server, asker;
    struct closer closer;
    struct smux_config config;

    scene_config(&config, rng);
    config.fin_linger_ms = rng_between(rng, 1, 15);
    scene_begin(rng, &config);
    struct flow out = {
        .stream = scene.near, .key = 16, .len = rng_log(rng, 1, 3000), .piece = 1000};
    out.shut = true;
    struct flow in = out;
    in.stream = scene.far;
    actor_start(&server, "server", close_after_answer, &in);
    flow_write_patiently(&out);
    struct flow answer = {.stream = scene.near, .key = 17, .len = 300, .piece = 300, .shut = true};
    actor_start(&asker, "asker", flow_read_exactly, &answer);
    actor_join(&server);
    scene.far = NULL;
    scene_pause(rng, 20000);
    closer_start(&closer, scene.ends.server);
    actor_join(&asker); /* the answer and its end, however soon the session closes */
    closer_join(&closer);
    ck_assert_int_eq(closer.status, SMUX_OK);
    scene_close_streams();
    ck_assert_int_eq(smux_session_close(scene.ends.client), SMUX_OK);
}
/* --- T22 -------------------------------------------------------------------------------------- */

/* In the child: releases what it inherited, and touches nothing else. */
static void child_run(bool session_first)
{
    if (session_first) {
        smux_session_close(scene.ends.client);
    }
    smux_stream_close(scene.near);
    smux_stream_close(scene.far);
    if (!session_first) {
        smux_session_close(scene.ends.client);
    }
    smux_session_close(scene.ends.server);
    _exit(0);
}

void T22_fork_in_the_middle(struct rng *rng)
{
    struct actor actors[4];
    struct smux_config config;
    bool session_first = rng_chance(rng, 50);
    int status;

    scene_config(&config, rng);
    config.max_frame_size = rng_log(rng, 100, 20000);
    scene_begin(rng, &config);
    struct flow flows[4] = {
        {.stream = scene.near, .key = 1, .len = 20000, .piece = 3000, .shut = true},
        {.stream = scene.far, .key = 1, .len = 20000, .piece = 3000, .shut = true},
        {.stream = scene.far, .key = 2, .len = 20000, .piece = 3000, .shut = true},
        {.stream = scene.near, .key = 2, .len = 20000, .piece = 3000, .shut = true},
    };
    for (int i = 0; i < 4; i++) {
        flows[i].seed = rng_next(rng);
        actor_start(&actors[i], i % 2 == 0 ? "writer" : "reader",
                    i % 2 == 0 ? flow_write_patiently : flow_read_exactly, &flows[i]);
    }
    for (int i = 0; i < 2; i++) {
        scene_pause(rng, 2000);
        pid_t child = fork();
        if (child == 0) {
            child_run(session_first);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
    for (int i = 0; i < 4; i++) {
        actor_join(&actors[i]);
    }
    scene_close_streams();
    scene_close(&scene.ends);
}
