#include "intray.h"

#include "core.h"

bool smux__intray_move(smux_engine *e, struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_IN_INTRAY)) {
        return true;
    }
    uint32_t len = smux__stream_unread(stream);
    if (!smux__stream_engage(e, stream)) {
        return false;
    }
    if (smux__queue_append(&stream->traffic->in, &e->pool, smux__intray_piece(&e->intray, stream),
                           len, true) < len) {
        smux__stream_rest(e, stream); /* nothing was appended: it would be one chunk */
        return false;
    }
    smux__intray_leave(&e->intray, &e->pool, stream);
    return true;
}

/* The stream whose piece is the payload of a frame, or the last part of it; NULL if that was read. */
static struct smux_estream *owner_of(const smux_engine *e, const uint8_t *frame, uint32_t at)
{
    struct smux__header header = smux__header_load(frame);
    struct smux_estream *stream = smux__table_find(&e->table, header.id);
    bool here = stream != NULL && smux__stream_is(stream, STREAM_IN_INTRAY) &&
                stream->piece_at - (at + SMUX__HEADER_LEN) < header.len;

    return here ? stream : NULL;
}

/* Moves all pieces to the queues of their streams. These are in the table: what is not is read to the
 * end, or has failed, and had its input dropped, as long as frames come. */
static void clear(smux_engine *e)
{
    struct smux__chunk *chunk = smux__chunk_ref(e->intray.chunk);

    for (uint32_t at = 0; e->intray.n > 0;) {
        const uint8_t *frame = chunk->base + at;
        struct smux_estream *stream = owner_of(e, frame, at);
        if (stream != NULL && !smux__intray_move(e, stream)) {
            smux__stream_lose_input(e, stream);
        }
        at += SMUX__HEADER_LEN + smux__header_load(frame).len;
        assert(at <= chunk->end);
    }
    smux__chunk_unref(&e->pool, chunk);
}

void smux__intray_clear(smux_engine *e)
{
    assert(!e->decoder.busy);
    if (e->intray.chunk != NULL && e->error == SMUX_OK && !e->input_ended) {
        e->decoder.busy = true; /* what an abort releases lets in nothing yet */
        clear(e);
        e->decoder.busy = false;
    }
}

size_t smux__intray_prepare(smux_engine *e, size_t least)
{
    struct smux__intray *intray = &e->intray;

    if (e->pool.charged >= e->runs_below) {
        return 0;
    }
    if (intray->chunk != NULL) {
        if (smux__chunk_room(intray->chunk) >= least) {
            return smux__chunk_room(intray->chunk);
        }
        if (++intray->missed <= 2 * intray->n) {
            return 0;
        }
        clear(e);
    }
    intray->missed = 0;
    intray->chunk = smux__chunk_new(&e->pool, SMUX__INTRAY_LEN, true);
    if (intray->chunk == NULL) {
        return 0;
    }
    intray->base = intray->chunk->base;
    return SMUX__INTRAY_LEN;
}
