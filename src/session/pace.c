/*
 * pace.c - when the output of small writes leaves.
 *
 * At once, as a rule: somebody may wait for it. But a caller who leaves a few bytes again and
 * again without waiting in between would make a system call for each of them, and that takes
 * twenty times as long as the write. So after some in a row their output is kept until it is worth
 * a call:
 *
 *      KEEP_MAX bytes have come together         this caller sends
 *      the last send was KEEP_US ago             the same; looked at with every 8th call
 *      the caller waits for something            it sends before, see smux__waiter_wait()
 *      nothing of this for KEPT_US               the background thread sends; the row may be over
 *
 * The row gets shorter, too: by half when the writer waits for something else than room. So a row
 * is what has eight small writes or more between two waits, on average.
 */
#include "session_internal.h"

#include <smux/transport.h>

/* Calls this close together come from a writer who does not wait for answers. */
#define QUICK_US 10
/* So many make a row; and it is remembered as one of twice as many at most. */
#define ROW_CALLS 8
/* So many bytes are worth a system call in any case: one full frame. */
#define KEEP_MAX 32768
/* So long they are kept by those who write on: five times what a system call takes. More saves little,
 * and a peer that has nothing else to do waits with them. */
#define KEEP_US 25
/* Reading the clock takes as long as half a write: it is done once in so many. */
#define CLOCK_CALLS 8
/* So long they are kept if nobody writes on. */
#define KEPT_US 120
/* A row may pause for so long, with nothing kept, before the background thread turns away: to call
 * it again takes a system call. */
#define PAUSE_US 400

static bool pace_is_row(const struct smux__pace *pace)
{
    return pace->row >= ROW_CALLS;
}

static uint32_t pace_kept_calls(const struct smux__pace *pace)
{
    return atomic_load_explicit(&pace->kept_calls, memory_order_relaxed);
}

/* Since when callers are known to be busy. */
static uint64_t pace_active_us(const struct smux__pace *pace)
{
    return pace->called_us > pace->sent_us ? pace->called_us : pace->sent_us;
}

/* A small write that may begin a row, or belongs to one. */
static void pace_note(struct smux__pace *pace)
{
    bool quick = true;

    if (!pace_is_row(pace)) {
        uint64_t now_us = smux_now_us();
        quick = now_us - pace_active_us(pace) < QUICK_US;
        pace->called_us = now_us;
    }
    if (!quick) {
        pace->row = 0;
    } else if (pace->row < 2 * ROW_CALLS) {
        pace->row++;
    }
}

/* One more of a row: tells whether what is kept is to be sent now. */
static bool pace_keep(struct smux__pace *pace, size_t len)
{
    uint32_t calls = pace_kept_calls(pace) + 1;

    atomic_store_explicit(&pace->kept_calls, calls, memory_order_relaxed);
    pace->kept += len;
    return pace->kept >= KEEP_MAX ||
           (calls % CLOCK_CALLS == 0 && smux_now_us() - pace->sent_us >= KEEP_US);
}

enum smux__haste smux__pace_haste(struct smux__pace *pace, size_t len)
{
    pace->writer = smux__thread_self();
    pace_note(pace);
    return !pace_is_row(pace) || pace_keep(pace, len) ? SMUX__NOW : SMUX__BEHIND;
}

void smux__pace_sent(struct smux__pace *pace, uint64_t now_us)
{
    pace->sent_us = now_us;
    atomic_store_explicit(&pace->sent_low, (uint32_t)now_us, memory_order_relaxed);
    atomic_store_explicit(&pace->kept_calls, 0, memory_order_relaxed);
    pace->kept = 0;
}

void smux__pace_wait(struct smux__pace *pace)
{
    if (pace->writer == smux__thread_self()) {
        pace->row /= 2;
    }
}

/* How long ago the last send was: modulo 71 minutes, after which one wait may be longer. */
static uint32_t pace_since_us(const struct smux__pace *pace, uint64_t now_us)
{
    uint32_t sent_low = atomic_load_explicit(&pace->sent_low, memory_order_relaxed);
    uint32_t since_us = (uint32_t)now_us - sent_low;

    return since_us > UINT32_MAX - PAUSE_US ? 0 : since_us; /* others have sent since `now_us` */
}

uint64_t smux__pace_until(const struct smux__pace *pace, uint64_t now_us)
{
    uint32_t patience_us = pace_kept_calls(pace) > 0 ? KEPT_US : PAUSE_US;
    uint32_t since_us = pace_since_us(pace, now_us);

    return since_us < patience_us ? now_us + (patience_us - since_us) : now_us;
}

void smux__pace_look(struct smux__pace *pace)
{
    uint64_t now_us = smux_now_us();

    if (pace_kept_calls(pace) < ROW_CALLS && smux__pace_until(pace, now_us) == now_us) {
        pace->row = 0;
    }
}
