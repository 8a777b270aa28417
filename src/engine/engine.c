/*
 * engine.c - the session as a whole: life, errors, time, statistics.
 */
#include "core.h"
#include "text.h"

#include <string.h>

/* Freed memory is kept for reuse up to this, and given back when unused for so long. */
#define MAX_CACHED   (256u << 10)
#define TRIM_US      1000000u
#define LATE_US      50000u   /* a tick as late as this tells that the process did not run */
#define READ_TIME_US 1000000u /* until all that arrived meanwhile is read */
#define FIRST_BUFFER 4096u

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
    e->intake.buffer_size = FIRST_BUFFER;
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
    smux__queue_clear(&e->intake.input, &e->pool);
    if (e->intake.direct != NULL) {
        smux__chunk_unref(&e->pool, e->intake.direct);
    }
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

/* A limit ends the session. */
static void end_by(smux_engine *e, enum smux_limit limit, int status, const char *why)
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
        end_by(e, SMUX_LIMIT_ENDED_FLOOD, SMUX_EFLOOD, NULL);
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
    if (smux__decoder_has_input(e)) {
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
    smux__decoder_resume(e);
}

/* --- time -------------------------------------------------------------------------------- */

static void date_moments(smux_engine *e)
{
    if ((e->undated & SMUX__MOMENT_READ) != 0) {
        e->last_read_us = e->now_us;
    }
    if ((e->undated & SMUX__MOMENT_LISTEN) != 0) {
        e->last_in_us = e->now_us;
    }
    if ((e->undated & SMUX__MOMENT_FRAME) != 0 && e->decoder.frame_since_us != SMUX_NEVER) {
        e->decoder.frame_since_us = e->now_us;
    }
    e->undated = 0;
}

/* What began since the last call that told the time begins now: mostly nothing did. */
static inline void date(smux_engine *e)
{
    if (e->undated != 0) {
        date_moments(e);
    }
    if (e->refusals.n_undated > 0) {
        smux__refusal_date(e);
    }
    if (smux__timer_list_first(&e->undated_timers) != NULL) {
        smux__stream_timers_date(e);
    }
}

void smux__engine_advance(smux_engine *e, uint64_t now_us)
{
    if (now_us > e->now_us) {
        e->now_us = now_us;
        e->now_ms = (uint32_t)((now_us - e->born_us) / 1000);
    }
    if (e->now_is_old) {
        e->now_is_old = false;
        date(e);
    }
}

void smux__engine_plan_trim(smux_engine *e)
{
    e->trim_at_us = e->now_us + TRIM_US;
}

static bool keepalive_armed(const smux_engine *e)
{
    return e->config.keepalive_mode == SMUX_KEEPALIVE_ALWAYS ||
           (e->config.keepalive_mode == SMUX_KEEPALIVE_AUTO && e->peer_sent_nop);
}

static bool is_paused(const smux_engine *e)
{
    return e->paused_since_us != SMUX_NEVER;
}

static uint64_t nop_at(const smux_engine *e)
{
    if (e->version == 0 || e->nop_due) {
        return SMUX_NEVER;
    }
    return smux__after(e->last_out_us, smux__duration_us(e->config.keepalive_interval_ms));
}

/* Between two frames a used-up budget stops reading; a frame that has begun is read to its end. */
static bool is_deaf(const smux_engine *e)
{
    return is_paused(e) && e->decoder.head_len == 0 && e->decoder.body_left == 0;
}

/* [KA-4]; not while we do not listen [KA-5]. */
static uint64_t silence_at(const smux_engine *e)
{
    if (!keepalive_armed(e) || is_deaf(e) || e->input_ended) {
        return SMUX_NEVER;
    }
    return smux__after(e->last_in_us, smux__duration_us(e->config.keepalive_timeout_ms));
}

/* [FRM-11]; one that the end of the input has cut waits for nothing [END-3]. */
static uint64_t frame_at(const smux_engine *e)
{
    if (e->decoder.frame_since_us == SMUX_NEVER || e->input_ended) {
        return SMUX_NEVER;
    }
    return smux__after(e->decoder.frame_since_us, smux__duration_us(e->config.frame_timeout_ms));
}

static uint64_t send_stall_at(const smux_engine *e)
{
    if (e->out_since_us == SMUX_NEVER) {
        return SMUX_NEVER;
    }
    return smux__after(e->out_since_us, smux__duration_us(e->config.send_stall_timeout_ms));
}

static uint64_t stall_at(const smux_engine *e)
{
    if (!is_paused(e)) {
        return SMUX_NEVER;
    }
    return smux__after(e->last_read_us, smux__duration_us(e->config.stall_timeout_ms));
}

static uint64_t later(const smux_engine *e, uint64_t since_us, uint64_t by_us)
{
    if (since_us == SMUX_NEVER) {
        return SMUX_NEVER;
    }
    return since_us + by_us < e->now_us ? since_us + by_us : e->now_us;
}

/* A tick that comes late says that this process did not run: it was stopped, or the machine was too
 * busy. What arrived meanwhile waits to be read, and the transport may have room; time in which we
 * do nothing does not count [KA-4] [FRM-11]. So the driver gets a moment, once until something
 * comes. */
