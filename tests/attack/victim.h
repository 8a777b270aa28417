/*
 * victim.h - a server on the session API, as a program that somebody exposes to the internet would
 * have it: a thread for each session and workers for its streams (app.h), all limits at their
 * defaults. It counts the memory of each session apart.
 *
 * Commands on standard input, each answered by a line of JSON:
 *
 *   report    counters, and the session that came closest to its limit of memory
 *   (end)     ends all sessions and prints a last report
 */
#ifndef ATTACK_VICTIM_H
#define ATTACK_VICTIM_H

/** victim VERSION [FRAME_TIMEOUT_MS [WINDOW]], where 0 is the default. Returns the exit code. */
int victim_main(int argc, char **argv);

#endif
