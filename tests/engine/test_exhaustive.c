/*
 * test_exhaustive.c - all schedules of two real engines in a small world, none left out.
 *
 * The client opens one or two streams and writes up to three frames of at most 2 bytes on them;
 * the server reads and may answer; windows have 3 bytes, the budget of the server 5. In every state
 * that can be reached, everything that can happen next is tried: which end acts, which stream,
 * one byte or all of what can be read, how many bytes pass the transport, whether bytes stay on
 * their way, and whether the connection is reset or ends in one direction right now.
 *
 * States are compared by what is in the memory that both engines live in, wherever it lies
 * (arena.h), without what cannot have an effect any more (inside.h), and by the model and the
 * audits. Every step uses up something of which there is a finite amount, so the search ends; it
 * ends when nothing is left to try, and no limit cuts it off.
 * A state in which nothing can happen must be the one where everything has finished: so all
 * schedules finish [I7].
 *
 * Two things need not be tried again and again, and are not:
 *   - A cut of what is sent into any pieces is a cut into single bytes and whole rests with nothing
 *     in between, if an engine's state depends on what arrived and not on how. That is tried, too:
 *     small worlds with all cuts and with those two have the same states.
 *   - An end that loses its connection is alone with what it has, so each state of an end loses it
 *     once, and not once for every state of the other.
 *
 *   SCOPE=large   larger worlds, minutes to hours and some gigabytes
 *   SCOPE=n       world n of the table alone
 *
 * ctest-timeout: 300
 */
#include "support/arena.h"
#include "support/audit.h"
#include "support/inside.h"
#include "support/must.h"
#include "support/rng.h"
#include "support/seen.h"
#include "support/suite.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define STREAMS 2
#define PIPE    512
#define DEPTH   600

enum effort {
    QUICK, /* also in slow builds */
    SUITE, /* seconds */
    LARGE  /* not in the suite */
};

/* How many of the bytes there are the transport takes. */
enum cuts {
    CUT_NONE,  /* all */
    CUT_HEADS, /* none; one, but of a header all except the last; all, in front of a frame */
    CUT_BYTES, /* none, one, or all */
    CUT_ALL    /* any number */
};

/* A world: what happens in it, and what its transport does. */
struct scope {
    unsigned version;
    unsigned streams;
    uint8_t bytes[STREAMS]; /* the client writes, 2 at a time */
    uint8_t answer;         /* bytes the server writes on each stream */
    enum cuts cuts;
    bool latency;    /* bytes may stay on their way, otherwise they arrive at once */
    bool one_by_one; /* reading takes 1 byte or all, otherwise all */
    bool direct;     /* the engine's own memory is read into, otherwise bytes are copied */
    bool exact;      /* states with different pasts are different ones, and go on alike */
    enum effort effort;
};

