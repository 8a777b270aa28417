/*
 * spin.c - with the processor: who looks again instead of sleeping, and who lets others run.
 *
 * To sleep and to be woken takes longer than many a wait for the transport. In a session that moves
 * much (its meter says so), who waits looks again and again for some microseconds first. Each kind of
 * occasion learns whether that is of use: after failures more and more of them are let pass.
 *
 * A thread that moves bytes on end yields now and then instead (struct smux__stint).
 */
#include "session_internal.h"

/* --- spinning ------------------------------------------------------------------------------ */

/* Bytes a microsecond that make a session fast: such a rate keeps a processor busy anyway. */
#define FAST_RATE 256
/* Bytes are counted for so long. */
#define METER_US 500
/* To sleep and to be woken on another processor costs about this. */
#define SPIN_US 50
/* Between two looks in version 1. */
#define LOOK_US 20
/* Occasions that are let pass, at most, while spinning is in vain. */
#define MAX_SKIP 63

void smux__spin_meter(smux_session *session, size_t len, uint64_t now_us)
{
    uint64_t elapsed_us = now_us - session->metered_us;

    session->moved += len;
    if (elapsed_us >= METER_US) {
        session->fast = session->moved / FAST_RATE >= elapsed_us;
        session->metered_us = now_us;
        session->moved = 0;
    }
}

uint64_t smux__spin_until(const smux_session *session, struct smux__spin *spin)
{
    if (!session->fast) {
        return 0;
    }
    if (spin->skip > 0) {
        spin->skip--;
        return 0;
    }
    uint64_t now_us = smux_now_us();
    return now_us - session->metered_us < 2 * METER_US ? now_us + SPIN_US : 0;
}

/* In version 2 the peer may wait for the update that comes of what is found. In version 1 only the
 * kernel waits, whose buffers are large, and each look keeps it from its socket. */
void smux__spin_pause(const smux_session *session)
{
    uint64_t until_us = 0;

    if (smux_engine_version(session->engine) == 1) {
        until_us = smux_now_us() + LOOK_US;
    }
    do {
        smux__thread_yield();
    } while (until_us != 0 && smux_now_us() < until_us);
}

void smux__spin_note(struct smux__spin *spin, bool success)
{
    spin->failures = success ? spin->failures / 2 : (spin->failures * 2 + 1) & MAX_SKIP;
    spin->skip = spin->failures;
}

/* --- rests --------------------------------------------------------------------------------- */

/* So long a thread moves bytes before it lets others run. The kernel would let it go on for a whole
 * slice, some milliseconds: those that it wakes meanwhile rarely take its processor from it. */
#define STINT_US 250
/* Who has not moved any for so long has slept, most likely, and need not. */
#define STINT_GAP_US 100

void smux__stint_rest(struct smux__stint *stint)
{
    uint64_t now_us = smux_now_us();

    if (stint->thread != smux__thread_self() || now_us - stint->seen_us > STINT_GAP_US) {
        stint->thread = smux__thread_self();
        stint->due_us = now_us + STINT_US;
    }
    stint->seen_us = now_us;
    if (now_us >= stint->due_us) {
        smux__thread_yield();
        stint->seen_us = smux_now_us();
        stint->due_us = stint->seen_us + STINT_US + (stint->seen_us - now_us);
    }
}
