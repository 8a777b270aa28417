/*
 * counters.h - all counters as log lines, for USR1.
 */
#ifndef TOOL_COUNTERS_H
#define TOOL_COUNTERS_H

struct app;

/* Writes one `counters` line for the process and one for each session. */
void counters_log(const struct app *app);

#endif