static const struct scope scopes[] = {
    {2, 1, {3}, 0, CUT_NONE, true, false, false, false, QUICK},
    {1, 1, {2}, 0, CUT_ALL, false, true, false, false, QUICK},
    {1, 1, {2}, 0, CUT_BYTES, false, true, false, false, QUICK},
    {1, 1, {3}, 0, CUT_ALL, false, true, false, false, SUITE},
    {1, 1, {3}, 0, CUT_BYTES, false, true, false, false, SUITE},
    {2, 1, {2}, 0, CUT_ALL, false, false, false, false, SUITE},
    {2, 1, {2}, 0, CUT_BYTES, false, false, false, false, SUITE},
    {2, 1, {3}, 2, CUT_NONE, false, true, false, false, SUITE},
    {1, 2, {3, 2}, 0, CUT_NONE, false, false, false, false, SUITE},
    {2, 2, {2, 1}, 0, CUT_NONE, false, false, false, false, SUITE},
    {2, 2, {3, 2}, 0, CUT_NONE, false, false, false, false, SUITE},
    {1, 1, {2}, 0, CUT_BYTES, false, true, true, false, LARGE},
    {2, 1, {2}, 0, CUT_BYTES, false, false, true, false, LARGE},
    {2, 1, {3}, 0, CUT_BYTES, false, true, false, false, LARGE},
    {2, 1, {3}, 0, CUT_BYTES, false, true, true, false, LARGE},
    {1, 2, {3, 2}, 0, CUT_NONE, false, true, false, false, LARGE},
    {2, 2, {3, 2}, 0, CUT_NONE, false, true, false, false, LARGE},
    {1, 2, {2, 1}, 0, CUT_NONE, true, false, false, false, LARGE},
    {2, 2, {2, 1}, 0, CUT_NONE, true, false, false, false, LARGE},
    {1, 2, {2, 1}, 0, CUT_BYTES, false, false, false, false, LARGE},
    {1, 2, {3, 2}, 0, CUT_BYTES, false, false, false, false, LARGE},
    {2, 2, {2, 1}, 0, CUT_BYTES, false, false, false, false, LARGE},
    {2, 2, {3, 2}, 0, CUT_BYTES, false, false, false, false, LARGE},
    {2, 2, {1, 1}, 0, CUT_BYTES, false, false, false, false, LARGE},
    {2, 1, {2}, 0, CUT_HEADS, false, false, false, false, LARGE},
    {1, 2, {2, 1}, 0, CUT_HEADS, false, false, false, false, LARGE},
    {1, 2, {3, 2}, 0, CUT_HEADS, false, false, false, false, LARGE},
    {2, 2, {1, 1}, 0, CUT_HEADS, false, false, false, false, LARGE},
    {2, 2, {2, 1}, 0, CUT_HEADS, false, false, false, false, LARGE},
    {2, 2, {3, 2}, 0, CUT_HEADS, false, false, false, false, LARGE},
    {1, 1, {2}, 0, CUT_HEADS, false, true, false, true, LARGE},
    {2, 1, {3}, 0, CUT_NONE, true, false, false, true, LARGE},
    {2, 1, {2}, 0, CUT_HEADS, false, false, false, true, LARGE},
    {1, 2, {1, 1}, 0, CUT_NONE, false, false, false, true, LARGE},
    {2, 2, {1, 1}, 0, CUT_NONE, false, false, false, true, LARGE},
};

#define N_SCOPES (sizeof(scopes) / sizeof(scopes[0]))

/* One end of one stream. */
struct end {
    smux_estream *stream;
    uint8_t written, read;
    uint8_t shut, ended, closed;
};

/* All that is no part of an engine; no padding may be left unset, as it is compared as bytes. */
struct model {
    struct end ends[2][STREAMS];
    uint8_t pipes[2][PIPE];
    size_t pipe_len[2];
    uint64_t now;
    struct audit audits[2]; /* their streams are saved apart */
};

#define AUDIT_STREAMS 8

struct snapshot {
    struct model model;
    uint64_t ends[2]; /* hash_end() */
    uint64_t onward;  /* hash of where the steps lead, in the order in which they are tried */
    struct audit_stream streams[2][AUDIT_STREAMS];
    size_t size[2];
    uint8_t *memory[2];
};

static struct {
    const struct scope *scope;
    struct arena arenas[2]; /* of the engines: nothing of one can be seen by the other */
    smux_engine *engines[2];
    struct model m;
    struct snapshot stack[DEPTH];
    struct seen merged;      /* what the states are without their past, */
    struct seen onward;      /* and that with where they lead; of exact worlds */
    struct seen states;      /* of both ends and what is between them */
    struct seen heads;       /* of one end, and the header that it was taken through byte by byte */
    struct seen dropped;     /* states of one end, whose connection was lost */
    struct snapshot between; /* two bytes of a header */
    uint64_t transitions, ends, deepest;
    uint64_t landmarks; /* states in which no header is cut, or only its last byte is missing */
} x;

/* --- states that were seen ------------------------------------------------------------------ */

/* What the application of an end has. */
static uint64_t hash_application(unsigned side, const void *roots[1 + STREAMS])
{
    const size_t beside = offsetof(struct end, written);
    uint64_t hash = side;

    roots[0] = x.engines[side];
    for (unsigned s = 0; s < STREAMS; s++) {
        const struct end *end = &x.m.ends[side][s];

        roots[1 + s] = end->stream;
        hash = seen_hash(hash, (const uint8_t *)end + beside, sizeof(*end) - beside);
    }
    return hash;
}

/* What the audit knows and may still need. There is no guard, which would need times; no update
 * follows the peer's FIN; and what was granted to a stream that is gone is of no use. */
