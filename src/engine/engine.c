/*
 * engine.c - the session as a whole: life, errors, the orderly end, statistics.
 */
#include "core.h"
#include "text.h"

#include <string.h>

/* Freed memory is kept for reuse up to this. */
#define MAX_CACHED (256u << 10)
/* What a stream may queue beyond the total, and so in a session that is throttled. */
#define QUEUE_FLOOR           4096u
#define THROTTLED_QUEUE_FLOOR 512u

/* --- life -------------------------------------------------------------------------------- */

/* What is cached must not count: it stays below an eighth of the budget. */
static size_t cache_limit(const struct smux_config *config)
{
    size_t eighth = config->max_receive_buffer / 8;

    return eighth < MAX_CACHED ? eighth : MAX_CACHED;
}

void smux__engine_set_admission(smux_engine *e)
{
    uint64_t budget = smux__engine_budget(e);
    uint64_t calm = e->config.max_receive_buffer / 8;

    e->admits_below =
        e->throttled && budget > SMUX__THROTTLED_BUDGET ? SMUX__THROTTLED_BUDGET : budget;
    e->runs_below = !e->throttled && calm >= 4 * SMUX__INTRAY_LEN ? calm : 0;
}

static void set_throttle(smux_engine *e, bool on)
{
    uint32_t queue = e->config.max_send_buffer;

    e->throttled = on;
    e->max_queued = on && queue > SMUX__THROTTLED_BUDGET ? SMUX__THROTTLED_BUDGET : queue;
    e->queue_floor = on ? THROTTLED_QUEUE_FLOOR : QUEUE_FLOOR;
    smux__send_set_tray(e);
    smux__engine_set_admission(e);
}

static void engine_init_times(smux_engine *e, uint64_t now_us)
{
    e->born_us = now_us;
    e->now_us = now_us;
    e->last_in_us = now_us;
    e->last_out_us = now_us;
    e->last_read_us = now_us;
    e->idle_since_us = now_us;
    e->out_since_us = SMUX_NEVER;
    e->paused_since_us = SMUX_NEVER;
    e->trim_at_us = SMUX_NEVER;
    e->decoder.frame_since_us = SMUX_NEVER;
    e->glitches.leaked_at_us = now_us;
    e->excused_at = UINT64_MAX;
}

static void engine_init(smux_engine *e, enum smux_role role, const struct smux_config *config,
                        size_t user_size, uint64_t now_us)
{
    const size_t sizes[] = {[SMUX__RECORD_STREAM] = smux__stream_size(user_size),
                            [SMUX__RECORD_TRAFFIC] = sizeof(struct smux__traffic)};

    memset(e, 0, sizeof(*e));
    e->config = *config;
    e->role = role;
    e->version = config->version == SMUX_VERSION_AUTO ? 0 : config->version;
    e->next_id = role == SMUX_CLIENT ? 3 : 2; /* [SID-1] */
    smux__intake_init(e);
    e->decoder.psh_head = SMUX__NO_HEAD;
    e->decoder.plain_flags = UINT32_MAX;
    engine_init_times(e, now_us);
    smux__pool_init(&e->pool, config->allocator, cache_limit(config), sizes);
    smux__table_init(&e->table, config->hash_seed);
    smux__tune_init(e);
    set_throttle(e, false);
    smux__turn_init(e);
    for (unsigned i = 0; i < TIMER_KINDS; i++) {
        smux__timer_list_init(&e->timers[i]);
    }
    smux__timer_list_init(&e->undated_timers);
    /* A client's first frame tells the server the version [VER-3]. */
    e->nop_due = role == SMUX_CLIENT && config->keepalive_interval_ms != SMUX_OFF;
}

int smux_engine_new(enum smux_role role, const struct smux_config *config, size_t user_size,
                    uint64_t now_us, smux_engine **out_engine)
{
    struct smux_config resolved;
    int status = smux__config_resolve(&resolved, config, role, NULL);

    *out_engine = NULL;
    if (status != SMUX_OK) {
        return status;
    }
    if (user_size > 4096 || (role != SMUX_CLIENT && role != SMUX_SERVER)) {
        return SMUX_EINVAL;
    }
    smux_engine *e = resolved.allocator->alloc(sizeof(smux_engine), resolved.allocator->ctx);
    if (e == NULL) {
        return SMUX_ENOMEM;
    }
    engine_init(e, role, &resolved, user_size, now_us);
    *out_engine = e;
    return SMUX_OK;
}

void smux_engine_free(smux_engine *e)
{
    uint32_t cursor = 0;
    struct smux_estream *stream;

    if (e == NULL) {
        return;
    }
    e->error = e->error != SMUX_OK ? e->error : SMUX_ECLOSED;
    e->decoder.busy = true; /* nothing is decoded any more */
    smux__send_stop(e);
    while ((stream = smux__table_next(&e->table, &cursor)) != NULL) {
        stream->flags &= ~(uint32_t)STREAM_IN_TABLE; /* the table goes as a whole */
        smux__stream_free(e, stream);
    }
    while (e->detached.head != NULL) {
        smux__stream_free(e, e->detached.head);
    }
    smux__table_deinit(&e->table, &e->pool.alloc);
    smux__outbox_clear(&e->outbox, &e->pool);
    smux__intake_clear(e);
    struct smux_allocator alloc = e->pool.alloc;
    smux__refusal_free(e);
    smux__pool_trim(&e->pool, 0);
    alloc.free(e, alloc.ctx);
}

