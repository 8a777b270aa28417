#include "sim.h"

#include "must.h"
#include <stdlib.h>
#include <string.h>

static uint32_t pick(struct rng *rng, uint32_t percent, uint32_t value, uint32_t otherwise)
{
    return rng_chance(rng, percent) ? value : otherwise;
}

static void plan_timers(struct smux_config *c, struct rng *rng)
{
    c->keepalive_interval_ms = pick(rng, 30, SMUX_OFF, rng_log(rng, 200, 10000));
    c->keepalive_timeout_ms = 60000; /* longer than any freeze */
    c->keepalive_mode = rng_below(rng, 3);
    if (c->keepalive_mode == SMUX_KEEPALIVE_ALWAYS) {
        c->keepalive_mode = SMUX_KEEPALIVE_AUTO; /* the peer may have switched its NOPs off */
    }
    c->accept_guard_ms = pick(rng, 40, SMUX_OFF, rng_log(rng, 1, 20));
    c->fin_linger_ms = pick(rng, 40, SMUX_OFF, rng_log(rng, 20, 1000));
    c->half_close_timeout_ms = pick(rng, 50, 0, 60000);
    c->accept_timeout_ms = pick(rng, 80, 0, rng_log(rng, 100, 10000));
}

static void plan_limits(struct smux_config *c, struct rng *rng)
{
    uint32_t window = rng_log(rng, 1, 262144);
    uint32_t budget = rng_log(rng, window, 4 << 20);

    c->max_frame_size = pick(rng, 30, 0, rng_log(rng, 1, 65535));
    c->max_stream_buffer = pick(rng, 40, 0, window);
    c->max_window_growth = pick(rng, 30, SMUX_OFF, rng_log(rng, 1, 4 << 20));
    c->max_receive_buffer = budget;
    c->max_stream_send_buffer = pick(rng, 50, 0, rng_log(rng, 1, 262144));
    c->max_send_buffer = pick(rng, 50, 0, rng_log(rng, 1, 1 << 20));
    c->max_remote_streams = pick(rng, 80, 0, rng_log(rng, 1, 100));
    c->accept_backlog = pick(rng, 70, 0, rng_log(rng, 1, 100));
    c->max_discards = pick(rng, 60, 0, pick(rng, 50, SMUX_OFF, rng_log(rng, 1, 10)));
    c->max_unanswered_opens = pick(rng, 80, 0, rng_log(rng, 1, 10));
}

static void plan_configs(struct sim *sim)
{
    struct rng *rng = &sim->rng;

    sim->version = 1 + rng_below(rng, 2);
    for (unsigned side = 0; side < 2; side++) {
        struct smux_config *c = &sim->config[side];

        smux_config_init(c);
        c->version = sim->version;
        plan_timers(c, rng);
        plan_limits(c, rng);
        if (rng_chance(rng, 5)) {
            c->stall_timeout_ms = rng_log(rng, 100, 5000);
            sim->may_stall = true;
        }
        c->hash_seed = rng_next(rng);
        heap_init(&sim->heap[side]);
        c->allocator = &sim->heap[side].allocator;
    }
    if (rng_chance(rng, 20)) {
        sim->config[1].version = SMUX_VERSION_AUTO;
        /* Somebody has to speak first. */
        sim->config[0].keepalive_interval_ms = 1000;
    }
}

static void plan_link(struct sim *sim)
{
    struct rng *rng = &sim->rng;

    for (unsigned i = 0; i < 2; i++) {
        struct link_dir *dir = &sim->link.dirs[i];

        dir->take = rng_log(rng, 1, 65536);
        dir->give = rng_log(rng, 1, 65536);
        dir->latency_us = pick(rng, 40, 0, rng_log(rng, 1, 200000));
        dir->capacity = rng_log(rng, 1, 1 << 20);
        if (rng_chance(rng, 8)) {
            dir->cut = rng_chance(rng, 50) ? CUT_RESET : CUT_END;
            dir->cut_at = rng_log(rng, 1, 100000);
        }
    }
    sim->link.overlap = rng_chance(rng, 60);
}

