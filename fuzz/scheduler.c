/*
 * scheduler.c - whose payload leaves next: against a model of deficit round robin, and [I14].
 *
 * Input: steps over a few streams, which join, leave, send frames, change class and weight; the
 * turn changes as well. Each choice must be the one of the model, which is plain arrays and
 * counters that do not wrap, after docs/DESIGN.md, "Who sends next". Independent of the model, for
 * each two streams of equal class and weight as long as both have data and neither is fresh:
 *
 *   - what they have sent since differs by less than a turn and a largest frame at any time
 *   - and by less than a largest frame whenever a round is over (I14 as DESIGN.md states it)
 *
 * beyond what they differed by in credit when that time began.
 */
#include "fuzz.h"

#include "engine/scheduler.h"

#include <stdlib.h>
#include <string.h>

#define STREAMS   8u
#define CLASSES   (SMUX_PRIORITY_MAX + 1)
#define MAX_STEPS 3000
#define MANY      4  /* streams with a turn in a round, for turns to be long in the next one */
#define ROUNDS    16 /* credit of rounds is told apart modulo this (scheduler.c) */

struct model_stream {
    bool in, fresh;
    unsigned class;
    int64_t weight;
    int64_t deficit;
    int64_t round;
    bool waited;   /**< its quantum of the round came in its turn */
    int64_t place; /**< the lower, the earlier it came into its list */
};

struct model_class {
    int64_t unit; /**< bytes of a turn with weight 1, in this round */
    int64_t round;
    int64_t fresh_left;
    unsigned turns; /**< quanta granted in this round */
    bool long_turns;
};

/** How things stood when two streams began to wait for their turns both. */
struct since {
    bool valid;
    bool in_step;   /**< both had had their quantum of the round */
    int64_t sent;   /**< difference of what they had sent */
    int64_t credit; /**< difference of their credit in this round */
};

struct model {
    struct smux__scheduler real;
    struct smux_estream real_streams[STREAMS];
    struct smux__traffic traffic[STREAMS]; /**< of these */
    struct model_stream streams[STREAMS];
    struct model_class classes[CLASSES];
    int64_t unit;         /**< the same for the rounds that begin from now on */
    int64_t unit_of_many; /**< and for those behind one of many streams */
    int64_t max_unit;     /**< the largest so far: credit of it may still be there */
    int64_t places;       /**< how many have come, to the end of a list or to its front */
    int64_t largest;      /**< frame so far */
    int64_t sent[STREAMS];
    struct since since[STREAMS][STREAMS];
};

/* --- the model ----------------------------------------------------------------------------- */

static int64_t quantum(const struct model *m, const struct model_stream *s)
{
    return m->classes[s->class].unit * s->weight;
}

/* A quantum for each round that passed, but at most one is kept, and the rest of a long turn if just one
 * has. */
static void settle(struct model *m, struct model_stream *s)
{
    int64_t most = quantum(m, s);
    int64_t passed = (m->classes[s->class].round - s->round) % ROUNDS;

    s->round = m->classes[s->class].round;
    if (passed > 0) {
        int64_t debt = s->deficit < 0 ? s->deficit : 0;
        bool keeps = m->classes[s->class].long_turns && s->waited && passed == 1;
        int64_t rest = keeps && s->deficit > 0 ? s->deficit : 0;

        s->deficit = rest + (debt + passed * most < most ? debt + passed * most : most);
        s->waited = false;
        m->classes[s->class].turns++;
    }
}

static void enter(struct model *m, struct model_stream *s, bool fresh)
{
    s->in = true;
    s->fresh = fresh;
    s->place = ++m->places;
}

static void model_join(struct model *m, struct model_stream *s)
{
    settle(m, s);
    if (s->deficit > 0 && m->classes[s->class].long_turns && s->waited) {
        enter(m, s, false);
        s->place = -s->place; /* before all others */
    } else {
        enter(m, s, s->deficit > 0);
    }
}

/* The first of a list; NULL when it is empty. */
static struct model_stream *first(struct model *m, unsigned class, bool fresh)
{
    struct model_stream *best = NULL;

    for (unsigned i = 0; i < STREAMS; i++) {
        struct model_stream *s = &m->streams[i];

        if (s->in && s->class == class && s->fresh == fresh &&
            (best == NULL || s->place < best->place)) {
            best = s;
        }
    }
    return best;
}

/* Returns whether a round was over. */
static bool grant(struct model *m, struct model_stream *s)
{
    struct model_class *class = &m->classes[s->class];
    bool over = (class->round - s->round) % ROUNDS == 0;

    if (over) {
        class->round++;
        class->long_turns = class->turns >= MANY && m->unit_of_many > m->unit;
        class->unit = class->long_turns ? m->unit_of_many : m->unit;
        class->turns = 0;
    }
    s->round = class->round;
    s->deficit += quantum(m, s);
    s->waited = true;
    class->turns++;
    return over;
}

