/*
 * Many blocked calls that meet the end of their session.
 */
#define _GNU_SOURCE 1

#include "scenarios.h"
#include "scene.h"

#include <check.h>
#include <stdlib.h>

#define MAX_BLOCKED 100

static struct actor blocked[MAX_BLOCKED];

static void block_in_read(void *arg)
{
    char buf[10];
    size_t n;

    expect_end_status(smux_stream_read(arg, buf, sizeof buf, &n));
    atomic_fetch_add(&scene.returned, 1);
}

static void read_to_end(void *arg)
{
    char buf[1000];
    size_t n;
    int status;

    while ((status = smux_stream_read(arg, buf, sizeof buf, &n)) == SMUX_OK) {
    }
    expect_end_status(status);
}

static void block_in_write(void *arg)
{
    enum {
        LEN = 400000
    };
    uint8_t *buf = calloc(1, LEN);
    size_t n;

    int status = smux_stream_write(arg, buf, LEN, &n);
    ck_assert(n == LEN || status != SMUX_OK);
    if (status != SMUX_OK) { /* who closes reads and drops it, perhaps all */
        expect_end_status(status);
    }
    atomic_fetch_add(&scene.returned, 1);
    free(buf);
}

static void block_in_accept(void *arg)
{
    smux_stream *stream;

    expect_end_status(smux_session_accept(arg, &stream));
    atomic_fetch_add(&scene.returned, 1);
}

/* Blocks so many callers at the client; its peer reads nothing. */
static void block_callers(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (i % 3 == 0) {
            actor_start(&blocked[i], "accepter", block_in_accept, scene.ends.client);
        } else {
            actor_start(&blocked[i], i % 3 == 1 ? "reader" : "writer",
                        i % 3 == 1 ? block_in_read : block_in_write, scene.near);
        }
    }
}

static void join_blocked(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        actor_join(&blocked[i]);
    }
}

/* Not even the kernel takes what the writers have. */
static void blocking_config(struct smux_config *config, struct rng *rng)
{
    scene_config(config, rng);
    config->max_frame_size = rng_log(rng, 200, 20000);
    config->max_stream_buffer = rng_log(rng, 100, 20000);
    config->max_receive_buffer = config->max_stream_buffer * 4;
    config->drain_timeout_ms = rng_between(rng, 1, 20);
}

/* A handle is closed exactly once; so one thread closes the session, another one aborts it, which
 * ends it as well, and a third one closes the other end. */
void T9_two_ends_of_a_session_with_many_blocked(struct rng *rng)
{
    struct closer closers[2];
    struct smux_config config;

    blocking_config(&config, rng);
    scene_begin(rng, &config);
    block_callers(MAX_BLOCKED);
    if (rng_chance(rng, 70)) {
        scene_await_blocked(scene.ends.client, MAX_BLOCKED);
    }
    closer_start(&closers[0], scene.ends.client);
    closer_start(&closers[1], scene.ends.server);
    scene_pause(rng, 5000);
    smux_session_abort(scene.ends.client); /* its streams keep the memory */
    join_blocked(MAX_BLOCKED);
    closer_join(&closers[0]);
    closer_join(&closers[1]);
    scene_close_streams();
}

void T10_abort_with_blocked_callers(struct rng *rng)
{
    unsigned n = rng_between(rng, 1, 9);
    struct smux_config config;
    struct actor peer;

    blocking_config(&config, rng);
    scene_begin(rng, &config);
    block_callers(n);
    actor_start(&peer, "peer", read_to_end,
                scene.far); /* a session that is not read notices no end */
    if (rng_chance(rng, 50)) {
        scene_await_blocked(scene.ends.client, n);
    }
    scene_pause(rng, 3000);
    smux_session_abort(scene.ends.client);
    join_blocked(n);
    actor_join(&peer);
    ck_assert_int_eq(smux_session_error(scene.ends.client), SMUX_ECLOSED);
    scene_close_streams();
    scene_close_anyhow(&scene.ends);
}
/* --- T21 -------------------------------------------------------------------------------------- */

enum sink_action {
    SINK_ABORTS_STREAM,
    SINK_ABORTS_SESSION,
    SINK_CLOSES_SESSION,
    SINK_ACTIONS
};

struct sink {
    enum sink_action action;
    unsigned after; /* pieces */
    bool closed;
};

static int act(void *arg, const void *data, size_t len)
{
    struct sink *sink = arg;

    (void)data;
    (void)len;
    if (sink->closed || sink->after-- > 0) {
        return SMUX_OK;
    }
    if (sink->action == SINK_ABORTS_STREAM) {
        smux_stream_abort(scene.far);
    } else if (sink->action == SINK_ABORTS_SESSION) {
        smux_session_abort(scene.ends.server);
    } else {
        struct closer closer = {.session = scene.ends.server};
        closer_run(&closer);
        sink->closed = true;
    }
    return SMUX_OK;
}

/* Another reader may have taken it all. */
static void copy_until_cut(void *arg)
{
    int status = smux_stream_copy_to(scene.far, act, arg, NULL);

    if (status != SMUX_OK) {
        expect_end_status(status);
    }
}

static void write_and_shut(void *arg)
{
    block_in_write(arg);
    smux_stream_shutdown(arg);
}

void T21_close_from_a_sink(struct rng *rng)
{
    struct actor copier, writer, others[2];
    struct closer closer;
    struct smux_config config;
    struct sink sink = {.action = (enum sink_action)rng_below(rng, SINK_ACTIONS)};

    blocking_config(&config, rng);
    sink.after = rng_below(rng, 3);
    scene_begin(rng, &config);
    actor_start(&writer, "writer", write_and_shut, scene.near);
    actor_start(&copier, "copier", copy_until_cut, &sink);
    actor_start(&others[0], "second reader", read_to_end, scene.far);
    actor_start(&others[1], "accepter", block_in_accept, scene.ends.client);
    actor_join(&copier);
    actor_join(&others[0]);
    smux_stream_close(scene.far);
    scene.far = NULL;
    closer_start(&closer, scene.ends.client);
    actor_join(&others[1]);
    actor_join(&writer);
    closer_join(&closer);
    scene_close_streams();
    if (!sink.closed) {
        closer_start(&closer, scene.ends.server);
        closer_join(&closer);
    }
}
