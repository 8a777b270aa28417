#define _GNU_SOURCE 1

#include "relay.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "link.h"
#include "log.h"
#include "values.h"

/* Reads start small, so that thousands of quiet connections cost little, and grow with the
 * traffic up to what the engine keeps in one piece. */
#define READ_MIN 2048u
#define READ_MAX 65536u

/* Pieces of one writev(2). */
#define WRITE_PIECES 16

static void relay_step(struct relay *relay, bool up, bool down);

static uint64_t now_ms(const struct relay *relay)
{
    return uv_now(&relay->link->app->loop);
}

static const struct settings *settings_of(const struct relay *relay)
{
    return relay->link->app->settings;
}

/* --- life -------------------------------------------------------------------------------- */

static void handle_closed(struct relay *relay)
{
    if (--relay->open_handles == 0) {
        free(relay);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_local_closed(struct endpoint *local)
{
    handle_closed((struct relay *)(void *)((char *)local - offsetof(struct relay, local)));
}

struct relay *relay_new(struct link *link, smux_estream *stream)
{
    struct relay *relay = calloc(1, sizeof(*relay));

    if (relay == NULL) {
        return NULL;
    }
    relay->link = link;
    relay->stream = stream;
    relay->id = smux_estream_id(stream);
    relay->read_size = READ_MIN;
    relay->since_ms = uv_now(&link->app->loop);
    relay->active_ms = relay->since_ms;
    uv_timer_init(&link->app->loop, &relay->timer);
    relay->timer.data = relay;
    relay->open_handles = 1;
    *(struct relay **)smux_estream_user(stream) = relay;
    link_add_relay(link, relay);
    return relay;
}

static void log_over(const struct relay *relay, bool clean, const char *reason)
{
    if ((settings_of(relay)->quiet & QUIET_STREAMS) == 0) {
        LOG_EVENT(clean ? LEVEL_INFO : LEVEL_WARN, relay->link->app->ops->name, "stream.close",
                  LOG_U64("session", relay->link->id), LOG_U64("stream", relay->id),
                  LOG_U64("up", relay->bytes_up), LOG_U64("down", relay->bytes_down),
                  LOG_MS("after", now_ms(relay) - relay->since_ms), LOG_STR("reason", reason));
    }
}

static void release_stream(struct relay *relay, bool abort)
{
    smux_engine *engine = relay->link->engine;

    if (abort) {
        smux_estream_abort(engine, relay->stream, SMUX_EABORTED);
    }
    smux_estream_close(engine, relay->stream);
    relay->stream = NULL;
}

static void release_local(struct relay *relay, bool reset)
{
    if (relay->dial != NULL) {
        dial_cancel(relay->dial);
        relay->dial = NULL;
    }
    if (relay->joined) {
        (reset ? endpoint_reset : endpoint_close)(&relay->local);
    }
    uv_close((uv_handle_t *)&relay->timer, on_timer_closed);
}

/* Ends the relay; its memory goes when the loop has closed its handles. */
static void relay_end(struct relay *relay, bool clean, bool reset_local, const char *reason)
{
    struct link *link = relay->link;
    struct app *app = link->app;

    log_over(relay, clean, reason);
    app->totals.bytes_up += relay->bytes_up;
    app->totals.bytes_down += relay->bytes_down;
    app->totals.streams_failed += !clean;
    release_stream(relay, !clean);
    release_local(relay, reset_local);
    link_touch(link);
    link_remove_relay(link, relay);
    if (app->ops->relay_over != NULL) {
        app->ops->relay_over(app->role, clean);
    }
    app_check_drained(app);
}

void relay_abort(struct relay *relay, const char *why)
{
    relay_end(relay, false, true, why);
}

static bool relay_is_over(const struct relay *relay)
{
    return relay->stream == NULL;
}

/* --- up: local to stream ----------------------------------------------------------------- */

/* Follows the traffic: room that is asked for is memory, if only for the time of a read. */
static void adapt_read_size(struct relay *relay, size_t got)
{
    if (got >= relay->read_size && relay->read_size < READ_MAX) {
        relay->read_size *= 2;
    } else if (got < relay->read_size / 4 && relay->read_size > READ_MIN) {
        relay->read_size /= 2;
    }
}

/* The local side writes no more. */
static void up_ended(struct relay *relay)
{
    relay->up = HALF_ENDED;
    relay->active_ms = now_ms(relay);
    if (settings_of(relay)->half_close) {
        smux_estream_shutdown(relay->link->engine, relay->stream);
    }
}

/* Moves one piece. Returns its size, 0 when there is nothing to do now, or an errno below 0. */
static ssize_t up_move(struct relay *relay)
{
    smux_engine *engine = relay->link->engine;
    struct smux_iov room;
    ssize_t n;
    int status = smux_estream_write_reserve(engine, relay->stream, relay->read_size, &room);

    if (status != SMUX_OK) {
        relay->up_waits = status == SMUX_EAGAIN;
        relay->up = status == SMUX_EAGAIN ? HALF_OPEN : HALF_BROKEN;
        return 0;
    }
    n = endpoint_read(&relay->local, room.base, room.len);
    smux_estream_write_commit(engine, relay->stream, n > 0 ? (size_t)n : 0);
    if (n == 0) {
        up_ended(relay);
    } else if (n > 0) {
        adapt_read_size(relay, (size_t)n);
        relay->bytes_up += (uint64_t)n;
    }
    return n;
}

static void relay_pump_up(struct relay *relay)
{
    size_t moved = 0;

    relay->up_waits = false;
    while (relay->up == HALF_OPEN && moved < RELAY_TURN) {
        uint32_t asked = relay->read_size;
        ssize_t n = up_move(relay);
        if (n < 0 && n != -EAGAIN) {
            relay_end(relay, false, true, value_errno_text((int)-n));
            return;
        }
        if (n <= 0) {
            break;
        }
        moved += (size_t)n;
        if ((size_t)n < asked / 2) {
            break; /* most likely there is no more: leave asking again to the loop */
        }
    }
    if (moved > 0) {
        relay->active_ms = now_ms(relay);
    }
}

/* --- down: stream to local --------------------------------------------------------------- */

/* The peer has ended its side and everything before has been delivered. */
static void down_ended(struct relay *relay)
{
    relay->down = HALF_ENDED;
    relay->active_ms = now_ms(relay);
    endpoint_shutdown(&relay->local);
}

/* The local side takes no more, but may have written something that we have not read yet: a
 * program that sends and exits. A connection that was reset has nothing left to say. */
static void down_failed(struct relay *relay, int error)
{
    if (error == EPIPE && relay->up == HALF_OPEN && endpoint_is_socket(&relay->local)) {
        relay->down = HALF_BROKEN;
    } else if (error == EPIPE && relay->up == HALF_ENDED) {
        relay_end(relay, true, false, "local side closed");
    } else {
        relay_end(relay, false, true, value_errno_text(error));
    }
}

static size_t total_len(const struct smux_iov *iov, int n)
{
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        len += iov[i].len;
    }
    return len;
}

/* Writes, or drops what nobody reads any more. Returns as endpoint_writev(). */
static ssize_t down_write(struct relay *relay, const struct smux_iov *iov, int n)
{
    return relay->down == HALF_BROKEN ? (ssize_t)total_len(iov, n)
                                      : endpoint_writev(&relay->local, iov, n);
}

/* Moves what there is. Returns how much, 0 when there is nothing to do now or it is over. */
static size_t down_move(struct relay *relay)
{
    smux_engine *engine = relay->link->engine;
    struct smux_iov iov[WRITE_PIECES];
    ssize_t written;
    int n;
    int status = smux_estream_peek(engine, relay->stream, iov, WRITE_PIECES, &n);

    if (status == SMUX_EAGAIN) {
        return 0;
    }
    if (status == SMUX_EOF) {
        down_ended(relay);
        return 0;
    }
    if (status != SMUX_OK) {
        relay_end(relay, false, true, smux_strerror(status));
        return 0;
    }
    written = down_write(relay, iov, n);
    if (written < 0 && written != -EAGAIN) {
        down_failed(relay, (int)-written);
        return 0;
    }
    if (written > 0) {
        smux_estream_consume(engine, relay->stream, (size_t)written);
    }
    relay->down_waits = written < 0 || (size_t)written < total_len(iov, n);
    return written > 0 ? (size_t)written : 0;
}

static void relay_pump_down(struct relay *relay)
{
    size_t moved = 0;

    relay->down_waits = false;
    while (!relay_is_over(relay) && relay->down != HALF_ENDED && !relay->down_waits) {
        size_t n = down_move(relay);
        if (n == 0) {
            break;
        }
        moved += n;
        relay->down_waits = relay->down_waits || moved >= RELAY_TURN;
    }
    relay->bytes_down += moved;
    if (moved > 0 && !relay_is_over(relay)) {
        relay->active_ms = now_ms(relay);
    }
}

/* --- when one half remains --------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

/* Starts or prolongs the timer of the half that remains: for peers that end both ways at once
 * a fixed time, otherwise a limit to silence. */
static void relay_arm_timer(struct relay *relay)
{
    const struct settings *settings = settings_of(relay);
    bool closing = relay->up == HALF_ENDED && !settings->half_close;
    uint64_t end;

    if (relay->up == HALF_OPEN && relay->down == HALF_OPEN) {
        return;
    }
    if (closing && uv_is_active((uv_handle_t *)&relay->timer)) {
        return;
    }
    end = relay->active_ms + (closing ? settings->closewait : settings->half_close_timeout);
    uv_timer_start(&relay->timer, on_timer, end > now_ms(relay) ? end - now_ms(relay) : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct relay *relay = timer->data;

    if (relay->up == HALF_ENDED && !settings_of(relay)->half_close) {
        relay_end(relay, true, false, "closewait");
    } else if (now_ms(relay) - relay->active_ms >= settings_of(relay)->half_close_timeout) {
        relay_end(relay, false, true, "half-close timeout");
    } else {
        relay_arm_timer(relay);
    }
}

/* --- both -------------------------------------------------------------------------------- */

/* Waits for what is missing, or ends. */
static void relay_settle(struct relay *relay)
{
    unsigned watch = 0;

    if (relay->up != HALF_OPEN && relay->down != HALF_OPEN) {
        bool clean = relay->up == HALF_ENDED;
        relay_end(relay, clean, false, clean ? "end" : "the session ended before the upload");
        return;
    }
    if (relay->up == HALF_OPEN && !relay->up_waits) {
        watch |= ENDPOINT_READABLE;
    }
    if (relay->down_waits) {
        watch |= ENDPOINT_WRITABLE;
    }
    endpoint_watch(&relay->local, watch);
    if (!uv_is_active((uv_handle_t *)&relay->timer)) {
        relay_arm_timer(relay);
    }
}

static void relay_step(struct relay *relay, bool up, bool down)
{
    struct link *link = relay->link;

    if (up && relay->up == HALF_OPEN) {
        relay_pump_up(relay);
    }
    /* A stream that takes nothing any more may have ended as a whole: peek tells. */
    down = down || relay->up == HALF_BROKEN;
    if (down && !relay_is_over(relay) && relay->down != HALF_ENDED) {
        relay_pump_down(relay);
    }
    if (!relay_is_over(relay)) {
        link_touch(link);
        relay_settle(relay);
    }
}

static void on_local_ready(struct endpoint *local, unsigned events)
{
    struct relay *relay = (struct relay *)(void *)((char *)local - offsetof(struct relay, local));

    relay_step(relay, (events & ENDPOINT_READABLE) != 0, (events & ENDPOINT_WRITABLE) != 0);
}

void relay_on_event(struct relay *relay, unsigned events)
{
    if (relay->joined && !relay_is_over(relay)) {
        relay_step(relay, (events & SMUX_EVENT_WRITABLE) != 0 && relay->up_waits,
                   (events & SMUX_EVENT_READABLE) != 0 && !relay->down_waits);
    }
}

void relay_on_session_end(struct relay *relay)
{
    if (relay->joined && !relay_is_over(relay)) {
        relay_step(relay, true, !relay->down_waits);
    }
}

/* --- joining ----------------------------------------------------------------------------- */

static const struct endpoint_events local_events = {on_local_ready, on_local_closed};

static void relay_joined(struct relay *relay, int error)
{
    if (error != 0) {
        relay_end(relay, false, true, value_errno_text(error));
        return;
    }
    relay->joined = true;
    relay->open_handles++;
    relay_step(relay, true, true);
}

void relay_join_socket(struct relay *relay, int fd)
{
    int on = 1;
    int error = endpoint_init_socket(&relay->local, &relay->link->app->loop, fd, &local_events);

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (error != 0) {
        close(fd);
    }
    relay_joined(relay, error);
}

void relay_join_stdio(struct relay *relay)
{
    relay_joined(relay, endpoint_init_stdio(&relay->local, &relay->link->app->loop, &local_events));
}

static void on_dialled(void *arg, int fd, const char *error)
{
    struct relay *relay = arg;
    char text[ADDRESS_TEXT + 100];

    relay->dial = NULL;
    if (fd >= 0) {
        relay_join_socket(relay, fd);
        return;
    }
    snprintf(text, sizeof(text), "stream %u: cannot connect to %s: %s", relay->id, relay->peer,
             error);
    LOG_EVENT(LEVEL_WARN, relay->link->app->ops->name, "target.failed",
              LOG_U64("session", relay->link->id), LOG_U64("stream", relay->id),
              LOG_STR("error", text));
    relay_end(relay, false, true, "target failed");
}

void relay_dial(struct relay *relay, const struct address *target)
{
    struct app *app = relay->link->app;

    snprintf(relay->peer, sizeof(relay->peer), "%s", target->text);
    relay->dial = dial_start(&app->dials, &app->loop, target, app->settings->connect_timeout, NULL,
                             on_dialled, relay);
    if (relay->dial == NULL) {
        relay_end(relay, false, true, "out of memory");
    }
}
