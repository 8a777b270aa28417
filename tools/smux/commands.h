/*
 * commands.h - the subcommands that take options.
 */
#ifndef TOOL_COMMANDS_H
#define TOOL_COMMANDS_H

#include "options.h"

/* Ends with NULL. */
extern const struct command *const all_commands[];

#endif
