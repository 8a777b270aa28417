/*
 * decoder.c - bytes in, frames out.
 *
 * The result does not depend on how the bytes were split [FRM-9]: a header is judged when its
 * eight bytes are there, payload is passed on as it comes. Where the bytes are read to is decided in
 * intake.c.
 */
#include "core.h"
#include "text.h"

#include <string.h>

static void fail_frame(smux_engine *e, const char *what, uint32_t number)
{
    char why[96];
    struct smux__text text;

    smux__text_init(&text, why, sizeof(why));
    smux__text_add(&text, what);
    smux__text_add_number(&text, number);
    smux__engine_fail(e, SMUX_EPROTO, why);
}

/* [FRM-5, VER-4] */
static void fail_version(smux_engine *e, const struct smux__header *h)
{
    const struct smux__decoder *d = &e->decoder;
    char why[120];
    struct smux__text text;

    if (d->begun) {
        fail_frame(e, "frame of another protocol version: ", h->version);
        return;
    }
    smux__text_init(&text, why, sizeof(why));
    smux__text_guess_peer(&text, d->head, e->version);
    smux__engine_fail(e, SMUX_EPROTO, why);
}

/* The first header, or one of a wrong version [VER-2]. */
static bool judge_first(smux_engine *e, const struct smux__header *h)
{
    bool known = h->version == 1 || h->version == 2;

    if (e->version == 0 && known && h->cmd <= SMUX__CMD_UPD) {
        e->version = h->version;
        smux__send_set_tray(e);
    }
    if (known && h->version == e->version) {
        e->decoder.begun = true;
        e->decoder.psh_head = e->version | (uint32_t)SMUX__CMD_PSH << 8;
        e->decoder.plain_head = (e->decoder.psh_head << 16) - SMUX__HEADER_LEN;
        e->decoder.plain_flags = STREAM_HANDLE | (e->version == 1 ? 0 : STREAM_UPD_SENT);
        return true;
    }
    fail_version(e, h);
    return false;
}

/* Of other commands than PSH, whose length is free [FRM-4, FRM-6..8]. */
static bool judge_command(smux_engine *e, const struct smux__header *h)
{
    switch (h->cmd) {
    case SMUX__CMD_SYN:
    case SMUX__CMD_FIN:
    case SMUX__CMD_NOP:
        if (h->len != 0) {
            fail_frame(e, "SYN, FIN or NOP with a length: ", h->len);
            return false;
        }
        return true;
    case SMUX__CMD_UPD:
        if (e->version == 1) {
            smux__engine_fail(e, SMUX_EPROTO, "window update in a version 1 session");
            return false;
        }
        if (h->len != SMUX__UPD_LEN) {
            fail_frame(e, "window update of wrong length: ", h->len);
            return false;
        }
        return true;
    default:
        fail_frame(e, "unknown command: ", h->cmd);
        return false;
    }
}

static bool judge_header(smux_engine *e, const struct smux__header *h)
{
    if (!(e->decoder.begun && h->version == e->version) && !judge_first(e, h)) {
        return false;
    }
    return h->cmd == SMUX__CMD_PSH || judge_command(e, h);
}

static void frame_done(struct smux__decoder *d)
{
    d->head_len = 0;
    d->frame_since_us = SMUX_NEVER;
}

static void begin_body(smux_engine *e, const struct smux__header *h)
{
    struct smux__decoder *d = &e->decoder;

    e->stats.frames_in.psh++;
    frame_done(d);
    if (h->len == 0) { /* [RCV-7] */
        smux__engine_glitch(e, 1);
        return;
    }
    d->body_left = h->len;
    d->body_id = h->id;
    smux__decoder_note_body(d, h->len);
    d->target = smux__receive_psh(e, h->id, h->len);
}

