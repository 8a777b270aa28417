/*
 * time.c - what a session has to do by itself, and when.
 *
 * The engine has no clock: its owner tells the time with each call that may need it, asks for the
 * deadline, and calls smux_engine_tick() then. Calls on streams do not tell the time; what begins in
 * one of them is dated by the next call that does. Timers of streams are in stream_timer.c.
 */
#include "core.h"

/* Freed memory that nobody needed for so long is given back. */
#define TRIM_US      1000000u
#define LATE_US      50000u   /* a tick as late as this tells that the process did not run */
#define READ_TIME_US 1000000u /* until all that arrived meanwhile is read */

/* A pause ended, and perhaps another one has begun. */
static void date_pause(smux_engine *e)
{
    e->stats.receive_paused_us += e->now_us - e->last_in_us;
    e->last_in_us = e->now_us;
    if (e->paused_since_us != SMUX_NEVER) {
        e->paused_since_us = e->now_us;
    }
}

static void date_moments(smux_engine *e)
{
    if ((e->undated & SMUX__MOMENT_READ) != 0) {
        e->last_read_us = e->now_us;
    }
    if ((e->undated & SMUX__MOMENT_LISTEN) != 0) {
        date_pause(e);
    }
    if ((e->undated & SMUX__MOMENT_FRAME) != 0 && e->decoder.frame_since_us != SMUX_NEVER) {
        e->decoder.frame_since_us = e->now_us;
    }
    if ((e->undated & SMUX__MOMENT_IDLE) != 0) {
        e->idle_since_us = e->now_us;
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
    smux__intake_shrink(e);
    if (e->refusals.count == 0) {
        smux__refusal_free(e);
    }
    smux__intake_resume(e); /* less is charged */
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
        smux__engine_end_by(e, SMUX_LIMIT_ENDED_KEEPALIVE, SMUX_ETIMEDOUT, NULL);
    } else if (e->now_us >= frame_at(e)) {
        smux__engine_end_by(e, SMUX_LIMIT_ENDED_FRAME, SMUX_ETIMEDOUT,
                            "a frame did not arrive completely in time");
    } else if (e->now_us >= send_stall_at(e)) {
        smux__engine_end_by(e, SMUX_LIMIT_ENDED_SEND_STALL, SMUX_ETIMEDOUT,
                            "the peer takes no data");
    } else if (e->now_us >= idle_at(e)) {
        smux__engine_end_by(e, SMUX_LIMIT_ENDED_IDLE, SMUX_ECLOSED,
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
