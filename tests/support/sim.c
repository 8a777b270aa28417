#include "sim.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS  300000
#define MAX_TIME_US (UINT64_C(3600) * 1000000)

void sim_check_at(const struct sim *sim, bool ok, const char *file, int line, const char *format,
                  ...)
{
    char text[300];
    va_list args;

    if (ok) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ck_abort_msg("SEED=%llu: %s:%d: %s", (unsigned long long)sim->seed, file, line, text);
}

/* --- invariants after every step ----------------------------------------------------------- */

static size_t heap_limit(const struct sim *sim, unsigned side,
                         const struct smux_session_stats *stats)
{
    const struct smux_config *c = &sim->config[side];
    bool tunes = c->max_stream_buffer == 0 && c->max_window_growth != SMUX_OFF;
    size_t budget = c->max_receive_buffer + (tunes ? c->max_window_growth : 0);
    size_t sending = c->max_send_buffer != 0 ? c->max_send_buffer : 1 << 20;
    size_t streams = stats->streams_now + stats->backlog_now + sim->num_planned[1 - side] +
                     sim->num_planned[side];

    /* L4; beside it the send side (L8) with its batch, the table, and the last frame. */
    return budget + budget / 4 + 65536 + 65536 + streams * 512 +
           (sending + sending / 2 + 4096 * streams) + 262144;
}

static void check_engine(struct sim *sim, unsigned side)
{
    struct smux_session_stats stats;
    int error = smux_engine_error(sim->engine[side]);

    if (sim->error[side] == SMUX_OK) {
        sim->error[side] = error;
    }
    sim_check(sim, error == sim->error[side], "sticky error changes to %s",
              smux_status_name(error)); /* [I16] */
    smux_engine_stats(sim->engine[side], &stats);
    sim_check(sim, stats.receive_buffer <= (uint64_t)stats.receive_budget + 65534 + 33000,
              "%u bytes charged to a budget of %u", (unsigned)stats.receive_buffer,
              (unsigned)stats.receive_budget); /* [I3], with the slack of chunk sizes */
    sim_check(sim, sim->heap[side].now <= heap_limit(sim, side, &stats), "heap of %zu bytes",
              sim->heap[side].now); /* [I3] */
    sim_check(sim, stats.streams_now == smux_engine_num_streams(sim->engine[side]),
              "two numbers of streams");
    sim_check(sim, stats.backlog_now <= stats.streams_now || error != SMUX_OK,
              "%u streams in a backlog of %u", (unsigned)stats.backlog_now,
              (unsigned)stats.streams_now); /* [I11] */
}

static void check_all(struct sim *sim)
{
    check_engine(sim, 0);
    check_engine(sim, 1);
    sim_check(sim, sim->link.fault == NULL, "%s", sim->link.fault); /* [I10] and others */
}

/* --- the fault phase ----------------------------------------------------------------------- */

static struct sim_end *random_end(struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    if (total == 0) {
        return NULL;
    }
    return &sim->streams[rng_below(&sim->rng, total)].ends[rng_below(&sim->rng, 2)];
}

static void visit_some(struct sim *sim)
{
    for (int i = 0; i < 8; i++) {
        struct sim_end *end = random_end(sim);

        if (end != NULL) {
            sim_visit(sim, end);
        }
    }
}

static void pass_time(struct sim *sim)
{
    uint64_t next = link_next(&sim->link);
    uint64_t step = rng_log(&sim->rng, 1, 20000);

    if (rng_chance(&sim->rng, 40) && next != SMUX_NEVER && next - sim->link.now < 2000000) {
        step = next > sim->link.now ? next - sim->link.now : 0;
    }
    link_set_now(&sim->link, sim->link.now + step);
}

static void make_trouble(struct sim *sim)
{
    struct sim_end *end = random_end(sim);

    switch (rng_below(&sim->rng, 8)) {
    case 0:
    case 1:
    case 2:
        sim->link.dirs[rng_below(&sim->rng, 2)].frozen_until =
            sim->link.now + rng_log(&sim->rng, 1000, 5000000);
        break;
    case 3:
        if (end != NULL && end->stream != NULL) {
            sim_abort(sim, end);
        }
        break;
    case 4:
        if (end != NULL && end->stream != NULL) {
            sim_shut(sim, end);
        }
        break;
    case 5:
        if (end != NULL && end->stream != NULL && rng_chance(&sim->rng, 30)) {
            if (!end->shut && end->write_end == 0 && !end->aborted) {
                sim_shut(sim, end);
            }
            sim_close(sim, end);
        }
        break;
    case 6:
        if (sim->drains && rng_chance(&sim->rng, 20)) {
            smux_engine_drain(sim->engine[rng_below(&sim->rng, 2)]);
        }
        break;
    default:
        (void)smux_engine_tick(sim->engine[rng_below(&sim->rng, 2)], sim->link.now);
        break;
    }
}

