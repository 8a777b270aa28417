/*
 * read.c - the application reads, and the peer gets credit for it [UPD-1..10, BKT-7].
 */
#include "copy.h"
#include "core.h"

#include <string.h>

/* Under pressure of the budget no stream is offered less, so that it stays alive. */
#define MIN_WINDOW 16384u
/* The same while nobody reads it. */
#define MIN_UNREAD_WINDOW 1024u

/* --- credit ------------------------------------------------------------------------------ */

static bool update_is_due(const struct smux_estream *stream)
{
    uint32_t since = stream->consumed - stream->updated_at;

    return !smux__stream_is(stream, STREAM_UPD_SENT) ||
           since >= smux__window_update_step(stream->advertised);
}

/* [UPD-10]: nobody writes here any more, but the peer may wait for all to be acknowledged. */
static SMUX__RARE bool tail_is_due(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_input(stream) > 0 || smux__stream_timer_runs(stream)) {
        return false;
    }
    (void)smux__stream_timer_start(e, stream, TIMER_TAIL_UPD);
    return true;
}

static inline void consumed(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    stream->consumed += len;
    if (stream->error != SMUX_OK || smux__stream_is(stream, STREAM_FIN_RCVD)) {
        return;
    }
    if (e->version == 1) {
        stream->updated_at = stream->consumed; /* as if the peer were told: see is_plain() */
        return;
    }
    if (update_is_due(stream) ||
        (smux__stream_is(stream, STREAM_FIN_SENT) && tail_is_due(e, stream))) {
        stream->flags |= STREAM_UPD_DUE;
        smux__send_schedule(e, stream);
    }
}

void smux__stream_consumed(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    consumed(e, stream, len);
}

static inline void was_read(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    smux__engine_note(e, &e->last_read_us, SMUX__MOMENT_READ);
    consumed(e, stream, len);
}

void smux__stream_was_read(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    was_read(e, stream, len);
}

static uint32_t clamp_window(int64_t share, uint32_t least, uint32_t most)
{
    if (share >= (int64_t)most) {
        return most;
    }
    return share > (int64_t)least ? (uint32_t)share : smux__min_u32(least, most);
}

/* A stream that is read gets what its window has grown, and half of what the budget else has left
 * over: n busy streams settle at a fair (n + 1)th part each. Those that nobody reads yet
 * share a quarter of the budget, each a sixteenth of what is left of it. */
static uint32_t choose_window(const smux_engine *e, const struct smux_estream *stream)
{
    int64_t taken = (int64_t)e->pool.charged + e->credit - smux__stream_credit(stream);
    uint32_t most = smux__tune_window(e, stream);

    if (smux__stream_unread(stream) == stream->received) {
        int64_t left = (int64_t)e->config.max_receive_buffer / 4 - taken;
        return clamp_window(left / 16, MIN_UNREAD_WINDOW, most);
    }
    int64_t left = (int64_t)smux__engine_budget(e) - taken;
    int64_t grown = smux__tune_growth(stream);
    return clamp_window(left > grown ? grown + (left - grown) / 2 : left, MIN_WINDOW, most);
}

void smux__stream_warn_now(smux_engine *e, struct smux_estream *stream)
{
    if (choose_window(e, stream) < SMUX__INITIAL_WINDOW) {
        stream->flags |= STREAM_UPD_DUE;
        smux__send_schedule(e, stream);
    }
}

bool smux__stream_has_update(const smux_engine *e, const struct smux_estream *stream)
{
    return stream->consumed != stream->updated_at || !smux__stream_is(stream, STREAM_UPD_SENT) ||
           choose_window(e, stream) != stream->advertised;
}

uint32_t smux__stream_advertise(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_UPD_SENT)) {
        smux__tune_update(e, stream);
    }
    uint32_t window = choose_window(e, stream);
    e->credit -= smux__stream_credit(stream);
    stream->advertised = window;
    e->stats.windows_shrunk += stream->advertised < smux__tune_window(e, stream);
    stream->updated_at = stream->consumed;
    stream->flags |= STREAM_UPD_SENT;
    if (stream->advertised > stream->max_advertised) {
        stream->max_advertised = stream->advertised;
    }
    e->credit += smux__stream_credit(stream);
    smux__stream_mark(e, stream);
    return stream->advertised;
}

/* --- the application's calls ------------------------------------------------------------- */

/* What reading reports when there is no data. An end of file stays, whatever becomes of the other
 * direction [FIN-2]; unless it is the application that gives the stream up. */
static int read_status(const smux_engine *e, const struct smux_estream *stream)
{
    if (stream->error != SMUX_OK && !stream->eof_told) {
        return stream->error;
    }
    if (smux__stream_is(stream, STREAM_FIN_RCVD)) {
        return SMUX_EOF;
    }
    return e->error != SMUX_OK ? e->error : SMUX_EAGAIN;
}

static int tell_read_status(const smux_engine *e, struct smux_estream *stream)
{
    int status = read_status(e, stream);

    if (status == SMUX_EOF) {
        stream->eof_told = 1;
    }
    return status;
}

