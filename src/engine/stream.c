/*
 * stream.c - birth and end of streams.
 */
#include "stream.h"

#include "core.h"

#include <string.h>

const struct smux__traffic smux__no_traffic;

/* The owner's memory follows the stream. */
#define USER_OFFSET sizeof(struct smux_estream)

_Static_assert(USER_OFFSET % _Alignof(uint64_t) == 0, "the owner may keep 64-bit numbers");

size_t smux__stream_size(size_t user_size)
{
    return USER_OFFSET + user_size;
}

void *smux_estream_user(smux_estream *stream)
{
    return (uint8_t *)stream + USER_OFFSET;
}

smux_estream *smux_estream_of(const void *user)
{
    return (smux_estream *)((uintptr_t)user - USER_OFFSET);
}

uint32_t smux_estream_id(const smux_estream *stream)
{
    return stream->id;
}

/* --- what the first frame of the peer changes ------------------------------------------------ */

void smux__stream_unguard(smux_engine *e, struct smux_estream *stream)
{
    stream->flags &= ~(uint32_t)STREAM_GUARDED;
    if (smux__stream_is(stream, STREAM_IN_BACKLOG)) {
        (void)smux__stream_timer_start(e, stream, TIMER_ACCEPT); /* as in admit() */
    }
    smux__send_schedule(e, stream);
    smux__stream_rest(e, stream);
}

/* An answer to our SYN has come, or cannot come any more [OPN-8]. */
static void await_no_answer(smux_engine *e, struct smux_estream *stream)
{
    if ((stream->flags & (STREAM_LOCAL | STREAM_ANSWERED | STREAM_SYN_DUE)) == STREAM_LOCAL) {
        stream->flags |= STREAM_ANSWERED;
        e->n_unanswered--;
        smux__send_release_held(e);
    }
}

void smux__stream_heard_first(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_SYN_DUE)) { /* else it is no answer yet */
        stream->flags &= ~(uint32_t)STREAM_UNHEARD;
    }
    if (smux__stream_is(stream, STREAM_GUARDED)) {
        smux__stream_timer_stop(stream, TIMER_GUARD);
        smux__stream_unguard(e, stream);
    }
    await_no_answer(e, stream);
}

/* --- birth and end ----------------------------------------------------------------------- */

struct smux_estream *smux__stream_new(smux_engine *e, uint32_t id, uint32_t flags)
{
    struct smux_estream *stream = smux__pool_take(&e->pool, SMUX__RECORD_STREAM);

    if (stream == NULL) {
        return NULL;
    }
    memset(stream, 0, e->pool.records[SMUX__RECORD_STREAM].size);
    stream->id = id;
    stream->traffic = SMUX__NO_TRAFFIC;
    if (smux__table_add(&e->table, &e->pool.alloc, stream) != SMUX_OK) {
        smux__pool_give(&e->pool, SMUX__RECORD_STREAM, stream);
        return NULL;
    }
    stream->flags = flags | STREAM_IN_TABLE | STREAM_UNHEARD;
    stream->window.wnd = SMUX__INITIAL_WINDOW;
    stream->advertised = SMUX__INITIAL_WINDOW;
    stream->max_advertised = SMUX__INITIAL_WINDOW;
    smux__scheduler_adopt(&e->data, stream);
    e->last_found = stream;
    e->n_streams++;
    e->n_unfinished++;
    return stream;
}

/* The place it took among the peer's streams is free again (L1): the application has let go of it
 * and nothing of it waits for the transport. */
static void uncount(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_COUNTED)) {
        stream->flags &= ~(uint32_t)STREAM_COUNTED;
        e->n_remote--;
    }
}

void smux__stream_sent_fin(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_FIN_SENT)) {
        stream->flags |= STREAM_FIN_SENT;
        e->n_unfinished--;
        if (!smux__stream_is(stream, STREAM_HANDLE)) {
            uncount(e, stream);
        }
    }
}

void smux__stream_cancel_syn(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_SYN_DUE)) {
        stream->flags &= ~(uint32_t)STREAM_SYN_DUE;
        stream->flags |= STREAM_ANSWERED; /* no answer is awaited */
        smux__stream_sent_fin(e, stream);
        if (smux__stream_is(stream, STREAM_IN_CONTROL)) {
            e->n_unanswered--;
            smux__send_release_held(e);
        }
    }
}

