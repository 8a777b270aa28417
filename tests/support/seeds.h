/*
 * seeds.h - runs a scenario for very many seeds, in batches that are tests of their own.
 *
 *   SEED=n    this seed alone
 *   SEEDS=n   so many seeds
 *   FROM=n    from this one on; scripts/simulate gives each process its own
 *
 * Whatever ends a batch early, an assertion or a crash, its seed is told at the end.
 */
#ifndef SUPPORT_SEEDS_H
#define SUPPORT_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

/** Prepares so many batches; call it before the suite runs. */
void seeds_init(int batches, int default_seeds);

/** Tells whether SEED asks for one seed alone, and which. */
bool seeds_single(uint64_t *out_seed);

/** The number of seeds in all. */
uint64_t seeds_total(void);

/** Runs the seeds of one batch. */
void seeds_run(int batch, void (*run)(uint64_t seed));

/** Runs a seed; gives the hash of its trace, and tells whether frames shared the in-tray. */
typedef bool (*seeds_traced)(uint64_t seed, uint64_t *out_hash);

/** Expects the same trace of the same seed, for one seed of a hundred. */
void seeds_expect_same_traces(seeds_traced run);

/** Expects frames in the in-tray for a third of the seeds: what never gets there is tried by none. */
void seeds_expect_intray(seeds_traced run);

#endif
