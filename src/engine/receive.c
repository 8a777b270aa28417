/*
 * receive.c - what each received frame does: section "received frames" of docs/PROTOCOL.md.
 *
 * Every function first judges the frame completely and changes state only then [R3].
 */
#include "core.h"

#include <string.h>

/* L5: honest writers stay within the window; the factor is for concurrent ones [UPD-9]. */
#define OVERRUN_FACTOR 2u
/* NOPs a second that cost nothing. */
#define FREE_NOPS 10u

static bool is_our_parity(const smux_engine *e, uint32_t id)
{
    return (id & 1) == (e->role == SMUX_CLIENT ? 1u : 0u);
}

static bool may_accept(const smux_engine *e)
{
    return !e->draining && e->n_backlog < e->config.accept_backlog &&
           e->n_remote < e->config.max_remote_streams;
}

static void refuse(smux_engine *e, uint32_t id)
{
    e->stats.streams_refused++;
    smux__refusal_add(e, id);
}

/* [RCV-4] */
static void refuse_excess(smux_engine *e, uint32_t id)
{
    if (!e->draining) {
        bool full = e->n_remote >= e->config.max_remote_streams;
        e->stats.limits[full ? SMUX_LIMIT_REFUSED_STREAMS : SMUX_LIMIT_REFUSED_BACKLOG]++;
    }
    refuse(e, id);
}

/* [RCV-3] */
static void admit(smux_engine *e, uint32_t id)
{
    bool guarded = e->config.accept_guard_ms != SMUX_OFF;
    struct smux_estream *stream = smux__stream_new(e, id, guarded ? STREAM_GUARDED : 0);

    if (stream != NULL && !smux__stream_engage(e, stream)) { /* its timers must not fail */
        smux__stream_free(e, stream);
        stream = NULL;
    }
    if (stream == NULL) {
        e->stats.limits[SMUX_LIMIT_REFUSED_MEMORY]++;
        refuse(e, id); /* [R10] */
        return;
    }
    e->n_remote++;
    e->n_backlog++;
    stream->flags |= STREAM_COUNTED | STREAM_IN_BACKLOG;
    smux__ready_push(&e->backlog, stream);
    if (guarded) {
        (void)smux__stream_timer_start(e, stream, TIMER_GUARD);
    } else {
        smux__stream_unguard(e, stream);
    }
}

void smux__receive_syn(smux_engine *e, uint32_t id)
{
    if (is_our_parity(e, id) && !e->config.allow_any_parity) {
        smux__engine_fail(e, SMUX_EPROTO,
                          "peer uses our stream ids: do both ends have the same role?");
        return;
    }
    struct smux_estream *known = smux__stream_find(e, id);
    if (known != NULL && smux__stream_is(known, STREAM_DISCARD)) {
        if (smux__stream_is(known, STREAM_IN_CONTROL)) {
            refuse(e, id); /* its last control frame has still to leave */
            return;
        }
        smux__stream_free(e, known); /* [RCV-6] */
        known = NULL;
    }
    if (known != NULL) { /* [RCV-5] */
        e->stats.syn_ignored++;
        smux__engine_glitch(e, 1);
    } else if (may_accept(e)) {
        admit(e, id);
    } else {
        refuse_excess(e, id);
    }
}

void smux__receive_fin(smux_engine *e, uint32_t id)
{
    struct smux_estream *stream = smux__stream_find(e, id);

    if (stream == NULL) { /* [RCV-12] */
        return;
    }
    smux__stream_heard(e, stream);
    if (smux__stream_is(stream, STREAM_FIN_RCVD)) { /* [RCV-14] */
        return;
    }
    e->credit -= smux__stream_credit(stream);
    stream->flags |= STREAM_FIN_RCVD;
    stream->flags &= ~(uint32_t)STREAM_UPD_DUE; /* [UPD-6] */
    smux__stream_notify(e, stream);
    smux__send_schedule(e, stream);
    smux__stream_settle(e, stream);
}

void smux__receive_nop(smux_engine *e)
{
    struct smux__glitches *g = &e->glitches;
    uint64_t second = e->now_us / 1000000;

    e->peer_sent_nop = true;
    if (second != g->nop_second) {
        g->nop_second = second;
        g->nops = 0;
    }
    if (++g->nops > FREE_NOPS) {
        smux__engine_glitch(e, 1);
    }
}

