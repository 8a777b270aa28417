/*
 * decoder.c - bytes in, frames out.
 *
 * The result does not depend on how the bytes were split [FRM-9]: a header is judged when its
 * eight bytes are there, payload is passed on as it comes. The rest of a large payload is read
 * straight into the memory it will be read from by the application, so that the engine does not
 * copy it; everything else goes through a buffer that exists only while something is in it.
 */
#include "core.h"
#include "text.h"

#include <string.h>

/* Payload from here on is worth a place of its own in the scatter read. */
#define DIRECT_MIN 4096u
#define MAX_BUFFER 65536u
/* Payload of frames that are expected behind the next header, at most: as much as one read brings from
 * a fast transport. */
#define AHEAD_LEN 131072u
/* The same, in times of what the last read brought: places for more would mostly be taken and given back. */
#define AHEAD_TIMES 4u
/* Their memory at most, as a part of the budget: while what came instead waits to be decoded it is held
 * beside what is charged (L4). */
#define AHEAD_PART 16u
/* So many frames must have been as long as the one before until more of that length are expected; twice
 * as many for each time that this was wrong, up to MAX_MISSES times. */
#define FIRST_ALIKE 2u
#define MAX_MISSES  5u

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

static void body_came(struct smux__decoder *d, uint32_t len)
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
    body_came(d, n);
    return n;
}

/* What follows the frame before. */
static size_t decode_next(smux_engine *e, const uint8_t *data, size_t len)
{
    size_t n = smux__receive_whole(e, data, len);

    return n > 0 ? n : decode_head(e, data, len);
}

/* Decodes as far as the bytes, the budget and the peer's obedience go. */
static size_t decode(smux_engine *e, const uint8_t *data, size_t len)
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

/* Notes the beginning or the end of a pause [BKT-4]. */
void smux__decoder_note_pause(smux_engine *e)
{
    bool paused = !smux__engine_has_budget(e);

    if (paused == (e->paused_since_us != SMUX_NEVER)) {
        return;
    }
    if (paused) {
        e->paused_since_us = e->now_us;
        smux__engine_note(e, &e->last_read_us, SMUX__MOMENT_READ);
        e->stats.receive_pauses++;
        return;
    }
    e->stats.receive_paused_us += e->now_us - e->paused_since_us;
    e->paused_since_us = SMUX_NEVER;
    /* Silence counts only while we listen [KA-4]. */
    smux__engine_note(e, &e->last_in_us, SMUX__MOMENT_LISTEN);
}

bool smux__decoder_has_input(const smux_engine *e)
{
    return e->intake.input.len > 0;
}

static bool has_room(const struct smux_estream *stream, uint32_t len)
{
    const struct smux__chunk *tail = stream->traffic->in.tail;

    return tail != NULL && smux__chunk_room(tail) >= len;
}

/* Gives a chunk that was read for an expected frame to the stream that its payload is for, if that is what
 * it holds: payload of one stream from its first byte on, in a chunk as that stream would have got, and not
 * the rest of a frame for all of which it has a chunk already: that would be charged twice. */
static bool adopt(smux_engine *e, struct smux__chunk *chunk)
{
    struct smux__decoder *d = &e->decoder;
    struct smux_estream *target = d->target;
    uint32_t len = chunk->end - chunk->begin;

    if (target == NULL || len < DIRECT_MIN || len > d->body_left || chunk->begin != 0 ||
        chunk->size_class != smux__chunk_class(d->body_left) || e->post.stream == target ||
        has_room(target, d->body_left) || !smux__stream_engage(e, target)) {
        return false;
    }
    d->busy = true;
    (void)smux__queue_remove(&e->intake.input, chunk);
    smux__chunk_charge(&e->pool, chunk);
    smux__queue_push(&target->traffic->in, chunk);
    smux__receive_book(e, target, len);
    body_came(d, len);
    d->misses = 0;
    d->busy = false;
    return true;
}

/* Notes that what came is not what was expected, and has to be copied. */
static void note_miss(smux_engine *e)
{
    struct smux__decoder *d = &e->decoder;

    if (e->intake.expected) {
        e->intake.expected = false;
        d->alike = 0;
        d->misses = smux__min_u32(d->misses + 1, MAX_MISSES);
    }
}

/* Decodes what was read, as far as the budget goes. */
static void decode_input(smux_engine *e)
{
    struct smux__queue *input = &e->intake.input;
    struct smux__chunk *chunk;
    bool more = true;

    while (more && e->error == SMUX_OK && (chunk = smux__queue_head(input)) != NULL) {
        size_t len = chunk->end - chunk->begin;
        if (adopt(e, chunk)) {
            continue;
        }
        if (len >= DIRECT_MIN) {
            note_miss(e);
        }
        size_t done = decode(e, chunk->base + chunk->begin, len);
        smux__queue_consume(input, &e->pool, done, NULL);
        more = done == len;
    }
    if (e->error != SMUX_OK) {
        smux__queue_clear(input, &e->pool);
    }
    smux__decoder_note_pause(e);
    if (e->end_waits && input->len == 0 && e->error == SMUX_OK) {
        smux__engine_end_input(e);
    }
}

