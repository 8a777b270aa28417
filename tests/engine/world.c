#include "world.h"

#include "support/inside.h"
#include "support/must.h"
#include "support/rng.h"
#include "support/seen.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct world world;

void world_begin(const struct scope *scope)
{
    struct smux_config config;

    memset(&world, 0, sizeof(world));
    world.scope = *scope;
    smux_config_init(&config);
    config.version = scope->version;
    config.max_frame_size = 2;
    config.max_stream_buffer = scope->window;
    config.max_receive_buffer = 5;
    config.max_send_buffer = 1; /* keeps no memory for later, whose old content would differ */
    config.keepalive_interval_ms = SMUX_OFF;
    config.keepalive_mode = SMUX_KEEPALIVE_NEVER;
    config.accept_guard_ms = SMUX_OFF;
    config.fin_linger_ms = SMUX_OFF;
    config.frame_timeout_ms = SMUX_OFF;
    config.accept_timeout_ms = SMUX_OFF;
    config.half_close_timeout_ms = SMUX_OFF;
    for (unsigned side = 0; side < 2; side++) {
        enum smux_role role = side == 0 ? SMUX_CLIENT : SMUX_SERVER;

        arena_init(&world.arenas[side]);
        config.allocator = &world.arenas[side].allocator;
        must(smux_engine_new(role, &config, 0, 0, &world.engines[side]) == SMUX_OK, "no engine");
        audit_init(&world.m.audits[side], role, scope->version, 0);
        world.m.audits[side].max_frame = 2;
        (void)audit_stream(&world.m.audits[side], 1);
        must(world.m.audits[side].num_streams >= WORLD_AUDITED, "room for the audit");
    }
    for (unsigned s = 0; s < scope->streams; s++) {
        must(smux_engine_open(world.engines[0], &world.m.ends[0][s].stream) == SMUX_OK,
             "no stream");
    }
}

void world_end(void)
{
    for (unsigned side = 0; side < 2; side++) {
        audit_free(&world.m.audits[side]);
    }
}

/* --- copies -------------------------------------------------------------------------------- */

/* Bytes on the way take whole words, so that they can be compared as such. */
static size_t words(size_t len)
{
    return (len + 7) / 8 * 8;
}

/* Mostly nothing is on its way. */
static void copy_model(struct world_model *to, const struct world_model *from)
{
    memcpy(to, from, offsetof(struct world_model, pipes));
    for (unsigned i = 0; i < 2; i++) {
        memcpy(to->pipes[i], from->pipes[i], words(from->pipe_len[i]));
    }
}

static void save_end(struct world_snapshot *s, unsigned side)
{
    size_t size = arena_copy_size(&world.arenas[side]);

    if (size > s->size[side]) {
        free(s->memory[side]);
        s->memory[side] = malloc(size);
        s->size[side] = size;
        must(s->memory[side] != NULL, "no memory for the test");
    }
    memcpy(s->streams[side], world.m.audits[side].streams, sizeof(s->streams[side]));
    arena_save(&world.arenas[side], s->memory[side]);
}

void world_save(struct world_snapshot *s, unsigned changes)
{
    copy_model(&s->model, &world.m);
    for (unsigned side = 0; side < 2; side++) {
        if (changes == side || changes == WORLD_BOTH) {
            save_end(s, side);
        }
    }
}

void world_restore(const struct world_snapshot *s, unsigned changed)
{
    copy_model(&world.m, &s->model);
    for (unsigned i = 0; i < 2; i++) {
        if (changed == i || changed == WORLD_BOTH) {
            memcpy(world.m.audits[i].streams, s->streams[i], sizeof(s->streams[i]));
            arena_restore(&world.arenas[i], s->memory[i]);
        }
    }
}

void world_snapshot_free(struct world_snapshot *s)
{
    free(s->memory[0]);
    free(s->memory[1]);
}

/* --- comparing ----------------------------------------------------------------------------- */

/* What the application of an end has. */
static uint64_t hash_application(unsigned side, const void *roots[1 + WORLD_STREAMS])
{
    const size_t beside = offsetof(struct world_end, written);
    uint64_t hash = side;

    roots[0] = world.engines[side];
    for (unsigned s = 0; s < WORLD_STREAMS; s++) {
        const struct world_end *end = &world.m.ends[side][s];

        roots[1 + s] = end->stream;
        hash = seen_hash(hash, (const uint8_t *)end + beside, sizeof(*end) - beside);
    }
    return hash;
}

/* Where the audit is in a frame: that an update is cut cannot always be told from the bytes that the
 * engine still has of it. */
