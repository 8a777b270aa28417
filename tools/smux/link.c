#define _GNU_SOURCE 1

#include "link.h"

#include <smux/uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "bench.h"
#include "counters.h"
#include "link_log.h"
#include "link_work.h"
#include "log.h"
#include "relay.h"
#include "socket_options.h"

/* Everything is sent and the peer does not close: it has no streams here any more, so waiting
 * only serves its kernel to take the last bytes. */
#define LINGER_MS 5000

static const char *component(const struct link *link)
{
    return link->app->ops->name;
}

static uint64_t now_ms(const struct link *link)
{
    return uv_now(&link->app->loop);
}

/* --- life -------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_work_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;

    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

static void link_free(struct link *link)
{
    struct app *app = link->app;

    if (link->dirty) {
        struct link **at = &app->dirty;
        while (*at != link) {
            at = &(*at)->next_dirty;
        }
        *at = link->next_dirty;
    }
    *link->at = link->next;
    if (link->next != NULL) {
        link->next->at = link->at;
    }
    app->n_links--;
    counters_add(&app->totals, link);
    sources_release(&app->sources, link->source);
    bench_peer_free(link->bench);
    smux_conn_free(link->conn);
    uv_close((uv_handle_t *)&link->work, on_work_closed);
    app_check_drained(app);
}

/* Frees a dead link that nobody uses any more; drains a retired one. */
static void link_settle(struct link *link)
{
    if (link->pins > 0 || link->n_relays > 0 ||
        (link->state == LINK_DEAD && link_work_is_left(link))) {
        return;
    }
    if (link->state == LINK_DEAD) {
        link_free(link);
    } else if (link->state == LINK_RETIRED && !link->draining) {
        link->draining = true;
        smux_conn_drain(link->conn);
    }
}

void link_pin(struct link *link)
{
    link->pins++;
}

void link_unpin(struct link *link)
{
    link->pins--;
    link_settle(link);
}

/* --- events of the session --------------------------------------------------------------- */

/* Notices the peer's first frame. */
static void link_check_greeting(struct link *link)
{
    if (link->greeted || smux_engine_frames_in(link->engine) == 0) {
        return;
    }
    link->greeted = true;
    uv_timer_stop(&link->timer);
    if (link->role == SMUX_SERVER) {
        link_log_up(link); /* the version was not known before */
    }
    if (link->ops->greeted != NULL) {
        link->ops->greeted(link);
    }
}

/* The session is dead: said first of all, so that the log tells the reason before its effects. */
static void link_end(struct link *link)
{
    bool owned = link->state == LINK_UP;
    bool cut = link->draining && !link->all_sent && smux_engine_error(link->engine) != SMUX_EOF;

    if (link->state == LINK_DEAD) {
        return;
    }
    link->state = LINK_DEAD;
    link->app->cut = link->app->cut || cut;
    uv_timer_stop(&link->timer);
    link_log_down(link);
    if (owned && link->ops->down != NULL) {
        link->ops->down(link);
    }
    link->untold = link->relays;
    link_work_take_up(link);
}

static void on_ready(smux_conn *conn, void *user)
{
    struct link *link = user;

    (void)conn;
    link_pin(link);
    link_check_greeting(link);
    if (smux_engine_error(link->engine) != SMUX_OK) {
        link_end(link);
    } else {
        link->all_sent = link->draining && smux_engine_drained(link->engine);
        memory_check(link->app);
        link_work_take_up(link);
    }
    link_unpin(link);
}

static void on_closed(smux_conn *conn, void *user)
{
    struct link *link = user;

    (void)conn;
    link_pin(link);
    link_end(link);
    link_unpin(link);
}

/* --- making ------------------------------------------------------------------------------ */

static const struct smux_conn_events conn_events = {on_ready, on_closed};

static void link_enlist(struct link *link)
{
    struct app *app = link->app;

    link->next = app->links;
    link->at = &app->links;
    if (link->next != NULL) {
        link->next->at = &link->next;
    }
    app->links = link;
    app->n_links++;
    app->totals.sessions++;
    link->id = ++app->last_link_id;
    link->since_ms = now_ms(link);
    uv_timer_init(&app->loop, &link->timer);
    link->timer.data = link;
    link_work_init(link);
}

/* Makes connection and engine, and joins them to the loop; on failure all of it is gone but the
 * transport, if that is what `*transport` still holds. */
static int link_start(struct link *link, enum smux_role role, struct smux_transport *transport)
{
    struct smux_config config;
    size_t user_size = sizeof(struct relay *);
    bool bench = link->app->settings->bench;
    int status;

    settings_session_config(link->app->settings, &config);
    config.allocator = &link->app->memory.heap.allocator;
    if (bench && bench_peer_user_size() > user_size) {
        user_size = bench_peer_user_size();
    }
    status = smux_conn_new(role, transport, &config, user_size, &conn_events, link, &link->conn);
    if (status != SMUX_OK) {
        return status;
    }
    transport->ops = NULL;
    link->engine = smux_conn_engine(link->conn);
    smux_engine_throttle(link->engine, link->app->memory.exhausted);
    if (bench) {
        link->bench = bench_peer_new(link->conn);
        status = link->bench == NULL ? SMUX_ENOMEM : SMUX_OK;
    }
    if (status == SMUX_OK) {
        status = smux_uv_attach(link->conn, &link->app->loop);
    }
    return status;
}

