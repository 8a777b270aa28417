/*
 * test_exhaustive.c - all schedules of two real engines in a small world, none left out.
 *
 * The client opens one or two streams and writes up to three frames of at most 2 bytes on them;
 * the server reads and may answer; windows have 3 bytes or 1, the budget of the server 5. In every
 * state that can be reached, everything that can happen next is tried: which end acts, which stream,
 * one byte or all of what can be read, how many bytes pass the transport, whether bytes stay on
 * their way, and whether the connection is reset or ends in one direction right now.
 *
 * States are compared by what is in the memory that both engines live in, wherever it lies
 * (arena.h), without the past (inside.h): what cannot have an effect any more; and by the model and
 * the audits. That it has none is tried, too: in EXACT worlds all of the memory counts, and states
 * that are the same without their past must lead to the same states, each end for itself, too.
 *
 * Every step uses up something of which there is a finite amount, so the search ends; it ends when
 * nothing is left to try, and no limit cuts it off. A state in which nothing can happen must be the
 * one where everything has finished: so all schedules finish [I7].
 *
 * Four things need not be tried again and again, and are not:
 *   - A cut of what is sent into any pieces is a cut into single bytes and whole rests with nothing
 *     in between, if an engine's state depends on what arrived and not on how.
 *   - Between two bytes of a header an engine has nothing new but a byte that it keeps, and whatever
 *     happens there has the same effect in front of the last one. So the bytes of a header come one
 *     by one, and other steps are tried in front of the first and of the last one only. That the
 *     transport takes nothing is a step of its own: the frames that are due are formed then, as they
 *     are by each attempt to move a byte.
 *   - An end that loses its connection is alone with what it has, so each state of an end loses it
 *     once, and not once for every state of the other; between all bytes of a header, too.
 *   - What an end does depends on its own state, and on the bytes that reach it. So each step of each
 *     state of an end is made once, and where it led is noted. If that is a state of both that was
 *     seen, the step is not made again; otherwise it is, and must lead to what was noted.
 * For the first two, COMPARED worlds are searched with all kinds of cuts, and must have the same
 * states; those inside a header aside, where these are left out. For the last one, they are searched
 * with each step made each time, which must come to the same.
 *
 *   SCOPE=large   larger worlds, minutes each
 *   SCOPE=n       world n of the table alone
 *
 * ctest-timeout: 300
 */
#include "world.h"

#include "support/known.h"
#include "support/must.h"
#include "support/rng.h"
#include "support/seen.h"
#include "support/suite.h"

#include <stdio.h>
#include <string.h>

#define DEPTH 600

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

enum trait {
    LATENCY = 1,    /* bytes may stay on their way, otherwise they arrive at once */
    ONE_BY_ONE = 2, /* reading takes 1 byte or all, otherwise all */
    EXACT = 4,      /* states with different pasts are different ones, and must go on alike */
    COMPARED = 8    /* with all kinds of cuts, which must lead to the same states */
};

/* A world, and what is tried in it. */
struct search {
    struct scope scope;
    enum cuts cuts;
    unsigned traits;
    enum effort effort;
};

