/*
 * socket_options.h - what `--sockbuf`, `--tcp-nodelay`, `--notsent-lowat`, `--tcp-user-timeout`
 * and `--dscp` do to the socket of a session, and how the other sockets end.
 */
#ifndef TOOL_SOCKET_OPTIONS_H
#define TOOL_SOCKET_OPTIONS_H

#include "settings.h"

/*
 * Decides whether closing the socket is a reset. Local connections and those to targets have this
 * on until they end in order: when the process is killed the kernel closes them, and what they
 * got so far must not look complete.
 */
void socket_reset_on_close(int fd, bool reset);

/*
 * Has the kernel notice, in hours, that the host at the other end is gone. A session has its own
 * NOPs; what it carries would be kept for ever by the end that lives.
 */
void socket_probe_peer(int fd);

/* What must be set before connecting or listening: buffer sizes decide the TCP window scale. */
void socket_tune_early(int fd, const struct settings *settings);

/* Everything else, on a connected socket. Options the socket does not have are skipped. */
void socket_tune_session(int fd, const struct settings *settings);

#endif
