/*
 * server.h - `smux server`: accepts sessions, connects each stream to a target.
 */
#ifndef TOOL_SERVER_H
#define TOOL_SERVER_H

#include "options.h"

extern const struct command server_command;

/* Runs the command; argv[0] is "server". Returns the exit code. */
int server_main(int argc, char **argv);

#endif
