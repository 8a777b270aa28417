/*
 * runs.h - runs every scenario for many seeds; each scenario is a test of its own.
 *
 *   SCENARIO=T4             this scenario alone, by the beginning of its name
 *   SEED=n                  this seed alone
 *   SEEDS=n                 so many seeds a scenario
 *   SMUX_STRESS_SECONDS=n   new seeds for so long, shared among the scenarios
 *
 * Whatever ends a test, scenario and seed are told.
 */
#ifndef SCHEDULES_RUNS_H
#define SCHEDULES_RUNS_H

#include "rng.h"

/** Runs one scenario with one seed; returns how many steps that took, if they are counted. */
typedef uint64_t runs_function(void (*scenario)(struct rng *rng), uint64_t seed);

/** The main function of a program: `seeds` of each scenario unless asked otherwise. Real threads
 *  take their time; then `seconds` in all have to do, but each scenario runs once. 0: no limit. */
int runs_main(const char *name, runs_function *run, int seeds, unsigned seconds);

#endif
