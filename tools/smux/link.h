/*
 * link.h - one session of the tunnel: an smux_conn, the relays of its streams, and its log lines.
 *
 *   UP ---- error, end of the peer ----> DEAD -----------> freed
 *     \---- link_retire() --> RETIRED --> (drained) ----/
 *
 * When a session dies its owner is told at once, so that a new one can be made, while the link
 * itself stays until its last relay is over: data that arrived complete is still delivered.
 * A retired link takes no new streams and drains when its relays are over.
 *
 * What a peer can make happen all at once, many streams with news or many local sockets, or the end of
 * them all, is worked off in turns, see link_work.h.
 *
 * Output is not flushed at each write but once a turn of the loop, see app.h: frames of all
 * relays that had something to say leave in one system call.
 */
#ifndef TOOL_LINK_H
#define TOOL_LINK_H

#include <smux/loop.h>
#include <uv.h>

#include "address.h"
#include "dial.h"

/* Room for what link_error_text() writes. */
#define LINK_ERROR_TEXT 300

struct app;
struct bench_peer;
struct link;
struct relay;
struct source;

/* What a link tells its owner; each may be NULL. */
struct link_ops {
    /* The peer opened a stream; the callee closes it or makes a relay of it. */
    void (*stream)(struct link *link, smux_estream *stream);
    /* The first frame of the peer has arrived: it does speak smux. */
    void (*greeted)(struct link *link);
    /* The session is over; `link` must not be used afterwards. Not called after link_retire(). */
    void (*down)(struct link *link);
    /* A relay of this link is over. */
    void (*room)(struct link *link);
};

/* Streams that the library has refused since the session began. */
struct link_refusals {
    uint64_t all;
    uint64_t for_memory;
    uint64_t for_streams; /* max_remote_streams was reached */
};

enum link_state {
    LINK_UP,
    LINK_RETIRED,
    LINK_DEAD
};

struct link {
    struct app *app;
    const struct link_ops *ops;
    void *owner;
    enum smux_role role;
    smux_conn *conn;
    smux_engine *engine; /* of conn */
    struct link *next;   /* in app->links */
    struct link **at;
    struct link *next_dirty; /* in app->dirty */
    bool dirty;
    enum link_state state;
    bool greeted;
    bool draining;
    bool all_sent; /* while draining; told before the end */
    unsigned pins; /* callers that still use the link */
    uint64_t id;
    uint64_t since_ms;
    struct source *source; /* counted until the last relay is over; or NULL */
    struct relay *relays;
    uint32_t n_relays;
    struct relay *untold; /* of a dead link: the first that has not been told of the end */
    uv_idle_t work;       /* active while a turn has left something over */
    uint64_t turn;        /* of the loop, in which */
    uint64_t turn_ns;     /* so much time was used up */
    uint64_t busy_turn;   /* the last one that left something over */
    struct relay *ready;  /* relays whose local side is ready and waits to be served */
    struct relay **ready_end;
    unsigned kind;            /* of work, whose turn it is */
    struct dial_line dials;   /* of relays, that wait */
    struct bench_peer *bench; /* serves the streams instead of relays, or NULL */
    uv_timer_t timer;         /* until the first frame */
    uint64_t drained_ms;      /* when a drain had sent everything */
    uint64_t paused_since_ms; /* receiving stopped: the budget is used up; 0 = it goes on */
    bool pause_told;
    bool silence_told;
    struct link_refusals refusals_told;
    char peer[ADDRESS_TEXT];
};

/*
 * Starts a session on a connected socket, which it owns from then on, also on failure.
 * NULL on failure, which has been logged.
 */
struct link *link_new(struct app *app, enum smux_role role, int fd, const struct link_ops *ops,
                      void *owner);

/* The same on any transport. */
struct link *link_new_on(struct app *app, enum smux_role role, struct smux_transport *transport,
                         const char *peer, const struct link_ops *ops, void *owner);

/* Ends the session unless its first frame comes within this time. */
void link_expect_greeting(struct link *link, uint32_t timeout_ms);

/* Opens a stream. SMUX_OK, or why not. */
int link_open_stream(struct link *link, smux_estream **out_stream);

/* Refuses a stream that the peer opened. */
void link_refuse_stream(struct link *link, smux_estream *stream, const char *why);

/* Takes no new streams any more, and drains the session when its relays are over. */
void link_retire(struct link *link);

/* Ends the session at once. */
void link_kill(struct link *link, const char *why);

/* Ends a drained session whose peer does not close. Called once a second. */
void link_check_linger(struct link *link);

/* Writes why the session is dead, in words of the command line, and returns `out`. */
const char *link_error_text(const struct link *link, char *out, size_t size);

/* Frees the link with everything in it, at the end of the process. */
void link_destroy(struct link *link);

/* Remembers that something was written or consumed. */
void link_touch(struct link *link);

/* Sends what there is to send. */
void link_flush(struct link *link);

/* While a link is pinned it is not freed. Unpinning frees it if it is dead and nobody uses it. */
void link_pin(struct link *link);
void link_unpin(struct link *link);

/* Called by relays. */
void link_add_relay(struct link *link, struct relay *relay);
void link_remove_relay(struct link *link, struct relay *relay);

#endif
