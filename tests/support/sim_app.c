#include "sim.h"

#include "must.h"
#include <stdlib.h>
#include <string.h>

#include "flow.h"

static uint64_t key_of(const struct sim *sim, uint32_t id, unsigned writer)
{
    return flow_key(sim->seed, id, writer);
}

struct sim_end *sim_find(struct sim *sim, unsigned side, uint32_t id)
{
    unsigned opener = (id & 1) == 1 ? 0 : 1;
    uint32_t index = (id - (opener == 0 ? 3 : 2)) / 2;

    sim_check(sim, index < sim->num_planned[opener], "id %u was never opened", (unsigned)id);
    return &sim->streams[sim->first[opener] + index].ends[side];
}

struct sim_end *sim_other(struct sim *sim, const struct sim_end *end)
{
    return sim_find(sim, 1 - end->side, end->id);
}

/* --- errors [I16] -------------------------------------------------------------------------- */

static bool transport_may_fail(const struct sim *sim)
{
    return sim->link.dirs[0].cut != CUT_NONE || sim->link.dirs[1].cut != CUT_NONE;
}

/* A call on a stream failed: the reason must be known, and be the session's if it is dead. */
static void check_error(const struct sim *sim, const struct sim_end *end, int status)
{
    int session = smux_engine_error(sim->engine[end->side]);

    sim_check(sim, status != SMUX_OK && status != SMUX_EINVAL, "status %s on stream %u",
              smux_status_name(status), (unsigned)end->id);
    if (end->aborted && status == SMUX_EABORTED) {
        return;
    }
    if (session != SMUX_OK && status == session) {
        return;
    }
    switch (status) {
    case SMUX_ETRUNCATED:
        sim_check(sim, transport_may_fail(sim), "stream %u cut for nothing", (unsigned)end->id);
        break;
    case SMUX_ENOMEM:
        sim_check(sim, sim->no_memory, "stream %u has no memory", (unsigned)end->id);
        break;
    case SMUX_ESTALLED:
        sim_check(sim, sim->may_stall, "stream %u aborted as stalled", (unsigned)end->id);
        break;
    case SMUX_EPIPE: /* after our shutdown or drain, or no credit came [FIN-9] */
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
        sim_check(sim,
                  status == smux_engine_error(sim->engine[side]) ||
                      (status == SMUX_EGOAWAY && (sim->drains || transport_may_fail(sim))) ||
                      (status == SMUX_ETRUNCATED && transport_may_fail(sim)),
                  "open: %s", smux_status_name(status));
        sim->may_open[side] = false;
        return;
    }
    sim->num_opened[side]++;
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
    sim_check(sim,
              status == SMUX_EAGAIN || status == smux_engine_error(sim->engine[side]) ||
                  ((status == SMUX_ETRUNCATED || status == SMUX_EOF) && transport_may_fail(sim)),
              "accept: %s", smux_status_name(status));
}

