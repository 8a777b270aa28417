/*
 * poll.c - a loop on poll(2).
 *
 * The loop keeps an array of links, one for each connection. Connections come and go while they
 * are served, so a link that goes away leaves a gap in the array, which is closed before the next
 * wait; the index of a link thus stays the same while events are served.
 */
#define _GNU_SOURCE 1 /* sys.h */

#include "transport/sys.h"

#include <smux/loop.h>

#include <errno.h>
#include <stdlib.h>

struct poll_link {
    struct smux_poll *poll;
    smux_conn *conn;
    size_t index;         /* in poll->links */
    unsigned events;      /* watched; bits of enum smux_transport_event */
    uint64_t deadline_us; /* of the timer */
    int read_fd;
    int write_fd;
};

struct smux_poll {
    struct poll_link **links; /* NULL where a connection went away */
    struct pollfd *fds;       /* two for each link: reading and writing */
    size_t n;
    size_t capacity;
};

int smux_poll_new(smux_poll **out_poll)
{
    *out_poll = calloc(1, sizeof **out_poll);
    return *out_poll != NULL ? SMUX_OK : SMUX_ENOMEM;
}

void smux_poll_free(smux_poll *poll)
{
    if (poll == NULL) {
        return;
    }
    free(poll->links);
    free(poll->fds);
    free(poll);
}

/* --- hooks --------------------------------------------------------------------------------- */

static void poll_watch(void *loop_ctx, unsigned events)
{
    struct poll_link *link = loop_ctx;

    link->events = events;
}

static void poll_timer(void *loop_ctx, uint64_t deadline_us)
{
    struct poll_link *link = loop_ctx;

    link->deadline_us = deadline_us;
}

static void poll_detach(void *loop_ctx)
{
    struct poll_link *link = loop_ctx;

    link->poll->links[link->index] = NULL;
    free(link);
}

static const struct smux_loop_hooks poll_hooks = {
    .watch = poll_watch,
    .timer = poll_timer,
    .detach = poll_detach,
};

/* --- attaching ----------------------------------------------------------------------------- */

/** Makes room for one more link, so that waiting needs no memory. */
static bool poll_reserve(struct smux_poll *poll)
{
    if (poll->n < poll->capacity) {
        return true;
    }
    size_t capacity = poll->capacity != 0 ? 2 * poll->capacity : 8;
    struct poll_link **links = realloc(poll->links, capacity * sizeof(struct poll_link *));
    if (links == NULL) {
        return false;
    }
    poll->links = links;
    struct pollfd *fds = realloc(poll->fds, 2 * capacity * sizeof(struct pollfd));
    if (fds == NULL) {
        return false;
    }
    poll->fds = fds;
    poll->capacity = capacity;
    return true;
}

int smux_poll_attach(smux_poll *poll, smux_conn *conn)
{
    const struct smux_transport *t = smux_conn_transport(conn);

    struct poll_link *link = calloc(1, sizeof *link);
    if (link == NULL || !poll_reserve(poll)) {
        free(link);
        return SMUX_ENOMEM;
    }
    link->poll = poll;
    link->conn = conn;
    link->index = poll->n;
    link->deadline_us = SMUX_NEVER;
    link->read_fd = t->ops->fd(t->ctx, SMUX_WAIT_READ);
    link->write_fd = t->ops->fd(t->ctx, SMUX_WAIT_WRITE);
    poll->links[poll->n++] = link;
    smux_conn_attach(conn, &poll_hooks, link);
    return SMUX_OK;
}

/* --- waiting ------------------------------------------------------------------------------- */

static void poll_close_gaps(struct smux_poll *poll)
{
    size_t n = 0;

    for (size_t i = 0; i < poll->n; i++) {
        if (poll->links[i] != NULL) {
            poll->links[i]->index = n;
            poll->links[n++] = poll->links[i];
        }
    }
    poll->n = n;
}

/** Writes down what to wait for; a descriptor of -1 is skipped by poll, so that a hang-up of a
 *  connection that waits for nothing does not wake us again and again. */
static void poll_prepare(struct pollfd fds[2], const struct poll_link *link)
{
    bool reads = (link->events & SMUX_WAIT_READ) != 0;
    bool minds = (link->events & SMUX_WAIT_HANGUP) != 0;
    bool writes = (link->events & SMUX_WAIT_WRITE) != 0;

    fds[0] = (struct pollfd){.fd = reads || minds ? link->read_fd : -1,
                             .events = (short)((reads ? POLLIN : 0) | (minds ? POLLRDHUP : 0))};
    fds[1] = (struct pollfd){.fd = writes ? link->write_fd : -1, .events = POLLOUT};
}

/** Returns the earliest of the timers and `deadline_us`. */
static uint64_t poll_earliest(const struct smux_poll *poll, uint64_t deadline_us)
{
    for (size_t i = 0; i < poll->n; i++) {
        if (poll->links[i]->deadline_us < deadline_us) {
            deadline_us = poll->links[i]->deadline_us;
        }
    }
    return deadline_us;
}

/** Serves what poll reported for one link. Any callback may free the connection, and with it the
 *  link: so the gap is looked for each time. Returns whether anything was served. */
static bool poll_serve_link(struct smux_poll *poll, size_t i, uint64_t now_us)
{
    bool reads = poll->fds[2 * i].revents != 0; /* errors and hang-ups included */
    bool writes = poll->fds[2 * i + 1].revents != 0;
    bool due = poll->links[i] != NULL && now_us >= poll->links[i]->deadline_us;

    if (reads && poll->links[i] != NULL) {
        smux_conn_on_readable(poll->links[i]->conn);
    }
    if (writes && poll->links[i] != NULL) {
        smux_conn_on_writable(poll->links[i]->conn);
    }
    if (due && poll->links[i] != NULL) {
        poll->links[i]->deadline_us = SMUX_NEVER;
        smux_conn_on_timer(poll->links[i]->conn);
    }
    return reads || writes || due;
}

int smux_poll_run_once(smux_poll *poll, uint64_t deadline_us)
{
    bool served = false;

    poll_close_gaps(poll);
    size_t n = poll->n; /* those that attach meanwhile have their turn next time */
    for (size_t i = 0; i < n; i++) {
        poll_prepare(&poll->fds[2 * i], poll->links[i]);
    }
    int ready = smux__sys_poll_until(poll->fds, (nfds_t)(2 * n), poll_earliest(poll, deadline_us));
    if (ready < 0) {
        return errno == EINTR ? SMUX_OK : SMUX_EIO;
    }
    uint64_t now_us = smux_now_us();
    for (size_t i = 0; i < n; i++) {
        served = poll_serve_link(poll, i, now_us) || served;
    }
    return served || ready != 0 ? SMUX_OK : SMUX_EDEADLINE;
}
