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
 * that are the same without their past must lead to the same states.
 *
 * Every step uses up something of which there is a finite amount, so the search ends; it ends when
 * nothing is left to try, and no limit cuts it off. A state in which nothing can happen must be the
 * one where everything has finished: so all schedules finish [I7].
 *
 * Three things need not be tried again and again, and are not:
 *   - A cut of what is sent into any pieces is a cut into single bytes and whole rests with nothing
 *     in between, if an engine's state depends on what arrived and not on how.
 *   - Between two bytes of a header an engine has nothing new but a byte that it keeps, and whatever
 *     happens there has the same effect in front of the last one. So the bytes of a header come one
 *     by one, and other steps are tried in front of the first and of the last one only. That the
 *     transport takes nothing is a step of its own: the frames that are due are formed then, as they
 *     are by each attempt to move a byte.
 *   - An end that loses its connection is alone with what it has, so each state of an end loses it
 *     once, and not once for every state of the other; between all bytes of a header, too.
 * For the first two, COMPARED worlds are searched with all kinds of cuts, and must have the same
 * states; those inside a header aside, where these are left out.
 *
 *   SCOPE=large   larger worlds, minutes each
 *   SCOPE=n       world n of the table alone
 *
 * ctest-timeout: 300
 */
#include "world.h"

#include "support/must.h"
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
    struct place between; /* two bytes of a header */
    struct seen states;   /* of both ends and what is between them */
    struct seen dropped;  /* states of one end, whose connection was lost */
    struct seen heads;    /* of one end, and the header that it was taken through byte by byte */
    struct seen merged;   /* what the states are without their past, */
    struct seen onward;   /* and that with where they lead; with EXACT */
    uint64_t transitions, ends, deepest;
    uint64_t blocked;   /* states in which a window holds something back */
    uint64_t landmarks; /* states in which no header is cut, or only its last byte is missing */
} x;

static bool has(enum trait trait)
{
    return (x.search->traits & (unsigned)trait) != 0;
}

/* --- invariants ----------------------------------------------------------------------------- */

