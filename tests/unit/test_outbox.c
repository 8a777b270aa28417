/*
 * test_outbox.c - formed output: order, packing, references, loans.
 */
#include "engine/outbox.h"
#include "support/heap.h"
#include "support/suite.h"

#include <string.h>

struct fixture {
    struct heap heap;
    struct smux__pool pool;
    struct smux__outbox box;
};

static void start(struct fixture *f)
{
    const size_t sizes[SMUX__RECORD_KINDS] = {64, 64};

    memset(f, 0, sizeof(*f));
    heap_init(&f->heap);
    smux__pool_init(&f->pool, &f->heap.allocator, 64u << 10, sizes);
}

static void stop(struct fixture *f)
{
    smux__outbox_clear(&f->box, &f->pool);
    smux__pool_trim(&f->pool, 0);
    ck_assert_uint_eq(f->heap.now, 0);
}

static void pack(struct fixture *f, const char *text)
{
    uint32_t len = (uint32_t)strlen(text);
    uint8_t *p = smux__outbox_pack(&f->box, &f->pool, len);

    ck_assert_ptr_nonnull(p);
    memcpy(p, text, len);
    smux__outbox_packed(&f->box, len);
}

/* Pushes a chunk of its own, as a large payload is. */
static void push(struct fixture *f, const char *text)
{
    uint32_t len = (uint32_t)strlen(text);
    struct smux__chunk *chunk = smux__chunk_new(&f->pool, len, false);

    memcpy(chunk->base, text, len);
    smux__outbox_push(&f->box, chunk, chunk->base, len);
    smux__chunk_unref(&f->pool, chunk);
}

static void expect(struct fixture *f, const char *text, int pieces)
{
    struct smux_iov iov[SMUX__OUTBOX_PIECES];
    int n = smux__outbox_peek(&f->box, iov, SMUX__OUTBOX_PIECES);
    size_t at = 0;

    ck_assert_int_eq(n, pieces);
    ck_assert_uint_eq(f->box.len, strlen(text));
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(memcmp(iov[i].base, text + at, iov[i].len), 0);
        at += iov[i].len;
    }
    ck_assert_uint_eq(at, strlen(text));
}

START_TEST(small_pieces_in_a_row_are_one)
{
    struct fixture f;

    start(&f);
    pack(&f, "one ");
    pack(&f, "two ");
    push(&f, "large ");
    pack(&f, "three");
    expect(&f, "one two large three", 3);
    stop(&f);
}
END_TEST

START_TEST(any_prefix_may_be_consumed)
{
    for (size_t first = 0; first <= 19; first++) {
        static const char all[] = "one two large three";
        struct fixture f;
        start(&f);
        pack(&f, "one two ");
        push(&f, "large ");
        pack(&f, "three");
        size_t len = first;
        ck_assert_ptr_null(smux__outbox_consume(&f.box, &f.pool, &len));
        ck_assert_uint_eq(len, 0);
        expect(&f, all + first, first < 8 ? 3 : first < 14 ? 2 : first < 19 ? 1 : 0);
        stop(&f);
    }
}
END_TEST

START_TEST(the_ring_wraps_and_refuses_when_full)
{
    struct fixture f;

    start(&f);
    for (int round = 0; round < 200; round++) {
        push(&f, "x");
        size_t one = 1;
        if (round >= 10) {
            (void)smux__outbox_consume(&f.box, &f.pool, &one);
        }
        ck_assert_uint_eq(f.box.len, round < 10 ? (size_t)round + 1 : 10);
    }
    while (smux__outbox_free_pieces(&f.box) > 0) {
        push(&f, "y");
    }
    ck_assert_ptr_null(smux__outbox_pack(&f.box, &f.pool, 1));
    stop(&f);
}
END_TEST

START_TEST(the_end_of_a_loan_is_reported_once_and_in_place)
{
    struct fixture f;
    static const char lent[] = "0123456789";
    int owner = 0;

    start(&f);
    struct smux__chunk *loan = smux__loan_new(&f.pool, lent, 10, &owner);
    smux__outbox_push(&f.box, loan, loan->base, 4);
    pack(&f, "header");
    smux__outbox_push(&f.box, loan, loan->base + 4, 6);
    smux__chunk_unref(&f.pool, loan);
    pack(&f, "tail");
    ck_assert_uint_eq(smux__outbox_lent(&f.box, &owner), 10);
    size_t len = 20;
    ck_assert_ptr_eq(smux__outbox_consume(&f.box, &f.pool, &len), &owner);
    ck_assert_uint_eq(len, 4);
    ck_assert_ptr_null(smux__outbox_consume(&f.box, &f.pool, &len));
    ck_assert_uint_eq(f.box.len, 0);
    stop(&f);
}
END_TEST

START_TEST(a_detached_loan_is_copied_from_where_it_stands)
{
    struct fixture f;
    char lent[] = "0123456789";
    int owner = 0;

    start(&f);
    struct smux__chunk *loan = smux__loan_new(&f.pool, lent, 10, &owner);
    smux__outbox_push(&f.box, loan, loan->base, 10);
    smux__chunk_unref(&f.pool, loan);
    size_t len = 3;
    (void)smux__outbox_consume(&f.box, &f.pool, &len);
    ck_assert(smux__outbox_detach(&f.box, &f.pool, &owner));
    memset(lent, 'X', sizeof(lent));
    expect(&f, "3456789", 1);
    ck_assert_uint_eq(smux__outbox_lent(&f.box, &owner), 0);
    stop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outbox");
    TCase *tc = tcase_create("outbox");

    tcase_add_test(tc, small_pieces_in_a_row_are_one);
    tcase_add_test(tc, any_prefix_may_be_consumed);
    tcase_add_test(tc, the_ring_wraps_and_refuses_when_full);
    tcase_add_test(tc, the_end_of_a_loan_is_reported_once_and_in_place);
    tcase_add_test(tc, a_detached_loan_is_copied_from_where_it_stands);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
