/*
 * target.h - the application of a victim behind plain TCP connections: where the tunnel leads.
 */
#ifndef ATTACK_TARGET_H
#define ATTACK_TARGET_H

/** Serves until standard input ends. Returns the exit code. */
int target_main(void);

#endif
