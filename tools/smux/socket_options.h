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

/* What must be set before connecting or listening: buffer sizes decide the TCP window scale. */
void socket_tune_early(int fd, const struct settings *settings);

/* Everything else, on a connected socket. Options the socket does not have are skipped. */
void socket_tune_session(int fd, const struct settings *settings);

#endif
