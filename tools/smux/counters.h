/*
 * counters.h - all counters as log lines, for USR1.
 *
 *   counters  what was carried, one line for the process and one for each session
 *   limits    how often each limit acted: all of them for the process, and for each session those
 *             that did. Names as of smux_limit_name(), and those of this program.
 */
#ifndef TOOL_COUNTERS_H
#define TOOL_COUNTERS_H

struct app;
struct app_totals;
struct link;

/* Adds the counters of a session that is over to those of the process. */
void counters_add(struct app_totals *totals, const struct link *link);

void counters_log(const struct app *app);

#endif
