/*
 * send.c - frames are formed here, at the moment the transport can take them; who sends next.
 *
 * Control output is state, not a queue [R5]: a stream has bits for SYN, UPD and FIN and stands at
 * most once in the list of streams with such a bit. Frames leave in this order [ORD-3]: NOP,
 * refusals, control, then payload by deficit round robin: a stream whose turn it is sends until
 * it has used up its quantum, so that busy streams share the transport by bytes.
 */
#include "core.h"

#include <string.h>

/* Payload up to this is copied behind its header instead of being sent from where it is. */
#define PACK_MAX 512u
/* Bytes formed at once, as long as the transport takes all of them. */
#define MAX_BATCH 262144u
#define MIN_BATCH 16384u
/* The longest wait for a larger window [WIN-8]. */
#define SILLY_US 200000u
/* The pieces that the frame of a fragmented queue may take. */
#define MAX_FRAME_PIECES 24u

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* --- who may send ------------------------------------------------------------------------ */

uint32_t smux__send_room(const smux_engine *e, const struct smux_estream *stream)
{
    if (e->version == 1) {
        return UINT32_MAX;
    }
    return smux__window_room(&stream->window, (uint32_t)stream->sent);
}

static void set_timer(smux_engine *e, struct smux_estream *stream, enum smux__timer_kind kind,
                      uint64_t duration_us)
{
    if (duration_us != SMUX_NEVER && !smux__timer_running(&stream->timer)) {
        smux__stream_timer_start(e, stream, kind, e->now_us + duration_us);
    }
}

/* Payload waits and version, window and silly-window rule let some of it go. */
static bool payload_may_go(smux_engine *e, struct smux_estream *stream)
{
    if (stream->out.len == 0 || smux__stream_is(stream, STREAM_SYN_DUE)) {
        smux__stream_timer_stop(stream, TIMER_HALF_CLOSE); /* what waited was taken back */
        smux__stream_timer_stop(stream, TIMER_SILLY);
        return false;
    }
    uint32_t room = smux__send_room(e, stream);
    if (room == 0) {
        if (smux__stream_is(stream, STREAM_FIN_RCVD)) { /* [FIN-9] */
            set_timer(e, stream, TIMER_HALF_CLOSE,
                      smux__duration_us(e->config.half_close_timeout_ms));
        }
        return false;
    }
    smux__stream_timer_stop(stream, TIMER_HALF_CLOSE);
    if (e->version == 2 && !smux__stream_is(stream, STREAM_SILLY_OVER) &&
        smux__window_is_silly(&stream->window, (uint32_t)stream->sent, room, stream->out.len)) {
        set_timer(e, stream, TIMER_SILLY, SILLY_US);
        return false;
    }
    smux__stream_timer_stop(stream, TIMER_SILLY);
    return true;
}

/* [FIN-7]: the peer finished first and may not have read all yet. */
static bool must_linger(smux_engine *e, struct smux_estream *stream)
{
    uint32_t linger_ms = e->config.fin_linger_ms;
    uint32_t since_ms = smux__engine_now_ms(e) - stream->last_sent_ms;

    if (!smux__stream_is(stream, STREAM_FIN_RCVD) || stream->error != SMUX_OK || e->draining ||
        e->input_ended || linger_ms == SMUX_OFF || stream->sent == 0 || since_ms >= linger_ms) {
        return false;
    }
    if (e->version == 2 && stream->window.acked == (uint32_t)stream->sent) {
        return false;
    }
    set_timer(e, stream, TIMER_LINGER, (uint64_t)(linger_ms - since_ms) * 1000);
    return true;
}

