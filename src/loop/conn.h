/*
 * conn.h - inside an smux_conn: an engine, a transport, and what their owner's loop waits for.
 *
 * Everything happens in turns. A turn begins when the loop reports something:
 *
 *      receive (128 KiB at most) -> tick -> tell the owner <-> send -> settle
 *
 * While the owner is told, its calls only mark what they want; `settle` looks at the state that
 * they left behind, moves the phase on and tells the loop what to watch. Outside of a turn
 * smux_conn_flush() sends and settles, but does not call the owner: it leaves `news`, and the
 * timer brings the next turn at once.
 *
 * Phases
 *
 *      OPEN --drain--> DRAINING --all was sent--> LINGERING --peer's end, time is up--> OVER
 *       |                 |                                                              ^
 *       +------ the engine has an error --------------------------------------------------+
 *
 *      LINGERING  our direction was ended; what still arrives is dropped [END-4]
 *      OVER       the owner was told; nothing more happens
 *
 * A failed write does not end the session at once: complete data may lie in the socket. So
 * `write_failed` is set, reading goes on, and the session fails when there is nothing more to read.
 *
 * While the engine is paused (its budget is used up) nothing is read, so the loop watches for a
 * hang-up instead, and `check_us` looks after what it does not tell [KA-5]. What was noticed opens no
 * more streams. An orderly end has time; after a failure the session lives on for as long as the
 * application reads what came before.
 */
#ifndef SMUX_LOOP_CONN_H
#define SMUX_LOOP_CONN_H

#include <smux/loop.h>

/** Where a connection is in its life; see above. */
enum smux__conn_phase {
    SMUX__CONN_OPEN,
    SMUX__CONN_DRAINING,
    SMUX__CONN_LINGERING,
    SMUX__CONN_OVER
};

struct smux_conn {
    smux_engine *engine;
    struct smux_transport transport;        /**< ops is NULL once it is closed */
    const struct smux_allocator *allocator; /**< NULL: malloc */
    struct smux_conn_events events;
    void *user;

    struct smux_loop_hooks hooks;
    void *loop_ctx;
    bool attached;
    unsigned watched;  /**< what the loop watches now */
    uint64_t armed_us; /**< when the loop will call on_timer, or earlier than needed */

    enum smux__conn_phase phase;
    bool in_turn;
    bool freed;       /**< smux_conn_free() was called within the turn */
    size_t read_more; /**< bytes to ask for at once, beyond the least: none in a flood of frames */
    bool read_ended;  /**< nothing more will come */
    bool read_again;  /**< there may be bytes of which the loop cannot know */
    bool write_blocked; /**< more is to be sent when the descriptor is writable */
    bool write_failed;  /**< nothing more can be sent; `failure` tells why */
    bool hung_up;       /**< the peer has ended, or the transport failed, while we were paused */
    bool news;          /**< the owner has to be told of something */
    bool held_back;     /**< the engine wanted no bytes when the owner was told last, */
    uint64_t told;      /**< and so many frames had been decoded */

    uint32_t drain_timeout_ms;
    uint64_t drain_us; /**< when a drain ends at the latest */
    uint64_t retry_us; /**< when reading is tried again after lack of memory */
    uint64_t check_us; /**< when a paused connection is looked after */
    char failure[96];  /**< why writing failed */
};

/* --- conn_io.c ----------------------------------------------------------------------------- */

/** Feeds the engine from the transport, up to the limit of a turn. */
void smux__conn_receive(struct smux_conn *conn, uint64_t now_us);

/** Sends until the transport takes no more. Returns whether it took anything. */
bool smux__conn_send(struct smux_conn *conn, uint64_t now_us);

/** Ends our direction of the transport, once and for all. */
void smux__conn_end_output(struct smux_conn *conn);

/** Tells whether nothing is read because the budget is used up. */
bool smux__conn_is_paused(const struct smux_conn *conn);

/** Looks whether the peer is gone, without reading. */
void smux__conn_look(struct smux_conn *conn);

/** Does so for a paused connection when it is time, and ends one that lost its peer. */
void smux__conn_check_paused(struct smux_conn *conn, uint64_t now_us);

/** Tells whether the connection wants to read, as far as it knows. */
bool smux__conn_wants_read(const struct smux_conn *conn);

/* --- conn.c -------------------------------------------------------------------------------- */

/** Tells the loop what to watch, if that has changed. */
void smux__conn_update_watch(struct smux_conn *conn);

#endif