static uint64_t hash_audit(unsigned side, uint64_t hash)
{
    for (unsigned s = 0; s < x.scope->streams; s++) {
        uint32_t id = 3 + 2 * s;
        struct audit_stream stream = *audit_stream(&x.m.audits[side], id);

        stream.syn_in_at_us = 0;
        stream.heard = false;
        if (stream.fin_in) {
            stream.consumed = 0;
        }
        if (!inside_has(x.engines[side], id)) {
            stream.acked = 0;
            stream.window = 0;
            stream.edge = 0;
            stream.consumed = 0;
        }
        hash = seen_hash(hash, &stream, sizeof(stream));
    }
    return hash;
}

/* One end: the engine, its application, and what the audit knows, without the past. */
static uint64_t hash_end(unsigned side)
{
    const void *roots[1 + STREAMS];
    struct inside_past past;
    uint64_t hash = hash_application(side, roots);

    hash = hash_audit(side, hash);
    hash = rng_mix(hash + inside_hide_past(x.engines[side], x.m.now, &past));
    hash ^= arena_hash(&x.arenas[side], roots, 1 + STREAMS);
    inside_show_past(x.engines[side], &past);
    return hash;
}

static uint64_t hash_state(const uint64_t ends[2])
{
    uint64_t hash = seen_hash(1, ends, 2 * sizeof(ends[0]));

    for (unsigned i = 0; i < 2; i++) {
        hash = seen_hash(hash, &x.m.pipe_len[i], sizeof(x.m.pipe_len[i]));
        hash = seen_hash(hash, x.m.pipes[i], (x.m.pipe_len[i] + 7) / 8 * 8);
    }
    return hash;
}

/* All of a state, the past included. */
static uint64_t hash_exactly(void)
{
    uint64_t ends[2];

    for (unsigned side = 0; side < 2; side++) {
        const void *roots[1 + STREAMS];
        uint64_t hash = hash_application(side, roots) + x.m.now;

        hash =
            seen_hash(hash, x.m.audits[side].streams, AUDIT_STREAMS * sizeof(struct audit_stream));
        ends[side] = hash ^ arena_hash(&x.arenas[side], roots, 1 + STREAMS);
    }
    return hash_state(ends);
}

static void save(struct snapshot *s)
{
    s->model = x.m;
    for (unsigned i = 0; i < 2; i++) {
        size_t size = arena_copy_size(&x.arenas[i]);

        if (size > s->size[i]) {
            free(s->memory[i]);
            s->memory[i] = malloc(size);
            s->size[i] = size;
            must(s->memory[i] != NULL, "no memory for the test");
        }
        memcpy(s->streams[i], x.m.audits[i].streams, sizeof(s->streams[i]));
        arena_save(&x.arenas[i], s->memory[i]);
    }
}

#define BOTH 2u

/* Brings back what a step of one end, or of BOTH, has changed. */
static void restore(const struct snapshot *s, unsigned changed)
{
    x.m = s->model;
    for (unsigned i = 0; i < 2; i++) {
        if (changed == i || changed == BOTH) {
            memcpy(x.m.audits[i].streams, s->streams[i], sizeof(s->streams[i]));
            arena_restore(&x.arenas[i], s->memory[i]);
        }
    }
}

/* --- invariants ----------------------------------------------------------------------------- */

static const struct audit_stream *audited(unsigned side, unsigned stream)
{
    return audit_stream(&x.m.audits[side], 3 + 2 * stream);
}

static uint8_t content(unsigned writer, unsigned stream, unsigned offset)
{
    return (uint8_t)(1 + offset + 50 * stream + 100 * writer);
}

static uint8_t total(unsigned side, unsigned stream)
{
    return side == 0 ? x.scope->bytes[stream] : x.scope->answer;
}

static void check_engine(unsigned side)
{
    struct smux_session_stats stats;
    uint64_t unread = 0;

    smux_engine_stats(x.engines[side], &stats);
    for (unsigned s = 0; s < x.scope->streams; s++) {
        const struct end *end = &x.m.ends[side][s];
        struct smux_stream_stats stream;

        if (end->stream != NULL) {
            smux_estream_stats(x.engines[side], end->stream, &stream);
            unread += stream.unread;
            if (x.scope->version == 2 && !(end->shut && end->ended)) {
                must(stream.send_window <=
                             audit_room(&x.m.audits[side], 3 + 2 * s, stream.bytes_out) ||
                         audited(side, s)->fin_in,
                     "I5: window");
            }
        }
    }
    must(stats.receive_buffer <= (uint64_t)stats.receive_budget + 65534, "I3: budget");
    must(unread <= stats.receive_buffer, "I4: charge");
    must(smux_engine_wants_read(x.engines[side]) || stats.receive_buffer >= stats.receive_budget,
         "I8: reading stops for nothing");
    must(!smux_engine_wants_read(x.engines[side]) || !audit_between_frames(&x.m.audits[side]) ||
             stats.receive_buffer < stats.receive_budget,
         "I3: reads on without budget");
    must(stats.glitches == 0, "an honest end costs glitches");
    must(smux_engine_error(x.engines[side]) == SMUX_OK, "I16: %s",
         smux_engine_error_text(x.engines[side]));
}

