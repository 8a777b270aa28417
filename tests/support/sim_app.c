#include "sim.h"

#include <string.h>

static uint32_t index_of(const struct sim *sim, uint32_t id)
{
    unsigned opener = (id & 1) == 1 ? 0 : 1;
    uint32_t index = (id - sim->first_id[opener]) / 2;

    sim_check(sim, index < sim->num_planned[opener], "id %u was never opened", (unsigned)id);
    return sim->first[opener] + index;
}

struct sim_end *sim_find(struct sim *sim, unsigned side, uint32_t id)
{
    return &sim->streams[index_of(sim, id)].ends[side];
}

struct sim_end *sim_other(struct sim *sim, const struct sim_end *end)
{
    return sim_find(sim, 1 - end->side, end->id);
}

/* --- errors [I16] -------------------------------------------------------------------------- */

/* Also true once an end that died has closed the transport. */
bool sim_transport_may_fail(const struct sim *sim)
{
    return sim->link.dirs[0].cut != CUT_NONE || sim->link.dirs[1].cut != CUT_NONE;
}

void sim_check_error(const struct sim *sim, const struct sim_end *end, int status)
{
    int session = smux_engine_error(sim->engine[end->side]);

    sim_check(sim, status != SMUX_OK && status != SMUX_EINVAL, "status %s on stream %u",
              smux_status_name(status), (unsigned)end->id);
    if (end->aborted && status == SMUX_EABORTED) {
        return;
    }
    if (session != SMUX_OK && status == session) {
        return; /* [I16]; why a session may die is in sim_check.c */
    }
    switch (status) {
    case SMUX_ETRUNCATED:
        sim_check(sim, sim_transport_may_fail(sim), "stream %u cut for nothing", (unsigned)end->id);
        break;
    case SMUX_ENOMEM:
        sim_check(sim, sim->no_memory, "stream %u has no memory", (unsigned)end->id);
        break;
    case SMUX_ESTALLED:
        sim_check(sim, sim->may_stall, "stream %u aborted as stalled", (unsigned)end->id);
        break;
    case SMUX_EPIPE: /* after our shutdown or drain, or no credit came [FIN-9, END-3] */
        sim_check(sim,
                  end->shut || sim->draining[end->side] || sim->may_time_out ||
                      sim_credit_may_be_late(sim, end) || sim_transport_may_fail(sim),
                  "stream %u cannot be written to", (unsigned)end->id);
        break;
    default:
        sim_check(sim, false, "stream %u fails with %s (session: %s)", (unsigned)end->id,
                  smux_status_name(status), smux_status_name(session));
        break;
    }
}

/* --- opening and accepting ----------------------------------------------------------------- */

static void attach(struct sim *sim, struct sim_end *end, smux_estream *stream)
{
    struct sim_end *none = NULL;
    void *user = smux_estream_user(stream);

    sim_check(sim, memcmp(user, &none, sizeof(none)) == 0, "memory of the owner is not zero");
    memcpy(user, &end, sizeof(end));
    sim_check(sim, !end->known, "stream %u appears twice", (unsigned)end->id);
    end->stream = stream;
    end->known = true;
    end->can_read = true;
    end->can_write = true;
    sim->moved++;
}

void sim_open(struct sim *sim, unsigned side)
{
    smux_estream *stream = NULL;
    int status;

    if (!sim->may_open[side] || sim->num_opened[side] == sim->num_planned[side]) {
        return;
    }
    status = smux_engine_open(sim->engine[side], &stream);
    if (status == SMUX_ENOMEM && sim->no_memory) {
        return;
    }
    if (status != SMUX_OK) {
        bool ids_used_up = sim->first_id[side] + 2 * sim->num_opened[side] < sim->first_id[side];

        sim_check(
            sim,
            status == smux_engine_error(sim->engine[side]) ||
                (status == SMUX_EGOAWAY &&
                 (ids_used_up || sim->draining[side] || sim_transport_may_fail(sim))) ||
                ((status == SMUX_ETRUNCATED || status == SMUX_EOF) && sim_transport_may_fail(sim)),
            "open: %s", smux_status_name(status));
        sim->may_open[side] = false;
        return;
    }
    sim->num_opened[side]++;
    /* One by one, and not beyond the last one [SID-2]. */
    sim_check(sim,
              smux_estream_id(stream) == sim->first_id[side] + 2 * (sim->num_opened[side] - 1) &&
                  smux_estream_id(stream) >= sim->first_id[side],
              "opened with id %u", (unsigned)smux_estream_id(stream));
    attach(sim, sim_find(sim, side, smux_estream_id(stream)), stream);
    link_note(&sim->link, smux_estream_id(stream));
}

