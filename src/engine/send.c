/*
 * send.c - frames are formed here, at the moment the transport can take them.
 *
 * Control output is state, not a queue [R5]: a stream has bits for SYN, UPD and FIN and stands at
 * most once in the list of streams with such a bit. Frames leave in this order [ORD-3]: NOP,
 * refusals, control, then payload of the stream that the scheduler names (scheduler.h).
 */
#include "core.h"

#include <string.h>

/* Payload up to this is copied behind its header instead of being sent from where it is. */
#define PACK_MAX 512u
/* Of a tray so much is copied behind what waits. */
#define TRAY_COPY_MAX 2048u
/* Bytes formed at once, at least, when the transport takes fewer. */
#define MIN_BATCH 16384u
/* And before it is known how many it takes. */
#define FIRST_BATCH 65536u
/* Streams that a batch has room for, if their frames are not larger than that. */
#define TURNS_A_BATCH 2u
/* A transport is fast that takes so many bytes a microsecond, counted for so long at least. */
#define FAST_RATE 512u
#define METER_US  1000u
/* The turn of each of many streams, then: 2 ms at most. With so many a round takes milliseconds anyway;
 * with fewer such turns are what a small message waits for. */
#define TURN_OF_MANY 1048576u
#define MANY         32u
/* A loan from here on is worth a system call of its own. */
#define ROW_MIN 65536u
/* Bytes that a stream which is held back may send at first, doubled whenever the wait of
 * TIMER_SILLY ends. */
#define FIRST_FLIGHT 2048u
/* The pieces that the frame of a fragmented queue may take. */
#define MAX_FRAME_PIECES 24u

/* --- who may send ------------------------------------------------------------------------ */

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

static bool fin_may_go(smux_engine *e, struct smux_estream *stream)
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

void smux__send_release_held(smux_engine *e)
{
    while (e->held.head != NULL && !must_hold_syn(e)) {
        control_enter(e, control_pop(&e->held));
    }
}

void smux__send_unschedule(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_IN_DATA)) {
        smux__scheduler_leave(&e->data, stream);
    }
}

static void schedule_control(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_SYN_DUE | STREAM_UPD_DUE) && !fin_may_go(e, stream)) {
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

void smux__send_recall(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_IN_TRAY) &&
        smux__send_room(e, stream) < smux__tray_len(&e->tray, stream) &&
        !smux__stream_leave_tray(e, stream)) {
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
    e->refusals.count = 0;
    e->refusals.n_undated = 0;
}

/* --- refusals ---------------------------------------------------------------------------- */

/* The ring is made when the first stream is refused: most sessions never need it (L7, R18). */
static bool have_ring(smux_engine *e)
{
    struct smux__refusals *r = &e->refusals;
    const struct smux_allocator *alloc = &e->pool.alloc;

    if (r->ring == NULL) {
        r->ring = alloc->alloc(e->config.max_refusals * sizeof(r->ring[0]), alloc->ctx);
        r->head = 0;
        r->count = 0;
    }
    return r->ring != NULL;
}

/* The current millisecond has partly passed: one more, so that the guard is never cut. */
static uint32_t refusal_due_ms(const smux_engine *e)
{
    uint32_t guard_ms = e->config.accept_guard_ms;

    return e->now_ms + (guard_ms == SMUX_OFF ? 0 : guard_ms + 1);
}

void smux__send_refusal(smux_engine *e, uint32_t id)
{
    struct smux__refusals *r = &e->refusals;

    if (r->count == e->config.max_refusals) {
        e->stats.limits[SMUX_LIMIT_DROPPED_SYNS]++;
        smux__engine_glitch(e, 10);
        return;
    }
    if (!have_ring(e)) { /* which is not the peer's fault */
        e->stats.limits[SMUX_LIMIT_DROPPED_SYNS]++;
        return;
    }
    struct smux__refusal *slot = &r->ring[(r->head + r->count++) % e->config.max_refusals];
    slot->id = id;
    slot->due_ms = refusal_due_ms(e);
    r->n_undated += e->now_is_old ? 1 : 0;
}