struct link *link_new_on(struct app *app, enum smux_role role, struct smux_transport *transport,
                         const char *peer, const struct link_ops *ops, void *owner)
{
    struct link *link = calloc(1, sizeof(*link));
    int status = SMUX_ENOMEM;

    if (link != NULL) {
        link->app = app;
        link->ops = ops;
        link->owner = owner;
        link->role = role;
        snprintf(link->peer, sizeof(link->peer), "%s", peer);
        status = link_start(link, role, transport);
    }
    if (status == SMUX_OK) {
        link_enlist(link);
        if (role == SMUX_CLIENT) {
            link_log_up(link);
        }
        return link;
    }
    app->totals.sessions_refused_memory += status == SMUX_ENOMEM;
    link_log_failed(app, peer, smux_strerror(status));
    if (transport->ops != NULL) {
        smux_transport_close(transport);
    }
    if (link != NULL) {
        bench_peer_free(link->bench);
        smux_conn_free(link->conn);
        free(link);
    }
    return NULL;
}

struct link *link_new(struct app *app, enum smux_role role, int fd, const struct link_ops *ops,
                      void *owner)
{
    struct smux_transport transport;
    char peer[ADDRESS_TEXT];
    int status;

    address_of_socket(fd, true, peer, sizeof(peer));
    status = smux_transport_fd(fd, fd, &transport);
    if (status != SMUX_OK) {
        link_log_failed(app, peer, smux_strerror(status));
        close(fd);
        return NULL;
    }
    socket_tune_session(fd, app->settings);
    return link_new_on(app, role, &transport, peer, ops, owner);
}

static void on_greeting_timeout(uv_timer_t *timer)
{
    struct link *link = timer->data;

    link->app->totals.greeting_timeouts++;
    link_log_failed(link->app, link->peer, "the peer sent no frame in time");
    link_kill(link, "no first frame in time");
}

void link_expect_greeting(struct link *link, uint32_t timeout_ms)
{
    uv_timer_start(&link->timer, on_greeting_timeout, timeout_ms, 0);
}

/* --- use --------------------------------------------------------------------------------- */

int link_open_stream(struct link *link, smux_estream **out_stream)
{
    link_touch(link);
    return smux_engine_open(link->engine, out_stream);
}

void link_refuse_stream(struct link *link, smux_estream *stream, const char *why)
{
    uint32_t id = smux_estream_id(stream);

    smux_estream_abort(link->engine, stream, SMUX_EABORTED);
    smux_estream_close(link->engine, stream);
    link->app->totals.refused++;
    link_touch(link);
    LOG_EVENT(LEVEL_WARN, component(link), "stream.refused", LOG_U64("session", link->id),
              LOG_U64("stream", id), LOG_STR("reason", why));
}

void link_retire(struct link *link)
{
    if (link->state == LINK_UP) {
        link->state = LINK_RETIRED;
        link_settle(link);
    }
}

void link_kill(struct link *link, const char *why)
{
    if (link->state != LINK_DEAD) {
        smux_engine_fail(link->engine, SMUX_ECLOSED, why);
        smux_conn_flush(link->conn); /* which notices, and tells in a turn of its own */
    }
}

void link_check_linger(struct link *link)
{
    if (!link->draining || link->state == LINK_DEAD || !smux_engine_drained(link->engine)) {
        return;
    }
    if (link->drained_ms == 0) {
        link->drained_ms = now_ms(link);
    } else if (now_ms(link) - link->drained_ms >= LINGER_MS) {
        link_kill(link, "closed on this side; the peer did not close");
    }
}

void link_destroy(struct link *link)
{
    link_pin(link);
    link->state = LINK_DEAD;
    while (link->relays != NULL) {
        relay_abort(link->relays, "stopped");
    }
    link->pins--;
    link_free(link);
}

void link_touch(struct link *link)
{
    if (!link->dirty && link->state != LINK_DEAD) {
        link->dirty = true;
        link->next_dirty = link->app->dirty;
        link->app->dirty = link;
    }
}

void link_flush(struct link *link)
{
    smux_conn_flush(link->conn);
}

/* --- relays ------------------------------------------------------------------------------ */

void link_add_relay(struct link *link, struct relay *relay)
{
    relay->next = link->relays;
    relay->link_at = &link->relays;
    if (relay->next != NULL) {
        relay->next->link_at = &relay->next;
    }
    link->relays = relay;
    link->n_relays++;
    link->app->n_relays++;
    link->app->totals.streams++;
}

void link_remove_relay(struct link *link, struct relay *relay)
{
    if (link->untold == relay) {
        link->untold = relay->next;
    }
    link_work_forget_local(link, relay);
    *relay->link_at = relay->next;
    if (relay->next != NULL) {
        relay->next->link_at = relay->link_at;
    }
    link->n_relays--;
    link->app->n_relays--;
    link_pin(link);
    if (link->state == LINK_UP && link->ops->room != NULL) {
        link->ops->room(link);
    }
    link_unpin(link);
}