void sim_accept(struct sim *sim, unsigned side)
{
    smux_estream *stream = NULL;
    int status = smux_engine_accept(sim->engine[side], &stream);

    if (status == SMUX_OK) {
        attach(sim, sim_find(sim, side, smux_estream_id(stream)), stream);
        link_note(&sim->link, smux_estream_id(stream));
        return;
    }
    sim_check(
        sim,
        status == SMUX_EAGAIN || status == smux_engine_error(sim->engine[side]) ||
            ((status == SMUX_ETRUNCATED || status == SMUX_EOF) && sim_transport_may_fail(sim)),
        "accept: %s", smux_status_name(status));
}

void sim_events(struct sim *sim, unsigned side)
{
    smux_estream *stream;
    unsigned events;
    uint32_t guard = 0;
    bool some = !sim->converging && sim->event_percent < 100 && rng_chance(&sim->rng, 30);
    uint32_t most = some ? rng_log(&sim->rng, 1, 30) : UINT32_MAX;

    while (guard < most && (stream = smux_engine_next_ready(sim->engine[side], &events)) != NULL) {
        struct sim_end *end;

        memcpy(&end, smux_estream_user(stream), sizeof(end));
        sim_check(sim, end != NULL && end->stream == stream, "event for a stream that is not ours");
        sim_check(sim, events == smux_estream_events(sim->engine[side], stream),
                  "event bits of stream %u differ", (unsigned)end->id);
        end->can_read = end->can_read || (events & SMUX_EVENT_READABLE) != 0;
        end->can_write = end->can_write || (events & SMUX_EVENT_WRITABLE) != 0;
        sim_check(sim, ++guard < 100000, "events without end");
    }
}

/* --- priorities ---------------------------------------------------------------------------- */

void sim_set_priority(struct sim *sim, struct sim_end *end)
{
    struct rng *rng = &sim->rng;
    bool bad = rng_chance(rng, 10);
    unsigned priority = rng_below(rng, SMUX_PRIORITY_MAX + 1);
    unsigned weight = rng_log(rng, 1, SMUX_WEIGHT_MAX);

    if (bad && rng_chance(rng, 50)) {
        priority += SMUX_PRIORITY_MAX + 1;
    } else if (bad) {
        weight = rng_chance(rng, 50) ? 0 : weight + SMUX_WEIGHT_MAX;
    }
    int status = smux_estream_set_priority(sim->engine[end->side], end->stream, priority, weight);
    sim_check(sim, status == (bad ? SMUX_EINVAL : SMUX_OK), "priority %u, weight %u: %s", priority,
              weight, smux_status_name(status));
}

/* --- the end ------------------------------------------------------------------------------- */

void sim_close(struct sim *sim, struct sim_end *end)
{
    if (end->loan != NULL) {
        sim_reclaim(sim, end);
    }
    if (end->post != NULL) {
        sim_unpost(sim, end);
    }
    smux_estream_close(sim->engine[end->side], end->stream);
    end->stream = NULL;
    end->closed = true;
    sim->moved++;
}

void sim_abort(struct sim *sim, struct sim_end *end)
{
    if (end->loan != NULL) {
        sim_reclaim(sim, end);
    }
    smux_estream_abort(sim->engine[end->side], end->stream, SMUX_EABORTED);
    end->aborted = true;
    end->can_read = true;
    sim->moved++;
}

static bool writing_is_over(const struct sim_end *end)
{
    return end->shut || end->aborted || end->write_end != 0;
}

static bool wants_close(const struct sim_end *end)
{
    if (end->loan != NULL) {
        return false;
    }
    if (end->plan.finish == FINISH_CLOSE && end->shut) {
        return true; /* drops what is unread */
    }
    return writing_is_over(end) && end->read_end != 0;
}

void sim_visit(struct sim *sim, struct sim_end *end)
{
    bool act = sim->converging;

    if (end->stream == NULL) {
        return;
    }
    if (sim->priorities && rng_chance(&sim->rng, 20)) {
        sim_set_priority(sim, end);
    }
    if (end->plan.finish == FINISH_ABORT && !end->aborted && end->written >= end->plan.total / 2) {
        sim_abort(sim, end);
    }
    if (!writing_is_over(end) && (!sim->by_events || end->can_write || end->loan != NULL)) {
        if (end->can_write || !sim->by_events) {
            sim_write_step(sim, end);
        }
    }
    act = act || rng_chance(&sim->rng, end->plan.read_percent);
    if (sim->asleep && sim->streams[index_of(sim, end->id)].sleeps) {
        act = false;
    }
    if (end->read_end == 0 && act && (!sim->by_events || end->can_read || end->post != NULL)) {
        sim_read_step(sim, end);
    }
    if (wants_close(end)) {
        sim_close(sim, end);
    }
}
