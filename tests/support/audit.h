/*
 * audit.h - watches the wire of one engine and objects to what no engine may send [I10, I5].
 *
 * It decodes the bytes that the engine emits and those that reach it, without code of the
 * library, and checks:
 *   - every frame is sound (frames.h), carries the version of the session and no more payload
 *     than the configuration allows
 *   - SYN first, once, and only for ids of our own parity; others only after the peer's SYN
 *   - the accept guard: nothing for a stream of the peer before it ended [OPN-5]
 *   - at most one FIN, behind it nothing but UPD
 *   - version 2: no payload beyond the highest edge that was granted [WIN-1]
 *   - CONSUMED never goes back and never exceeds what arrived [UPD-1]
 *
 * What it learns is also the second opinion on what a stream may send and has received.
 *
 * A hostile peer may open an id again and again. From the second SYN on it cannot be told from
 * outside which life of the id a frame belongs to: then as many FINs are allowed as there were
 * SYNs, and the window, CONSUMED and the guard are not looked at.
 */
#ifndef SUPPORT_AUDIT_H
#define SUPPORT_AUDIT_H

#include <smux/engine.h>

#include "frames.h"

/* A decoder that skips payload; the rest of a frame may be in the next piece. */
struct audit_decoder {
    uint8_t head[FRAME_UPD];
    size_t have;    /**< bytes of `head` */
    size_t payload; /**< bytes of a PSH that are still to come */
    uint32_t id;    /**< of that PSH */
};

/** Ids less than this above the first one are looked up at once. */
#define AUDIT_NEAR 8192u

struct audit_stream {
    uint32_t id; /**< of a far one */
    bool syn_out, heard, fin_in;
    unsigned syns_in, fins_out;
    uint64_t syn_in_at_us; /**< when the peer's first SYN arrived */
    uint64_t sent;         /**< payload emitted */
    uint64_t received;     /**< payload that arrived */
    uint64_t acked;        /**< last accepted CONSUMED, widened */
    uint32_t window;       /**< its WINDOW */
    uint64_t edge;         /**< highest CONSUMED + WINDOW that arrived, widened */
    uint64_t consumed;     /**< last CONSUMED we emitted, widened */
};

/** Shows what passes to somebody else, too. */
struct audit_watch {
    void (*frame)(void *ctx, bool out, const struct frame *frame);
    void (*payload)(void *ctx, bool out, uint32_t id, const uint8_t *data, size_t len);
    void *ctx;
};

struct audit {
    enum smux_role role;
    unsigned version;     /**< 1 or 2 */
    uint64_t guard_us;    /**< 0 when it is off */
    uint32_t max_frame;   /**< largest payload of a PSH it may send */
    uint32_t first_id[2]; /**< smallest id of the client's and of the server's streams */
    struct audit_decoder out, in;
    struct audit_stream *streams; /**< the client's at even, the server's at odd places */
    size_t num_streams;
    struct audit_stream *far; /**< all others, in no order */
    size_t num_far;
    uint64_t frames_out;
    const struct audit_watch *watch; /**< NULL for none; set it after audit_init() */
};

void audit_init(struct audit *audit, enum smux_role role, unsigned version, uint64_t guard_us);
void audit_free(struct audit *audit);

/** The engine emitted these bytes. Returns what is wrong, NULL if nothing. */
const char *audit_out(struct audit *audit, const uint8_t *data, size_t len, uint64_t now_us);

/** These bytes are about to reach the engine. */
void audit_in(struct audit *audit, const uint8_t *data, size_t len, uint64_t now_us);

/** What is known of a stream; made at first use. */
struct audit_stream *audit_stream(struct audit *audit, uint32_t id);

/** How much the peer lets the engine send on a stream of which it has formed `sent` bytes, by the
 *  words of [WIN-1..9]. Version 2. */
uint32_t audit_room(struct audit *audit, uint32_t id, uint64_t sent);

/** The bytes that reached the engine end with a complete frame. */
bool audit_between_frames(const struct audit *audit);

#endif