static const struct search searches[] = {
    {{2, 1, {3}, 0, 3, false}, CUT_NONE, LATENCY, QUICK},
    {{1, 1, {2}, 0, 3, false}, CUT_HEADS, ONE_BY_ONE | COMPARED, QUICK},
    {{1, 1, {2}, 0, 3, false}, CUT_HEADS, ONE_BY_ONE | EXACT, QUICK},
    {{1, 1, {3}, 0, 3, false}, CUT_HEADS, ONE_BY_ONE, SUITE},
    {{2, 1, {2}, 0, 3, false}, CUT_HEADS, COMPARED, SUITE},
    {{2, 1, {3}, 0, 1, false}, CUT_HEADS, 0, SUITE},
    {{2, 1, {3}, 0, 3, false}, CUT_NONE, LATENCY | EXACT, SUITE},
    {{2, 1, {3}, 2, 1, false}, CUT_NONE, ONE_BY_ONE, SUITE},
    {{1, 2, {1, 1}, 0, 3, false}, CUT_NONE, EXACT, SUITE},
    {{1, 2, {3, 2}, 0, 3, false}, CUT_NONE, 0, SUITE},
    {{2, 2, {3, 2}, 0, 3, false}, CUT_NONE, 0, SUITE},
    {{2, 2, {3, 2}, 0, 1, false}, CUT_NONE, 0, SUITE},
    {{1, 2, {2, 1}, 0, 3, false}, CUT_HEADS, 0, SUITE},
    {{1, 2, {3, 2}, 0, 3, false}, CUT_HEADS, 0, LARGE},
    {{2, 2, {2, 1}, 0, 3, false}, CUT_HEADS, 0, LARGE},
    {{2, 2, {3, 2}, 0, 3, false}, CUT_HEADS, 0, LARGE},
    {{2, 2, {3, 2}, 0, 1, false}, CUT_HEADS, 0, LARGE},
    {{2, 1, {5}, 0, 1, false}, CUT_HEADS, 0, LARGE},
    {{2, 1, {3}, 2, 1, false}, CUT_HEADS, 0, LARGE},
    {{2, 1, {3}, 0, 1, false}, CUT_HEADS, ONE_BY_ONE, LARGE},
    {{2, 1, {3}, 0, 1, true}, CUT_HEADS, ONE_BY_ONE, LARGE},
    {{2, 2, {3, 2}, 0, 1, false}, CUT_NONE, ONE_BY_ONE, LARGE},
    {{1, 2, {2, 1}, 0, 3, false}, CUT_NONE, LATENCY, LARGE},
    {{2, 2, {2, 1}, 0, 3, false}, CUT_NONE, LATENCY, LARGE},
    {{1, 2, {2, 1}, 0, 3, false}, CUT_HEADS, COMPARED, LARGE},
    {{2, 1, {2}, 0, 3, false}, CUT_HEADS, EXACT, LARGE},
    {{2, 2, {1, 0}, 0, 3, false}, CUT_NONE, EXACT, LARGE},
};

#define N_SEARCHES (sizeof(searches) / sizeof(searches[0]))

/* Where the search is. */
struct place {
    struct world_snapshot s;
    uint64_t ends[2]; /* world_hash_end() */
    uint64_t onward;  /* hash of where the steps lead, in the order in which they are tried */
};

static struct {
    const struct search *search;
    enum cuts cuts;
    struct place stack[DEPTH];
    struct world_snapshot between; /* two bytes of a header */
    struct seen states;            /* of both ends and what is between them */
    struct seen dropped;           /* states of one end, whose connection was lost */
    struct known known;            /* of steps of one end: see foresee() */
    bool foresees;                 /* that is made use of */
    struct seen heads;  /* of one end, and the header that it was taken through byte by byte */
    struct seen merged; /* what the states are without their past, */
    struct seen onward; /* and that with where they lead; with EXACT */
    uint64_t transitions, ends, deepest;
    uint64_t blocked;   /* states in which a window holds something back */
    uint64_t landmarks; /* states in which no header is cut, or only its last byte is missing */
} x;

static bool has(enum trait trait)
{
    return (x.search->traits & (unsigned)trait) != 0;
}

/* --- invariants ----------------------------------------------------------------------------- */

/* Returns the bytes that are unread. */
static uint64_t check_stream(unsigned side, unsigned s)
{
    const struct world_end *end = &world.m.ends[side][s];
    const struct audit_stream *wire = world_audited(side, s);
    struct smux_stream_stats stats;

    must(wire->sent <= end->written, "I1: more sent than written");
    must(wire->fins_out == 0 || end->shut, "I2: a FIN before its time");
    if (end->stream == NULL) {
        return 0;
    }
    smux_estream_stats(world.engines[side], end->stream, &stats);
    x.blocked += stats.blocked_on_window;
    if (world.scope.version == 2 && !(end->shut && end->ended)) {
        must(stats.send_window <= audit_room(&world.m.audits[side], 3 + 2 * s, stats.bytes_out) ||
                 wire->fin_in,
             "I5: window");
    }
    return stats.unread;
}

