#include "sim.h"

#include "must.h"
#include <stdlib.h>
#include <string.h>

#include "inside.h"

/* Streams that nobody reads for a while. */
#define MAX_SLEEPERS 3

static uint32_t pick(struct rng *rng, uint32_t percent, uint32_t value, uint32_t otherwise)
{
    return rng_chance(rng, percent) ? value : otherwise;
}

static void plan_timers(struct smux_config *c, struct rng *rng)
{
    c->keepalive_interval_ms = pick(rng, 30, SMUX_OFF, rng_log(rng, 200, 10000));
    c->keepalive_timeout_ms = 60000; /* longer than any freeze */
    c->frame_timeout_ms = 3600000;   /* a frame may take long on the slowest links */
    c->keepalive_mode = rng_below(rng, 3);
    if (c->keepalive_mode == SMUX_KEEPALIVE_ALWAYS) {
        c->keepalive_mode = SMUX_KEEPALIVE_AUTO; /* the peer may have switched its NOPs off */
    }
    c->accept_guard_ms = pick(rng, 40, SMUX_OFF, rng_log(rng, 1, 20));
    c->fin_linger_ms = pick(rng, 40, SMUX_OFF, rng_log(rng, 20, 1000));
    c->half_close_timeout_ms = pick(rng, 50, 0, 60000);
    c->accept_timeout_ms = pick(rng, 80, 0, rng_log(rng, 100, 10000));
}

/* Anything that may end a session for its slowness. */
static void plan_timeouts(struct smux_config *c, struct rng *rng)
{
    c->keepalive_mode = rng_below(rng, 3);
    c->keepalive_timeout_ms = rng_log(rng, 1000, 60000);
    c->keepalive_interval_ms = pick(rng, 30, SMUX_OFF, rng_log(rng, 200, c->keepalive_timeout_ms));
    c->half_close_timeout_ms = pick(rng, 50, 0, rng_log(rng, 1, 60000));
    c->frame_timeout_ms = pick(rng, 50, 0, rng_log(rng, 1, 60000));
    c->idle_timeout_ms = pick(rng, 70, 0, rng_log(rng, 1, 60000));
    c->send_stall_timeout_ms = pick(rng, 70, 0, rng_log(rng, 1, 60000));
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
    c->max_refusals = pick(rng, 80, 0, rng_log(rng, 100, 2000));
}

