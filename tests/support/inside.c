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

uint32_t inside_discards(smux_engine *engine)
{
    uint32_t n = 0;
    uint32_t cursor = 0;
    const struct smux_estream *stream;

    while ((stream = smux__table_next(&engine->table, &cursor)) != NULL) {
        n += smux__stream_is(stream, STREAM_DISCARD) && !smux__stream_is(stream, STREAM_IN_CONTROL);
    }
    return n;
}

bool inside_shares_input(const smux_engine *engine)
{
    return engine->intray.n > 0;
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

#define MAX_STREAMS 4

struct past_stream {
    struct smux_estream *at;
    struct smux__traffic *traffic_at; /* NULL if it has none */
    struct smux_estream stream;
    struct smux__traffic traffic;
};

struct past {
    smux_engine engine;
    struct past_stream streams[MAX_STREAMS];
    unsigned num_streams;
};

_Static_assert(sizeof(struct past) <= sizeof(struct inside_past), "room for the past");

static uint64_t hash_outbox(const struct smux__outbox *outbox)
{
    struct smux_iov iov[SMUX__OUTBOX_PIECES];
    int n = smux__outbox_peek(outbox, iov, SMUX__OUTBOX_PIECES);
    uint64_t hash = outbox->len;

    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < iov[i].len; k++) {
            hash = rng_mix((hash ^ ((const uint8_t *)iov[i].base)[k]) + 1);
        }
    }
    return hash;
}

/* What waits are bytes: there is much room for more, in pieces and in the scratch chunk, so it does
 * not matter how many pieces they are and in which chunks they lie. */
static void hide_outbox(struct smux__outbox *outbox)
{
    must(outbox->count < SMUX__OUTBOX_PIECES / 2 &&
             (outbox->scratch == NULL || outbox->scratch->end <= SMUX__SCRATCH_LEN / 2),
         "too much was sent to hide it");
    memset(outbox->pieces, 0, sizeof(outbox->pieces));
    outbox->scratch = NULL;
    outbox->packing = NULL;
    outbox->head = 0;
    outbox->count = 0;
}

/* A turn is much longer than all that is ever sent: none ends, so nobody asks how much is left of it,
 * nor how long the next one is. What leaves by the tray takes nothing of it. */
static void hide_credit(const smux_engine *engine, struct smux_estream *stream)
{
    must(stream->deficit > engine->data.classes[stream->priority].unit * SMUX_WEIGHT_DEFAULT / 2,
         "a turn may end");
    stream->deficit = 0;
}

static void hide_decoder(struct smux__decoder *decoder)
{
    memset(decoder->head + decoder->head_len, 0, sizeof(decoder->head) - decoder->head_len);
    decoder->last_body = 0;
    decoder->alike = 0;
    decoder->misses = 0;
    if (decoder->body_left == 0) {
        decoder->body_id = 0;
    }
}

/* These serve timeouts of the session and lingering, which must be off. What the clock says is
 * seen by nobody either: it is the same for both ends, and timers count from it. */
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
    engine->now_us = 0;
    engine->now_ms = 0;
    engine->decoder.frame_since_us = 0;
    if (engine->paused_since_us != SMUX_NEVER) {
        engine->paused_since_us = 0;
    }
}

/* Nobody asks which streams have news, so it does not matter which have; no update is sent behind
 * the peer's FIN [UPD-6], so it does not matter what the last one said. */
static void hide_stream(struct smux_estream *stream, uint64_t now_us)
{
    stream->flags &= ~(uint32_t)STREAM_IN_READY;
    stream->finish_told = 0;
    stream->last_sent_ms = 0;
    stream->waited = 0;
    if (!smux__stream_is(stream, STREAM_IN_BACKLOG)) {
        memset(&stream->ready, 0, sizeof(stream->ready));
    }
    if (smux__stream_is(stream, STREAM_FIN_RCVD) && !smux__stream_is(stream, STREAM_DETACHED)) {
        stream->updated_at = 0;
    }
    if (smux__stream_is(stream, STREAM_DETACHED)) { /* it has sent all, and no update finds it */
        stream->flags &= ~(uint32_t)(STREAM_TOLD | STREAM_IS_READ);
    }
    if (smux__stream_timer_runs(stream)) {
        stream->traffic->timer.deadline_us -= now_us;
    }
}

