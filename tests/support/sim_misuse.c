/*
 * sim_misuse.c - calls that a wrong application makes. Each has a defined answer and no effect.
 */
#include "sim.h"

/* --- the session --------------------------------------------------------------------------- */

static void bad_construction(struct sim *sim)
{
    struct smux_config config = sim->config[0];
    smux_engine *engine = NULL;
    const char *why = NULL;
    int status;

    status = smux_engine_new(SMUX_CLIENT, &sim->config[0], 4097, 0, &engine);
    sim_check(sim, status == SMUX_EINVAL, "new with 4097 bytes: %s", smux_status_name(status));
    switch (rng_below(&sim->rng, 5)) {
    case 0:
        config.version = SMUX_VERSION_AUTO; /* for servers only */
        break;
    case 1:
        config.version = rng_between(&sim->rng, 3, 254);
        break;
    case 2:
        config.max_frame_size = rng_between(&sim->rng, 65536, UINT32_MAX);
        break;
    case 3:
        config.max_receive_buffer = rng_between(&sim->rng, 0x80000000u, UINT32_MAX);
        break;
    default:
        config.keepalive_mode = rng_between(&sim->rng, 3, UINT32_MAX);
        break;
    }
    status = smux_engine_new(SMUX_CLIENT, &config, 0, 0, &engine);
    sim_check(sim, status == SMUX_ECONFIG, "new with a bad field: %s", smux_status_name(status));
    status = smux_config_check(&config, SMUX_CLIENT, &why);
    sim_check(sim, status == SMUX_ECONFIG && why != NULL, "check of a bad field: %s",
              smux_status_name(status));
    sim_check(sim, engine == NULL, "an engine in spite of all");
}

/* Every call reports the error that was first [I16]. */
static void call_the_dead(struct sim *sim, unsigned side)
{
    smux_engine *engine = sim->engine[side];
    int error = sim->error[side];
    smux_estream *stream = NULL;
    size_t taken = 1;

    smux_engine_fail(engine, SMUX_EPROTO, "not the first");
    smux_engine_recv_eof(engine, sim->link.now);
    smux_engine_drain(engine);
    sim_check(sim, smux_engine_open(engine, &stream) == error, "I16: open");
    sim_check(sim, smux_engine_tick(engine, sim->link.now) == error, "I16: tick");
    if (!sim->link.ends[side].receiving) {
        sim_check(sim, smux_engine_recv(engine, "x", 1, sim->link.now, &taken) == error,
                  "I16: recv");
        sim_check(sim, taken == 0, "I16: a dead session takes bytes");
    }
    sim_check(sim, !smux_engine_wants_read(engine) && !smux_engine_wants_write(engine),
              "I16: a dead session wants something");
    sim_check(sim, smux_engine_drained(engine) && smux_engine_deadline(engine) == SMUX_NEVER,
              "I13: a dead session waits for something");
    sim_check(sim, smux_engine_error_text(engine) != NULL, "I16: no text");
}

void sim_misuse_session(struct sim *sim, unsigned side)
{
    struct link_end *end = &sim->link.ends[side];
    smux_estream *stream = NULL;
    uint64_t early = sim->link.now - rng_below(&sim->rng, 1000);
    size_t taken = 1;
    int status;

    if (sim->error[side] != SMUX_OK) {
        call_the_dead(sim, side);
        return;
    }
    bad_construction(sim);
    (void)smux_engine_tick(end->engine, early < sim->link.now ? early : 0);
    if (!end->sending) {
        smux_engine_send_commit(end->engine, 0, 0);
    }
    if (!end->receiving) {
        (void)smux_engine_recv_commit(end->engine, 0, 0);
    }
    status = smux_engine_recv(end->engine, "x", end->receiving ? 1 : 0, 0, &taken);
    sim_check(sim, status == smux_engine_error(end->engine) && taken == 0,
              "recv of nothing takes %zu: %s", taken, smux_status_name(status));
    if (sim->draining[side]) {
        smux_engine_drain(end->engine);
        status = smux_engine_open(end->engine, &stream);
        bool has_ended = (status == SMUX_EOF || status == SMUX_ETRUNCATED) && /* the peer, and */
                         sim_transport_may_fail(sim); /* the session will when it has drained */
        sim_check(sim,
                  status == SMUX_EGOAWAY || has_ended || status == smux_engine_error(end->engine),
                  "open while draining: %s", smux_status_name(status));
    }
    smux_engine_free(NULL);
}

