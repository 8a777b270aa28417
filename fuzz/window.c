/*
 * window.c - the arithmetic of version 2 windows against integers that never wrap [WIN-1..9].
 *
 * Input: where the counters start, then steps. A sender sends what it may, and gets updates with
 * any CONSUMED and WINDOW. Positions of the oracle are 64 bits wide and start below 2^41, so that
 * an input cannot make them wrap; the engine sees their lower halves.
 */
#include "fuzz.h"

#include "engine/window.h"

#define MAX_STEPS 4096

/** The sender of docs/PROTOCOL.md 9.1 with exact positions. */
struct exact {
    int64_t sent;
    int64_t acked;
    int64_t wnd;
};

struct pair {
    struct exact exact;
    struct smux__send_window window;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_multiple(int64_t position)
{
    return position % (INT64_C(1) << 32) == 0;
}

static int64_t exact_room(const struct exact *e)
{
    int64_t edge = e->acked + e->wnd;
    int64_t room = edge - e->sent;

    if (is_multiple(edge) && e->wnd >= 2) { /* [WIN-9] */
        room--;
    }
    return room > 0 ? room : 0;
}

/* The position that the lower half `consumed` means: less than 2^31 ahead of `acked`, or older. */
static int64_t position_of(const struct exact *e, uint32_t consumed)
{
    int64_t forward = ((int64_t)consumed - e->acked) % (INT64_C(1) << 32);

    if (forward < 0) {
        forward += INT64_C(1) << 32;
    }
    return e->acked + (forward < (INT64_C(1) << 31) ? forward : forward - (INT64_C(1) << 32));
}

static enum smux__update exact_update(struct exact *e, uint32_t consumed, uint32_t window)
{
    int64_t position = position_of(e, consumed);

    if (position < e->acked) {
        return SMUX__UPDATE_STALE;
    }
    if (position > e->sent) {
        return SMUX__UPDATE_AHEAD;
    }
    if (position == e->acked && (int64_t)window == e->wnd) {
        return SMUX__UPDATE_SAME;
    }
    e->acked = position;
    e->wnd = window;
    return SMUX__UPDATE_TAKEN;
}

static void check(const struct pair *p)
{
    const struct exact *e = &p->exact;

    must(p->window.acked == (uint32_t)e->acked && p->window.wnd == (uint32_t)e->wnd,
         "acked %u, window %u", p->window.acked, p->window.wnd);
    must(smux__window_room(&p->window, (uint32_t)e->sent) == (uint64_t)exact_room(e),
         "room %u, not %lld", smux__window_room(&p->window, (uint32_t)e->sent),
         (long long)exact_room(e));
}

static void send(struct pair *p, uint32_t len)
{
    struct exact *e = &p->exact;
    int64_t edge = e->acked + e->wnd;
    int64_t part = least(len, smux__window_room(&p->window, (uint32_t)e->sent));

    e->sent += part;
    must(part == 0 || e->sent <= edge, "%lld bytes beyond the window", (long long)(e->sent - edge));
    must(part == 0 || e->sent < edge || e->wnd < 2 || !is_multiple(edge),
         "the window is full up to a multiple of 2^32"); /* [WIN-9] */
}

static void update(struct pair *p, uint32_t consumed, uint32_t window)
{
    enum smux__update expected = exact_update(&p->exact, consumed, window);
    enum smux__update verdict;
    uint32_t sent = (uint32_t)p->exact.sent;

    verdict = smux__window_update(&p->window, sent, consumed, window);
    must(verdict == expected, "update %u, %u: verdict %d, not %d", consumed, window, (int)verdict,
         (int)expected);
}

static void check_silly(const struct pair *p, uint32_t room, uint32_t pending)
{
    const struct exact *e = &p->exact;
    int64_t worth = least(least(pending, 1024), e->wnd / 2);
    bool expected = e->sent > e->acked && (int64_t)room < worth; /* [WIN-8] */

    must(smux__window_is_silly(&p->window, (uint32_t)e->sent, room, pending) == expected,
         "room %u of a window of %u for %u bytes", room, p->window.wnd, pending);
}

static void check_step(uint32_t window)
{
    int64_t half = (int64_t)window / 2;

    must(smux__window_update_step(window) == least(half > 1 ? half : 1, 131072),
         "an update of a window of %u is due after %u bytes", window,
         smux__window_update_step(window)); /* [UPD-2] */
}

static void step(struct pair *p, struct fuzz_input *in)
{
    uint8_t what = fuzz_u8(in);
    uint32_t distance = fuzz_log(in, UINT32_MAX);
    uint32_t window = fuzz_log(in, SMUX__MAX_WINDOW);

    switch (what % 6) {
    case 0:
        send(p, distance);
        break;
    case 1: /* some way on from the last position */
        update(p, p->window.acked + distance, window);
        break;
    case 2: /* some way behind what was sent */
        update(p, (uint32_t)p->exact.sent - distance, window);
        break;
    case 3: /* a window whose edge is some way from a multiple of 2^32 */
        update(p, p->window.acked, (window % 256 - 128u - p->window.acked) & SMUX__MAX_WINDOW);
        break;
    case 4:
        check_silly(p, (uint32_t)exact_room(&p->exact), distance);
        break;
    default:
        check_step(window);
        break;
    }
    check(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    int64_t start = (int64_t)(fuzz_u64(&in) % (UINT64_C(1) << 40));
    struct pair p = {{start, start, SMUX__INITIAL_WINDOW}, {(uint32_t)start, SMUX__INITIAL_WINDOW}};

    check(&p);
    for (int i = 0; i < MAX_STEPS && in.len > 0; i++) {
        step(&p, &in);
    }
    return 0;
}