static bool fin_may_go(smux_engine *e, struct smux_estream *stream)
{
    if ((stream->flags & (STREAM_FIN_WANTED | STREAM_FIN_SENT)) != STREAM_FIN_WANTED ||
        stream->out.len > 0 || must_linger(e, stream)) {
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

static void control_push(smux_engine *e, struct smux_estream *stream)
{
    stream->flags |= STREAM_IN_CONTROL;
    stream->control_next = NULL;
    *(e->control_tail != NULL ? &e->control_tail->control_next : &e->control_head) = stream;
    e->control_tail = stream;
}

static struct smux_estream *control_pop(smux_engine *e)
{
    struct smux_estream *stream = e->control_head;

    e->control_head = stream->control_next;
    if (e->control_head == NULL) {
        e->control_tail = NULL;
    }
    stream->flags &= ~(uint32_t)STREAM_IN_CONTROL;
    return stream;
}

static void hold(smux_engine *e, struct smux_estream *stream)
{
    stream->flags |= STREAM_SYN_HELD;
    stream->control_next = NULL;
    *(e->held_tail != NULL ? &e->held_tail->control_next : &e->held_head) = stream;
    e->held_tail = stream;
}

static struct smux_estream *unhold(smux_engine *e)
{
    struct smux_estream *stream = e->held_head;

    e->held_head = stream->control_next;
    if (e->held_head == NULL) {
        e->held_tail = NULL;
    }
    stream->flags &= ~(uint32_t)STREAM_SYN_HELD;
    return stream;
}

/* Lets the SYN go; from now on it counts, so that opens of one moment hold each other back. */
static void push_syn(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_SYN_DUE)) {
        e->n_unanswered++;
    }
    control_push(e, stream);
}

void smux__send_release_held(smux_engine *e)
{
    while (e->held_head != NULL && !must_hold_syn(e)) {
        push_syn(e, unhold(e));
    }
}

void smux__send_unschedule(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_IN_DATA)) {
        smux__sched_remove(&e->data, stream);
        stream->flags &= ~(uint32_t)STREAM_IN_DATA;
        stream->deficit = 0;
    }
}

void smux__send_schedule(smux_engine *e, struct smux_estream *stream)
{
    if (e->error != SMUX_OK || !smux__stream_is(stream, STREAM_IN_TABLE) ||
        smux__stream_is(stream, STREAM_GUARDED)) {
        return;
    }
    if (!smux__stream_is(stream, STREAM_IN_CONTROL | STREAM_SYN_HELD) &&
        (smux__stream_is(stream, STREAM_SYN_DUE | STREAM_UPD_DUE) || fin_may_go(e, stream))) {
        if (smux__stream_is(stream, STREAM_SYN_DUE) && must_hold_syn(e)) {
            hold(e, stream);
        } else {
            push_syn(e, stream);
        }
    }
    if (smux__stream_is(stream, STREAM_IN_DATA) &&
        (stream->out.len == 0 || smux__send_room(e, stream) == 0)) {
        smux__send_unschedule(e, stream); /* reclaimed, or the window shrank, while it waited */
    }
    if (!smux__stream_is(stream, STREAM_IN_DATA) && payload_may_go(e, stream)) {
        stream->flags |= STREAM_IN_DATA;
        smux__sched_push(&e->data, stream);
    }
}

void smux__send_stop(smux_engine *e)
{
    while (e->control_head != NULL) {
        (void)control_pop(e);
    }
    while (e->held_head != NULL) {
        (void)unhold(e);
    }
    while (e->data.head != NULL) {
        smux__send_unschedule(e, e->data.head);
    }
    e->nop_due = false;
    e->refusals.count = 0;
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

void smux__send_refusal(smux_engine *e, uint32_t id)
{
    struct smux__refusals *r = &e->refusals;
    /* The current millisecond has partly passed: one more, so that the guard is never cut. */
    uint32_t guard_ms = e->config.accept_guard_ms == SMUX_OFF ? 0 : e->config.accept_guard_ms + 1;

    if (r->count == e->config.max_refusals || !have_ring(e)) {
        smux__engine_glitch(e, 10);
        return;
    }
    struct smux__refusal *slot = &r->ring[(r->head + r->count++) % e->config.max_refusals];
    slot->id = id;
    slot->due_ms = smux__engine_now_ms(e) + guard_ms;
}

static bool refusal_is_due(const smux_engine *e)
{
    const struct smux__refusals *r = &e->refusals;

    return r->count > 0 && (int32_t)(smux__engine_now_ms(e) - r->ring[r->head].due_ms) >= 0;
}

/* --- frames ------------------------------------------------------------------------------ */

static bool pack_frame(smux_engine *e, enum smux__cmd cmd, uint32_t id, const uint8_t *payload,
                       uint16_t len)
{
    uint8_t *p = smux__outbox_pack(&e->outbox, &e->pool, SMUX__HEADER_LEN + len);

    if (p == NULL) {
        return false;
    }
    struct smux__header h = {(uint8_t)e->version, (uint8_t)cmd, len, id};
    smux__header_store(p, h);
    if (len > 0) {
        memcpy(p + SMUX__HEADER_LEN, payload, len);
    }
    smux__outbox_packed(&e->outbox, SMUX__HEADER_LEN + len);
    e->stats.wire_out += SMUX__HEADER_LEN + len;
    e->last_out_us = e->now_us;
    return true;
}

static bool form_syn(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_SYN_DUE)) {
        return true;
    }
    if (!pack_frame(e, SMUX__CMD_SYN, stream->id, NULL, 0)) {
        return false;
    }
    stream->flags &= ~(uint32_t)STREAM_SYN_DUE;
    e->stats.frames_out.syn++;
    return true;
}

