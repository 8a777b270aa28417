/*
 * send.c - what a stream may send, and the lists it waits in.
 *
 * Control output is state, not a queue [R5]: a stream has bits for SYN, UPD and FIN and stands at
 * most once in the list of streams with such a bit. A SYN may be held until others were answered
 * [OPN-8], a FIN until payload was read. Payload that window and silly-window rule let go stands in
 * the scheduler (scheduler.h). form.c makes frames of both.
 */
#include "core.h"

/* Bytes that a stream which is held back may send at first, doubled whenever the wait of
 * TIMER_SILLY ends. */
#define FIRST_FLIGHT 2048u

/* --- payload ----------------------------------------------------------------------------- */

uint32_t smux__send_first_flight(const struct smux_estream *stream)
{
    uint32_t most = FIRST_FLIGHT << stream->flights;

    return most > stream->sent ? most - (uint32_t)stream->sent : 0;
}

void smux__send_is_read(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_IS_READ)) {
        stream->flags |= STREAM_IS_READ;
        e->unread -= stream->sent;
    }
}

/* How long payload that may not go waits, if that is limited. */
static enum smux__timer_kind payload_wait(const smux_engine *e, const struct smux_estream *stream)
{
    if (stream->traffic->out.len == 0 || smux__stream_is(stream, STREAM_SYN_DUE)) {
        return TIMER_NONE;
    }
    if (smux__send_room(e, stream) > 0 ||
        (smux__send_is_held_back(e, stream) && stream->sent < SMUX__INITIAL_WINDOW)) {
        return TIMER_SILLY;
    }
    return smux__stream_is(stream, STREAM_FIN_RCVD) ? TIMER_HALF_CLOSE : TIMER_NONE; /* [FIN-9] */
}

/* Starts or stops the wait of payload; one that goes on is not begun anew. */
static void wait_for_room(smux_engine *e, struct smux_estream *stream, enum smux__timer_kind kind)
{
    if (stream->timer_kind == kind) {
        return;
    }
    smux__stream_timer_stop(stream, TIMER_HALF_CLOSE);
    smux__stream_timer_stop(stream, TIMER_SILLY);
    if (kind != TIMER_NONE) { /* and no other runs, see enum smux__timer_kind */
        (void)smux__stream_timer_start(e, stream, kind); /* it has what that needs */
    }
}

/* --- control ----------------------------------------------------------------------------- */

/* [FIN-7]: the peer finished first and may not have read all yet. The wait counts from the last
 * payload, so these timers are not in order; among many a FIN may wait up to twice as long. */
static bool must_linger(smux_engine *e, struct smux_estream *stream)
{
    uint32_t linger_ms = e->config.fin_linger_ms;
    uint32_t since_ms = e->now_ms - stream->last_sent_ms;

    if (!smux__stream_is(stream, STREAM_FIN_RCVD) || stream->error != SMUX_OK || e->draining ||
        e->input_ended || linger_ms == SMUX_OFF || stream->sent == 0 || since_ms >= linger_ms) {
        return false;
    }
    if (e->version == 2 && stream->window.acked == (uint32_t)stream->sent) {
        return false;
    }
    wait_for_room(e, stream, TIMER_NONE); /* what waited was taken back */
    if (smux__stream_timer_runs(stream)) {
        return true;
    }
    /* Right also if the clock is old. */
    uint64_t until_us = e->now_us + (uint64_t)(linger_ms - since_ms) * 1000;
    if (!smux__stream_timer_start_at(e, stream, TIMER_LINGER, until_us)) {
        return false;
    }
    stream->traffic->lingers_for = (uint32_t)e->stats.wire_out;
    return true;
}

/* Whether the FIN is next, but for its linger. */
static inline bool fin_is_next(const struct smux_estream *stream)
{
    return (stream->flags & (STREAM_FIN_WANTED | STREAM_FIN_SENT)) == STREAM_FIN_WANTED &&
           !smux__send_has_payload(stream);
}

bool smux__send_fin_may_go(smux_engine *e, struct smux_estream *stream)
{
    if (!fin_is_next(stream) || must_linger(e, stream)) {
        return false;
    }
    smux__stream_timer_stop(stream, TIMER_LINGER);
    return true;
}

/* [OPN-8] */
static bool must_hold_syn(const smux_engine *e)
{
    return e->config.max_unanswered_opens != SMUX_OFF &&
           e->n_unanswered >= e->config.max_unanswered_opens;
}

/* Appends to a list that is linked by `control_next`; `flag` says in which of them it is. */
static void control_push(struct smux__stream_list *list, struct smux_estream *stream,
                         enum smux__stream_flag flag)
{
    stream->flags |= (uint32_t)flag;
    stream->control_next = NULL;
    *(list->tail != NULL ? &list->tail->control_next : &list->head) = stream;
    list->tail = stream;
}

static struct smux_estream *control_pop(struct smux__stream_list *list)
{
    struct smux_estream *stream = list->head;