void smux__receive_upd(smux_engine *e, uint32_t id, uint32_t consumed, uint32_t window)
{
    struct smux_estream *stream = smux__stream_find(e, id);

    if (stream == NULL) { /* [RCV-15] */
        return;
    }
    smux__stream_heard(e, stream);
    if (stream->error != SMUX_OK) {
        return;
    }
    if (smux__stream_is(stream, STREAM_DISCARD)) {
        if (consumed > 0) { /* what was sent before the close was read, too */
            smux__send_is_read(e, stream);
        }
        return;
    }
    bool first = !smux__stream_is(stream, STREAM_TOLD);
    if (window > SMUX__MAX_WINDOW) { /* [RCV-19] */
        window = SMUX__MAX_WINDOW;
        smux__engine_glitch(e, 10);
    }
    stream->flags |= STREAM_TOLD;
    switch (smux__window_update(&stream->window, (uint32_t)stream->sent, consumed, window)) {
    case SMUX__UPDATE_TAKEN: /* [RCV-16] */
        if (consumed > 0) {
            smux__send_is_read(e, stream);
        }
        smux__stream_timer_stop(stream, TIMER_HALF_CLOSE);
        smux__send_recall(e, stream);
        smux__send_schedule(e, stream);
        smux__stream_settle(e, stream);
        break;
    case SMUX__UPDATE_SAME:
        smux__stream_timer_stop(stream, TIMER_HALF_CLOSE);
        smux__send_schedule(e, stream);
        if (!first) { /* a first word may be a mere hint [UPD-7] */
            smux__engine_glitch(e, 1);
        }
        break;
    case SMUX__UPDATE_STALE: /* [RCV-17] */
        e->stats.upd_stale++;
        break;
    case SMUX__UPDATE_AHEAD: /* [RCV-18] */
        e->stats.limits[SMUX_LIMIT_ABORTED_CONSUMED]++;
        smux__stream_abort(e, stream, SMUX_ECONSUMED);
        smux__engine_glitch(e, 100);
        break;
    }
}

static bool overruns(const smux_engine *e, const struct smux_estream *stream, uint32_t len)
{
    uint64_t unread = smux__stream_unread(stream);

    return e->version == 2 && unread + len > (uint64_t)OVERRUN_FACTOR * stream->max_advertised;
}

/* [FIN-11]: data for a stream that the application has closed. */
static void discard(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    e->credit -= smux__stream_credit(stream);
    stream->received += len;
    e->credit += smux__stream_credit(stream);
    stream->discarded += len;
    if (stream->discarded <= SMUX__DISCARD_CREDIT) {
        smux__stream_consumed(e, stream, len);
    } else if (smux__stream_is(stream, STREAM_DISCARD)) {
        e->stats.limits[SMUX_LIMIT_FORGOTTEN_DISCARDS]++;
        smux__stream_end_discard(e, stream);
    }
}

/* Says why nobody gets the payload [RCV-10, RCV-11, R17]. */
static SMUX__RARE struct smux_estream *reject(smux_engine *e, const struct smux_estream *stream)
{
    e->stats.psh_after_fin += smux__stream_is(stream, STREAM_FIN_RCVD);
    return NULL;
}

/* [UPD-9] */
static SMUX__RARE struct smux_estream *punish_overrun(smux_engine *e, struct smux_estream *stream)
{
    e->stats.limits[SMUX_LIMIT_ABORTED_WINDOW]++;
    smux__stream_abort(e, stream, SMUX_EWINDOW);
    smux__engine_glitch(e, 100);
    return NULL;
}

/* Judges a PSH by its header. Returns who gets the payload, or NULL to drop it. */
static SMUX__INLINE struct smux_estream *judge_psh(smux_engine *e, uint32_t id, uint32_t len)
{
    struct smux_estream *stream = smux__stream_find(e, id);

    if (stream == NULL) { /* [RCV-8] */
        return NULL;
    }
    smux__stream_heard(e, stream);
    if (smux__stream_is(stream, STREAM_FIN_RCVD | STREAM_CLOSED) || stream->error != SMUX_OK) {
        return reject(e, stream);
    }
    if (overruns(e, stream, len)) {
        return punish_overrun(e, stream);
    }
    if (!smux__intray_move(e, stream)) { /* this is to stand behind it */
        smux__stream_lose_input(e, stream);
        return NULL;
    }
    return stream;
}

struct smux_estream *smux__receive_psh(smux_engine *e, uint32_t id, uint32_t len)
{
    return judge_psh(e, id, len);
}

/* Credit is given for bytes that came, not for a header that announces them: a peer may count
 * what it sent only when the frame is out [UPD-1]. */
