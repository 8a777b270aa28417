#include "duo.h"

#include "support/flow.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Tries without progress after which a scenario gives up on a stream. */
#define TRIES 6

static bool starved(const struct duo *duo)
{
    return duo->heap->failures > 0;
}

static bool alive(const struct duo *duo, unsigned side)
{
    return smux_engine_error(duo->engine[side]) == SMUX_OK;
}

static uint64_t key_of(const struct duo_stream *stream, unsigned writer)
{
    return flow_key(5, stream->id, writer);
}

static bool usable(const struct duo_stream *stream, unsigned side)
{
    return stream != NULL && stream->at[side] != NULL;
}

/* --- life -------------------------------------------------------------------------------- */

struct smux_config duo_config(void)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = 2;
    config.keepalive_interval_ms = SMUX_OFF;
    config.fin_linger_ms = SMUX_OFF;
    config.max_frame_size = 4000;
    config.hash_seed = 7;
    return config;
}

bool duo_start(struct duo *duo, struct heap *heap, const struct smux_config *config)
{
    struct smux_config own = config != NULL ? *config : duo_config();
    uint64_t guard_us = own.accept_guard_ms == SMUX_OFF ? 0 : own.accept_guard_ms * UINT64_C(1000);

    memset(duo, 0, sizeof(*duo));
    duo->heap = heap;
    own.allocator = &heap->allocator;
    rng_seed(&duo->rng, 11);
    for (unsigned side = 0; side < 2; side++) {
        int status =
            smux_engine_new(side == 0 ? SMUX_CLIENT : SMUX_SERVER, &own, 0, 0, &duo->engine[side]);
        if (status != SMUX_OK) {
            ck_assert_int_eq(status, SMUX_ENOMEM);
            ck_assert(starved(duo));
            return false;
        }
    }
    link_init(&duo->link, duo->engine[0], duo->engine[1], &duo->rng, 0);
    for (unsigned side = 0; side < 2; side++) {
        audit_init(&duo->link.ends[side].audit, side == 0 ? SMUX_CLIENT : SMUX_SERVER, own.version,
                   guard_us);
    }
    duo->link.no_memory = true;
    return true;
}

struct duo_stream *duo_open(struct duo *duo)
{
    struct duo_stream *stream = &duo->streams[duo->n];
    int status = smux_engine_open(duo->engine[0], &stream->at[0]);

    ck_assert_uint_lt(duo->n, DUO_STREAMS);
    if (status != SMUX_OK) {
        ck_assert_msg(starved(duo), "open: %s", smux_strerror(status));
        return NULL;
    }
    stream->id = smux_estream_id(stream->at[0]);
    duo->n++;
    return stream;
}

static bool accept_one(struct duo *duo)
{
    smux_estream *accepted;

    if (duo->deaf || smux_engine_accept(duo->engine[1], &accepted) != SMUX_OK) {
        return false;
    }
    for (unsigned i = 0; i < duo->n; i++) {
        if (duo->streams[i].id == smux_estream_id(accepted)) {
            duo->streams[i].at[1] = accepted;
            return true;
        }
    }
    ck_abort_msg("a stream that nobody opened");
    return false;
}

void duo_move(struct duo *duo)
{
    bool moved = true;

    while (moved) {
        moved = false;
        for (unsigned side = 0; side < 2; side++) {
            moved |= link_send(&duo->link, side);
            moved |= link_deliver(&duo->link, side);
        }
        while (accept_one(duo)) {
            moved = true;
        }
        ck_assert_msg(duo->link.fault == NULL, "%s", duo->link.fault);
    }
}

void duo_sleep(struct duo *duo, uint32_t ms)
{
    uint64_t end = duo->link.now + ms * UINT64_C(1000);

    duo_move(duo);
    while (link_next(&duo->link) <= end) {
        link_set_now(&duo->link, link_next(&duo->link));
        duo_move(duo);
    }
    link_set_now(&duo->link, end);
    duo_move(duo);
}

/* --- writing ----------------------------------------------------------------------------- */

static void fail_stream(struct duo *duo, struct duo_stream *stream, unsigned side, int status)
{
    bool told = stream->gone[1 - side] || stream->end[side] != 0 || duo->refuses;

    ck_assert_msg(starved(duo) || told || !alive(duo, side), "stream %u of side %u: %s",
                  (unsigned)stream->id, side, smux_strerror(status));
    duo_abort(duo, stream, side);
}

/* One call that writes. */
static int write_once(struct duo *duo, struct duo_stream *stream, unsigned side, size_t len,
                      enum duo_how how, size_t *out_taken)
{
    smux_engine *engine = duo->engine[side];
    struct smux_iov iov;
    int status;

