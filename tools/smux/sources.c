#define _GNU_SOURCE 1

#include "sources.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "random_bits.h"

/* Writes what identifies the source; false for an address that has none. */
static bool source_of(const struct endpoint_address *address, struct source *out)
{
    const struct sockaddr_storage *sa = &address->sa;

    memset(out, 0, sizeof(*out));
    if (address_is_local(address)) {
        return false;
    }
    if (sa->ss_family == AF_INET) {
        out->key = ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
        return true;
    }
    if (sa->ss_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        out->v6 = !IN6_IS_ADDR_V4MAPPED(in6);
        memcpy(&out->key, in6->s6_addr + (out->v6 ? 0 : 12), out->v6 ? 8 : 4);
        return true;
    }
    return false;
}

/* Where the record of a source is, or would be; the seed keeps peers from choosing the bucket. */
static struct source **sources_find(struct sources *sources, const struct source *wanted)
{
    uint64_t hash = (wanted->key ^ sources->seed) * UINT64_C(0x9e3779b97f4a7c15);
    struct source **at;

    hash = (hash ^ hash >> 29 ^ sources->seed >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
    at = &sources->buckets[hash >> 32 & (SOURCE_BUCKETS - 1)];
    while (*at != NULL && ((*at)->key != wanted->key || (*at)->v6 != wanted->v6)) {
        at = &(*at)->next;
    }
    return at;
}

int sources_take(struct sources *sources, const struct endpoint_address *address, uint32_t limit,
                 struct source **out_source)
{
    struct source wanted;
    struct source **at;

    *out_source = NULL;
    if (!source_of(address, &wanted)) {
        return SMUX_OK;
    }
    if (sources->seed == 0) {
        sources->seed = random_bits() | 1;
    }
    at = sources_find(sources, &wanted);
    if (*at == NULL) {
        *at = malloc(sizeof(**at));
        if (*at == NULL) {
            return SMUX_ENOMEM;
        }
        **at = wanted;
    }
    if ((*at)->sessions >= limit) {
        return SMUX_ELIMIT;
    }
    (*at)->sessions++;
    *out_source = *at;
    return SMUX_OK;
}

void sources_release(struct sources *sources, struct source *source)
{
    struct source **at;

    if (source == NULL || --source->sessions > 0) {
        return;
    }
    at = sources_find(sources, source);
    *at = source->next;
    free(source);
}
