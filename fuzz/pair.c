/*
 * pair.c - two engines, and the fuzzer decides everything that happens between them.
 *
 * It is the simulation of tests/support/sim.h with the input in place of the seed: a byte for each
 * decision, from the configuration over who acts next to how many bytes pass. When the input is
 * used up, a fixed seed goes on; in the end everything must have finished, and the data is exact.
 */
#include "fuzz.h"

#include "rng.h"
#include "sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t hash;

    rng_tape(data, size);
    (void)sim_run(1, &hash);
    rng_tape(NULL, 0);
    return 0;
}