    *out_taken = 0;
    len = len < sizeof(duo->buf) ? len : sizeof(duo->buf);
    if (how == DUO_COPY) {
        flow_fill(key_of(stream, side), stream->written[side], duo->buf, len);
        return smux_estream_write(engine, stream->at[side], duo->buf, len, out_taken);
    }
    status = smux_estream_write_reserve(engine, stream->at[side], len, &iov);
    if (status == SMUX_OK) {
        *out_taken = iov.len < len ? iov.len : len;
        flow_fill(key_of(stream, side), stream->written[side], iov.base, *out_taken);
        smux_estream_write_commit(engine, stream->at[side], *out_taken);
    }
    return status;
}

void duo_write(struct duo *duo, struct duo_stream *stream, unsigned side, size_t len,
               enum duo_how how)
{
    for (int tries = 0; len > 0 && usable(stream, side) && !stream->shut[side];) {
        size_t taken;
        int status = write_once(duo, stream, side, len, how, &taken);

        stream->written[side] += taken;
        len -= taken;
        tries = taken > 0 ? 0 : tries + 1;
        if ((status != SMUX_OK && status != SMUX_EAGAIN && status != SMUX_ENOMEM) ||
            tries > TRIES) {
            fail_stream(duo, stream, side, status);
        } else if (len > 0) {
            duo_sleep(duo, 10);
            duo_read(duo, stream, 1 - side, SIZE_MAX, how);
            duo_move(duo);
        }
    }
}

void duo_lend(struct duo *duo, struct duo_stream *stream, size_t len)
{
    if (!usable(stream, 0) || stream->loan != NULL) {
        return;
    }
    stream->loan = malloc(len);
    ck_assert(stream->loan != NULL);
    flow_fill(key_of(stream, 0), stream->written[0], stream->loan, len);
    int status = smux_estream_lend(duo->engine[0], stream->at[0], stream->loan, len);
    if (status != SMUX_OK) {
        free(stream->loan);
        stream->loan = NULL;
        fail_stream(duo, stream, 0, status);
    }
}

void duo_reclaim(struct duo *duo, struct duo_stream *stream)
{
    size_t kept = 0;

    if (stream == NULL || stream->loan == NULL) {
        return;
    }
    link_settle(&duo->link, 0);
    int status = smux_estream_reclaim(duo->engine[0], stream->at[0], &kept);
    ck_assert(status == SMUX_OK || (status == SMUX_EIO && starved(duo) && !alive(duo, 0)));
    stream->written[0] += kept;
    free(stream->loan); /* whoever still reads it meets the sanitizer, or nonsense */
    stream->loan = NULL;
}

/* --- reading ----------------------------------------------------------------------------- */

/* An end in order before all that was written: the other end has to know why. */
static void judge_end(struct duo *duo, struct duo_stream *stream, unsigned side)
{
    unsigned other = 1 - side;
    size_t len;
    bool known = stream->gone[other] || !alive(duo, other);

    if (stream->end[side] == SMUX_EOF && stream->read[side] == stream->written[other] &&
        (stream->shut[other] || known)) {
        return;
    }
    if (stream->end[side] != SMUX_EOF) {
        ck_assert_msg(starved(duo) || stream->gone[side] || !alive(duo, side),
                      "stream %u of side %u: %s", (unsigned)stream->id, side,
                      smux_strerror(stream->end[side]));
        return;
    }
    if (!known && duo->refuses) {
        known = stream->at[other] == NULL;
    } else if (!known) { /* it was refused, or has failed over there without a call that told */
        known = starved(duo) &&
                (stream->at[other] == NULL ||
                 smux_estream_write(duo->engine[other], stream->at[other], "", 0, &len) != SMUX_OK);
    }
    ck_assert_msg(known, "stream %u: %u bytes of %u look like all", (unsigned)stream->id,
                  (unsigned)stream->read[side], (unsigned)stream->written[other]);
}

static int read_once(struct duo *duo, struct duo_stream *stream, unsigned side, size_t len,
                     enum duo_how how, size_t *out_len)
{
    smux_engine *engine = duo->engine[side];
    struct smux_iov iov;
    int n;
    int status;

    *out_len = 0;
    len = len < sizeof(duo->buf) ? len : sizeof(duo->buf);
    if (how == DUO_COPY) {
        return smux_estream_read(engine, stream->at[side], duo->buf, len, out_len);
    }
    status = smux_estream_peek(engine, stream->at[side], &iov, 1, &n);
    if (status == SMUX_OK) {
        *out_len = iov.len < len ? iov.len : len;
        memcpy(duo->buf, iov.base, *out_len);
        smux_estream_consume(engine, stream->at[side], *out_len);
    }
    return status;
}

size_t duo_read(struct duo *duo, struct duo_stream *stream, unsigned side, size_t len,
                enum duo_how how)
{
    size_t total = 0;

