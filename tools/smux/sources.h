/*
 * sources.h - how many sessions there are from where (L15).
 *
 * A source is an IPv4 address, or the first 64 bits of an IPv6 address, which is what one customer
 * gets. Connections over loopback and Unix sockets have none: behind them is a program of this
 * machine, often a proxy that speaks for everybody.
 *
 * There is a record for each source that has sessions now, found through a table with a secret seed.
 */
#ifndef TOOL_SOURCES_H
#define TOOL_SOURCES_H

#include <smux/base.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"

#define SOURCE_BUCKETS 1024

struct source {
    struct source *next; /* in the bucket */
    uint64_t key;        /* prefix of the address */
    bool v6;
    uint32_t sessions;
};

/* Zeros are an empty one. */
struct sources {
    struct source *buckets[SOURCE_BUCKETS];
    uint64_t seed; /* random once there is a source */
};

/*
 * Counts a session from this address.
 *
 * Returns SMUX_OK, SMUX_ELIMIT when its source has `limit` sessions already, or SMUX_ENOMEM; then
 * nothing is counted. `out_source` is NULL for a session that has no source.
 */
int sources_take(struct sources *sources, const struct endpoint_address *address, uint32_t limit,
                 struct source **out_source);

/* Ends a session of a source, which may be NULL. */
void sources_release(struct sources *sources, struct source *source);

#endif
