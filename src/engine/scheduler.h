/*
 * scheduler.h - whose payload leaves next.
 *
 *   classes     strict: a stream waits while one of a higher class has something to send
 *   in a class  deficit round robin by bytes: a turn is a quantum, proportional to the weight;
 *               what a frame takes beyond it is paid back in the next turn
 *   fresh       a stream that has just got something to send goes before those that have had it
 *               for a while, as long as it has credit of this round
 *
 * A round has passed when each stream in `waiting` has had its turn. A stream gets one quantum a
 * round, whether it takes it in one turn or in many small bursts: what is left stays with a stream
 * that runs empty, and only a later round gives it more. So being fresh again and again wins time
 * but no bytes.
 *
 * Invariants: a stream is in one list of its class while STREAM_IN_DATA is set, in `fresh` if
 * STREAM_IN_FRESH is, and then it has credit; bit n of `busy` tells whether class n has streams.
 * Every operation is O(1); smux__scheduler_next() is so over time, because a visit that does not
 * end with a frame gives at least a sixteenth of a largest frame of credit.
 */
#ifndef SMUX__SCHEDULER_H
#define SMUX__SCHEDULER_H

#include "stream.h"

struct smux__class {
    struct smux__stream_list fresh;   /* by `sched`: just got something to send */
    struct smux__stream_list waiting; /* by `sched`: the others, those served last at the end */
    int32_t fresh_left;               /* bytes of `fresh` before `waiting` gets a frame */
    int32_t unit; /* bytes of a turn with weight 1, the same in all of a round */
    uint32_t round;
};

struct smux__scheduler {
    struct smux__class classes[SMUX_PRIORITY_MAX + 1];
    uint32_t busy;
    int32_t unit; /* the same for the rounds that begin from now on */
};

/* `turn` is the quantum of the default weight in bytes. It may change at any time, from the next
 * round of each class on: in a round all have turns of one length. */
void smux__scheduler_init(struct smux__scheduler *scheduler, uint32_t turn);
void smux__scheduler_set_turn(struct smux__scheduler *scheduler, uint32_t turn);

/* Tells whether some stream has something to send. */
static inline bool smux__scheduler_busy(const struct smux__scheduler *scheduler)
{
    return scheduler->busy != 0;
}

/* Gives a new stream the default class and weight. */
void smux__scheduler_adopt(struct smux__scheduler *scheduler, struct smux_estream *stream);

/* A stream has something to send. */
void smux__scheduler_join(struct smux__scheduler *scheduler, struct smux_estream *stream);

/* A stream has nothing more to send. */
void smux__scheduler_leave(struct smux__scheduler *scheduler, struct smux_estream *stream);

/* Returns the stream whose turn it is, while busy. */
struct smux_estream *smux__scheduler_next(struct smux__scheduler *scheduler);

/* The stream whose turn it is has sent a frame. */
void smux__scheduler_sent(struct smux__scheduler *scheduler, struct smux_estream *stream,
                          uint32_t len);

/* Changes class and weight, at any time. */
void smux__scheduler_set(struct smux__scheduler *scheduler, struct smux_estream *stream,
                         unsigned priority, unsigned weight);

#endif
