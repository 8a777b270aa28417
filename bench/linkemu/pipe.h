/*
 * pipe.h - one direction of one connection: what goes in comes out later, in order.
 *
 *      socket --> [ queue ] --> (rate limit) --> [ delay line ] --> socket
 *                  `--------------- ring --------------'
 *
 * The ring holds both parts: rate x (delay + jitter) + queue bytes. When it is full, nothing is
 * read, and TCP holds the sender back. What has been read is cut into slices; a slice leaves the
 * rate limit when all its bytes had time to pass, and is due for delivery one delay later. So
 * rate and delay are decided when bytes come in, and delivery only compares times.
 *
 * Invariant: taken - delivered == ring.len; the slices end at taken, and their due times ascend.
 */
#ifndef LINKEMU_PIPE_H
#define LINKEMU_PIPE_H

#include "linkclock.h"
#include "options.h"
#include "ring.h"

/* How a direction ends. */
enum pipe_ending {
    PIPE_OPEN,
    PIPE_FIN,  /* half-close */
    PIPE_RESET /* after which nothing counts any more */
};

struct slice {
    uint64_t end;    /* position in the stream behind its last byte */
    uint64_t due_ns; /* link time */
};

struct pipe {
    const struct direction_options *options;
    const struct linkclock *clock;
    struct ring ring;
    struct slice *slices; /* a ring, too */
    size_t n_slices;      /* of that ring */
    size_t first_slice;
    size_t used_slices;
    size_t slice_size; /* bytes, at most */
    size_t read_size;  /* room there must be to read: no small reads while the link is busy */
    uint64_t taken;    /* bytes that came in */
    uint64_t delivered;
    uint64_t due;     /* bytes that may be delivered, as a position */
    uint64_t free_ns; /* when the rate limit has passed all that came in, link time */
    uint64_t last_ns; /* due time of the last slice */
    uint64_t end_ns;  /* when the end is due */
    enum pipe_ending ending;
    uint64_t random; /* state of the jitter */
    size_t peak;     /* most bytes under way */
};

/* Returns the bytes a pipe with these options takes at most, as a number that cannot overflow. */
double pipe_capacity(const struct direction_options *options);

/* Makes a pipe. The seed decides its jitter. false without memory. */
bool pipe_init(struct pipe *pipe, const struct direction_options *options,
               const struct linkclock *clock, uint64_t seed);
void pipe_deinit(struct pipe *pipe);

/* Tells whether pipe_fill() may be called: there is room and no end. */
bool pipe_has_room(const struct pipe *pipe);

/* Takes bytes from a socket. As read(2); 0 is an end that the caller passes to pipe_end(). */
ssize_t pipe_fill(struct pipe *pipe, int fd);

/* Sends an end behind the data. A reset may follow a half-close. */
void pipe_end(struct pipe *pipe, enum pipe_ending ending);

/* Delivers bytes that are due to a socket. As write(2); 0 when none are due. */
ssize_t pipe_drain(struct pipe *pipe, int fd);

/* Returns the end that is due now, behind all data. */
enum pipe_ending pipe_ended(const struct pipe *pipe);

/* Tells whether all bytes up to the cut are delivered. */
bool pipe_is_cut(const struct pipe *pipe);

/* Returns the link time of the next thing that is not yet due; NEVER: there is none. */
uint64_t pipe_next_ns(const struct pipe *pipe);

#endif
