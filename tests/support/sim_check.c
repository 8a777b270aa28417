/*
 * sim_check.c - the invariants of the simulation that are looked at after every step.
 */
#include "sim.h"

#include "inside.h"

/* Streams looked at after every step; with more of them they take turns. */
#define LOOKS_A_STEP 32

/* What may hold back a small frame [WIN-8]. */
#define LONGEST_WAIT_US 200000

/* Deadlines that may pass in a second of the clock, for the session and for a stream. */
#define TICKS_OF_SESSION 1000
#define TICKS_OF_STREAM  250

static uint32_t num_streams(const struct sim *sim)
{
    return sim->num_planned[0] + sim->num_planned[1];
}

/* --- the session --------------------------------------------------------------------------- */

static bool may_die_of(const struct sim *sim, int error)
{
    switch (error) {
    case SMUX_OK:
        return true;
    case SMUX_EIO:
        return sim->no_memory || sim_transport_may_fail(sim);
    case SMUX_EOF:
    case SMUX_ETRUNCATED:
        return sim_transport_may_fail(sim);
    case SMUX_ETIMEDOUT:
    case SMUX_ECLOSED:
        return sim->may_time_out;
    default:
        return false; /* EPROTO and EFLOOD above all: both ends are honest */
    }
}

static void check_error(struct sim *sim, unsigned side)
{
    int error = smux_engine_error(sim->engine[side]);

    if (sim->error[side] == SMUX_OK) {
        sim->error[side] = error;
        sim_check(sim, may_die_of(sim, error), "I16: side %u dies of %s: %s", side,
                  smux_status_name(error), smux_engine_error_text(sim->engine[side]));
    }
    sim_check(sim, error == sim->error[side], "I16: sticky error changes from %s to %s",
              smux_status_name(sim->error[side]), smux_status_name(error));
}

/* L4 and L8: what the heap may hold in all, by the words of threats.md. */
static size_t heap_limit(const struct sim *sim, unsigned side,
                         const struct smux_session_stats *stats)
{
    const struct smux_config *c = &sim->config[side];
    size_t sending = c->max_send_buffer != 0 ? c->max_send_buffer : 1 << 20;
    size_t streams = stats->streams_now + stats->backlog_now + sim->num_planned[1 - side] +
                     sim->num_planned[side];

    /* L4; beside it the send side (L8) with its batch, the table, and the last frame. */
    return stats->receive_budget + stats->receive_budget / 4 + 65536 + 65536 + streams * 512 +
           (sending + sending / 2 + 4096 * streams) + 262144;
}

static void check_memory(struct sim *sim, unsigned side, const struct smux_session_stats *stats)
{
    sim_check(sim, stats->receive_buffer <= (uint64_t)stats->receive_budget + 65534 + 33000,
              "I3: %u bytes charged to a budget of %u", (unsigned)stats->receive_buffer,
              (unsigned)stats->receive_budget); /* with the slack of chunk sizes */
    sim_check(sim, sim->heap[side].now <= heap_limit(sim, side, stats),
              "I3: heap of %zu bytes, %zu allowed", sim->heap[side].now,
              heap_limit(sim, side, stats));
}

/* The one reason not to read is a used-up budget, and between two frames it is one [BKT-4]. */
static void check_reading(struct sim *sim, unsigned side, const struct smux_session_stats *stats)
{
    const struct link_end *end = &sim->link.ends[side];
    const struct link_dir *in = &sim->link.dirs[1 - side];

    if (sim->error[side] == SMUX_OK && !end->receiving && !in->ended) {
        sim_check(sim,
                  smux_engine_wants_read(end->engine) ||
                      stats->receive_buffer >= stats->receive_budget,
                  "I8: reading stops with %u bytes charged to a budget of %u",
                  (unsigned)stats->receive_buffer, (unsigned)stats->receive_budget);
        sim_check(sim,
                  !smux_engine_wants_read(end->engine) || !audit_between_frames(&end->audit) ||
                      stats->receive_buffer < stats->receive_budget,
                  "I3: reads on with %u bytes charged to a budget of %u",
                  (unsigned)stats->receive_buffer, (unsigned)stats->receive_budget);
    }
}

