/*
 * queue.c - the queue of bytes in chunks against a flat array.
 *
 * Input: steps. What is appended, lent, consumed and taken out of the middle must leave the same
 * bytes in both; what is handed to a transport must stay as it was for as long as it is referred
 * to; and the charge must be the memory that is held [BKT-2, BKT-5], also after failed allocations.
 */
#include "fuzz.h"

#include "engine/queue.h"
#include "flow.h"
#include "heap.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 2000
#define MAX_BYTES (256u << 10) /* appended in all */
#define HELD      4

/** A reference as the outbox holds one, and what its bytes were. */
struct held {
    struct smux__chunk *chunk;
    const uint8_t *at;
    uint32_t len;
    uint64_t hash;
};

struct model {
    struct heap heap;
    struct smux__pool pool;
    struct smux__queue queue;
    uint8_t *bytes; /**< those in the queue: bytes[begin, end) */
    size_t begin, end;
    uint64_t made;            /**< bytes made so far, in all */
    struct smux__chunk *loan; /**< the last one; we hold a reference */
    uint8_t *lent;            /**< its memory */
    struct held held[HELD];
};

static uint64_t hash_of(const uint8_t *at, size_t len)
{
    uint64_t hash = len;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* The next bytes, in the model and in `out`. Returns fewer than asked for at the end of all. */
static size_t make(struct model *m, uint8_t *out, size_t len)
{
    len = len < MAX_BYTES - m->made ? len : (size_t)(MAX_BYTES - m->made);
    flow_fill(1, m->made, out, len);
    memcpy(m->bytes + m->end, out, len);
    m->made += len;
    return len;
}

static void append(struct model *m, size_t len)
{
    static uint8_t data[65536];
    uint64_t failures = m->heap.failures;
    size_t done;

    len = make(m, data, len);
    done = smux__queue_append(&m->queue, &m->pool, data, len, true);
    must(done == len || (done < len && m->heap.failures > failures), "%zu of %zu appended", done,
         len);
    m->end += done;
}

/* As read(2) into the room, of which it fills a part or nothing. */
static void fill_room(struct model *m, size_t want, size_t part)
{
    struct smux__chunk *chunk = smux__queue_reserve(&m->queue, &m->pool, want + 1, true);

    if (chunk == NULL) {
        must(m->heap.failures > 0, "no room, but memory");
        return;
    }
    must(smux__chunk_room(chunk) > 0, "room of 0 bytes");
    part = part < smux__chunk_room(chunk) ? part : smux__chunk_room(chunk);
    part = make(m, chunk->base + chunk->end, part);
    chunk->end += (uint32_t)part;
    m->queue.len += (uint32_t)part;
    m->end += part;
    smux__queue_drop_empty_tail(&m->queue, &m->pool);
}

static void consume(struct model *m, size_t len, bool keep_tail)
{
    len = len < m->end - m->begin ? len : m->end - m->begin;
    smux__queue_consume(&m->queue, &m->pool, len, keep_tail ? m->queue.tail : NULL);
    m->begin += len;
    if (keep_tail && m->queue.tail != NULL) {
        smux__queue_drop_empty_tail(&m->queue, &m->pool);
    }
}

/* --- loans --------------------------------------------------------------------------------- */

static void end_loan(struct model *m)
{
    const struct smux__chunk *chunk = smux__queue_head(&m->queue);
    size_t at = m->begin;
    size_t len;

    if (m->loan == NULL) {
        return;
    }
    for (uint32_t left = m->queue.len; left > 0 && chunk != m->loan; chunk = chunk->next) {
        at += chunk->end - chunk->begin;
        left -= chunk->end - chunk->begin;
    }
    len = m->loan->end - m->loan->begin;
    if (smux__queue_remove(&m->queue, m->loan)) { /* from the middle of the array, too */
        memmove(m->bytes + at, m->bytes + at + len, m->end - at - len);
        m->end -= len;
        smux__chunk_unref(&m->pool, m->loan);
    }
    must(smux__loan_owner(m->loan) == m, "a loan forgot its owner");
    smux__chunk_unref(&m->pool, m->loan);
    memset(m->lent, 0xee, 1);
    free(m->lent);
    m->loan = NULL;
}

static void lend(struct model *m, size_t len)
{
    end_loan(m);
    m->lent = malloc(len + 1);
    must(m->lent != NULL, "no memory for the test");
    len = make(m, m->lent, len);
    m->loan = len > 0 ? smux__loan_new(&m->pool, m->lent, (uint32_t)len, m) : NULL;
    if (m->loan == NULL) {
        must(len == 0 || m->heap.failures > 0, "no loan, but memory");
        free(m->lent);
        return;
    }
    smux__queue_push(&m->queue, smux__chunk_ref(m->loan));
    m->end += len;
}

/* --- what the transport has ---------------------------------------------------------------- */

static void release(struct model *m, struct held *held)
{
    if (held->chunk == NULL) {
        return;
    }
    must(hash_of(held->at, held->len) == held->hash, "bytes that were handed out have changed");
    smux__chunk_unref(&m->pool, held->chunk);
    held->chunk = NULL;
}

/* Loans excepted: their memory goes when they end. */
static void hold_head(struct model *m, struct held *held)
{
    struct smux__chunk *head = smux__queue_head(&m->queue);

    release(m, held);
    if (head != NULL && smux__loan_owner(head) == NULL) {
        held->chunk = smux__chunk_ref(head);
        held->at = head->base + head->begin;
        held->len = head->end - head->begin;
        held->hash = hash_of(held->at, held->len);
    }
}

/* --- comparing ----------------------------------------------------------------------------- */

static void compare(const struct model *m, int max)
{
    struct smux_iov iov[64];
    int n = smux__queue_peek(&m->queue, iov, max);
    size_t at = m->begin;

    must(m->queue.len == m->end - m->begin, "%u bytes, not %zu", m->queue.len, m->end - m->begin);
    for (int i = 0; i < n; i++) {
        must(iov[i].len > 0 && iov[i].len <= m->end - at, "a piece of %zu bytes", iov[i].len);
        must(memcmp(iov[i].base, m->bytes + at, iov[i].len) == 0, "wrong bytes");
        at += iov[i].len;
    }
    must(n == max || at == m->end, "%d pieces are not everything", n);
}

/* Loans have a record in uncharged memory. */
static void check_charge(const struct model *m)
{
    size_t known = m->pool.charged + m->pool.cached;
    size_t record = m->loan != NULL ? sizeof(struct smux__chunk) + 64 : 0;

    must(m->heap.now == known + record, "%zu bytes held, %zu known", m->heap.now, known + record);
    must(m->pool.cached <= m->pool.max_cached, "%zu bytes cached", m->pool.cached);
}

/* --- steps --------------------------------------------------------------------------------- */

static void step(struct model *m, struct fuzz_input *in)
{
    uint8_t what = fuzz_u8(in);
    uint16_t len = fuzz_u16(in);

    switch (what % 10) {
    case 0:
        append(m, len);
        break;
    case 1:
        append(m, len % 70);
        break;
    case 2:
        fill_room(m, len, what % 3 == 0 ? 0 : len / 2);
        break;
    case 3:
        consume(m, len, (what & 0x40) != 0);
        break;
    case 4:
        lend(m, len);
        break;
    case 5:
        end_loan(m);
        break;
    case 6:
        hold_head(m, &m->held[len % HELD]);
        break;
    case 7:
        release(m, &m->held[len % HELD]);
        break;
    case 8:
        m->heap.fail_at = m->heap.calls + 1 + len % 8;
        m->heap.fail_on = false;
        break;
    default:
        smux__pool_trim(&m->pool, len);
        break;
    }
    compare(m, 1 + what % 64);
    check_charge(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t sizes[SMUX__RECORD_KINDS] = {64, 64};
    struct fuzz_input in = {data, size};
    struct model m = {0};

    heap_init(&m.heap);
    smux__pool_init(&m.pool, &m.heap.allocator, fuzz_u16(&in), sizes);
    m.bytes = malloc(MAX_BYTES);
    must(m.bytes != NULL, "no memory for the test");
    for (int i = 0; i < MAX_STEPS && in.len > 0; i++) {
        step(&m, &in);
    }
    end_loan(&m);
    for (int i = 0; i < HELD; i++) {
        release(&m, &m.held[i]);
    }
    smux__queue_clear(&m.queue, &m.pool);
    must(m.pool.charged == 0, "%zu bytes stay charged", m.pool.charged);
    smux__pool_trim(&m.pool, 0);
    must(m.heap.blocks == 0, "%zu blocks leaked", m.heap.blocks);
    free(m.bytes);
    return 0;
}