/* How many bytes a stream should carry so that the whole run stays short. */
static uint32_t plan_scale(const struct sim *sim, uint32_t num_streams)
{
    uint32_t scale = 60000;

    for (unsigned i = 0; i < 2; i++) {
        const struct link_dir *dir = &sim->link.dirs[i];
        uint32_t piece = dir->take < dir->give ? dir->take : dir->give;

        piece = dir->capacity < piece ? (uint32_t)dir->capacity : piece;
        scale = piece * 600 < scale ? piece * 600 : scale;
        /* Small frames and small windows cost a frame and an update a few bytes. */
        if (sim->config[i].max_frame_size != 0 && sim->config[i].max_frame_size * 300 < scale) {
            scale = sim->config[i].max_frame_size * 300;
        }
        uint32_t window = sim->config[i].max_stream_buffer;
        if (window == 0) {
            window = sim->config[i].max_receive_buffer;
        }
        if (window < scale / 300) {
            scale = window * 300;
        }
    }
    scale /= num_streams > 0 ? num_streams : 1;
    return scale > 0 ? scale : 1;
}

static void plan_end(struct sim *sim, struct sim_plan *plan, uint32_t scale)
{
    struct rng *rng = &sim->rng;

    plan->total = pick(rng, 15, 0, rng_log(rng, 1, 4 * scale));
    plan->write_chunk = rng_log(rng, 1 + scale / 50, 65536);
    plan->read_chunk = rng_log(rng, 1 + scale / 50, 65536);
    plan->read_percent = pick(rng, 20, 0, rng_between(rng, 1, 100));
    plan->lend_percent = pick(rng, 60, 0, rng_below(rng, 100));
    plan->post_percent = pick(rng, 60, 0, rng_below(rng, 100));
    switch (rng_below(rng, 10)) {
    case 0:
        plan->finish = FINISH_ABORT;
        break;
    case 1:
    case 2:
        plan->finish = FINISH_CLOSE;
        break;
    default:
        plan->finish = FINISH_SHUTDOWN;
        break;
    }
}

static uint32_t plan_number(struct rng *rng)
{
    if (rng_chance(rng, 2)) {
        return rng_between(rng, 100, 300);
    }
    return rng_chance(rng, 20) ? 0 : rng_log(rng, 1, 30);
}

static void plan_streams(struct sim *sim)
{
    struct rng *rng = &sim->rng;
    uint32_t total, scale;

    sim->num_planned[0] = plan_number(rng);
    sim->num_planned[1] = plan_number(rng);
    sim->first[1] = sim->num_planned[0];
    total = sim->num_planned[0] + sim->num_planned[1];
    scale = plan_scale(sim, total);
    sim->streams = calloc(total + 1, sizeof(sim->streams[0]));
    must(sim->streams != NULL, "no memory for the test");
    for (uint32_t i = 0; i < total; i++) {
        struct sim_stream *stream = &sim->streams[i];

        stream->opener = i >= sim->first[1];
        for (unsigned side = 0; side < 2; side++) {
            stream->ends[side].side = side;
            stream->ends[side].id = stream->opener == 0 ? 3 + 2 * i : 2 + 2 * (i - sim->first[1]);
            plan_end(sim, &stream->ends[side].plan, scale);
        }
    }
}

static void plan_engines(struct sim *sim)
{
    uint64_t now = rng_chance(&sim->rng, 50) ? 0 : rng_next(&sim->rng) >> 20;

    for (unsigned side = 0; side < 2; side++) {
        int status = smux_engine_new(side == 0 ? SMUX_CLIENT : SMUX_SERVER, &sim->config[side],
                                     sizeof(struct sim_end *), now, &sim->engine[side]);

        sim_check(sim, status == SMUX_OK, "engine_new: %s", smux_strerror(status));
        sim->may_open[side] = true;
    }
    sim->start = now;
    link_init(&sim->link, sim->engine[0], sim->engine[1], &sim->rng, now);
    for (unsigned side = 0; side < 2; side++) {
        uint32_t guard = sim->config[side].accept_guard_ms;

        audit_init(&sim->link.ends[side].audit, side == 0 ? SMUX_CLIENT : SMUX_SERVER, sim->version,
                   guard == SMUX_OFF ? 0 : (uint64_t)guard * 1000);
    }
}

void sim_plan(struct sim *sim)
{
    rng_seed(&sim->rng, sim->seed);
    plan_configs(sim);
    plan_engines(sim);
    plan_link(sim);
    plan_streams(sim);
    sim->priorities = rng_chance(&sim->rng, 50);
    sim->by_events = rng_chance(&sim->rng, 50);
    sim->drains = rng_chance(&sim->rng, 8);
    sim->steps = rng_log(&sim->rng, 1, 400);
    if (rng_chance(&sim->rng, 10)) {
        sim->no_memory = true;
        sim->link.no_memory = true;
        sim->heap[rng_below(&sim->rng, 2)].fail_percent = rng_log(&sim->rng, 1, 30);
    }
}