static void model_sent(struct model *m, struct model_stream *s, int64_t len)
{
    struct model_class *class = &m->classes[s->class];

    s->deficit -= len;
    if (s->fresh) {
        class->fresh_left -= first(m, s->class, false) != NULL ? len : 0;
    } else {
        class->fresh_left = class->unit * SMUX_WEIGHT_DEFAULT * 16;
    }
    if (s->deficit <= 0) {
        settle(m, s);
    }
    if (s->deficit <= 0) {
        enter(m, s, false);
    }
}

/* A stream keeps no more than a quantum. */
static void cut_credit(const struct model *m, struct model_stream *s)
{
    s->deficit = s->deficit < quantum(m, s) ? s->deficit : quantum(m, s);
}

static void model_set(struct model *m, struct model_stream *s, unsigned class, unsigned weight)
{
    if (class == s->class && weight == s->weight) {
        return;
    }
    if (class != s->class || !s->in || s->fresh) {
        settle(m, s);
    }
    s->weight = weight;
    cut_credit(m, s);
    if (class != s->class) {
        s->class = class;
        s->round = m->classes[class].round;
        s->waited = false;
        cut_credit(m, s);
        if (s->in) {
            model_join(m, s);
        }
    }
}

/* --- [I14] --------------------------------------------------------------------------------- */

static bool are_equals(const struct model *m, unsigned i, unsigned j)
{
    const struct model_stream *a = &m->streams[i];
    const struct model_stream *b = &m->streams[j];

    return a->in && b->in && !a->fresh && !b->fresh && a->class == b->class &&
           a->weight == b->weight;
}

static bool has_had(const struct model *m, unsigned i)
{
    return m->streams[i].round == m->classes[m->streams[i].class].round;
}

/* What a stream may send in this round, whether it has been given its quantum yet or not. */
static int64_t credit_of(const struct model *m, unsigned i)
{
    const struct model_stream *s = &m->streams[i];

    return s->deficit + (has_had(m, i) ? 0 : quantum(m, s));
}

static void begin_since(struct model *m, unsigned i, unsigned j)
{
    m->since[i][j] = (struct since){
        .valid = are_equals(m, i, j),
        .in_step = has_had(m, i) && has_had(m, j),
        .sent = m->sent[i] - m->sent[j],
        .credit = credit_of(m, i) - credit_of(m, j),
    };
}

/* Something other than sending happened to a stream: with all others it begins anew. */
static void restart(struct model *m, unsigned i)
{
    for (unsigned j = 0; j < STREAMS; j++) {
        begin_since(m, i, j);
        begin_since(m, j, i);
    }
}

/* By how much more stream i has sent than j, credit that it had in advance not counted. */
static int64_t lead(const struct model *m, unsigned i, unsigned j)
{
    const struct since *since = &m->since[i][j];

    return m->sent[i] - m->sent[j] - since->sent - since->credit;
}

static void check_fair(const struct model *m)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        for (unsigned j = 0; j < STREAMS; j++) {
            must(!m->since[i][j].valid ||
                     lead(m, i, j) < m->max_unit * m->streams[i].weight + m->largest,
                 "stream %u is %lld bytes ahead of %u", i, (long long)lead(m, i, j), j);
        }
    }
}

/* Those that wait have had one quantum each in this round, and owe at most a frame. */
static void check_round(const struct model *m, unsigned class)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        for (unsigned j = 0; j < STREAMS; j++) {
            const struct model_stream *a = &m->streams[i];
            const struct model_stream *b = &m->streams[j];

            if (m->since[i][j].valid && m->since[i][j].in_step && a->class == class &&
                a->round == b->round && a->deficit <= 0 && b->deficit <= 0) {
                must(lead(m, i, j) < m->largest,
                     "stream %u is %lld bytes ahead of %u after a round", i,
                     (long long)lead(m, i, j), j);
            }
        }
    }
}

static struct model_stream *model_next(struct model *m)
{
    unsigned class = CLASSES;
    struct model_stream *fresh, *waiting;

    do {
        class --;
        fresh = first(m, class, true);
        waiting = first(m, class, false);
    } while (fresh == NULL && waiting == NULL);
    if (fresh != NULL && (waiting == NULL || m->classes[class].fresh_left > 0)) {
        return fresh;
    }
    while (waiting->deficit <= 0) {
        check_round(m, class);
        (void)grant(m, waiting);
        if (waiting->deficit <= 0) {
            enter(m, waiting, false);
        }
        waiting = first(m, class, false);
    }
    return waiting;
}

/* --- steps --------------------------------------------------------------------------------- */

