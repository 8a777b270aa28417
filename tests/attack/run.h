/*
 * run.h - the commands `run`, which performs an attack, and `list`, which prints the table.
 */
#ifndef ATTACK_RUN_H
#define ATTACK_RUN_H

/** run NAME ADDRESS VERSION SECONDS; prints a line of JSON. Returns the exit code. */
int run_attack(int argc, char **argv);

/** Prints a line of JSON for each attack. */
int list_attacks(void);

#endif