void smux__send_date_refusals(smux_engine *e)
{
    struct smux__refusals *r = &e->refusals;

    for (; r->n_undated > 0; r->n_undated--) {
        uint32_t i = r->head + r->count - r->n_undated;
        r->ring[i % e->config.max_refusals].due_ms = refusal_due_ms(e);
    }
}

static bool refusal_is_due(const smux_engine *e)
{
    const struct smux__refusals *r = &e->refusals;

    return r->count > 0 && (int32_t)(e->now_ms - r->ring[r->head].due_ms) >= 0;
}

/* --- frames ------------------------------------------------------------------------------ */

/* Writes the header of a frame and books the frame. Its bytes go to the outbox separately. */
static void seal_frame(smux_engine *e, uint8_t *p, enum smux__cmd cmd, uint32_t id, uint32_t len)
{
    struct smux__header h = {(uint8_t)e->version, (uint8_t)cmd, (uint16_t)len, id};

    smux__header_store(p, h);
    e->stats.wire_out += SMUX__HEADER_LEN + len;
    e->last_out_us = e->now_us;
}

/* A frame without payload; false when there is no room. */
static bool pack_frame(smux_engine *e, enum smux__cmd cmd, uint32_t id)
{
    uint8_t *p = smux__outbox_pack(&e->outbox, &e->pool, SMUX__HEADER_LEN);

    if (p == NULL) {
        return false;
    }
    seal_frame(e, p, cmd, id, 0);
    smux__outbox_packed(&e->outbox, SMUX__HEADER_LEN);
    return true;
}

static bool form_syn(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_SYN_DUE)) {
        return true;
    }
    if (!pack_frame(e, SMUX__CMD_SYN, stream->id)) {
        return false;
    }
    stream->flags &= ~(uint32_t)STREAM_SYN_DUE;
    e->stats.frames_out.syn++;
    return true;
}

static bool form_update(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_UPD_DUE)) {
        return true;
    }
    if (!smux__stream_has_update(e, stream)) { /* has grown, but the budget has no room for it */
        stream->flags &= ~(uint32_t)STREAM_UPD_DUE;
        return true;
    }
    uint8_t *p = smux__outbox_pack(&e->outbox, &e->pool, SMUX__HEADER_LEN + SMUX__UPD_LEN);
    if (p == NULL) {
        return false;
    }
    smux__store32(p + SMUX__HEADER_LEN + 4, smux__stream_advertise(e, stream));
    smux__store32(p + SMUX__HEADER_LEN, stream->updated_at);
    seal_frame(e, p, SMUX__CMD_UPD, stream->id, SMUX__UPD_LEN);
    smux__outbox_packed(&e->outbox, SMUX__HEADER_LEN + SMUX__UPD_LEN);
    stream->flags &= ~(uint32_t)STREAM_UPD_DUE;
    e->stats.frames_out.upd++;
    return true;
}

/* [UPD-10]: what the last update did not tell goes right before our FIN, so that a peer that
 * finishes next does not linger for it [FIN-7]. */
static void want_tail_update(smux_engine *e, struct smux_estream *stream)
{
    bool untold = e->version == 2 && stream->consumed != stream->updated_at &&
                  smux__stream_input(stream) == 0 && stream->error == SMUX_OK;

    if (untold && !smux__stream_is(stream, STREAM_FIN_RCVD) && fin_may_go(e, stream)) {
        stream->flags |= STREAM_UPD_DUE;
    }
}

static bool form_fin(smux_engine *e, struct smux_estream *stream)
{
    if (!fin_is_next(stream) || !fin_may_go(e, stream)) {
        return true;
    }
    if (!pack_frame(e, SMUX__CMD_FIN, stream->id)) {
        return false;
    }
    smux__stream_sent_fin(e, stream);
    e->stats.frames_out.fin++;
    return true;
}