void sim_events(struct sim *sim, unsigned side)
{
    smux_estream *stream;
    unsigned events;
    uint32_t guard = 0;

    while ((stream = smux_engine_next_ready(sim->engine[side], &events)) != NULL) {
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

/* --- writing ------------------------------------------------------------------------------- */

static void write_failed(struct sim *sim, struct sim_end *end, int status)
{
    if (status == SMUX_EAGAIN) {
        end->can_write = false;
        return;
    }
    if (status == SMUX_ENOMEM && sim->no_memory && end->read_end != SMUX_ENOMEM &&
        smux_engine_error(sim->engine[end->side]) == SMUX_OK) {
        return; /* tried again later, unless reading says that it is final */
    }
    check_error(sim, end, status);
    end->write_end = status;
    sim->moved++;
}

static void write_by_copy(struct sim *sim, struct sim_end *end, size_t len)
{
    size_t taken = 0;
    int status;

    flow_fill(key_of(sim, end->id, end->side), end->written, sim->buf, len);
    status = smux_estream_write(sim->engine[end->side], end->stream, sim->buf, len, &taken);
    if (status != SMUX_OK) {
        write_failed(sim, end, status);
        return;
    }
    sim_check(sim, taken > 0 && taken <= len, "write took %zu of %zu", taken, len);
    end->written += taken;
    end->can_write = taken == len;
    sim->moved++;
}

static void write_by_reserve(struct sim *sim, struct sim_end *end, size_t len)
{
    struct smux_iov iov;
    int status = smux_estream_write_reserve(sim->engine[end->side], end->stream, len, &iov);

    if (status != SMUX_OK) {
        write_failed(sim, end, status);
        return;
    }
    sim_check(sim, iov.len > 0, "room of 0 bytes");
    len = len < iov.len ? len : iov.len;
    flow_fill(key_of(sim, end->id, end->side), end->written, iov.base, len);
    smux_estream_write_commit(sim->engine[end->side], end->stream, len);
    end->written += len;
    sim->moved++;
}

static void write_by_loan(struct sim *sim, struct sim_end *end, size_t len)
{
    int status;

    end->loan = malloc(len);
    must(end->loan != NULL, "no memory for the test");
    flow_fill(key_of(sim, end->id, end->side), end->written, end->loan, len);
    status = smux_estream_lend(sim->engine[end->side], end->stream, end->loan, len);
    if (status != SMUX_OK) {
        free(end->loan);
        end->loan = NULL;
        write_failed(sim, end, status);
        return;
    }
    end->loan_len = len;
    end->can_write = false; /* until the event tells that it is over */
    sim->moved++;
}

/* Takes a loan back, finished or not. */
static void reclaim(struct sim *sim, struct sim_end *end)
{
    size_t kept = 0;
    int status;

    link_settle(&sim->link, end->side);
    status = smux_estream_reclaim(sim->engine[end->side], end->stream, &kept);
    sim_check(sim, status == SMUX_OK || (status == SMUX_EIO && sim->no_memory), "reclaim: %s",
              smux_status_name(status));
    sim_check(sim, kept <= end->loan_len, "%zu of %zu lent bytes kept", kept, end->loan_len);
    sim_check(sim, smux_estream_lent(sim->engine[end->side], end->stream) == 0,
              "a loan is left after reclaim");
    memset(end->loan, 0xee, end->loan_len);
    free(end->loan);
    end->loan = NULL;
    end->written += kept;
    end->can_write = true;
    sim->moved++;
}

static void look_at_loan(struct sim *sim, struct sim_end *end)
{
    smux_engine *engine = sim->engine[end->side];
    bool early = !sim->converging && rng_chance(&sim->rng, 5);

    if (smux_estream_lent(engine, end->stream) == 0 || early ||
        smux_engine_error(engine) != SMUX_OK) {
        reclaim(sim, end);
    } else {
        end->can_write = false;
    }
}

void sim_shut(struct sim *sim, struct sim_end *end)
{
    int status;

    if (end->loan != NULL) {
        reclaim(sim, end);
    }
    status = smux_estream_shutdown(sim->engine[end->side], end->stream);
    if (status == SMUX_OK) {
        end->shut = true;
    } else {
        check_error(sim, end, status);
        end->write_end = status;
    }
    sim->moved++;
}

static void write_step(struct sim *sim, struct sim_end *end)
{
    uint64_t left = end->plan.total - end->written;
    size_t len;

    if (end->loan != NULL) {
        look_at_loan(sim, end);
        return;
    }
    if (left == 0) {
        sim_shut(sim, end);
        return;
    }
    len = rng_log(&sim->rng, 1, end->plan.write_chunk);
    len = len < left ? len : (size_t)left;
    if (rng_chance(&sim->rng, end->plan.lend_percent)) {
        write_by_loan(sim, end, len);
    } else if (rng_chance(&sim->rng, 30)) {
        write_by_reserve(sim, end, len);
    } else {
        write_by_copy(sim, end, len);
    }
}

/* --- reading ------------------------------------------------------------------------------- */

/* What arrived must be what the other application wrote [I1]. */
static void check_data(struct sim *sim, struct sim_end *end, const void *data, size_t len)
{
    const struct sim_end *other = sim_other(sim, end);
    size_t right = flow_check(key_of(sim, end->id, 1 - end->side), end->read, data, len);

    sim_check(sim, right == len, "stream %u: wrong byte at offset %llu", (unsigned)end->id,
              (unsigned long long)(end->read + right));
    end->read += len;
    sim->bytes_read += len;
    sim->moved++;
    link_note(&sim->link, len);
    sim_check(sim, end->read <= other->written + (other->loan != NULL ? other->loan_len : 0),
              "stream %u: more read than written", (unsigned)end->id);
}

/* On a very slow link credit may come too late for a stream that is closed already [FIN-9]. */
static bool credit_may_be_late(const struct sim *sim, const struct sim_end *end)
{
    uint32_t ms = sim->config[end->side].half_close_timeout_ms;

    return sim->version == 2 &&
           sim->link.now - sim->start > (uint64_t)(ms != 0 ? ms : 300000) * 1000;
}

/* The other end failed or was aborted, so that its data may be cut short. */
static bool may_be_short(struct sim *sim, struct sim_end *other)
{
    struct smux_iov iov;
    int n, status;

    if (!other->known || other->aborted || other->write_end != 0) {
        return true;
    }
    if (other->stream == NULL) {
        return sim->no_memory || sim->may_stall || credit_may_be_late(sim, other);
    }
    status = smux_estream_peek(sim->engine[other->side], other->stream, &iov, 1, &n);
    return status != SMUX_OK && status != SMUX_EAGAIN && status != SMUX_EOF;
}

static void read_ended(struct sim *sim, struct sim_end *end, int status)
{
    struct sim_end *other = sim_other(sim, end);
    uint64_t written = other->written + (other->loan != NULL ? other->loan_len : 0);

    end->read_end = status;
    sim->moved++;
    link_note(&sim->link, (uint64_t)(int64_t)status);
    if (status != SMUX_EOF) {
        check_error(sim, end, status);
        return;
    }
    if (smux_engine_error(sim->engine[end->side]) == SMUX_EOF && !end->shut) {
        /* The session ended in order: only complete streams may say so. */
        sim_check(sim, transport_may_fail(sim), "session ended for nothing");
    }
    sim_check(sim, end->read == written || may_be_short(sim, other),
              "stream %u: end of file after %llu of %llu bytes", (unsigned)end->id,
              (unsigned long long)end->read, (unsigned long long)written); /* [I1, I2] */
}

static void read_by_copy(struct sim *sim, struct sim_end *end, size_t len)
{
    size_t got = 0;
    int status = smux_estream_read(sim->engine[end->side], end->stream, sim->buf, len, &got);

    if (status == SMUX_OK) {
        sim_check(sim, got > 0 && got <= len, "read of %zu", got);
        check_data(sim, end, sim->buf, got);
    } else if (status == SMUX_EAGAIN) {
        end->can_read = false;
    } else {
        read_ended(sim, end, status);
    }
}

static void read_by_peek(struct sim *sim, struct sim_end *end, size_t len)
{
    struct smux_iov iov[4];
    int max = (int)rng_between(&sim->rng, 1, 4);
    int n = 0;
    int status = smux_estream_peek(sim->engine[end->side], end->stream, iov, max, &n);
    size_t done = 0;

    if (status == SMUX_EAGAIN) {
        end->can_read = false;
        return;
    }
    if (status != SMUX_OK) {
        read_ended(sim, end, status);
        return;
    }
    sim_check(sim, n >= 1 && n <= max, "peek gives %d vectors", n);
    for (int i = 0; i < n && done < len; i++) {
        size_t part = iov[i].len < len - done ? iov[i].len : len - done;

        sim_check(sim, iov[i].len > 0, "empty vector to read");
        check_data(sim, end, iov[i].base, part);
        done += part;
    }
    smux_estream_consume(sim->engine[end->side], end->stream, done);
}

static void unpost(struct sim *sim, struct sim_end *end)
{
    size_t len = 0;

    link_settle(&sim->link, end->side);
    smux_estream_unpost(sim->engine[end->side], end->stream, &len);
    sim_check(sim, len <= end->post_len, "%zu bytes in posted memory of %zu", len, end->post_len);
    if (len > 0) {
        check_data(sim, end, end->post, len);
    }
    memset(end->post, 0xee, end->post_len);
    free(end->post);
    end->post = NULL;
    sim->posted[end->side] = NULL;
    end->can_read = true;
}

static void post(struct sim *sim, struct sim_end *end)
{
    int status;

    link_settle(&sim->link, end->side);
    end->post_len = rng_log(&sim->rng, 1, 65536);
    end->post = malloc(end->post_len);
    must(end->post != NULL, "no memory for the test");
    status = smux_estream_post(sim->engine[end->side], end->stream, end->post, end->post_len);
    if (status != SMUX_OK) {
        sim_check(sim, status == SMUX_EAGAIN, "post: %s", smux_status_name(status));
        free(end->post);
        end->post = NULL;
        return;
    }
    sim->posted[end->side] = end;
}

void sim_post_to_receiver(struct sim *sim, unsigned side)
{
    smux_estream *stream = smux_engine_recv_stream(sim->engine[side]);
    struct sim_end *end = NULL;

    if (stream == NULL || sim->posted[side] != NULL) {
        return;
    }
    memcpy(&end, smux_estream_user(stream), sizeof(end)); /* none before it is accepted */
    if (end != NULL && end->read_end == 0) {
        sim_check(sim, end->stream == stream, "payload for a stream that is not ours");
        post(sim, end);
    }
}

static void read_step(struct sim *sim, struct sim_end *end)
{
    size_t len = rng_log(&sim->rng, 1, end->plan.read_chunk);

    if (end->post != NULL) {
        unpost(sim, end);
        return;
    }
    if (sim->posted[end->side] == NULL && !sim->converging &&
        rng_chance(&sim->rng, end->plan.post_percent)) {
        post(sim, end);
    } else if (rng_chance(&sim->rng, 50)) {
        read_by_copy(sim, end, len);
    } else {
        read_by_peek(sim, end, len);
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
        reclaim(sim, end);
    }
    if (end->post != NULL) {
        unpost(sim, end);
    }
    smux_estream_close(sim->engine[end->side], end->stream);
    end->stream = NULL;
    end->closed = true;
    sim->moved++;
}

void sim_abort(struct sim *sim, struct sim_end *end)
{
    if (end->loan != NULL) {
        reclaim(sim, end);
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
            write_step(sim, end);
        }
    }
    act = act || rng_chance(&sim->rng, end->plan.read_percent);
    if (end->read_end == 0 && act && (!sim->by_events || end->can_read || end->post != NULL)) {
        read_step(sim, end);
    }
    if (wants_close(end)) {
        sim_close(sim, end);
    }
}
