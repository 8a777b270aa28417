/*
 * background.h - the state of the background, which its files share.
 *
 *   life.c        from the first session of the process to the last, and what fork does
 *   background.c  the thread: sleeps, and takes up what is due
 *   agenda.c      what is due, and when
 *   watch.c       descriptors in epoll
 *   serve.c       what is done for a session
 */
#ifndef SMUX__BACKGROUND_H
#define SMUX__BACKGROUND_H

#include "registry.h"
#include "session_internal.h"

#include "../transport/bell.h"

struct smux__background {
    struct smux__lock life; /* starting and ending the thread; taken before `lock` */
    unsigned n_sessions;    /* under `life` */
    pthread_t thread;
    int epoll_fd;
    struct smux__bell bell;

    struct smux__lock lock; /* everything below; taken after that of a session */
    struct smux__heap timers;
    struct smux__node *attended; /* sessions to be looked at now and then */
    struct smux__node *hurried;  /* sessions whose output waits */
    unsigned n_attended, n_hurried;
    uint64_t look_at_us;      /* SMUX_NEVER if there are none */
    uint64_t hurry_at_us;     /* the same for the others */
    uint64_t sleeps_until_us; /* 0: awake */
    bool stop;
    smux_session *serving;         /* taken up now */
    struct smux__event *departing; /* somebody waits for its end */
    struct smux__registry registry;
};

extern struct smux__background smux__background;

#define SMUX__LOOK_US 5000 /* between two looks at the list */
#define SMUX__SOON_US 1000 /* until output that waits is sent */

/* epoll tells the number of the session, and in the lowest bit whether it is the write descriptor
 * of two. 0 is the bell. */
#define SMUX__TAG_WRITE 1u

/* --- background.c -------------------------------------------------------------------------- */

/* What the thread does; `arg` is NULL. */
void *smux__background_run(void *arg);

/* --- agenda.c; with the lock of the background --------------------------------------------- */

/* Makes sure that the thread is up at this time. */
void smux__agenda_wake_by(uint64_t at_us);

/* Puts a session into one of the two lists, at the end, and takes it out. */
void smux__agenda_list(struct smux__served *served, bool hurried);
void smux__agenda_unlist(struct smux__served *served);

/* Has one of the two lists looked through at this time, unless that is to be before. */
void smux__agenda_set_look(uint64_t *time_us, uint64_t at_us);

/* --- agenda.c; with the lock of the session ------------------------------------------------ */

/* Has a session looked at, in time for what it owes. */
void smux__agenda_attend(smux_session *session);

/* Has it looked at no more. */
void smux__agenda_unattend(smux_session *session);

/* Has it looked at when its engine wants to be called; at SMUX_NEVER it does not. */
void smux__agenda_set_timer(smux_session *session, uint64_t at_us);

/* --- watch.c; with the lock of the session ------------------------------------------------- */

/* Watches for what `armed` says (SMUX__ARMED_*), and for nothing else. If the kernel has no memory for
 * that, the next look tries again. */
void smux__watch_arm(smux_session *session, unsigned armed);

/* --- serve.c ------------------------------------------------------------------------------- */

/* Does what a session needs; `events` are those of epoll, 0 for a look. The lock is not held. */
void smux__serve_session(smux_session *session, uint32_t events, bool of_writer);

#endif