/* --- what can happen; what cannot leaves everything as it is --------------------------------- */

static bool write_some(unsigned side, unsigned s)
{
    struct end *end = &x.m.ends[side][s];
    uint8_t data[2];
    uint8_t left = (uint8_t)(total(side, s) - end->written);
    size_t len = left < 2 ? left : 2;
    size_t taken = 0;

    if (end->stream == NULL || end->shut) {
        return false;
    }
    if (left == 0) {
        must(smux_estream_shutdown(x.engines[side], end->stream) == SMUX_OK, "shutdown");
        end->shut = 1;
        return true;
    }
    for (uint8_t i = 0; i < len; i++) {
        data[i] = content(side, s, end->written + i);
    }
    must(smux_estream_write(x.engines[side], end->stream, data, len, &taken) == SMUX_OK, "write");
    must(taken == len, "%zu of %zu bytes written", taken, len);
    end->written = (uint8_t)(end->written + len);
    return true;
}

static bool read_some(unsigned side, unsigned s, size_t most)
{
    struct end *end = &x.m.ends[side][s];
    uint8_t data[8];
    size_t got = 0;
    int status;

    if (end->stream == NULL || end->ended ||
        (smux_estream_events(x.engines[side], end->stream) & SMUX_EVENT_READABLE) == 0) {
        return false;
    }
    status = smux_estream_read(x.engines[side], end->stream, data, most, &got);
    for (size_t i = 0; i < got; i++) {
        must(data[i] == content(1 - side, s, end->read + (unsigned)i), "I1: wrong byte");
    }
    end->read = (uint8_t)(end->read + got);
    must(end->read <= x.m.ends[1 - side][s].written, "I1: more read than written");
    if (status != SMUX_OK) {
        must(status == SMUX_EOF && x.m.ends[1 - side][s].shut && end->read == total(1 - side, s),
             "I2: stream %u ends with %s after %u bytes", s, smux_status_name(status), end->read);
        end->ended = 1;
    }
    return true;
}

static bool accept_one(void)
{
    smux_estream *stream;

    if (smux_engine_accept(x.engines[1], &stream) != SMUX_OK) {
        return false;
    }
    x.m.ends[1][(smux_estream_id(stream) - 3) / 2].stream = stream;
    return true;
}

static bool close_one(unsigned side, unsigned s)
{
    struct end *end = &x.m.ends[side][s];

    if (end->stream == NULL || !end->shut || !end->ended) {
        return false;
    }
    smux_estream_close(x.engines[side], end->stream);
    end->stream = NULL;
    end->closed = 1;
    return true;
}

/* Hands bytes to an engine; returns how many it took. */
static size_t hand_over(unsigned side, const uint8_t *data, size_t len)
{
    struct smux_iov iov[2];
    size_t taken = 0;

    if (!x.scope->direct) {
        (void)smux_engine_recv(x.engines[side], data, len, x.m.now, &taken);
    } else if (smux_engine_wants_read(x.engines[side])) {
        int n = smux_engine_recv_iov(x.engines[side], iov);

        for (int i = 0; i < n && taken < len; i++) {
            size_t part = iov[i].len < len - taken ? iov[i].len : len - taken;

            memcpy(iov[i].base, data + taken, part);
            taken += part;
        }
        (void)smux_engine_recv_commit(x.engines[side], taken, x.m.now);
    }
    audit_in(&x.m.audits[side], data, taken, x.m.now);
    return taken;
}

/* What an engine has to send, in one piece; to be called if it wants to. */
static size_t gather(unsigned side, uint8_t *data)
{
    struct smux_iov iov[64];
    int n = smux_engine_send_iov(x.engines[side], iov, 64, x.m.now);
    size_t len = 0;

    for (int i = 0; i < n; i++) {
        must(len + iov[i].len <= PIPE, "much to send");
        memcpy(data + len, iov[i].base, iov[i].len);
        len += iov[i].len;
    }
    must(len > 0 || !smux_engine_wants_write(x.engines[side]), "wants to send nothing");
    return len;
}