static void check_engine(unsigned side)
{
    struct smux_session_stats stats;
    uint64_t unread = 0;

    smux_engine_stats(world.engines[side], &stats);
    for (unsigned s = 0; s < world.scope.streams; s++) {
        unread += check_stream(side, s);
    }
    must(stats.receive_buffer <= (uint64_t)stats.receive_budget + 65534, "I3: budget");
    must(unread <= stats.receive_buffer, "I4: charge");
    must(smux_engine_wants_read(world.engines[side]) ||
             stats.receive_buffer >= stats.receive_budget,
         "I8: reading stops for nothing");
    must(!smux_engine_wants_read(world.engines[side]) ||
             !audit_between_frames(&world.m.audits[side]) ||
             stats.receive_buffer < stats.receive_budget,
         "I3: reads on without budget");
    must(stats.glitches == 0, "an honest end costs glitches");
    must(smux_engine_error(world.engines[side]) == SMUX_OK, "I16: %s",
         smux_engine_error_text(world.engines[side]));
}

/* --- the connection drops ------------------------------------------------------------------- */

/* Sends into nothing until the engine has nothing left. */
static void send_to_nobody(unsigned side)
{
    uint8_t data[WORLD_PIPE];
    size_t len;

    while ((len = world_gather(side, data)) > 0) {
        smux_engine_send_commit(world.engines[side], len, world.m.now);
    }
}

/* The application takes what is there and closes; what it is told must be true [I1, I2, I16]. */
static void finish_end(unsigned side, unsigned s)
{
    struct world_end *end = &world.m.ends[side][s];
    int error = smux_engine_error(world.engines[side]);
    uint64_t unsent = world_total(side, s) - world_audited(side, s)->sent;
    uint8_t data[8];
    size_t got;
    int status;

    if (end->stream == NULL) {
        return;
    }
    while ((status = smux_estream_read(world.engines[side], end->stream, data, 8, &got)) ==
           SMUX_OK) {
        for (size_t i = 0; i < got; i++) {
            must(data[i] == world_content(1 - side, s, end->read + (unsigned)i), "I1: wrong byte");
        }
        end->read = (uint8_t)(end->read + got);
    }
    if (status == SMUX_EOF) {
        must(world_audited(side, s)->fin_in && end->read == world_total(1 - side, s),
             "I2: end of file after %u bytes", end->read);
    } else if (status == SMUX_EPIPE) {
        must(world_audited(side, s)->fin_in && end->read == world_total(1 - side, s) &&
                 (error == SMUX_OK || error == SMUX_ETRUNCATED) && unsent > 0,
             "END-3: our data cannot go, and %u bytes were read", end->read);
    } else {
        must(status == error || status == SMUX_ETRUNCATED, "I16: %s, but the session has %s",
             smux_status_name(status), smux_status_name(error));
    }
    smux_estream_close(world.engines[side], end->stream);
    end->stream = NULL;
}

static void finish_dropped(unsigned side)
{
    smux_estream *stream;
    int error;

    while (smux_engine_accept(world.engines[side], &stream) == SMUX_OK) {
        world.m.ends[side][(smux_estream_id(stream) - 3) / 2].stream = stream;
    }
    send_to_nobody(side);
    for (unsigned s = 0; s < world.scope.streams; s++) {
        finish_end(side, s);
    }
    send_to_nobody(side);
    error = smux_engine_error(world.engines[side]);
    must(error != SMUX_OK, "I16: a session outlives its connection");
    must(smux_engine_open(world.engines[side], &stream) == error, "I16: open");
    must(smux_engine_tick(world.engines[side], world.m.now) == error, "I16: tick");
    must(smux_engine_deadline(world.engines[side]) == SMUX_NEVER, "I13: a deadline after the end");
}

/* An end gets an error, or the bytes behind those that arrived are replaced by an orderly end. */
static void drop(const struct world_snapshot *here, unsigned side, bool reset)
{
    bool whole = audit_between_frames(&world.m.audits[side]);

    if (reset) {
        smux_engine_fail(world.engines[side], SMUX_EIO, "reset");
    } else {
        smux_engine_recv_eof(world.engines[side], world.m.now);
    }
    finish_dropped(side);
    must(reset || whole || smux_engine_error(world.engines[side]) == SMUX_ETRUNCATED,
         "END-3: the end inside a frame is %s",
         smux_status_name(smux_engine_error(world.engines[side])));
    smux_engine_free(world.engines[side]);
    must(arena_blocks(&world.arenas[side]) == 0, "I12: %u blocks leaked",
         arena_blocks(&world.arenas[side]));
    world_restore(here, side);
}

