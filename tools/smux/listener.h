/*
 * listener.h - listening sockets of one address, which may be several: "port" listens on
 * loopback of IPv4 and IPv6.
 *
 * When the process has no descriptors left, or the owner wants to keep the rest, accepting pauses
 * for a moment instead of spinning on a socket that stays readable; connections wait in the kernel's
 * backlog meanwhile.
 */
#ifndef TOOL_LISTENER_H
#define TOOL_LISTENER_H

#include <stdbool.h>
#include <sys/stat.h>
#include <uv.h>

#include "address.h"
#include "settings.h"

struct app;

struct listener_socket {
    struct listener *listener;
    int fd;
    bool over; /* it does not listen any more */
    uv_poll_t poll;
};

struct listener {
    struct app *app;
    enum insecure purpose;
    void (*accepted)(struct listener *listener, int fd);
    void *owner;
    /* Tells whether there are as many connections as there may be; or NULL. May be set once the listener
     * is open. */
    bool (*full)(void *owner);
    const char *unlink_path; /* a Unix socket we made, within the address; or NULL */
    struct stat made;        /* that one */
    struct listener_socket sockets[ADDRESS_MAX];
    size_t n;
    uv_timer_t resume;
    bool paused;
    bool pause_told; /* in the log; once for a shortage */
    bool open;       /* the handles exist */
};

/*
 * Listens at an address, which must stay where it is. `purpose` decides which --insecure word is
 * needed outside loopback.
 * `accepted` gets each new connection, non-blocking and close-on-exec.
 * Returns 0, or an exit code with the sentence for the user in `why`.
 */
int listener_open(struct listener *listener, struct app *app, const struct address *address,
                  enum insecure purpose, void (*accepted)(struct listener *listener, int fd),
                  void *owner, char *why, size_t why_size);

/* Stops listening. May be called twice; a listener of zeros counts as closed. */
void listener_close(struct listener *listener);

#endif