static void taken_from(unsigned side, const uint8_t *data, size_t len)
{
    const char *fault = audit_out(&x.m.audits[side], data, len, x.m.now);

    must(fault == NULL, "I10: %s", fault);
    smux_engine_send_commit(x.engines[side], len, x.m.now);
}

/* Moves `n` bytes at once, or all that there are if fewer; returns how many there were. */
static size_t move(unsigned side, size_t n)
{
    uint8_t data[PIPE];
    size_t len = gather(side, data);

    taken_from(side, data, hand_over(1 - side, data, n < len ? n : len));
    return len;
}

/* Takes all that an engine has to send onto the way. */
static void take(unsigned side)
{
    uint8_t data[PIPE];
    size_t len = gather(side, data);

    must(x.m.pipe_len[side] + len <= PIPE, "much on its way");
    memcpy(x.m.pipes[side] + x.m.pipe_len[side], data, len);
    x.m.pipe_len[side] += len;
    taken_from(side, data, len);
}

static void give(unsigned side, size_t n)
{
    size_t taken = hand_over(1 - side, x.m.pipes[side], n);

    memmove(x.m.pipes[side], x.m.pipes[side] + taken, x.m.pipe_len[side] - taken);
    x.m.pipe_len[side] -= taken;
    memset(x.m.pipes[side] + x.m.pipe_len[side], 0, taken);
}

/* The bytes on the way up to the end of the first frame. */
static size_t first_frame(unsigned side)
{
    struct frame frame;
    size_t len = frame_next(x.m.pipes[side], x.m.pipe_len[side], &frame);

    return len > 0 ? len : x.m.pipe_len[side];
}

/* --- the connection drops ------------------------------------------------------------------- */

/* Sends into nothing until the engine has nothing left. */
static void send_to_nobody(unsigned side)
{
    uint8_t data[PIPE];
    size_t len;

    while ((len = gather(side, data)) > 0) {
        smux_engine_send_commit(x.engines[side], len, x.m.now);
    }
}

/* The application takes what is there and closes; what it is told must be true [I1, I2, I16]. */
static void finish_end(unsigned side, unsigned s)
{
    struct end *end = &x.m.ends[side][s];
    int error = smux_engine_error(x.engines[side]);
    uint8_t data[8];
    size_t got;
    int status;

    if (end->stream == NULL) {
        return;
    }
    while ((status = smux_estream_read(x.engines[side], end->stream, data, 8, &got)) == SMUX_OK) {
        for (size_t i = 0; i < got; i++) {
            must(data[i] == content(1 - side, s, end->read + (unsigned)i), "I1: wrong byte");
        }
        end->read = (uint8_t)(end->read + got);
    }
    if (status == SMUX_EOF) {
        must(audited(side, s)->fin_in && end->read == total(1 - side, s),
             "I2: end of file after %u bytes", end->read);
    } else {
        must(status == error || status == SMUX_ETRUNCATED, "I16: %s, but the session has %s",
             smux_status_name(status), smux_status_name(error));
    }
    smux_estream_close(x.engines[side], end->stream);
    end->stream = NULL;
}

static void finish_dropped(unsigned side)
{
    smux_estream *stream;
    int error;

    while (smux_engine_accept(x.engines[side], &stream) == SMUX_OK) {
        x.m.ends[side][(smux_estream_id(stream) - 3) / 2].stream = stream;
    }
    send_to_nobody(side);
    for (unsigned s = 0; s < x.scope->streams; s++) {
        finish_end(side, s);
    }
    send_to_nobody(side);
    error = smux_engine_error(x.engines[side]);
    must(error != SMUX_OK, "I16: a session outlives its connection");
    must(smux_engine_open(x.engines[side], &stream) == error, "I16: open");
    must(smux_engine_tick(x.engines[side], x.m.now) == error, "I16: tick");
    must(smux_engine_deadline(x.engines[side]) == SMUX_NEVER, "I13: a deadline after the end");
}

/* An end gets an error, or the bytes behind those that arrived are replaced by an orderly end. */
static void drop(const struct snapshot *here, unsigned side, bool reset)
{
    if (reset) {
        smux_engine_fail(x.engines[side], SMUX_EIO, "reset");
    } else {
        smux_engine_recv_eof(x.engines[side], x.m.now);
    }
    finish_dropped(side);
    smux_engine_free(x.engines[side]);
    must(arena_blocks(&x.arenas[side]) == 0, "I12: %u blocks leaked",
         arena_blocks(&x.arenas[side]));
    restore(here, side);
}

