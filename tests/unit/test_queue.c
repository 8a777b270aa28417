/*
 * test_queue.c - the queue of bytes against a flat array, and what its chunks are charged.
 */
#include "engine/queue.h"
#include "support/heap.h"
#include "support/rng.h"
#include "support/suite.h"

#include <string.h>

#define MODEL_SIZE  (1u << 20)
#define RECORD_SIZE 200u

struct model {
    struct heap heap;
    struct smux__pool pool;
    struct smux__queue queue;
    uint8_t *bytes; /* what must be in the queue: bytes[begin, end) */
    size_t begin, end;
};

static void model_start(struct model *m)
{
    const size_t sizes[SMUX__RECORD_KINDS] = {RECORD_SIZE, 64};

    heap_init(&m->heap);
    smux__pool_init(&m->pool, &m->heap.allocator, 64u << 10, sizes);
    memset(&m->queue, 0, sizeof(m->queue));
    m->bytes = malloc(MODEL_SIZE);
    m->begin = m->end = 0;
}

static void model_stop(struct model *m)
{
    smux__queue_clear(&m->queue, &m->pool);
    ck_assert_uint_eq(m->pool.charged, 0);
    smux__pool_trim(&m->pool, 0);
    ck_assert_uint_eq(m->heap.now, 0);
    free(m->bytes);
}

static void model_append(struct model *m, struct rng *rng)
{
    size_t len = rng_log(rng, 1, 100000);

    if (m->end + len > MODEL_SIZE) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        m->bytes[m->end + i] = (uint8_t)rng_next(rng);
    }
    ck_assert_uint_eq(smux__queue_append(&m->queue, &m->pool, m->bytes + m->end, len, true), len);
    m->end += len;
}

static void model_consume(struct model *m, struct rng *rng)
{
    if (m->end > m->begin) {
        size_t len = rng_below(rng, (uint32_t)(m->end - m->begin)) + 1;
        smux__queue_consume(&m->queue, &m->pool, len, NULL);
        m->begin += len;
    }
}

static void model_compare(const struct model *m)
{
    struct smux_iov iov[64];
    int n = smux__queue_peek(&m->queue, iov, 64);
    size_t at = m->begin;

    ck_assert_uint_eq(m->queue.len, m->end - m->begin);
    for (int i = 0; i < n; i++) {
        ck_assert_uint_gt(iov[i].len, 0);
        ck_assert_uint_le(at + iov[i].len, m->end);
        ck_assert_int_eq(memcmp(iov[i].base, m->bytes + at, iov[i].len), 0);
        at += iov[i].len;
    }
    ck_assert(n == 64 || at == m->end);
}

START_TEST(queue_behaves_as_a_flat_array)
{
    struct model m;
    struct rng rng;

    rng_seed(&rng, (uint64_t)_i);
    model_start(&m);
    while (m.end + 100000 <= MODEL_SIZE) {
        if (rng_chance(&rng, 60)) {
            model_append(&m, &rng);
        } else {
            model_consume(&m, &rng);
        }
        model_compare(&m);
    }
    model_stop(&m);
}
END_TEST

/* [BKT-2]: the charge is what the allocator handed out for these chunks. */
START_TEST(BKT_2_charge_is_the_memory_held)
{
    struct model m;
    struct rng rng;
    uint8_t piece[70] = {0};

    rng_seed(&rng, 7);
    model_start(&m);
    for (int i = 0; i < 20000; i++) {
        size_t len = rng_between(&rng, 1, sizeof(piece));
        if (rng_chance(&rng, 70)) {
            (void)smux__queue_append(&m.queue, &m.pool, piece, len, true);
        } else if (m.queue.len >= len) {
            smux__queue_consume(&m.queue, &m.pool, len, NULL);
        }
        ck_assert_uint_eq(m.pool.charged + m.pool.cached, m.heap.now);
    }
    model_stop(&m);
}
END_TEST

