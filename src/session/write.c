/*
 * write.c - writing to a stream.
 *
 * Small data is copied into the send queue. Large data of a caller who waits anyway is lent to
 * the engine instead, and the call returns when the transport has taken all of it; until then
 * the caller's frames refer to the caller's memory. A call that ends early, by its deadline or an
 * abort, takes the loan back first: what was formed into frames is copied, the rest was never
 * written. So no memory of the caller is used after the call, and the count is exact [ORD-4].
 *
 * The first writer in the list of a stream has the turn; others wait behind it, so that calls
 * are not interleaved. A call that need not wait takes no place in the list.
 */
#include "session_internal.h"

#include <smux/transport.h>

/* From here on lending is cheaper than copying: measured over loopback TCP. */
#define LEND_MIN 16384
/* And this much is lent at once; the engine counts a loan with 32 bits. */
#define LEND_MAX (1u << 30)

struct write_call {
    smux_stream *stream;
    smux_session *session;
    const struct smux_iov *iov; /* what is left to write */
    int n;
    size_t offset; /* into the first of them */
    size_t done;
    bool waiting; /* waiter is in use */
    struct smux__waiter waiter;
};

static void write_advance(struct write_call *call, size_t len)
{
    call->done += len;
    call->offset += len;
    while (call->n > 0 && call->offset == call->iov->len) {
        call->iov++;
        call->n--;
        call->offset = 0;
    }
}

static void write_join(struct write_call *call)
{
    if (!call->waiting) {
        smux__waiter_begin(&call->waiter, call->session, call->stream, SMUX__WAIT_WRITE);
        call->waiting = true;
    }
}

static bool write_has_turn(const struct write_call *call)
{
    const struct smux__waiter *first = smux__waiters_first_writer(call->stream);

    return first == NULL || first == &call->waiter;
}

/* What writing would say. */
static int write_status(const struct write_call *call)
{
    size_t none;

    if (call->stream->closed) {
        return SMUX_EABORTED;
    }
    return smux_estream_write(call->session->engine, smux__stream_engine(call->stream), NULL, 0,
                              &none);
}

/* --- lending ------------------------------------------------------------------------------- */

static void loan_return(struct smux__waiter *waiter)
{
    smux_session *session = waiter->session;

    waiter->loan_kept = 0;
    waiter->loan_status = smux_estream_reclaim(session->engine, smux__stream_engine(waiter->stream),
                                               &waiter->loan_kept);
    if (waiter->loan_status != SMUX_OK) {
        smux__session_update(session); /* the session died of it */
    }
}

void smux__write_return_loans(smux_session *session)
{
    while (session->claims != NULL) {
        struct smux__waiter *waiter = SMUX__OBJECT(session->claims, struct smux__waiter, claim);
        smux__ring_remove(&session->claims, &waiter->claim);
        loan_return(waiter);
        smux__waiter_fire(session, waiter);
    }
}

/* Tells whether a writev may use the memory at this moment. */
static bool loan_is_in_use(const struct smux__waiter *waiter)
{
    const smux_engine *engine = waiter->session->engine;

    return waiter->session->writing &&
           (smux_engine_error(engine) != SMUX_OK ||
            smux_estream_lent(engine, smux__stream_engine(waiter->stream)) > 0);
}

/* Takes the loan back; whoever writes at this moment does it between two system calls. */
static void loan_claim(struct smux__waiter *waiter)
{
    smux_session *session = waiter->session;

    if (!loan_is_in_use(waiter)) {
        loan_return(waiter);
        return;
    }
    smux__ring_append(&session->claims, &waiter->claim);
    while (smux__ring_linked(&waiter->claim)) {
        waiter->fired = false;
        (void)smux__waiter_sleep(waiter, SMUX_NEVER);
    }
}

/* Waits until all of the loan was sent. */
static int loan_wait(struct write_call *call)
{
    const smux_engine *engine = call->session->engine;

    while (smux_estream_lent(engine, smux__stream_engine(call->stream)) > 0) {
        int status = write_status(call);
        if (status == SMUX_EPIPE) { /* the FIN goes behind the loan */
            status = smux_engine_error(engine);
        }
        if (status != SMUX_OK) {
            return status;
        }
        status = smux__waiter_wait(&call->waiter, smux__stream_write_deadline(call->stream));
        if (status != SMUX_OK) {
            return status;
        }
    }
    return SMUX_OK;
}