/* L13: how many discard records there may be. */
static uint32_t max_discards(const struct smux_config *c)
{
    if (c->max_discards == SMUX_OFF) {
        return 0;
    }
    return c->max_discards != 0 ? c->max_discards : 1024;
}

static void check_engine(struct sim *sim, unsigned side)
{
    struct smux_session_stats stats;

    check_error(sim, side);
    smux_engine_stats(sim->engine[side], &stats);
    sim->shared_input = sim->shared_input || inside_shares_input(sim->engine[side]);
    check_memory(sim, side, &stats);
    check_reading(sim, side, &stats);
    sim_check(sim, stats.streams_now == smux_engine_num_streams(sim->engine[side]),
              "I11: two numbers of streams");
    sim_check(sim, stats.backlog_now <= stats.streams_now || sim->error[side] != SMUX_OK,
              "I11: %u streams in a backlog of %u", (unsigned)stats.backlog_now,
              (unsigned)stats.streams_now);
}

/* --- a stream ------------------------------------------------------------------------------ */

/* Everything that reached the engine was decoded, so that the audit knows as much as it does. */
static bool is_up_to_date(const struct sim *sim, unsigned side)
{
    return sim->error[side] == SMUX_OK && smux_engine_wants_read(sim->engine[side]);
}

/* What the engine thinks it may send is what the updates that arrived say. */
static void check_window(struct sim *sim, const struct sim_end *end,
                         const struct smux_stream_stats *stats)
{
    struct audit *audit = &sim->link.ends[end->side].audit;
    uint32_t room = audit_room(audit, end->id, stats->bytes_out);

    sim_check(sim, stats->send_window <= room, "I5: stream %u may send %u, but its window lets %u",
              (unsigned)end->id, (unsigned)stats->send_window, (unsigned)room);
    unsigned events = smux_estream_events(sim->engine[end->side], end->stream);
    sim_check(sim,
              stats->send_window == room || audit_stream(audit, end->id)->acked == end->out_from ||
                  (stats->send_window == 0 && (events & SMUX_EVENT_FINISHED) != 0),
              "I5: stream %u sends %u of the %u that its window lets", (unsigned)end->id,
              (unsigned)stats->send_window, (unsigned)room);
    /* A first frame may have to wait for others: for the guard, or an answer [OPN-5, OPN-8]. */
    bool begun = stats->bytes_out > end->out_from;
    sim_check(sim,
              !begun || stats->unsent == 0 || stats->send_window == 0 ||
                  smux_engine_wants_write(sim->engine[end->side]) ||
                  smux_engine_deadline(sim->engine[end->side]) <= sim->link.now + LONGEST_WAIT_US,
              "I7: stream %u has data and room, and waits for nothing [WIN-8]", (unsigned)end->id);
}

/* The engine gave the stream up, and its application does not know yet: that can be read. Updates
 * for it have no effect any more. */
static bool has_failed(const struct sim *sim, const struct sim_end *end)
{
    struct smux_iov iov;
    int n;
    int status = smux_estream_peek(sim->engine[end->side], end->stream, &iov, 1, &n);

    return status != SMUX_OK && status != SMUX_EAGAIN && status != SMUX_EOF;
}

static void check_stream(struct sim *sim, const struct sim_end *end,
                         const struct smux_stream_stats *stats)
{
    const struct audit_stream *seen = audit_stream(&sim->link.ends[end->side].audit, end->id);

    sim_check(sim, stats->bytes_read - end->in_from >= end->read,
              "I4: %llu bytes read, the engine says %llu", (unsigned long long)end->read,
              (unsigned long long)(stats->bytes_read - end->in_from));
    sim_check(sim, stats->bytes_in <= seen->received, "I1: more received than arrived");
    sim_check(sim, seen->sent <= stats->bytes_out, "I5: more on the wire than was formed");
    if (is_up_to_date(sim, end->side) && !end->aborted && end->read_end == 0 &&
        end->write_end == 0 && !(end->shut && seen->fin_in) && sim->version == 2 &&
        !has_failed(sim, end)) {
        check_window(sim, end, stats);
    }
}