static void check_engine(unsigned side)
{
    struct smux_session_stats stats;
    uint64_t unread = 0;

    smux_engine_stats(world.engines[side], &stats);
    for (unsigned s = 0; s < world.scope.streams; s++) {
        const struct world_end *end = &world.m.ends[side][s];
        struct smux_stream_stats stream;

        if (end->stream != NULL) {
            smux_estream_stats(world.engines[side], end->stream, &stream);
            unread += stream.unread;
            x.blocked += stream.blocked_on_window;
            if (world.scope.version == 2 && !(end->shut && end->ended)) {
                must(stream.send_window <=
                             audit_room(&world.m.audits[side], 3 + 2 * s, stream.bytes_out) ||
                         world_audited(side, s)->fin_in,
                     "I5: window");
            }
        }
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
static void drop(const struct place *here, unsigned side, bool reset)
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
    world_restore(&here->s, side);
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
    world_restore(&x.stack[depth].s, changed);
}

static unsigned try_applications(unsigned depth)
{
    unsigned n = 0;

    for (unsigned side = 0; side < 2; side++) {
        for (unsigned s = 0; s < world.scope.streams; s++) {
            if (world_write(side, s)) {
                n++;
                went(depth, side);
            }
            if (has(ONE_BY_ONE) && world_read(side, s, 1)) {
                n++;
                went(depth, side);
            }
            if (world_read(side, s, 8)) {
                n++;
                went(depth, side);
            }
            if (world_close(side, s)) {
                n++;
                went(depth, side);
            }
        }
    }
    if (world_accept()) {
        n++;
        went(depth, 1);
    }
    return n;
}

static void try_drops(const struct place *here)
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
    size_t i = x.cuts == CUT_NONE ? WORLD_PIPE : 1;
    unsigned n = 0;
    size_t len;

    do {
        len = world_move(side, i);
        n++;
        went(depth, WORLD_BOTH);
        i = x.cuts == CUT_ALL || i >= len ? i + 1 : len;
    } while (i <= len);
    return n;
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

/* Moves all of a header but its last byte. In between nothing happens but that the ends lose their
 * connection, once in each of their states. */
static void move_header(const struct place *here, unsigned side, const uint8_t *header, size_t len)
{
    bool knows = knows_header(here, side, true, header);

    knows &= knows_header(here, 1 - side, false, header);
    for (; len > 1; len--) {
        (void)world_move(side, 1);
        if (!knows && len > 2) {
            x.between.ends[0] = world_hash_end(0);
            x.between.ends[1] = world_hash_end(1);
            world_save(&x.between.s);
            check_engine(0);
            check_engine(1);
            try_drops(&x.between);
        }
    }
}

static unsigned try_heads(unsigned side, unsigned depth)
{
    const struct audit_decoder *d = &world.m.audits[side].out;
    uint8_t next[WORLD_PIPE] = {0};
    size_t left;

    (void)world_gather(side, next);
    left = header_left(side, next);
    if (left > 1) {
        move_header(&x.stack[depth], side, next, left);
    } else {
        (void)world_move(side, 1);
    }
    went(depth, WORLD_BOTH);
    if (d->have == 0 && d->payload == 0) {
        (void)world_move(side, WORLD_PIPE);
        went(depth, WORLD_BOTH);
    }
    return 1;
}

/* The transport takes nothing of what it is offered. */
static void try_refusal(unsigned side, unsigned depth)
{
    uint8_t data[WORLD_PIPE];

    (void)world_gather(side, data);
    went(depth, side);
}

/* Nothing overtakes what is on its way. */
static unsigned try_transport(unsigned depth)
{
    unsigned n = 0;

    for (unsigned side = 0; side < 2; side++) {
        bool listens = smux_engine_wants_read(world.engines[1 - side]);

        if (x.cuts != CUT_NONE && smux_engine_wants_write(world.engines[side])) {
            try_refusal(side, depth);
        }
        if (world.m.pipe_len[side] == 0 && smux_engine_wants_write(world.engines[side]) &&
            listens) {
            n += x.cuts == CUT_HEADS ? try_heads(side, depth) : try_cuts(side, depth);
        }
        if (has(LATENCY) && smux_engine_wants_write(world.engines[side])) {
            world_take(side);
            n++;
            went(depth, side);
        }
        if (world.m.pipe_len[side] > 0 && listens) {
            world_give(side);
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
    went(depth, WORLD_BOTH);
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

static uint64_t explore(unsigned depth, unsigned changed)
{
    struct place *here = &x.stack[depth];
    uint64_t merged;

    must(depth < DEPTH, "too deep");
    for (unsigned side = 0; side < 2; side++) {
        bool same = changed != WORLD_BOTH && changed != side;

        here->ends[side] = same ? x.stack[depth - 1].ends[side] : world_hash_end(side);
    }
    merged = world_hash(here->ends);
    if (!seen_add(&x.states, has(EXACT) ? world_hash_exactly() : merged)) {
        return merged;
    }
    count_state(depth);
    world_save(&here->s);
    here->onward = 0;
    check_engine(0);
    check_engine(1);
    try_drops(here);
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

static void begin(const struct search *search, enum cuts cuts)
{
    memset(&x, 0, sizeof(x));
    x.search = search;
    x.cuts = cuts;
    seen_init(&x.states, 1 << 16);
    seen_init(&x.dropped, 1 << 10);
    seen_init(&x.heads, 1 << 10);
    seen_init(&x.merged, 1 << 10);
    seen_init(&x.onward, 1 << 10);
    world_begin(&search->scope);
}

static void end(void)
{
    for (unsigned i = 0; i < DEPTH; i++) {
        world_snapshot_free(&x.stack[i].s);
    }
    world_snapshot_free(&x.between.s);
    seen_free(&x.states);
    seen_free(&x.dropped);
    seen_free(&x.heads);
    seen_free(&x.merged);
    seen_free(&x.onward);
    world_end();
}

static void report(int i)
{
    static const char *const texts[] = {"", ", every cut", ", bytes", ", all cuts"};

    printf("world %d: version %u, %u streams%s%s: %zu states, %llu transitions, %zu ends dropped, "
           "%llu ends, depth %llu, %llu landmarks, %llu blocked: exhausted\n",
           i, world.scope.version, world.scope.streams, texts[x.cuts],
           has(LATENCY) ? ", latency" : "", x.states.n, (unsigned long long)x.transitions,
           x.dropped.n, (unsigned long long)x.ends, (unsigned long long)x.deepest,
           (unsigned long long)x.landmarks, (unsigned long long)x.blocked);
    if (has(EXACT)) {
        printf("world %d: %zu states without their past\n", i, x.merged.n);
    }
    fflush(stdout);
}

START_TEST(all_schedules_keep_the_invariants_and_finish)
{
    const struct search *search = &searches[_i];
    uint64_t landmarks = 0;
    size_t states = 0;

    for (enum cuts cuts = search->cuts; cuts <= CUT_ALL; cuts++) {
        begin(search, cuts);
        (void)explore(0, WORLD_BOTH);
        must(x.ends > 0, "no schedule has an end");
        report(_i);
        must(cuts == search->cuts || x.landmarks == landmarks, "cuts lead to other states");
        must(cuts != CUT_ALL || states == 0 || x.states.n == states, "cuts lead to other states");
        landmarks = x.landmarks;
        states = x.states.n;
        end();
        if ((search->traits & COMPARED) == 0) {
            break;
        }
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