static void plan_configs(struct sim *sim)
{
    struct rng *rng = &sim->rng;

    sim->version = 1 + rng_below(rng, 2);
    sim->may_time_out = rng_chance(rng, 8);
    for (unsigned side = 0; side < 2; side++) {
        struct smux_config *c = &sim->config[side];

        smux_config_init(c);
        c->version = sim->version;
        plan_timers(c, rng);
        plan_limits(c, rng);
        if (sim->may_time_out) {
            plan_timeouts(c, rng);
        }
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

/* Small frames of many streams that come together, and room for them. */
static void plan_bursts(struct sim *sim)
{
    struct rng *rng = &sim->rng;

    sim->bursts = rng_chance(rng, 50);
    for (unsigned side = 0; sim->bursts && side < 2; side++) {
        struct smux_config *c = &sim->config[side];

        c->max_receive_buffer = rng_between(rng, 1 << 18, 4 << 20);
        c->max_stream_buffer = pick(rng, 50, 0, rng_log(rng, 2048, 1 << 18));
        c->max_frame_size = pick(rng, 50, 0, rng_log(rng, 10, 65535));
    }
}

static void plan_link(struct sim *sim)
{
    struct rng *rng = &sim->rng;
    uint32_t least = sim->asleep || sim->bursts ? 1000 : 1;

    for (unsigned i = 0; i < 2; i++) {
        struct link_dir *dir = &sim->link.dirs[i];

        dir->take = rng_log(rng, least, 65536);
        dir->give = rng_log(rng, least, 65536);
        dir->latency_us = pick(rng, 40, 0, rng_log(rng, 1, 200000));
        dir->jitter_us = pick(rng, 70, 0, rng_log(rng, 1, 100000));
        dir->rate = pick(rng, 80, 0, rng_log(rng, sim->asleep ? 1 << 20 : 2000, 100000000));
        dir->capacity = rng_log(rng, sim->asleep ? 65536 : least, 1 << 20);
        if (rng_chance(rng, 8)) {
            dir->cut = CUT_RESET + rng_below(rng, 3);
            dir->cut_at = rng_log(rng, 1, 100000);
        }
    }
    sim->link.back_percent = pick(rng, 90, 0, rng_log(rng, 1, 50));
    sim->link.overlap = rng_chance(rng, 60);
}

/* In some runs large frames of one length come one after the other, as in a bulk transfer. Drawn apart, like
 * what follows here, so that the rest of a seed stays what it was. */
static void plan_bulk(struct sim *sim)
{
    struct rng rng = {rng_mix(~sim->seed)};

    sim->bulk = !sim->asleep && !sim->bursts && rng_below(&rng, 5) == 0;
    for (unsigned side = 0; sim->bulk && side < 2; side++) {
        struct smux_config *c = &sim->config[side];

        c->max_frame_size = rng_log(&rng, 4096, 65535);
        c->max_receive_buffer = rng_log(&rng, 1 << 18, 4 << 20);
        c->max_stream_buffer = pick(&rng, 50, 0, 1 << 18);
        c->max_stream_send_buffer = 0;
        c->max_send_buffer = 0;
    }
}

/* Some streams carry the bulk, so much that each has frames enough to be expected. */
static void plan_bulk_streams(struct sim *sim)
{
    struct rng rng = {rng_mix(~sim->seed + 1)};
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    for (uint32_t i = 0; sim->bulk && i < total && i < 4; i++) {
        for (unsigned side = 0; side < 2; side++) {
            struct sim_plan *plan = &sim->streams[i].ends[side].plan;

            /* Not so much that a writer needs credit from one who has closed for long [FIN-11]. */
            plan->total = rng_between(&rng, 5, 20) * sim->config[side].max_frame_size;
            plan->total = plan->total < 240000 ? plan->total : 240000;
            plan->write_chunk = 65536;
            plan->write_least = 65536;
            plan->read_chunk = rng_log(&rng, 4096, 65536);
            plan->read_percent = pick(&rng, 30, 0, rng_between(&rng, 1, 100));
        }
    }
    for (unsigned i = 0; sim->bulk && i < 2; i++) {
        sim->link.dirs[i].take = rng_log(&rng, 65536, 1 << 18);
        sim->link.dirs[i].give = rng_log(&rng, 65536, 1 << 18);
        sim->link.dirs[i].give_least = pick(&rng, 30, 1, 32768);
        sim->link.dirs[i].capacity = 1 << 20;
        sim->link.dirs[i].rate = pick(&rng, 50, 0, rng_log(&rng, 1 << 20, 1 << 27));
    }
}

/* How an engine is asked for places to read to: as with threads, or as in a loop. */
static void plan_reads(struct sim *sim)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t dice = rng_mix(sim->seed * 2 + i);

        sim->link.ends[i].max_recv_iov = dice % 2 == 0 ? 2 : 2 + (int)(dice / 2 % 63);
    }
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
    plan->write_least = 1;
    plan->read_chunk = rng_log(rng, 1 + scale / 50, 65536);
    plan->read_percent = pick(rng, 20, 0, rng_between(rng, 1, 100));
    plan->lend_percent = pick(rng, 60, 0, rng_below(rng, 100));
    plan->post_percent = pick(rng, 60, 0, rng_below(rng, 100));
    if (sim->bursts) { /* some writes, and each of them small */
        plan->total = rng_log(rng, 1, scale < 4000 ? scale : 4000);
        plan->write_chunk = 1 + plan->total / rng_between(rng, 1, 8);
    }
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

static uint32_t plan_number(struct sim *sim)
{
    struct rng *rng = &sim->rng;

    if (sim->bursts) {
        return rng_log(rng, 2, 30);
    }
    if (rng_chance(rng, 2)) {
        return rng_chance(rng, 5) ? rng_between(rng, 300, 2000) : rng_between(rng, 100, 300);
    }
    return rng_chance(rng, 20) ? 0 : rng_log(rng, 1, 30);
}

/* Ids begin at 3 and 2, or so near to 2^32 that they may run out [SID-2]. */
static void plan_ids(struct sim *sim)
{
    for (unsigned side = 0; side < 2; side++) {
        uint32_t left = rng_log(&sim->rng, 1, 2 * sim->num_planned[side] + 1);

        sim->first_id[side] = 3 - side;
        if (rng_chance(&sim->rng, 10)) {
            sim->first_id[side] = UINT32_MAX - side - 2 * (left - 1);
        }
    }
}

static void plan_numbers(struct sim *sim)
{
    sim->num_planned[0] = plan_number(sim);
    sim->num_planned[1] = plan_number(sim);
    sim->first[1] = sim->num_planned[0];
    plan_ids(sim);
}

static void plan_streams(struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];
    uint32_t scale = plan_scale(sim, total);

    sim->streams = calloc(total + 1, sizeof(sim->streams[0]));
    must(sim->streams != NULL, "no memory for the test");
    for (uint32_t i = 0; i < total; i++) {
        struct sim_stream *stream = &sim->streams[i];

        stream->opener = i >= sim->first[1];
        for (unsigned side = 0; side < 2; side++) {
            stream->ends[side].side = side;
            stream->ends[side].id =
                sim->first_id[stream->opener] + 2 * (i - sim->first[stream->opener]);
            plan_end(sim, &stream->ends[side].plan, scale);
        }
        stream->ends[rng_below(&sim->rng, 2)].plan.waits = rng_chance(&sim->rng, 30);
    }
}

