/*
 * peer.h - one connection of a hostile peer: frames out as fast as the victim takes them, frames
 * in as they come.
 *
 * Every function that may wait returns false when the attack is over: the victim hung up, or the
 * time has passed. Scripts are loops around these.
 */
#ifndef ATTACK_PEER_H
#define ATTACK_PEER_H

#include "support/bytes.h"
#include "support/frames.h"

#include <stdbool.h>

/** The id of the stream that works beside the attack. */
#define PEER_SIDE_ID UINT32_C(0xfffffff1)

/** A stream of the same session that is used honestly: short messages, echoed one at a time. */
struct peer_side {
    bool on;
    bool waits;        /**< for the rest of an echo */
    uint32_t got;      /**< bytes of it that came */
    uint32_t consumed; /**< payload in all, for window updates */
    uint64_t sent_us;  /**< when the message left */
    uint32_t rounds;   /**< messages that came back */
    uint64_t worst_us; /**< longest time until one did */
};

struct peer {
    int fd; /**< -1 where the script makes its connections by itself */
    const char *address;
    uint32_t connections; /**< made by such a script */
    unsigned version;
    uint64_t until_us; /**< when the attack is over */
    uint64_t seed;     /**< another one for each connection, for choices of the script */
    bool deaf;         /**< reads nothing */
    bool closed;       /**< the victim hung up */
    struct bytes out;  /**< not yet taken by the connection */
    struct bytes in;   /**< not yet a whole frame */
    struct peer_side side;
    uint64_t sent;      /**< bytes */
    uint64_t received;  /**< bytes */
    uint64_t payload;   /**< bytes of PSH that came, but for those of `side` */
    uint64_t frames[5]; /**< that came, by command */
    uint32_t last_fin;  /**< id of the last FIN that came */
    char fault[160];    /**< what the victim must not have done; empty: nothing */
};

/** Connects within 5 s; false when that fails. The peer is all zero but for what the caller sets:
 *  address, version, until_us, side.on. */
bool peer_connect(struct peer *peer);

/** Closes the connection with a reset, and frees what there is. */
void peer_close(struct peer *peer);

/** Closes a descriptor with a reset, which leaves no port behind in TIME_WAIT. */
void peer_reset(int fd);

/** Tells whether the attack goes on. */
bool peer_live(const struct peer *peer);

/** Queues a frame, and sends what is queued when that is enough for a packet. */
bool peer_syn(struct peer *peer, uint32_t id);
bool peer_fin(struct peer *peer, uint32_t id);
bool peer_nop(struct peer *peer);
bool peer_upd(struct peer *peer, uint32_t id, uint32_t consumed, uint32_t window);
bool peer_header(struct peer *peer, unsigned cmd, unsigned len, uint32_t id);
bool peer_psh(struct peer *peer, uint32_t id, size_t len);
bool peer_bytes(struct peer *peer, const void *data, size_t len);

/** Tells the application of a stream what to do (app.h). */
bool peer_say(struct peer *peer, uint32_t id, char what);

/** Opens a stream and tells its application what to do. */
bool peer_open(struct peer *peer, uint32_t id, char what);

/** Sends all that is queued. */
bool peer_flush(struct peer *peer);

/** Sends all that is queued, and reads for a time. */
bool peer_wait(struct peer *peer, uint32_t ms);

/** Reads until so many bytes of payload have come in all; false also when none came for 2 s,
 *  which is a fault. */
bool peer_await_payload(struct peer *peer, uint64_t total);

/** Records what the victim must not have done; the first one counts. */
void peer_blame(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