static uint64_t hash_decoder(const struct audit_decoder *decoder, uint64_t hash)
{
    uint64_t words[3] = {decoder->have, decoder->payload, decoder->payload > 0 ? decoder->id : 0};
    uint8_t head[FRAME_UPD] = {0};

    memcpy(head, decoder->head, decoder->have);
    return seen_hash(seen_hash(hash, words, sizeof(words)), head, sizeof(head));
}

/* What the audit knows and may still need. There is no guard, which would need times; no update
 * follows the peer's FIN; and what was granted to a stream that is gone is of no use. */
static uint64_t hash_audit(unsigned side, uint64_t hash)
{
    hash = hash_decoder(&world.m.audits[side].out, hash);
    hash = hash_decoder(&world.m.audits[side].in, hash);
    for (unsigned s = 0; s < world.scope.streams; s++) {
        uint32_t id = 3 + 2 * s;
        struct audit_stream stream = *audit_stream(&world.m.audits[side], id);

        stream.syn_in_at_us = 0;
        stream.heard = false;
        if (stream.fin_in) {
            stream.consumed = 0;
        }
        if (!inside_has(world.engines[side], id)) {
            stream.acked = 0;
            stream.window = 0;
            stream.edge = 0;
            stream.consumed = 0;
        }
        hash = seen_hash(hash, &stream, sizeof(stream));
    }
    return hash;
}

uint64_t world_hash_end(unsigned side)
{
    const void *roots[1 + WORLD_STREAMS];
    struct inside_past past;
    uint64_t hash = hash_application(side, roots);

    hash = hash_audit(side, hash);
    hash = rng_mix(hash + inside_hide_past(world.engines[side], world.m.now, &past));
    hash ^= arena_hash(&world.arenas[side], roots, 1 + WORLD_STREAMS);
    inside_show_past(world.engines[side], &past);
    return hash;
}

uint64_t world_hash(const uint64_t ends[2])
{
    uint64_t hash = seen_hash(1, ends, 2 * sizeof(ends[0]));

    for (unsigned i = 0; i < 2; i++) {
        hash = seen_hash(hash, &world.m.pipe_len[i], sizeof(world.m.pipe_len[i]));
        hash = seen_hash(hash, world.m.pipes[i], words(world.m.pipe_len[i]));
    }
    return hash;
}

uint64_t world_hash_exactly(void)
{
    uint64_t ends[2];

    for (unsigned side = 0; side < 2; side++) {
        const void *roots[1 + WORLD_STREAMS];
        uint64_t hash = hash_application(side, roots) + world.m.now;

        hash = seen_hash(hash, world.m.audits[side].streams,
                         WORLD_AUDITED * sizeof(struct audit_stream));
        ends[side] = hash ^ arena_hash(&world.arenas[side], roots, 1 + WORLD_STREAMS);
    }
    return world_hash(ends);
}

/* --- applications -------------------------------------------------------------------------- */

const struct audit_stream *world_audited(unsigned side, unsigned stream)
{
    return audit_stream(&world.m.audits[side], 3 + 2 * stream);
}

uint8_t world_content(unsigned writer, unsigned stream, unsigned offset)
{
    return (uint8_t)(1 + offset + 50 * stream + 100 * writer);
}

uint8_t world_total(unsigned side, unsigned stream)
{
    return side == 0 ? world.scope.bytes[stream] : world.scope.answer;
}

bool world_write(unsigned side, unsigned s)
{
    struct world_end *end = &world.m.ends[side][s];
    uint8_t data[2];
    uint8_t left = (uint8_t)(world_total(side, s) - end->written);
    size_t len = left < 2 ? left : 2;
    size_t taken = 0;

    if (end->stream == NULL || end->shut) {
        return false;
    }
    if (left == 0) {
        must(smux_estream_shutdown(world.engines[side], end->stream) == SMUX_OK, "shutdown");
        end->shut = 1;
        return true;
    }
    for (uint8_t i = 0; i < len; i++) {
        data[i] = world_content(side, s, end->written + i);
    }
    must(smux_estream_write(world.engines[side], end->stream, data, len, &taken) == SMUX_OK,
         "write");
    must(taken == len, "%zu of %zu bytes written", taken, len);
    end->written = (uint8_t)(end->written + len);
    return true;
}

