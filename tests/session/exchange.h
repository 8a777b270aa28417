/*
 * exchange.h - two sessions that may fail at any call, and streams that send back what they get.
 *
 * A call may fail only if the test says that something explains it. Whatever happens, bytes are
 * right, an end that is short is known to one of the two sides as a failure, and whoever waits is
 * let go after a while.
 */
#ifndef SESSION_EXCHANGE_H
#define SESSION_EXCHANGE_H

#include "ends.h"

/** The sessions that the functions below are about. */
extern struct ends ends;

/** How long calls wait; PATIENCE_MS when something may have gone wrong, which may also be that
 *  the machine is busy. */
#define PATIENCE_MS 50
extern unsigned patience_ms;

/** To be called before anything else: how long calls wait, and who tells whether something has
 *  happened that explains errors. */
void exchange_begin(unsigned patience, bool (*explains)(void));

/** Says whether a call succeeded; fails the test if it failed without a reason. */
bool fine(int status);

/** Tells whether a failure has a reason. */
bool excused(int status);

/** Makes both ends; NULL is a configuration with short times. False if that failed. */
bool open_ends(enum wire wire, const struct smux_config *config);

/** Closes both in order, if nothing went wrong; NULL are fine. */
void close_ends(void);

void abort_ends(void);

/** Opens a stream at the client with a deadline; NULL if that failed. */
smux_stream *open_stream(void);

/** Sends `len` bytes through a stream of its own and back. False if an error was reported. */
bool exchange(size_t len, size_t piece);

#endif
