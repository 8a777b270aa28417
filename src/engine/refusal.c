/*
 * refusal.c - streams that were refused and wait to be told so.
 *
 * Of a refused stream only its id is kept, in a ring of bounded size (L7, R18), until its FIN may
 * leave: as it has no further frame to wait for, that is when the accept guard has passed [OPN-4, OPN-5].
 */
#include "core.h"

/* The ring is made when the first stream is refused: most sessions never need it (L7, R18). */
static bool have_ring(smux_engine *e)
{
    struct smux__refusals *r = &e->refusals;
    const struct smux_allocator *alloc = &e->pool.alloc;

    if (r->ring == NULL) {
        r->ring = alloc->alloc(e->config.max_refusals * sizeof(r->ring[0]), alloc->ctx);
        r->head = 0;
        r->count = 0;
    }
    return r->ring != NULL;
}

/* The current millisecond has partly passed: one more, so that the guard is never cut. */
static uint32_t refusal_due_ms(const smux_engine *e)
{
    uint32_t guard_ms = e->config.accept_guard_ms;

    return e->now_ms + (guard_ms == SMUX_OFF ? 0 : guard_ms + 1);
}

void smux__refusal_add(smux_engine *e, uint32_t id)
{
    struct smux__refusals *r = &e->refusals;

    if (r->count == e->config.max_refusals) {
        e->stats.limits[SMUX_LIMIT_DROPPED_SYNS]++;
        smux__engine_glitch(e, 10);
        return;
    }
    if (!have_ring(e)) { /* which is not the peer's fault */
        e->stats.limits[SMUX_LIMIT_DROPPED_SYNS]++;
        return;
    }
    struct smux__refusal *slot = &r->ring[(r->head + r->count++) % e->config.max_refusals];
    slot->id = id;
    slot->due_ms = refusal_due_ms(e);
    r->n_undated += e->now_is_old ? 1 : 0;
}

void smux__refusal_date(smux_engine *e)
{
    struct smux__refusals *r = &e->refusals;

    for (; r->n_undated > 0; r->n_undated--) {
        uint32_t i = r->head + r->count - r->n_undated;
        r->ring[i % e->config.max_refusals].due_ms = refusal_due_ms(e);
    }
}

uint64_t smux__refusal_at(const smux_engine *e)
{
    const struct smux__refusals *r = &e->refusals;

    if (r->count == 0) {
        return SMUX_NEVER;
    }
    /* One that is due waits for the transport, not for the clock. */
    int32_t left_ms = (int32_t)(r->ring[r->head].due_ms - e->now_ms);
    uint64_t into_ms = (e->now_us - e->born_us) % 1000;
    return left_ms > 0 ? e->now_us - into_ms + (uint64_t)left_ms * 1000 : SMUX_NEVER;
}

uint32_t smux__refusal_first(const smux_engine *e)
{
    return e->refusals.ring[e->refusals.head].id;
}

void smux__refusal_pop(smux_engine *e)
{
    e->refusals.head = (e->refusals.head + 1) % e->config.max_refusals;
    e->refusals.count--;
}

void smux__refusal_clear(smux_engine *e)
{
    e->refusals.count = 0;
    e->refusals.n_undated = 0;
}

void smux__refusal_free(smux_engine *e)
{
    if (e->refusals.ring != NULL) {
        e->pool.alloc.free(e->refusals.ring, e->pool.alloc.ctx);
        e->refusals.ring = NULL;
    }
}