static void keep_stream(struct smux_estream *stream, struct past *past)
{
    struct past_stream *kept = &past->streams[past->num_streams++];

    must(past->num_streams <= MAX_STREAMS, "too many streams to hide their past");
    kept->at = stream;
    kept->stream = *stream;
    kept->traffic_at = stream->traffic != SMUX__NO_TRAFFIC ? stream->traffic : NULL;
    if (kept->traffic_at != NULL) {
        kept->traffic = *kept->traffic_at;
    }
}

static void keep_streams(smux_engine *engine, struct past *past)
{
    uint32_t cursor = 0;
    struct smux_estream *stream;

    past->num_streams = 0;
    while ((stream = smux__table_next(&engine->table, &cursor)) != NULL) {
        keep_stream(stream, past);
    }
    for (stream = engine->detached.head; stream != NULL; stream = stream->detached.next) {
        keep_stream(stream, past);
    }
}

/* Lets timers that wait to be told the time begin, as the next call that tells it does, and hides
 * the rest. */
static void hide_streams(smux_engine *engine, uint64_t now_us, struct past *past)
{
    keep_streams(engine, past);
    smux__engine_advance(engine, now_us);
    for (unsigned i = 0; i < past->num_streams; i++) {
        hide_credit(engine, past->streams[i].at);
        hide_stream(past->streams[i].at, now_us);
    }
    memset(&engine->ready, 0, sizeof(engine->ready));
}

static void show_streams(const struct past *past)
{
    for (unsigned i = 0; i < past->num_streams; i++) {
        const struct past_stream *kept = &past->streams[i];

        *kept->at = kept->stream;
        if (kept->traffic_at != NULL) {
            *kept->traffic_at = kept->traffic;
        }
    }
}

/* So few streams have short turns however fast the transport is. */
static void hide_turns(smux_engine *engine)
{
    must(engine->in_turn == NULL, "turns are long");
    engine->metered_us = 0;
    engine->metered = 0;
    engine->fast = false;
    engine->data.unit = 0;
    engine->data.unit_of_many = 0;
    engine->data.many = 0;
    for (unsigned i = 0; i <= SMUX_PRIORITY_MAX; i++) {
        must(!engine->data.classes[i].long_turns, "turns are long");
        engine->data.classes[i].turns = 0;
    }
}

uint64_t inside_hide_past(smux_engine *engine, uint64_t now_us, struct inside_past *out_past)
{
    struct past *past = (struct past *)(void *)out_past->data;
    uint64_t hash = hash_outbox(&engine->outbox);

    past->engine = *engine;
    must(engine->config.fin_linger_ms == SMUX_OFF && engine->config.idle_timeout_ms == SMUX_OFF &&
             engine->config.send_stall_timeout_ms == SMUX_OFF &&
             engine->config.stall_timeout_ms == SMUX_OFF &&
             engine->config.frame_timeout_ms == SMUX_OFF &&
             engine->config.keepalive_mode == SMUX_KEEPALIVE_NEVER &&
             engine->config.keepalive_interval_ms == SMUX_OFF,
         "a timeout depends on what is hidden");
    hide_streams(engine, now_us, past);
    hide_outbox(&engine->outbox);
    hide_turns(engine);
    engine->offered = 0;
    engine->batch_limit = 0;
    engine->last_found = NULL;
    engine->intake.direct_len = 0;
    engine->intake.last_len = 0;
    engine->intake.expected = false;
    memset(&engine->stats, 0, sizeof(engine->stats));
    hide_decoder(&engine->decoder);
    hide_times(engine);
    return hash;
}

void inside_show_past(smux_engine *engine, const struct inside_past *in_past)
{
    const struct past *past = (const struct past *)(const void *)in_past->data;

    *engine = past->engine;
    show_streams(past);
}
