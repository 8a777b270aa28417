/*
 * conn_io.c - how a connection moves bytes between its transport and its engine.
 */
#define _GNU_SOURCE 1 /* sys.h */

#include "conn.h"

#include "transport/sys.h"

#include <errno.h>
#include <stdio.h>

/** Most bytes received in a turn (L23): one busy session must not hold up the others, and what came
 *  should be in the cache when it is read. */
#define CONN_TURN_BYTES ((size_t)128 * 1024)

/** Frames after which no more is received in a turn: a flood of headers costs several times what
 *  as many bytes of payload do. */
#define CONN_TURN_FRAMES 1024u

/** Bytes of a read after one that brought nothing but headers: CONN_TURN_FRAMES of them. */
#define CONN_READ_LEAST ((size_t)8 * CONN_TURN_FRAMES)

/** By how much the next read may be longer when the frames are large: a hundred reads up to all that the
 *  engine takes at once. Who mixes both has no more turns with a flood in a large read. */
#define CONN_READ_STEP ((size_t)512)

/** Most bytes sent in a turn; lent memory may be of any size. */
#define CONN_SEND_BYTES ((size_t)1024 * 1024)

/** A write with so many bytes is not made longer: one that fills the socket ends in waiting for room, while
 *  the peer takes from what it has. */
#define CONN_WRITE_BYTES ((size_t)128 * 1024)

/** Vectors in one read or write. */
#define CONN_IOV 64

/** Pause before reading is tried again after lack of memory. */
#define CONN_RETRY_US UINT64_C(10000)

/** How often a paused connection is looked after, besides what the loop tells. */
#define CONN_CHECK_US UINT64_C(30000000)

/** How long after the connection broke the application may read nothing before the session fails:
 *  what came before may be complete. */
#define CONN_GRACE_US UINT64_C(5000000)

static const char *conn_transport_error(const struct smux_conn *conn)
{
    const struct smux_transport *t = &conn->transport;

    return t->ops->error != NULL ? t->ops->error(t->ctx) : "transport failed";
}

static void conn_fail_reading(struct smux_conn *conn)
{
    char why[96];

    (void)snprintf(why, sizeof why, "reading failed: %s", conn_transport_error(conn));
    smux_engine_fail(conn->engine, SMUX_EIO, why);
}

/** Notes that nothing can be sent any more. Fails the session unless there may be more to read. */
static void conn_fail_writing(struct smux_conn *conn, const char *why)
{
    conn->write_failed = true;
    conn->write_blocked = false;
    smux_engine_goaway(conn->engine);
    (void)snprintf(conn->failure, sizeof conn->failure, "writing failed: %s", why);
    if (conn->read_ended) {
        smux_engine_fail(conn->engine, SMUX_EIO, conn->failure);
    }
}

/* --- in ------------------------------------------------------------------------------------ */

bool smux__conn_wants_read(const struct smux_conn *conn)
{
    if (conn->read_ended || conn->retry_us != SMUX_NEVER) {
        return false;
    }
    return conn->phase == SMUX__CONN_LINGERING || smux_engine_wants_read(conn->engine);
}

/** Acts on a read that brought nothing. */
static void conn_input_stopped(struct smux_conn *conn, int status, uint64_t now_us)
{
    if (status == SMUX_EAGAIN && !conn->write_failed) {
        return;
    }
    if (status == SMUX_EOF) {
        smux_engine_recv_eof(conn->engine, now_us);
    } else if (status != SMUX_EAGAIN) {
        conn_fail_reading(conn);
    }
    conn->read_ended = true;
    if (conn->write_failed) {
        smux_engine_fail(conn->engine, SMUX_EIO, conn->failure);
    }
}

static size_t conn_less(size_t a, size_t b)
{
    return a < b ? a : b;
}

/** Cuts the room for a read to what a flood of frames may bring in a turn. The rest of a payload, if it has
 *  the first vector, holds no frames. Returns the number of vectors that are left, and their length. */
