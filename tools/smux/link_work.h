/*
 * link_work.h - what a session has to do, in turns: to pass on the news of its streams while it
 * lives, to serve their local sockets, and to tell its relays of the end once it is dead.
 *
 * A peer can make any amount of this happen all at once. So a session has a share of each turn of
 * the loop, in time; what is left over then waits for the next turn, and other sessions have
 * theirs in between. One thing is done in any case, once a turn.
 */
#ifndef TOOL_LINK_WORK_H
#define TOOL_LINK_WORK_H

#include <stdbool.h>

struct link;
struct relay;

/* Joins the link to the loop. Who frees the link closes `link->work`. */
void link_work_init(struct link *link);

/* Whether a turn has left something over, which comes by itself. */
bool link_work_is_left(const struct link *link);

/* There is work: does it as far as the share goes, unless a turn has left something over, which comes
 * by itself. The caller has pinned the link, and is in a turn of its connection. */
void link_work_take_up(struct link *link);

/* The local side of a relay is ready: lets relay_serve_local() be called in its turn, which may be at
 * once. The caller is called by the loop, and need not pin the link. */
void link_work_take_up_local(struct link *link, struct relay *relay);

/* The relay is not to be called any more. */
void link_work_forget_local(struct link *link, struct relay *relay);

#endif
