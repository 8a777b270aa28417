/*
 * pair.c - two transports connected in memory, for tests and for programs that talk to
 * themselves.
 *
 *      end 0  -- pipes[0] -->  end 1
 *      end 0  <-- pipes[1] --  end 1
 *
 * The two ends may be used by two threads. Both pipes live until the second end is closed,
 * because each end rings the bells of the other. In a child of fork(2) they ring nothing: the
 * bells are still the parent's, and a lock may be held by a thread that does not exist there.
 */
#define _GNU_SOURCE 1 /* getpid */

#include "pipe.h"

#include <smux/transport.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct pair;

struct pair_end {
    struct pair *pair;
    struct smux__pipe *in;
    struct smux__pipe *out;
};

struct pair {
    struct smux__pipe pipes[2];
    struct pair_end ends[2];
    atomic_int open_ends;
    pid_t owner; /* the process that made it */
};

static int pair_readv(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    const struct pair_end *end = ctx;

    return smux__pipe_read(end->in, iov, n, out_len);
}

static int pair_writev(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    const struct pair_end *end = ctx;

    return smux__pipe_write(end->out, iov, n, out_len);
}

static void pair_shutdown(void *ctx)
{
    const struct pair_end *end = ctx;

    smux__pipe_end(end->out);
}

static void pair_close(void *ctx)
{
    const struct pair_end *end = ctx;
    struct pair *pair = end->pair;

    if (pair->owner == getpid()) {
        smux__pipe_end(end->out);
        smux__pipe_break(end->in);
    }
    if (atomic_fetch_sub(&pair->open_ends, 1) == 1) {
        smux__pipe_deinit(&pair->pipes[0]);
        smux__pipe_deinit(&pair->pipes[1]);
        free(pair);
    }
}

static int pair_fd(void *ctx, enum smux_transport_event direction)
{
    const struct pair_end *end = ctx;

    return direction == SMUX_WAIT_READ ? smux__bell_fd(&end->in->readable)
                                       : smux__bell_fd(&end->out->writable);
}

static const char *pair_error(void *ctx)
{
    (void)ctx;
    return "the other end was closed"; /* nothing else can fail */
}

static const struct smux_transport_ops pair_ops = {
    .readv = pair_readv,
    .writev = pair_writev,
    .shutdown = pair_shutdown,
    .close = pair_close,
    .fd = pair_fd,
    .error = pair_error,
};

static int pair_init_pipes(struct pair *pair, size_t capacity)
{
    int status = smux__pipe_init(&pair->pipes[0], capacity);
    if (status != SMUX_OK) {
        return status;
    }
    status = smux__pipe_init(&pair->pipes[1], capacity);
    if (status != SMUX_OK) {
        smux__pipe_deinit(&pair->pipes[0]);
    }
    return status;
}

int smux_transport_pair(size_t capacity, struct smux_transport out_pair[2])
{
    if (capacity == 0) {
        return SMUX_EINVAL;
    }
    struct pair *pair = malloc(sizeof *pair);
    if (pair == NULL) {
        return SMUX_ENOMEM;
    }
    int status = pair_init_pipes(pair, capacity);
    if (status != SMUX_OK) {
        free(pair);
        return status;
    }
    atomic_init(&pair->open_ends, 2);
    pair->owner = getpid();
    for (int i = 0; i < 2; i++) {
        pair->ends[i] =
            (struct pair_end){.pair = pair, .in = &pair->pipes[1 - i], .out = &pair->pipes[i]};
        out_pair[i] = (struct smux_transport){.ops = &pair_ops, .ctx = &pair->ends[i]};
    }
    return SMUX_OK;
}