void smux__receive_drop(smux_engine *e, uint32_t id, uint32_t len)
{
    struct smux_estream *stream = e->version == 2 ? smux__stream_find(e, id) : NULL;

    e->stats.payload_discarded += len;
    if (len > 0 && stream != NULL && stream->error == SMUX_OK &&
        (stream->flags & (STREAM_CLOSED | STREAM_FIN_RCVD)) == STREAM_CLOSED) {
        discard(e, stream, len);
    }
}

/* Books payload of a stream to which frames may come: it is in the table and neither has failed nor
 * ended. */
static SMUX__INLINE void book(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    if (smux__stream_is(stream, STREAM_UPD_SENT)) { /* else it has no credit to use up */
        e->credit -= smux__min_u32(smux__stream_window_left(stream), len);
    }
    stream->received += len;
    e->stats.payload_in += len;
    if (stream->tuning != NULL) {
        smux__tune_received(e, stream);
    }
    smux__stream_warn(e, stream);
    smux__stream_notify(e, stream);
}

void smux__receive_book(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    book(e, stream, len);
}

/* Copies into the memory of a waiting reader; returns how much. */
static uint32_t payload_to_post(smux_engine *e, struct smux_estream *stream, const uint8_t *data,
                                uint32_t len)
{
    struct smux__post *post = &e->post;
    size_t n = stream->traffic->in.len == 0 ? post->size - post->len : 0;

    if (n > len) {
        n = len;
    }
    if (n > 0) {
        memcpy(post->buf + post->len, data, n);
        post->len += n;
        book(e, stream, (uint32_t)n);
        smux__stream_was_read(e, stream, (uint32_t)n);
    }
    return (uint32_t)n;
}

/* Takes a piece of the payload of a PSH; `left` is what the frame still has, this included. */
static SMUX__INLINE void take_payload(smux_engine *e, struct smux_estream *stream,
                                      const uint8_t *data, uint32_t len, uint32_t left)
{
    uint32_t done = e->post.stream == stream ? payload_to_post(e, stream, data, len) : 0;

    if (done == len) {
        return;
    }
    /* What does not fit into the last chunk goes into a new one, which is asked for with all that
     * the frame still has in mind, so that its later pieces find room there. */
    size_t n = 0;
    if (smux__stream_engage(e, stream) &&
        (len == left ||
         smux__queue_reserve(&stream->traffic->in, &e->pool, left - done, true) != NULL)) {
        n = smux__queue_append(&stream->traffic->in, &e->pool, data + done, len - done, true);
        book(e, stream, (uint32_t)n);
    }
    if (n < len - done) {
        e->stats.payload_discarded += len - done - n;
        e->stats.limits[SMUX_LIMIT_ABORTED_MEMORY]++;
        smux__stream_abort(e, stream, SMUX_ENOMEM);
    }
}

void smux__receive_payload(smux_engine *e, struct smux_estream *stream, const uint8_t *data,
                           uint32_t len, uint32_t left)
{
    take_payload(e, stream, data, len, left);
}

/* --- frames that have come as a whole ---------------------------------------------------- */

/* What is left of a run of small frames, and the size of the first one, header included. */
struct run {
    const uint8_t *data;
    size_t left;
    size_t size;
};

/* Whether a small PSH is there as a whole; notes its size. */
static SMUX__INLINE bool has_small_psh(const smux_engine *e, struct run *run)
{
    if (run->left < SMUX__HEADER_LEN) {
        return false;
    }
    /* Version, command and length together: a wrong one of the first two makes it too large. */
    uint32_t head = smux__load32(run->data);
    run->size = (head << 16 | head >> 16) - e->decoder.plain_head;
    return (uint32_t)run->size - SMUX__HEADER_LEN - 1 < SMUX__INTRAY_MAX && run->size <= run->left;
}

/* Whether a stream is like nearly all that get small frames: the application holds it, it has nothing
 * unread, and nothing else is to be considered. Without an update that is due, at least half of its
 * window is left. */
static SMUX__INLINE bool is_plain(const smux_engine *e, const struct smux_estream *stream)
{
    const uint32_t special = STREAM_UNHEARD | STREAM_FIN_RCVD | STREAM_CLOSED | STREAM_IN_READY |
                             STREAM_UPD_DUE | STREAM_UNUSUAL;
    const uint32_t judged = STREAM_HANDLE | STREAM_UPD_SENT | special;

    return (stream->flags & judged) == e->decoder.plain_flags && smux__stream_unread(stream) == 0;
}