static int conn_limit_read(const struct smux_conn *conn, struct smux_iov *iov, int n,
                           bool payload_first, size_t *out_len)
{
    size_t left = CONN_READ_LEAST + conn->read_more;
    int i = payload_first && n > 1 ? 1 : 0;

    *out_len = i == 1 ? iov[0].len : 0;
    for (; i < n && left > 0; i++) {
        iov[i].len = conn_less(iov[i].len, left);
        left -= iov[i].len;
        *out_len += iov[i].len;
    }
    return i;
}

/** Expects the next bytes to hold as many frames as these did. */
static void conn_note_frames(struct smux_conn *conn, size_t len, uint64_t frames)
{
    size_t most = len / (size_t)(frames + 1) * CONN_TURN_FRAMES;

    most -= conn_less(most, CONN_READ_LEAST);
    conn->read_more = conn_less(most, conn->read_more + CONN_READ_STEP);
}

/** Reads once into the engine. Returns whether more may be there, and adds to `total`. */
static bool conn_feed(struct smux_conn *conn, uint64_t now_us, size_t *total)
{
    struct smux_iov iov[CONN_IOV];
    size_t len = 0;
    size_t room;

    bool in_payload = smux_engine_recv_stream(conn->engine) != NULL;
    int n = smux_engine_recv_iov(conn->engine, iov, CONN_IOV);
    if (n == 0) {
        /* Wanting bytes without room for them is lack of memory: watching would only spin. */
        bool starved = smux_engine_wants_read(conn->engine);
        conn->retry_us = starved ? now_us + CONN_RETRY_US : SMUX_NEVER;
        return false;
    }
    n = conn_limit_read(conn, iov, n, in_payload, &room);
    uint64_t frames = smux_engine_frames_in(conn->engine);
    int status = conn->transport.ops->readv(conn->transport.ctx, iov, n, &len);
    if (status != SMUX_OK) {
        (void)smux_engine_recv_commit(conn->engine, 0, now_us);
        conn_input_stopped(conn, status, now_us);
        return false;
    }
    (void)smux_engine_recv_commit(conn->engine, len, now_us);
    conn_note_frames(conn, len, smux_engine_frames_in(conn->engine) - frames);
    conn->check_us = SMUX_NEVER;
    *total += len;
    /* Fewer bytes than asked for: that was all, and asking again would only cost a call. After
     * a failed write the loop will not tell of more, so there the end has to be seen. */
    return len == room || conn->write_failed;
}

/** Reads once and drops it. Returns whether more may be there, and adds to `total`. */
static bool conn_drop(struct smux_conn *conn, size_t *total)
{
    char buf[16384];
    struct smux_iov iov = {.base = buf, .len = sizeof buf};
    size_t len = 0;

    int status = conn->transport.ops->readv(conn->transport.ctx, &iov, 1, &len);
    conn->read_ended = status != SMUX_OK && status != SMUX_EAGAIN;
    *total += len;
    return status == SMUX_OK;
}

static bool conn_pending(const struct smux_conn *conn)
{
    const struct smux_transport *t = &conn->transport;

    return t->ops->pending != NULL && t->ops->pending(t->ctx);
}

void smux__conn_receive(struct smux_conn *conn, uint64_t now_us)
{
    uint64_t before = smux_engine_frames_in(conn->engine);
    size_t total = 0;
    bool more = true;

    conn->read_again = false;
    while (more && smux__conn_wants_read(conn) && total < CONN_TURN_BYTES) {
        more = conn->phase == SMUX__CONN_LINGERING ? conn_drop(conn, &total)
                                                   : conn_feed(conn, now_us, &total);
        more = more || (smux__conn_wants_read(conn) && conn_pending(conn));
        more = more && smux_engine_frames_in(conn->engine) - before < CONN_TURN_FRAMES;
    }
    conn->read_again = smux__conn_wants_read(conn) && conn_pending(conn);
}

/* --- out ----------------------------------------------------------------------------------- */