/* --- the search ----------------------------------------------------------------------------- */

/* Returns the hash of the state, without its past. */
static uint64_t explore(unsigned depth);

/* What an end does, or has done to it. */
enum step {
    WRITE,
    READ_ONE, /* a byte */
    READ,
    CLOSE,
    ACCEPT,
    REFUSAL,   /* its transport takes nothing */
    SEND_HEAD, /* all but the last byte of a header, or one byte */
    SEND_ALL,
    PASSED, /* no step: what it sent then */
    RECEIVE
};

#define NOT_KEPT   0u /* a key of a step that nothing is noted of */
#define IMPOSSIBLE 0u /* where a step leads that is none */

/* A step of an end that is in a state, on a stream or with bytes. */
static uint64_t key_of(uint64_t end, enum step step, uint64_t what)
{
    return rng_mix(rng_mix(end + (uint64_t)step) + what) | 1u;
}

/* What an end does depends on its state alone, and on the bytes that reach it; so do all checks but
 * that of the end of all. So where a step of an end has led once it leads again: if that, and what the
 * other end is then, is a state that was seen already, the step need not be made. The hashes are
 * those of the ends afterwards. */
static bool foresee(const uint64_t ends[2])
{
    bool seen = seen_has(&x.states, world_hash(ends));

    x.transitions += seen;
    return seen;
}

/* Notes where a step of an end has led, which must be the same each time. */
static void learn(uint64_t key, uint64_t value)
{
    if (key != NOT_KEPT) {
        known_put(&x.known, key, value);
    }
}

static bool recall(uint64_t key, uint64_t *out_value)
{
    return x.foresees && known_get(&x.known, key, out_value);
}

/* Goes on from where a step has led, and comes back. The keys are of what it was for each end. */
static void went(unsigned depth, unsigned changed, uint64_t client_key, uint64_t server_key)
{
    const uint64_t keys[2] = {client_key, server_key};
    struct place *here = &x.stack[depth];
    uint64_t next;

    must(depth + 1 < DEPTH, "too deep");
    for (unsigned side = 0; side < 2; side++) {
        bool same = changed != WORLD_BOTH && changed != side;

        here[1].ends[side] = same ? here->ends[side] : world_hash_end(side);
        learn(keys[side], here[1].ends[side]);
    }
    next = explore(depth + 1);
    here->onward = seen_hash(here->onward, &next, sizeof(next));
    x.transitions++;
    world_restore(&here->s, changed);
}

/* Makes a step of one end; false if it was not possible. */
static bool make(enum step step, unsigned side, unsigned s)
{
    switch (step) {
    case WRITE:
        return world_write(side, s);
    case READ_ONE:
        return world_read(side, s, 1);
    case READ:
        return world_read(side, s, 8);
    case CLOSE:
        return world_close(side, s);
    case ACCEPT:
        return world_accept();
    default:
        world_refuse(side);
        return true;
    }
}

/* A step that only one end knows of. Returns whether it was possible. */
static bool try_step(unsigned depth, enum step step, unsigned side, unsigned s)
{
    const uint64_t *ends = x.stack[depth].ends;
    uint64_t key = key_of(ends[side], step, s);
    uint64_t after[2] = {ends[0], ends[1]};

    if (recall(key, &after[side]) && (after[side] == IMPOSSIBLE || foresee(after))) {
        return after[side] != IMPOSSIBLE;
    }
    if (!make(step, side, s)) {
        learn(key, IMPOSSIBLE);
        return false;
    }
    went(depth, side, side == 0 ? key : NOT_KEPT, side == 1 ? key : NOT_KEPT);
    return true;
}

static unsigned try_applications(unsigned depth)
{
    unsigned n = 0;

    for (unsigned side = 0; side < 2; side++) {
        for (unsigned s = 0; s < world.scope.streams; s++) {
            n += try_step(depth, WRITE, side, s);
            n += has(ONE_BY_ONE) && try_step(depth, READ_ONE, side, s);
            n += try_step(depth, READ, side, s);
            n += try_step(depth, CLOSE, side, s);
        }
    }
    return n + try_step(depth, ACCEPT, 1, 0);
}

