/*
 * form.c - frames are formed here, at the moment the transport can take them.
 *
 * They leave in this order [ORD-3]: NOP, refusals, control, then payload of the stream that the
 * scheduler names (scheduler.h). Who may send at all is decided in send.c, how much at once in
 * turn.c; outbox.h keeps what the transport has not taken yet.
 */
#include "core.h"

#include <string.h>

/* Payload up to this is copied behind its header instead of being sent from where it is. */
#define PACK_MAX 512u
/* Of a tray so much is copied behind what waits. */
#define TRAY_COPY_MAX 2048u
/* The pieces that the frame of a fragmented queue may take. */
#define MAX_FRAME_PIECES 24u

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

    if (untold && !smux__stream_is(stream, STREAM_FIN_RCVD) && smux__send_fin_may_go(e, stream)) {
        stream->flags |= STREAM_UPD_DUE;
    }
}

static bool form_fin(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__send_fin_may_go(e, stream)) {
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
    while (smux__refusal_is_due(e)) {
        if (!pack_frame(e, SMUX__CMD_FIN, smux__refusal_first(e))) {
            return false;
        }
        smux__refusal_pop(e);
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
        smux__send_pop_control(e);
        smux__send_schedule(e, stream);
        smux__stream_settle(e, stream);
    }
    return true;
}

static inline bool form_control(smux_engine *e)
{
    return e->control.head == NULL || form_due(e);
}

/* --- payload ----------------------------------------------------------------------------- */

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
    smux__turn_note_row(e, stream);
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
    while (has_data(e) && e->outbox.len < e->batch_limit && !smux__turn_row_is_open(e)) {
        if (!(tray_is_next(e) ? form_tray(e) : form_turn(e))) {
            return false;
        }
    }
    return true;
}

/* --- the owner's calls ------------------------------------------------------------------- */

static inline bool wants_write(const smux_engine *e)
{
    if (e->error != SMUX_OK || e->version == 0) {
        return false;
    }
    return e->outbox.len > 0 || e->control.head != NULL || has_data(e) || e->nop_due ||
           smux__refusal_is_due(e);
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

void smux_engine_send_commit(smux_engine *e, size_t len, uint64_t now_us)
{
    smux__engine_set_now(e, now_us);
    if (e->outbox.len < len) {
        return; /* cleared by a failure meanwhile */
    }
    smux__turn_adapt(e, len);
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
