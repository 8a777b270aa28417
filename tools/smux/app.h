/*
 * app.h - what `smux server` and `smux client` have in common: the loop, signals, the list of
 * sessions, the end of the process.
 *
 *   RUNNING --- TERM, INT ---> DRAINING --- all streams and sessions over ---> STOPPED
 *      \                          \---- a second signal, --drain-timeout ---/
 *       \---- app_stop() --------------------------------------------------/
 *
 * Each turn of the loop ends with a flush of the sessions that something was written to: before
 * the loop waits, for what timers did, and after it has served its descriptors.
 */
#ifndef TOOL_APP_H
#define TOOL_APP_H

#include <uv.h>

#include "dial.h"
#include "link.h"
#include "memory.h"
#include "settings.h"
#include "sources.h"

#define APP_SIGNALS 5

enum app_state {
    APP_RUNNING,
    APP_DRAINING,
    APP_STOPPED
};

/* What the two programs do differently; members may be NULL. */
struct app_role {
    const char *name; /* in the log */
    /* Take nothing new: stop listening, give up connecting. */
    void (*drain)(void *role);
    /* Connect again now, without waiting for the time of the next attempt. */
    void (*retry)(void *role);
    /* A relay is over; `clean` tells that both directions ended in order. */
    void (*relay_over)(void *role, bool clean);
    /* A drain ends, and has cut something; the callee may stop with another exit code. */
    void (*cut)(void *role);
    /* Close all handles; sessions have been freed. */
    void (*close)(void *role);
};

/* Counters since the start, of sessions and relays that are over. */
struct app_totals {
    uint64_t sessions;
    uint64_t streams;
    uint64_t streams_failed;
    uint64_t bytes_up;            /* from local connections to streams */
    uint64_t bytes_down;          /* from streams to local connections */
    uint64_t refused;             /* streams, by this program */
    uint64_t refused_max_streams; /* of these, by --max-streams */
    uint64_t half_close_timeouts; /* streams ended by --half-close-timeout */
    /* Connections that became no session. */
    uint64_t sessions_refused;        /* --max-sessions */
    uint64_t sessions_refused_source; /* --max-sessions-per-source */
    uint64_t sessions_refused_memory; /* --max-memory, or there was none */
    uint64_t greeting_timeouts;       /* --handshake-timeout */
    uint64_t delayed_accepts;         /* turns in which sessions waited for the end of others */
    /* Sums over sessions. */
    uint64_t glitches;
    uint64_t pauses;
    uint64_t limits[SMUX_LIMIT_COUNT];
};

/* A turn of the loop, which ends when its descriptors have been served. */
struct app_turn {
    uint64_t number;   /* not 0 */
    uint64_t end_ns;   /* used up by the end of dead sessions */
    uint64_t used_ns;  /* by living sessions */
    uint32_t busy;     /* living sessions of which the last turn has left something over, */
    uint32_t busy_now; /* and this one, so far */
    uint32_t ending;   /* the same of dead ones */
    uint32_t ending_now;
};

struct app {
    uv_loop_t loop;
    const struct settings *settings;
    const struct app_role *ops;
    void *role;
    enum app_state state;
    int exit_code;
    struct link *links;
    uint32_t n_links;
    uint32_t n_relays;
    uint32_t n_ready; /* of these, whose local side is ready and waits to be served */
    uint64_t last_link_id;
    bool cut; /* a session that was drained has not sent everything */
    struct app_turn turn;
    struct link *dirty;
    struct dial_queue dials;
    struct memory memory;
    struct sources sources; /* of a server */
    struct app_totals totals;
    uint64_t since_ms;
    uv_prepare_t before_wait;
    uv_check_t after_wait;
    uv_timer_t tick;  /* once a second: looks for sessions that stall */
    uv_timer_t limit; /* of a drain */
    uv_signal_t signals[APP_SIGNALS];
};

/* Prepares the process: loop, signals, limits, log. Returns 0 or an exit code. */
int app_init(struct app *app, const struct settings *settings, const struct app_role *ops,
             void *role);

/* Runs until it is over, and cleans up. Returns the exit code. */
int app_run(struct app *app);

/* Lets streams finish, then ends with this exit code. */
void app_drain(struct app *app, int exit_code);

/* Ends now; `why` goes to the log, and may be NULL. */
void app_stop(struct app *app, int exit_code, const char *why);

/* Called when a relay or a session is over: a drain may be, too. */
void app_check_drained(struct app *app);

/* Returns how many descriptors connections may use. */
uint32_t app_descriptor_limit(void);

#endif
