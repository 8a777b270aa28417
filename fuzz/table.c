/*
 * table.c - the stream table against a naive map, and its probe sequences [R11].
 *
 * Input: the key, then steps with ids of the fuzzer's choice. It sees the key, as an attacker does
 * not: even so no probe sequence may stay longer than MAX_PROBE, unless memory was missing when
 * the table wanted to do something about it.
 */
#include "fuzz.h"

#include "engine/stream.h"
#include "engine/table.h"
#include "heap.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STEPS   300
#define MAX_STREAMS 2048u
#define MAX_PROBE   96u
#define MAX_LOOKS   64u /* probe sequences that are measured at once */

struct model {
    struct heap heap;
    struct smux__table table;
    struct smux_estream *streams; /**< MAX_STREAMS of them; those in use come first */
    uint32_t num;
};

static struct smux_estream *naive_find(const struct model *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->num; i++) {
        if (m->streams[i].id == id) {
            return &m->streams[i];
        }
    }
    return NULL;
}

static void find(const struct model *m, uint32_t id)
{
    must(smux__table_find(&m->table, id) == naive_find(m, id), "id %u: wrong answer", id);
}

static void add(struct model *m, uint32_t id)
{
    uint64_t failures = m->heap.failures;
    struct smux_estream *stream = &m->streams[m->num];
    int status;

    if (m->num == MAX_STREAMS || naive_find(m, id) != NULL) {
        return;
    }
    stream->id = id;
    status = smux__table_add(&m->table, &m->heap.allocator, stream);
    must(status == SMUX_OK || m->heap.failures > failures, "add: %s", smux_status_name(status));
    if (status == SMUX_OK) {
        m->num++;
    }
    find(m, id);
}

/* The last stream takes the place of the one removed, under its own id. */
static void drop(struct model *m, uint32_t i)
{
    uint32_t id;

    if (m->num == 0) {
        return;
    }
    i %= m->num;
    id = m->streams[i].id;
    smux__table_remove(&m->table, &m->streams[i]);
    must(smux__table_find(&m->table, id) == NULL, "id %u is still there", id);
    if (i != --m->num) {
        struct smux_estream *last = &m->streams[m->num];

        smux__table_remove(&m->table, last);
        m->streams[i].id = last->id;
        must(smux__table_add(&m->table, &m->heap.allocator, &m->streams[i]) == SMUX_OK,
             "no place where there was one");
    }
}

/* --- probe sequences ----------------------------------------------------------------------- */

/* Where an id wants to be: its place in an empty table of the same size and key. */
static uint32_t home_of(const struct model *m, uint32_t id)
{
    static struct smux_estream *slots[4 * MAX_STREAMS];
    static struct smux_estream lone;
    struct smux__table empty = m->table;
    uint32_t cursor = 0;

    must(m->table.mask < 4 * MAX_STREAMS, "a table of %u slots", m->table.mask + 1);
    empty.slots = slots;
    empty.count = 0;
    lone.id = id;
    must(smux__table_add(&empty, &m->heap.allocator, &lone) == SMUX_OK, "an empty table is full");
    must(smux__table_next(&empty, &cursor) == &lone, "a lone stream is not there");
    slots[cursor - 1] = NULL;
    return cursor - 1;
}

static void check_probe(const struct model *m, uint32_t id)
{
    uint32_t home = home_of(m, id);
    uint32_t probe = 0;

    while (m->table.slots[(home + probe) & m->table.mask]->id != id) {
        probe++;
    }
    must(probe <= MAX_PROBE || m->heap.failures > 0, "id %u is %u slots from home", id, probe);
}

static void check_probes(const struct model *m)
{
    uint32_t stride = m->num / MAX_LOOKS + 1;

    for (uint32_t i = 0; i < m->num; i += stride) {
        check_probe(m, m->streams[i].id);
    }
}

/* Every stream once. */
static void walk(const struct model *m)
{
    const struct smux_estream *stream;
    uint32_t cursor = 0;
    uint32_t n = 0;

    while ((stream = smux__table_next(&m->table, &cursor)) != NULL) {
        must(stream >= m->streams && stream < m->streams + m->num, "an unknown stream");
        n++;
    }
    must(n == m->num, "a walk over %u of %u streams", n, m->num);
}

/* --- steps --------------------------------------------------------------------------------- */

static void add_series(struct model *m, struct fuzz_input *in)
{
    uint32_t id = fuzz_u32(in);
    uint32_t distance = fuzz_u32(in);

    for (uint32_t n = fuzz_u8(in); n > 0; n--, id += distance) {
        add(m, id);
    }
}

static void step(struct model *m, struct fuzz_input *in)
{
    switch (fuzz_u8(in) % 8) {
    case 0:
        add(m, fuzz_u32(in));
        break;
    case 1:
        add_series(m, in);
        break;
    case 2:
        drop(m, fuzz_u16(in));
        break;
    case 3:
        for (unsigned n = fuzz_u8(in); n > 0; n--) {
            drop(m, n * n);
        }
        break;
    case 4:
        find(m, fuzz_u32(in));
        break;
    case 5:
        smux__table_shrink(&m->table, &m->heap.allocator);
        break;
    case 6:
        m->heap.fail_at = m->heap.calls + 1 + fuzz_u8(in) % 4;
        break;
    default:
        check_probes(m);
        break;
    }
    must(m->table.count == m->num, "%u streams, not %u", m->table.count, m->num);
    must(m->num == 0 || m->num <= m->table.mask, "no slot is free");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct smux_estream streams[MAX_STREAMS];
    struct fuzz_input in = {data, size};
    struct model m = {.streams = streams};

    heap_init(&m.heap);
    smux__table_init(&m.table, fuzz_u64(&in));
    for (int i = 0; i < MAX_STEPS && in.len > 0; i++) {
        step(&m, &in);
    }
    for (uint32_t i = 0; i < m.num; i++) {
        find(&m, m.streams[i].id);
        find(&m, m.streams[i].id + 1);
    }
    check_probes(&m);
    walk(&m);
    smux__table_deinit(&m.table, &m.heap.allocator);
    must(m.heap.blocks == 0, "%zu blocks leaked", m.heap.blocks);
    return 0;
}
