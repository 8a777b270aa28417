/*
 * write.c - the application writes: into the send queue by copying, in place, or by lending.
 */
#include "core.h"

#include <string.h>

/* A loan is one chunk, whose length is 32 bits. */
#define MAX_LOAN (1u << 30)

static SMUX__RARE int write_failure(const smux_engine *e, const struct smux_estream *stream)
{
    if (stream->error != SMUX_OK) {
        return stream->error;
    }
    if (smux__stream_is(stream, STREAM_FIN_WANTED) || e->error == SMUX_EOF ||
        (e->input_ended && smux__send_room(e, stream) == 0)) { /* no credit will come */
        return SMUX_EPIPE;
    }
    return e->error;
}

static int write_status(const smux_engine *e, const struct smux_estream *stream)
{
    bool open = stream->error == SMUX_OK && e->error == SMUX_OK && !e->input_ended &&
                !smux__stream_is(stream, STREAM_FIN_WANTED);

    return open ? SMUX_OK : write_failure(e, stream);
}

static bool is_loan(const struct smux__chunk *chunk)
{
    return chunk->cap == 0;
}

/* The loan in the send queue, if there is one. */
static struct smux__chunk *queued_loan(const struct smux_estream *stream)
{
    struct smux__chunk *tail = stream->traffic->out.tail;
    struct smux__chunk *chunk = tail;

    while (chunk != NULL && !is_loan(chunk)) {
        chunk = chunk->next;
        if (chunk == tail) {
            chunk = NULL;
        }
    }
    return chunk;
}

static SMUX__RARE uint32_t loan_in_queue(const struct smux_estream *stream)
{
    const struct smux__chunk *loan = queued_loan(stream);

    return loan != NULL ? loan->end - loan->begin : 0;
}

static inline uint32_t queued_loan_len(const struct smux_estream *stream)
{
    return smux__stream_is(stream, STREAM_LENT) ? loan_in_queue(stream) : 0;
}

/* Bytes that may be queued now (L8). */
static inline uint32_t write_space(const smux_engine *e, const struct smux_estream *stream)
{
    uint32_t own = stream->traffic->out.len - queued_loan_len(stream);
    uint32_t stream_max = e->config.max_stream_send_buffer;
    uint32_t session_max = e->max_queued;
    uint32_t of_stream = stream_max > own ? stream_max - own : 0;
    uint32_t of_session = session_max > e->send_queued ? session_max - (uint32_t)e->send_queued : 0;
    uint32_t floor = e->queue_floor > own ? e->queue_floor - own : 0;

    return smux__min_u32(of_stream, smux__max_u32(of_session, floor));
}

/* Whether this is so little that each stream may queue it, whatever else is queued. */
static bool is_little(const smux_engine *e, const struct smux_estream *stream, size_t len)
{
    uint32_t floor = smux__min_u32(e->queue_floor, e->config.max_stream_send_buffer);

    return len > 0 && len <= floor && stream->traffic->out.len <= floor - len;
}

/* --- the tray ---------------------------------------------------------------------------- */

/* Whether the window is wide open for so many bytes, a few. */
static inline bool has_much_room(const smux_engine *e, const struct smux_estream *stream,
                                 size_t len)
{
    uint32_t inflight = (uint32_t)stream->sent - stream->window.acked;

    return e->version == 1 ||
           (inflight + (uint32_t)len < stream->window.wnd && !smux__send_is_held_back(e, stream));
}

/* Whether a write is the next frame to leave, see tray.h. What is rare goes the long way. */
static inline bool is_for_tray(const smux_engine *e, const struct smux_estream *stream, size_t len)
{
    const uint32_t special = STREAM_GUARDED | STREAM_SYN_DUE | STREAM_FIN_WANTED | STREAM_IN_DATA |
                             STREAM_IN_TRAY | STREAM_RANKED;

    uint32_t differs = (stream->flags & (STREAM_IN_TABLE | special)) ^ STREAM_IN_TABLE;

    return len - 1 < e->tray.limit && (differs | e->data.busy) == 0 &&
           stream->traffic->out.tail == NULL && has_much_room(e, stream, len);
}

/* Copying comes last, so that the registers are free for it. */
static SMUX__INLINE void put_in_tray(smux_engine *e, struct smux_estream *stream, const void *data,
                                     size_t len, size_t *out_len)
{
    *out_len = len;
    e->send_queued += len;
    smux__engine_enter(e);
    smux__tray_add(&e->tray, stream, data, len);
}

bool smux__stream_leave_tray(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_IN_TRAY)) {
        return true;
    }
    const uint8_t *payload = smux__tray_frame(&e->tray, stream) + SMUX__HEADER_LEN;
    uint32_t len = smux__tray_len(&e->tray, stream);
    if (!smux__stream_engage(e, stream)) {
        return false;
    }
    if (smux__queue_append(&stream->traffic->out, &e->pool, payload, len, false) < len) {
        smux__stream_rest(e, stream); /* nothing was appended: it would be one chunk */
        return false;
    }
    smux__tray_remove(&e->tray, &e->pool, stream);
    smux__send_schedule_data(e, stream);
    return true;
}

