/*
 * client.h - `smux client`: accepts local connections and carries each as a stream of a session.
 */
#ifndef TOOL_CLIENT_H
#define TOOL_CLIENT_H

#include "options.h"

extern const struct command client_command;

/* Runs the command; argv[0] is "client". Returns the exit code. */
int client_main(int argc, char **argv);

#endif
