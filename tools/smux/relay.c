#define _GNU_SOURCE 1

#include "relay.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "link.h"
#include "link_work.h"
#include "log.h"
#include "relay_move.h"
#include "socket_options.h"
#include "values.h"

/* Local sides that wait to be served, from which on these are not watched. */
#define READY_CROWD 200u

/* How long the local side may take nothing of what came before its session broke. */
#define BROKEN_GRACE_MS 5000u

static uint64_t now_ms(const struct relay *relay)
{
    return uv_now(&relay->link->app->loop);
}

static const struct settings *settings_of(const struct relay *relay)
{
    return relay->link->app->settings;
}

/* How a relay ends. */
enum outcome {
    OUTCOME_CLEAN,  /* both directions are over, in order */
    OUTCOME_CUT,    /* the local side did not get everything, or does not exist any more */
    OUTCOME_UNHEARD /* the local side got everything, but its own data did not arrive */
};

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
    relay->read_size = RELAY_READ_MIN;
    relay->since_ms = uv_now(&link->app->loop);
    relay->active_ms = relay->since_ms;
    uv_timer_init(&link->app->loop, &relay->timer);
    relay->timer.data = relay;
    relay->open_handles = 1;
    *(struct relay **)smux_estream_user(stream) = relay;
    link_add_relay(link, relay);
    return relay;
}