static void try_drops(const struct world_snapshot *here, unsigned side)
{
    drop(here, side, true);
    drop(here, side, false);
}

/* Moves some of the bytes there are, and, from the same state, more. */
static void try_cuts(unsigned side, unsigned depth)
{
    uint8_t data[WORLD_PIPE];
    size_t len = world_gather(side, data);

    for (size_t i = 1; i <= len; i = x.cuts == CUT_ALL || i == len ? i + 1 : len) {
        (void)world_move(side, i);
        went(depth, WORLD_BOTH, NOT_KEPT, NOT_KEPT);
    }
}

/* Bytes of a header that come next, the rest of an update included; 0 if payload does. */
static size_t header_left(unsigned side, const uint8_t *next)
{
    const struct audit_decoder *d = &world.m.audits[side].out;
    uint8_t cmd = d->have > 1 ? d->head[1] : next[1 - d->have];

    return d->payload > 0 ? 0 : (cmd == CMD_UPD ? FRAME_UPD : FRAME_HEADER) - d->have;
}

/* Tells whether an end was taken through this header before, as the one that sends it or not. */
static bool knows_header(const struct place *here, unsigned side, bool sends, const uint8_t *header)
{
    return !seen_add(&x.heads, seen_hash(here->ends[side] + sends, header, FRAME_UPD));
}

/* An end is between two bytes of a header. */
static void look_between(unsigned side)
{
    check_engine(side);
    if (seen_add(&x.dropped, world_hash_end(side))) {
        world_save(&x.between, side);
        try_drops(&x.between, side);
    }
}

/* Moves all of a header but its last byte. In between nothing happens but that the ends lose their
 * connection, once in each of their states. */
static void move_header(const struct place *here, unsigned side, const uint8_t *header, size_t len)
{
    bool looks[2];

    looks[side] = !knows_header(here, side, true, header);
    looks[1 - side] = !knows_header(here, 1 - side, false, header);
    for (; len > 1; len--) {
        must(world_move(side, 1) == 1, "half of a header is not taken");
        for (unsigned i = 0; i < 2 && len > 2; i++) {
            if (looks[i]) {
                look_between(i);
            }
        }
    }
}

/* Moves a piece, which may be none: some updates turn out not to be needed any more. Returns a
 * fingerprint of it, or 0 if not all of it was taken. */
static uint64_t move_piece(const struct place *here, enum step step, unsigned side)
{
    uint8_t next[WORLD_PIPE] = {0};
    size_t len = world_gather(side, next);
    size_t left = len > 0 ? header_left(side, next) : 0;

    if (step == SEND_HEAD && left > 1) {
        move_header(here, side, next, left);
        len = left - 1;
    } else {
        len = step == SEND_HEAD && len > 0 ? 1 : len;
        if (world_move(side, len) < len) {
            return 0;
        }
    }
    memset(next + len, 0, WORLD_PIPE - len);
    return seen_hash(len, next, (len + 7) / 8 * 8) | 1u;
}

/* A piece that arrives at once. */
static void try_piece(unsigned depth, enum step step, unsigned side)
{
    const struct place *here = &x.stack[depth];
    uint64_t from = key_of(here->ends[side], step, 0);
    uint64_t passes = key_of(from, PASSED, 0);
    uint64_t to, piece, after[2];

    if (recall(from, &after[side]) && recall(passes, &piece) &&
        recall(key_of(here->ends[1 - side], RECEIVE, piece), &after[1 - side]) && foresee(after)) {
        return;
    }
    piece = move_piece(here, step, side);
    if (piece == 0) {
        went(depth, WORLD_BOTH, NOT_KEPT, NOT_KEPT);
        return;
    }
    learn(passes, piece);
    to = key_of(here->ends[1 - side], RECEIVE, piece);
    went(depth, WORLD_BOTH, side == 0 ? from : to, side == 0 ? to : from);
}

static void try_sending(unsigned side, unsigned depth)
{
    const struct audit_decoder *d = &world.m.audits[side].out;

    if (x.cuts == CUT_BYTES || x.cuts == CUT_ALL) {
        try_cuts(side, depth);
        return;
    }
    if (x.cuts == CUT_HEADS) {
        try_piece(depth, SEND_HEAD, side);
    }
    if (x.cuts == CUT_NONE || (d->have == 0 && d->payload == 0)) {
        try_piece(depth, SEND_ALL, side);
    }
}