/* Adds to what a stream has in the tray, if that is the last frame there. */
static bool extend_in_tray(smux_engine *e, struct smux_estream *stream, const void *data,
                           size_t len)
{
    const uint32_t both = STREAM_IN_TRAY | STREAM_FIN_WANTED;

    if ((stream->flags & both) != STREAM_IN_TRAY ||
        !has_much_room(e, stream, smux__tray_len(&e->tray, stream) + len) ||
        !smux__tray_extend(&e->tray, stream, data, len, e->tray.limit)) {
        return false;
    }
    e->send_queued += len;
    return true;
}

/* --- writing by copying ------------------------------------------------------------------ */

/* SMUX_OK with space > 0, of up to `len` bytes or more, or why nothing can be written. */
static inline int begin_write(smux_engine *e, struct smux_estream *stream, size_t len,
                              uint32_t *out_space)
{
    int status = write_status(e, stream);

    smux__engine_enter(e);
    if (status == SMUX_OK && len > 0 && !smux__stream_leave_tray(e, stream)) {
        status = SMUX_ENOMEM;
    }
    if (status != SMUX_OK) {
        return status;
    }
    *out_space = is_little(e, stream, len) ? (uint32_t)len : write_space(e, stream);
    if (*out_space == 0) {
        e->stats.limits[SMUX_LIMIT_BLOCKED_WRITES] += len > 0; /* else it is but a question */
        stream->flags |= STREAM_WANTS_SPACE;
        return SMUX_EAGAIN;
    }
    return SMUX_OK;
}

/* Any write: it extends the frame that its stream has in the tray, or goes to the queue, as far as the
 * limits and the memory allow. */
static SMUX__APART int write_at_length(smux_engine *e, struct smux_estream *stream,
                                       const void *data, size_t len, size_t *out_len)
{
    if (len > 0 && extend_in_tray(e, stream, data, len)) {
        smux__engine_enter(e);
        *out_len = len;
        return SMUX_OK;
    }
    uint32_t space = 0;
    int status = begin_write(e, stream, len, &space);

    *out_len = 0;
    if (status != SMUX_OK || len == 0) {
        return status == SMUX_EAGAIN && len == 0 ? SMUX_OK : status;
    }
    if (!smux__stream_engage(e, stream)) {
        return SMUX_ENOMEM;
    }
    *out_len =
        smux__queue_append(&stream->traffic->out, &e->pool, data, len < space ? len : space, false);
    if (*out_len > 0 && *out_len < len) { /* by the limits, or for want of memory */
        stream->flags |= STREAM_WANTS_SPACE;
    }
    if (*out_len == 0) {
        smux__stream_rest(e, stream);
        return SMUX_ENOMEM;
    }
    e->send_queued += *out_len;
    smux__send_schedule_data(e, stream);
    return SMUX_OK;
}

/* Whether a write only adds to the last chunk of a stream that has its turn coming, as many small
 * ones on one stream do. */
static inline bool is_for_tail(const smux_engine *e, const struct smux_estream *stream, size_t len)
{
    const uint32_t special = STREAM_FIN_WANTED | STREAM_LENT;
    const struct smux__queue *out = &stream->traffic->out;

    return (stream->flags & (STREAM_IN_DATA | special)) == STREAM_IN_DATA && !e->input_ended &&
           len - 1 < SMUX__COPY_MAX && out->len + len <= e->config.max_stream_send_buffer &&
           e->send_queued + len <= e->max_queued && smux__chunk_room(out->tail) >= len;
}

/* A write that does not simply add a frame to the tray: it may add to the last chunk of its stream. */
static SMUX__APART int write_otherwise(smux_engine *e, struct smux_estream *stream,
                                       const void *data, size_t len, size_t *out_len)
{
    struct smux__queue *out = &stream->traffic->out;

    if (!is_for_tail(e, stream, len)) {
        return write_at_length(e, stream, data, len, out_len);
    }
    smux__copy(out->tail->base + out->tail->end, data, len);
    out->tail->end += (uint32_t)len;
    out->len += (uint32_t)len;
    e->send_queued += len;
    smux__engine_enter(e);
    *out_len = len;
    return SMUX_OK;
}

/* The tray is empty, or full. */
static SMUX__APART int write_in_new_tray(smux_engine *e, struct smux_estream *stream,
                                         const void *data, size_t len, size_t *out_len)
{
    if (!smux__tray_prepare(&e->tray, &e->pool)) {
        return write_at_length(e, stream, data, len, out_len);
    }
    put_in_tray(e, stream, data, len, out_len);
    return SMUX_OK;
}

int smux_estream_write(smux_engine *e, smux_estream *stream, const void *data, size_t len,
                       size_t *out_len)
{
    if (!is_for_tray(e, stream, len)) {
        return write_otherwise(e, stream, data, len, out_len);
    }
    if (!smux__tray_has_room(&e->tray, len)) {
        return write_in_new_tray(e, stream, data, len, out_len);
    }
    put_in_tray(e, stream, data, len, out_len);
    return SMUX_OK;
}

