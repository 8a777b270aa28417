#include "inside.h"

#include "must.h"
#include "rng.h"
#include <string.h>

#include "engine/core.h"

void inside_next_id(smux_engine *engine, uint32_t id)
{
    engine->next_id = id;
}

void inside_output(smux_engine *engine, uint64_t len)
{
    engine->stats.wire_out += len;
}

bool inside_has(smux_engine *engine, uint32_t id)
{
    return smux__stream_find(engine, id) != NULL;
}

void inside_stream(smux_engine *engine, uint32_t id, uint64_t sent, uint64_t received)
{
    struct smux_estream *stream = smux__stream_find(engine, id);

    must(stream != NULL, "no stream %u", (unsigned)id);
    if (sent > 0) {
        smux__send_is_read(engine, stream);
    }
    stream->sent += sent;
    stream->window.acked += (uint32_t)sent;
    stream->received += received;
    stream->consumed += (uint32_t)received;
    stream->updated_at += (uint32_t)received;
}

/* --- the past ------------------------------------------------------------------------------ */

#define MAX_SCRATCH 1024

struct past {
    smux_engine engine;
    struct smux__chunk scratch;
    uint8_t bytes[MAX_SCRATCH];
};

_Static_assert(sizeof(struct past) <= sizeof(struct inside_past), "room for the past");

static uint64_t hash_outbox(const struct smux__outbox *outbox)
{
    struct smux_iov iov[SMUX__OUTBOX_PIECES];
    int n = smux__outbox_peek(outbox, iov, SMUX__OUTBOX_PIECES);
    uint64_t hash = outbox->len;

    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < iov[i].len; k++) {
            hash = rng_mix(hash ^ ((const uint8_t *)iov[i].base)[k]) + k;
        }
    }
    return hash;
}

/* All that is sent was copied into the scratch chunk, which keeps it. */
static void hide_scratch(struct smux__chunk *scratch, struct past *past)
{
    must(scratch->end <= MAX_SCRATCH, "too much was sent to hide it");
    past->scratch = *scratch;
    memcpy(past->bytes, scratch->base, scratch->end);
    memset(scratch->base, 0, scratch->end);
    scratch->end = 0;
    scratch->refs = 1;
}

static void hide_decoder(struct smux__decoder *decoder)
{
    memset(decoder->head + decoder->head_len, 0, sizeof(decoder->head) - decoder->head_len);
    decoder->last_body = 0;
    if (decoder->body_left == 0) {
        decoder->body_id = 0;
    }
}

/* These serve timeouts of the session and lingering, which must be off. */
static void hide_times(smux_engine *engine)
{
    engine->undated = 0;
    engine->last_in_us = 0;
    engine->last_out_us = 0;
    engine->out_since_us = 0;
    engine->idle_since_us = 0;
    engine->last_read_us = 0;
    engine->nop_ends_at = 0;
    engine->payload_ends_at = 0;
}

uint64_t inside_hide_past(smux_engine *engine, struct inside_past *out_past)
{
    struct past *past = (struct past *)(void *)out_past->data;
    uint64_t hash = hash_outbox(&engine->outbox);

    past->engine = *engine;
    must(engine->config.fin_linger_ms == SMUX_OFF && engine->config.idle_timeout_ms == SMUX_OFF &&
             engine->config.send_stall_timeout_ms == SMUX_OFF &&
             engine->config.stall_timeout_ms == SMUX_OFF &&
             engine->config.keepalive_mode == SMUX_KEEPALIVE_NEVER &&
             engine->config.keepalive_interval_ms == SMUX_OFF,
         "a timeout depends on what is hidden");
    if (engine->outbox.scratch != NULL) {
        hide_scratch(engine->outbox.scratch, past);
    }
    memset(engine->outbox.pieces, 0, sizeof(engine->outbox.pieces));
    engine->outbox.packing = NULL;
    engine->outbox.head = 0;
    engine->outbox.count = 0;
    engine->offered = 0;
    engine->batch_limit = 0;
    engine->last_found = NULL;
    engine->intake.direct_len = 0;
    engine->intake.buffer_len = 0;
    memset(&engine->stats, 0, sizeof(engine->stats));
    hide_decoder(&engine->decoder);
    hide_times(engine);
    return hash;
}

void inside_show_past(smux_engine *engine, const struct inside_past *in_past)
{
    const struct past *past = (const struct past *)(const void *)in_past->data;

    *engine = past->engine;
    if (engine->outbox.scratch != NULL) {
        *engine->outbox.scratch = past->scratch;
        memcpy(engine->outbox.scratch->base, past->bytes, past->scratch.end);
    }
}