/* The transport has not taken the last NOP yet: a slow one must not be filled with more [KA-6]. */
static bool nop_is_waiting(const smux_engine *e)
{
    return e->stats.wire_out - e->outbox.len < e->nop_ends_at;
}

static bool form_session_frames(smux_engine *e)
{
    struct smux__refusals *r = &e->refusals;

    if (e->nop_due && nop_is_waiting(e)) {
        e->nop_due = false;
        e->last_out_us = e->now_us; /* the one that waits stands for this interval, too */
    }
    if (e->nop_due) {
        if (!pack_frame(e, SMUX__CMD_NOP, 0)) {
            return false;
        }
        e->nop_due = false;
        e->nop_ends_at = e->stats.wire_out;
        e->stats.frames_out.nop++;
    }
    while (refusal_is_due(e)) {
        if (!pack_frame(e, SMUX__CMD_FIN, r->ring[r->head].id)) {
            return false;
        }
        r->head = (r->head + 1) % e->config.max_refusals;
        r->count--;
        e->stats.frames_out.fin++;
    }
    return true;
}

static SMUX__APART bool form_due(smux_engine *e)
{
    while (e->control.head != NULL && e->outbox.len < e->batch_limit) {
        struct smux_estream *stream = e->control.head;
        want_tail_update(e, stream);
        if (!form_syn(e, stream) || !form_update(e, stream) || !form_fin(e, stream)) {
            return false;
        }
        (void)control_pop(&e->control);
        smux__send_schedule(e, stream);
        smux__stream_settle(e, stream);
    }
    return true;
}

static inline bool form_control(smux_engine *e)
{
    return e->control.head == NULL || form_due(e);
}

/* Moves the first len bytes of the send queue behind their header. Returns how many were moved:
 * fewer when the queue is in too many pieces. */
static uint32_t move_payload(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    struct smux__chunk *chunk = smux__queue_head(&stream->traffic->out);
    uint32_t done = 0;

    for (uint32_t pieces = 0; done < len && pieces < MAX_FRAME_PIECES; pieces++) {
        assert(chunk != NULL); /* the caller looked at the length of the queue */
        uint32_t n = smux__min_u32(chunk->end - chunk->begin, len - done);
        smux__outbox_push(&e->outbox, chunk, chunk->base + chunk->begin, n);
        if (chunk->cap > 0) {
            e->send_queued -= n;
        }
        done += n;
        chunk = chunk->next;
    }
    smux__queue_consume(&stream->traffic->out, &e->pool, done, NULL);
    return done;
}

/* Copies payload behind its header. Returns how much; 0 when there is no room. */
static uint32_t form_small_psh(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    uint8_t *p = smux__outbox_pack(&e->outbox, &e->pool, SMUX__HEADER_LEN + len);

    if (p == NULL) {
        return 0;
    }
    (void)smux__queue_read(&stream->traffic->out, &e->pool, p + SMUX__HEADER_LEN, len, NULL);
    seal_frame(e, p, SMUX__CMD_PSH, stream->id, len);
    smux__outbox_packed(&e->outbox, SMUX__HEADER_LEN + len);
    e->send_queued -= len;
    return len;
}

/* Sends payload from where it is. Returns how much; 0 when there is no room. */
static uint32_t form_large_psh(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    if (smux__outbox_free_pieces(&e->outbox) < MAX_FRAME_PIECES + 1) {
        return 0;
    }
    uint8_t *p = smux__outbox_pack(&e->outbox, &e->pool, SMUX__HEADER_LEN);
    if (p == NULL) {
        return 0;
    }
    smux__outbox_packed(&e->outbox, SMUX__HEADER_LEN);
    uint32_t done = move_payload(e, stream, len);
    seal_frame(e, p, SMUX__CMD_PSH, stream->id, done);
    return done;
}