/* --- all streams of a side ----------------------------------------------------------------- */

struct totals {
    uint64_t unread;    /* by streams that are held */
    uint32_t held;      /* handles */
    uint32_t open;      /* of these, those that must be in the table */
    uint32_t finishing; /* closed, and the last frame is not on the wire */
    uint32_t unheld;    /* opened by the peer, neither accepted nor refused on the wire */
};

static void look_at(struct sim *sim, const struct sim_end *end, struct totals *totals)
{
    const struct audit_stream *seen;
    struct smux_stream_stats stats;
    struct smux_iov iov;
    int n;

    seen = audit_stream(&sim->link.ends[end->side].audit, end->id);
    if (!end->known) {
        totals->unheld += seen->syns_in > 0 && seen->fins_out == 0;
        return;
    }
    if (end->stream == NULL) {
        /* It stays as long as it stands in the list of those with an update to send. */
        totals->finishing += seen->fins_out == 0 ||
                             (sim->version == 2 && smux_engine_wants_write(sim->engine[end->side]));
        return;
    }
    smux_estream_stats(sim->engine[end->side], end->stream, &stats);
    check_stream(sim, end, &stats);
    totals->held++;
    if (smux_estream_peek(sim->engine[end->side], end->stream, &iov, 1, &n) == SMUX_OK) {
        totals->unread += stats.unread; /* one that failed has dropped it */
    }
    totals->open += !end->shut && !end->aborted && end->read_end == 0 && end->write_end == 0 &&
                    !sim->draining[end->side] && !has_failed(sim, end);
}

static void check_totals(struct sim *sim, unsigned side, const struct totals *totals)
{
    struct smux_session_stats stats;
    bool idle =
        audit_between_frames(&sim->link.ends[side].audit) && !sim->link.ends[side].receiving;

    smux_engine_stats(sim->engine[side], &stats);
    sim_check(sim, totals->unread <= stats.receive_buffer, "I4: %llu bytes unread, %u are charged",
              (unsigned long long)totals->unread, (unsigned)stats.receive_buffer);
    sim_check(sim, inside_discards(sim->engine[side]) <= max_discards(&sim->config[side]),
              "I11: %u discard records, %u allowed", (unsigned)inside_discards(sim->engine[side]),
              (unsigned)max_discards(&sim->config[side]));
    if (sim->error[side] != SMUX_OK) {
        return;
    }
    sim_check(sim,
              stats.receive_buffer == 0 || totals->unread > 0 || stats.backlog_now > 0 || !idle,
              "I4: nothing is unread, but %u bytes are charged", (unsigned)stats.receive_buffer);
    /* Draining sends the FIN also of those that wait. */
    uint32_t waiting = totals->unheld + (sim->draining[side] ? stats.backlog_now : 0);
    sim_check(sim, stats.streams_now <= waiting + totals->held + totals->finishing,
              "I11: %u streams; %u wait, %u are held, %u finish", (unsigned)stats.streams_now,
              (unsigned)waiting, (unsigned)totals->held, (unsigned)totals->finishing);
    sim_check(sim,
              stats.streams_now >= stats.backlog_now + totals->open || sim_transport_may_fail(sim),
              "I11: %u streams; %u wait, %u are open", (unsigned)stats.streams_now,
              (unsigned)stats.backlog_now, (unsigned)totals->open);
}

static void check_streams(struct sim *sim)
{
    for (unsigned side = 0; side < 2; side++) {
        struct totals totals = {0};

        for (uint32_t i = 0; i < num_streams(sim); i++) {
            look_at(sim, &sim->streams[i].ends[side], &totals);
        }
        check_totals(sim, side, &totals);
    }
}