/* Some streams that nobody reads while others finish: their first windows, or those that are
 * configured, leave a little of the budget [I6], which also holds the unused ends of chunks. */
static void plan_sleep(struct sim *sim)
{
    struct rng *rng = &sim->rng;
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    sim->asleep = rng_chance(rng, 5) && sim->version == 2 && total > 0 && total <= 60;
    for (unsigned side = 0; sim->asleep && side < 2; side++) {
        struct smux_config *c = &sim->config[side];
        uint32_t window = c->max_stream_buffer > 262144 ? c->max_stream_buffer : 262144;

        if (c->max_stream_buffer != 0 && c->max_stream_buffer < 4096) {
            c->max_stream_buffer = 4096; /* it shall not take too long */
        }
        c->max_frame_size = pick(rng, 50, 0, rng_between(rng, 1000, 65535));
        c->max_stream_send_buffer = 0;
        c->max_send_buffer = 0;
        c->max_receive_buffer = MAX_SLEEPERS * (window + window / 8) + rng_log(rng, 1, 1 << 20);
        c->max_unanswered_opens = 0; /* one that nobody reads may stay unanswered */
        c->stall_timeout_ms = 0;
    }
}

static void plan_sleepers(struct sim *sim)
{
    struct rng *rng = &sim->rng;
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    for (uint32_t i = 0; sim->asleep && i < MAX_SLEEPERS; i++) {
        struct sim_stream *stream = &sim->streams[rng_below(rng, total)];

        stream->sleeps = true;
        for (unsigned side = 0; side < 2; side++) {
            stream->ends[side].plan.total = rng_log(rng, 1, 400000);
            stream->ends[side].plan.write_chunk = 65536;
            stream->ends[side].plan.read_chunk = 65536;
        }
    }
}

/* Milliseconds are counted modulo 2^32 inside: some engines are that old soon. */
static uint64_t grow_old(struct sim *sim, uint64_t now)
{
    uint64_t age_ms = (UINT64_C(1) << 32) - rng_log(&sim->rng, 1, 20000);

    if (sim->may_time_out || !rng_chance(&sim->rng, 20)) {
        return now;
    }
    now += age_ms * 1000;
    for (unsigned side = 0; side < 2; side++) {
        int status = smux_engine_tick(sim->engine[side], now);

        sim_check(sim, status == SMUX_OK, "an old engine: %s", smux_strerror(status));
    }
    return now;
}

static void plan_audit(struct sim *sim, unsigned side)
{
    const struct smux_config *c = &sim->config[side];
    uint32_t guard = c->accept_guard_ms;
    struct audit *audit = &sim->link.ends[side].audit;

    audit_init(audit, side == 0 ? SMUX_CLIENT : SMUX_SERVER, sim->version,
               guard == SMUX_OFF ? 0 : (uint64_t)guard * 1000);
    audit->max_frame = c->max_frame_size != 0 ? c->max_frame_size : 32768;
    audit->first_id[0] = sim->first_id[0];
    audit->first_id[1] = sim->first_id[1];
}

