/*
 * decode.h - `smux decode`: the frames of a captured byte stream, as text or JSON lines.
 */
#ifndef TOOL_DECODE_H
#define TOOL_DECODE_H

#include "options.h"

extern const struct command decode_command;

/* Runs the command; argv[0] is "decode". Returns the exit code. */
int decode_main(int argc, char **argv);

#endif
