#define _GNU_SOURCE 1

#include "pool.h"

#include <smux/transport.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "app.h"
#include "backoff.h"
#include "link_log.h"
#include "log.h"
#include "random_bits.h"
#include "socket_options.h"

/* A session that has lived so long counts as success: the next failure is a first one. */
#define SUCCESS_MS 30000

static void slot_dial(struct slot *slot);

static const struct settings *settings_of(const struct slot *slot)
{
    return slot->pool->app->settings;
}

static void set_error(struct slot *slot, const char *error)
{
    snprintf(slot->error, sizeof(slot->error), "%s", error);
}

static uint64_t now_ms(const struct slot *slot)
{
    return uv_now(&slot->pool->app->loop);
}

/* --- waiting for the next attempt -------------------------------------------------------- */

static bool pool_has_session(const struct pool *pool)
{
    for (uint32_t i = 0; i < pool->n_used; i++) {
        if (pool->slots[i].state == SLOT_UP) {
            return true;
        }
    }
    return false;
}

/* Tells whether the limits to trying are reached; one session that lives is success enough. */
static bool slot_gives_up(const struct slot *slot)
{
    const struct settings *settings = settings_of(slot);

    if (pool_has_session(slot->pool)) {
        return false;
    }
    return (settings->retry_max > 0 && slot->attempt >= settings->retry_max) ||
           (settings->retry_max_time > 0 &&
            now_ms(slot) - slot->failing_since_ms >= settings->retry_max_time);
}

static void on_retry(uv_timer_t *timer)
{
    slot_dial(timer->data);
}

static void slot_wait(struct slot *slot)
{
    const struct settings *settings = settings_of(slot);
    uint32_t delay;

    slot->attempt++;
    if (slot->attempt == 1) {
        slot->failing_since_ms = now_ms(slot);
    }
    if (slot_gives_up(slot)) {
        char why[LINK_ERROR_TEXT + 40];
        snprintf(why, sizeof(why), "gave up after %u attempt%s: %s", slot->attempt,
                 slot->attempt == 1 ? "" : "s", slot->error);
        app_stop(slot->pool->app, EX_UNAVAILABLE, why);
        return;
    }
    delay =
        backoff_delay_ms(settings->retry_min, settings->retry_cap, slot->attempt, random_bits());
    slot->state = SLOT_WAITING;
    LOG_EVENT(LEVEL_INFO, "client", "retry", LOG_MS("in", delay), LOG_U64("attempt", slot->attempt),
              LOG_MS("cap", settings->retry_cap));
    uv_timer_start(&slot->retry, on_retry, delay, 0);
}

/* --- sessions ---------------------------------------------------------------------------- */

static void on_greeted(struct link *link)
{
    ((struct slot *)link->owner)->pool->spoke_smux = true;
}

/* A peer that does not speak our smux is not worth trying again, if it is the first we meet:
 * most likely the address is wrong. Later it may be a restart or an upgrade. */
static bool is_wrong_peer(const struct slot *slot, const struct link *link)
{
    return !slot->pool->spoke_smux && smux_engine_error(link->engine) == SMUX_EPROTO;
}

static void on_down(struct link *link)
{
    struct slot *slot = link->owner;
    uint64_t lived = now_ms(slot) - link->since_ms;

    slot->link = NULL;
    slot->state = SLOT_IDLE;
    if (smux_engine_error(link->engine) == SMUX_ECLOSED) {
        return; /* by --idle-timeout: the next connection wakes the slot */
    }
    link_error_text(link, slot->error, sizeof(slot->error));
    if (slot->pool->closing) {
        return;
    }
    if (is_wrong_peer(slot, link)) {
        app_stop(slot->pool->app, EX_PROTOCOL, slot->error);
        return;
    }
    if (lived >= SUCCESS_MS) {
        slot->attempt = 0;
    }
    slot_wait(slot);
    slot->pool->room(slot->pool->owner); /* who waited for this session may take another */
}

/* In plain mode only the client opens streams. */
static void on_stream(struct link *link, smux_estream *stream)
{
    link_refuse_stream(link, stream, "the server opened it");
}

static void on_room(struct link *link)
{
    struct pool *pool = ((struct slot *)link->owner)->pool;

    pool->room(pool->owner);
}

static const struct link_ops link_events = {on_stream, on_greeted, on_down, on_room};

/* --- connecting -------------------------------------------------------------------------- */

static bool is_local_socket(int fd)
{
    struct endpoint_address peer = {.len = sizeof(peer.sa)};

    return getpeername(fd, (struct sockaddr *)(void *)&peer.sa, &peer.len) != 0 ||
           address_is_local(&peer);
}

static void warn_plaintext(struct pool *pool, int fd)
{
    if (!pool->warned && !is_local_socket(fd)) {
        pool->warned = true;
        LOG_EVENT(LEVEL_WARN, "client", "config",
                  LOG_STR("hint", "the server is outside loopback and the connection is not "
                                  "encrypted: anyone on the way can read and change it"));
    }
}

static void slot_connected(struct slot *slot, int fd)
{
    struct pool *pool = slot->pool;

    warn_plaintext(pool, fd);
    slot->remote = 0; /* the next time begins with the first again */
    slot->link = link_new(pool->app, SMUX_CLIENT, fd, &link_events, slot);
    if (slot->link == NULL) {
        set_error(slot, "the session could not be started");
        slot_wait(slot);
        return;
    }
    slot->state = SLOT_UP;
    pool->room(pool->owner);
}