/* Nothing overtakes what is on its way. */
static unsigned try_transport(unsigned depth)
{
    unsigned n = 0;

    for (unsigned side = 0; side < 2; side++) {
        bool listens = smux_engine_wants_read(world.engines[1 - side]);
        bool has_output = smux_engine_wants_write(world.engines[side]);

        if (x.cuts != CUT_NONE && has_output) {
            (void)try_step(depth, REFUSAL, side, 0);
        }
        if (world.m.pipe_len[side] == 0 && has_output && listens) {
            try_sending(side, depth);
            n++;
        }
        if (has(LATENCY) && has_output) {
            world_take(side);
            n++;
            went(depth, side, NOT_KEPT, NOT_KEPT);
        }
        if (world.m.pipe_len[side] > 0 && listens) {
            world_give(side);
            n++;
            went(depth, 1 - side, NOT_KEPT, NOT_KEPT);
        }
    }
    return n;
}

/* What began with an old clock begins now. That is no step: nobody can see it. */
static void tell_time(void)
{
    for (unsigned side = 0; side < 2; side++) {
        if (smux_engine_deadline(world.engines[side]) <= world.m.now) {
            (void)smux_engine_tick(world.engines[side], world.m.now);
        }
    }
}

/* Only when nothing else can happen: then the clock goes on to what is next. */
static bool try_time(unsigned depth)
{
    uint64_t next[2], first;

    tell_time();
    next[0] = smux_engine_deadline(world.engines[0]);
    next[1] = smux_engine_deadline(world.engines[1]);
    first = next[0] < next[1] ? next[0] : next[1];
    must(first > world.m.now, "I13: a deadline is not served");
    if (first == SMUX_NEVER) {
        return false;
    }
    world.m.now = first;
    for (unsigned side = 0; side < 2; side++) {
        if (next[side] <= world.m.now) {
            (void)smux_engine_tick(world.engines[side], world.m.now);
            must(smux_engine_deadline(world.engines[side]) > world.m.now,
                 "I13: a deadline is not served");
        }
    }
    went(depth, WORLD_BOTH, NOT_KEPT, NOT_KEPT);
    return true;
}