static bool form_update(smux_engine *e, struct smux_estream *stream)
{
    uint8_t payload[SMUX__UPD_LEN];

    if (!smux__stream_is(stream, STREAM_UPD_DUE)) {
        return true;
    }
    if (smux__outbox_pack(&e->outbox, &e->pool, SMUX__HEADER_LEN + SMUX__UPD_LEN) == NULL) {
        return false;
    }
    smux__store32(payload + 4, smux__stream_advertise(e, stream));
    smux__store32(payload, stream->updated_at);
    (void)pack_frame(e, SMUX__CMD_UPD, stream->id, payload, SMUX__UPD_LEN);
    stream->flags &= ~(uint32_t)STREAM_UPD_DUE;
    e->stats.frames_out.upd++;
    return true;
}

static bool form_fin(smux_engine *e, struct smux_estream *stream)
{
    if (!fin_may_go(e, stream)) {
        return true;
    }
    if (!pack_frame(e, SMUX__CMD_FIN, stream->id, NULL, 0)) {
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
        if (!pack_frame(e, SMUX__CMD_NOP, 0, NULL, 0)) {
            return false;
        }
        e->nop_due = false;
        e->nop_ends_at = e->stats.wire_out;
        e->stats.frames_out.nop++;
    }
    while (refusal_is_due(e)) {
        if (!pack_frame(e, SMUX__CMD_FIN, r->ring[r->head].id, NULL, 0)) {
            return false;
        }
        r->head = (r->head + 1) % e->config.max_refusals;
        r->count--;
        e->stats.frames_out.fin++;
    }
    return true;
}

static bool form_control(smux_engine *e)
{
    while (e->control_head != NULL && e->outbox.len < e->batch_limit) {
        struct smux_estream *stream = e->control_head;
        if (!form_syn(e, stream) || !form_update(e, stream) || !form_fin(e, stream)) {
            return false;
        }
        (void)control_pop(e);
        smux__send_schedule(e, stream);
        smux__stream_settle(e, stream);
    }
    return true;
}

/* Moves the first len bytes of the send queue behind their header. Returns how many were moved:
 * fewer when the queue is in too many pieces. */
static uint32_t move_payload(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    struct smux__chunk *chunk = smux__queue_head(&stream->out);
    uint32_t done = 0;

    for (uint32_t pieces = 0; done < len && pieces < MAX_FRAME_PIECES; pieces++) {
        uint32_t n = min_u32(chunk->end - chunk->begin, len - done);
        smux__outbox_push(&e->outbox, chunk, chunk->base + chunk->begin, n);
        if (chunk->cap > 0) {
            e->send_queued -= n;
        }
        done += n;
        chunk = chunk->next;
    }
    smux__queue_consume(&stream->out, &e->pool, done, NULL);
    return done;
}

static bool form_small_psh(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    uint8_t payload[PACK_MAX];
    struct smux_iov iov[8];
    uint32_t done = 0;

    if (smux__outbox_pack(&e->outbox, &e->pool, SMUX__HEADER_LEN + len) == NULL) {
        return false;
    }
    int n = smux__queue_peek(&stream->out, iov, 8);
    for (int i = 0; i < n && done < len; i++) {
        uint32_t piece = min_u32((uint32_t)iov[i].len, len - done);
        memcpy(payload + done, iov[i].base, piece);
        done += piece;
    }
    (void)pack_frame(e, SMUX__CMD_PSH, stream->id, payload, (uint16_t)done);
    e->send_queued -= done;
    smux__queue_consume(&stream->out, &e->pool, done, NULL);
    stream->sent += done;
    stream->deficit -= (int32_t)done;
    e->stats.payload_out += done;
    return true;
}

