/*
 * idle.h - what must be true of a session while all threads sleep. Looks into the session layer.
 *
 *   - nobody sleeps whose condition holds, or who was told of something
 *   - somebody receives, or will, or the background watches
 *   - nothing waits to be sent that could be, and somebody watches a transport that is full
 */
#ifndef SCHEDULES_IDLE_H
#define SCHEDULES_IDLE_H

#include <smux/session.h>

/** Has a session looked at from now on, until its memory is freed. */
void idle_watch(const smux_session *session);

/** Looks at all of them; returns what is wrong, or NULL. */
const char *idle_check(void);

/** Forgets a lock that ceases to exist, and the session that has it. For the seam. */
void idle_forget(const void *lock);

#endif
