/*
 * hostile_v2.c - a hostile peer against an engine of version 2 (support/hostile.h).
 *
 * fuzz-with: mutator
 */
#include "hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hostile_run(data, size, 2);
    return 0;
}
