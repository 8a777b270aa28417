/*
 * agenda.c - what the background thread has to do, and when it has to be up for that.
 *
 * Timers of engines are in a heap. A session to be looked at is in one of two lists: `hurried` if output
 * of it waits, to be sent within a millisecond, else `attended`. Of a list is only noted when to look
 * through it next. The thread is woken if it would sleep longer than that, and not otherwise.
 */
#include "background.h"

/* --- with the lock of the background ------------------------------------------------------- */

void smux__agenda_wake_by(uint64_t at_us)
{
    if (at_us < smux__background.sleeps_until_us) {
        smux__background.sleeps_until_us = at_us; /* one ring is enough for many */
        smux__bell_set(&smux__background.bell, true);
    }
}

void smux__agenda_list(struct smux__served *served, bool hurried)
{
    served->hurried = hurried;
    smux__ring_append(hurried ? &smux__background.hurried : &smux__background.attended,
                      &served->node);
    *(hurried ? &smux__background.n_hurried : &smux__background.n_attended) += 1;
}

void smux__agenda_unlist(struct smux__served *served)
{
    bool hurried = served->hurried;

    smux__ring_remove(hurried ? &smux__background.hurried : &smux__background.attended,
                      &served->node);
    *(hurried ? &smux__background.n_hurried : &smux__background.n_attended) -= 1;
}

void smux__agenda_set_look(uint64_t *time_us, uint64_t at_us)
{
    if (at_us < *time_us) {
        *time_us = at_us;
        smux__agenda_wake_by(at_us);
    }
}

/* --- with the lock of the session ---------------------------------------------------------- */

#define LEASE_LOOK_US 1000 /* between two looks while a reader is away with the receiver's role */

/* Until the next look. A holder of the role who has always come back is trusted longer, while nobody
 * else waits for data: each look costs a conversation two switches of threads. */
static uint64_t agenda_interval(const smux_session *session)
{
    const struct smux__served *served = &session->served;

    return served->lease_told ? (uint64_t)LEASE_LOOK_US << served->trust : SMUX__LOOK_US;
}

void smux__agenda_attend(smux_session *session)
{
    struct smux__served *served = &session->served;
    bool hurried = served->owed > SMUX__NOW;

    smux__lock_acquire(&smux__background.lock);
    if (!served->attended) {
        served->attended = true;
        served->seen_turn = session->turn - 1;
        smux__agenda_list(served, hurried);
    } else if (hurried && !served->hurried) {
        smux__agenda_unlist(served);
        smux__agenda_list(served, true);
    }
    if (!hurried) {
        smux__agenda_set_look(&smux__background.look_at_us,
                              smux_now_us() + agenda_interval(session));
    } else if (served->owed > served->told) {
        served->told = served->owed;
        served->told_us = smux_now_us();
        smux__agenda_set_look(&smux__background.hurry_at_us,
                              served->owed == SMUX__SOON
                                  ? served->told_us + SMUX__SOON_US
                                  : smux__pace_until(&session->pace, served->told_us));
    }
    smux__lock_release(&smux__background.lock);
}

void smux__agenda_unattend(smux_session *session)
{
    if (session->served.attended) {
        session->served.attended = false;
        smux__lock_acquire(&smux__background.lock);
        smux__agenda_unlist(&session->served);
        smux__lock_release(&smux__background.lock);
    }
}

void smux__agenda_set_timer(smux_session *session, uint64_t at_us)
{
    if (session->served.timer.at_us == at_us) {
        return;
    }
    smux__lock_acquire(&smux__background.lock);
    smux__heap_set(&smux__background.timers, &session->served.timer, at_us);
    smux__agenda_wake_by(at_us);
    smux__lock_release(&smux__background.lock);
}
