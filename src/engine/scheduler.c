#include "scheduler.h"

#include "bits.h"

#include <assert.h>

/* Fresh streams pass the waiting ones with so many default turns in all, and then one frame of
 * these goes: an application that opens streams without end does not starve its old ones. */
#define FRESH_TURNS 16

/* Rounds are compared modulo this: what is missed is only that credit was due. */
#define ROUNDS 16u

/* The bits of these fields, so that the compiler knows that numbers in range fit. */
#define WEIGHT_MASK   0x1ffu
#define PRIORITY_MASK 7u

static struct smux__class *class_of(struct smux__scheduler *scheduler,
                                    const struct smux_estream *stream)
{
    return &scheduler->classes[stream->priority];
}

static int32_t quantum(const struct smux__class *class, const struct smux_estream *stream)
{
    return class->unit * (int32_t)stream->weight;
}

static struct smux__stream_list *list_of(struct smux__class *class,
                                         const struct smux_estream *stream)
{
    return smux__stream_is(stream, STREAM_IN_FRESH) ? &class->fresh : &class->waiting;
}

static void allow_fresh(struct smux__class *class)
{
    class->fresh_left = class->unit * SMUX_WEIGHT_DEFAULT * FRESH_TURNS;
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
        allow_fresh(&scheduler->classes[i]);
    }
}

void smux__scheduler_adopt(struct smux__scheduler *scheduler, struct smux_estream *stream)
{
    stream->priority = SMUX_PRIORITY_DEFAULT;
    stream->weight = SMUX_WEIGHT_DEFAULT;
    stream->round = class_of(scheduler, stream)->round % ROUNDS;
    stream->deficit = quantum(class_of(scheduler, stream), stream);
}

/* Gives a stream what it missed: a quantum for each round that has passed without it. It keeps at
 * most one. */
static void settle_credit(const struct smux__class *class, struct smux_estream *stream)
{
    int32_t passed = (int32_t)((class->round - stream->round) % ROUNDS);

    if (passed > 0) {
        int32_t most = quantum(class, stream);
        int32_t debt = stream->deficit < 0 ? stream->deficit : 0;
        stream->deficit = debt + passed * most < most ? debt + passed * most : most;
        stream->round = class->round % ROUNDS;
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

void smux__scheduler_join(struct smux__scheduler *scheduler, struct smux_estream *stream)
{
    struct smux__class *class = class_of(scheduler, stream);

    assert(!smux__stream_is(stream, STREAM_IN_DATA) && !smux__stream_timer_runs(stream));
    settle_credit(class, stream);
    drop_scrap(class, stream);
    stream->flags |= STREAM_IN_DATA;
    if (stream->deficit > 0) {
        stream->flags |= STREAM_IN_FRESH;
    }
    smux__sched_push(list_of(class, stream), stream);
    scheduler->busy |= 1u << stream->priority;
}

void smux__scheduler_leave(struct smux__scheduler *scheduler, struct smux_estream *stream)
{
    struct smux__class *class = class_of(scheduler, stream);

    smux__sched_remove(list_of(class, stream), stream);
    stream->flags &= ~(uint32_t)(STREAM_IN_DATA | STREAM_IN_FRESH);
    if (class->fresh.head == NULL && class->waiting.head == NULL) {
        scheduler->busy &= ~(1u << stream->priority);
    }
}

/* The stream is the first of those that wait and has used up its credit. Those that come into
 * `waiting` have had their quantum of the round. So if the first one has got it already, so have
 * all behind it: the next round begins. */
static void grant_turn(const struct smux__scheduler *scheduler, struct smux__class *class,
                       struct smux_estream *stream)
{
    if (stream->round == class->round % ROUNDS) {
        begin_round(scheduler, class);
    }
    stream->round = class->round % ROUNDS;
    stream->deficit += quantum(class, stream);
}

static void requeue(struct smux__class *class, struct smux_estream *stream)
{
    smux__sched_remove(list_of(class, stream), stream);
    stream->flags &= ~(uint32_t)STREAM_IN_FRESH;
    smux__sched_push(&class->waiting, stream);
}

/* Goes through those that wait until one has credit again. A small weight pays for a large frame
 * in several rounds. */
static struct smux_estream *pass_turns(const struct smux__scheduler *scheduler,
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

struct smux_estream *smux__scheduler_next(struct smux__scheduler *scheduler)
{
    struct smux__class *class = &scheduler->classes[smux__highest_bit(scheduler->busy)];
    struct smux_estream *stream = class->waiting.head;

    if (class->fresh.head != NULL && (stream == NULL || class->fresh_left > 0)) {
        return class->fresh.head;
    }
    return stream->deficit > 0 ? stream : pass_turns(scheduler, class);
}

void smux__scheduler_sent(struct smux__scheduler *scheduler, struct smux_estream *stream,
                          uint32_t len)
{
    struct smux__class *class = class_of(scheduler, stream);

    stream->deficit -= (int32_t)len;
    if (smux__stream_is(stream, STREAM_IN_FRESH)) {
        class->fresh_left -= class->waiting.head != NULL ? (int32_t)len : 0;
    } else {
        allow_fresh(class);
    }
    if (stream->deficit <= 0) {
        settle_credit(class, stream); /* rounds may have passed while it was fresh */
    }
    if (stream->deficit <= 0) {
        requeue(class, stream);
    }
}

void smux__scheduler_set(struct smux__scheduler *scheduler, struct smux_estream *stream,
                         unsigned priority, unsigned weight)
{
    bool joined = smux__stream_is(stream, STREAM_IN_DATA);

    struct smux__class *class = class_of(scheduler, stream);

    bool moves = priority != stream->priority;

    if (moves || !joined || smux__stream_is(stream, STREAM_IN_FRESH)) {
        /* One that waits gets it in its turn, after those before it. */
        settle_credit(class, stream);
    }
    if (joined && moves) {
        smux__scheduler_leave(scheduler, stream);
    }
    stream->weight = weight & WEIGHT_MASK;
    if (stream->deficit > quantum(class, stream)) {
        stream->deficit = quantum(class, stream);
    }
    if (!moves) {
        return;
    }
    stream->priority = priority & PRIORITY_MASK;
    /* Its credit moves along and is not doubled. */
    stream->round = class_of(scheduler, stream)->round % ROUNDS;
    if (joined) {
        smux__scheduler_join(scheduler, stream);
    }
}