static void join_or_leave(struct model *m, unsigned i)
{
    struct model_stream *s = &m->streams[i];

    if (s->in) {
        smux__scheduler_leave(&m->real, &m->real_streams[i]);
        s->in = false;
    } else {
        smux__scheduler_join(&m->real, &m->real_streams[i]);
        model_join(m, s);
    }
    restart(m, i);
}

static void set(struct model *m, unsigned i, unsigned class, unsigned weight)
{
    struct model_stream *s = &m->streams[i];
    bool changes = class != s->class || weight != s->weight;

    smux__scheduler_set(&m->real, &m->real_streams[i], class, weight);
    model_set(m, s, class, weight);
    if (changes) { /* saying the same again changes nothing */
        restart(m, i);
    }
}

static int64_t note_turn(struct model *m, uint32_t turn)
{
    int64_t unit = turn < SMUX_WEIGHT_DEFAULT ? 1 : turn / SMUX_WEIGHT_DEFAULT;

    m->max_unit = unit > m->max_unit ? unit : m->max_unit;
    return unit;
}

static void set_turn(struct model *m, uint32_t turn, uint32_t turn_of_many)
{
    smux__scheduler_set_turn(&m->real, turn);
    smux__scheduler_set_turn_of_many(&m->real, turn_of_many, MANY);
    m->unit = note_turn(m, turn);
    m->unit_of_many = note_turn(m, turn_of_many);
    for (unsigned i = 0; i < STREAMS; i++) {
        restart(m, i);
    }
}

static void send(struct model *m, uint32_t len)
{
    const struct model_stream *expected;
    struct smux_estream *chosen;
    bool was_fresh;
    unsigned i;

    if (!smux__scheduler_busy(&m->real)) {
        return;
    }
    m->largest = (int64_t)len > m->largest ? (int64_t)len : m->largest;
    expected = model_next(m);
    chosen = smux__scheduler_next(&m->real);
    i = chosen->id;
    must(expected == &m->streams[i], "stream %u is chosen, not %u", i,
         (unsigned)(expected - m->streams));
    smux__scheduler_sent(&m->real, chosen, len);
    was_fresh = m->streams[i].fresh;
    model_sent(m, &m->streams[i], len);
    m->sent[i] += len;
    if (was_fresh) {
        restart(m, i);
    }
    check_fair(m);
}

static void check_same(const struct model *m)
{
    unsigned busy = 0;

    for (unsigned i = 0; i < STREAMS; i++) {
        const struct model_stream *s = &m->streams[i];
        const struct smux_estream *real = &m->real_streams[i];

        must(s->in == smux__stream_is(real, STREAM_IN_DATA) && s->deficit == real->deficit,
             "stream %u has a credit of %d, not %lld", i, (int)real->deficit,
             (long long)s->deficit);
        busy |= s->in ? 1u << s->class : 0;
    }
    must(m->real.busy == busy, "classes %x are busy, not %x", m->real.busy, busy);
}

static void step(struct model *m, struct fuzz_input *in)
{
    static const uint32_t turns[] = {1, 16, 100, 32768, 65535, 131072};
    uint8_t what = fuzz_u8(in);

    switch (what % 8) {
    case 0:
    case 1:
        join_or_leave(m, (what >> 3) % STREAMS);
        break;
    case 2: {
        unsigned class = fuzz_u8(in) % CLASSES;

        set(m, (what >> 3) % STREAMS, class, 1 + fuzz_u8(in));
        break;
    }
    case 3: /* equals of the default class are the interesting ones */
        set(m, (what >> 3) % STREAMS, SMUX_PRIORITY_DEFAULT, SMUX_WEIGHT_DEFAULT);
        break;
    case 4:
        set_turn(m, turns[(what >> 3) % 6], turns[(what >> 3) / 6]);
        break;
    default:
        send(m, 1 + (uint32_t)fuzz_u16(in) % 65535);
        break;
    }
    check_same(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model m;
    struct fuzz_input in = {data, size};
    uint32_t turn = 1 + (uint32_t)fuzz_u16(&in);

    memset(&m, 0, sizeof(m));
    smux__scheduler_init(&m.real, turn);
    m.unit = note_turn(&m, turn);
    for (unsigned i = 0; i < CLASSES; i++) {
        m.classes[i].unit = m.unit;
        m.classes[i].fresh_left = m.unit * SMUX_WEIGHT_DEFAULT * 16;
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        m.real_streams[i].id = i;
        m.real_streams[i].traffic = &m.traffic[i];
        smux__scheduler_adopt(&m.real, &m.real_streams[i]);
        m.streams[i].class = SMUX_PRIORITY_DEFAULT;
        m.streams[i].weight = SMUX_WEIGHT_DEFAULT;
        m.streams[i].deficit = m.unit * SMUX_WEIGHT_DEFAULT;
    }
    for (int i = 0; i < MAX_STEPS && in.len > 0; i++) {
        step(&m, &in);
    }
    return 0;
}
