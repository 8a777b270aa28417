#include "sim.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUNDS  1000000
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

/* --- the fault phase ----------------------------------------------------------------------- */

static struct sim_end *random_end(struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    if (total == 0) {
        return NULL;
    }
    return &sim->streams[rng_below(&sim->rng, total)].ends[rng_below(&sim->rng, 2)];
}

/* Most applications ask for events all the time, some now and then, some never. Who acts by them has
 * to ask in the end. */
static void ask_for_events(struct sim *sim, unsigned side)
{
    bool must = sim->converging && sim->by_events;

    if (must || rng_chance(&sim->rng, sim->event_percent)) {
        sim_events(sim, side);
    }
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

/* The machine slept, or the clock is another one now. */
static void jump(struct sim *sim)
{
    uint64_t ms = rng_log(&sim->rng, 1, UINT32_MAX);

    link_set_now(&sim->link, sim->link.now + ms * (rng_chance(&sim->rng, 5) ? 2000 : 1));
}

static void pass_time(struct sim *sim)
{
    uint64_t next = link_next(&sim->link);
    uint64_t step = rng_log(&sim->rng, 1, 20000);

    if (sim->may_time_out && rng_chance(&sim->rng, 3)) {
        jump(sim);
        return;
    }
    if (rng_chance(&sim->rng, 40) && next != SMUX_NEVER && next - sim->link.now < 2000000) {
        step = next > sim->link.now ? next - sim->link.now : 0;
    }
    link_set_now(&sim->link, sim->link.now + step);
}

static void freeze(struct sim *sim)
{
    uint32_t longest = sim->may_time_out ? 200000000 : 5000000;

    sim->link.dirs[rng_below(&sim->rng, 2)].frozen_until =
        sim->link.now + rng_log(&sim->rng, 1000, longest);
}

/* A graceful end: drain, and when all is out end our direction of the transport [END-4]. */
static void drain(struct sim *sim)
{
    unsigned side = rng_below(&sim->rng, 2);

    if (!sim->drains) {
        return;
    }
    if (!sim->draining[side] && rng_chance(&sim->rng, 20)) {
        smux_engine_drain(sim->engine[side]);
        sim->draining[side] = true;
    }
}

static void end_drained(struct sim *sim)
{
    for (unsigned side = 0; side < 2; side++) {
        if (sim->draining[side] && !sim->link.ends[side].sending &&
            smux_engine_drained(sim->engine[side]) && rng_chance(&sim->rng, 10)) {
            link_end_direction(&sim->link, side);
        }
    }
}

static void hang_up(struct sim *sim, struct sim_end *end)
{
    if (!end->shut && end->write_end == 0 && !end->aborted) {
        sim_shut(sim, end);
    }
    sim_close(sim, end);
}

static void make_trouble(struct sim *sim)
{
    struct sim_end *end = random_end(sim);
    bool open = end != NULL && end->stream != NULL;

    switch (rng_below(&sim->rng, 8)) {
    case 0:
    case 1:
    case 2:
        freeze(sim);
        break;
    case 3:
        if (open) {
            sim_abort(sim, end);
        }
        break;
    case 4:
        if (open) {
            sim_shut(sim, end);
        }
        break;
    case 5:
        if (open && rng_chance(&sim->rng, 30)) {
            hang_up(sim, end);
        }
        break;
    case 6:
        drain(sim);
        break;
    default:
        (void)smux_engine_tick(sim->engine[rng_below(&sim->rng, 2)], sim->link.now);
        break;
    }
}

static void misuse(struct sim *sim)
{
    struct sim_end *end = random_end(sim);

    sim_misuse_session(sim, rng_below(&sim->rng, 2));
    if (end != NULL && end->stream != NULL) {
        sim_misuse_stream(sim, end);
    }
}

static void fault_step(struct sim *sim)
{
    unsigned side = rng_below(&sim->rng, 2);
    uint32_t dice = rng_below(&sim->rng, 100);

    if (dice < 30) {
        ask_for_events(sim, side);
        visit_some(sim);
    } else if (dice < 52) {
        link_send(&sim->link, side);
    } else if (dice < 78) {
        if (rng_chance(&sim->rng, 20)) {
            sim_post_to_receiver(sim, 1 - side);
        }
        link_deliver(&sim->link, side);
    } else if (dice < 86) {
        for (int i = 0; i < (sim->bursts ? 8 : 1); i++) {
            sim_open(sim, side);
        }
    } else if (dice < 91) {
        sim_accept(sim, side);
    } else if (dice < 98) {
        pass_time(sim);
    } else {
        make_trouble(sim);
    }
    if (sim->misuses && rng_chance(&sim->rng, 10)) {
        misuse(sim);
    }
    if (sim->drains) {
        end_drained(sim);
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
        ask_for_events(sim, side);
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

/* The applications have closed all streams that somebody reads. */
static bool streams_done(const struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    for (uint32_t i = 0; i < total; i++) {
        const struct sim_stream *stream = &sim->streams[i];

        if ((stream->ends[0].stream != NULL || stream->ends[1].stream != NULL) &&
            !(sim->asleep && stream->sleeps)) {
            return false;
        }
    }
    return true;
}

static bool all_done(const struct sim *sim)
{
    if (!streams_done(sim)) {
        return false;
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
            if (sim->streams[i].ends[side].stream != NULL &&
                !(sim->asleep && sim->streams[i].sleeps)) {
                end = &sim->streams[i].ends[side];
            }
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

static void end_faults(struct sim *sim)
{
    sim->converging = true;
    sim->link.back_percent = 0;
    for (unsigned side = 0; side < 2; side++) {
        sim->heap[side].fail_percent = 0;
        sim->heap[side].fail_at = 0;
        sim->link.dirs[side].frozen_until = 0;
        sim->may_open[side] = false;
    }
}

/* A stream that the cut of a transport ended at one side ends at the other when the session does,
 * which streams that nobody reads may keep alive [END-3]. */
static bool was_cut(const struct sim *sim)
{
    const struct link_dir *dirs = sim->link.dirs;

    return (dirs[0].broken && dirs[0].passed >= dirs[0].cut_at) ||
           (dirs[1].broken && dirs[1].passed >= dirs[1].cut_at);
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
        sim_check_step(sim);
        if (sim->asleep && (streams_done(sim) || was_cut(sim))) {
            sim->asleep = false; /* [I6] holds, or is not asked for: now the others may go on */
            idle = 0;
            continue;
        }
        if (!all_done(sim)) {
            done_since = SMUX_NEVER;
        } else if (sim_is_quiet(sim)) {
            return true;
        } else if (done_since == SMUX_NEVER) {
            done_since = sim->link.now;
        } else if (sim->link.now - done_since > 30000000) {
            return false;
        }
        if (sim->drains) {
            end_drained(sim);
        }
        if (!moved) {
            uint64_t next = link_next(&sim->link);

            if (next != SMUX_NEVER) {
                link_set_now(&sim->link, next);
            } else if (++idle == 3 && sim->no_memory) {
                give_up_unanswered(sim);
            } else if (idle > 6) { /* some steps happen inside others and are not told */
                fail_stuck(sim, sim->asleep ? "I6: unread streams stop another one"
                                            : "I7: nothing will ever happen again");
            }
        }
        if (sim->no_memory && sim->link.now - start > MAX_TIME_US / 2) {
            give_up_unanswered(sim);
        }
        if (++rounds > MAX_ROUNDS) {
            fail_stuck(sim, "I7: rounds without end");
        }
        if (sim->link.now - start > MAX_TIME_US) {
            fail_stuck(sim, "I7: an hour is not enough");
        }
    }
}

/* --- the verdict --------------------------------------------------------------------------- */

static void free_all(struct sim *sim)
{
    uint32_t total = sim->num_planned[0] + sim->num_planned[1];

    for (unsigned side = 0; side < 2; side++) {
        smux_engine_free(sim->engine[side]);
        sim_check(sim, sim->heap[side].now == 0 && sim->heap[side].blocks == 0,
                  "I12: %zu bytes in %zu blocks leaked", sim->heap[side].now,
                  sim->heap[side].blocks);
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

bool sim_run(uint64_t seed, uint64_t *out_hash)
{
    static struct sim sim;
    bool freed_early;

    memset(&sim, 0, offsetof(struct sim, buf));
    sim.seed = seed;
    sim_plan(&sim);
    if (sim.near_wrap) {
        sim_warm_up(&sim);
    }
    freed_early = rng_chance(&sim.rng, 5);
    for (uint32_t i = 0; i < sim.steps; i++) {
        fault_step(&sim);
        sim_check_step(&sim);
    }
    if (!freed_early) {
        sim_check_verdict(&sim, converge(&sim));
    }
    *out_hash = sim.link.hash;
    free_all(&sim);
    return sim.shared_input;
}
