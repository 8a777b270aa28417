/*
 * relay.h - joins one stream and one local socket.
 *
 *             read(2) into the send queue
 *   local  ------------ up ------------->  stream
 *          <----------- down ------------
 *             writev(2) of what peek shows, then consume
 *
 * Each direction is open until it has ended or broken:
 *
 *   OPEN --- the source ended, and the end was passed on ---> ENDED
 *     \----- the destination takes no more ------------------> BROKEN
 *
 * When neither is open the relay is over. What fails as a whole (the stream, the socket) ends it
 * at once. A shortened transfer never looks complete: the local socket is reset, a stream is
 * aborted. (A Unix socket knows no reset.)
 *
 * Backpressure: the socket is not read while the send queue is full, and nothing is consumed
 * that the socket did not take. So a relay holds no data itself, and a slow side stops the other
 * one by the windows in between.
 *
 * Fairness: a relay moves at most RELAY_TURN bytes a direction before others have their turn.
 */
#ifndef TOOL_RELAY_H
#define TOOL_RELAY_H

#include <smux/engine.h>

#include "address.h"
#include "dial.h"
#include "endpoint.h"

struct link;

#define RELAY_TURN (256u * 1024)

/* Reads start small, so that thousands of quiet connections cost little, and grow with the
 * traffic up to what the engine keeps in one piece. */
#define RELAY_READ_MIN 2048u
#define RELAY_READ_MAX 65536u

enum relay_half {
    HALF_OPEN,
    HALF_ENDED,
    HALF_BROKEN
};

struct relay {
    struct link *link;
    struct relay *next; /* in link->relays */
    struct relay **link_at;
    smux_estream *stream;  /* NULL once closed */
    struct endpoint local; /* valid once `joined` */
    struct dial *dial;     /* while the target is being connected */
    uv_timer_t timer;      /* of the half that remains, see relay_arm_timer() */
    uint64_t since_ms;
    uint64_t active_ms; /* when something moved last */
    uint64_t bytes_up;
    uint64_t bytes_down;
    uint32_t id;        /* of the stream, on the wire */
    uint32_t read_size; /* what the next read asks for; follows the traffic */
    int up_status;      /* of a broken `up`: what the stream said */
    enum relay_half up;
    enum relay_half down;
    bool joined;
    bool up_waits;            /* for room in the send queue */
    bool down_waits;          /* for room in the socket, or for the next turn */
    unsigned ready;           /* enum endpoint_event: told by the local side, not served yet */
    struct relay *next_ready; /* in link->ready */
    struct relay **ready_at;  /* NULL when it is not there */
    unsigned open_handles;
    char peer[ADDRESS_TEXT]; /* the local side, for the log */
};

/*
 * Makes a relay for a stream of a session; it has no local side yet, and data waits in the
 * engine. It frees itself. NULL without memory; then the stream is still the caller's.
 */
struct relay *relay_new(struct link *link, smux_estream *stream);

/* Gives it its local side, and starts. On failure the relay has ended. */
void relay_join_socket(struct relay *relay, int fd);
void relay_join_stdio(struct relay *relay);

/* Connects to a target and joins that. */
void relay_dial(struct relay *relay, const struct address *target);

/* Handles what its local side is ready for. */
void relay_serve_local(struct relay *relay);

/* Handles events of its stream (enum smux_event). */
void relay_on_event(struct relay *relay, unsigned events);

/* Handles the end of its session: delivers what arrived complete, then ends. */
void relay_on_session_end(struct relay *relay);

/* Ends it at once; `why` goes to the log. */
void relay_abort(struct relay *relay, const char *why);

#endif
