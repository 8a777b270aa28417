#define _GNU_SOURCE 1

#include "scene.h"

#include "flow.h"
#include "idle.h"
#include "seam.h"

#include "session/session_internal.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct scene scene;

/* --- actors ----------------------------------------------------------------------------------- */

static void actor_run(void *arg)
{
    struct actor *actor = arg;

    seam_name(actor->name);
    actor->run(actor->arg);
}

void actor_start(struct actor *actor, const char *name, void (*run)(void *arg), void *arg)
{
    actor->name = name;
    actor->run = run;
    actor->arg = arg;
    task_start(&actor->task, actor_run, actor);
}

void actor_join(struct actor *actor)
{
    task_join(&actor->task);
}

void scene_sleep(uint32_t us)
{
    struct timespec time = {.tv_nsec = (long)us * 1000};

    (void)nanosleep(&time, NULL);
}

void scene_pause(struct rng *rng, uint32_t most_us)
{
    if (rng_chance(rng, 50)) {
        scene_sleep(rng_log(rng, 1, most_us));
    }
}

/* --- sessions --------------------------------------------------------------------------------- */

void scene_config(struct smux_config *config, struct rng *rng)
{
    smux_config_init(config);
    config->version = rng_between(rng, 1, 2);
    config->keepalive_interval_ms = SMUX_OFF;
    config->keepalive_mode = SMUX_KEEPALIVE_NEVER;
    config->accept_timeout_ms = SMUX_OFF;
    config->half_close_timeout_ms = SMUX_OFF;
    config->frame_timeout_ms = SMUX_OFF;
    config->accept_guard_ms = rng_chance(rng, 50) ? SMUX_OFF : 1;
    config->fin_linger_ms = rng_chance(rng, 50) ? SMUX_OFF : rng_between(rng, 1, 20);
    config->drain_timeout_ms = 20000;
    config->max_frame_size = rng_log(rng, 1, 20000);
    config->max_stream_buffer = rng_log(rng, 100, 40000);
    config->max_receive_buffer = config->max_stream_buffer * rng_between(rng, 4, 8);
    config->max_stream_send_buffer = rng_log(rng, 100, 40000);
    config->busy_poll_us = rng_chance(rng, 10) ? 50 : 0;
}

/* Loopback TCP takes its own time: it would not be the same twice. */
static void make_wire(struct rng *rng, struct smux_transport out_transports[2])
{
    enum wire wire = (enum wire)rng_below(rng, WIRE_KINDS);

    if (seam_mode() == SEAM_SCHEDULED && (wire == WIRE_TCP || rng_chance(rng, 50))) {
        wire = WIRE_MEMORY;
    }
    if (wire == WIRE_MEMORY) {
        uint32_t capacity = rng_log(rng, 50, 50000);
        ck_assert_int_eq(smux_transport_pair(capacity, out_transports), SMUX_OK);
    } else {
        wire_make(wire, out_transports);
    }
}

void scene_open(struct ends *ends, struct rng *rng, const struct smux_config *of_client,
                const struct smux_config *of_server)
{
    struct smux_transport wire[2];

    make_wire(rng, wire);
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &wire[0], of_client, &ends->client), SMUX_OK);
    idle_watch(ends->client);
    ck_assert_int_eq(smux_session_new(SMUX_SERVER, &wire[1], of_server, &ends->server), SMUX_OK);
    idle_watch(ends->server);
}

void scene_open_raw(smux_session **out_client, struct smux_transport *out_peer, struct rng *rng,
                    const struct smux_config *config)
{
    struct smux_transport wire[2];

    ck_assert_int_eq(smux_transport_pair(rng_log(rng, 50, 50000), wire), SMUX_OK);
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &wire[0], config, out_client), SMUX_OK);
    idle_watch(*out_client);
    *out_peer = wire[1];
}

void closer_run(void *arg)
{
    struct closer *closer = arg;

    closer->status = smux_session_close(closer->session);
    if (closer->status != SMUX_OK && closer->status != SMUX_EDEADLINE) {
        expect_end_status(closer->status);
    }
}

void closer_start(struct closer *closer, smux_session *session)
{
    closer->session = session;
    actor_start(&closer->actor, "closer", closer_run, closer);
}

void closer_join(struct closer *closer)
{
    actor_join(&closer->actor);
}

static void close_both(struct ends *ends, struct closer out_closers[2])
{
    closer_start(&out_closers[1], ends->server);
    out_closers[0].session = ends->client;
    closer_run(&out_closers[0]);
    closer_join(&out_closers[1]);
}

void scene_close(struct ends *ends)
{
    struct closer closers[2];

    close_both(ends, closers);
    ck_assert_int_eq(closers[0].status, SMUX_OK);
    ck_assert_int_eq(closers[1].status, SMUX_OK);
}

void scene_close_anyhow(struct ends *ends)
{
    struct closer closers[2];

    close_both(ends, closers);
}

void scene_begin(struct rng *rng, const struct smux_config *config)
{
    atomic_store(&scene.returned, 0);
    scene_open(&scene.ends, rng, config, config);
    ends_stream(&scene.ends, &scene.near, &scene.far);
}