static bool form_large_psh(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    if (smux__outbox_free_pieces(&e->outbox) < MAX_FRAME_PIECES + 1) {
        return false;
    }
    uint8_t *p = smux__outbox_pack(&e->outbox, &e->pool, SMUX__HEADER_LEN);
    if (p == NULL) {
        return false;
    }
    smux__outbox_packed(&e->outbox, SMUX__HEADER_LEN);
    uint32_t done = move_payload(e, stream, len);
    struct smux__header h = {(uint8_t)e->version, SMUX__CMD_PSH, (uint16_t)done, stream->id};
    smux__header_store(p, h);
    stream->sent += done;
    stream->deficit -= (int32_t)done;
    e->stats.payload_out += done;
    e->stats.wire_out += SMUX__HEADER_LEN + done;
    e->last_out_us = e->now_us;
    return true;
}

/* One PSH of the stream whose turn it is; false when the outbox takes no more. A loan is never
 * copied: its owner waits for it anyway. */
static bool form_psh(smux_engine *e, struct smux_estream *stream)
{
    uint32_t len =
        min_u32(min_u32(stream->out.len, smux__send_room(e, stream)), e->config.max_frame_size);
    bool small = len <= PACK_MAX && !smux__stream_is(stream, STREAM_LENT);

    if (!(small ? form_small_psh(e, stream, len) : form_large_psh(e, stream, len))) {
        return false;
    }
    stream->flags &= ~(uint32_t)STREAM_SILLY_OVER;
    stream->last_sent_ms = smux__engine_now_ms(e);
    stream->sent_ends_at = (uint32_t)e->stats.wire_out;
    e->stats.frames_out.psh++;
    return true;
}

static void tell_space(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_WANTS_SPACE) &&
        stream->out.len <= e->config.max_stream_send_buffer / 2) {
        stream->flags &= ~(uint32_t)STREAM_WANTS_SPACE;
        smux__stream_notify(e, stream);
    }
}

static bool form_data(smux_engine *e)
{
    while (e->data.head != NULL && e->outbox.len < e->batch_limit) {
        struct smux_estream *stream = e->data.head;
        if (stream->deficit <= 0) {
            stream->deficit += (int32_t)e->config.max_frame_size;
        }
        if (!form_psh(e, stream)) {
            return false;
        }
        tell_space(e, stream);
        if (!payload_may_go(e, stream)) {
            smux__send_unschedule(e, stream);
            smux__send_schedule(e, stream); /* its FIN may be next */
        } else if (stream->deficit <= 0) {
            smux__sched_remove(&e->data, stream);
            smux__sched_push(&e->data, stream);
        }
    }
    return true;
}

/* --- the owner's calls ------------------------------------------------------------------- */

bool smux_engine_wants_write(const smux_engine *e)
{
    if (e->error != SMUX_OK || e->version == 0) {
        return false;
    }
    return e->outbox.len > 0 || e->control_head != NULL || e->data.head != NULL || e->nop_due ||
           refusal_is_due(e);
}

int smux_engine_send_iov(smux_engine *e, struct smux_iov *out_iov, int max_iov, uint64_t now_us)
{
    int n;

    smux__engine_set_now(e, now_us);
    e->offered = 0;
    if (!smux_engine_wants_write(e)) {
        return 0;
    }
    if (e->outbox.len < e->batch_limit) {
        /* The second round is for the FINs of streams that just ran empty. */
        (void)(form_session_frames(e) && form_control(e) && form_data(e) && form_control(e));
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

/* What a transport did not take is not formed ahead next time, so that what is more urgent can
 * still overtake. */
static void adapt_batch(smux_engine *e, size_t len)
{
    if (len >= e->offered) {
        e->batch_limit = MAX_BATCH;
    } else {
        e->batch_limit = len > MIN_BATCH ? len : MIN_BATCH;
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
    smux__engine_check_ended(e);
}
