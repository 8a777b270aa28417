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
    if (stream->traffic->in.len > 0 || smux__stream_timer_runs(stream)) {
        return false;
    }
    (void)smux__stream_timer_start(e, stream, TIMER_TAIL_UPD);
    return true;
}

static inline void consumed(smux_engine *e, struct smux_estream *stream, uint32_t len)
{
    stream->consumed += len;
    if (e->version != 2 || stream->error != SMUX_OK || smux__stream_is(stream, STREAM_FIN_RCVD)) {
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
    return stream->advertised;
}

/* --- the application's calls ------------------------------------------------------------- */

/* What reading reports when there is no data. An end of file stays, whatever becomes of the other
 * direction [FIN-2]; unless it is the application that gives the stream up. */
static int read_status(const smux_engine *e, const struct smux_estream *stream)
{
    if (stream->error != SMUX_OK && !smux__stream_is(stream, STREAM_EOF_TOLD)) {
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
        stream->flags |= STREAM_EOF_TOLD;
    }
    return status;
}

int smux_estream_peek(smux_engine *e, smux_estream *stream, struct smux_iov *out_iov, int max_iov,
                      int *out_n)
{
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
    smux__decoder_resume(e);
}

void smux_estream_consume(smux_engine *e, smux_estream *stream, size_t len)
{
    assert(len <= stream->traffic->in.len);
    if (len > 0) { /* else there is nothing to tell the peer either */
        smux__queue_consume(&stream->traffic->in, &e->pool, len, e->intake.direct);
        was_taken(e, stream, len);
    }
}

static SMUX__APART int read_at_length(smux_engine *e, struct smux_estream *stream, void *buf,
                                      size_t len, size_t *out_len)
{
    size_t done = 0;

    if (stream->traffic->in.len == 0 || len == 0) {
        *out_len = 0;
        return len == 0 ? SMUX_OK : tell_read_status(e, stream);
    }
    do { /* there may be more when memory was released */
        size_t n = smux__queue_read(&stream->traffic->in, &e->pool, (uint8_t *)buf + done,
                                    len - done, e->intake.direct);
        done += n;
        was_taken(e, stream, n);
    } while (stream->traffic->in.len > 0 && done < len);
    *out_len = done;
    return SMUX_OK;
}

/* Whether nothing is due after `len` bytes more are consumed, not even nearly. */
static inline bool is_far_from_update(const smux_engine *e, const struct smux_estream *stream,
                                      uint32_t len)
{
    uint32_t since = stream->consumed + len - stream->updated_at;

    return e->version == 1 || (smux__stream_is(stream, STREAM_UPD_SENT) &&
                               since < stream->advertised / 2 && since < SMUX__MAX_UPDATE_STEP);
}

/* Whether a read is like nearly all of small frames: of all that there is, in one chunk, on a stream
 * that goes on both ways, nothing follows from it, and what it frees is kept. The chunk that
 * intake.direct refers to has two owners. */
static SMUX__INLINE bool is_plain(const smux_engine *e, const struct smux_estream *stream,
                                  size_t len)
{
    const struct smux__queue *in = &stream->traffic->in;
    const struct smux__chunk *only = in->tail;

    return only != NULL && only->next == only && only->refs == 1 && in->len <= len &&
           in->len <= SMUX__COPY_MAX &&
           !smux__stream_is(stream, STREAM_FIN_RCVD | STREAM_FIN_SENT) &&
           e->paused_since_us == SMUX_NEVER && is_far_from_update(e, stream, in->len) &&
           smux__pool_has_room(&e->pool, smux__chunk_memory(only) + sizeof(struct smux__traffic));
}

int smux_estream_read(smux_engine *e, smux_estream *stream, void *buf, size_t len, size_t *out_len)
{
    struct smux__traffic *traffic = stream->traffic;
    struct smux__chunk *only = traffic->in.tail;
    uint32_t n = traffic->in.len;

    if (!is_plain(e, stream, len)) {
        return read_at_length(e, stream, buf, len, out_len);
    }
    assert(only->charged && only->cap > 0);
    smux__copy(buf, only->base + only->begin, n);
    traffic->in.tail = NULL;
    traffic->in.len = 0;
    e->pool.charged -= smux__chunk_memory(only);
    smux__chunk_keep(&e->pool, only);
    if (smux__stream_rests(stream)) {
        stream->traffic = SMUX__NO_TRAFFIC;
        smux__pool_keep(&e->pool, SMUX__RECORD_TRAFFIC, traffic);
    }
    stream->consumed += n;
    smux__engine_enter(e);
    e->undated |= SMUX__MOMENT_READ;
    *out_len = n;
    return SMUX_OK;
}

int smux_estream_post(smux_engine *e, smux_estream *stream, void *buf, size_t len)
{
    if (e->post.stream != NULL || stream->traffic->in.len > 0 || len == 0 ||
        read_status(e, stream) != SMUX_EAGAIN) {
        return SMUX_EAGAIN;
    }
    e->post.stream = stream;
    e->post.buf = buf;
    e->post.size = len;
    e->post.len = 0;
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
    }
}
