/*
 * target.h - the application of a victim behind plain connections: where the tunnel leads, or
 * where it begins.
 */
#ifndef ATTACK_TARGET_H
#define ATTACK_TARGET_H

/** Serves at an address, or any port of 127.0.0.1, until standard input ends. Returns the exit code. */
int target_main(int argc, char **argv);

/** Keeps PEER_OFFERED connections to a client until standard input ends. Returns the exit code. */
int locals_main(int argc, char **argv);

#endif