START_TEST(BKT_2_tiny_pieces_are_packed)
{
    struct model m;

    model_start(&m);
    for (int i = 0; i < 1000000; i++) {
        (void)smux__queue_append(&m.queue, &m.pool, "x", 1, true);
    }
    ck_assert_uint_lt(m.pool.charged, 1000000 + 1000000 / 8);
    model_stop(&m);
}
END_TEST

START_TEST(a_failed_allocation_takes_what_fits_and_no_more)
{
    struct model m;
    uint8_t data[300] = {1, 2, 3};

    model_start(&m);
    ck_assert_uint_eq(smux__queue_append(&m.queue, &m.pool, data, 60, true), 60);
    m.heap.fail_at = m.heap.calls + 1;
    ck_assert_uint_eq(smux__queue_append(&m.queue, &m.pool, data, 300, true), 4);
    ck_assert_uint_eq(m.queue.len, 64);
    model_stop(&m);
}
END_TEST

START_TEST(steady_traffic_allocates_nothing)
{
    struct model m;
    static const size_t sizes[] = {1, 64, 500, 4096, 32768, 65535};
    uint8_t *data = calloc(1, 65536);
    uint64_t calls = 0;

    model_start(&m);
    for (int round = 0; round < 100; round++) {
        if (round == 1) {
            calls = m.heap.calls;
        }
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            (void)smux__queue_append(&m.queue, &m.pool, data, sizes[i], true);
            smux__queue_consume(&m.queue, &m.pool, sizes[i], NULL);
        }
    }
    /* Only what does not fit into the cache beside the others. */
    ck_assert_uint_le(m.heap.calls - calls, 2 * 99);
    free(data);
    model_stop(&m);
}
END_TEST

START_TEST(chunk_capacity_wastes_at_most_a_third)
{
    struct model m;

    model_start(&m);
    for (size_t want = 1; want <= SMUX__CHUNK_MAX; want++) {
        struct smux__chunk *chunk = smux__chunk_new(&m.pool, want, false);
        ck_assert_uint_ge(chunk->cap, want);
        ck_assert(want <= 64 || chunk->cap <= want + want / 2);
        smux__chunk_unref(&m.pool, chunk);
    }
    model_stop(&m);
}
END_TEST

START_TEST(loans_are_not_copied_and_leave_from_anywhere)
{
    struct model m;
    static const char lent[] = "lent memory";
    struct smux_iov iov[3];
    int owner = 0;

    model_start(&m);
    (void)smux__queue_append(&m.queue, &m.pool, "before", 6, false);
    struct smux__chunk *loan = smux__loan_new(&m.pool, lent, 11, &owner);
    smux__queue_push(&m.queue, loan);
    (void)smux__queue_append(&m.queue, &m.pool, "behind", 6, false);
    ck_assert_int_eq(smux__queue_peek(&m.queue, iov, 3), 3);
    ck_assert_ptr_eq(iov[1].base, lent);
    ck_assert_ptr_eq(smux__loan_owner(loan), &owner);
    ck_assert(smux__queue_remove(&m.queue, loan));
    smux__chunk_unref(&m.pool, loan);
    ck_assert_int_eq(smux__queue_peek(&m.queue, iov, 3), 2);
    ck_assert_uint_eq(m.queue.len, 12);
    model_stop(&m);
}
END_TEST

