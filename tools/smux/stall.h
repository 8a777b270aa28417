/*
 * stall.h - notices what goes wrong in sessions for a reason the user can do something about.
 *
 *   stalled         receiving has stopped because unread data fills the session's budget: with
 *                   version 1 one slow local program stops all streams
 *   resumed         it goes on
 *   stream.refused  the library has refused streams, because of a limit we gave it
 */
#ifndef TOOL_STALL_H
#define TOOL_STALL_H

struct app;

/* Looks at all sessions; called once a second. */
void stall_check(struct app *app);

#endif