    while (usable(stream, side) && stream->end[side] == 0 && total < len) {
        size_t got;
        int status = read_once(duo, stream, side, len - total, how, &got);

        if (status == SMUX_EAGAIN) {
            break;
        }
        ck_assert_msg(flow_check(key_of(stream, 1 - side), stream->read[side], duo->buf, got) ==
                          got,
                      "wrong bytes in stream %u", (unsigned)stream->id);
        stream->read[side] += got;
        total += got;
        if (status != SMUX_OK) {
            stream->end[side] = status;
            judge_end(duo, stream, side);
        }
    }
    return total;
}

/* --- ends -------------------------------------------------------------------------------- */

void duo_shut(struct duo *duo, struct duo_stream *stream, unsigned side)
{
    if (!usable(stream, side) || stream->shut[side]) {
        return;
    }
    int status = smux_estream_shutdown(duo->engine[side], stream->at[side]);
    if (status == SMUX_OK) {
        stream->shut[side] = true;
    } else {
        fail_stream(duo, stream, side, status);
    }
}

static void let_go(struct duo *duo, struct duo_stream *stream, unsigned side, bool abort)
{
    if (!usable(stream, side)) {
        return;
    }
    if (side == 0) {
        duo_reclaim(duo, stream);
    }
    stream->gone[side] = true;
    if (abort) {
        smux_estream_abort(duo->engine[side], stream->at[side], SMUX_EABORTED);
    }
    smux_estream_close(duo->engine[side], stream->at[side]);
    stream->at[side] = NULL;
}

void duo_abort(struct duo *duo, struct duo_stream *stream, unsigned side)
{
    let_go(duo, stream, side, true);
}

void duo_close(struct duo *duo, struct duo_stream *stream, unsigned side)
{
    let_go(duo, stream, side, false);
}

/* --- the end ----------------------------------------------------------------------------- */

/* Lets every stream come to its end. */
static void end_streams(struct duo *duo)
{
    for (unsigned i = 0; i < duo->n; i++) {
        struct duo_stream *stream = &duo->streams[i];

        duo_reclaim(duo, stream);
        duo_shut(duo, stream, 0);
        duo_shut(duo, stream, 1);
    }
    for (int round = 0; round < 20; round++) {
        duo_sleep(duo, 50);
        for (unsigned i = 0; i < duo->n; i++) {
            duo_read(duo, &duo->streams[i], 0, SIZE_MAX, DUO_COPY);
            duo_read(duo, &duo->streams[i], 1, SIZE_MAX, DUO_COPY);
            duo_shut(duo, &duo->streams[i], 1); /* accepted late */
        }
    }
}

static void close_streams(struct duo *duo)
{
    for (unsigned i = 0; i < duo->n; i++) {
        for (unsigned side = 0; side < 2; side++) {
            struct duo_stream *stream = &duo->streams[i];

            ck_assert_msg(!usable(stream, side) || stream->end[side] != 0 || starved(duo),
                          "stream %u does not end", (unsigned)stream->id);
            duo_close(duo, stream, side);
        }
    }
    duo_sleep(duo, 50);
}

/* There is memory again: a session that lives serves a new stream, and then has nothing left. */
static void check_usable(struct duo *duo)
{
    struct duo_stream *stream;

    memset(duo->streams, 0, sizeof(duo->streams));
    duo->n = 0;
    duo->deaf = false;
    stream = duo_open(duo);
    ck_assert_msg(stream != NULL, "a living session opens no stream");
    duo_write(duo, stream, 0, 10000, DUO_COPY);
    duo_sleep(duo, 50);
    duo_write(duo, stream, 1, 10000, DUO_COPY);
    end_streams(duo);
    ck_assert(alive(duo, 0) && alive(duo, 1));
    ck_assert_int_eq(stream->end[0], SMUX_EOF);
    ck_assert_int_eq(stream->end[1], SMUX_EOF);
    ck_assert_uint_eq(stream->read[0], 10000);
    ck_assert_uint_eq(stream->read[1], 10000);
    close_streams(duo);
}

void duo_finish(struct duo *duo)
{
    if (duo->link.rng != NULL) {
        end_streams(duo);
        duo->heap->fail_at = 0;
        end_streams(duo); /* what waited for memory goes on */
        close_streams(duo);
        ck_assert_msg(starved(duo) || duo->doomed || (alive(duo, 0) && alive(duo, 1)),
                      "a session died");
        if (!duo->doomed && alive(duo, 0) && alive(duo, 1)) {
            check_usable(duo);
        }
    }
    smux_engine_free(duo->engine[0]);
    smux_engine_free(duo->engine[1]);
    if (duo->link.rng != NULL) {
        link_free(&duo->link);
    }
    ck_assert_uint_eq(duo->heap->now, 0);
    ck_assert_uint_eq(duo->heap->blocks, 0);
}
