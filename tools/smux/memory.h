/*
 * memory.h - what the sessions of the process hold, and what is done when it is too much (L16).
 *
 *   more than 90 % of --max-memory   a server takes no new sessions
 *   more than 100 %                  sessions are throttled (smux_engine_throttle()): they hold next
 *                                    to nothing, so they are read, and read local programs, only
 *                                    as far as what that brings moves on
 *   less than 95 % again             all is as before
 *
 * Counted is what the library allocates for sessions and streams, what waits in their queues
 * included, and what the program keeps for each session, relay and dial.
 */
#ifndef TOOL_MEMORY_H
#define TOOL_MEMORY_H

#include <stdbool.h>

#include "heap.h"

struct app;

struct memory {
    struct heap heap; /* for the sessions */
    uint64_t limit;   /* 0: none */
    bool exhausted;   /* sessions are throttled */
    uint64_t times;   /* that they were */
    uint64_t told;    /* of these, in the log */
};

/* Must stay where it is while there are sessions. */
void memory_init(struct memory *memory, uint64_t limit);

/* Returns the bytes that are in use. */
uint64_t memory_used(const struct app *app);

/* Tells whether there is too little left for a new session. */
bool memory_is_scarce(const struct app *app);

/* Throttles all sessions, or ends that, if it is time. Called whenever something may have come. */
void memory_check(struct app *app);

/* Writes to the log what has changed. Called once a second. */
void memory_tell(struct app *app);

#endif
