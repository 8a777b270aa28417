/*
 * help.h - what the program tells about itself.
 */
#ifndef TOOL_HELP_H
#define TOOL_HELP_H

#include <stdio.h>

/* The name of the program; a tmux launcher also installs a "smux", so it can be changed. */
#ifndef SMUX_TOOL_NAME
#define SMUX_TOOL_NAME "smux"
#endif

/* Writes the list of commands. */
void help_overview(FILE *out);

/* Runs `smux help [TOPIC]`: a command, "addresses", "exit-codes", "signals" or "options". */
int help_main(int argc, char **argv);

/* Runs `smux version`. */
int version_main(int argc, char **argv);

#endif
