/*
 * conn.c - the life of a connection, its turns, and its dealings with owner and loop.
 */
#define _GNU_SOURCE 1 /* sys.h */

#include "conn.h"

#include "transport/settings.h"
#include "transport/sys.h"

/** How often the owner is told in one turn; a peer that reads as fast as we write must not keep
 *  the loop from its other work. */
#define CONN_ROUNDS 4

/* --- life ---------------------------------------------------------------------------------- */

static void conn_init(struct smux_conn *conn, const struct smux_config *settings)
{
    conn->allocator = settings->allocator;
    conn->drain_timeout_ms = settings->drain_timeout_ms;
    conn->read_more = 65536; /* all that an engine takes at once, as long as no flood has come */
    conn->armed_us = SMUX_NEVER;
    conn->drain_us = SMUX_NEVER;
    conn->retry_us = SMUX_NEVER;
    conn->check_us = SMUX_NEVER;
}

int smux_conn_new(enum smux_role role, const struct smux_transport *transport,
                  const struct smux_config *config, size_t user_size,
                  const struct smux_conn_events *events, void *user, smux_conn **out_conn)
{
    struct smux_config settings;

    *out_conn = NULL;
    smux__settings_init(&settings, config);
    smux_engine *engine;
    int status = smux_engine_new(role, &settings, user_size, smux_now_us(), &engine);
    if (status != SMUX_OK) {
        return status;
    }
    struct smux_conn *conn = smux__settings_alloc(settings.allocator, sizeof *conn);
    if (conn == NULL) {
        smux_engine_free(engine);
        return SMUX_ENOMEM;
    }
    *conn = (struct smux_conn){.engine = engine, .transport = *transport, .user = user};
    if (events != NULL) {
        conn->events = *events;
    }
    conn_init(conn, &settings);
    *out_conn = conn;
    return SMUX_OK;
}

/** Leaves the loop and closes the transport, if that has not happened yet. */
static void conn_release_io(struct smux_conn *conn)
{
    if (conn->attached) {
        conn->attached = false;
        conn->hooks.detach(conn->loop_ctx);
    }
    if (conn->transport.ops != NULL) {
        smux_transport_close(&conn->transport);
    }
}

void smux_conn_free(smux_conn *conn)
{
    if (conn == NULL) {
        return;
    }
    if (conn->in_turn) {
        conn->freed = true; /* the turn still needs it and frees it at its end */
        return;
    }
    conn_release_io(conn);
    smux_engine_free(conn->engine);
    smux__settings_free(conn->allocator, conn);
}

smux_engine *smux_conn_engine(smux_conn *conn)
{
    return conn->engine;
}

const struct smux_transport *smux_conn_transport(smux_conn *conn)
{
    return conn->transport.ops != NULL ? &conn->transport : NULL;
}

/* --- the loop ------------------------------------------------------------------------------ */

void smux__conn_update_watch(struct smux_conn *conn)
{
    const struct smux_transport *t = &conn->transport;
    unsigned wanted = 0;

    if (smux__conn_wants_read(conn)) {
        wanted |= SMUX_WAIT_READ;
    }
    if (conn->write_blocked) {
        wanted |= SMUX_WAIT_WRITE;
    }
    if (t->ops->events != NULL) {
        wanted = t->ops->events(t->ctx, wanted);
    }
    if (smux__conn_is_paused(conn) && !conn->hung_up) {
        wanted |= SMUX_WAIT_HANGUP;
    }
    if (conn->attached && wanted != conn->watched) {
        conn->watched = wanted;
        conn->hooks.watch(conn->loop_ctx, wanted);
    }
}

static uint64_t conn_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t conn_deadline(const struct smux_conn *conn, uint64_t now_us)
{
    uint64_t deadline_us = conn_min(conn->drain_us, conn->check_us);

    deadline_us = conn_min(deadline_us, conn->retry_us);
    if (conn->phase < SMUX__CONN_LINGERING) {
        deadline_us = conn_min(deadline_us, smux_engine_deadline(conn->engine));
    }
    return conn->news || conn->read_again ? now_us : deadline_us;
}

/** Sets the loop's timer, unless it comes early enough: an early call is harmless, and deadlines
 *  mostly move away with every frame. */
static void conn_update_timer(struct smux_conn *conn, uint64_t now_us)
{
    uint64_t deadline_us = conn_deadline(conn, now_us);

    if (conn->attached && deadline_us < conn->armed_us) {
        conn->armed_us = deadline_us;
        conn->hooks.timer(conn->loop_ctx, deadline_us);
    }
}

/* --- settling ------------------------------------------------------------------------------ */

/** Moves a drain on [END-4]. */
static void conn_settle_drain(struct smux_conn *conn, uint64_t now_us)
{
    if (conn->phase == SMUX__CONN_DRAINING && smux_engine_drained(conn->engine)) {
        conn->phase = SMUX__CONN_LINGERING;
        smux__conn_end_output(conn);
    }
    if (conn->phase == SMUX__CONN_LINGERING && conn->read_ended) {
        smux_engine_fail(conn->engine, SMUX_ECLOSED, "closed on this side");
    } else if (now_us >= conn->drain_us) {
        smux_engine_fail(conn->engine, SMUX_ECLOSED,
                         conn->phase == SMUX__CONN_LINGERING
                             ? "closed on this side; the peer did not close"
                             : "closed on this side before everything was sent");
    }
}

static bool conn_is_dead(const struct smux_conn *conn)
{
    return smux_engine_error(conn->engine) != SMUX_OK;
}