void smux__decoder_resume_now(smux_engine *e)
{
    if (e->decoder.busy || e->intake.under_way) {
        return;
    }
    if (e->intake.input.len > 0 && e->error == SMUX_OK) {
        decode_input(e);
    } else {
        smux__decoder_note_pause(e);
    }
}

void smux__decoder_forget(smux_engine *e, struct smux_estream *stream)
{
    if (e->decoder.target == stream) {
        e->decoder.target = NULL;
    }
}

static inline bool wants_read(const smux_engine *e)
{
    const struct smux__decoder *d = &e->decoder;

    return e->error == SMUX_OK && !e->input_ended && !e->intake.under_way &&
           e->intake.input.len == 0 &&
           (smux__engine_has_budget(e) || d->body_left > 0 || d->head_len > 0);
}

bool smux_engine_wants_read(const smux_engine *e)
{
    return wants_read(e);
}

/* The chunk that the rest of a large payload goes into; NULL without memory. */
static struct smux__chunk *direct_chunk(smux_engine *e, struct smux_estream *target)
{
    struct smux__chunk *tail = target->traffic->in.tail;

    if (tail != NULL && smux__chunk_room(tail) >= DIRECT_MIN) {
        return tail;
    }
    if (!smux__stream_engage(e, target)) {
        return NULL;
    }
    tail = smux__chunk_new(&e->pool, e->decoder.body_left, true);
    if (tail != NULL) {
        smux__queue_push(&target->traffic->in, tail);
    }
    return tail;
}

/* The place for the rest of a large payload: posted memory, or a chunk of the stream. */
static bool direct_iov(smux_engine *e, struct smux_iov *out_iov)
{
    struct smux__decoder *d = &e->decoder;
    struct smux__intake *in = &e->intake;
    struct smux_estream *target = d->target;

    if (target == NULL || d->body_left < DIRECT_MIN) {
        return false;
    }
    if (e->post.stream == target && target->traffic->in.len == 0 && e->post.len < e->post.size) {
        out_iov->base = e->post.buf + e->post.len;
        in->direct_len = e->post.size - e->post.len;
    } else {
        struct smux__chunk *tail = direct_chunk(e, target);
        if (tail == NULL) {
            return false;
        }
        in->direct = smux__chunk_ref(tail);
        in->direct_len = smux__chunk_room(tail);
        out_iov->base = tail->base + tail->end;
    }
    if (in->direct_len > d->body_left) {
        in->direct_len = d->body_left;
    }
    out_iov->len = in->direct_len;
    return true;
}

smux_estream *smux_engine_recv_stream(const smux_engine *e)
{
    const struct smux__decoder *d = &e->decoder;

    return d->body_left >= DIRECT_MIN && wants_read(e) ? d->target : NULL;
}

/* Adds a place for input that is decoded when it has come: `len` bytes, or fewer. False without
 * memory. */
static bool input_iov(smux_engine *e, uint32_t len, struct smux_iov *out_iov)
{
    struct smux__chunk *chunk = smux__chunk_new(&e->pool, len, false);

    if (chunk == NULL) {
        return false;
    }
    smux__queue_push(&e->intake.input, chunk);
    chunk->end = smux__min_u32(len, chunk->cap); /* until the commit, what may come */
    out_iov->base = chunk->base;
    out_iov->len = chunk->end;
    return true;
}

/* Whether a header comes next, or behind the payload that has its place already. */
static bool expects_header(const smux_engine *e)
{
    const struct smux__decoder *d = &e->decoder;

    return d->head_len < SMUX__HEADER_LEN && d->body_left == e->intake.direct_len;
}

/* How much to read behind the payload that has its place already. */
static uint32_t input_len(const smux_engine *e)
{
    const struct smux__decoder *d = &e->decoder;

    /* While large frames come, read no more than the next header, so that the next payload can be
     * read into its own place. */
    if (d->last_body < DIRECT_MIN || (d->target == NULL && d->body_left > 0)) {
        return e->intake.buffer_size;
    }
    if (expects_header(e)) {
        return SMUX__HEADER_LEN - d->head_len;
    }
    return SMUX__HEADER_LEN + (e->intake.direct_len > 0 ? 0 : d->body_left);
}