static void dispatch(smux_engine *e, const struct smux__header *h)
{
    struct smux__decoder *d = &e->decoder;

    if (h->cmd == SMUX__CMD_PSH) {
        begin_body(e, h);
        return;
    }
    d->last_body = 0; /* the next frame may be small again */
    switch (h->cmd) {
    case SMUX__CMD_SYN:
        e->stats.frames_in.syn++;
        frame_done(d);
        smux__receive_syn(e, h->id);
        break;
    case SMUX__CMD_FIN:
        e->stats.frames_in.fin++;
        frame_done(d);
        smux__receive_fin(e, h->id);
        break;
    case SMUX__CMD_NOP:
        e->stats.frames_in.nop++;
        frame_done(d);
        smux__receive_nop(e);
        break;
    default: /* SMUX__CMD_UPD: its payload is still to come */
        break;
    }
}

static void dispatch_update(smux_engine *e)
{
    struct smux__decoder *d = &e->decoder;
    struct smux__header h = smux__header_load(d->head);

    e->stats.frames_in.upd++;
    frame_done(d);
    smux__receive_upd(e, h.id, smux__load32(d->head + 8), smux__load32(d->head + 12));
}

static size_t decode_head(smux_engine *e, const uint8_t *data, size_t len)
{
    struct smux__decoder *d = &e->decoder;
    uint32_t want =
        d->head_len < SMUX__HEADER_LEN ? SMUX__HEADER_LEN : SMUX__HEADER_LEN + SMUX__UPD_LEN;
    size_t n = want - d->head_len;

    if (n == SMUX__HEADER_LEN && len >= n) {
        memcpy(d->head + d->head_len, data, SMUX__HEADER_LEN); /* nearly always: one move */
    } else {
        n = n < len ? n : len;
        memcpy(d->head + d->head_len, data, n);
    }
    d->head_len += (uint32_t)n;
    if (d->head_len < want) {
        return n;
    }
    if (want > SMUX__HEADER_LEN) {
        dispatch_update(e);
        return n;
    }
    struct smux__header h = smux__header_load(d->head);
    if (judge_header(e, &h)) {
        dispatch(e, &h);
    }
    return n;
}

void smux__decoder_body_came(struct smux__decoder *d, uint32_t len)
{
    d->body_left -= len;
    if (d->body_left == 0) {
        d->target = NULL;
        d->frame_since_us = SMUX_NEVER;
    }
}

static size_t decode_body(smux_engine *e, const uint8_t *data, size_t len)
{
    struct smux__decoder *d = &e->decoder;
    uint32_t left = d->body_left;
    uint32_t n = left < len ? left : (uint32_t)len;

    if (d->target != NULL) {
        smux__receive_payload(e, d->target, data, n, left);
    } else {
        smux__receive_drop(e, d->body_id, n);
    }
    smux__decoder_body_came(d, n);
    return n;
}

/* What follows the frame before. */
static size_t decode_next(smux_engine *e, const uint8_t *data, size_t len)
{
    size_t n = smux__receive_whole(e, data, len);

    return n > 0 ? n : decode_head(e, data, len);
}

size_t smux__decoder_run(smux_engine *e, const uint8_t *data, size_t len)
{
    struct smux__decoder *d = &e->decoder;
    size_t done = 0;

    d->busy = true;
    while (done < len && e->error == SMUX_OK) {
        if (d->body_left > 0) {
            done += decode_body(e, data + done, len - done);
        } else if (d->head_len > 0) {
            done += decode_head(e, data + done, len - done);
        } else if (smux__engine_has_budget(e)) {
            done += decode_next(e, data + done, len - done);
        } else {
            break;
        }
    }
    d->busy = false;
    if (d->frame_since_us == SMUX_NEVER && (d->head_len > 0 || d->body_left > 0)) {
        smux__engine_note(e, &d->frame_since_us, SMUX__MOMENT_FRAME);
    }
    return done;
}

void smux__decoder_forget(smux_engine *e, struct smux_estream *stream)
{
    if (e->decoder.target == stream) {
        e->decoder.target = NULL;
    }
}
