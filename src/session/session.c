/*
 * session.c - life of a session, and how calls enter and leave it.
 *
 * A session exists as long as somebody may use it: its handle, the handles of its streams, and
 * the calls inside. The last one out frees it.
 */
#include "session_internal.h"

#include "../transport/settings.h"

#include <smux/transport.h>

#include <string.h>

#define ADDRESS_SIZE 128 /* longest address kept of a session that has ended */

/* --- entering and leaving ------------------------------------------------------------------ */

void smux__session_lock(smux_session *session)
{
    smux__lock_acquire(&session->lock);
}

void smux__session_unlock(smux_session *session)
{
    struct smux__event *wakes[SMUX__WAKES];
    unsigned n = session->n_wakes;

    memcpy(wakes, session->wakes, n * sizeof(wakes[0]));
    session->n_wakes = 0;
    smux__lock_release(&session->lock);
    for (unsigned i = 0; i < n; i++) {
        smux__event_wake(wakes[i]);
    }
}

void smux__session_enter(smux_session *session)
{
    smux__session_lock(session);
    session->callers++;
}

static void session_free(smux_session *session)
{
    const struct smux_allocator *allocator = session->allocator;

    smux_engine_free(session->engine);
    smux__settings_free(allocator, session->addresses[0]);
    smux__settings_free(allocator, session->addresses[1]);
    smux__lock_deinit(&session->lock);
    smux__settings_free(allocator, session);
}

/* Sends what a call leaves, or sees to it that it will be sent. */
static void session_send(smux_session *session, enum smux__haste haste)
{
    uint8_t owed = session->served.owed;

    if (haste == SMUX__NOW || (haste < SMUX__NOW && owed == SMUX__NOW)) {
        (void)smux__io_flush(session, &smux__somebody);
    } else if (haste > owed && session->sender == NULL && smux__io_can_send(session)) {
        session->served.owed = (uint8_t)haste;
    }
}

void smux__session_leave(smux_session *session, enum smux__haste haste)
{
    session_send(session, haste);
    if (session->send_failed && !session->ended && session->receiver == NULL) {
        smux__io_give_up(session);
    }
    smux__role_find_heir(session);
    smux__serve_settle(session);
    session->callers--;
    bool last = session->callers == 0 && session->handles == 0;
    smux__session_unlock(session);
    if (last) {
        smux__background_remove(session);
        session_free(session);
    }
}

/* --- the transport ------------------------------------------------------------------------- */

void smux__session_begin_io(smux_session *session)
{
    session->io_users++;
    smux__session_unlock(session);
}

void smux__session_end_io(smux_session *session)
{
    session->io_users--;
    if (session->lingering) {
        smux__waiter_fire(session, session->drainer);
    }
    smux__session_close_transport(session);
}

