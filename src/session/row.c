/*
 * row.c - sending is left to a writer in the middle of a long turn.
 *
 *   [nobody] -- output is left, in the long turn of a writer, others have more --> [awaited]
 *       ^                                                                              |
 *       +--------- it has come, something is urgent, or its time is over --------------+
 *
 * Meanwhile the others neither send nor are woken. A session in which that is in vain tries it less
 * and less, as with spinning (spin.c).
 */
#include "session_internal.h"

/* A writer that is told that its loan was sent is back with more in so many microseconds at the latest, */
#define ROW_US 500
/* and nearly always in so many, unless it waits for an answer first. Another one can send meanwhile. */
#define QUICK_ROW_US 25
/* So many more that took longer, and to wait for them is in vain. */
#define MAX_SLOW_ROWS 8

void smux__row_end(smux_session *session)
{
    bool late = session->row_until_us > 0 && smux_now_us() >= session->row_until_us;

    if (late) {
        smux__spin_note(&session->rows, false);
    }
    session->row_until_us = 0;
}

bool smux__row_begin(smux_session *session)
{
    if (smux_engine_send_stream(session->engine) == NULL || !smux__io_can_send(session)) {
        return false;
    }
    if (session->rows.skip > 0) {
        session->rows.skip--;
        return false;
    }
    session->row_until_us = smux_now_us() + ROW_US;
    session->served.owed = SMUX__SOON; /* by the background, if that one does not come back */
    return true;
}

/* The writer has come, or something is urgent. */
static void row_close(smux_session *session)
{
    bool quick = smux_now_us() < session->row_until_us - ROW_US + QUICK_ROW_US;

    if (!quick && session->slow_rows < 2 * MAX_SLOW_ROWS) {
        session->slow_rows++;
    } else if (quick && session->slow_rows > 0) {
        session->slow_rows--;
    }
    smux__spin_note(&session->rows, session->slow_rows < MAX_SLOW_ROWS);
    session->row_until_us = 0;
}

bool smux__row_goes_on(smux_session *session)
{
    if (smux_engine_send_stream(session->engine) == NULL) {
        row_close(session);
    } else if (smux_now_us() >= session->row_until_us) {
        smux__row_end(session);
    }
    return session->row_until_us > 0;
}