bool world_read(unsigned side, unsigned s, size_t most)
{
    struct world_end *end = &world.m.ends[side][s];
    uint8_t data[8];
    size_t got = 0;
    int status;

    if (end->stream == NULL || end->ended ||
        (smux_estream_events(world.engines[side], end->stream) & SMUX_EVENT_READABLE) == 0) {
        return false;
    }
    status = smux_estream_read(world.engines[side], end->stream, data, most, &got);
    for (size_t i = 0; i < got; i++) {
        must(data[i] == world_content(1 - side, s, end->read + (unsigned)i), "I1: wrong byte");
    }
    end->read = (uint8_t)(end->read + got);
    must(end->read <= world_audited(side, s)->received, "I1: more read than arrived");
    if (status != SMUX_OK) {
        must(status == SMUX_EOF && world_audited(side, s)->fin_in &&
                 end->read == world_total(1 - side, s),
             "I2: stream %u ends with %s after %u bytes", s, smux_status_name(status), end->read);
        end->ended = 1;
    }
    return true;
}

bool world_accept(void)
{
    smux_estream *stream;

    if (smux_engine_accept(world.engines[1], &stream) != SMUX_OK) {
        return false;
    }
    world.m.ends[1][(smux_estream_id(stream) - 3) / 2].stream = stream;
    return true;
}

bool world_close(unsigned side, unsigned s)
{
    struct world_end *end = &world.m.ends[side][s];

    if (end->stream == NULL || !end->shut || !end->ended) {
        return false;
    }
    smux_estream_close(world.engines[side], end->stream);
    end->stream = NULL;
    end->closed = 1;
    return true;
}

/* Hands bytes to an engine; returns how many it took. */
static size_t hand_over(unsigned side, const uint8_t *data, size_t len)
{
    struct smux_iov iov[2];
    size_t taken = 0;

    if (!world.scope.direct) {
        (void)smux_engine_recv(world.engines[side], data, len, world.m.now, &taken);
    } else if (smux_engine_wants_read(world.engines[side])) {
        int n = smux_engine_recv_iov(world.engines[side], iov, 2);

        for (int i = 0; i < n && taken < len; i++) {
            size_t part = iov[i].len < len - taken ? iov[i].len : len - taken;

            memcpy(iov[i].base, data + taken, part);
            taken += part;
        }
        (void)smux_engine_recv_commit(world.engines[side], taken, world.m.now);
    }
    audit_in(&world.m.audits[side], data, taken, world.m.now);
    return taken;
}

/* What an engine has to send, in one piece; to be called if it wants to. */
size_t world_gather(unsigned side, uint8_t data[WORLD_PIPE])
{
    struct smux_iov iov[64];
    int n = smux_engine_send_iov(world.engines[side], iov, 64, world.m.now);
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        must(len + iov[i].len <= WORLD_PIPE, "much to send");
        memcpy(data + len, iov[i].base, iov[i].len);
        len += iov[i].len;
    }
    must(len > 0 || !smux_engine_wants_write(world.engines[side]), "wants to send nothing");
    return len;
}

static void taken_from(unsigned side, const uint8_t *data, size_t len)
{
    const char *fault = audit_out(&world.m.audits[side], data, len, world.m.now);

    must(fault == NULL, "I10: %s", fault);
    smux_engine_send_commit(world.engines[side], len, world.m.now);
}

size_t world_move(unsigned side, size_t n)
{
    uint8_t data[WORLD_PIPE];
    size_t len = world_gather(side, data);
    size_t taken = hand_over(1 - side, data, n < len ? n : len);

    taken_from(side, data, taken);
    return taken;
}

void world_refuse(unsigned side)
{
    uint8_t data[WORLD_PIPE];

    (void)world_gather(side, data);
}

void world_take(unsigned side)
{
    uint8_t data[WORLD_PIPE];
    size_t len = world_gather(side, data);
    uint8_t *end = world.m.pipes[side] + world.m.pipe_len[side];

    must(world.m.pipe_len[side] + len <= WORLD_PIPE - 8, "much on its way");
    memcpy(end, data, len);
    memset(end + len, 0, 8);
    world.m.pipe_len[side] += len;
    taken_from(side, data, len);
}

/* The bytes on the way up to the end of the first frame. */
static size_t first_frame(unsigned side)
{
    struct frame frame;
    size_t len = frame_next(world.m.pipes[side], world.m.pipe_len[side], &frame);

    return len > 0 ? len : world.m.pipe_len[side];
}

void world_give(unsigned side)
{
    uint8_t *pipe = world.m.pipes[side];
    size_t taken = hand_over(1 - side, pipe, first_frame(side));

    memmove(pipe, pipe + taken, world.m.pipe_len[side] - taken);
    world.m.pipe_len[side] -= taken;
    memset(pipe + world.m.pipe_len[side], 0, taken);
}
