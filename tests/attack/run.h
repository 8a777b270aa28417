/*
 * run.h - the commands `run` and `serve`, which perform an attack, and `list`, which prints the table.
 */
#ifndef ATTACK_RUN_H
#define ATTACK_RUN_H

#include <stdbool.h>

/** run or serve NAME ADDRESS VERSION SECONDS: on a server, or on the clients that connect to the
 *  address; the time begins with the first. Prints a line of JSON. Returns the exit code. */
int run_attack(int argc, char **argv, bool serves);

/** Prints a line of JSON for each attack. */
int list_attacks(void);

#endif