static void leave_ready(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_IN_READY | STREAM_IN_BACKLOG)) {
        return;
    }
    if (smux__stream_is(stream, STREAM_IN_READY)) {
        smux__ready_remove(&e->ready, stream);
    } else {
        smux__ready_remove(&e->backlog, stream);
        e->n_backlog--;
    }
    stream->flags &= ~(uint32_t)(STREAM_IN_READY | STREAM_IN_BACKLOG);
}

static void note_fewer_streams(smux_engine *e)
{
    e->n_streams--;
    if (e->n_streams == 0 && e->config.idle_timeout_ms != SMUX_OFF) {
        smux__engine_note(e, &e->idle_since_us, SMUX__MOMENT_IDLE);
    }
}

static void leave_table(smux_engine *e, struct smux_estream *stream)
{
    e->credit -= smux__stream_credit(stream);
    smux__stream_timer_cancel(stream);
    smux__stream_rest(e, stream);
    smux__table_remove(&e->table, stream);
    stream->flags &= ~(uint32_t)STREAM_IN_TABLE;
    if (e->last_found == stream) {
        e->last_found = NULL;
    }
    if (e->in_turn == stream) {
        e->in_turn = NULL;
    }
    if (smux__stream_is(stream, STREAM_DISCARD)) {
        e->n_discards--;
    } else {
        note_fewer_streams(e);
    }
    smux__tune_forget(e, stream);
    smux__send_is_read(e, stream);
    smux__stream_cancel_syn(e, stream);
    smux__stream_sent_fin(e, stream);
    await_no_answer(e, stream); /* nothing more can come */
}

static void drop_input(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_IN_INTRAY)) {
        smux__intray_leave(&e->intray, &e->pool, stream);
    } else if (stream->traffic->in.tail != NULL) {
        smux__queue_clear(&stream->traffic->in, &e->pool);
    }
}

void smux__stream_free(smux_engine *e, struct smux_estream *stream)
{
    assert(!smux__stream_is(stream, STREAM_IN_CONTROL | STREAM_SYN_HELD));
    if (smux__stream_is(stream, STREAM_IN_TABLE)) {
        leave_table(e, stream);
    } else if (smux__stream_is(stream, STREAM_DETACHED)) {
        smux__detached_remove(&e->detached, stream);
    }
    smux__send_unschedule(e, stream);
    smux__stream_timer_cancel(stream);
    leave_ready(e, stream);
    uncount(e, stream);
    smux__decoder_forget(e, stream);
    if (e->post.stream == stream) {
        e->post.stream = NULL;
    }
    drop_input(e, stream);
    smux__tune_forget(e, stream);
    smux__stream_drop_output(e, stream);
    smux__stream_rest(e, stream);
    smux__pool_give(&e->pool, SMUX__RECORD_STREAM, stream);
}

/* [FIN-11]: what still comes is dropped but credited, so that a Go writer can finish. */
static bool may_discard(const smux_engine *e, const struct smux_estream *stream)
{
    return e->version == 2 && e->config.max_discards != SMUX_OFF && stream->error == SMUX_OK &&
           e->error == SMUX_OK && !e->input_ended &&
           (stream->flags & (STREAM_CLOSED | STREAM_FIN_RCVD)) == STREAM_CLOSED;
}

/* No deeper than this: what ends for a newer one leaves the table.
 * NOLINTNEXTLINE(misc-no-recursion) */