int smux_estream_write_reserve(smux_engine *e, smux_estream *stream, size_t want,
                               struct smux_iov *out_iov)
{
    uint32_t space = 0;
    int status = begin_write(e, stream, SIZE_MAX, &space);

    if (status != SMUX_OK) {
        return status;
    }
    struct smux__chunk *chunk = NULL;
    if (smux__stream_engage(e, stream)) {
        chunk = smux__queue_reserve(&stream->traffic->out, &e->pool, want < space ? want : space,
                                    false);
    }
    if (chunk == NULL) {
        smux__stream_rest(e, stream);
        return SMUX_ENOMEM;
    }
    size_t room = smux__chunk_room(chunk);
    out_iov->base = chunk->base + chunk->end;
    out_iov->len = room < space ? room : space;
    return SMUX_OK;
}

void smux_estream_write_commit(smux_engine *e, smux_estream *stream, size_t len)
{
    smux__engine_enter(e);
    if (stream->traffic->out.tail == NULL) {
        return; /* the stream failed between reserve and commit */
    }
    stream->traffic->out.tail->end += (uint32_t)len;
    stream->traffic->out.len += (uint32_t)len;
    e->send_queued += len;
    smux__queue_drop_empty_tail(&stream->traffic->out, &e->pool);
    smux__stream_rest(e, stream);
    smux__send_schedule_data(e, stream);
}

/* --- loans ------------------------------------------------------------------------------- */

int smux_estream_lend(smux_engine *e, smux_estream *stream, const void *data, size_t len)
{
    int status = write_status(e, stream);

    smux__engine_enter(e);
    if (status != SMUX_OK) {
        return status;
    }
    if (smux__stream_is(stream, STREAM_LENT) || len == 0 || len > MAX_LOAN) {
        return SMUX_EINVAL;
    }
    struct smux__chunk *loan = NULL;
    if (smux__stream_leave_tray(e, stream) && smux__intray_move(e, stream) &&
        smux__stream_engage(e, stream)) {
        loan = smux__loan_new(&e->pool, data, (uint32_t)len, stream);
    }
    if (loan == NULL) {
        smux__stream_rest(e, stream);
        return SMUX_ENOMEM;
    }
    smux__queue_push(&stream->traffic->out, loan);
    stream->loan_len = (uint32_t)len;
    stream->flags |= STREAM_LENT;
    smux__stream_mark(e, stream);
    smux__send_schedule_data(e, stream);
    return SMUX_OK;
}

size_t smux_estream_lent(const smux_engine *e, const smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_LENT)) {
        return 0;
    }
    return queued_loan_len(stream) + smux__outbox_lent(&e->outbox, stream);
}

/* Takes the unformed rest of a loan out of the queue; what was formed stays owed. */
static void unqueue_loan(smux_engine *e, struct smux_estream *stream)
{
    struct smux__chunk *loan = smux__stream_is(stream, STREAM_LENT) ? queued_loan(stream) : NULL;

    if (loan != NULL) {
        (void)smux__queue_remove(&stream->traffic->out, loan);
        stream->loan_len = loan->begin;
        if (loan->refs == 1) {
            stream->flags &= ~(uint32_t)STREAM_LENT;
        }
        smux__chunk_unref(&e->pool, loan);
    }
}

int smux_estream_reclaim(smux_engine *e, smux_estream *stream, size_t *out_kept)
{
    smux__engine_enter(e);
    if (smux__stream_is(stream, STREAM_IN_INTRAY)) { /* it has no loan */
        *out_kept = 0;
        return SMUX_OK;
    }
    unqueue_loan(e, stream);
    *out_kept = stream->loan_len;
    stream->loan_len = 0;
    stream->flags &= ~(uint32_t)STREAM_LENT;
    smux__stream_mark(e, stream);
    if (e->error != SMUX_OK) { /* nothing is sent any more */
        smux__outbox_clear(&e->outbox, &e->pool);
        return SMUX_OK;
    }
    if (!smux__outbox_detach(&e->outbox, &e->pool, stream)) {
        smux__engine_fail(e, SMUX_EIO, "out of memory: frames of lent data cannot be finished");
        smux__outbox_clear(&e->outbox, &e->pool);
        return e->error;
    }
    smux__send_schedule(e, stream);
    smux__stream_rest(e, stream);
    smux__stream_settle(e, stream);
    return SMUX_OK;
}

void smux__stream_drop_output(smux_engine *e, struct smux_estream *stream)
{
    unqueue_loan(e, stream);
    if (smux__stream_is(stream, STREAM_IN_TRAY)) {
        e->send_queued -= smux__tray_len(&e->tray, stream);
        smux__tray_remove(&e->tray, &e->pool, stream);
    }
    if (stream->traffic->out.tail != NULL) {
        e->send_queued -= stream->traffic->out.len;
        smux__queue_clear(&stream->traffic->out, &e->pool);
    }
}
