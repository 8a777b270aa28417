/*
 * stream.c - life and properties of a stream, and reading from it.
 */
#include "session_internal.h"

#include "../transport/settings.h"

#include <string.h>

/* Bytes that a close has to send, about: its FIN. */
#define CLOSE_SIZE 8
/* Data shown to the sink of a copy at once. */
#define COPY_SIZE 32768

/* --- life ---------------------------------------------------------------------------------- */

static void stream_put_read_deadline(smux_stream *stream, uint64_t deadline_us);
static void stream_put_write_deadline(smux_stream *stream, uint64_t deadline_us);

smux_stream *smux__stream_adopt(smux_session *session, smux_estream *engine_stream)
{
    smux_stream *stream = smux_estream_user(engine_stream);

    stream->session = session;
    stream_put_read_deadline(stream, SMUX_NEVER);
    stream_put_write_deadline(stream, SMUX_NEVER);
    session->handles++;
    return stream;
}

smux_session *smux__stream_enter(smux_stream *stream)
{
    smux_session *session = stream->session;

    smux__session_enter(session);
    stream->callers++;
    return session;
}

void smux__stream_leave(smux_stream *stream, enum smux__haste haste)
{
    smux_session *session = stream->session;

    stream->callers--;
    if (stream->closed && stream->callers == 0) {
        smux_estream_close(session->engine, smux__stream_engine(stream));
        session->handles--;
        smux__session_update(session);
    }
    smux__session_leave(session, haste);
}

static void stream_fire_all(smux_session *session, const smux_stream *stream)
{
    smux__waiters_fire(session, stream->waiters, SMUX__WAIT_READ);
    smux__waiters_fire(session, stream->waiters, SMUX__WAIT_WRITE);
}

void smux_stream_close(smux_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    if (smux__session_is_inherited(stream->session)) {
        smux__session_abandon(stream->session);
        return;
    }
    smux_session *session = smux__stream_enter(stream);
    stream->closed = 1;
    smux__role_forget_regular(session, stream);
    if (stream->callers > 1) { /* the last of them closes it in the engine */
        (void)smux_estream_shutdown(session->engine, smux__stream_engine(stream));
        stream_fire_all(session, stream);
    }
    smux__stream_leave(stream, smux__pace_haste(&session->pace, CLOSE_SIZE));
}

void smux_stream_abort(smux_stream *stream)
{
    smux_session *session = smux__stream_enter(stream);

    smux_estream_abort(session->engine, smux__stream_engine(stream), SMUX_EABORTED);
    stream_fire_all(session, stream);
    smux__session_update(session);
    smux__stream_leave(stream, SMUX__NOW);
}

int smux_stream_shutdown(smux_stream *stream)
{
    if (stream == NULL) {
        return SMUX_EINVAL;
    }
    smux_session *session = smux__stream_enter(stream);

    int status = smux_estream_shutdown(session->engine, smux__stream_engine(stream));
    smux__waiters_fire(session, stream->waiters, SMUX__WAIT_WRITE);
    smux__session_update(session);
    smux__stream_leave(stream, SMUX__NOW);
    return status;
}

/* --- reading ------------------------------------------------------------------------------- */

static uint64_t stream_read_deadline(const smux_stream *stream);

/* Why nothing can be read just now; SMUX_OK if it is up to the engine. */
static int read_hindrance(const smux_stream *stream)
{
    if (stream->closed) {
        return SMUX_EABORTED;
    }
    return stream->copying ? SMUX_EAGAIN : SMUX_OK;
}

static int read_now(smux_stream *stream, void *buf, size_t len, size_t *out_len)
{
    int status = read_hindrance(stream);

    if (status == SMUX_OK) {
        status = smux_estream_read(stream->session->engine, smux__stream_engine(stream), buf, len,
                                   out_len);
    }
    if (status == SMUX_OK) {
        smux__session_update(stream->session); /* frames that waited for room were decoded */
    }
    return status;
}

/* Waits until nobody receives into the memory of this call any more: one read, which
 * may wait for some milliseconds. */
static void read_reclaim(struct smux__waiter *waiter)
{
    while (waiter->session->posted == waiter) {
        waiter->fired = false;
        (void)smux__waiter_sleep(waiter, SMUX_NEVER);
    }
}

