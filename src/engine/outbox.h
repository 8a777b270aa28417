/*
 * outbox.h - frames that are formed and wait for the transport.
 *
 * A ring of pieces of memory in wire order, each holding a reference to the chunk it lies in.
 * Once formed, frames no longer depend on their streams: a stream may be aborted or freed while
 * its last bytes are still here. Headers and small payloads are packed into a scratch chunk, so
 * that many small frames make one piece.
 */
#ifndef SMUX__OUTBOX_H
#define SMUX__OUTBOX_H

#include "chunk.h"

#define SMUX__OUTBOX_PIECES 64u
#define SMUX__SCRATCH_LEN   8192u

struct smux__piece {
    struct smux__chunk *chunk;
    const uint8_t *data;
    uint32_t len;
};

struct smux__outbox {
    struct smux__piece pieces[SMUX__OUTBOX_PIECES];
    uint32_t head;  /* index of the first piece, modulo the size */
    uint32_t count; /* pieces */
    size_t len;     /* bytes in all pieces */
    struct smux__chunk *scratch;
    struct smux__piece *packing; /* the last piece, if it ends where the scratch chunk does */
};

/* Takes another scratch chunk. False without memory. */
bool smux__outbox_renew_scratch(struct smux__outbox *box, struct smux__pool *pool);

/* Appends bytes of a chunk, taking a reference of its own. There must be a free piece. */
void smux__outbox_push(struct smux__outbox *box, struct smux__chunk *chunk, const uint8_t *data,
                       uint32_t len);

static inline struct smux__piece *smux__outbox_piece(struct smux__outbox *box, uint32_t i)
{
    return &box->pieces[(box->head + i) % SMUX__OUTBOX_PIECES];
}

static inline uint32_t smux__outbox_free_pieces(const struct smux__outbox *box)
{
    return SMUX__OUTBOX_PIECES - box->count;
}

/* Room for `len` contiguous bytes, to be followed by smux__outbox_packed(); NULL when there is
 * no piece or no memory left. */
static inline uint8_t *smux__outbox_pack(struct smux__outbox *box, struct smux__pool *pool,
                                         uint32_t len)
{
    if (smux__outbox_free_pieces(box) == 0) {
        return NULL;
    }
    if ((box->scratch == NULL || smux__chunk_room(box->scratch) < len) &&
        !smux__outbox_renew_scratch(box, pool)) {
        return NULL;
    }
    return box->scratch->base + box->scratch->end;
}

/* Appends the first `len` bytes of that room: to the last piece, if that ends there. */
static inline void smux__outbox_packed(struct smux__outbox *box, uint32_t len)
{
    struct smux__chunk *scratch = box->scratch;

    if (box->packing != NULL) {
        box->packing->len += len;
        box->len += len;
    } else {
        smux__outbox_push(box, scratch, scratch->base + scratch->end, len);
        box->packing = smux__outbox_piece(box, box->count - 1);
    }
    scratch->end += len;
}

/* Shows the first pieces; returns their number. */
int smux__outbox_peek(const struct smux__outbox *box, struct smux_iov *out_iov, int max);

/* Drops the first *len bytes, but stops after a loan whose last byte was among them. Returns the
 * owner of that loan, or NULL; *len is what is left to drop. */
void *smux__outbox_consume(struct smux__outbox *box, struct smux__pool *pool, size_t *len);

/* Bytes of an owner's loan that are still here. */
size_t smux__outbox_lent(const struct smux__outbox *box, const void *owner);

/* Copies what is left of an owner's loan into chunks of our own. False when memory ran out. */
bool smux__outbox_detach(struct smux__outbox *box, struct smux__pool *pool, const void *owner);

/* Drops everything. */
void smux__outbox_clear(struct smux__outbox *box, struct smux__pool *pool);

#endif
