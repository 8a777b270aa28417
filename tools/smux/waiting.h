/*
 * waiting.h - local connections for which there is no session yet, in order of arrival.
 *
 * They are not read, so nothing of what they send is taken and lost. All wait equally long, so
 * the first one is always the first whose time is up.
 */
#ifndef TOOL_WAITING_H
#define TOOL_WAITING_H

#include <stdbool.h>
#include <uv.h>

/* The waiter that stands for standard input and output. */
#define WAITING_STDIO (-1)

struct waiter;

struct waiting {
    uv_timer_t timer;
    uint32_t timeout_ms;
    void (*expired)(void *owner, int fd); /* the callee closes the socket */
    void *owner;
    struct waiter *first;
    struct waiter **end;
    uint32_t n;
};

/* Prepares an empty queue. */
void waiting_init(struct waiting *waiting, uv_loop_t *loop, uint32_t timeout_ms,
                  void (*expired)(void *owner, int fd), void *owner);

/* Adds a connection at the end; false without memory. */
bool waiting_push(struct waiting *waiting, int fd);

/* Shows the first connection; false when there is none. */
bool waiting_peek(const struct waiting *waiting, int *out_fd);

/* Removes the first connection. */
void waiting_pop(struct waiting *waiting);

/* Lets the time of all be up. */
void waiting_expire_all(struct waiting *waiting);

/* Closes the timer; the queue must be empty. */
void waiting_close(struct waiting *waiting);

#endif
