/*
 * flow.h - stream content that is a function of a key and the offset.
 *
 * So any piece of any stream can be made and checked without storing it.
 */
#ifndef SUPPORT_FLOW_H
#define SUPPORT_FLOW_H

#include <stddef.h>
#include <stdint.h>

/** The key of one direction of one stream; `writer` is 0 or 1, the end that writes. */
uint64_t flow_key(uint64_t seed, uint32_t id, unsigned writer);

void flow_fill(uint64_t key, uint64_t offset, void *buf, size_t len);

/** Returns how many leading bytes are right: len when all are. */
size_t flow_check(uint64_t key, uint64_t offset, const void *buf, size_t len);

#endif