static void log_over(const struct relay *relay, enum outcome outcome, const char *reason)
{
    if ((settings_of(relay)->quiet & QUIET_STREAMS) == 0) {
        LOG_EVENT(outcome == OUTCOME_CLEAN ? LEVEL_INFO : LEVEL_WARN, relay->link->app->ops->name,
                  "stream.close", LOG_U64("session", relay->link->id), LOG_U64("stream", relay->id),
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
static void relay_end(struct relay *relay, enum outcome outcome, const char *reason)
{
    struct link *link = relay->link;
    struct app *app = link->app;
    bool clean = outcome == OUTCOME_CLEAN;

    log_over(relay, outcome, reason);
    app->totals.bytes_up += relay->bytes_up;
    app->totals.bytes_down += relay->bytes_down;
    app->totals.streams_failed += !clean;
    release_stream(relay, !clean);
    release_local(relay, outcome == OUTCOME_CUT);
    link_touch(link);
    link_remove_relay(link, relay);
    if (app->ops->relay_over != NULL) {
        app->ops->relay_over(app->role, clean);
    }
    app_check_drained(app);
}

void relay_abort(struct relay *relay, const char *why)
{
    relay_end(relay, OUTCOME_CUT, why);
}

static bool relay_is_over(const struct relay *relay)
{
    return relay->stream == NULL;
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

/* The session broke: what came before is for the local side, as long as that takes it. */
static bool session_is_broken(const struct relay *relay)
{
    int error = smux_engine_error(relay->link->engine);

    return error != SMUX_OK && error != SMUX_EOF;
}

static void on_broken_timer(struct relay *relay)
{
    uint64_t silent = now_ms(relay) - relay->active_ms;

    if (silent >= BROKEN_GRACE_MS) {
        relay_end(relay, OUTCOME_CUT, smux_strerror(smux_engine_error(relay->link->engine)));
    } else {
        uv_timer_start(&relay->timer, on_timer, BROKEN_GRACE_MS - silent, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct relay *relay = timer->data;

    if (session_is_broken(relay)) {
        on_broken_timer(relay);
    } else if (relay->up == HALF_ENDED && !settings_of(relay)->half_close) {
        relay_end(relay, OUTCOME_CLEAN, "closewait");
    } else if (now_ms(relay) - relay->active_ms >= settings_of(relay)->half_close_timeout) {
        relay->link->app->totals.half_close_timeouts++;
        relay_end(relay, OUTCOME_CUT, "half-close timeout");
    } else {
        relay_arm_timer(relay);
    }
}

/* --- both -------------------------------------------------------------------------------- */

/* Neither half is open. */
static void relay_conclude(struct relay *relay)
{
    if (relay->up == HALF_BROKEN) {
        relay_end(relay, OUTCOME_UNHEARD, smux_strerror(relay->up_status));
    } else {
        relay_end(relay, OUTCOME_CLEAN,
                  relay->down == HALF_ENDED ? "end" : "the local side reads no more");
    }
}

/* Watches the local side for what is missing. What is ready is told again in every turn until it is
 * served, but not to watch it meanwhile is worth its three system calls only in a crowd. */
static void relay_watch(struct relay *relay)
{
    unsigned told = relay->link->app->n_ready > READY_CROWD ? relay->ready : 0;
    unsigned watch = 0;

    if (relay->up == HALF_OPEN && !relay->up_waits) {
        watch |= ENDPOINT_READABLE;
    }
    if (relay->down_waits) {
        watch |= ENDPOINT_WRITABLE;
    }
    endpoint_watch(&relay->local, watch & ~told);
}

/* Waits for what is missing, or ends. */
static void relay_settle(struct relay *relay)
{
    if (relay->up != HALF_OPEN && relay->down != HALF_OPEN) {
        relay_conclude(relay);
        return;
    }
    relay_watch(relay);
    if (!uv_is_active((uv_handle_t *)&relay->timer)) {
        relay_arm_timer(relay);
    }
}

static void relay_step(struct relay *relay, bool up, bool down)
{
    const char *why = NULL;

    if (up && relay->up == HALF_OPEN) {
        why = relay_move_up(relay);
    }
    /* A stream that takes nothing any more may have ended as a whole: reading tells. */
    if (why == NULL && (down || relay->up == HALF_BROKEN) && relay->down != HALF_ENDED) {
        why = relay_move_down(relay);
    }
    if (why != NULL) {
        relay_end(relay, OUTCOME_CUT, why);
        return;
    }
    link_touch(relay->link);
    relay_settle(relay);
}

static void on_local_ready(struct endpoint *local, unsigned events)
{
    struct relay *relay = (struct relay *)(void *)((char *)local - offsetof(struct relay, local));

    relay->ready |= events;
    link_work_take_up_local(relay->link, relay);
    if (relay->ready != 0 && !relay_is_over(relay)) {
        relay_watch(relay);
    }
}

void relay_serve_local(struct relay *relay)
{
    unsigned events = relay->ready;

    relay->ready = 0;
    relay_step(relay, (events & ENDPOINT_READABLE) != 0, (events & ENDPOINT_WRITABLE) != 0);
}

/* What waited for the local side is gone with its stream: there is nothing to wait for. */
static bool stream_has_failed(const struct relay *relay)
{
    struct smux_iov iov;
    int n;
    int status = smux_estream_peek(relay->link->engine, relay->stream, &iov, 1, &n);

    return status != SMUX_OK && status != SMUX_EAGAIN && status != SMUX_EOF;
}

void relay_on_event(struct relay *relay, unsigned events)
{
    if (relay->joined && !relay_is_over(relay)) {
        relay_step(relay, (events & SMUX_EVENT_WRITABLE) != 0 && relay->up_waits,
                   (events & SMUX_EVENT_READABLE) != 0 &&
                       (!relay->down_waits || stream_has_failed(relay)));
    }
}

/* Tells whether it is worth while to reach the target for a session that has ended: only to deliver
 * what came complete. Peers that come back at once would otherwise pile up dials. */
static bool relay_has_legacy(const struct relay *relay)
{
    smux_engine *engine = relay->link->engine;
    int error = smux_engine_error(engine);
    struct smux_iov iov;
    int n;

    return error == SMUX_EOF && smux_estream_peek(engine, relay->stream, &iov, 1, &n) == SMUX_OK;
}

void relay_on_session_end(struct relay *relay)
{
    if (relay_is_over(relay)) {
        return;
    }
    if (relay->joined) {
        relay_step(relay, true, !relay->down_waits);
        if (!relay_is_over(relay) && session_is_broken(relay)) {
            uv_timer_start(&relay->timer, on_timer, BROKEN_GRACE_MS, 0);
        }
    } else if (!relay_has_legacy(relay)) {
        relay_end(relay, OUTCOME_CUT, smux_strerror(smux_engine_error(relay->link->engine)));
    }
}

/* --- joining ----------------------------------------------------------------------------- */

static const struct endpoint_events local_events = {on_local_ready, on_local_closed};

static void relay_joined(struct relay *relay, int error)
{
    if (error != 0) {
        relay_end(relay, OUTCOME_CUT, value_errno_text(error));
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
    relay_end(relay, OUTCOME_CUT, "target failed");
}

/* The target may have the connection before we know, and the session may end right then: that is no
 * end in order. */
static void prepare_target(void *arg, int fd)
{
    (void)arg;
    socket_reset_on_close(fd, true);
}

void relay_dial(struct relay *relay, const struct address *target)
{
    struct app *app = relay->link->app;

    snprintf(relay->peer, sizeof(relay->peer), "%s", target->text);
    relay->dial = dial_start(&app->dials, &relay->link->dials, target,
                             app->settings->connect_timeout, prepare_target, on_dialled, relay);
    if (relay->dial == NULL) {
        relay_end(relay, OUTCOME_CUT, "out of memory");
    }
}
