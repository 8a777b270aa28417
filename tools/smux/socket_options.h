/*
 * socket_options.h - what `--sockbuf`, `--tcp-nodelay`, `--notsent-lowat`, `--tcp-user-timeout`
 * and `--dscp` do to the socket of a session.
 */
#ifndef TOOL_SOCKET_OPTIONS_H
#define TOOL_SOCKET_OPTIONS_H

#include "settings.h"

/* What must be set before connecting or listening: buffer sizes decide the TCP window scale. */
void socket_tune_early(int fd, const struct settings *settings);

/* Everything else, on a connected socket. Options the socket does not have are skipped. */
void socket_tune_session(int fd, const struct settings *settings);

#endif