static char *session_copy_address(const smux_session *session, bool remote)
{
    char text[ADDRESS_SIZE];
    const struct smux_transport *transport = &session->transport;

    if (transport->ops->address == NULL ||
        transport->ops->address(transport->ctx, remote, text, sizeof text) != SMUX_OK) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = smux__settings_alloc(session->allocator, size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void smux__session_close_transport(smux_session *session)
{
    if (!session->ended || session->lingering || session->io_users > 0 ||
        session->transport.ops == NULL) {
        return;
    }
    session->addresses[0] = session_copy_address(session, false);
    session->addresses[1] = session_copy_address(session, true);
    smux__watch_end(session);
    session->transport.ops->close(session->transport.ctx);
    session->transport.ops = NULL;
}

/* --- news from the engine ------------------------------------------------------------------ */

static void session_tell_streams(smux_session *session)
{
    unsigned events;
    smux_estream *engine_stream;

    while ((engine_stream = smux_engine_next_ready(session->engine, &events)) != NULL) {
        struct smux_stream *stream = smux_estream_user(engine_stream);
        if (stream->waiters == NULL) {
            continue;
        }
        if ((events & SMUX_EVENT_READABLE) != 0 &&
            (session->posted == NULL || session->posted->stream != stream)) { /* it is told later */
            smux__waiters_fire_readers(session, stream);
        }
        if ((events & SMUX_EVENT_WRITABLE) != 0) {
            smux__waiters_fire(session, stream->waiters, SMUX__WAIT_WRITE);
        }
    }
}

/* Everybody learns why, and the transport is closed at once (R1). */
static void session_end(smux_session *session)
{
    session->ended = true;
    smux__waiters_fire_all(session);
    smux__session_close_transport(session);
}

void smux__session_update(smux_session *session)
{
    if (session->n_waiters > 0) { /* otherwise nobody has to be told, and the list can wait */
        session_tell_streams(session);
        smux__accept_deliver(session);
    }
    if (session->drainer != NULL && smux_engine_drained(session->engine)) {
        smux__waiter_fire(session, session->drainer);
    }
    if (!session->ended && smux_engine_error(session->engine) != SMUX_OK) {
        session_end(session);
    }
}

/* --- birth --------------------------------------------------------------------------------- */

static int session_init(smux_session *session, enum smux_role role,
                        const struct smux_config *config)
{
    memset(session, 0, sizeof *session);
    session->handles = 1;
    session->allocator = config->allocator;
    session->accept_deadline_us = SMUX_NEVER;
    session->polled_until_us = SMUX_NEVER;
    session->drain_timeout_ms = config->drain_timeout_ms;
    session->busy_poll_us = config->busy_poll_us;
    session->generation = smux__port_generation;
    session->served.owed = SMUX__NOW;
    session->served.told = SMUX__NOW;
    int status =
        smux_engine_new(role, config, sizeof(struct smux_stream), smux_now_us(), &session->engine);
    if (status != SMUX_OK) {
        return status;
    }
    status = smux__lock_init(&session->lock);
    if (status != SMUX_OK) {
        smux_engine_free(session->engine);
    }
    return status;
}

/* Where the bytes of a new session go. */
struct wires {
    const struct smux_transport *transport; /* or, if NULL, */
    int fd;                                 /* a descriptor to make one of */
};

/* Joins a session and its wires. What fails last must not: the wires are the caller's until
 * nothing can go wrong any more. */
static int session_connect(smux_session *session, const struct wires *wires)
{
    int status;

    if (wires->transport == NULL) {
        status = smux__watch_begin(session, wires->fd, wires->fd);
        return status == SMUX_OK ? smux_transport_fd(wires->fd, wires->fd, &session->transport)
                                 : status;
    }
    const struct smux_transport_ops *ops = wires->transport->ops;
    void *ctx = wires->transport->ctx;
    status =
        smux__watch_begin(session, ops->fd(ctx, SMUX_WAIT_READ), ops->fd(ctx, SMUX_WAIT_WRITE));
    if (status == SMUX_OK) {
        session->transport = *wires->transport;
    }
    return status;
}

static int session_start(smux_session *session, const struct wires *wires)
{
    int status = smux__background_join(session);
    if (status != SMUX_OK) {
        return status;
    }
    smux__session_enter(session);
    status = session_connect(session, wires);
    if (status == SMUX_OK) {
        smux__session_leave(session, SMUX__NOW); /* a client may have to show itself [VER-3] */
        return SMUX_OK;
    }
    session->ended = true; /* what epoll has reported already must not be served */
    smux__watch_end(session);
    smux__session_unlock(session);
    smux__background_remove(session);
    return status;
}

static int session_make(enum smux_role role, const struct wires *wires,
                        const struct smux_config *config, smux_session **out_session)
{
    struct smux_config own;

    *out_session = NULL;
    int status = smux_config_check(config, role, NULL); /* before its allocator is used */
    if (status != SMUX_OK) {
        return status;
    }
    smux__settings_init(&own, config);
    smux_session *session = smux__settings_alloc(own.allocator, sizeof *session);
    if (session == NULL) {
        return SMUX_ENOMEM;
    }
    status = session_init(session, role, &own);
    if (status != SMUX_OK) {
        smux__settings_free(own.allocator, session);
        return status;
    }
    status = session_start(session, wires);
    if (status != SMUX_OK) {
        session_free(session);
        return status;
    }
    *out_session = session;
    return SMUX_OK;
}

int smux_session_new(enum smux_role role, const struct smux_transport *transport,
                     const struct smux_config *config, smux_session **out_session)
{
    const struct wires wires = {.transport = transport};

    return session_make(role, &wires, config, out_session);
}

static int session_make_on_fd(enum smux_role role, int fd, const struct smux_config *config,
                              smux_session **out_session)
{
    const struct wires wires = {.fd = fd};

    return session_make(role, &wires, config, out_session);
}

int smux_client(int fd, const struct smux_config *config, smux_session **out_session)
{
    return session_make_on_fd(SMUX_CLIENT, fd, config, out_session);
}

int smux_server(int fd, const struct smux_config *config, smux_session **out_session)
{
    return session_make_on_fd(SMUX_SERVER, fd, config, out_session);
}

/* --- in a forked child --------------------------------------------------------------------- */

bool smux__session_is_inherited(const smux_session *session)
{
    return session->generation != smux__port_generation;
}

/* The threads that were inside do not exist here. If one had the lock, the state may be half
 * changed and is left alone; the descriptors are closed in any case. Nothing is sent: the
 * connection is the parent's. */
void smux__session_abandon(smux_session *session)
{
    bool intact = smux__lock_try(&session->lock);

    if (--session->handles > 0) {
        if (intact) {
            smux__lock_release(&session->lock);
        }
        return;
    }
    if (session->transport.ops != NULL) {
        session->transport.ops->close(session->transport.ctx);
    }
    if (intact) {
        smux__lock_release(&session->lock);
        session_free(session);
    }
}

/* --- properties ---------------------------------------------------------------------------- */

int smux_session_error(smux_session *session)
{
    smux__session_lock(session);
    int status = smux_engine_error(session->engine);
    smux__session_unlock(session);
    return status;
}

void smux_session_error_text(smux_session *session, char *out, size_t size)
{
    if (size == 0) {
        return;
    }
    smux__session_lock(session);
    const char *text = smux_engine_error_text(session->engine);
    size_t len = strlen(text) < size ? strlen(text) : size - 1;
    memcpy(out, text, len);
    out[len] = 0;
    smux__session_unlock(session);
}

uint32_t smux_session_num_streams(smux_session *session)
{
    smux__session_lock(session);
    uint32_t n = smux_engine_num_streams(session->engine);
    smux__session_unlock(session);
    return n;
}

void smux_session_stats(smux_session *session, struct smux_session_stats *out_stats)
{
    smux__session_lock(session);
    smux_engine_stats(session->engine, out_stats);
    smux__session_unlock(session);
}

/* The address as it was when the transport was closed. */
static int session_old_address(const smux_session *session, bool remote, char *out, size_t size)
{
    const char *text = session->addresses[remote ? 1 : 0];

    if (text == NULL || strlen(text) >= size) {
        return SMUX_EINVAL;
    }
    memcpy(out, text, strlen(text) + 1);
    return SMUX_OK;
}

int smux_session_address(smux_session *session, bool remote, char *out, size_t size)
{
    int status = SMUX_EINVAL;

    smux__session_lock(session);
    const struct smux_transport *transport = &session->transport;
    if (transport->ops == NULL) {
        status = session_old_address(session, remote, out, size);
    } else if (transport->ops->address != NULL) {
        status = transport->ops->address(transport->ctx, remote, out, size);
    }
    smux__session_unlock(session);
    return status;
}
