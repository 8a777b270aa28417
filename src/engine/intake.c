/*
 * intake.c - where the transport reads to, and what becomes of it.
 *
 * The rest of a large payload is read straight into the memory it will be read from by the
 * application, so that the engine does not copy it; everything else goes through chunks that exist
 * only while something is in them. After large frames of one length more of them are expected:
 *
 *     one read   [ rest of a payload | header ][ payload | header ] [ payload | header ] ...
 *     goes to      its stream, or      input     a chunk,  input
 *                  posted memory                 given to its stream if that is what came
 */
#include "core.h"

/* Bytes to read at first, four times as many each time that they were filled, up to MAX_BUFFER. */
#define FIRST_BUFFER 4096u
#define MAX_BUFFER   65536u
/* Payload from here on is worth a place of its own in the scatter read. */
#define DIRECT_MIN 4096u
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

void smux__intake_init(smux_engine *e)
{
    e->intake.buffer_size = FIRST_BUFFER;
}

void smux__intake_shrink(smux_engine *e)
{
    if (e->intake.input.tail == NULL) {
        e->intake.buffer_size = FIRST_BUFFER;
    }
}

void smux__intake_clear(smux_engine *e)
{
    smux__queue_clear(&e->intake.input, &e->pool);
    if (e->intake.direct != NULL) {
        smux__chunk_unref(&e->pool, e->intake.direct);
    }
}

/* --- places ------------------------------------------------------------------------------ */

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
    struct smux__chunk *fresh = smux__chunk_new(&e->pool, e->decoder.body_left, true);
    if (fresh != NULL) {
        e->intake.before = tail;
        smux__queue_push(&target->traffic->in, fresh);
    }
    return fresh;
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

    assert(d->head_len <
           SMUX__HEADER_LEN); /* of other frames than PSH more follow, but small ones */
    return d->body_left == e->intake.direct_len;
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

/* --- what came --------------------------------------------------------------------------- */

void smux__intake_note_pause(smux_engine *e)
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

bool smux__intake_has_input(const smux_engine *e)
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

    /* What begins later follows a whole frame: no payload is under way. */
    assert(target == NULL || chunk->begin == 0);
    if (target == NULL || len < DIRECT_MIN || len > d->body_left ||
        chunk->size_class != smux__chunk_class(d->body_left) || e->post.stream == target ||
        has_room(target, d->body_left) || !smux__stream_engage(e, target)) {
        return false;
    }
    d->busy = true;
    (void)smux__queue_remove(&e->intake.input, chunk);
    smux__chunk_charge(&e->pool, chunk);
    smux__queue_push(&target->traffic->in, chunk);
    smux__receive_book(e, target, len);
    smux__decoder_body_came(d, len);
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
        size_t done = smux__decoder_run(e, chunk->base + chunk->begin, len);
        smux__queue_consume(input, &e->pool, done, NULL);
        more = done == len;
    }
    if (e->error != SMUX_OK) {
        smux__queue_clear(input, &e->pool);
    }
    smux__intake_note_pause(e);
    if (e->end_waits && input->len == 0 && e->error == SMUX_OK) {
        smux__engine_end_input(e);
    }
}

void smux__intake_resume_now(smux_engine *e)
{
    if (e->decoder.busy || e->intake.under_way) {
        return;
    }
    if (e->intake.input.len > 0 && e->error == SMUX_OK) {
        decode_input(e);
    } else {
        smux__intake_note_pause(e);
    }
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
        smux__queue_drop_empty_behind(&target->traffic->in, &e->pool, in->before);
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
    smux__decoder_body_came(d, len);
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
        *out_taken = smux__decoder_run(e, data, len);
        e->last_in_us = e->now_us;
        e->stats.wire_in += *out_taken;
        smux__intake_note_pause(e);
    }
    return e->error;
}
