/*
 * link_work.h - what a session has to do, in turns: to pass on the news of its streams while it
 * lives, and to tell its relays of the end once it is dead.
 *
 * A peer can make any amount of this happen all at once. A turn does a bounded part and leaves the
 * rest to the next turn of the loop, so that other sessions have theirs in between.
 */
#ifndef TOOL_LINK_WORK_H
#define TOOL_LINK_WORK_H

#include <stdbool.h>

struct link;

/* Joins the link to the loop. Who frees the link closes `link->work`. */
void link_work_init(struct link *link);

/* Whether a turn has left something over, which comes by itself. */
bool link_work_is_left(const struct link *link);

/* Does the work of a turn. The caller has pinned the link. */
void link_work_turn(struct link *link);

#endif