    list->head = stream->control_next;
    if (list->head == NULL) {
        list->tail = NULL;
    }
    stream->flags &= ~(uint32_t)(STREAM_IN_CONTROL | STREAM_SYN_HELD);
    return stream;
}

/* Lets the control frames of a stream go. A SYN counts from now on, so that opens of one moment
 * hold each other back. */
static void control_enter(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_SYN_DUE)) {
        e->n_unanswered++;
    }
    control_push(&e->control, stream, STREAM_IN_CONTROL);
}

void smux__send_pop_control(smux_engine *e)
{
    (void)control_pop(&e->control);
}

void smux__send_release_held(smux_engine *e)
{
    while (e->held.head != NULL && !must_hold_syn(e)) {
        control_enter(e, control_pop(&e->held));
    }
}

/* --- both -------------------------------------------------------------------------------- */

void smux__send_unschedule(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_IN_DATA)) {
        smux__scheduler_leave(&e->data, stream);
    }
}

static void schedule_control(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_SYN_DUE | STREAM_UPD_DUE) &&
        !smux__send_fin_may_go(e, stream)) {
        return;
    }
    if (smux__stream_is(stream, STREAM_SYN_DUE) && must_hold_syn(e)) {
        control_push(&e->held, stream, STREAM_SYN_HELD);
    } else {
        control_enter(e, stream);
    }
}

static SMUX__APART void schedule_data(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_IN_DATA) && smux__send_room(e, stream) == 0) {
        smux__scheduler_leave(&e->data, stream); /* the window shrank meanwhile */
    }
    if (smux__stream_is(stream, STREAM_IN_DATA)) {
        return;
    }
    if (smux__send_may_go(e, stream)) {
        wait_for_room(e, stream, TIMER_NONE);
        smux__scheduler_join(&e->data, stream);
    } else {
        wait_for_room(e, stream, payload_wait(e, stream));
    }
}

void smux__send_schedule_now(smux_engine *e, struct smux_estream *stream)
{
    const uint32_t due = STREAM_SYN_DUE | STREAM_UPD_DUE;
    uint32_t flags = stream->flags;

    if (e->error != SMUX_OK || (flags & (STREAM_IN_TABLE | STREAM_GUARDED)) != STREAM_IN_TABLE) {
        return;
    }
    if ((flags & STREAM_IN_DATA) != 0 && stream->traffic->out.len == 0) { /* was taken back */
        smux__scheduler_leave(&e->data, stream); /* first, as its FIN may have to wait now */
        flags = stream->flags;
    }
    if (((flags & due) != 0 || fin_is_next(stream)) &&
        (flags & (STREAM_IN_CONTROL | STREAM_SYN_HELD)) == 0) {
        schedule_control(e, stream);
    }
    if (stream->traffic->out.len > 0 || smux__stream_timer_runs(stream)) {
        schedule_data(e, stream);
    }
}

/* Where any small write fits, it need not be looked for, nor twice where it may not: the peer decides
 * how often it changes a window. */
void smux__send_recall(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_IN_TRAY)) {
        return;
    }
    uint32_t room = smux__send_room(e, stream);
    if (room < SMUX__TRAY_MAX && !smux__stream_leave_tray(e, stream) &&
        room < smux__tray_len(&e->tray, stream)) {
        smux__stream_abort(e, stream, SMUX_ENOMEM);
    }
}

void smux__send_stop(smux_engine *e)
{
    while (e->control.head != NULL) {
        (void)control_pop(&e->control);
    }
    while (e->held.head != NULL) {
        (void)control_pop(&e->held);
    }
    while (smux__scheduler_busy(&e->data)) {
        smux__scheduler_leave(&e->data, smux__scheduler_next(&e->data));
    }
    e->nop_due = false;
    smux__refusal_clear(e);
}

void smux__send_set_tray(smux_engine *e)
{
    const struct smux_config *config = &e->config;
    uint32_t of_stream = smux__min_u32(e->queue_floor, config->max_stream_send_buffer);
    uint32_t of_frame = smux__min_u32(config->max_frame_size, SMUX__TRAY_MAX);
    bool open = e->version != 0 && e->error == SMUX_OK;

    e->tray.limit = open ? smux__min_u32(of_stream, of_frame) : 0;
    e->tray.head = (uint16_t)(e->version | (uint32_t)SMUX__CMD_PSH << 8);
}

int smux_estream_set_priority(smux_engine *e, smux_estream *stream, unsigned priority,
                              unsigned weight)
{
    if (priority > SMUX_PRIORITY_MAX || weight < 1 || weight > SMUX_WEIGHT_MAX) {
        return SMUX_EINVAL;
    }
    if (priority != stream->priority) {
        smux__engine_enter(e);
        (void)smux__stream_leave_tray(e, stream); /* without memory it leaves as it is */
    }
    smux__scheduler_set(&e->data, stream, priority, weight);
    return SMUX_OK;
}