static int write_lend(struct write_call *call, const uint8_t *data, size_t len)
{
    write_join(call);
    int status =
        smux_estream_lend(call->session->engine, smux__stream_engine(call->stream), data, len);
    if (status != SMUX_OK) {
        return status;
    }
    status = loan_wait(call);
    loan_claim(&call->waiter);
    size_t kept = call->waiter.loan_kept;
    write_advance(call, kept);
    if (call->waiter.loan_status != SMUX_OK) {
        return call->waiter.loan_status;
    }
    if (status == SMUX_EDEADLINE && kept == len) {
        return SMUX_OK; /* late, but all of it is on its way */
    }
    if (status == SMUX_OK && kept < len) { /* cut by an abort, which emptied the queue */
        status = write_status(call);
        return status != SMUX_OK ? status : SMUX_EABORTED;
    }
    return status;
}

static bool write_may_lend(const struct write_call *call, size_t len)
{
    uint64_t deadline_us = smux__stream_write_deadline(call->stream);

    return len >= LEND_MIN && (deadline_us == SMUX_NEVER || smux_now_us() < deadline_us);
}

/* --- writing ------------------------------------------------------------------------------- */

/* Writes from the first vector. */
static int write_piece(struct write_call *call)
{
    const uint8_t *data = (const uint8_t *)call->iov->base + call->offset;
    size_t len = call->iov->len - call->offset;
    size_t taken = 0;

    if (write_may_lend(call, len)) {
        return write_lend(call, data, len < LEND_MAX ? len : LEND_MAX);
    }
    int status = smux_estream_write(call->session->engine, smux__stream_engine(call->stream), data,
                                    len, &taken);
    write_advance(call, taken);
    return status;
}

/* Writes until everything was accepted; SMUX_EAGAIN if it has to wait. */
static int write_now(struct write_call *call)
{
    int status = SMUX_OK;

    if (call->n == 0 || !write_has_turn(call)) {
        status = write_status(call);
        return status == SMUX_OK && call->n > 0 ? SMUX_EAGAIN : status;
    }
    while (status == SMUX_OK && call->n > 0) {
        status = call->stream->closed ? SMUX_EABORTED : write_piece(call);
    }
    return status;
}

static int write_all(struct write_call *call)
{
    int status;

    while ((status = write_now(call)) == SMUX_EAGAIN) {
        write_join(call);
        status = smux__waiter_wait(&call->waiter, smux__stream_write_deadline(call->stream));
        if (status != SMUX_OK) {
            break;
        }
    }
    if (call->waiting) {
        (void)smux__io_flush(call->session, &call->waiter); /* for other writers, too */
        smux__waiter_end(&call->waiter);
    }
    return status;
}

/* What is more has been merged by the caller. */
#define SMALL_WRITE 2048

static enum smux__haste write_haste(struct write_call *call)
{
    if (call->done > SMALL_WRITE || call->waiting) {
        return SMUX__NOW;
    }
    return smux__pace_haste(&call->session->pace, call->done);
}

int smux_stream_writev(smux_stream *stream, const struct smux_iov *iov, int n, size_t *out_len)
{
    struct write_call call;

    if (out_len != NULL) {
        *out_len = 0;
    }
    if (stream == NULL) {
        return SMUX_EINVAL;
    }
    call.stream = stream;
    call.iov = iov;
    call.n = n;
    call.offset = 0;
    call.done = 0;
    call.waiting = false;
    call.session = smux__stream_enter(stream);
    write_advance(&call, 0); /* past vectors of length 0 */
    int status = write_all(&call);
    smux__stream_leave(stream, write_haste(&call));
    if (out_len != NULL) {
        *out_len = call.done;
    }
    return status;
}

int smux_stream_write(smux_stream *stream, const void *data, size_t len, size_t *out_len)
{
    const struct smux_iov iov = {(void *)(uintptr_t)data, len};

    return smux_stream_writev(stream, &iov, 1, out_len);
}