/* --- the search ----------------------------------------------------------------------------- */

/* Returns the hash of the state, without its past. */
static uint64_t explore(unsigned depth, unsigned changed);

/* Goes on from where a step has led, and comes back. */
static void went(unsigned depth, unsigned changed)
{
    uint64_t next = explore(depth + 1, changed);

    x.stack[depth].onward = seen_hash(x.stack[depth].onward, &next, sizeof(next));
    x.transitions++;
    restore(&x.stack[depth], changed);
}

static unsigned try_applications(unsigned depth)
{
    unsigned n = 0;

    for (unsigned side = 0; side < 2; side++) {
        for (unsigned s = 0; s < x.scope->streams; s++) {
            if (write_some(side, s)) {
                n++;
                went(depth, side);
            }
            if (x.scope->one_by_one && read_some(side, s, 1)) {
                n++;
                went(depth, side);
            }
            if (read_some(side, s, 8)) {
                n++;
                went(depth, side);
            }
            if (close_one(side, s)) {
                n++;
                went(depth, side);
            }
        }
    }
    if (accept_one()) {
        n++;
        went(depth, 1);
    }
    return n;
}

static void try_drops(const struct snapshot *here)
{
    for (unsigned side = 0; side < 2; side++) {
        if (seen_add(&x.dropped, here->ends[side])) {
            drop(here, side, true);
            drop(here, side, false);
        }
    }
}

/* Moves some of the bytes there are, and, from the same state, more. */
static unsigned try_cuts(unsigned side, unsigned depth)
{
    size_t i = x.scope->cuts == CUT_NONE ? PIPE : 1;
    unsigned n = 0;
    size_t len;

    do {
        len = move(side, i);
        n++;
        went(depth, BOTH);
        i = x.scope->cuts == CUT_ALL || i >= len ? i + 1 : len;
    } while (i <= len);
    return n;
}

/* Bytes of a header that come next, the rest of an update included; 0 if payload does. */
static size_t header_left(unsigned side, const uint8_t *next)
{
    const struct audit_decoder *d = &x.m.audits[side].out;
    uint8_t cmd = d->have > 1 ? d->head[1] : next[1 - d->have];

    return d->payload > 0 ? 0 : (cmd == CMD_UPD ? FRAME_UPD : FRAME_HEADER) - d->have;
}

/* Tells whether an end was taken through this header before, as the one that sends it or not. */
static bool knows_header(const struct snapshot *here, unsigned side, bool sends,
                         const uint8_t *header)
{
    return !seen_add(&x.heads, seen_hash(here->ends[side] + sends, header, FRAME_UPD));
}

/* Moves all of a header but its last byte. In between nothing happens but that the ends lose their
 * connection, once in each of their states. */
static void move_header(const struct snapshot *here, unsigned side, const uint8_t *header,
                        size_t len)
{
    bool knows = knows_header(here, side, true, header);

    knows &= knows_header(here, 1 - side, false, header);
    for (; len > 1; len--) {
        (void)move(side, 1);
        if (!knows && len > 2) {
            x.between.ends[0] = hash_end(0);
            x.between.ends[1] = hash_end(1);
            save(&x.between);
            check_engine(0);
            check_engine(1);
            try_drops(&x.between);
        }
    }
}

static unsigned try_heads(unsigned side, unsigned depth)
{
    const struct audit_decoder *d = &x.m.audits[side].out;
    uint8_t next[PIPE] = {0};
    size_t left;

    (void)gather(side, next);
    left = header_left(side, next);
    if (left > 1) {
        move_header(&x.stack[depth], side, next, left);
    } else {
        (void)move(side, 1);
    }
    went(depth, BOTH);
    if (d->have == 0 && d->payload == 0) {
        (void)move(side, PIPE);
        went(depth, BOTH);
    }
    return 1;
}

/* The transport takes nothing of what it is offered. */
static void try_refusal(unsigned side, unsigned depth)
{
    uint8_t data[PIPE];

    (void)gather(side, data);
    went(depth, side);
}