/* Who gets the first frame of what is left, NULL if that is not plain. */
static SMUX__INLINE struct smux_estream *first_plain(smux_engine *e, struct run *run)
{
    if (!has_small_psh(e, run)) {
        return NULL;
    }
    struct smux_estream *stream = smux__stream_find(e, smux__load32(run->data + 4));
    return stream != NULL && is_plain(e, stream) ? stream : NULL;
}

/* The same for the next one, which is for another stream if it is plain. */
static SMUX__INLINE struct smux_estream *next_plain(const smux_engine *e, struct run *run)
{
    run->data += run->size;
    run->left -= run->size;
    if (!has_small_psh(e, run)) {
        return NULL;
    }
    struct smux_estream *stream = smux__table_find(&e->table, smux__load32(run->data + 4));
    return stream != NULL && is_plain(e, stream) ? stream : NULL;
}

/* Takes the frames of a run, which begins with one of a stream that is plain, into the in-tray, which
 * has room for what is left of it. Returns their number. */
static SMUX__INLINE uint32_t take_run(smux_engine *e, struct smux_estream *stream, struct run *run)
{
    uint32_t at = e->intray.chunk->end + SMUX__HEADER_LEN;
    struct smux_estream *next;

    smux__ready_push(&e->ready, stream);
    for (uint32_t n = 1;; n++) {
        assert(stream->traffic->in.tail == NULL && stream->loan_len == 0);
        assert(e->version == 1 || smux__stream_window_left(stream) >= run->size - SMUX__HEADER_LEN);
        stream->received += run->size - SMUX__HEADER_LEN;
        stream->piece_at = at;
        stream->flags |= STREAM_IN_INTRAY | STREAM_IN_READY;
        if (stream->tuning != NULL) {
            smux__tune_received(e, stream);
        }
        at += (uint32_t)run->size;
        if ((next = next_plain(e, run)) == NULL) {
            smux__ready_end(&e->ready, stream);
            return n;
        }
        smux__ready_chain(stream, next);
        stream = next;
    }
}

/* Takes the frames that stand first, as long as they are small and plain. Returns their length. */
static size_t receive_run(smux_engine *e, const uint8_t *data, size_t len)
{
    struct run run = {data, len, 0};

    struct smux_estream *stream = first_plain(e, &run);
    size_t room = stream != NULL ? smux__intray_prepare(e, run.size) : 0;
    if (room == 0) {
        return 0;
    }
    run.left = room < len ? room : len;
    uint32_t n = take_run(e, stream, &run);
    size_t done = (size_t)(run.data - data);
    smux__intray_fill(&e->intray, data, done, n);
    e->decoder.last_body = 0; /* the next one may be small, too */
    e->stats.frames_in.psh += n;
    e->stats.payload_in += done - n * SMUX__HEADER_LEN;
    e->credit -= e->version == 1 ? 0 : (int64_t)(done - n * SMUX__HEADER_LEN);
    return done;
}

/* The length of the payload of a PSH that is there as a whole, 0 otherwise. */
static uint32_t whole_psh(const smux_engine *e, const uint8_t *data, size_t len)
{
    if (len < SMUX__HEADER_LEN || smux__load16(data) != e->decoder.psh_head) {
        return 0;
    }
    uint32_t payload = smux__load16(data + 2);
    return payload <= len - SMUX__HEADER_LEN ? payload : 0;
}

/* Takes one frame that is not plain. Returns its length, 0 if none is there. */
static size_t receive_one(smux_engine *e, const uint8_t *data, size_t len)
{
    uint32_t payload = smux__engine_has_budget(e) ? whole_psh(e, data, len) : 0;

    if (payload == 0) {
        return 0;
    }
    smux__decoder_note_body(&e->decoder, payload);
    e->stats.frames_in.psh++;
    uint32_t id = smux__load32(data + 4);
    struct smux_estream *stream = judge_psh(e, id, payload);
    if (stream != NULL) {
        take_payload(e, stream, data + SMUX__HEADER_LEN, payload, payload);
    } else if (e->error == SMUX_OK) {
        smux__receive_drop(e, id, payload);
    }
    return SMUX__HEADER_LEN + payload;
}

size_t smux__receive_whole(smux_engine *e, const uint8_t *data, size_t len)
{
    size_t done = receive_run(e, data, len);
    size_t n;

    while (done < len && e->error == SMUX_OK && (n = receive_one(e, data + done, len - done)) > 0) {
        done += n;
        done += receive_run(e, data + done, len - done);
    }
    return done;
}