void scene_close_streams(void)
{
    smux_stream_close(scene.near);
    smux_stream_close(scene.far);
}

void scene_end(void)
{
    scene_close_streams();
    scene_close(&scene.ends);
}

static unsigned num_blocked(smux_session *session)
{
    smux__session_lock(session);
    unsigned n = session->n_waiters;
    smux__session_unlock(session);
    return n;
}

void scene_await_blocked(smux_session *session, unsigned n)
{
    unsigned n_returned;

    do { /* in this order nobody is counted twice */
        sleep_ms(1);
        n_returned = atomic_load(&scene.returned);
    } while (n_returned + num_blocked(session) < n);
}

/* --- statuses --------------------------------------------------------------------------------- */

void expect_status_of(const char *file, int line, int status, const int *list)
{
    for (int i = 0; list[i] <= 0; i++) {
        if (list[i] == status) {
            return;
        }
    }
    ck_abort_msg("%s:%d: unexpected %s", file, line, smux_status_name(status));
}

void expect_end_status(int status)
{
    expect_status(status, SMUX_EOF, SMUX_EPIPE, SMUX_EABORTED, SMUX_ECLOSED, SMUX_EGOAWAY,
                  SMUX_ETRUNCATED, SMUX_EIO);
}

/* --- content ---------------------------------------------------------------------------------- */

void count_fill(uint64_t offset, uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)((offset + i) % 251);
    }
}

bool count_is_right(const uint8_t *buf, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if (buf[i] != (buf[i - 1] + 1) % 251) {
            return false;
        }
    }
    return true;
}

/* A deadline for a call that is in a hurry. */
static uint64_t soon(struct rng *rng)
{
    return smux_now_us() + (rng_chance(rng, 30) ? 0 : rng_log(rng, 1, 2000));
}

static void write_piece(struct flow *flow, struct rng *rng, uint8_t *buf)
{
    uint64_t left = flow->len - flow->done;
    size_t len = flow->large ? flow->piece : rng_log(rng, 1, flow->piece), n = 0;

    len = len < left ? len : (size_t)left;
    flow_fill(flow->key, flow->done, buf, len);
    bool hasty = rng_chance(rng, 30);
    if (hasty) {
        smux_stream_set_write_deadline(flow->stream, soon(rng));
    }
    flow->status = smux_stream_write(flow->stream, buf, len, &n);
    memset(buf, 0xcc, len); /* nobody may look at it any more */
    flow->done += n;
    ck_assert(n <= len && (n == len) >= (flow->status == SMUX_OK));
    if (hasty) {
        smux_stream_set_write_deadline(flow->stream, SMUX_NEVER);
    }
}

void flow_write_patiently(void *arg)
{
    struct flow *flow = arg;
    struct rng rng;
    uint8_t *buf = malloc(flow->piece);

    rng_seed(&rng, flow->seed);
    while (flow->done < flow->len) {
        write_piece(flow, &rng, buf);
        expect_status(flow->status, SMUX_OK, SMUX_EDEADLINE);
    }
    if (flow->shut) {
        ck_assert_int_eq(smux_stream_shutdown(flow->stream), SMUX_OK);
    }
    free(buf);
}

/* The memory is wiped between two calls: who still stores into it is found out. */
static void read_piece(struct flow *flow, struct rng *rng, uint8_t *buf, size_t most)
{
    size_t len = flow->large ? most : rng_log(rng, 1, (uint32_t)most), n = 0;
    bool hasty = rng_chance(rng, 30);

    if (hasty) {
        smux_stream_set_read_deadline(flow->stream, soon(rng));
    }
    flow->status = smux_stream_read(flow->stream, buf, len, &n);
    ck_assert((flow->status == SMUX_OK) == (n > 0));
    ck_assert_uint_eq(flow_check(flow->key, flow->done, buf, n), n);
    memset(buf, 0xcc, flow->piece);
    flow->done += n;
    if (hasty) {
        smux_stream_set_read_deadline(flow->stream, SMUX_NEVER);
    }
}

void flow_read_exactly(void *arg)
{
    struct flow *flow = arg;
    struct rng rng;
    uint8_t *buf = malloc(flow->piece);

    rng_seed(&rng, flow->seed);
    while (flow->done < flow->len) {
        uint64_t left = flow->len - flow->done;
        read_piece(flow, &rng, buf, left < flow->piece ? (size_t)left : flow->piece);
        expect_status(flow->status, SMUX_OK, SMUX_EDEADLINE);
    }
    if (flow->shut) {
        expect_end(flow->stream);
    }
    free(buf);
}

void flow_read_prefix(void *arg)
{
    struct flow *flow = arg;
    struct rng rng;
    uint8_t *buf = malloc(flow->piece);

    rng_seed(&rng, flow->seed);
    do {
        read_piece(flow, &rng, buf, flow->piece);
    } while (flow->status == SMUX_OK || flow->status == SMUX_EDEADLINE);
    free(buf);
}
