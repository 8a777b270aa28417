/*
 * random.h - the secret of a session.
 */
#ifndef SMUX_TRANSPORT_RANDOM_H
#define SMUX_TRANSPORT_RANDOM_H

#include <stdint.h>

/**
 * Returns a random number for smux_config.hash_seed, never 0. It comes from the system's
 * generator; if that fails it is only hard to guess, which costs speed under attack, not safety.
 */
uint64_t smux__random_seed(void);

#endif