/* What a frame of payload changes in its stream. */
static inline void note_sent(smux_engine *e, struct smux_estream *stream, uint32_t len,
                             uint32_t now_ms)
{
    stream->sent += len;
    if (!smux__stream_is(stream, STREAM_IS_READ)) {
        e->unread += len;
    }
    stream->flags &= ~(uint32_t)STREAM_SILLY_OVER;
    stream->last_sent_ms = now_ms;
}

/* One PSH of the stream whose turn it is, at most `room` bytes; false when the outbox takes no
 * more. A loan is never copied: its owner waits for it anyway. */
static bool form_psh(smux_engine *e, struct smux_estream *stream, uint32_t room)
{
    uint32_t most = smux__min_u32(stream->traffic->out.len, room);
    uint32_t len = smux__min_u32(most, e->config.max_frame_size);
    bool small = len <= PACK_MAX && !smux__stream_is(stream, STREAM_LENT);

    len = small ? form_small_psh(e, stream, len) : form_large_psh(e, stream, len);
    if (len == 0) {
        return false;
    }
    note_sent(e, stream, len, e->now_ms);
    smux__scheduler_sent(&e->data, stream, len);
    e->payload_ends_at = e->stats.wire_out;
    e->stats.payload_out += len;
    e->stats.frames_out.psh++;
    return true;
}

static void tell_space(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_WANTS_SPACE) &&
        stream->traffic->out.len <= e->config.max_stream_send_buffer / 2) {
        stream->flags &= ~(uint32_t)STREAM_WANTS_SPACE;
        smux__stream_notify(e, stream);
    }
}

/* Payload of the stream has been sent, and no more may go now. It may be freed. */
static void end_turn(smux_engine *e, struct smux_estream *stream)
{
    smux__scheduler_leave(&e->data, stream);
    if (smux__send_is_starved(e, stream)) {
        smux__stream_truncate(e, stream, SMUX_EPIPE);
        if (smux__stream_is(stream, STREAM_CLOSED)) {
            smux__stream_settle(e, stream);
        }
        return;
    }
    if (stream->traffic->out.len > 0 || smux__stream_is(stream, STREAM_FIN_WANTED)) {
        smux__send_schedule(e, stream); /* its FIN may be next */
    }
    smux__stream_rest(e, stream);
}

/* What the transport will be shown ends with a loan, but its stream, one of many, has a long turn and is
 * in the middle of that. Told that the loan was sent, its writer comes back with more in a moment. So
 * what others have is formed behind that: each of them would be woken for one loan, and not for a
 * turn. */
static void note_row(smux_engine *e, struct smux_estream *stream)
{
    if (smux__scheduler_class(&e->data, stream)->long_turns && stream->deficit > 0 &&
        stream->traffic->out.len == 0 && smux__stream_is(stream, STREAM_LENT) &&
        e->outbox.len >= ROW_MIN && smux__send_room(e, stream) >= ROW_MIN) {
        e->in_turn = stream;
        e->row_ends_at = e->stats.wire_out;
    }
}

/* No frame was formed behind the loan of the stream that is in its turn. */
static bool row_is_open(const smux_engine *e)
{
    return e->in_turn != NULL && e->row_ends_at == e->stats.wire_out;
}

/* A frame of the stream whose turn it is. */
static bool form_turn(smux_engine *e)
{
    struct smux_estream *stream = smux__scheduler_next(&e->data);
    uint32_t room = smux__send_room(e, stream);

    if (room == 0) { /* others have used up the liberty of the first flights */
        smux__send_schedule(e, stream);
        return true;
    }
    if (!form_psh(e, stream, room)) {
        return false;
    }
    tell_space(e, stream);
    note_row(e, stream);
    if (stream->traffic->out.len == 0 || !smux__send_may_go(e, stream)) {
        end_turn(e, stream);
    }
    return true;
}

/* Little is copied if more waits already: a transport that takes nothing must not gather chunks that
 * are nearly empty. */
