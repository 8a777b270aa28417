#include "scheduler.h"

/* The bits of these fields, so that the compiler knows that numbers in range fit. */
#define WEIGHT_MASK   0xffu
#define PRIORITY_MASK 7u

static int32_t quantum(const struct smux__class *class, const struct smux_estream *stream)
{
    return class->unit * ((int32_t)stream->weight_less_1 + 1);
}

static void begin_round(const struct smux__scheduler *scheduler, struct smux__class *class)
{
    class->round++;
    class->long_turns =
        class->turns >= scheduler->many && scheduler->unit_of_many > scheduler->unit;
    class->unit = class->long_turns ? scheduler->unit_of_many : scheduler->unit;
    class->turns = 0;
}

/* Rounded down: with the default weight a turn of full frames ends with the last of them. */
static int32_t unit_of_turn(uint32_t turn)
{
    int32_t unit = (int32_t)(turn / SMUX_WEIGHT_DEFAULT);

    return unit + (unit == 0);
}

void smux__scheduler_set_turn(struct smux__scheduler *scheduler, uint32_t turn)
{
    scheduler->unit = unit_of_turn(turn);
}

void smux__scheduler_set_turn_of_many(struct smux__scheduler *scheduler, uint32_t turn,
                                      uint32_t many)
{
    scheduler->unit_of_many = unit_of_turn(turn);
    scheduler->many = many;
}

void smux__scheduler_cut_round(struct smux__scheduler *scheduler)
{
    for (unsigned i = 0; i <= SMUX_PRIORITY_MAX; i++) {
        struct smux__class *class = &scheduler->classes[i];
        if (class->long_turns) {
            begin_round(scheduler, class);
            smux__scheduler_allow_fresh(class);
        }
    }
}

void smux__scheduler_init(struct smux__scheduler *scheduler, uint32_t turn)
{
    *scheduler = (struct smux__scheduler){0};
    smux__scheduler_set_turn(scheduler, turn);
    for (unsigned i = 0; i <= SMUX_PRIORITY_MAX; i++) {
        begin_round(scheduler, &scheduler->classes[i]);
        smux__scheduler_allow_fresh(&scheduler->classes[i]);
    }
}

void smux__scheduler_adopt(struct smux__scheduler *scheduler, struct smux_estream *stream)
{
    stream->priority = SMUX_PRIORITY_DEFAULT;
    stream->weight_less_1 = SMUX_WEIGHT_DEFAULT - 1;
    stream->round = smux__scheduler_class(scheduler, stream)->round % SMUX__ROUNDS;
    stream->deficit = quantum(smux__scheduler_class(scheduler, stream), stream);
}

/* What a stream keeps of a long turn: if it comes back just after the end of the round, it was in the
 * midst of that turn still. */
static int32_t rest_of_turn(const struct smux__class *class, const struct smux_estream *stream,
                            int32_t passed)
{
    return class->long_turns && stream->waited && passed == 1 && stream->deficit > 0
               ? stream->deficit
               : 0;
}

/* Gives a stream what it missed: a quantum for each round that has passed without it. It keeps at
 * most one, and the rest of a long turn. */
static void settle_credit(struct smux__class *class, struct smux_estream *stream)
{
    int32_t passed = (int32_t)((class->round - stream->round) % SMUX__ROUNDS);

    if (passed > 0) {
        int32_t most = quantum(class, stream);
        int32_t debt = stream->deficit < 0 ? stream->deficit : 0;
        int32_t rest = rest_of_turn(class, stream, passed);
        stream->deficit = rest + (debt + passed * most < most ? debt + passed * most : most);
        stream->round = class->round % SMUX__ROUNDS;
        stream->waited = 0;
        class->turns++;
    }
}

/* A scrap of credit that does not pay for what a stream has now would cut that in two, and leave
 * another scrap. Writers of whole turns would have each of their turns cut, and their readers woken
 * twice. */
static void drop_scrap(const struct smux__class *class, struct smux_estream *stream)
{
    if (stream->deficit > 0 && stream->deficit <= quantum(class, stream) / 4 &&
        (uint32_t)stream->deficit < stream->traffic->out.len) {
        stream->deficit = 0;
    }
}

