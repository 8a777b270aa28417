/*
 * table.h - stream ids to streams.
 *
 * Open addressing with linear probing over an array of pointers. The hash is keyed with a secret
 * of the session, and a probe sequence that gets too long makes the table grow or change its
 * key: ids chosen by a peer cannot make look-ups slow [R11].
 */
#ifndef SMUX__TABLE_H
#define SMUX__TABLE_H

#include "stream.h"

struct smux__table {
    struct smux_estream **slots; /* SMUX__NO_SLOTS until the first stream */
    uint32_t mask;               /* number of slots - 1 */
    uint32_t count;
    uint64_t key; /* odd */
};

/* One slot that is free for ever: a table without memory can be searched like any other. */
extern struct smux_estream *const smux__no_slots[1];
#define SMUX__NO_SLOTS ((struct smux_estream **)(uintptr_t)smux__no_slots)

void smux__table_init(struct smux__table *table, uint64_t key);
void smux__table_deinit(struct smux__table *table, const struct smux_allocator *alloc);

/* Where the probe sequence of an id begins. */
static inline uint32_t smux__table_slot(const struct smux__table *table, uint32_t id)
{
    /* Multiply-xorshift rounds keyed by addition and by the multiplier. */
    uint64_t h = ((uint64_t)id + table->key) * table->key;
    h ^= h >> 32;
    h *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32) & table->mask;
}

static inline struct smux_estream *smux__table_find(const struct smux__table *table, uint32_t id)
{
    for (uint32_t i = smux__table_slot(table, id);; i = (i + 1) & table->mask) {
        struct smux_estream *stream = table->slots[i];
        if (stream == NULL || stream->id == id) {
            return stream;
        }
    }
}

/* Adds a stream whose id is not in the table. SMUX_OK or SMUX_ENOMEM. */
int smux__table_add(struct smux__table *table, const struct smux_allocator *alloc,
                    struct smux_estream *stream);

/* Removes a stream that is in the table. */
void smux__table_remove(struct smux__table *table, struct smux_estream *stream);

/* Walks over all streams: start with *cursor = 0; NULL at the end. The stream returned may be
 * removed only when the walk starts anew. */
struct smux_estream *smux__table_next(const struct smux__table *table, uint32_t *cursor);

/* Gives memory back when few streams are left. */
void smux__table_shrink(struct smux__table *table, const struct smux_allocator *alloc);

#endif