int smux_estream_peek(smux_engine *e, smux_estream *stream, struct smux_iov *out_iov, int max_iov,
                      int *out_n)
{
    if (!smux__intray_move(e, stream)) { /* what is shown must not move */
        smux__engine_enter(e);
        smux__stream_lose_input(e, stream);
    }
    *out_n = smux__queue_peek(&stream->traffic->in, out_iov, max_iov);
    return *out_n > 0 ? SMUX_OK : tell_read_status(e, stream);
}

/* What follows when len bytes have left the receive queue. */
static SMUX__INLINE void was_taken(smux_engine *e, struct smux_estream *stream, size_t len)
{
    smux__engine_enter(e);
    was_read(e, stream, (uint32_t)len);
    smux__stream_rest(e, stream);
    smux__stream_settle(e, stream);
    smux__intake_resume(e);
}

/* What was shown is gone if the stream was aborted since, maybe by a fault of the peer. */
static inline bool was_dropped(const struct smux_estream *stream, size_t len)
{
    return len > stream->traffic->in.len && stream->error != SMUX_OK;
}

void smux_estream_consume(smux_engine *e, smux_estream *stream, size_t len)
{
    if (len > 0 && !was_dropped(stream, len)) { /* else there is nothing to tell the peer either */
        assert(len <= stream->traffic->in.len);
        smux__queue_consume(&stream->traffic->in, &e->pool, len, e->intake.direct);
        was_taken(e, stream, len);
    }
}

/* Reads the piece that a stream has in the in-tray, or the first part of it. */
static SMUX__INLINE void read_piece(smux_engine *e, struct smux_estream *stream, void *buf,
                                    uint32_t len)
{
    smux__copy(buf, smux__intray_piece(&e->intray, stream), len);
    if (len == smux__stream_unread(stream)) {
        smux__intray_leave(&e->intray, &e->pool, stream);
    } else {
        stream->piece_at += len;
    }
    was_taken(e, stream, len);
}

/* A read that is not as plain as nearly all of small frames are. */
static SMUX__APART int read_at_length(smux_engine *e, struct smux_estream *stream, void *buf,
                                      size_t len, size_t *out_len)
{
    uint32_t n = smux__stream_unread(stream);

    *out_len = 0;
    if (len == 0) {
        return SMUX_OK;
    }
    if (smux__stream_is(stream, STREAM_IN_INTRAY)) {
        *out_len = n < len ? n : len;
        read_piece(e, stream, buf, (uint32_t)*out_len);
        return SMUX_OK;
    }
    if (stream->traffic->in.len == 0) {
        return tell_read_status(e, stream);
    }
    do { /* there may be more when memory was released */
        size_t piece = smux__queue_read(&stream->traffic->in, &e->pool, (uint8_t *)buf + *out_len,
                                        len - *out_len, e->intake.direct);
        *out_len += piece;
        was_taken(e, stream, piece);
    } while (stream->traffic->in.len > 0 && *out_len < len);
    return SMUX_OK;
}

/* Whether a read is like nearly all of small frames: of a piece of the in-tray, on a stream that goes
 * on both ways, and nothing follows from it, as no update is due, not even nearly. */
static SMUX__INLINE bool is_plain(const smux_engine *e, const struct smux_estream *stream,
                                  size_t len)
{
    const uint32_t ends = STREAM_FIN_RCVD | STREAM_FIN_SENT;
    uint32_t since = (uint32_t)stream->received - stream->updated_at;

    return (stream->flags & (STREAM_IN_INTRAY | ends)) == STREAM_IN_INTRAY &&
           smux__stream_unread(stream) <= len && e->paused_since_us == SMUX_NEVER &&
           since < SMUX__MAX_UPDATE_STEP && 2 * since < stream->advertised;
}

/* The last piece was read. */
static SMUX__APART int end_intray(smux_engine *e)
{
    smux__intray_end(&e->intray, &e->pool);
    return SMUX_OK;
}

int smux_estream_read(smux_engine *e, smux_estream *stream, void *buf, size_t len, size_t *out_len)
{
    if (!is_plain(e, stream, len)) {
        return read_at_length(e, stream, buf, len, out_len);
    }
    uint32_t n = smux__stream_unread(stream);
    const uint8_t *piece = smux__intray_piece(&e->intray, stream);
    stream->consumed = (uint32_t)stream->received;
    smux__intray_forget(stream);
    smux__engine_enter(e);
    *out_len = n;
    smux__copy(buf, piece, n); /* behind all that needs registers */
    return --e->intray.n > 0 ? SMUX_OK : end_intray(e);
}

int smux_estream_post(smux_engine *e, smux_estream *stream, void *buf, size_t len)
{
    if (e->post.stream != NULL || smux__stream_input(stream) > 0 || len == 0 ||
        read_status(e, stream) != SMUX_EAGAIN) {
        return SMUX_EAGAIN;
    }
    e->post.stream = stream;
    e->post.buf = buf;
    e->post.size = len;
    e->post.len = 0;
    smux__stream_mark(e, stream);
    return SMUX_OK;
}

size_t smux_estream_posted(const smux_engine *e, const smux_estream *stream)
{
    return e->post.stream == stream ? e->post.size - e->post.len : 0;
}

void smux_estream_unpost(smux_engine *e, smux_estream *stream, size_t *out_len)
{
    *out_len = 0;
    if (e->post.stream == stream) {
        *out_len = e->post.len;
        e->post.stream = NULL;
        smux__stream_mark(e, stream);
    }
}