START_TEST(records_are_kept_for_the_next_one_up_to_the_limit)
{
    enum {
        N = 1000 /* more than are kept */
    };
    static void *records[N];
    struct model m;

    model_start(&m);
    for (int i = 0; i < N; i++) {
        records[i] = smux__pool_take(&m.pool, SMUX__RECORD_STREAM);
        ck_assert_ptr_nonnull(records[i]);
        memset(records[i], i, RECORD_SIZE);
    }
    for (int i = 0; i < N; i++) {
        smux__pool_give(&m.pool, SMUX__RECORD_STREAM, records[i]);
        ck_assert_uint_le(m.pool.cached, 64u << 10);
    }
    ck_assert_uint_gt(m.pool.cached + RECORD_SIZE, 64u << 10);
    uint64_t calls = m.heap.calls;
    void *record = smux__pool_take(&m.pool, SMUX__RECORD_STREAM);
    ck_assert_uint_eq(m.heap.calls, calls);
    smux__pool_give(&m.pool, SMUX__RECORD_STREAM, record);
    m.heap.fail_at = m.heap.calls + 1;
    smux__pool_trim(&m.pool, 0);
    ck_assert_uint_eq(m.pool.cached, 0);
    ck_assert_ptr_null(smux__pool_take(&m.pool, SMUX__RECORD_STREAM));
    model_stop(&m);
}
END_TEST

START_TEST(what_is_not_in_the_queue_is_not_removed)
{
    struct model m;

    model_start(&m);
    struct smux__chunk *other = smux__chunk_new(&m.pool, 100, false);
    ck_assert(!smux__queue_remove(&m.queue, other));
    for (size_t len = 5; len <= 5000; len += 4995) { /* one chunk, then several */
        ck_assert_uint_eq(smux__queue_append(&m.queue, &m.pool, m.bytes, len, true), len);
        ck_assert(!smux__queue_remove(&m.queue, other));
    }
    ck_assert_uint_eq(m.queue.len, 5005);
    smux__chunk_unref(&m.pool, other);
    model_stop(&m);
}
END_TEST

START_TEST(nothing_comes_from_an_empty_queue)
{
    struct smux_iov iov;
    struct model m;
    char byte;

    model_start(&m);
    smux__queue_consume(&m.queue, &m.pool, 0, NULL);
    ck_assert_uint_eq(smux__queue_read(&m.queue, &m.pool, &byte, 1, NULL), 0);
    ck_assert_int_eq(smux__queue_peek(&m.queue, &iov, 1), 0);
    model_stop(&m);
}
END_TEST

/* As one that is being read into does when more comes behind it. */
START_TEST(a_chunk_that_is_kept_may_be_empty)
{
    struct smux_iov iov[2];
    struct model m;

    model_start(&m);
    ck_assert_uint_eq(smux__queue_append(&m.queue, &m.pool, m.bytes, 10, true), 10);
    struct smux__chunk *kept = m.queue.tail;
    smux__queue_consume(&m.queue, &m.pool, 10, kept);
    struct smux__chunk *next = smux__chunk_new(&m.pool, 10, true);
    memcpy(next->base, "hello", 5);
    next->end = 5;
    smux__queue_push(&m.queue, next);
    ck_assert_int_eq(smux__queue_peek(&m.queue, iov, 2), 1);
    ck_assert_uint_eq(iov[0].len, 5);
    ck_assert_mem_eq(iov[0].base, "hello", 5);
    model_stop(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tc = tcase_create("queue");

    tcase_add_loop_test(tc, queue_behaves_as_a_flat_array, 0, 20);
    tcase_add_test(tc, BKT_2_charge_is_the_memory_held);
    tcase_add_test(tc, BKT_2_tiny_pieces_are_packed);
    tcase_add_test(tc, a_failed_allocation_takes_what_fits_and_no_more);
    tcase_add_test(tc, steady_traffic_allocates_nothing);
    tcase_add_test(tc, chunk_capacity_wastes_at_most_a_third);
    tcase_add_test(tc, what_is_not_in_the_queue_is_not_removed);
    tcase_add_test(tc, nothing_comes_from_an_empty_queue);
    tcase_add_test(tc, a_chunk_that_is_kept_may_be_empty);
    tcase_add_test(tc, loans_are_not_copied_and_leave_from_anywhere);
    tcase_add_test(tc, records_are_kept_for_the_next_one_up_to_the_limit);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