/** Returns how many of these vectors one write should have. */
static int conn_limit_write(const struct smux_iov *iov, int n)
{
    size_t len = 0;
    int i = 0;

    while (i < n && len < CONN_WRITE_BYTES) {
        len += iov[i++].len;
    }
    return i;
}

/** Writes once from the engine. Returns how much the transport took. */
static size_t conn_write(struct smux_conn *conn, uint64_t now_us)
{
    struct smux_iov iov[CONN_IOV];
    size_t len = 0;

    int n = smux_engine_send_iov(conn->engine, iov, CONN_IOV, now_us);
    if (n == 0) {
        return 0;
    }
    n = conn_limit_write(iov, n);
    int status = conn->transport.ops->writev(conn->transport.ctx, iov, n, &len);
    smux_engine_send_commit(conn->engine, status == SMUX_OK ? len : 0, now_us);
    if (status == SMUX_OK) {
        return len;
    }
    if (status == SMUX_EAGAIN) {
        conn->write_blocked = true;
    } else {
        conn_fail_writing(conn, conn_transport_error(conn));
    }
    return 0;
}

bool smux__conn_send(struct smux_conn *conn, uint64_t now_us)
{
    size_t total = 0;
    size_t len = 1;

    if (conn->write_blocked || conn->write_failed || conn->phase >= SMUX__CONN_LINGERING) {
        return false;
    }
    while (len > 0 && total < CONN_SEND_BYTES) {
        len = conn_write(conn, now_us);
        total += len;
    }
    /* Stopped by the limit: a writable descriptor brings the next turn at once. */
    conn->write_blocked = conn->write_blocked || len > 0;
    return total > 0;
}

void smux__conn_end_output(struct smux_conn *conn)
{
    conn->write_blocked = false;
    /* First off the loop: the transport may put something else behind the descriptor. */
    smux__conn_update_watch(conn);
    conn->transport.ops->shutdown(conn->transport.ctx);
}

/* --- a paused connection ------------------------------------------------------------------- */

bool smux__conn_is_paused(const struct smux_conn *conn)
{
    return !conn->read_ended && conn->phase < SMUX__CONN_LINGERING &&
           smux_engine_error(conn->engine) == SMUX_OK && !smux_engine_wants_read(conn->engine);
}

static short conn_state(const struct smux_conn *conn, enum smux_transport_event direction)
{
    struct pollfd pfd = {.fd = conn->transport.ops->fd(conn->transport.ctx, direction),
                         .events = POLLRDHUP};

    return smux__sys.poll(&pfd, 1, 0) > 0 ? pfd.revents : 0;
}

/* A read descriptor that was hung up may be the peer's orderly end, with all of its data before; a
 * write descriptor is not. */
void smux__conn_look(struct smux_conn *conn)
{
    bool broken = (conn_state(conn, SMUX_WAIT_WRITE) & (POLLERR | POLLHUP)) != 0;

    if (broken && !conn->write_failed) {
        conn_fail_writing(conn, "the peer hung up");
    }
    if (broken || conn_state(conn, SMUX_WAIT_READ) != 0) {
        conn->hung_up = true;
        smux_engine_goaway(conn->engine);
    }
}

void smux__conn_check_paused(struct smux_conn *conn, uint64_t now_us)
{
    if (!smux__conn_is_paused(conn)) {
        conn->check_us = SMUX_NEVER;
        return;
    }
    if (conn->write_failed && conn->check_us > now_us + CONN_GRACE_US) {
        conn->check_us = now_us + CONN_GRACE_US;
    } else if (conn->check_us == SMUX_NEVER) {
        conn->check_us = now_us + CONN_CHECK_US;
    }
    if (now_us < conn->check_us) {
        return;
    }
    if (conn->write_failed) {
        smux_engine_fail(conn->engine, SMUX_EIO, conn->failure);
    } else {
        smux__conn_look(conn);
        conn->check_us = now_us + (conn->write_failed ? CONN_GRACE_US : CONN_CHECK_US);
    }
}