/* --- errors ------------------------------------------------------------------------------ */

static void notify_all(smux_engine *e)
{
    uint32_t cursor = 0;
    struct smux_estream *stream;

    while ((stream = smux__table_next(&e->table, &cursor)) != NULL) {
        smux__stream_notify(e, stream);
    }
    for (stream = e->detached.head; stream != NULL; stream = stream->detached.next) {
        if (smux__stream_is(stream, STREAM_LENT)) { /* its loan will not be sent any more */
            smux__stream_notify(e, stream);
        }
    }
}

/* After an orderly end of the input, a transport that takes no more bytes is no news, unless
 * there was data for it [END-3]. */
static int judge_failure(smux_engine *e, int status)
{
    uint64_t taken = e->stats.wire_out - e->outbox.len;
    uint32_t cursor = 0;
    struct smux_estream *stream;

    if (!e->input_ended || status != SMUX_EIO || e->payload_ends_at > taken) {
        return status;
    }
    while ((stream = smux__table_next(&e->table, &cursor)) != NULL) {
        if (smux__send_has_payload(stream)) {
            return status;
        }
    }
    return e->truncated ? SMUX_ETRUNCATED : SMUX_EOF;
}

void smux__engine_fail(smux_engine *e, int status, const char *why)
{
    struct smux__text text;

    if (e->error != SMUX_OK) {
        return;
    }
    e->error = judge_failure(e, status);
    smux__text_init(&text, e->error_text, sizeof(e->error_text));
    smux__text_add(&text, why != NULL ? why : smux_strerror(e->error));
    smux__send_stop(e);
    smux__send_set_tray(e);
    notify_all(e);
}

void smux_engine_fail(smux_engine *e, int status, const char *why)
{
    smux__engine_fail(e, status, why);
}

void smux__engine_end_by(smux_engine *e, enum smux_limit limit, int status, const char *why)
{
    if (e->error == SMUX_OK) {
        e->stats.limits[limit]++;
        smux__engine_fail(e, status, why);
    }
}

int smux_engine_error(const smux_engine *e)
{
    return e->error;
}

const char *smux_engine_error_text(const smux_engine *e)
{
    return e->error == SMUX_OK ? smux_strerror(SMUX_OK) : e->error_text;
}

void smux__engine_glitch(smux_engine *e, uint32_t price)
{
    struct smux__glitches *g = &e->glitches;
    uint64_t leaked = (e->now_us - g->leaked_at_us) * e->config.glitch_rate / 1000000;

    e->stats.glitches += price;
    if (e->config.glitch_burst == SMUX_OFF) {
        return;
    }
    if (leaked > 0) {
        g->level = leaked < g->level ? g->level - (uint32_t)leaked : 0;
        g->leaked_at_us += leaked * 1000000 / e->config.glitch_rate;
    }
    g->level += price;
    if (g->level > e->config.glitch_burst) {
        smux__engine_end_by(e, SMUX_LIMIT_ENDED_FLOOD, SMUX_EFLOOD, NULL);
    }
}

/* --- the orderly end --------------------------------------------------------------------- */

/* What the end of the transport does to a stream. */
static int judge_end(const smux_engine *e, const struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_DISCARD) || stream->error != SMUX_OK) {
        return SMUX_OK; /* it has nothing to lose */
    }
    if (!smux__stream_is(stream, STREAM_FIN_RCVD)) {
        return SMUX_ETRUNCATED;
    }
    return smux__send_is_starved(e, stream) ? SMUX_EPIPE : SMUX_OK;
}

/* Cuts all that the end of the transport left incomplete. Those that nobody holds are settled
 * afterwards, as that takes them out of the table. */
static void truncate_streams(smux_engine *e)
{
    struct smux__stream_list closed = {NULL, NULL};
    uint32_t cursor = 0;
    struct smux_estream *stream;

    while ((stream = smux__table_next(&e->table, &cursor)) != NULL) {
        int status = judge_end(e, stream);
        if (status == SMUX_OK) {
            continue;
        }
        smux__stream_truncate(e, stream, status);
        if (smux__stream_is(stream, STREAM_CLOSED)) {
            smux__detached_push(&closed, stream);
        }
    }
    while ((stream = closed.head) != NULL) {
        smux__detached_remove(&closed, stream);
        smux__stream_settle(e, stream);
    }
}

static const char *why_ended(const smux_engine *e)
{
    if (e->stats.wire_in == 0) { /* what a peer of the other version does, among others */
        return "the peer closed the connection without a word: does it speak this version of smux?";
    }
    return e->truncated ? "the peer closed the connection while streams were open"
                        : "the peer closed the connection";
}

