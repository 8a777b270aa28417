#include "tray.h"

#include <assert.h>

static void tray_close(struct smux__tray *tray)
{
    tray->chunk = NULL;
    tray->end = NULL;
    tray->last = NULL;
}

bool smux__tray_prepare(struct smux__tray *tray, struct smux__pool *pool)
{
    if (tray->chunk != NULL) {
        return false; /* it is full */
    }
    tray->chunk = smux__chunk_new(pool, SMUX__TRAY_LEN, false);
    if (tray->chunk == NULL) {
        return false;
    }
    tray->end = tray->chunk->base;
    tray->last = smux__tray_owners(tray->chunk);
    return true;
}

static uint32_t frame_len(const uint8_t *frame)
{
    return SMUX__HEADER_LEN + smux__header_load(frame).len;
}

struct slot {
    uint8_t *frame;
    struct smux_estream **owner;
};

static struct slot tray_find(const struct smux__tray *tray, const struct smux_estream *stream)
{
    struct slot slot = {tray->chunk->base, smux__tray_owners(tray->chunk) - 1};

    while (*slot.owner != stream) {
        assert(slot.owner > tray->last);
        slot.frame += frame_len(slot.frame);
        slot.owner--;
    }
    return slot;
}

const uint8_t *smux__tray_frame(const struct smux__tray *tray, const struct smux_estream *stream)
{
    return tray_find(tray, stream).frame;
}

uint32_t smux__tray_len(const struct smux__tray *tray, const struct smux_estream *stream)
{
    if (!smux__stream_is(stream, STREAM_IN_TRAY)) {
        return 0;
    }
    return smux__header_load(tray_find(tray, stream).frame).len;
}

bool smux__tray_extend(struct smux__tray *tray, struct smux_estream *stream, const void *data,
                       size_t len, size_t most)
{
    uint8_t *frame = tray_find(tray, stream).frame;
    struct smux__header header = smux__header_load(frame);

    if (frame + SMUX__HEADER_LEN + header.len != tray->end || header.len + len > most ||
        tray->end + len > (uint8_t *)tray->last) {
        return false;
    }
    memcpy(tray->end, data, len);
    tray->end += len;
    header.len = (uint16_t)(header.len + len);
    smux__header_store(frame, header);
    return true;
}

void smux__tray_remove(struct smux__tray *tray, struct smux__pool *pool,
                       struct smux_estream *stream)
{
    struct slot slot = tray_find(tray, stream);
    const uint8_t *next = slot.frame + frame_len(slot.frame);

    stream->flags &= ~(uint32_t)STREAM_IN_TRAY;
    memmove(tray->last + 1, tray->last, (size_t)((uint8_t *)slot.owner - (uint8_t *)tray->last));
    tray->last++;
    memmove(slot.frame, next, (size_t)(tray->end - next));
    tray->end -= next - slot.frame;
    if (tray->end == tray->chunk->base) {
        smux__chunk_unref(pool, tray->chunk);
        tray_close(tray);
    }
}

struct smux__chunk *smux__tray_take(struct smux__tray *tray)
{
    struct smux__chunk *chunk = tray->chunk;

    chunk->end = (uint32_t)(tray->end - chunk->base);
    tray_close(tray);
    return chunk;
}