/* How many frames like the last ones are expected behind the next header. */
static uint32_t frames_ahead(const smux_engine *e)
{
    const struct smux__decoder *d = &e->decoder;

    if (d->last_body < DIRECT_MIN || d->alike < FIRST_ALIKE << d->misses || !expects_header(e) ||
        !smux__engine_has_budget(e)) {
        return 0;
    }
    uint64_t room = e->admits_below - e->pool.charged;
    uint64_t part = e->config.max_receive_buffer / AHEAD_PART;
    uint64_t fit = (room < part ? room : part) /
                   (sizeof(struct smux__chunk) + smux__chunk_cap(smux__chunk_class(d->last_body)));
    uint32_t most = smux__min_u32(AHEAD_LEN, AHEAD_TIMES * e->intake.last_len) / d->last_body;
    return fit < most ? (uint32_t)fit : most;
}

/* Adds places for the payloads of expected frames, a chunk each, and for the header behind each.
 * Returns the number of vectors. */
static int ahead_iov(smux_engine *e, struct smux_iov *out_iov, int max_iov)
{
    uint32_t frames = frames_ahead(e);
    int n = 0;

    for (; frames > 0 && n + 2 <= max_iov; frames--) {
        if (!input_iov(e, e->decoder.last_body, &out_iov[n])) {
            break;
        }
        n++;
        if (!input_iov(e, SMUX__HEADER_LEN, &out_iov[n])) {
            break;
        }
        n++;
    }
    e->intake.expected = n > 0;
    return n;
}

int smux_engine_recv_iov(smux_engine *e, struct smux_iov *out_iov, int max_iov)
{
    struct smux__intake *in = &e->intake;
    int n = 0;

    if (!wants_read(e)) {
        return 0;
    }
    in->direct_len = 0;
    in->expected = false;
    if (direct_iov(e, &out_iov[n])) {
        n++;
    }
    if (input_iov(e, input_len(e), &out_iov[n])) {
        n++;
        n += ahead_iov(e, &out_iov[n], max_iov - n);
    }
    in->under_way = n > 0;
    return n;
}

/* Books what was read past the buffer. The stream may have gone away meanwhile. */
static void commit_direct(smux_engine *e, uint32_t len)
{
    struct smux__decoder *d = &e->decoder;
    struct smux__intake *in = &e->intake;
    struct smux_estream *target = d->target;

    if (target != NULL && in->direct != NULL) {
        in->direct->end += len;
        target->traffic->in.len += len;
        smux__queue_drop_empty_tail(&target->traffic->in, &e->pool);
        smux__stream_rest(e, target);
    }
    if (in->direct != NULL) {
        smux__chunk_unref(&e->pool, in->direct);
    }
    if (target != NULL && len > 0) {
        smux__receive_book(e, target, len);
        if (in->direct == NULL) {
            e->post.len += len;
            smux__stream_was_read(e, target, len);
        }
    } else {
        smux__receive_drop(e, d->body_id, len);
    }
    in->direct = NULL;
    body_came(d, len);
}

/* Keeps of the places for input those that were filled, `len` bytes in all. */
static void commit_input(smux_engine *e, size_t len)
{
    struct smux__intake *in = &e->intake;
    struct smux__chunk *chunk = smux__queue_head(&in->input);
    size_t left = len;

    while (chunk != NULL) {
        chunk->end = left < chunk->end ? (uint32_t)left : chunk->end;
        left -= chunk->end;
        chunk = chunk != in->input.tail ? chunk->next : NULL;
    }
    in->input.len = (uint32_t)len;
    while (in->input.tail != NULL && in->input.tail->end == 0) {
        smux__queue_drop_empty_tail(&in->input, &e->pool);
    }
    if (len == in->buffer_size && in->buffer_size < MAX_BUFFER) {
        in->buffer_size *= 4;
    }
}

int smux_engine_recv_commit(smux_engine *e, size_t len, uint64_t now_us)
{
    struct smux__intake *in = &e->intake;
    size_t direct = len < in->direct_len ? len : in->direct_len;

    smux__engine_set_now(e, now_us);
    if (!in->under_way) {
        return e->error; /* no vectors were given: there is nothing to give back */
    }
    in->under_way = false;
    if (len > 0) {
        in->last_len = (uint32_t)len;
        e->last_in_us = e->now_us;
        e->stats.wire_in += len;
    }
    if (in->direct_len > 0) {
        commit_direct(e, (uint32_t)direct);
    }
    commit_input(e, len - direct);
    decode_input(e);
    return e->error;
}

int smux_engine_recv(smux_engine *e, const void *data, size_t len, uint64_t now_us,
                     size_t *out_taken)
{
    *out_taken = 0;
    smux__engine_set_now(e, now_us);
    if (wants_read(e) && len > 0) {
        *out_taken = decode(e, data, len);
        e->last_in_us = e->now_us;
        e->stats.wire_in += *out_taken;
        smux__decoder_note_pause(e);
    }
    return e->error;
}
