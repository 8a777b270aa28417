/*
 * window.h - the arithmetic of version 2 windows, as pure functions [WIN-1..9, UPD-2].
 *
 * Counters are modulo 2^32; every comparison is made on widened differences, so that no wrap and
 * no value of the peer can overflow.
 */
#ifndef SMUX__WINDOW_H
#define SMUX__WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* The window that both ends assume before the first update: a constant of the protocol. */
#define SMUX__INITIAL_WINDOW 262144u
/* The largest window that Go can represent [WIN-7]. */
#define SMUX__MAX_WINDOW 0x7FFFFFFFu
/* Half of the initial window: an update is due at the latest after so much [UPD-2]. */
#define SMUX__MAX_UPDATE_STEP 131072u
/* The largest amount for whose sake a sender waits for more room [WIN-8]. */
#define SMUX__SILLY_WINDOW 1024u

static inline uint32_t smux__min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t smux__max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* What a sender knows of its window. */
struct smux__send_window {
    uint32_t acked; /* last accepted CONSUMED */
    uint32_t wnd;   /* last accepted WINDOW, at most SMUX__MAX_WINDOW */
};

enum smux__update {
    SMUX__UPDATE_TAKEN, /* stored */
    SMUX__UPDATE_SAME,  /* nothing changed */
    SMUX__UPDATE_STALE, /* older than the last one: ignored */
    SMUX__UPDATE_AHEAD  /* acknowledges bytes that were never sent */
};

/* Bytes that may be sent now; 0 when the window is used up or was shrunk [WIN-1, WIN-3, WIN-9]. */
static inline uint32_t smux__window_room(const struct smux__send_window *w, uint32_t sent)
{
    uint32_t inflight = sent - w->acked;
    int64_t room = (int64_t)w->wnd - (int64_t)inflight;

    /* Go swallows an update whose CONSUMED is 0 mod 2^32: never let it be the one that opens a
     * full window [WIN-9]. */
    if (w->acked + w->wnd == 0 && w->wnd >= 2) {
        room -= 1;
    }
    return room > 0 ? (uint32_t)room : 0;
}

/* Takes an update in [WIN-4]. `window` is already clamped. */
static inline enum smux__update smux__window_update(struct smux__send_window *w, uint32_t sent,
                                                    uint32_t consumed, uint32_t window)
{
    uint32_t inflight = sent - w->acked;
    uint32_t forward = consumed - w->acked;

    if (forward > inflight) {
        return forward >= 0x80000000u ? SMUX__UPDATE_STALE : SMUX__UPDATE_AHEAD;
    }
    if (forward == 0 && window == w->wnd) {
        return SMUX__UPDATE_SAME;
    }
    w->acked = consumed;
    w->wnd = window;
    return SMUX__UPDATE_TAKEN;
}

/* Tells whether `room` is too small to be worth a frame when `pending` bytes wait [WIN-8]. */
static inline bool smux__window_is_silly(const struct smux__send_window *w, uint32_t sent,
                                         uint32_t room, uint32_t pending)
{
    uint32_t worth = smux__min_u32(smux__min_u32(pending, SMUX__SILLY_WINDOW), w->wnd / 2);

    return sent != w->acked && room < worth;
}

/* Consumption after which a receiver that last advertised `window` owes an update [UPD-2]. */
static inline uint32_t smux__window_update_step(uint32_t window)
{
    uint32_t half = window / 2;

    return smux__min_u32(half > 0 ? half : 1, SMUX__MAX_UPDATE_STEP);
}

#endif
