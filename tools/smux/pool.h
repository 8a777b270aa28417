/*
 * pool.h - the sessions of a client: up to --conn of them, made again when they die.
 *
 * A slot is one of them:
 *
 *   IDLE --> DIALLING --- connected ---> UP
 *              |   ^                      |
 *            failed \                  session down
 *              v     \                    v
 *            WAITING (exponential back-off with full jitter)
 *
 * A session that --idle-timeout has closed leaves its slot IDLE until a connection wants one.
 * All slots are used from the start; with --max-streams-per-conn one is, and another one
 * whenever those in use are full.
 */
#ifndef TOOL_POOL_H
#define TOOL_POOL_H

#include <smux/engine.h>
#include <uv.h>

#include "address.h"
#include "link.h"

struct app;
struct pool;

enum slot_state {
    SLOT_IDLE,
    SLOT_DIALLING,
    SLOT_UP,
    SLOT_WAITING
};

struct slot {
    struct pool *pool;
    enum slot_state state;
    struct link *link;           /* while UP */
    struct dial *dial;           /* while DIALLING */
    size_t remote;               /* index of the address being tried */
    unsigned attempt;            /* failed ones in a row */
    uint64_t failing_since_ms;   /* when the first of them began */
    char error[LINK_ERROR_TEXT]; /* of the last one */
    uv_timer_t retry;
};

struct pool {
    struct app *app;
    const struct address *remotes;
    size_t n_remotes;
    void (*room)(void *owner); /* a session came up, or a stream of one is over */
    void *owner;
    struct slot *slots;
    uint32_t n_slots;
    uint32_t n_used; /* slots in use, from the first on */
    uint32_t turn;   /* where looking for a session begins */
    bool closing;
    bool spoke_smux; /* some peer has sent a valid frame */
    bool warned;     /* about plaintext outside loopback */
};

/* Makes a pool; false without memory. */
bool pool_init(struct pool *pool, struct app *app, const struct address *remotes, size_t n_remotes,
               void (*room)(void *owner), void *owner);

/* Starts to connect. */
void pool_start(struct pool *pool);

/*
 * Opens a stream in the session that is next by --conn-policy. Anything but SMUX_OK
 * means that there is none with room now: `room` tells when to try again.
 */
int pool_open_stream(struct pool *pool, struct link **out_link, smux_estream **out_stream);

/* Connects at once where a slot waits for its next attempt. */
void pool_retry(struct pool *pool);

/* Stops connecting; sessions that are up stay. */
void pool_stop(struct pool *pool);

/* Closes the handles. */
void pool_close(struct pool *pool);

/* Frees the slots, after the loop has closed the handles. */
void pool_deinit(struct pool *pool);

#endif
