/*
 * smux/loop.h - a session in an event loop.
 *
 * An smux_conn joins an engine and a transport and leaves waiting to a loop of the caller's. The
 * loop is told what to watch through a table of hooks; it calls smux_conn_on_readable(),
 * smux_conn_on_writable() and smux_conn_on_timer() when something happens. Streams are used
 * through smux/engine.h with smux_conn_engine(); after writing, opening or consuming call
 * smux_conn_flush(), which defers to the end of a callback that is under way.
 *
 * One thread uses an smux_conn, the one of its loop. Adapters: smux/uv.h for libuv;
 * smux_poll_* below for programs without a loop, and tests.
 */
#ifndef SMUX_LOOP_H
#define SMUX_LOOP_H

#include <smux/base.h>
#include <smux/engine.h>
#include <smux/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A session in an event loop. */
typedef struct smux_conn smux_conn;

/** What a loop does for a connection. `loop_ctx` comes from smux_conn_attach(). */
struct smux_loop_hooks {
    /** Watch exactly these events from now on (bits of enum smux_transport_event; 0 for none) on
     *  the descriptors of the transport: level-triggered. An error or a hang-up counts as each
     *  event that is watched; a descriptor with none must not be watched at all.
     *  SMUX_WAIT_HANGUP, which is told by smux_conn_on_readable(), may be left out: a peer that goes
     *  away while nothing is read is then noticed late. */
    void (*watch)(void *loop_ctx, unsigned events);
    /** Call smux_conn_on_timer() once at this time of smux_now_us(), instead of at the time set
     *  before. A time that has passed means: in the next turn of the loop, not from within. */
    void (*timer)(void *loop_ctx, uint64_t deadline_us);
    /** The connection goes away: stop watching and free loop_ctx. */
    void (*detach)(void *loop_ctx);
};

/** What a connection tells its owner. Called from the smux_conn_on_* functions only. */
struct smux_conn_events {
    /** Something may have happened: call smux_engine_accept() and smux_engine_next_ready() until
     *  they have no more. The owner may use every function, smux_conn_free() included; that one
     *  takes effect when the call returns. */
    void (*ready)(smux_conn *conn, void *user);
    /** The session is dead, or a drain has ended: smux_engine_error() tells why, SMUX_ECLOSED
     *  after a drain. Called once, `ready` before it. Usually answered with smux_conn_free();
     *  otherwise the transport is closed on return, and what arrived can still be read. */
    void (*closed)(smux_conn *conn, void *user);
};

/**
 * Makes a connection.
 *
 * @param transport  taken over on success
 * @param user_size  as for smux_engine_new()
 * @param events     copied; members may be NULL
 * @param user       handed to the events
 * @param out_conn   to be freed with smux_conn_free(); NULL on failure
 * @return as smux_engine_new()
 */
SMUX_API int smux_conn_new(enum smux_role role, const struct smux_transport *transport,
                           const struct smux_config *config, size_t user_size,
                           const struct smux_conn_events *events, void *user, smux_conn **out_conn);

/** Joins the connection to a loop; hooks are copied. Call it once, before everything else. */
SMUX_API void smux_conn_attach(smux_conn *conn, const struct smux_loop_hooks *hooks,
                               void *loop_ctx);

/** Detaches, closes the transport, frees connection and streams. NULL is fine. */
SMUX_API void smux_conn_free(smux_conn *conn);

/** Returns the engine, which belongs to the connection. */
SMUX_API smux_engine *smux_conn_engine(smux_conn *conn);

/** Returns the transport, which belongs to the connection; NULL once `closed` has returned,
 *  because the transport is closed then. */
SMUX_API const struct smux_transport *smux_conn_transport(smux_conn *conn);

/** Sends what there is to send, as far as the transport takes it, and tells the loop what to
 *  watch. Inside a callback it only marks; the work is done when the callback returns. */
SMUX_API void smux_conn_flush(smux_conn *conn);

/** Begins the graceful end [END-4]; `closed` is called when it is done, at the latest after
 *  drain_timeout_ms. */
SMUX_API void smux_conn_drain(smux_conn *conn);

/** Tells that the read descriptor is readable, has been hung up, or has failed. */
SMUX_API void smux_conn_on_readable(smux_conn *conn);

/** Tells that the write descriptor is writable or has failed. */
SMUX_API void smux_conn_on_writable(smux_conn *conn);

/** Tells that the timer has gone off and is not set any more; earlier is harmless. */
SMUX_API void smux_conn_on_timer(smux_conn *conn);

/* --- a loop on poll(2) ------------------------------------------------------------------- */

/** A minimal loop. */
typedef struct smux_poll smux_poll;

/** Makes a loop. SMUX_OK or SMUX_ENOMEM. */
SMUX_API int smux_poll_new(smux_poll **out_poll);

/** Frees a loop; its connections must have been freed before. NULL is fine. */
SMUX_API void smux_poll_free(smux_poll *poll);

/** Attaches a connection. SMUX_OK or SMUX_ENOMEM. */
SMUX_API int smux_poll_attach(smux_poll *poll, smux_conn *conn);

/** Waits for events until `deadline_us` at the latest and serves them once. Not to be called
 *  from an event of one of its connections.
 *  SMUX_OK, SMUX_EDEADLINE when nothing happened, SMUX_EIO when poll(2) fails (errno tells). */
SMUX_API int smux_poll_run_once(smux_poll *poll, uint64_t deadline_us);

#ifdef __cplusplus
}
#endif

#endif