/** Draws the conclusions from what happened, and tells the loop. */
static void conn_settle(struct smux_conn *conn, uint64_t now_us)
{
    if (!conn_is_dead(conn)) {
        conn_settle_drain(conn, now_us);
        smux__conn_check_paused(conn, now_us);
    }
    if (conn_is_dead(conn)) {
        conn->news = true;
    } else if (conn->write_failed && smux__conn_wants_read(conn)) {
        conn->read_again = true;
    }
    smux__conn_update_watch(conn);
    conn_update_timer(conn, now_us);
}

/* --- the owner ----------------------------------------------------------------------------- */

static void conn_emit(struct smux_conn *conn, void (*event)(smux_conn *, void *))
{
    if (event != NULL && !conn->freed) {
        event(conn, conn->user);
    }
}

/** Returns how many frames with news for the owner have been decoded. */
static uint64_t conn_frames(const struct smux_conn *conn)
{
    struct smux_session_stats stats;

    smux_engine_stats(conn->engine, &stats);
    return stats.frames_in.syn + stats.frames_in.fin + stats.frames_in.psh + stats.frames_in.upd;
}

/** Notes what the owner is told of. Only an engine that wants no bytes may hold some back, and only
 *  then are frames worth counting. */
static void conn_note_told(struct smux_conn *conn)
{
    conn->held_back = !smux_engine_wants_read(conn->engine);
    conn->told = conn->held_back ? conn_frames(conn) : 0;
}

/** Tells whether the owner has let frames in by consuming what was before them. */
static bool conn_let_in(const struct smux_conn *conn)
{
    return conn->held_back && conn_frames(conn) != conn->told;
}

/** Tells the owner and sends what it wrote, until neither brings anything new. */
static void conn_talk(struct smux_conn *conn, uint64_t now_us)
{
    for (int round = 0; round < CONN_ROUNDS; round++) {
        conn_note_told(conn);
        conn_emit(conn, conn->events.ready);
        if (conn->freed || (!smux__conn_send(conn, now_us) && !conn_let_in(conn))) {
            return;
        }
    }
    conn->news = true;
}

/** Tells the owner about the end. What is left afterwards is the engine, for reading. */
static void conn_report_end(struct smux_conn *conn)
{
    conn->phase = SMUX__CONN_OVER;
    conn_emit(conn, conn->events.ready);
    conn_emit(conn, conn->events.closed);
    conn_release_io(conn);
}

/* --- turns --------------------------------------------------------------------------------- */

static void conn_begin_turn(struct smux_conn *conn, uint64_t now_us)
{
    conn->in_turn = true;
    conn->news = false;
    if (now_us >= conn->retry_us) {
        conn->retry_us = SMUX_NEVER;
    }
}

/** Lets the timers of the engine run. Not when everything was sent and what comes is dropped: to
 *  the engine the peer is silent then [KA-4], and drain_us is the only limit. */
static void conn_tick(struct smux_conn *conn, uint64_t now_us)
{
    if (conn->phase < SMUX__CONN_LINGERING) {
        (void)smux_engine_tick(conn->engine, now_us);
    }
}

static void conn_end_turn(struct smux_conn *conn)
{
    conn->in_turn = false;
    if (conn->freed) {
        smux_conn_free(conn);
    }
}

/** Does what has become possible: `can` has bits of enum smux_transport_event. */
static void conn_turn(struct smux_conn *conn, unsigned can)
{
    if (conn->in_turn || conn->phase == SMUX__CONN_OVER) {
        return;
    }
    uint64_t now_us = smux_now_us();
    conn_begin_turn(conn, now_us);
    if (conn->transport.ops->events != NULL) {
        can = SMUX_WAIT_READ | SMUX_WAIT_WRITE; /* either may have waited for the other */
    }
    if ((can & SMUX_WAIT_READ) != 0 && (conn->watched & SMUX_WAIT_HANGUP) != 0) {
        smux__conn_look(conn);
    }
    if ((can & SMUX_WAIT_READ) != 0 || conn->read_again) {
        smux__conn_receive(conn, now_us);
    }
    conn_tick(conn, now_us);
    if ((can & SMUX_WAIT_WRITE) != 0) {
        conn->write_blocked = false;
        (void)smux__conn_send(conn, now_us);
    }
    conn_talk(conn, now_us);
    if (!conn->freed) {
        conn_settle(conn, now_us);
    }
    if (!conn->freed && conn_is_dead(conn)) {
        conn_report_end(conn);
    }
    conn_end_turn(conn);
}

void smux_conn_on_readable(smux_conn *conn)
{
    conn_turn(conn, SMUX_WAIT_READ);
}

void smux_conn_on_writable(smux_conn *conn)
{
    conn_turn(conn, SMUX_WAIT_WRITE);
}

void smux_conn_on_timer(smux_conn *conn)
{
    conn->armed_us = SMUX_NEVER;
    conn_turn(conn, 0);
}

/* --- calls of the owner -------------------------------------------------------------------- */

void smux_conn_attach(smux_conn *conn, const struct smux_loop_hooks *hooks, void *loop_ctx)
{
    conn->hooks = *hooks;
    conn->loop_ctx = loop_ctx;
    conn->attached = true;
    smux_conn_flush(conn);
}

void smux_conn_flush(smux_conn *conn)
{
    if (conn->in_turn || conn->phase == SMUX__CONN_OVER) {
        return; /* the turn sends after the callback */
    }
    uint64_t now_us = smux_now_us();
    if (smux__conn_send(conn, now_us) || conn_let_in(conn)) {
        conn->news = true;
    }
    conn_settle(conn, now_us);
}

void smux_conn_drain(smux_conn *conn)
{
    if (conn->phase != SMUX__CONN_OPEN) {
        return;
    }
    conn->phase = SMUX__CONN_DRAINING;
    conn->drain_us = smux__sys_deadline(conn->drain_timeout_ms);
    smux_engine_drain(conn->engine);
    smux_conn_flush(conn);
}