static void fault_step(struct sim *sim)
{
    unsigned side = rng_below(&sim->rng, 2);
    uint32_t dice = rng_below(&sim->rng, 100);

    if (dice < 30) {
        sim_events(sim, side);
        visit_some(sim);
    } else if (dice < 52) {
        link_send(&sim->link, side);
    } else if (dice < 78) {
        if (rng_chance(&sim->rng, 20)) {
            sim_post_to_receiver(sim, 1 - side);
        }
        link_deliver(&sim->link, side);
    } else if (dice < 86) {
        sim_open(sim, side);
    } else if (dice < 91) {
        sim_accept(sim, side);
    } else if (dice < 98) {
        pass_time(sim);
    } else {
        make_trouble(sim);
    }
}

/* --- convergence --------------------------------------------------------------------------- */

static bool link_round(struct sim *sim)
{
    bool moved = false;

    for (int i = 0; i < 8; i++) {
        for (unsigned side = 0; side < 2; side++) {
            moved = link_send(&sim->link, side) || moved;
            moved = link_deliver(&sim->link, side) || moved;
        }
    }
    return moved;
}

static bool app_round(struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];
    uint64_t before = sim->moved;

    for (unsigned side = 0; side < 2; side++) {
        uint32_t backlog = 1;

        for (uint32_t i = 0; i < backlog; i++) {
            struct smux_session_stats stats;

            sim_accept(sim, side);
            smux_engine_stats(sim->engine[side], &stats);
            backlog = i + 1 + (stats.backlog_now > 0);
        }
        sim_events(sim, side);
        if (rng_chance(&sim->rng, 5)) {
            sim_post_to_receiver(sim, side);
        }
    }
    for (uint32_t i = 0; i < total; i++) {
        sim_visit(sim, &sim->streams[i].ends[0]);
        sim_visit(sim, &sim->streams[i].ends[1]);
    }
    return sim->moved != before;
}

static bool all_done(struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    for (uint32_t i = 0; i < total; i++) {
        if (sim->streams[i].ends[0].stream != NULL || sim->streams[i].ends[1].stream != NULL) {
            return false;
        }
    }
    for (unsigned side = 0; side < 2; side++) {
        struct smux_session_stats stats;

        smux_engine_stats(sim->engine[side], &stats);
        if (stats.backlog_now > 0 || (sim->error[side] == SMUX_OK && stats.streams_now > 0)) {
            return false;
        }
    }
    return true;
}

/* Tells what is stuck. */
static void fail_stuck(struct sim *sim, const char *what)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];
    const struct sim_end *end = NULL;

    for (uint32_t i = 0; i < total && end == NULL; i++) {
        for (unsigned side = 0; side < 2 && end == NULL; side++) {
            end = sim->streams[i].ends[side].stream != NULL ? &sim->streams[i].ends[side] : NULL;
        }
    }
    if (end == NULL) {
        sim_check(sim, false, "%s: %u and %u streams in the tables", what,
                  (unsigned)smux_engine_num_streams(sim->engine[0]),
                  (unsigned)smux_engine_num_streams(sim->engine[1]));
        return;
    }
    const struct sim_end *other = sim_other(sim, end);
    sim_check(sim, false,
              "%s: stream %u, side %u: written %llu of %u, read %llu; the other: %llu of %u, "
              "read %llu%s",
              what, (unsigned)end->id, end->side, (unsigned long long)end->written,
              (unsigned)end->plan.total, (unsigned long long)end->read,
              (unsigned long long)other->written, (unsigned)other->plan.total,
              (unsigned long long)other->read, other->stream == NULL ? ", closed" : "");
}

/* Without memory a refusal may be lost, as beyond L7: the opener has to give up by itself. */
static void give_up_unanswered(struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    for (uint32_t i = 0; i < total; i++) {
        struct sim_end *end = &sim->streams[i].ends[sim->streams[i].opener];

        if (end->stream != NULL && !end->aborted && !sim_other(sim, end)->known) {
            sim_abort(sim, end);
        }
    }
}

/* Nothing is on its way, neither in the link nor in an engine. */
static bool is_quiet(const struct sim *sim)
{
    for (unsigned side = 0; side < 2; side++) {
        if (smux_engine_wants_write(sim->engine[side]) || sim->link.ends[side].sending ||
            sim->link.ends[side].receiving) {
            return false;
        }
    }
    return !link_busy(&sim->link);
}

