/*
 * relay_move.h - the data path of a relay: what can be moved now, one direction at a time.
 *
 * These functions change the state of a direction (see relay.h) and say what it waits for; they
 * do not watch, end or free anything. Each returns NULL, or why the whole relay has failed.
 */
#ifndef TOOL_RELAY_MOVE_H
#define TOOL_RELAY_MOVE_H

#include "relay.h"

/* Reads from the local side into the stream's send queue. */
const char *relay_move_up(struct relay *relay);

/* Writes what the stream has received to the local side. */
const char *relay_move_down(struct relay *relay);

#endif
