/*
 * link_log.h - the log lines of sessions.
 */
#ifndef TOOL_LINK_LOG_H
#define TOOL_LINK_LOG_H

struct app;
struct link;

/* A session is up: on the client once connected, on the server with the first frame. */
void link_log_up(const struct link *link);

/* A session is dead, and why. */
void link_log_down(const struct link *link);

/* A connection did not become a session. */
void link_log_failed(const struct app *app, const char *peer, const char *why);

#endif