static void push_tray(smux_engine *e, struct smux__chunk *chunk)
{
    uint8_t *p = NULL;

    if (e->outbox.len > 0 && chunk->end <= TRAY_COPY_MAX) {
        p = smux__outbox_pack(&e->outbox, &e->pool, chunk->end);
    }
    if (p != NULL) {
        memcpy(p, chunk->base, chunk->end);
        smux__outbox_packed(&e->outbox, chunk->end);
    } else {
        smux__outbox_push(&e->outbox, chunk, chunk->base, chunk->end);
    }
}

/* All that lies in the tray; its frames are complete. */
static bool form_tray(smux_engine *e)
{
    if (smux__outbox_free_pieces(&e->outbox) == 0) {
        return false;
    }
    struct smux_estream **last = e->tray.last;
    struct smux__chunk *chunk = smux__tray_take(&e->tray);
    struct smux_estream **owner = smux__tray_owners(chunk);
    const uint8_t *frame = chunk->base;
    uint32_t n = (uint32_t)(owner - last);
    uint32_t payload = chunk->end - n * SMUX__HEADER_LEN;
    uint32_t now_ms = e->now_ms;

    push_tray(e, chunk);
    e->send_queued -= payload;
    e->stats.wire_out += chunk->end;
    e->stats.payload_out += payload;
    e->stats.frames_out.psh += n;
    e->last_out_us = e->now_us;
    e->payload_ends_at = e->stats.wire_out;
    do {
        struct smux_estream *stream = *--owner;
        uint32_t len = smux__load16(frame + 2);
        frame += SMUX__HEADER_LEN + len;
        stream->flags &= ~(uint32_t)STREAM_IN_TRAY;
        note_sent(e, stream, len, now_ms);
        if (smux__stream_is(stream, STREAM_FIN_WANTED)) {
            smux__send_schedule(e, stream); /* its FIN may be next */
        }
    } while (owner > last);
    smux__chunk_unref(&e->pool, chunk);
    return true;
}

/* Only higher classes go before the tray: what is in the scheduler otherwise came later. */
static bool tray_is_next(const smux_engine *e)
{
    return !smux__tray_is_empty(&e->tray) && e->data.busy >> (SMUX_PRIORITY_DEFAULT + 1) == 0;
}

static bool has_data(const smux_engine *e)
{
    return smux__scheduler_busy(&e->data) || !smux__tray_is_empty(&e->tray);
}

static bool form_data(smux_engine *e)
{
    if (e->outbox.len == 0) {
        e->in_turn = NULL; /* its writer did not come, or has come */
    }
    while (has_data(e) && e->outbox.len < e->batch_limit && !row_is_open(e)) {
        if (!(tray_is_next(e) ? form_tray(e) : form_turn(e))) {
            return false;
        }
    }
    return true;
}

/* A fast transport gets several frames of a stream in a row: that wakes its writer and its reader
 * less often, and costs others microseconds. The number is rounded to the nearest: a socket often
 * takes a few bytes less than it is offered. */
static uint32_t turn(const smux_engine *e)
{
    uint32_t frame = e->config.max_frame_size;
    uint32_t frames = ((uint32_t)e->batch_limit / TURNS_A_BATCH + frame / 2) / frame;

    return frame * smux__max_u32(1, frames);
}

/* Many streams send several messages in a row each, which saves more of the same. In version 2 a window
 * ends such a turn. */
static void set_turns(smux_engine *e)
{
    uint32_t frame = e->config.max_frame_size;
    bool is_long = e->fast && e->version == 1;
    uint32_t of_many = is_long ? frame * smux__max_u32(1, TURN_OF_MANY / frame) : 0;

    smux__scheduler_set_turn(&e->data, turn(e));
    smux__scheduler_set_turn_of_many(&e->data, of_many, MANY);
    if (!e->fast && e->batch_limit < SMUX__MAX_BATCH) { /* and not only because nobody sent */
        smux__scheduler_cut_round(&e->data);
    }
}

