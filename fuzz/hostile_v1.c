/*
 * hostile_v1.c - a hostile peer against an engine of version 1 (support/hostile.h).
 *
 * fuzz-with: mutator
 */
#include "hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hostile_run(data, size, 1);
    return 0;
}
