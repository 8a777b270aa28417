#include "window.h"

uint32_t smux__window_room(const struct smux__send_window *w, uint32_t sent)
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

enum smux__update smux__window_update(struct smux__send_window *w, uint32_t sent, uint32_t consumed,
                                      uint32_t window)
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

bool smux__window_is_silly(const struct smux__send_window *w, uint32_t sent, uint32_t room,
                           uint32_t pending)
{
    uint32_t worth = smux__min_u32(smux__min_u32(pending, SMUX__SILLY_WINDOW), w->wnd / 2);

    return sent != w->acked && room < worth;
}

uint32_t smux__window_update_step(uint32_t window)
{
    uint32_t half = window / 2;

    return smux__min_u32(half > 0 ? half : 1, SMUX__MAX_UPDATE_STEP);
}