/* Nothing overtakes what is on its way. */
static unsigned try_transport(unsigned depth)
{
    unsigned n = 0;

    for (unsigned side = 0; side < 2; side++) {
        bool listens = smux_engine_wants_read(x.engines[1 - side]);

        if (x.scope->cuts != CUT_NONE && smux_engine_wants_write(x.engines[side])) {
            try_refusal(side, depth);
        }
        if (x.m.pipe_len[side] == 0 && smux_engine_wants_write(x.engines[side]) && listens) {
            n += x.scope->cuts == CUT_HEADS ? try_heads(side, depth) : try_cuts(side, depth);
        }
        if (x.scope->latency && smux_engine_wants_write(x.engines[side])) {
            take(side);
            n++;
            went(depth, side);
        }
        if (x.m.pipe_len[side] > 0 && listens) {
            give(side, first_frame(side));
            n++;
            went(depth, 1 - side);
        }
    }
    return n;
}

/* What began with an old clock begins now. That is no step: nobody can see it. */
static void tell_time(void)
{
    for (unsigned side = 0; side < 2; side++) {
        if (smux_engine_deadline(x.engines[side]) <= x.m.now) {
            (void)smux_engine_tick(x.engines[side], x.m.now);
        }
    }
}

/* Only when nothing else can happen: then the clock goes on to what is next. */
static bool try_time(unsigned depth)
{
    uint64_t next[2], first;

    tell_time();
    next[0] = smux_engine_deadline(x.engines[0]);
    next[1] = smux_engine_deadline(x.engines[1]);
    first = next[0] < next[1] ? next[0] : next[1];
    must(first > x.m.now, "I13: a deadline is not served");
    if (first == SMUX_NEVER) {
        return false;
    }
    x.m.now = first;
    for (unsigned side = 0; side < 2; side++) {
        if (next[side] <= x.m.now) {
            (void)smux_engine_tick(x.engines[side], x.m.now);
            must(smux_engine_deadline(x.engines[side]) > x.m.now, "I13: a deadline is not served");
        }
    }
    went(depth, BOTH);
    return true;
}

/* Nothing can happen any more: everything has finished [I7, I4, I11]. */
static void check_end(void)
{
    for (unsigned side = 0; side < 2; side++) {
        struct smux_session_stats stats;

        smux_engine_stats(x.engines[side], &stats);
        for (unsigned s = 0; s < x.scope->streams; s++) {
            const struct audit_stream *out = audited(side, s);
            const struct audit_stream *in = audited(1 - side, s);

            must(x.m.ends[side][s].closed, "I7: stream %u of side %u never finishes", s, side);
            must(out->sent == in->received && out->sent == total(side, s), "I5: bytes sent");
            must(out->acked == in->consumed, "I5: bytes credited");
        }
        must(stats.streams_now == 0 && stats.receive_buffer == 0 && stats.send_buffer == 0,
             "I4, I11: something is left");
    }
    x.ends++;
}

/* All states that are the same without their past lead to the same ones. */
static void check_onward(uint64_t merged, uint64_t onward)
{
    bool first = seen_add(&x.merged, merged);

    must(seen_add(&x.onward, seen_hash(merged, &onward, sizeof(onward))) == first,
         "what counts as past has an effect");
}

/* A header came in part, and more than its last byte is missing. */
static bool is_cut(unsigned side)
{
    const struct audit_decoder *d = &x.m.audits[side].out;

    return d->have > 0 && header_left(side, (const uint8_t[2]){0, CMD_UPD}) > 1;
}

static void count_state(unsigned depth)
{
    x.deepest = depth > x.deepest ? depth : x.deepest;
    x.landmarks += !is_cut(0) && !is_cut(1);
    if (x.scope->effort == LARGE && x.states.n % (1 << 22) == 0) {
        printf("%zu states\n", x.states.n);
        fflush(stdout);
    }
}

static uint64_t explore(unsigned depth, unsigned changed)
{
    struct snapshot *here = &x.stack[depth];
    uint64_t merged;

    must(depth < DEPTH, "too deep");
    for (unsigned side = 0; side < 2; side++) {
        bool same = changed != BOTH && changed != side;

        here->ends[side] = same ? x.stack[depth - 1].ends[side] : hash_end(side);
    }
    merged = hash_state(here->ends);
    if (!seen_add(&x.states, x.scope->exact ? hash_exactly() : merged)) {
        return merged;
    }
    count_state(depth);
    save(here);
    here->onward = 0;
    check_engine(0);
    check_engine(1);
    try_drops(here);
    if (try_applications(depth) + try_transport(depth) == 0 && !try_time(depth)) {
        check_end();
        restore(here, BOTH);
    }
    if (x.scope->exact) {
        check_onward(merged, here->onward);
    }
    return merged;
}

