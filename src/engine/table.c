#include "table.h"

#include <string.h>

#define MIN_SLOTS 8u
/* Longer probe sequences are not left as they are. */
#define MAX_PROBE 96u

struct smux_estream *const smux__no_slots[1];

static bool has_slots(const struct smux__table *table)
{
    return table->slots != SMUX__NO_SLOTS;
}

void smux__table_init(struct smux__table *table, uint64_t key)
{
    memset(table, 0, sizeof(*table));
    table->slots = SMUX__NO_SLOTS;
    table->key = (key * 0xD1342543DE82EF95u + 0x632BE59BD9B4E019u) | 1;
}

void smux__table_deinit(struct smux__table *table, const struct smux_allocator *alloc)
{
    if (has_slots(table)) {
        alloc->free(table->slots, alloc->ctx);
        table->slots = SMUX__NO_SLOTS;
        table->mask = 0;
    }
    table->count = 0;
}

/* Returns the length of the probe sequence. */
static uint32_t table_insert(struct smux__table *table, struct smux_estream *stream)
{
    uint32_t i = smux__table_slot(table, stream->id);
    uint32_t probe = 0;

    while (table->slots[i] != NULL) {
        i = (i + 1) & table->mask;
        probe++;
    }
    table->slots[i] = stream;
    table->count++;
    return probe;
}

static int table_rehash(struct smux__table *table, const struct smux_allocator *alloc,
                        uint32_t n_slots, uint64_t key)
{
    struct smux__table old = *table;
    size_t size = (size_t)n_slots * sizeof(old.slots[0]);
    uint32_t cursor = 0;
    struct smux_estream *stream;

    table->slots = alloc->alloc(size, alloc->ctx);
    if (table->slots == NULL) {
        table->slots = old.slots;
        return SMUX_ENOMEM;
    }
    memset(table->slots, 0, size);
    table->mask = n_slots - 1;
    table->count = 0;
    table->key = key;
    while ((stream = smux__table_next(&old, &cursor)) != NULL) {
        (void)table_insert(table, stream);
    }
    smux__table_deinit(&old, alloc);
    return SMUX_OK;
}

/* After a long probe sequence: in a well filled table it is chance, and more room helps; in an
 * empty one somebody has found out about the key, and a new one helps. Failure only means that
 * the sequence stays long. */
static void table_relax(struct smux__table *table, const struct smux_allocator *alloc)
{
    uint32_t n_slots = table->mask + 1;

    if (table->count >= n_slots / 4) {
        (void)table_rehash(table, alloc, 2 * n_slots, table->key);
    } else {
        (void)table_rehash(table, alloc, n_slots, (table->key * 0xD1342543DE82EF95u + n_slots) | 1);
    }
}

int smux__table_add(struct smux__table *table, const struct smux_allocator *alloc,
                    struct smux_estream *stream)
{
    uint32_t n_slots = has_slots(table) ? table->mask + 1 : 0;

    if (table->count >= n_slots / 4 * 3) {
        int status = table_rehash(table, alloc, n_slots > 0 ? 2 * n_slots : MIN_SLOTS, table->key);
        if (status != SMUX_OK) {
            return status;
        }
    }
    if (table_insert(table, stream) > MAX_PROBE) {
        table_relax(table, alloc);
    }
    return SMUX_OK;
}

void smux__table_remove(struct smux__table *table, struct smux_estream *stream)
{
    uint32_t hole = smux__table_slot(table, stream->id);

    while (table->slots[hole] != stream) {
        hole = (hole + 1) & table->mask;
    }
    /* Close the gap: move up whatever would not be found behind a hole. */
    for (uint32_t i = (hole + 1) & table->mask; table->slots[i] != NULL;
         i = (i + 1) & table->mask) {
        uint32_t home = smux__table_slot(table, table->slots[i]->id);
        if (((i - home) & table->mask) >= ((i - hole) & table->mask)) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    table->slots[hole] = NULL;
    table->count--;
}

struct smux_estream *smux__table_next(const struct smux__table *table, uint32_t *cursor)
{
    while (*cursor <= table->mask) {
        struct smux_estream *stream = table->slots[(*cursor)++];
        if (stream != NULL) {
            return stream;
        }
    }
    return NULL;
}

void smux__table_shrink(struct smux__table *table, const struct smux_allocator *alloc)
{
    if (!has_slots(table)) {
        return;
    }
    if (table->count == 0) {
        smux__table_deinit(table, alloc);
        return;
    }
    uint32_t n_slots = table->mask + 1;
    while (n_slots > MIN_SLOTS && table->count < n_slots / 8) {
        n_slots /= 2;
    }
    if (n_slots <= table->mask) {
        (void)table_rehash(table, alloc, n_slots, table->key);
    }
}
