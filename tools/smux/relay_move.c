#define _GNU_SOURCE 1

#include "relay_move.h"

#include <errno.h>

#include "app.h"
#include "link.h"
#include "values.h"

/* Pieces of one writev(2). */
#define WRITE_PIECES 16

static void note_activity(struct relay *relay)
{
    relay->active_ms = uv_now(&relay->link->app->loop);
}

/* --- up: local to stream ----------------------------------------------------------------- */

/* Follows the traffic: room that is asked for is memory, if only for the time of a read. */
static void adapt_read_size(struct relay *relay, size_t got)
{
    if (got >= relay->read_size && relay->read_size < RELAY_READ_MAX) {
        relay->read_size *= 2;
    } else if (got < relay->read_size / 4 && relay->read_size > RELAY_READ_MIN) {
        relay->read_size /= 2;
    }
}

/* The local side writes no more. */
static void up_ended(struct relay *relay)
{
    relay->up = HALF_ENDED;
    note_activity(relay);
    if (relay->link->app->settings->half_close) {
        smux_estream_shutdown(relay->link->engine, relay->stream);
    }
}

/* Asks for room in the send queue; false when there is none now, or never again. */
static bool up_reserve(struct relay *relay, struct smux_iov *out_room, const char **out_why)
{
    int status =
        smux_estream_write_reserve(relay->link->engine, relay->stream, relay->read_size, out_room);

    if (status == SMUX_EAGAIN) {
        relay->up_waits = true;
    } else if (status == SMUX_ENOMEM) {
        *out_why = smux_strerror(status);
    } else if (status != SMUX_OK) {
        /* The stream takes nothing any more; what it has received may still be whole. */
        relay->up = HALF_BROKEN;
        relay->up_status = status;
    }
    return status == SMUX_OK;
}

/* Reads once. Returns how much, 0 when that was all for now; `out_why` as the caller's result. */
static size_t up_move(struct relay *relay, const char **out_why)
{
    struct smux_iov room;
    ssize_t n;

    if (!up_reserve(relay, &room, out_why)) {
        return 0;
    }
    n = endpoint_read(&relay->local, room.base, room.len);
    smux_estream_write_commit(relay->link->engine, relay->stream, n > 0 ? (size_t)n : 0);
    if (n == 0) {
        up_ended(relay);
    } else if (n < 0 && n != -EAGAIN) {
        *out_why = value_errno_text((int)-n);
    }
    if (n <= 0) {
        return 0;
    }
    adapt_read_size(relay, (size_t)n);
    relay->bytes_up += (uint64_t)n;
    note_activity(relay);
    /* Less than there was room for: it would be empty now, and the loop tells when not. */
    return (size_t)n == room.len ? room.len : 0;
}

const char *relay_move_up(struct relay *relay)
{
    const char *why = NULL;
    size_t moved = 0;
    size_t n;

    relay->up_waits = false;
    while (relay->up == HALF_OPEN && moved < RELAY_TURN && (n = up_move(relay, &why)) > 0) {
        moved += n;
    }
    return why;
}

/* --- down: stream to local --------------------------------------------------------------- */

/* The peer has ended its side and everything before has been delivered. */
static void down_ended(struct relay *relay)
{
    relay->down = HALF_ENDED;
    note_activity(relay);
    endpoint_shutdown(&relay->local);
}

/* The local side takes no more, but may have written something that we have not read yet: a
 * program that sends and exits. A connection that was reset has nothing left to say. */
static const char *down_failed(struct relay *relay, int error)
{
    if (error != EPIPE || !endpoint_is_socket(&relay->local)) {
        return value_errno_text(error);
    }
    relay->down = HALF_BROKEN;
    return NULL;
}

static size_t total_len(const struct smux_iov *iov, int n)
{
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        len += iov[i].len;
    }
    return len;
}

/* Cuts the pieces to `most` bytes, not 0. Returns their number. */
static int cut(struct smux_iov *iov, int n, size_t most)
{
    for (int i = 0; i < n; i++) {
        if (iov[i].len >= most) {
            iov[i].len = most;
            return i + 1;
        }
        most -= iov[i].len;
    }
    return n;
}

/* Writes, or drops what nobody reads any more. Returns as endpoint_writev(). */
static ssize_t down_write(struct relay *relay, const struct smux_iov *iov, int n)
{
    return relay->down == HALF_BROKEN ? (ssize_t)total_len(iov, n)
                                      : endpoint_writev(&relay->local, iov, n);
}

/* Writes once, at most so much. Returns how much, 0 when there is nothing to do now. */
static size_t down_move(struct relay *relay, size_t most, const char **out_why)
{
    smux_engine *engine = relay->link->engine;
    struct smux_iov iov[WRITE_PIECES];
    ssize_t written;
    int n;
    int status = smux_estream_peek(engine, relay->stream, iov, WRITE_PIECES, &n);

    if (status == SMUX_EOF) {
        down_ended(relay);
    } else if (status != SMUX_OK && status != SMUX_EAGAIN) {
        *out_why = smux_strerror(status);
    }
    if (status != SMUX_OK) {
        return 0;
    }
    n = cut(iov, n, most);
    written = down_write(relay, iov, n);
    relay->down_waits = written == -EAGAIN || (written > 0 && (size_t)written < total_len(iov, n));
    if (written < 0 && written != -EAGAIN) {
        *out_why = down_failed(relay, (int)-written);
    }
    if (written <= 0) {
        return 0;
    }
    smux_estream_consume(engine, relay->stream, (size_t)written);
    relay->bytes_down += (uint64_t)written;
    note_activity(relay);
    return (size_t)written;
}

const char *relay_move_down(struct relay *relay)
{
    const char *why = NULL;
    size_t moved = 0;
    size_t n = 1;

    relay->down_waits = false;
    while (relay->down != HALF_ENDED && !relay->down_waits && n > 0) {
        n = down_move(relay, RELAY_TURN - moved, &why);
        moved += n;
        relay->down_waits = relay->down_waits || moved >= RELAY_TURN; /* others' turn */
    }
    return why;
}