/* --- a world -------------------------------------------------------------------------------- */

static void begin(const struct scope *scope)
{
    struct smux_config config;

    memset(&x, 0, sizeof(x));
    x.scope = scope;
    seen_init(&x.merged, 1 << 10);
    seen_init(&x.onward, 1 << 10);
    seen_init(&x.states, 1 << 16);
    seen_init(&x.heads, 1 << 10);
    seen_init(&x.dropped, 1 << 10);
    smux_config_init(&config);
    config.version = scope->version;
    config.max_frame_size = 2;
    config.max_stream_buffer = 3;
    config.max_receive_buffer = 5;
    config.max_send_buffer = 1; /* keeps no memory for later, whose old content would differ */
    config.keepalive_interval_ms = SMUX_OFF;
    config.keepalive_mode = SMUX_KEEPALIVE_NEVER;
    config.accept_guard_ms = SMUX_OFF;
    config.fin_linger_ms = SMUX_OFF;
    config.frame_timeout_ms = SMUX_OFF;
    config.accept_timeout_ms = SMUX_OFF;
    config.half_close_timeout_ms = SMUX_OFF;
    for (unsigned side = 0; side < 2; side++) {
        enum smux_role role = side == 0 ? SMUX_CLIENT : SMUX_SERVER;

        arena_init(&x.arenas[side]);
        config.allocator = &x.arenas[side].allocator;
        must(smux_engine_new(role, &config, 0, 0, &x.engines[side]) == SMUX_OK, "no engine");
        audit_init(&x.m.audits[side], role, scope->version, 0);
        x.m.audits[side].max_frame = 2;
        (void)audit_stream(&x.m.audits[side], 1);
        must(x.m.audits[side].num_streams >= AUDIT_STREAMS, "room for the audit");
    }
    for (unsigned s = 0; s < scope->streams; s++) {
        must(smux_engine_open(x.engines[0], &x.m.ends[0][s].stream) == SMUX_OK, "no stream");
    }
}

START_TEST(all_schedules_keep_the_invariants_and_finish)
{
    static const char *const texts[] = {"", ", every cut", ", bytes", ", all cuts"};
    const struct scope *scope = &scopes[_i];

    begin(scope);
    explore(0, BOTH);
    must(x.ends > 0, "no schedule has an end");
    printf("world %d: version %u, %u streams%s%s: %zu states, %llu transitions, %zu ends dropped, "
           "%llu ends, depth %llu, %llu landmarks: exhausted\n",
           _i, scope->version, scope->streams, texts[scope->cuts],
           scope->latency ? ", latency" : "", x.states.n, (unsigned long long)x.transitions,
           x.dropped.n, (unsigned long long)x.ends, (unsigned long long)x.deepest,
           (unsigned long long)x.landmarks);
    if (scope->exact) {
        printf("world %d: %zu states without their past\n", _i, x.merged.n);
    }
    fflush(stdout);
    for (unsigned i = 0; i < DEPTH; i++) {
        free(x.stack[i].memory[0]);
        free(x.stack[i].memory[1]);
    }
    audit_free(&x.m.audits[0]);
    audit_free(&x.m.audits[1]);
    seen_free(&x.merged);
    seen_free(&x.onward);
    seen_free(&x.states);
    seen_free(&x.heads);
    seen_free(&x.dropped);
}
END_TEST

static bool is_chosen(int i)
{
    const char *choice = getenv("SCOPE");
    enum effort most = suite_rounds(100) < 100 ? QUICK : SUITE;

    if (choice != NULL && strcmp(choice, "large") != 0) {
        return atoi(choice) == i;
    }
    return scopes[i].effort <= (choice != NULL ? LARGE : most);
}

int main(void)
{
    Suite *suite = suite_create("all schedules");
    TCase *tc = tcase_create("all schedules");

    tcase_set_timeout(tc, getenv("SCOPE") != NULL ? 86400 : 300);
    for (int i = 0; i < (int)N_SCOPES; i++) {
        if (is_chosen(i)) {
            tcase_add_loop_test(tc, all_schedules_keep_the_invariants_and_finish, i, i + 1);
        }
    }
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
