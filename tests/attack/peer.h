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

/** Streams that a victim which is a client has open: as many local connections are made (target.c). */
#define PEER_OFFERED 256

/** A stream of the same session that is used honestly: short messages, echoed one at a time. */
struct peer_side {
    bool on;
    uint32_t id;       /**< 0 until it is open */
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
    bool serves;       /**< the victim is a client, and opens the streams */
    uint32_t own_id;   /**< the first it may open itself; no stream of the victim has such ids */
    uint32_t last_syn; /**< id of the last SYN that came */
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

/** Takes a victim that connects; false when none comes until `until_us`. */
bool peer_accept(struct peer *peer, int listener);

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

/** Opens a stream, or waits until the victim does: ids 3, 5, 7, ... of both are streams. */
bool peer_begin(struct peer *peer, uint32_t id);

/** The same, and tells its application what to do. */
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