static int read_wait(smux_stream *stream, void *buf, size_t len, size_t *out_len)
{
    struct smux__waiter waiter;
    int status;

    smux__waiter_begin(&waiter, stream->session, stream, SMUX__WAIT_READ);
    waiter.buf = buf;
    waiter.size = len;
    do {
        status = smux__waiter_wait(&waiter, stream_read_deadline(stream));
        read_reclaim(&waiter);
        if (waiter.got > 0) {
            *out_len = waiter.got;
            status = SMUX_OK;
        } else if (status == SMUX_OK) {
            status = read_now(stream, buf, len, out_len);
        }
    } while (status == SMUX_EAGAIN);
    smux__waiter_end(&waiter);
    return status;
}

int smux_stream_read(smux_stream *stream, void *buf, size_t len, size_t *out_len)
{
    *out_len = 0;
    if (stream == NULL || len == 0) {
        return SMUX_EINVAL;
    }
    (void)smux__stream_enter(stream);
    int status = read_now(stream, buf, len, out_len);
    if (status == SMUX_EAGAIN) {
        status = read_wait(stream, buf, len, out_len);
    }
    smux__stream_leave(stream, SMUX__AS_BEFORE);
    return status;
}

/* --- copying to a sink --------------------------------------------------------------------- */

/*
 * What the sink is shown is a copy: the sink runs without the lock, and an abort must be able to
 * drop the original at any time. The original is consumed when the sink has taken the copy;
 * until then other readers of the stream wait.
 */
struct copy {
    smux_stream *stream;
    struct smux__waiter waiter;
    uint8_t *buf; /* COPY_SIZE bytes */
    size_t len;   /* filled */
};

/* Copies what is unread, without consuming it. */
static int copy_fill_now(struct copy *copy)
{
    smux_stream *stream = copy->stream;
    struct smux_iov iov[8];
    int n = 0;
    int status = read_hindrance(stream);

    if (status == SMUX_OK) {
        status =
            smux_estream_peek(stream->session->engine, smux__stream_engine(stream), iov, 8, &n);
    }
    copy->len = 0;
    for (int i = 0; status == SMUX_OK && i < n && copy->len < COPY_SIZE; i++) {
        size_t room = COPY_SIZE - copy->len;
        size_t piece = iov[i].len < room ? iov[i].len : room;
        memcpy(copy->buf + copy->len, iov[i].base, piece);
        copy->len += piece;
    }
    return status;
}

static int copy_fill(struct copy *copy)
{
    int status;

    while ((status = copy_fill_now(copy)) == SMUX_EAGAIN) {
        status = smux__waiter_wait(&copy->waiter, stream_read_deadline(copy->stream));
        if (status != SMUX_OK) {
            break;
        }
    }
    return status;
}

/* Consumes what the sink took, unless the stream was cut meanwhile. */
static void copy_consume(struct copy *copy)
{
    smux_stream *stream = copy->stream;
    struct smux_iov iov;
    int n;

    if (smux_estream_peek(stream->session->engine, smux__stream_engine(stream), &iov, 1, &n) ==
        SMUX_OK) {
        smux_estream_consume(stream->session->engine, smux__stream_engine(stream), copy->len);
        smux__session_update(stream->session); /* as in read_now() */
    }
}

static int copy_hand_over(struct copy *copy, int (*sink)(void *arg, const void *data, size_t len),
                          void *arg)
{
    smux_stream *stream = copy->stream;
    smux_session *session = stream->session;

    stream->copying = 1; /* before the lock is given away: other readers must not take this */
    (void)smux__io_flush(session, &smux__somebody); /* the sink may take its time */
    smux__serve_settle(session);
    smux__session_unlock(session);
    int status = sink(arg, copy->buf, copy->len);
    smux__session_lock(session);
    stream->copying = 0;
    smux__waiters_fire(session, stream->waiters, SMUX__WAIT_READ);
    if (status == SMUX_OK) {
        copy_consume(copy);
    }
    return status;
}

/* The waiter joins and leaves with every piece, so that no role is kept while the sink runs. */
static int copy_piece(struct copy *copy, int (*sink)(void *arg, const void *data, size_t len),
                      void *arg)
{
    smux__waiter_begin(&copy->waiter, copy->stream->session, copy->stream, SMUX__WAIT_READ);
    int status = copy_fill(copy);
    smux__waiter_end(&copy->waiter);
    return status == SMUX_OK ? copy_hand_over(copy, sink, arg) : status;
}

