/*
 * test_table.c - the stream table against a plain array, and ids chosen to hurt [R11].
 */
#include "engine/stream.h"
#include "engine/table.h"
#include "support/heap.h"
#include "support/must.h"
#include "support/rng.h"
#include "support/suite.h"

#include <string.h>

#define N_IDS 3000u

struct fixture {
    struct heap heap;
    struct smux__table table;
    struct smux_estream *streams; /* N_IDS of them */
};

static void start(struct fixture *f, uint64_t key)
{
    heap_init(&f->heap);
    smux__table_init(&f->table, key);
    f->streams = calloc(N_IDS, sizeof(f->streams[0]));
}

static void stop(struct fixture *f)
{
    smux__table_deinit(&f->table, &f->heap.allocator);
    ck_assert_uint_eq(f->heap.now, 0);
    free(f->streams);
}

START_TEST(table_behaves_as_a_plain_map)
{
    struct fixture f;
    struct rng rng;
    bool in_table[N_IDS] = {false};
    uint32_t count = 0;

    rng_seed(&rng, (uint64_t)_i);
    start(&f, rng_next(&rng));
    for (int step = suite_rounds(40000); step > 0; step--) {
        uint32_t i = rng_below(&rng, N_IDS);
        f.streams[i].id = 3 + 2 * i;
        if (in_table[i]) {
            smux__table_remove(&f.table, &f.streams[i]);
            count--;
        } else {
            ck_assert_int_eq(smux__table_add(&f.table, &f.heap.allocator, &f.streams[i]), SMUX_OK);
            count++;
        }
        in_table[i] = !in_table[i];
        uint32_t other = rng_below(&rng, N_IDS);
        ck_assert_ptr_eq(smux__table_find(&f.table, 3 + 2 * other),
                         in_table[other] ? &f.streams[other] : NULL);
        ck_assert_uint_eq(f.table.count, count);
        if (step % 5000 == 0) {
            smux__table_shrink(&f.table, &f.heap.allocator);
        }
    }
    stop(&f);
}
END_TEST

/* No probe sequence is longer than the run of slots it lies in. */
static uint32_t longest_run(const struct smux__table *table)
{
    uint32_t run = 0, longest = 0;

    for (uint32_t i = 0; i <= table->mask; i++) {
        run = table->slots[i] != NULL ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* Ids as a peer may choose them: the usual steps, powers of two, equal low or high bits. */
START_TEST(R11_patterns_of_ids_do_not_cluster)
{
    static const uint32_t steps[] = {2, 4, 1024, 1u << 16, 1u << 20, 0x9E3779B9u, 0x80000001u};

    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        struct fixture f;
        start(&f, 0x1234 + s);
        for (uint32_t i = 0; i < N_IDS; i++) {
            f.streams[i].id = i * steps[s];
            if (smux__table_find(&f.table, f.streams[i].id) == NULL) {
                (void)smux__table_add(&f.table, &f.heap.allocator, &f.streams[i]);
            }
        }
        /* Random ids make runs up to ln(n) / (a - 1 - ln(a)), 180 at this load. */
        ck_assert_uint_lt(longest_run(&f.table), 200);
        stop(&f);
    }
}
END_TEST

/* Tells whether an id has a certain slot in an empty table. */
static bool has_slot(struct fixture *f, uint32_t id, uint32_t slot)
{
    f->streams[0].id = id;
    must(smux__table_add(&f->table, &f->heap.allocator, &f->streams[0]) == SMUX_OK, "no memory");
    bool has = f->table.slots[slot] == &f->streams[0];
    smux__table_remove(&f->table, &f->streams[0]);
    return has;
}

START_TEST(R11_ids_of_somebody_who_knows_the_key_get_another_key)
{
    enum {
        SAME = 110 /* more than a probe sequence may have */
    };
    struct fixture f;
    uint32_t ids[SAME];
    uint32_t n = 0;

    start(&f, 7);
    for (uint32_t i = 0; i < 400; i++) { /* room, so that the table stays nearly empty below */
        f.streams[i].id = i;
        ck_assert_int_eq(smux__table_add(&f.table, &f.heap.allocator, &f.streams[i]), SMUX_OK);
    }
    for (uint32_t i = 0; i < 400; i++) {
        smux__table_remove(&f.table, &f.streams[i]);
    }
    for (uint32_t id = 0; n < SAME; id++) {
        if (has_slot(&f, id, 5)) {
            ids[n++] = id;
        }
    }
    uint64_t key = f.table.key;
    size_t before = f.heap.now;
    for (uint32_t i = 0; i < SAME; i++) {
        f.streams[i].id = ids[i];
        ck_assert_int_eq(smux__table_add(&f.table, &f.heap.allocator, &f.streams[i]), SMUX_OK);
    }
    ck_assert_uint_ne(f.table.key, key);
    ck_assert_uint_eq(f.heap.now, before); /* no more room is taken for it */
    for (uint32_t i = 0; i < SAME; i++) {
        ck_assert_ptr_eq(smux__table_find(&f.table, ids[i]), &f.streams[i]);
    }
    stop(&f);
}
END_TEST

START_TEST(failed_growth_changes_nothing)
{
    struct fixture f;

    start(&f, 5);
    for (uint32_t i = 0; i < 6; i++) {
        f.streams[i].id = i;
        ck_assert_int_eq(smux__table_add(&f.table, &f.heap.allocator, &f.streams[i]), SMUX_OK);
    }
    f.streams[6].id = 6;
    f.heap.fail_at = f.heap.calls + 1;
    ck_assert_int_eq(smux__table_add(&f.table, &f.heap.allocator, &f.streams[6]), SMUX_ENOMEM);
    ck_assert_ptr_null(smux__table_find(&f.table, 6));
    for (uint32_t i = 0; i < 6; i++) {
        ck_assert_ptr_eq(smux__table_find(&f.table, i), &f.streams[i]);
    }
    stop(&f);
}
END_TEST

START_TEST(shrinking_gives_memory_back)
{
    struct fixture f;

    start(&f, 6);
    for (uint32_t i = 0; i < N_IDS; i++) {
        f.streams[i].id = i;
        (void)smux__table_add(&f.table, &f.heap.allocator, &f.streams[i]);
    }
    size_t full = f.heap.now;
    for (uint32_t i = 10; i < N_IDS; i++) {
        smux__table_remove(&f.table, &f.streams[i]);
    }
    smux__table_shrink(&f.table, &f.heap.allocator);
    ck_assert_uint_lt(f.heap.now, full / 16);
    ck_assert_ptr_eq(smux__table_find(&f.table, 9), &f.streams[9]);
    stop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table");
    TCase *tc = tcase_create("table");

    tcase_add_loop_test(tc, table_behaves_as_a_plain_map, 0, 5);
    tcase_add_test(tc, R11_patterns_of_ids_do_not_cluster);
    tcase_add_test(tc, R11_ids_of_somebody_who_knows_the_key_get_another_key);
    tcase_add_test(tc, failed_growth_changes_nothing);
    tcase_add_test(tc, shrinking_gives_memory_back);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