static void end_faults(struct sim *sim)
{
    sim->converging = true;
    for (unsigned side = 0; side < 2; side++) {
        sim->heap[side].fail_percent = 0;
        sim->link.dirs[side].frozen_until = 0;
        sim->may_open[side] = false;
    }
}

/* Everything finishes [I7]. Returns false when NOPs never leave a slow link quiet. */
static bool converge(struct sim *sim)
{
    uint64_t start = sim->link.now;
    uint64_t done_since = SMUX_NEVER;
    uint32_t rounds = 0;
    uint32_t idle = 0;

    end_faults(sim);
    for (;;) {
        bool moved = app_round(sim);

        moved = link_round(sim) || moved;
        check_all(sim);
        if (!all_done(sim)) {
            done_since = SMUX_NEVER;
        } else if (is_quiet(sim)) {
            return true;
        } else if (done_since == SMUX_NEVER) {
            done_since = sim->link.now;
        } else if (sim->link.now - done_since > 30000000) {
            return false;
        }
        if (!moved) {
            uint64_t next = link_next(&sim->link);

            if (next != SMUX_NEVER) {
                link_set_now(&sim->link, next);
            } else if (++idle == 3 && sim->no_memory) {
                give_up_unanswered(sim);
            } else if (idle > 6) { /* some steps happen inside others and are not told */
                fail_stuck(sim, "nothing will ever happen again");
            }
        }
        if (sim->no_memory && sim->link.now - start > MAX_TIME_US / 2) {
            give_up_unanswered(sim);
        }
        if (++rounds > MAX_ROUNDS) {
            fail_stuck(sim, "rounds without end");
        }
        if (sim->link.now - start > MAX_TIME_US) {
            fail_stuck(sim, "an hour is not enough");
        }
    }
}

/* --- the verdict --------------------------------------------------------------------------- */

static void check_quiet_pair(struct sim *sim, bool settled)
{
    struct smux_session_stats stats[2];

    for (unsigned side = 0; side < 2; side++) {
        smux_engine_stats(sim->engine[side], &stats[side]);
        sim_check(sim, stats[side].receive_buffer == 0, "%u bytes stay charged",
                  (unsigned)stats[side].receive_buffer); /* [I4] */
        /* What closed streams of a dead session still had is freed with it. */
        sim_check(sim, stats[side].send_buffer == 0 || sim->error[side] != SMUX_OK,
                  "%u bytes stay queued", (unsigned)stats[side].send_buffer);
    }
    if (sim->error[0] != SMUX_OK || sim->error[1] != SMUX_OK || !settled) {
        return;
    }
    for (unsigned side = 0; side < 2; side++) {
        /* NOPs that a freeze held back arrive in a burst: the one thing that has a price. */
        sim_check(sim,
                  stats[side].glitches == 0 || stats[side].glitches < stats[side].frames_in.nop ||
                      sim->no_memory,
                  "an honest end costs %llu glitches", (unsigned long long)stats[side].glitches);
        sim_check(sim,
                  stats[side].payload_out ==
                      stats[1 - side].payload_in + stats[1 - side].payload_discarded,
                  "%llu bytes sent, %llu and %llu received",
                  (unsigned long long)stats[side].payload_out,
                  (unsigned long long)stats[1 - side].payload_in,
                  (unsigned long long)stats[1 - side].payload_discarded);
        sim_check(sim, stats[side].wire_out == stats[1 - side].wire_in,
                  "bytes were lost on the wire");
    }
}

static void free_all(struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    for (unsigned side = 0; side < 2; side++) {
        smux_engine_free(sim->engine[side]);
        sim_check(sim, sim->heap[side].now == 0 && sim->heap[side].blocks == 0,
                  "%zu bytes in %zu blocks leaked", sim->heap[side].now,
                  sim->heap[side].blocks); /* [I12] */
    }
    for (uint32_t i = 0; i < total; i++) {
        for (unsigned side = 0; side < 2; side++) {
            free(sim->streams[i].ends[side].loan);
            free(sim->streams[i].ends[side].post);
        }
    }
    free(sim->streams);
    link_free(&sim->link);
}

void sim_run(uint64_t seed, uint64_t *out_hash)
{
    static struct sim sim;
    bool freed_early;

    memset(&sim, 0, offsetof(struct sim, buf));
    sim.seed = seed;
    sim_plan(&sim);
    freed_early = rng_chance(&sim.rng, 5);
    for (uint32_t i = 0; i < sim.steps; i++) {
        fault_step(&sim);
        if (i % 8 == 0) {
            check_all(&sim);
        }
    }
    if (!freed_early) {
        check_quiet_pair(&sim, converge(&sim));
    }
    *out_hash = sim.link.hash;
    free_all(&sim);
}