/* --- a stream ------------------------------------------------------------------------------ */

static void misuse_writing(struct sim *sim, struct sim_end *end)
{
    smux_engine *engine = sim->engine[end->side];
    struct smux_iov iov;
    size_t len = 1;
    int status = smux_estream_write(engine, end->stream, "", 0, &len);

    sim_check(sim, len == 0 && status != SMUX_EAGAIN, "write of nothing: %s",
              smux_status_name(status));
    status = smux_estream_lend(engine, end->stream, "", 0);
    sim_check(sim, status != SMUX_OK, "a loan of nothing");
    status = smux_estream_lend(engine, end->stream, "", ((size_t)1 << 30) + 1);
    sim_check(sim, status != SMUX_OK, "a loan of more than 2^30 bytes");
    if (smux_estream_lent(engine, end->stream) > 0) {
        status = smux_estream_lend(engine, end->stream, "x", 1);
        sim_check(sim, status != SMUX_OK, "a second loan");
    }
    if (end->shut) {
        status = smux_estream_write(engine, end->stream, "x", 1, &len);
        sim_check(sim, status != SMUX_OK && status != SMUX_EAGAIN && len == 0,
                  "write behind the end: %s", smux_status_name(status));
        status = smux_estream_write_reserve(engine, end->stream, 1, &iov);
        sim_check(sim, status != SMUX_OK && status != SMUX_EAGAIN, "room behind the end: %s",
                  smux_status_name(status));
        status = smux_estream_lend(engine, end->stream, "x", 1);
        sim_check(sim, status != SMUX_OK && status != SMUX_EAGAIN, "a loan behind the end: %s",
                  smux_status_name(status));
        (void)smux_estream_shutdown(engine, end->stream);
    }
}

static void misuse_reading(struct sim *sim, struct sim_end *end)
{
    smux_engine *engine = sim->engine[end->side];
    uint8_t byte;
    size_t len = 1;
    int status = smux_estream_read(engine, end->stream, &byte, 0, &len);

    sim_check(sim, status == SMUX_OK && len == 0, "read of nothing: %s", smux_status_name(status));
    smux_estream_consume(engine, end->stream, 0);
    status = smux_estream_post(engine, end->stream, &byte, 0);
    sim_check(sim, status == SMUX_EAGAIN, "post of nothing: %s", smux_status_name(status));
    if (sim->posted[end->side] != NULL) {
        status = smux_estream_post(engine, end->stream, &byte, 1);
        sim_check(sim, status == SMUX_EAGAIN, "a second post: %s", smux_status_name(status));
    }
    if (end->post == NULL) {
        smux_estream_unpost(engine, end->stream, &len);
        sim_check(sim, len == 0 && smux_estream_posted(engine, end->stream) == 0,
                  "memory that was never posted");
    }
}

void sim_misuse_stream(struct sim *sim, struct sim_end *end)
{
    smux_engine *engine = sim->engine[end->side];
    size_t kept = 1;

    misuse_writing(sim, end);
    misuse_reading(sim, end);
    if (end->loan == NULL) {
        link_settle(&sim->link, end->side);
        sim_check(sim, smux_estream_reclaim(engine, end->stream, &kept) == SMUX_OK && kept == 0,
                  "%zu bytes kept of no loan", kept);
    }
    if (end->aborted) {
        smux_estream_abort(engine, end->stream, SMUX_EABORTED);
    }
}