void smux__engine_check_ended(smux_engine *e)
{
    if (e->input_ended && e->n_unfinished == 0 && e->outbox.len == 0) {
        smux__engine_fail(e, e->truncated ? SMUX_ETRUNCATED : SMUX_EOF, why_ended(e));
    }
}

void smux__engine_end_input(smux_engine *e)
{
    e->end_waits = false;
    e->input_ended = true;
    e->truncated = e->decoder.head_len > 0 || e->decoder.body_left > 0;
    truncate_streams(e);
    smux__engine_check_ended(e);
}

void smux_engine_recv_eof(smux_engine *e, uint64_t now_us)
{
    smux__engine_set_now(e, now_us);
    if (e->error != SMUX_OK || e->input_ended) {
        return;
    }
    if (smux__intake_has_input(e)) {
        e->end_waits = true;
    } else {
        smux__engine_end_input(e);
    }
}

void smux_engine_drain(smux_engine *e)
{
    uint32_t cursor = 0;
    struct smux_estream *stream;

    smux__engine_enter(e);
    if (e->draining || e->error != SMUX_OK) { /* which is told, and not that writing has ended */
        return;
    }
    e->draining = true;
    while ((stream = smux__table_next(&e->table, &cursor)) != NULL) {
        stream->flags |= STREAM_FIN_WANTED;
        smux__send_schedule(e, stream);
        smux__stream_notify(e, stream);
    }
}

void smux_engine_goaway(smux_engine *e)
{
    e->gone = true;
}

bool smux_engine_drained(const smux_engine *e)
{
    return e->error != SMUX_OK || (e->n_unfinished == 0 && e->outbox.len == 0 &&
                                   e->control.head == NULL && e->refusals.count == 0);
}

void smux_engine_throttle(smux_engine *e, bool on)
{
    smux__engine_enter(e);
    set_throttle(e, on);
    if (on) { /* charged as a whole it would be more than such a session may hold */
        smux__intray_clear(e);
    }
    smux__intake_resume(e);
}

/* --- questions --------------------------------------------------------------------------- */

uint32_t smux_engine_num_streams(const smux_engine *e)
{
    return e->n_streams;
}

uint32_t smux_engine_version(const smux_engine *e)
{
    return e->version;
}

uint64_t smux_engine_frames_in(const smux_engine *e)
{
    const struct smux_frame_counts *in = &e->stats.frames_in;

    return in->syn + in->fin + in->psh + in->nop + in->upd;
}

void smux_engine_stats(const smux_engine *e, struct smux_session_stats *out_stats)
{
    *out_stats = e->stats;
    out_stats->streams_now = e->n_streams;
    out_stats->backlog_now = e->n_backlog;
    out_stats->receive_buffer = (uint32_t)e->pool.charged;
    out_stats->receive_budget = (uint32_t)smux__engine_budget(e);
    out_stats->credit_now = (uint32_t)(e->credit < UINT32_MAX ? e->credit : UINT32_MAX);
    out_stats->send_buffer = (uint32_t)e->send_queued;
    out_stats->version = e->version;
}

unsigned smux_estream_events(const smux_engine *e, const smux_estream *stream)
{
    const uint32_t both = STREAM_FIN_SENT | STREAM_FIN_RCVD;
    bool failed = e->error != SMUX_OK || stream->error != SMUX_OK;
    unsigned events = 0;

    if (smux__stream_input(stream) > 0 || failed || smux__stream_is(stream, STREAM_FIN_RCVD)) {
        events |= SMUX_EVENT_READABLE;
    }
    if (failed || smux__stream_is(stream, STREAM_FIN_WANTED) ||
        !smux__stream_is(stream, STREAM_WANTS_SPACE | STREAM_LENT)) {
        events |= SMUX_EVENT_WRITABLE;
    }
    if ((stream->flags & both) == both) {
        events |= SMUX_EVENT_FINISHED;
    }
    return events;
}

static SMUX__APART smux_estream *with_events(const smux_engine *e, smux_estream *stream,
                                             unsigned *out_events)
{
    *out_events = smux_estream_events(e, stream);
    return stream;
}

smux_estream *smux_engine_next_ready(smux_engine *e, unsigned *out_events)
{
    /* With something in the in-tray, and none of these, it is readable and writable. */
    const uint32_t special =
        STREAM_FIN_SENT | STREAM_FIN_RCVD | STREAM_WANTS_SPACE | STREAM_LENT | STREAM_FIN_WANTED;
    struct smux_estream *stream = e->ready.head;

    if (stream == NULL) {
        *out_events = 0;
        return NULL;
    }
    smux__ready_pop(&e->ready);
    stream->flags &= ~(uint32_t)STREAM_IN_READY;
    if ((stream->flags & (STREAM_IN_INTRAY | special)) != STREAM_IN_INTRAY) {
        return with_events(e, stream, out_events);
    }
    *out_events = SMUX_EVENT_READABLE | SMUX_EVENT_WRITABLE;
    return stream;
}