static void on_dialled(void *arg, int fd, const char *error)
{
    struct slot *slot = arg;
    const struct address *remote = &slot->pool->remotes[slot->remote];

    slot->dial = NULL;
    slot->state = SLOT_IDLE;
    if (fd >= 0) {
        slot_connected(slot, fd);
        return;
    }
    set_error(slot, error);
    link_log_failed(slot->pool->app, remote->text, error);
    if (++slot->remote < slot->pool->n_remotes) {
        slot_dial(slot);
        return;
    }
    slot->remote = 0;
    slot_wait(slot);
}

static void prepare_socket(void *arg, int fd)
{
    struct slot *slot = arg;

    socket_tune_early(fd, settings_of(slot));
}

static void slot_dial(struct slot *slot)
{
    struct app *app = slot->pool->app;
    const struct address *remote = &slot->pool->remotes[slot->remote];

    LOG_EVENT(LEVEL_DEBUG, "client", "connecting", LOG_STR("peer", remote->text));
    slot->state = SLOT_DIALLING;
    slot->dial = dial_start(&app->dials, NULL, remote, app->settings->connect_timeout,
                            prepare_socket, on_dialled, slot);
    if (slot->dial == NULL) {
        set_error(slot, "out of memory");
        slot_wait(slot);
    }
}

/* --- placing streams --------------------------------------------------------------------- */

static bool has_room(const struct slot *slot)
{
    uint32_t most = settings_of(slot)->max_streams_per_conn;

    return slot->state == SLOT_UP && (most == 0 || slot->link->n_relays < most);
}

/* The slot that is next: from `turn` on the first with room, or the one with fewest streams. */
static struct slot *choose_slot(struct pool *pool)
{
    bool first = pool->app->settings->conn_policy == POLICY_RR;
    struct slot *best = NULL;

    for (uint32_t i = 0; i < pool->n_used && (best == NULL || !first); i++) {
        struct slot *slot = &pool->slots[(pool->turn + i) % pool->n_used];
        if (has_room(slot) && (best == NULL || slot->link->n_relays < best->link->n_relays)) {
            best = slot;
        }
    }
    return best;
}

/* Tells whether a slot that is used will have a session without doing anything about it. */
static bool session_is_coming(const struct pool *pool)
{
    for (uint32_t i = 0; i < pool->n_used; i++) {
        if (pool->slots[i].state == SLOT_DIALLING || pool->slots[i].state == SLOT_WAITING) {
            return true;
        }
    }
    return false;
}

/* Wakes slots whose sessions were closed for being idle; without any it takes another slot into
 * use, because those in use are full. */
static void pool_grow(struct pool *pool)
{
    if (pool->closing || session_is_coming(pool)) {
        return;
    }
    for (uint32_t i = 0; i < pool->n_used; i++) {
        if (pool->slots[i].state == SLOT_IDLE) {
            slot_dial(&pool->slots[i]);
        }
    }
    if (!session_is_coming(pool) && pool->n_used < pool->n_slots) {
        slot_dial(&pool->slots[pool->n_used++]);
    }
}

/* Replaces a session that can open no more streams; those it has may finish. */
static void slot_renew(struct slot *slot)
{
    struct link *link = slot->link;

    slot->link = NULL;
    slot_dial(slot);
    link_retire(link);
}

int pool_open_stream(struct pool *pool, struct link **out_link, smux_estream **out_stream)
{
    struct slot *slot;

    while ((slot = choose_slot(pool)) != NULL) {
        int status = link_open_stream(slot->link, out_stream);
        if (status == SMUX_EGOAWAY) {
            slot_renew(slot);
            continue;
        }
        pool->turn = (uint32_t)(slot - pool->slots) + 1;
        *out_link = slot->link;
        return status; /* a session that has just died will tell so in its own turn */
    }
    pool_grow(pool);
    return SMUX_EAGAIN;
}

/* --- life -------------------------------------------------------------------------------- */

bool pool_init(struct pool *pool, struct app *app, const struct address *remotes, size_t n_remotes,
               void (*room)(void *owner), void *owner)
{
    *pool = (struct pool){.app = app,
                          .remotes = remotes,
                          .n_remotes = n_remotes,
                          .room = room,
                          .owner = owner,
                          .n_slots = app->settings->conn};
    pool->slots = calloc(pool->n_slots, sizeof(*pool->slots));
    if (pool->slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < pool->n_slots; i++) {
        pool->slots[i].pool = pool;
        pool->slots[i].retry.data = &pool->slots[i];
        uv_timer_init(&app->loop, &pool->slots[i].retry);
    }
    return true;
}

void pool_start(struct pool *pool)
{
    pool->n_used = pool->app->settings->max_streams_per_conn > 0 ? 1 : pool->n_slots;
    for (uint32_t i = 0; i < pool->n_used; i++) {
        slot_dial(&pool->slots[i]);
    }
}

void pool_retry(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->n_used; i++) {
        if (pool->slots[i].state == SLOT_WAITING) {
            uv_timer_stop(&pool->slots[i].retry);
            slot_dial(&pool->slots[i]);
        }
    }
}

void pool_stop(struct pool *pool)
{
    pool->closing = true;
    for (uint32_t i = 0; i < pool->n_used; i++) {
        struct slot *slot = &pool->slots[i];
        uv_timer_stop(&slot->retry);
        if (slot->dial != NULL) {
            dial_cancel(slot->dial);
            slot->dial = NULL;
        }
        if (slot->state != SLOT_UP) {
            slot->state = SLOT_IDLE;
        }
    }
}

void pool_close(struct pool *pool)
{
    if (pool->slots == NULL) {
        return;
    }
    pool_stop(pool);
    for (uint32_t i = 0; i < pool->n_slots; i++) {
        uv_close((uv_handle_t *)&pool->slots[i].retry, NULL);
    }
}

void pool_deinit(struct pool *pool)
{
    free(pool->slots);
    pool->slots = NULL;
}
