/*
 * uv.c - a connection in a libuv loop.
 *
 * A link has up to four handles: a poll handle for the read descriptor, one for the write
 * descriptor if that is another, a timer, and an idle handle for "at once". (A timer of 0 ms that
 * is set again in its own callback keeps older libuv versions from ever polling.)
 *
 * libuv closes handles asynchronously, so the link outlives the connection until the last close
 * callback.
 */
#define _GNU_SOURCE 1 /* uv.h: POSIX */

#include <smux/uv.h>

#include <stdlib.h>

struct uv_link {
    smux_conn *conn;
    uv_poll_t read_poll;
    uv_poll_t write_poll; /* used when `split` */
    uv_timer_t timer;
    uv_idle_t idle;
    bool split;            /* two descriptors */
    unsigned watched;      /* bits of enum smux_transport_event */
    unsigned open_handles; /* not yet closed */
};

/* What is watched on the read descriptor of two. */
#define OF_READER ((unsigned)(SMUX_WAIT_READ | SMUX_WAIT_HANGUP))

/* --- from libuv to the connection ---------------------------------------------------------- */

static void link_on_idle(uv_idle_t *handle)
{
    struct uv_link *link = handle->data;

    (void)uv_idle_stop(handle);
    smux_conn_on_timer(link->conn);
}

static void link_on_timer(uv_timer_t *handle)
{
    struct uv_link *link = handle->data;

    smux_conn_on_timer(link->conn);
}

/** Makes libuv poll one descriptor for `events`, bits of enum smux_transport_event. */
static void link_poll(uv_poll_t *handle, unsigned events);

/** Returns what is watched on one of the handles. */
static unsigned link_watched(const struct uv_link *link, const uv_poll_t *handle)
{
    if (!link->split) {
        return link->watched;
    }
    return link->watched & (handle == &link->read_poll ? OF_READER : SMUX_WAIT_WRITE);
}

/** Serves one handle. The connection may be freed meanwhile; the link is not, but its handles are
 *  closing then. */
static void link_on_poll(uv_poll_t *handle, int status, int events)
{
    struct uv_link *link = handle->data;
    bool failed = status < 0; /* an error at the descriptor, which reading or writing will find */
    unsigned watched = link_watched(link, handle);

    if ((watched & OF_READER) != 0 && (failed || (events & (UV_READABLE | UV_DISCONNECT)) != 0)) {
        smux_conn_on_readable(link->conn);
    }
    if (uv_is_closing((uv_handle_t *)handle)) {
        return;
    }
    if ((watched & SMUX_WAIT_WRITE) != 0 && (failed || (events & UV_WRITABLE) != 0)) {
        smux_conn_on_writable(link->conn);
    }
    if (failed && !uv_is_closing((uv_handle_t *)handle)) {
        link_poll(handle, link_watched(link, handle)); /* libuv had stopped it */
    }
}

static void link_poll(uv_poll_t *handle, unsigned events)
{
    int uv_events = 0;

    if ((events & SMUX_WAIT_READ) != 0) {
        uv_events |= UV_READABLE;
    }
    if ((events & SMUX_WAIT_HANGUP) != 0) {
        uv_events |= UV_DISCONNECT;
    }
    if ((events & SMUX_WAIT_WRITE) != 0) {
        uv_events |= UV_WRITABLE;
    }
    if (uv_events != 0) {
        (void)uv_poll_start(handle, uv_events, link_on_poll);
    } else {
        (void)uv_poll_stop(handle);
    }
}

/* --- hooks: from the connection to libuv --------------------------------------------------- */

static void link_watch(void *loop_ctx, unsigned events)
{
    struct uv_link *link = loop_ctx;

    link->watched = events;
    link_poll(&link->read_poll, link_watched(link, &link->read_poll));
    if (link->split) {
        link_poll(&link->write_poll, link_watched(link, &link->write_poll));
    }
}

static void link_timer(void *loop_ctx, uint64_t deadline_us)
{
    struct uv_link *link = loop_ctx;
    uint64_t now_us = smux_now_us();

    (void)uv_timer_stop(&link->timer);
    (void)uv_idle_stop(&link->idle);
    if (deadline_us <= now_us) {
        (void)uv_idle_start(&link->idle, link_on_idle);
    } else if (deadline_us != SMUX_NEVER) {
        /* Rounded up: libuv counts milliseconds, and an early call would only be repeated. */
        uint64_t ms = (deadline_us - now_us - 1) / 1000 + 1;
        (void)uv_timer_start(&link->timer, link_on_timer, ms, 0);
    }
}

static void link_on_close(uv_handle_t *handle)
{
    struct uv_link *link = handle->data;

    link->open_handles--;
    if (link->open_handles == 0) {
        free(link);
    }
}

/** Closes the handles that were initialised; the last one frees the link. */
static void link_detach(void *loop_ctx)
{
    struct uv_link *link = loop_ctx;
    uv_handle_t *handles[] = {(uv_handle_t *)&link->timer, (uv_handle_t *)&link->idle,
                              (uv_handle_t *)&link->read_poll, (uv_handle_t *)&link->write_poll};

    for (unsigned i = 0, n = link->open_handles; i < n; i++) {
        uv_close(handles[i], link_on_close);
    }
}

static const struct smux_loop_hooks link_hooks = {
    .watch = link_watch,
    .timer = link_timer,
    .detach = link_detach,
};

/* --- attaching ----------------------------------------------------------------------------- */

static bool link_add_poll(struct uv_link *link, uv_loop_t *loop, uv_poll_t *handle, int fd)
{
    /* Linux cannot wait for regular files: with standard input redirected from one, epoll
     * refuses it here. */
    if (uv_poll_init(loop, handle, fd) != 0) {
        return false;
    }
    handle->data = link;
    link->open_handles++;
    return true;
}

/** Initialises the handles in the order in which they are closed. */
static bool link_add_handles(struct uv_link *link, uv_loop_t *loop)
{
    const struct smux_transport *t = smux_conn_transport(link->conn);
    int read_fd = t->ops->fd(t->ctx, SMUX_WAIT_READ);
    int write_fd = t->ops->fd(t->ctx, SMUX_WAIT_WRITE);

    (void)uv_timer_init(loop, &link->timer); /* this one and the next cannot fail */
    (void)uv_idle_init(loop, &link->idle);
    link->timer.data = link;
    link->idle.data = link;
    link->open_handles = 2;
    link->split = read_fd != write_fd;
    return link_add_poll(link, loop, &link->read_poll, read_fd) &&
           (!link->split || link_add_poll(link, loop, &link->write_poll, write_fd));
}

int smux_uv_attach(smux_conn *conn, uv_loop_t *loop)
{
    struct uv_link *link = calloc(1, sizeof *link);

    if (link == NULL) {
        return SMUX_ENOMEM;
    }
    link->conn = conn;
    if (!link_add_handles(link, loop)) {
        link_detach(link);
        return SMUX_EIO;
    }
    smux_conn_attach(conn, &link_hooks, link);
    return SMUX_OK;
}