int smux_stream_copy_to(smux_stream *stream, int (*sink)(void *arg, const void *data, size_t len),
                        void *arg, uint64_t *out_len)
{
    const struct smux_allocator *allocator = stream->session->allocator;
    struct copy copy = {.stream = stream};
    uint64_t total = 0;
    int status = SMUX_ENOMEM;

    (void)smux__stream_enter(stream); /* an allocator need not be safe from several threads */
    copy.buf = smux__settings_alloc(allocator, COPY_SIZE);
    while (copy.buf != NULL && (status = copy_piece(&copy, sink, arg)) == SMUX_OK) {
        total += copy.len;
    }
    smux__settings_free(allocator, copy.buf);
    smux__stream_leave(stream, SMUX__NOW);
    if (out_len != NULL) {
        *out_len = total;
    }
    return status == SMUX_EOF ? SMUX_OK : status;
}

/* --- deadlines ----------------------------------------------------------------------------- */

#define DEADLINE_MAX ((UINT64_C(1) << 48) - 1) /* stands for SMUX_NEVER */

static uint64_t deadline_pack(uint64_t deadline_us)
{
    return deadline_us < DEADLINE_MAX ? deadline_us : DEADLINE_MAX;
}

static uint64_t deadline_unpack(uint16_t high, uint32_t low)
{
    uint64_t deadline_us = (uint64_t)high << 32 | low;

    return deadline_us < DEADLINE_MAX ? deadline_us : SMUX_NEVER;
}

static void stream_put_read_deadline(smux_stream *stream, uint64_t deadline_us)
{
    stream->read_deadline_low = (uint32_t)deadline_pack(deadline_us);
    stream->read_deadline_high = (uint16_t)(deadline_pack(deadline_us) >> 32);
}

static void stream_put_write_deadline(smux_stream *stream, uint64_t deadline_us)
{
    stream->write_deadline_low = (uint32_t)deadline_pack(deadline_us);
    stream->write_deadline_high = (uint16_t)(deadline_pack(deadline_us) >> 32);
}

static uint64_t stream_read_deadline(const smux_stream *stream)
{
    return deadline_unpack(stream->read_deadline_high, stream->read_deadline_low);
}

uint64_t smux__stream_write_deadline(const smux_stream *stream)
{
    return deadline_unpack(stream->write_deadline_high, stream->write_deadline_low);
}

void smux_stream_set_read_deadline(smux_stream *stream, uint64_t deadline_us)
{
    smux_session *session = smux__stream_enter(stream);

    stream_put_read_deadline(stream, deadline_us);
    smux__waiters_fire(session, stream->waiters, SMUX__WAIT_READ);
    smux__stream_leave(stream, SMUX__NOW);
}

void smux_stream_set_write_deadline(smux_stream *stream, uint64_t deadline_us)
{
    smux_session *session = smux__stream_enter(stream);

    stream_put_write_deadline(stream, deadline_us);
    smux__waiters_fire(session, stream->waiters, SMUX__WAIT_WRITE);
    smux__stream_leave(stream, SMUX__NOW);
}

void smux_stream_set_deadline(smux_stream *stream, uint64_t deadline_us)
{
    smux_stream_set_read_deadline(stream, deadline_us);
    smux_stream_set_write_deadline(stream, deadline_us);
}

/* --- properties ---------------------------------------------------------------------------- */

int smux_stream_set_priority(smux_stream *stream, unsigned priority, unsigned weight)
{
    if (stream == NULL) {
        return SMUX_EINVAL;
    }
    smux_session *session = stream->session;

    smux__session_lock(session);
    int status =
        smux_estream_set_priority(session->engine, smux__stream_engine(stream), priority, weight);
    smux__session_unlock(session);
    return status;
}

uint32_t smux_stream_id(const smux_stream *stream)
{
    return smux_estream_id(smux__stream_engine(stream));
}

smux_session *smux_stream_session(const smux_stream *stream)
{
    return stream->session;
}

int smux_stream_address(const smux_stream *stream, bool remote, char *out, size_t size)
{
    return smux_session_address(stream->session, remote, out, size);
}

void smux_stream_stats(smux_stream *stream, struct smux_stream_stats *out_stats)
{
    smux_session *session = stream->session;

    smux__session_lock(session);
    smux_estream_stats(session->engine, smux__stream_engine(stream), out_stats);
    smux__session_unlock(session);
}