static void plan_engines(struct sim *sim)
{
    uint64_t now = rng_chance(&sim->rng, 50) ? 0 : rng_next(&sim->rng) >> 20;

    for (unsigned side = 0; side < 2; side++) {
        int status = smux_engine_new(side == 0 ? SMUX_CLIENT : SMUX_SERVER, &sim->config[side],
                                     sizeof(struct sim_end *), now, &sim->engine[side]);

        sim_check(sim, status == SMUX_OK, "engine_new: %s", smux_strerror(status));
        sim->may_open[side] = true;
        inside_next_id(sim->engine[side], sim->first_id[side]);
        if (rng_chance(&sim->rng, 10)) {
            sim->wire_from[side] = (UINT64_C(1) << 32) - rng_log(&sim->rng, 1, 100000);
            inside_output(sim->engine[side], sim->wire_from[side]);
        }
    }
    now = grow_old(sim, now);
    sim->start = now;
    link_init(&sim->link, sim->engine[0], sim->engine[1], &sim->rng, now);
    plan_audit(sim, 0);
    plan_audit(sim, 1);
}

static void plan_memory(struct sim *sim)
{
    struct rng *rng = &sim->rng;
    struct heap *heap = &sim->heap[rng_below(rng, 2)];

    sim->no_memory = true;
    sim->link.no_memory = true;
    if (rng_chance(rng, 70)) {
        heap->fail_percent = rng_log(rng, 1, 30);
    } else {
        heap->fail_at = heap->calls + rng_log(rng, 1, 300);
        heap->fail_on = rng_chance(rng, 50);
    }
}

void sim_plan(struct sim *sim)
{
    rng_seed(&sim->rng, sim->seed);
    plan_configs(sim);
    plan_bursts(sim);
    plan_numbers(sim);
    plan_sleep(sim);
    plan_bulk(sim);
    plan_engines(sim);
    plan_link(sim);
    plan_streams(sim);
    plan_sleepers(sim);
    plan_bulk_streams(sim);
    plan_reads(sim);
    sim->priorities = rng_chance(&sim->rng, 50);
    sim->by_events = rng_chance(&sim->rng, 50);
    sim->event_percent =
        pick(&sim->rng, 60, 100, pick(&sim->rng, 30, 0, rng_below(&sim->rng, 100)));
    sim->drains = rng_chance(&sim->rng, 8);
    sim->misuses = rng_chance(&sim->rng, 10);
    sim->near_wrap = rng_chance(&sim->rng, 10);
    sim->steps = rng_log(&sim->rng, sim->bursts ? 50 : 1, 400);
    if (rng_chance(&sim->rng, 10) && !sim->near_wrap) {
        plan_memory(sim);
    }
}

/* --- counters near 2^32 -------------------------------------------------------------------- */

/* Moves one direction of a stream. */
static void move_counters(struct sim *sim, uint32_t id, unsigned writer)
{
    struct sim_end *out = sim_find(sim, writer, id);
    struct sim_end *in = sim_find(sim, 1 - writer, id);
    uint64_t by = (UINT64_C(1) << 32) - rng_log(&sim->rng, 1, out->plan.total + 1);
    struct audit_stream *sent = audit_stream(&sim->link.ends[writer].audit, id);
    struct audit_stream *received = audit_stream(&sim->link.ends[1 - writer].audit, id);

    inside_stream(sim->engine[writer], id, by, 0);
    inside_stream(sim->engine[1 - writer], id, 0, by);
    out->out_from = by;
    in->in_from = by;
    sent->sent += by;
    sent->acked += by;
    sent->edge += by;
    received->received += by;
    received->consumed += by;
}

static bool calm_down(struct sim *sim)
{
    for (uint32_t i = 0; i < 2000; i++) {
        for (unsigned side = 0; side < 2; side++) {
            link_send(&sim->link, side);
            link_deliver(&sim->link, side);
        }
        if (sim_is_quiet(sim)) {
            return true;
        }
        link_set_now(&sim->link, sim->link.now + 100);
    }
    return false;
}

void sim_warm_up(struct sim *sim)
{
    for (unsigned side = 0; side < 2; side++) {
        sim->link.dirs[side].cut_at = UINT64_MAX;
        for (uint32_t i = 0; i < 4; i++) {
            sim_open(sim, side);
        }
    }
    if (calm_down(sim)) {
        for (unsigned side = 0; side < 2; side++) {
            for (uint32_t i = 0; i < sim->num_opened[side]; i++) {
                uint32_t id = sim->first_id[side] + 2 * i;

                if (inside_has(sim->engine[0], id) && inside_has(sim->engine[1], id)) {
                    move_counters(sim, id, 0);
                    move_counters(sim, id, 1);
                }
            }
        }
    }
    for (unsigned side = 0; side < 2; side++) {
        struct link_dir *dir = &sim->link.dirs[side];

        dir->cut_at = dir->passed + rng_log(&sim->rng, 1, 100000);
    }
}