static void excuse_absence(smux_engine *e)
{
    const uint64_t limits[] = {silence_at(e), frame_at(e), send_stall_at(e), stall_at(e)};
    uint64_t due_us = SMUX_NEVER;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        due_us = limits[i] < due_us ? limits[i] : due_us;
    }
    if (due_us == SMUX_NEVER || e->now_us < smux__after(due_us, LATE_US) ||
        e->excused_at == e->stats.wire_in) {
        return;
    }
    e->excused_at = e->stats.wire_in;
    uint64_t away_us = e->now_us - due_us + READ_TIME_US;
    e->last_in_us = later(e, e->last_in_us, away_us);
    e->decoder.frame_since_us = later(e, e->decoder.frame_since_us, away_us);
    e->out_since_us = later(e, e->out_since_us, away_us);
    e->last_read_us = later(e, e->last_read_us, away_us);
}

static uint64_t idle_at(const smux_engine *e)
{
    if (e->n_streams > 0) {
        return SMUX_NEVER;
    }
    return smux__after(e->idle_since_us, smux__duration_us(e->config.idle_timeout_ms));
}

/* Something began that runs from the next call that tells the time. The last read only puts off a
 * deadline and need not hurry. */
static bool waits_for_the_time(const smux_engine *e)
{
    return smux__timer_list_first(&e->undated_timers) != NULL || e->refusals.n_undated > 0 ||
           (e->undated & ~(unsigned)SMUX__MOMENT_READ) != 0;
}

/* What calls on streams have freed, or let in, is not planned for yet. */
static uint64_t trim_at(const smux_engine *e)
{
    bool planned = e->trim_at_us != SMUX_NEVER || !smux__engine_can_trim(e);

    return planned ? e->trim_at_us : e->now_us + TRIM_US;
}

uint64_t smux_engine_deadline(const smux_engine *e)
{
    uint64_t trim_us = trim_at(e);
    uint64_t first = trim_us < e->tuner.look_at_us ? trim_us : e->tuner.look_at_us;
    const uint64_t others[] = {nop_at(e),   silence_at(e), frame_at(e),        send_stall_at(e),
                               stall_at(e), idle_at(e),    smux__refusal_at(e)};

    if (e->error != SMUX_OK) {
        return SMUX_NEVER;
    }
    if (waits_for_the_time(e)) {
        return e->now_us;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        first = others[i] < first ? others[i] : first;
    }
    for (unsigned i = 0; i < TIMER_KINDS; i++) {
        uint64_t deadline = smux__timer_list_deadline(&e->timers[i]);
        first = deadline < first ? deadline : first;
    }
    return first;
}

/* [BKT-8]: whoever holds most of a budget that nobody reads from has to go. */
static void abort_largest(smux_engine *e)
{
    uint32_t cursor = 0;
    struct smux_estream *stream, *largest = NULL;
    uint32_t most = 0;

    while ((stream = smux__table_next(&e->table, &cursor)) != NULL) {
        if (smux__stream_input(stream) > most) {
            most = smux__stream_input(stream);
            largest = stream;
        }
    }
    e->last_read_us = e->now_us;
    if (largest != NULL) {
        e->stats.limits[SMUX_LIMIT_ABORTED_STALL]++;
        smux__stream_abort(e, largest, SMUX_ESTALLED);
    }
}

/* Half of what was not needed goes back each time, all of it soon. */
static void trim(smux_engine *e)
{
    smux__intray_clear(e);
    smux__pool_trim(&e->pool, e->pool.cached > SMUX__SCRATCH_LEN ? e->pool.cached / 2 : 0);
    smux__table_shrink(&e->table, &e->pool.alloc);
    if (e->intake.input.tail == NULL) {
        e->intake.buffer_size = FIRST_BUFFER;
    }
    if (e->refusals.count == 0) {
        smux__refusal_free(e);
    }
    smux__decoder_resume(e); /* less is charged */
    e->trim_at_us = smux__engine_can_trim(e) ? e->now_us + TRIM_US : SMUX_NEVER;
}

int smux_engine_tick(smux_engine *e, uint64_t now_us)
{
    smux__engine_set_now(e, now_us);
    if (e->error != SMUX_OK) {
        return e->error;
    }
    smux__stream_timers_run(e);
    excuse_absence(e);
    if (e->now_us >= silence_at(e)) {
        end_by(e, SMUX_LIMIT_ENDED_KEEPALIVE, SMUX_ETIMEDOUT, NULL);
    } else if (e->now_us >= frame_at(e)) {
        end_by(e, SMUX_LIMIT_ENDED_FRAME, SMUX_ETIMEDOUT,
               "a frame did not arrive completely in time");
    } else if (e->now_us >= send_stall_at(e)) {
        end_by(e, SMUX_LIMIT_ENDED_SEND_STALL, SMUX_ETIMEDOUT, "the peer takes no data");
    } else if (e->now_us >= idle_at(e)) {
        end_by(e, SMUX_LIMIT_ENDED_IDLE, SMUX_ECLOSED,
               "no streams for longer than idle_timeout_ms");
    }
    if (e->now_us >= stall_at(e)) {
        abort_largest(e);
    }
    if (e->now_us >= nop_at(e)) {
        e->nop_due = e->error == SMUX_OK;
    }
    smux__tune_tick(e);
    if (e->now_us >= e->trim_at_us) {
        trim(e);
    }
    smux__engine_check_ended(e);
    return e->error;
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
