/*
 * usage.h - messages for the user before there is a log, and exit codes beside <sysexits.h>.
 */
#ifndef TOOL_USAGE_H
#define TOOL_USAGE_H

/* Ended by INT, as shells count it: 128 + the signal's number. */
#define EXIT_INTERRUPTED 130

/* Prints "smux: MESSAGE" on standard error. */
void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
