#include "outbox.h"

#include <string.h>

bool smux__outbox_renew_scratch(struct smux__outbox *box, struct smux__pool *pool)
{
    if (box->scratch != NULL) {
        smux__chunk_unref(pool, box->scratch);
    }
    box->packing = NULL;
    box->scratch = smux__chunk_new(pool, SMUX__SCRATCH_LEN, false);
    return box->scratch != NULL;
}

void smux__outbox_push(struct smux__outbox *box, struct smux__chunk *chunk, const uint8_t *data,
                       uint32_t len)
{
    struct smux__piece *piece = smux__outbox_piece(box, box->count++);

    piece->chunk = smux__chunk_ref(chunk);
    piece->data = data;
    piece->len = len;
    box->len += len;
    box->packing = NULL;
}

int smux__outbox_peek(const struct smux__outbox *box, struct smux_iov *out_iov, int max)
{
    int n = 0;

    for (; n < max && (uint32_t)n < box->count; n++) {
        const struct smux__piece *piece =
            &box->pieces[(box->head + (uint32_t)n) % SMUX__OUTBOX_PIECES];
        out_iov[n].base = (void *)(uintptr_t)piece->data;
        out_iov[n].len = piece->len;
    }
    return n;
}

void *smux__outbox_consume(struct smux__outbox *box, struct smux__pool *pool, size_t *len)
{
    void *owner = NULL;

    while (*len > 0 && owner == NULL) {
        struct smux__piece *first = smux__outbox_piece(box, 0);
        uint32_t n = first->len < *len ? first->len : (uint32_t)*len;
        box->len -= n;
        *len -= n;
        if (n < first->len) {
            first->data += n;
            first->len -= n;
            break;
        }
        if (first->chunk->refs == 1) {
            owner = smux__loan_owner(first->chunk);
        }
        smux__chunk_unref(pool, first->chunk);
        box->head = (box->head + 1) % SMUX__OUTBOX_PIECES;
        box->count--;
        box->packing = first == box->packing ? NULL : box->packing;
    }
    if (box->count == 0 && box->scratch != NULL) {
        smux__chunk_unref(pool, box->scratch);
        box->scratch = NULL;
    }
    return owner;
}

size_t smux__outbox_lent(const struct smux__outbox *box, const void *owner)
{
    size_t len = 0;

    for (uint32_t i = 0; i < box->count; i++) {
        const struct smux__piece *piece = &box->pieces[(box->head + i) % SMUX__OUTBOX_PIECES];
        if (smux__loan_owner(piece->chunk) == owner) {
            len += piece->len;
        }
    }
    return len;
}

static bool piece_detach(struct smux__piece *piece, struct smux__pool *pool)
{
    struct smux__chunk *own = smux__chunk_new(pool, piece->len, false);

    if (own == NULL) {
        return false;
    }
    memcpy(own->base, piece->data, piece->len);
    own->end = piece->len;
    smux__chunk_unref(pool, piece->chunk);
    piece->chunk = own;
    piece->data = own->base;
    return true;
}

/* A piece is part of one frame and so never longer than a chunk can be. */
bool smux__outbox_detach(struct smux__outbox *box, struct smux__pool *pool, const void *owner)
{
    for (uint32_t i = 0; i < box->count; i++) {
        struct smux__piece *piece = smux__outbox_piece(box, i);
        if (smux__loan_owner(piece->chunk) == owner && !piece_detach(piece, pool)) {
            return false;
        }
    }
    return true;
}

void smux__outbox_clear(struct smux__outbox *box, struct smux__pool *pool)
{
    for (uint32_t i = 0; i < box->count; i++) {
        smux__chunk_unref(pool, smux__outbox_piece(box, i)->chunk);
    }
    box->count = 0;
    box->len = 0;
    box->packing = NULL;
    if (box->scratch != NULL) {
        smux__chunk_unref(pool, box->scratch);
        box->scratch = NULL;
    }
}
