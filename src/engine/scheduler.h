/*
 * scheduler.h - whose payload leaves next.
 *
 *   classes     strict: a stream waits while one of a higher class has something to send
 *   in a class  deficit round robin by bytes: a turn is a quantum, proportional to the weight;
 *               what a frame takes beyond it is paid back in the next turn
 *   fresh       a stream that has just got something to send goes before those that have had it
 *               for a while, as long as it has credit of this round
 *
 *   long turns  of many streams; one that runs empty in the middle of such a turn goes on with it when it
 *               comes back
 *
 * A round has passed when each stream in `waiting` has had its turn. A stream gets one quantum a
 * round, whether it takes it in one turn or in many small bursts: what is left stays with a stream
 * that runs empty, and only a later round gives it more. It never has more than one, and the rest of a
 * long turn that it was in when the round ended. So being fresh again and again wins time
 * but no bytes.
 *
 * Invariants: a stream is in one list of its class while STREAM_IN_DATA is set, in `fresh` if
 * STREAM_IN_FRESH is, and then it has credit; bit n of `busy` tells whether class n has streams.
 * Every operation is O(1); smux__scheduler_next() is so over time, because a visit that does not
 * end with a frame gives at least a sixteenth of a largest frame of credit.
 */
#ifndef SMUX__SCHEDULER_H
#define SMUX__SCHEDULER_H

#include "bits.h"
#include "stream.h"

#include <assert.h>

/* Fresh streams pass the waiting ones with so many default turns in all, and then one frame of
 * these goes: an application that opens streams without end does not starve its old ones. */
#define SMUX__FRESH_TURNS 16
/* Rounds are compared modulo this: what is missed is only that credit was due. */
#define SMUX__ROUNDS 16u

struct smux__class {
    struct smux__stream_list fresh;   /* by `sched`: just got something to send */
    struct smux__stream_list waiting; /* by `sched`: the others, those served last at the end */
    int32_t fresh_left;               /* bytes of `fresh` before `waiting` gets a frame */
    int32_t unit; /* bytes of a turn with weight 1, the same in all of a round */
    uint32_t round;
    uint32_t turns;  /* quanta granted in this round, to as many streams */
    bool long_turns; /* they were many in the round before, and have long turns in this one */
};

struct smux__scheduler {
    struct smux__class classes[SMUX_PRIORITY_MAX + 1];
    uint32_t busy;
    int32_t unit;         /* the same for the rounds that begin from now on, */
    int32_t unit_of_many; /* and for those after one in which so many streams had a turn: */
    uint32_t many;
};

/* `turn` is the quantum of the default weight in bytes. It may change at any time, from the next
 * round of each class on: in a round all have turns of one length. */
void smux__scheduler_init(struct smux__scheduler *scheduler, uint32_t turn);
void smux__scheduler_set_turn(struct smux__scheduler *scheduler, uint32_t turn);

/* The same for a class in which `many` streams or more, 2 at least, had a turn in the last round. If it
 * is not longer, all have turns of the same length; so it is at first. */
void smux__scheduler_set_turn_of_many(struct smux__scheduler *scheduler, uint32_t turn,
                                      uint32_t many);

/* Begins a round in each class that has long turns, whoever has had none yet, with turns as they are to
 * be from now on: a transport that has become slow might take minutes for the rest. */
void smux__scheduler_cut_round(struct smux__scheduler *scheduler);

/* Tells whether some stream has something to send. */
static inline bool smux__scheduler_busy(const struct smux__scheduler *scheduler)
{
    return scheduler->busy != 0;
}

/* Gives a new stream the default class and weight. */
void smux__scheduler_adopt(struct smux__scheduler *scheduler, struct smux_estream *stream);

/* Changes class and weight, at any time. */
void smux__scheduler_set(struct smux__scheduler *scheduler, struct smux_estream *stream,
                         unsigned priority, unsigned weight);

/* --- of every frame ---------------------------------------------------------------------- */

