#include "pipe.h"

#include <stdlib.h>
#include <string.h>

int smux__pipe_init(struct smux__pipe *pipe, size_t capacity)
{
    *pipe = (struct smux__pipe){.capacity = capacity};
    pipe->bytes = malloc(capacity);
    if (pipe->bytes == NULL) {
        return SMUX_ENOMEM;
    }
    if (smux__bell_init(&pipe->readable, SMUX__BELL_READABLE) != 0) {
        goto fail_readable;
    }
    if (smux__bell_init(&pipe->writable, SMUX__BELL_WRITABLE) != 0) {
        goto fail_writable;
    }
    if (pthread_mutex_init(&pipe->lock, NULL) != 0) {
        goto fail_lock;
    }
    return SMUX_OK;

fail_lock:
    smux__bell_deinit(&pipe->writable);
fail_writable:
    smux__bell_deinit(&pipe->readable);
fail_readable:
    free(pipe->bytes);
    return SMUX_EIO;
}

void smux__pipe_deinit(struct smux__pipe *pipe)
{
    (void)pthread_mutex_destroy(&pipe->lock);
    smux__bell_deinit(&pipe->writable);
    smux__bell_deinit(&pipe->readable);
    free(pipe->bytes);
}

static size_t pipe_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/** Lets the bells tell what is true now. */
static void pipe_ring(struct smux__pipe *pipe)
{
    smux__bell_set(&pipe->readable, pipe->len > 0 || pipe->ended);
    smux__bell_set(&pipe->writable, pipe->len < pipe->capacity || pipe->ended || pipe->broken);
}

/** Copies from the ring into one vector; returns how much. */
static size_t pipe_take(struct smux__pipe *pipe, const struct smux_iov *iov)
{
    size_t len = pipe_min(iov->len, pipe->len);
    size_t first = pipe_min(len, pipe->capacity - pipe->head);
    unsigned char *to = iov->base;

    if (len == 0) {
        return 0; /* the base of an empty vector may be NULL */
    }
    memcpy(to, pipe->bytes + pipe->head, first);
    memcpy(to + first, pipe->bytes, len - first);
    pipe->head = (pipe->head + len) % pipe->capacity;
    pipe->len -= len;
    return len;
}

/** Copies one vector into the ring; returns how much. */
static size_t pipe_put(struct smux__pipe *pipe, const struct smux_iov *iov)
{
    size_t room = pipe->capacity - pipe->len;
    size_t len = pipe_min(iov->len, room);
    size_t tail = (pipe->head + pipe->len) % pipe->capacity;
    size_t first = pipe_min(len, pipe->capacity - tail);
    const unsigned char *from = iov->base;

    if (len == 0) {
        return 0;
    }
    memcpy(pipe->bytes + tail, from, first);
    memcpy(pipe->bytes, from + first, len - first);
    pipe->len += len;
    return len;
}

int smux__pipe_read(struct smux__pipe *pipe, const struct smux_iov *iov, int n, size_t *out_len)
{
    size_t len = 0;

    pthread_mutex_lock(&pipe->lock);
    bool ended = pipe->ended;
    for (int i = 0; i < n; i++) {
        len += pipe_take(pipe, &iov[i]);
    }
    pipe_ring(pipe);
    pthread_mutex_unlock(&pipe->lock);
    *out_len = len;
    if (len > 0) {
        return SMUX_OK;
    }
    return ended ? SMUX_EOF : SMUX_EAGAIN;
}

int smux__pipe_write(struct smux__pipe *pipe, const struct smux_iov *iov, int n, size_t *out_len)
{
    size_t len = 0;

    pthread_mutex_lock(&pipe->lock);
    bool failed = pipe->ended || pipe->broken;
    for (int i = 0; i < n && !failed; i++) {
        len += pipe_put(pipe, &iov[i]);
    }
    pipe_ring(pipe);
    pthread_mutex_unlock(&pipe->lock);
    *out_len = len;
    if (failed) {
        return SMUX_EIO;
    }
    return len > 0 ? SMUX_OK : SMUX_EAGAIN;
}

void smux__pipe_end(struct smux__pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    pipe->ended = true;
    pipe_ring(pipe);
    pthread_mutex_unlock(&pipe->lock);
}

void smux__pipe_break(struct smux__pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    pipe->broken = true;
    pipe_ring(pipe);
    pthread_mutex_unlock(&pipe->lock);
}