/* Nothing can happen any more: everything has finished [I7, I4, I11]. */
static void check_end(void)
{
    for (unsigned side = 0; side < 2; side++) {
        struct smux_session_stats stats;

        smux_engine_stats(world.engines[side], &stats);
        for (unsigned s = 0; s < world.scope.streams; s++) {
            const struct audit_stream *out = world_audited(side, s);
            const struct audit_stream *in = world_audited(1 - side, s);

            must(world.m.ends[side][s].closed, "I7: stream %u of side %u never finishes", s, side);
            must(out->sent == in->received && out->sent == world_total(side, s), "I5: bytes sent");
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
    const struct audit_decoder *d = &world.m.audits[side].out;

    return d->have > 0 && header_left(side, (const uint8_t[2]){0, CMD_UPD}) > 1;
}

static void count_state(unsigned depth)
{
    x.deepest = depth > x.deepest ? depth : x.deepest;
    x.landmarks += !is_cut(0) && !is_cut(1);
    if (x.search->effort == LARGE && x.states.n % (1 << 22) == 0) {
        printf("%zu states\n", x.states.n);
        fflush(stdout);
    }
}

static uint64_t explore(unsigned depth)
{
    struct place *here = &x.stack[depth];
    uint64_t merged = world_hash(here->ends);

    if (!seen_add(&x.states, has(EXACT) ? world_hash_exactly() : merged)) {
        return merged;
    }
    count_state(depth);
    world_save(&here->s, WORLD_BOTH);
    here->onward = 0;
    for (unsigned side = 0; side < 2; side++) {
        check_engine(side);
        if (seen_add(&x.dropped, here->ends[side])) {
            try_drops(&here->s, side);
        }
    }
    if (try_applications(depth) + try_transport(depth) == 0 && !try_time(depth)) {
        check_end();
        world_restore(&here->s, WORLD_BOTH);
    }
    if (has(EXACT)) {
        check_onward(merged, here->onward);
    }
    return merged;
}

/* --- a world -------------------------------------------------------------------------------- */

static void begin(const struct search *search, enum cuts cuts, bool foresees)
{
    memset(&x, 0, sizeof(x));
    x.search = search;
    x.cuts = cuts;
    x.foresees = foresees;
    seen_init(&x.states, 1 << 16);
    seen_init(&x.dropped, 1 << 10);
    seen_init(&x.heads, 1 << 10);
    seen_init(&x.merged, 1 << 10);
    seen_init(&x.onward, 1 << 10);
    known_init(&x.known, 1 << 10);
    world_begin(&search->scope);
    x.stack[0].ends[0] = world_hash_end(0);
    x.stack[0].ends[1] = world_hash_end(1);
}

static void end(void)
{
    for (unsigned i = 0; i < DEPTH; i++) {
        world_snapshot_free(&x.stack[i].s);
    }
    world_snapshot_free(&x.between);
    seen_free(&x.states);
    seen_free(&x.dropped);
    seen_free(&x.heads);
    known_free(&x.known);
    seen_free(&x.merged);
    seen_free(&x.onward);
    world_end();
}

static void report(size_t i)
{
    static const char *const texts[] = {"", ", every cut", ", bytes", ", all cuts"};

    printf("world %zu: version %u, %u streams%s%s: %zu states, %llu transitions, %zu ends dropped, "
           "%llu ends, depth %llu, %llu landmarks, %llu blocked: exhausted\n",
           i, world.scope.version, world.scope.streams, texts[x.cuts],
           has(LATENCY) ? ", latency" : "", x.states.n, (unsigned long long)x.transitions,
           x.dropped.n, (unsigned long long)x.ends, (unsigned long long)x.deepest,
           (unsigned long long)x.landmarks, (unsigned long long)x.blocked);
    if (has(EXACT)) {
        printf("world %zu: %zu states without their past\n", i, x.merged.n);
    }
    fflush(stdout);
}

/* What a search has found. */
struct result {
    size_t states, dropped;
    uint64_t transitions, ends, landmarks;
};

static struct result run(const struct search *search, enum cuts cuts, bool foresees)
{
    struct result result;

    begin(search, cuts, foresees);
    (void)explore(0);
    must(x.ends > 0, "no schedule has an end");
    report((size_t)(search - searches));
    result = (struct result){x.states.n, x.dropped.n, x.transitions, x.ends, x.landmarks};
    end();
    return result;
}

static void compare(const struct search *search, const struct result *first)
{
    struct result all_made = run(search, search->cuts, false);
    struct result bytes = run(search, CUT_BYTES, true);
    struct result any = run(search, CUT_ALL, true);

    must(memcmp(&all_made, first, sizeof(all_made)) == 0, "steps lead elsewhere than foreseen");
    must(bytes.landmarks == first->landmarks, "cuts lead to other states");
    must(any.landmarks == first->landmarks, "cuts lead to other states");
    must(any.states == bytes.states, "cuts lead to other states");
}

START_TEST(all_schedules_keep_the_invariants_and_finish)
{
    const struct search *search = &searches[_i];
    struct result result = run(search, search->cuts, (search->traits & EXACT) == 0);

    if ((search->traits & COMPARED) != 0) {
        compare(search, &result);
    }
}
END_TEST

static bool is_chosen(int i)
{
    const char *choice = getenv("SCOPE");
    enum effort most = suite_rounds(100) < 100 ? QUICK : SUITE;

    if (choice != NULL && strcmp(choice, "large") != 0) {
        return atoi(choice) == i;
    }
    return searches[i].effort <= (choice != NULL ? LARGE : most);
}

int main(void)
{
    Suite *suite = suite_create("all schedules");
    TCase *tc = tcase_create("all schedules");

    tcase_set_timeout(tc, getenv("SCOPE") != NULL ? 86400 : 300);
    for (int i = 0; i < (int)N_SEARCHES; i++) {
        if (is_chosen(i)) {
            tcase_add_loop_test(tc, all_schedules_keep_the_invariants_and_finish, i, i + 1);
        }
    }
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