static inline struct smux__class *smux__scheduler_class(struct smux__scheduler *scheduler,
                                                        const struct smux_estream *stream)
{
    return &scheduler->classes[stream->priority];
}

static inline struct smux__stream_list *smux__scheduler_list(struct smux__class *class,
                                                             const struct smux_estream *stream)
{
    return smux__stream_is(stream, STREAM_IN_FRESH) ? &class->fresh : &class->waiting;
}

static inline void smux__scheduler_allow_fresh(struct smux__class *class)
{
    class->fresh_left = class->unit * SMUX_WEIGHT_DEFAULT * SMUX__FRESH_TURNS;
}

/* Gives a stream the credit of the rounds it missed, and drops what is left of it if that would
 * only cut in two what it has. */
void smux__scheduler_settle(struct smux__class *class, struct smux_estream *stream);

/* A stream comes back in the middle of a long turn, which goes on. */
void smux__scheduler_resume(struct smux__class *class, struct smux_estream *stream);

/* Goes through those that wait until one has credit again. A small weight pays for a large frame
 * in several rounds. */
struct smux_estream *smux__scheduler_pass_turns(const struct smux__scheduler *scheduler,
                                                struct smux__class *class);

/* The stream whose turn it is has used up its credit: it goes behind those that wait. */
void smux__scheduler_end_turn(struct smux__class *class, struct smux_estream *stream);

/* A stream has something to send. */
static inline void smux__scheduler_join(struct smux__scheduler *scheduler,
                                        struct smux_estream *stream)
{
    struct smux__class *class = smux__scheduler_class(scheduler, stream);

    assert(!smux__stream_is(stream, STREAM_IN_DATA) && !smux__stream_timer_runs(stream));
    if (stream->round != class->round % SMUX__ROUNDS ||
        stream->deficit < (int32_t)stream->traffic->out.len) {
        smux__scheduler_settle(class, stream);
    }
    stream->flags |= (uint32_t)STREAM_IN_DATA;
    if (stream->deficit > 0 && class->long_turns && stream->waited) {
        smux__scheduler_resume(class, stream);
    } else if (stream->deficit > 0) {
        stream->flags |= (uint32_t)STREAM_IN_FRESH;
        smux__sched_push(&class->fresh, stream);
    } else {
        smux__sched_push(&class->waiting, stream);
    }
    scheduler->busy |= 1u << stream->priority;
}

/* A stream has nothing more to send. */
static inline void smux__scheduler_leave(struct smux__scheduler *scheduler,
                                         struct smux_estream *stream)
{
    struct smux__class *class = smux__scheduler_class(scheduler, stream);

    smux__sched_remove(smux__scheduler_list(class, stream), stream);
    stream->flags &= ~(uint32_t)(STREAM_IN_DATA | STREAM_IN_FRESH);
    if (class->fresh.head == NULL && class->waiting.head == NULL) {
        scheduler->busy &= ~(1u << stream->priority);
    }
}

/* Returns the stream whose turn it is, while busy. */
static inline struct smux_estream *smux__scheduler_next(struct smux__scheduler *scheduler)
{
    struct smux__class *class = &scheduler->classes[smux__highest_bit(scheduler->busy)];
    struct smux_estream *stream = class->waiting.head;

    if (class->fresh.head != NULL && (stream == NULL || class->fresh_left > 0)) {
        return class->fresh.head;
    }
    return stream->deficit > 0 ? stream : smux__scheduler_pass_turns(scheduler, class);
}

/* The stream whose turn it is has sent a frame. */
static inline void smux__scheduler_sent(struct smux__scheduler *scheduler,
                                        struct smux_estream *stream, uint32_t len)
{
    struct smux__class *class = smux__scheduler_class(scheduler, stream);

    stream->deficit -= (int32_t)len;
    if (!smux__stream_is(stream, STREAM_IN_FRESH)) {
        smux__scheduler_allow_fresh(class);
    } else if (class->waiting.head != NULL) {
        class->fresh_left -= (int32_t)len;
    }
    if (stream->deficit <= 0) {
        smux__scheduler_end_turn(class, stream);
    }
}

#endif