static void begin_discard(smux_engine *e, struct smux_estream *stream)
{
    stream->flags |= STREAM_DISCARD;
    note_fewer_streams(e);
    e->n_discards++;
    smux__stream_timer_cancel(stream);
    (void)smux__stream_timer_start(e, stream, TIMER_DISCARD); /* it is engaged */
    if (e->n_discards > e->config.max_discards) {
        e->stats.limits[SMUX_LIMIT_FORGOTTEN_DISCARDS]++;
        struct smux__timer *oldest = smux__timer_list_first(&e->timers[TIMER_DISCARD]);
        smux__stream_end_discard(e, oldest != NULL ? smux__stream_of_timer(oldest) : stream);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): see begin_discard() */
void smux__stream_end_discard(smux_engine *e, struct smux_estream *stream)
{
    smux__stream_timer_stop(stream, TIMER_DISCARD);
    smux__stream_settle(e, stream);
}

/* Our direction is over, and the other one, too, or nobody reads it [FIN-4]. */
static bool is_over(const struct smux_estream *stream)
{
    bool unwanted = stream->error != SMUX_OK || smux__stream_is(stream, STREAM_CLOSED);
    bool all_read = smux__stream_is(stream, STREAM_FIN_RCVD) && smux__stream_input(stream) == 0;

    assert(smux__stream_is(stream, STREAM_FIN_SENT));
    return unwanted || all_read;
}

static void tell_finished(smux_engine *e, struct smux_estream *stream)
{
    const uint32_t both = STREAM_FIN_SENT | STREAM_FIN_RCVD;

    if ((stream->flags & both) == both && !stream->finish_told) {
        stream->finish_told = 1;
        smux__stream_notify(e, stream);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): see begin_discard() */
void smux__stream_settle_now(smux_engine *e, struct smux_estream *stream)
{
    tell_finished(e, stream);
    if (smux__stream_is(stream, STREAM_IN_CONTROL | STREAM_SYN_HELD)) {
        return; /* comes back here when its turn has come */
    }
    if (smux__stream_is(stream, STREAM_IN_TABLE) && is_over(stream)) {
        if (may_discard(e, stream)) {
            if (!smux__stream_is(stream, STREAM_DISCARD) && smux__stream_engage(e, stream)) {
                begin_discard(e, stream);
                return;
            }
            if (stream->timer_kind == TIMER_DISCARD) {
                return;
            }
        }
        leave_table(e, stream);
        if (smux__stream_is(stream, STREAM_HANDLE)) {
            stream->flags |= STREAM_DETACHED;
            smux__detached_push(&e->detached, stream);
        }
    }
    if (!smux__stream_is(stream, STREAM_IN_TABLE | STREAM_HANDLE)) {
        smux__stream_free(e, stream);
    }
}

void smux__stream_break(smux_engine *e, struct smux_estream *stream, int status)
{
    e->credit -= smux__stream_credit(stream);
    stream->error = (int8_t)status;
    smux__stream_mark(e, stream);
    smux__decoder_forget(e, stream);
    smux__tune_forget(e, stream);
    smux__stream_drop_output(e, stream);
    smux__send_unschedule(e, stream);
    stream->flags |= STREAM_FIN_WANTED;
    stream->flags &= ~(uint32_t)STREAM_UPD_DUE;
    smux__stream_cancel_syn(e, stream);
}

/* One that was closed before misses nothing but what had still to be sent. */
void smux__stream_truncate(smux_engine *e, struct smux_estream *stream, int status)
{
    if (!smux__stream_is(stream, STREAM_CLOSED) || smux__send_has_payload(stream)) {
        e->truncated = true;
    }
    smux__stream_break(e, stream, status);
    smux__stream_timer_stop(stream, TIMER_HALF_CLOSE); /* it has no credit to wait for, */
    smux__stream_timer_stop(stream, TIMER_SILLY);      /* and nothing to send */
    smux__stream_rest(e, stream);
    smux__stream_sent_fin(e, stream);
    smux__stream_notify(e, stream);
}

void smux__stream_cut(smux_engine *e, struct smux_estream *stream, int status)
{
    drop_input(e, stream);
    smux__stream_break(e, stream, status);
    if (!smux__stream_is(stream, STREAM_GUARDED)) {
        smux__stream_timer_cancel(stream);
    }
    smux__stream_rest(e, stream);
    if (smux__stream_is(stream, STREAM_IN_BACKLOG)) {
        leave_ready(e, stream);
    }
    smux__stream_notify(e, stream);
    smux__send_schedule(e, stream);
    smux__stream_settle(e, stream);
    smux__intake_resume(e);
}

void smux__stream_abort(smux_engine *e, struct smux_estream *stream, int status)
{
    if (stream->error == SMUX_OK) {
        e->stats.streams_aborted++;
        smux__stream_cut(e, stream, status);
    }
}

void smux__stream_lose_input(smux_engine *e, struct smux_estream *stream)
{
    if (stream->error == SMUX_OK) {
        e->stats.limits[SMUX_LIMIT_ABORTED_MEMORY]++;
    }
    drop_input(e, stream);
    smux__stream_abort(e, stream, SMUX_ENOMEM);
}

/* --- the application's calls ------------------------------------------------------------- */

/* What open and accept report when the transport can bring nothing new. */
static int no_more(const smux_engine *e)
{
    if (e->error != SMUX_OK) {
        return e->error;
    }
    if (e->input_ended) {
        return e->truncated ? SMUX_ETRUNCATED : SMUX_EOF;
    }
    return SMUX_OK;
}

/* [SID-1, SID-2]; ids that a peer without parity has taken are skipped [SID-4]. */
static int take_id(smux_engine *e, uint32_t *out_id)
{
    while (e->next_id <= UINT32_MAX && smux__table_find(&e->table, (uint32_t)e->next_id) != NULL) {
        e->next_id += 2;
    }
    if (e->next_id > UINT32_MAX) {
        return SMUX_EGOAWAY;
    }
    *out_id = (uint32_t)e->next_id;
    return SMUX_OK;
}

int smux_engine_open(smux_engine *e, smux_estream **out_stream)
{
    uint32_t id = 0;
    int status = no_more(e);

    *out_stream = NULL;
    if (status == SMUX_OK) {
        status = e->draining || e->gone ? SMUX_EGOAWAY : take_id(e, &id);
    }
    if (status != SMUX_OK) {
        return status;
    }
    struct smux_estream *stream =
        smux__stream_new(e, id, STREAM_LOCAL | STREAM_HANDLE | STREAM_SYN_DUE);
    if (stream == NULL) {
        return SMUX_ENOMEM;
    }
    e->next_id += 2;
    e->stats.streams_opened++;
    smux__send_schedule(e, stream);
    *out_stream = stream;
    return SMUX_OK;
}

int smux_engine_accept(smux_engine *e, smux_estream **out_stream)
{
    struct smux_estream *stream = e->backlog.head;
    int status = no_more(e);

    *out_stream = NULL;
    if (stream == NULL) {
        return status != SMUX_OK ? status : SMUX_EAGAIN;
    }
    leave_ready(e, stream);
    smux__stream_timer_stop(stream, TIMER_ACCEPT);
    smux__stream_rest(e, stream);
    stream->flags |= STREAM_HANDLE;
    e->stats.streams_accepted++;
    if (smux_estream_events(e, stream) & SMUX_EVENT_READABLE) {
        smux__stream_notify(e, stream);
    }
    *out_stream = stream;
    return SMUX_OK;
}

int smux_estream_shutdown(smux_engine *e, smux_estream *stream)
{
    smux__engine_enter(e);
    if (stream->error != SMUX_OK) {
        return stream->error;
    }
    if (smux__stream_is(stream, STREAM_FIN_WANTED)) {
        return SMUX_OK;
    }
    if (e->error != SMUX_OK) {
        return e->error == SMUX_EOF ? SMUX_OK : e->error; /* the end has come anyway */
    }
    stream->flags |= STREAM_FIN_WANTED;
    smux__send_schedule(e, stream);
    smux__stream_settle(e, stream);
    return SMUX_OK;
}

void smux_estream_abort(smux_engine *e, smux_estream *stream, int status)
{
    smux__engine_enter(e);
    stream->eof_told = 0;
    smux__stream_abort(e, stream, status);
}

void smux_estream_close(smux_engine *e, smux_estream *stream)
{
    uint32_t unread = smux__stream_unread(stream);

    smux__engine_enter(e);
    leave_ready(e, stream);
    if (smux__stream_is(stream, STREAM_FIN_SENT)) {
        uncount(e, stream);
    }
    smux__decoder_forget(e, stream);
    if (e->post.stream == stream) {
        e->post.stream = NULL;
    }
    drop_input(e, stream);
    smux__stream_rest(e, stream);
    if (smux__stream_is(stream, STREAM_DETACHED)) {
        smux__stream_free(e, stream);
        return;
    }
    stream->flags &= ~(uint32_t)STREAM_HANDLE;
    stream->flags |= STREAM_CLOSED | STREAM_FIN_WANTED;
    if (e->error != SMUX_OK) {
        smux__stream_free(e, stream);
        return;
    }
    stream->discarded = unread; /* [FIN-11] */
    if (unread > 0 && stream->error == SMUX_OK) {
        smux__stream_consumed(e, stream, unread);
    }
    smux__send_schedule(e, stream);
    smux__stream_settle(e, stream);
    smux__intake_resume(e);
}

void smux_estream_stats(const smux_engine *e, const smux_estream *stream,
                        struct smux_stream_stats *out_stats)
{
    bool failed = stream->error != SMUX_OK;
    bool over = e->version != 1 && (failed || smux__stream_is(stream, STREAM_DETACHED));
    uint32_t room = over ? 0 : smux__send_room(e, stream);

    memset(out_stats, 0, sizeof(*out_stats));
    out_stats->bytes_in = stream->received;
    out_stats->bytes_read = stream->received - smux__stream_unread(stream);
    out_stats->bytes_out = stream->sent;
    out_stats->unread = smux__stream_unread(stream);
    out_stats->unsent = stream->traffic->out.len + smux__tray_len(&e->tray, stream);
    out_stats->send_window = room;
    out_stats->recv_window = e->version == 2 && !over ? stream->advertised : 0;
    out_stats->blocked_on_window = stream->traffic->out.len > 0 && room == 0;
}
