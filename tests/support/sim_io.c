#include "sim.h"

#include "must.h"
#include <stdlib.h>
#include <string.h>

#include "flow.h"

static uint64_t key_of(const struct sim *sim, uint32_t id, unsigned writer)
{
    return flow_key(sim->seed, id, writer);
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
    sim_check_error(sim, end, status);
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
void sim_reclaim(struct sim *sim, struct sim_end *end)
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
        sim_reclaim(sim, end);
    } else {
        end->can_write = false;
    }
}

void sim_shut(struct sim *sim, struct sim_end *end)
{
    int status;

    if (end->loan != NULL) {
        sim_reclaim(sim, end);
    }
    status = smux_estream_shutdown(sim->engine[end->side], end->stream);
    if (status == SMUX_OK) {
        end->shut = true;
    } else {
        sim_check_error(sim, end, status);
        end->write_end = status;
    }
    sim->moved++;
}

void sim_write_step(struct sim *sim, struct sim_end *end)
{
    uint64_t left = end->plan.total - end->written;
    size_t len;

    if (end->loan != NULL) {
        look_at_loan(sim, end);
        return;
    }
    if (left == 0) {
        if (!end->plan.waits || end->read_end != 0) {
            sim_shut(sim, end);
        }
        return;
    }
    len = rng_log(&sim->rng, end->plan.write_least, end->plan.write_chunk);
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

    sim_check(sim, right == len, "I1: stream %u: wrong byte at offset %llu", (unsigned)end->id,
              (unsigned long long)(end->read + right));
    end->read += len;
    sim->bytes_read += len;
    sim->moved++;
    link_note(&sim->link, len);
    sim_check(sim, end->read <= other->written + (other->loan != NULL ? other->loan_len : 0),
              "I1: stream %u: more read than written", (unsigned)end->id);
}

/* On a very slow link credit may come too late for a stream that is closed already [FIN-9]. */
bool sim_credit_may_be_late(const struct sim *sim, const struct sim_end *end)
{
    uint32_t ms = sim->config[end->side].half_close_timeout_ms;

    return sim->version == 2 &&
           sim->link.now - sim->start >= (uint64_t)(ms != 0 ? ms : 300000) * 1000;
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
        return sim->no_memory || sim->may_stall || sim_credit_may_be_late(sim, other);
    }
    status = smux_estream_peek(sim->engine[other->side], other->stream, &iov, 1, &n);
    return status != SMUX_OK && status != SMUX_EAGAIN && status != SMUX_EOF;
}

/* What arrived, as the engine and as the audit have it. */
static void check_all_was_read(struct sim *sim, const struct sim_end *end, int status)
{
    const struct audit_stream *seen = audit_stream(&sim->link.ends[end->side].audit, end->id);
    struct smux_stream_stats stats;

    smux_estream_stats(sim->engine[end->side], end->stream, &stats);
    sim_check(sim, stats.unread == 0, "I2: stream %u: %s with %u bytes unread", (unsigned)end->id,
              smux_status_name(status), (unsigned)stats.unread);
    if (status == SMUX_EOF) {
        sim_check(sim, seen->fin_in, "I2: stream %u: end of file without FIN", (unsigned)end->id);
        sim_check(sim, seen->received == end->in_from + end->read,
                  "I2: stream %u: end of file after %llu of the %llu bytes that arrived",
                  (unsigned)end->id, (unsigned long long)end->read,
                  (unsigned long long)(seen->received - end->in_from));
    }
}

static void read_ended(struct sim *sim, struct sim_end *end, int status)
{
    struct sim_end *other = sim_other(sim, end);
    uint64_t written = other->written + (other->loan != NULL ? other->loan_len : 0);

    end->read_end = status;
    sim->moved++;
    link_note(&sim->link, (uint64_t)(int64_t)status);
    if (!end->aborted && (status == SMUX_EOF || smux_status_is_fatal(status))) {
        check_all_was_read(sim, end, status);
    }
    if (status != SMUX_EOF) {
        sim_check_error(sim, end, status);
        return;
    }
    sim_check(sim, end->read == written || may_be_short(sim, other),
              "I1: stream %u: end of file after %llu of %llu bytes", (unsigned)end->id,
              (unsigned long long)end->read, (unsigned long long)written);
}

/* Reading never waits for the transport, the peer or another stream [I8]. */
static void read_must_wait(struct sim *sim, struct sim_end *end)
{
    struct link_end *at = &sim->link.ends[end->side];
    struct smux_stream_stats stats;

    end->can_read = false;
    smux_estream_stats(at->engine, end->stream, &stats);
    sim_check(sim, stats.unread == 0, "I8: stream %u waits with %u bytes unread", (unsigned)end->id,
              (unsigned)stats.unread);
    sim_check(sim,
              audit_stream(&at->audit, end->id)->received == end->in_from + end->read ||
                  !smux_engine_wants_read(at->engine),
              "I8: stream %u waits after %llu bytes, %llu have arrived", (unsigned)end->id,
              (unsigned long long)end->read,
              (unsigned long long)(audit_stream(&at->audit, end->id)->received - end->in_from));
}

static void read_by_copy(struct sim *sim, struct sim_end *end, size_t len)
{
    size_t got = 0;
    int status = smux_estream_read(sim->engine[end->side], end->stream, sim->buf, len, &got);

    if (status == SMUX_OK) {
        sim_check(sim, got > 0 && got <= len, "read of %zu", got);
        check_data(sim, end, sim->buf, got);
    } else if (status == SMUX_EAGAIN) {
        read_must_wait(sim, end);
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
        read_must_wait(sim, end);
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

void sim_unpost(struct sim *sim, struct sim_end *end)
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

void sim_read_step(struct sim *sim, struct sim_end *end)
{
    size_t len = rng_log(&sim->rng, 1, end->plan.read_chunk);

    if (end->post != NULL) {
        sim_unpost(sim, end);
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