/* --- time ---------------------------------------------------------------------------------- */

/* No timer starts itself again and again. */
static void check_ticks(struct sim *sim)
{
    uint64_t second = sim->link.now / 1000000;

    if (second != sim->second) {
        sim->second = second;
        sim->ticks = sim->link.ticks;
    }
    sim_check(sim,
              sim->link.ticks - sim->ticks <=
                  2 * TICKS_OF_SESSION + 2 * TICKS_OF_STREAM * (uint64_t)num_streams(sim),
              "I13: %llu ticks in a second", (unsigned long long)(sim->link.ticks - sim->ticks));
}

void sim_check_step(struct sim *sim)
{
    check_engine(sim, 0);
    check_engine(sim, 1);
    check_ticks(sim);
    sim_check(sim, sim->link.fault == NULL, "%s", sim->link.fault); /* [I5, I8, I10, I13] */
    if (sim->next_look == 0) {
        check_streams(sim);
        sim->next_look = num_streams(sim) / LOOKS_A_STEP;
    } else {
        sim->next_look--;
    }
}

/* --- the verdict --------------------------------------------------------------------------- */

bool sim_is_quiet(const struct sim *sim)
{
    for (unsigned side = 0; side < 2; side++) {
        if (smux_engine_wants_write(sim->engine[side]) || sim->link.ends[side].sending ||
            sim->link.ends[side].receiving) {
            return false;
        }
    }
    return !link_busy(&sim->link);
}

/* What one end sent of a stream is what the other received, and so is the credit. */
static void check_counters(struct sim *sim, unsigned writer, uint32_t id)
{
    const struct audit_stream *out = audit_stream(&sim->link.ends[writer].audit, id);
    const struct audit_stream *in = audit_stream(&sim->link.ends[1 - writer].audit, id);

    sim_check(sim, out->sent == in->received, "I5: stream %u: %llu bytes sent, %llu received",
              (unsigned)id, (unsigned long long)out->sent, (unsigned long long)in->received);
    sim_check(sim, out->acked == in->consumed, "I5: stream %u: %llu bytes credited, %llu heard of",
              (unsigned)id, (unsigned long long)in->consumed, (unsigned long long)out->acked);
    sim_check(sim, (out->fins_out > 0) == in->fin_in && out->syn_out == (in->syns_in > 0),
              "I5: stream %u: a SYN or FIN was lost", (unsigned)id);
}

static void check_agreement(struct sim *sim)
{
    for (uint32_t i = 0; i < num_streams(sim); i++) {
        check_counters(sim, 0, sim->streams[i].ends[0].id);
        check_counters(sim, 1, sim->streams[i].ends[0].id);
    }
}

void sim_check_verdict(struct sim *sim, bool settled)
{
    struct smux_session_stats stats[2];

    for (unsigned side = 0; side < 2; side++) {
        smux_engine_stats(sim->engine[side], &stats[side]);
        sim_check(sim, stats[side].receive_buffer == 0, "I4: %u bytes stay charged",
                  (unsigned)stats[side].receive_buffer);
        /* What closed streams of a dead session still had is freed with it. */
        sim_check(sim, stats[side].send_buffer == 0 || sim->error[side] != SMUX_OK,
                  "I4: %u bytes stay queued", (unsigned)stats[side].send_buffer);
    }
    if (sim->error[0] != SMUX_OK || sim->error[1] != SMUX_OK || !settled ||
        sim->link.dirs[0].broken || sim->link.dirs[1].broken) {
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
                  "I5: %llu bytes sent, %llu and %llu received",
                  (unsigned long long)stats[side].payload_out,
                  (unsigned long long)stats[1 - side].payload_in,
                  (unsigned long long)stats[1 - side].payload_discarded);
        sim_check(sim, stats[side].wire_out - sim->wire_from[side] == stats[1 - side].wire_in,
                  "I5: bytes were lost on the wire");
    }
    check_agreement(sim);
}