void smux__scheduler_settle(struct smux__class *class, struct smux_estream *stream)
{
    settle_credit(class, stream);
    drop_scrap(class, stream);
}

/* The stream is the first of those that wait and has used up its credit. Those that come into
 * `waiting` have had their quantum of the round. So if the first one has got it already, so have
 * all behind it: the next round begins. */
static void grant_turn(const struct smux__scheduler *scheduler, struct smux__class *class,
                       struct smux_estream *stream)
{
    if (stream->round == class->round % SMUX__ROUNDS) {
        begin_round(scheduler, class);
    }
    stream->round = class->round % SMUX__ROUNDS;
    stream->deficit += quantum(class, stream);
    stream->waited = 1;
    class->turns++;
}

void smux__scheduler_resume(struct smux__class *class, struct smux_estream *stream)
{
    struct smux_estream *next = class->waiting.head;

    stream->traffic->sched = (struct smux__link){NULL, next};
    *(next != NULL ? &next->traffic->sched.prev : &class->waiting.tail) = stream;
    class->waiting.head = stream;
}

/* Puts a stream behind those that wait. */
static void requeue(struct smux__class *class, struct smux_estream *stream)
{
    smux__sched_remove(smux__scheduler_list(class, stream), stream);
    stream->flags &= ~(uint32_t)STREAM_IN_FRESH;
    smux__sched_push(&class->waiting, stream);
}

void smux__scheduler_end_turn(struct smux__class *class, struct smux_estream *stream)
{
    settle_credit(class, stream); /* rounds may have passed while it was fresh */
    if (stream->deficit <= 0) {
        requeue(class, stream);
    }
}

struct smux_estream *smux__scheduler_pass_turns(const struct smux__scheduler *scheduler,
                                                struct smux__class *class)
{
    struct smux_estream *stream = class->waiting.head;

    for (; stream->deficit <= 0; stream = class->waiting.head) {
        grant_turn(scheduler, class, stream);
        if (stream->deficit <= 0) {
            requeue(class, stream);
        }
    }
    return stream;
}

/* It keeps no more than a quantum where it is now. */
static void cut_credit(const struct smux__class *class, struct smux_estream *stream)
{
    if (stream->deficit > quantum(class, stream)) {
        stream->deficit = quantum(class, stream);
    }
}

/* The credit of a stream moves along and is not doubled. */
static void move(struct smux__scheduler *scheduler, struct smux_estream *stream, unsigned priority)
{
    bool joined = smux__stream_is(stream, STREAM_IN_DATA);

    if (joined) {
        smux__scheduler_leave(scheduler, stream);
    }
    stream->priority = priority & PRIORITY_MASK;
    stream->flags &= ~(uint32_t)STREAM_RANKED;
    stream->flags |= priority != SMUX_PRIORITY_DEFAULT ? STREAM_RANKED : 0;
    struct smux__class *class = smux__scheduler_class(scheduler, stream);
    stream->round = class->round % SMUX__ROUNDS;
    stream->waited = 0; /* it is in no turn of that class */
    cut_credit(class, stream);
    if (joined) {
        smux__scheduler_join(scheduler, stream);
    }
}

void smux__scheduler_set(struct smux__scheduler *scheduler, struct smux_estream *stream,
                         unsigned priority, unsigned weight)
{
    struct smux__class *class = smux__scheduler_class(scheduler, stream);
    bool moves = priority != stream->priority;
    bool waits =
        smux__stream_is(stream, STREAM_IN_DATA) && !smux__stream_is(stream, STREAM_IN_FRESH);

    if (!moves && weight == stream->weight_less_1 + 1u) {
        return;
    }
    if (moves || !waits) { /* one that waits gets it in its turn, after those before it */
        settle_credit(class, stream);
    }
    stream->weight_less_1 = (weight - 1) & WEIGHT_MASK;
    cut_credit(class, stream);
    if (moves) {
        move(scheduler, stream, priority);
    }
}
