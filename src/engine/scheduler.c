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
    class->unit = scheduler->unit;
}

void smux__scheduler_set_turn(struct smux__scheduler *scheduler, uint32_t turn)
{
    /* Rounded down: with the default weight a turn of full frames ends with the last of them. */
    scheduler->unit = (int32_t)(turn / SMUX_WEIGHT_DEFAULT);
    scheduler->unit += scheduler->unit == 0;
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

/* Gives a stream what it missed: a quantum for each round that has passed without it. It keeps at
 * most one. */
static void settle_credit(const struct smux__class *class, struct smux_estream *stream)
{
    int32_t passed = (int32_t)((class->round - stream->round) % SMUX__ROUNDS);

    if (passed > 0) {
        int32_t most = quantum(class, stream);
        int32_t debt = stream->deficit < 0 ? stream->deficit : 0;
        stream->deficit = debt + passed * most < most ? debt + passed * most : most;
        stream->round = class->round % SMUX__ROUNDS;
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

void smux__scheduler_settle(const struct smux__class *class, struct smux_estream *stream)
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

void smux__scheduler_set(struct smux__scheduler *scheduler, struct smux_estream *stream,
                         unsigned priority, unsigned weight)
{
    bool joined = smux__stream_is(stream, STREAM_IN_DATA);

    struct smux__class *class = smux__scheduler_class(scheduler, stream);

    bool moves = priority != stream->priority;

    if (moves || !joined || smux__stream_is(stream, STREAM_IN_FRESH)) {
        /* One that waits gets it in its turn, after those before it. */
        settle_credit(class, stream);
    }
    if (joined && moves) {
        smux__scheduler_leave(scheduler, stream);
    }
    stream->weight_less_1 = (weight - 1) & WEIGHT_MASK;
    if (stream->deficit > quantum(class, stream)) {
        stream->deficit = quantum(class, stream);
    }
    if (!moves) {
        return;
    }
    stream->priority = priority & PRIORITY_MASK;
    stream->flags &= ~(uint32_t)STREAM_RANKED;
    stream->flags |= priority != SMUX_PRIORITY_DEFAULT ? STREAM_RANKED : 0;
    /* Its credit moves along and is not doubled. */
    stream->round = smux__scheduler_class(scheduler, stream)->round % SMUX__ROUNDS;
    if (joined) {
        smux__scheduler_join(scheduler, stream);
    }
}