void smux__send_init(smux_engine *e)
{
    e->batch_limit = FIRST_BATCH;
    smux__scheduler_init(&e->data, turn(e));
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

/* --- the owner's calls ------------------------------------------------------------------- */

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

static inline bool wants_write(const smux_engine *e)
{
    if (e->error != SMUX_OK || e->version == 0) {
        return false;
    }
    return e->outbox.len > 0 || e->control.head != NULL || has_data(e) || e->nop_due ||
           refusal_is_due(e);
}

bool smux_engine_wants_write(const smux_engine *e)
{
    return wants_write(e);
}

static SMUX__APART void form(smux_engine *e)
{
    /* The second round is for the FINs of streams that just ran empty. */
    (void)(form_session_frames(e) && form_control(e) && form_data(e) && form_control(e));
}

int smux_engine_send_iov(smux_engine *e, struct smux_iov *out_iov, int max_iov, uint64_t now_us)
{
    int n;

    smux__engine_set_now(e, now_us);
    e->offered = 0;
    if (!wants_write(e)) {
        return 0;
    }
    if (e->outbox.len < e->batch_limit) {
        form(e);
    }
    n = smux__outbox_peek(&e->outbox, out_iov, max_iov);
    for (int i = 0; i < n; i++) {
        e->offered += out_iov[i].len;
    }
    if (n > 0 && e->out_since_us == SMUX_NEVER) {
        e->out_since_us = e->now_us;
    }
    return n;
}

/* Whether others have something to send that waits for nothing: all but what has waited for its turn
 * before, in the class of the stream or below. */
static bool others_are_urgent(const smux_engine *e, const struct smux_estream *stream)
{
    return e->control.head != NULL || e->nop_due || refusal_is_due(e) ||
           !smux__tray_is_empty(&e->tray) || e->data.busy >> stream->priority > 1 ||
           e->data.classes[stream->priority].fresh.head != NULL;
}

smux_estream *smux_engine_send_stream(const smux_engine *e)
{
    const uint32_t open = STREAM_IN_TABLE | STREAM_HANDLE;
    const uint32_t moves = STREAM_FIN_WANTED | STREAM_LENT | STREAM_IN_DATA;
    struct smux_estream *stream = e->in_turn;
    bool waits = row_is_open(e) && e->outbox.len == 0 && e->error == SMUX_OK &&
                 (stream->flags & (open | moves)) == open && stream->error == SMUX_OK &&
                 !others_are_urgent(e, stream);

    return waits ? stream : NULL;
}

/* Learns whether the transport is fast. */
static void meter(smux_engine *e, size_t len)
{
    uint64_t elapsed_us = e->now_us - e->metered_us;

    e->metered += len;
    if (elapsed_us >= METER_US) {
        e->fast = e->metered / FAST_RATE >= elapsed_us;
        e->metered_us = e->now_us;
        e->metered = 0;
    }
}

/* What a transport did not take is not formed ahead next time, so that what is more urgent can
 * still overtake. */
static void adapt_batch(smux_engine *e, size_t len)
{
    size_t some = len > MIN_BATCH ? len : MIN_BATCH;
    size_t limit = len >= e->offered ? SMUX__MAX_BATCH : some;
    bool was_fast = e->fast;

    meter(e, len);
    if (limit != e->batch_limit || e->fast != was_fast) {
        e->batch_limit = limit;
        set_turns(e);
    }
}

void smux_engine_send_commit(smux_engine *e, size_t len, uint64_t now_us)
{
    smux__engine_set_now(e, now_us);
    if (e->outbox.len < len) {
        return; /* cleared by a failure meanwhile */
    }
    adapt_batch(e, len);
    if (len > 0) {
        e->out_since_us = len < e->outbox.len ? e->now_us : SMUX_NEVER;
    }
    while (len > 0) {
        struct smux_estream *owner = smux__outbox_consume(&e->outbox, &e->pool, &len);
        if (owner != NULL) {
            owner->flags &= ~(uint32_t)STREAM_LENT;
            smux__stream_notify(e, owner);
        }
    }
    smux__engine_mind_trim(e);
    smux__engine_check_ended(e);
}
