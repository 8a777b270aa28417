/*
 * pipe.h - one direction of the in-memory transport: a ring of bytes between two threads.
 *
 *      writer --> [ ....head#######tail.... ] --> reader
 *                   |                     |
 *             writable bell         readable bell
 *
 * States: open, then `ended` once the writer has finished (the reader still gets what is in the
 * ring, then the end) and `broken` once the reader has gone (writing fails). Both may be true.
 *
 * Invariants: len <= capacity; the readable bell is signalled while there are bytes or the end
 * to read; the writable bell while there is room or writing would fail.
 */
#ifndef SMUX_TRANSPORT_PIPE_H
#define SMUX_TRANSPORT_PIPE_H

#include "bell.h"

#include <smux/base.h>

#include <pthread.h>

/** One direction. */
struct smux__pipe {
    pthread_mutex_t lock;       /**< for everything below */
    struct smux__bell readable; /**< for the reader */
    struct smux__bell writable; /**< for the writer */
    unsigned char *bytes;       /**< the ring */
    size_t capacity;            /**< its size, at least 1 */
    size_t head;                /**< where the oldest byte is, < capacity */
    size_t len;                 /**< bytes in it */
    bool ended;                 /**< nothing more will be written */
    bool broken;                /**< nothing more will be read */
};

/** Makes an empty pipe. SMUX_OK, SMUX_ENOMEM, SMUX_EIO (no descriptors left). */
int smux__pipe_init(struct smux__pipe *pipe, size_t capacity);

/** Frees what smux__pipe_init() made. */
void smux__pipe_deinit(struct smux__pipe *pipe);

/** Takes bytes out. SMUX_OK, SMUX_EAGAIN when it is empty, SMUX_EOF when it also ended. */
int smux__pipe_read(struct smux__pipe *pipe, const struct smux_iov *iov, int n, size_t *out_len);

/** Puts bytes in. SMUX_OK, SMUX_EAGAIN when it is full, SMUX_EIO when it ended or is broken. */
int smux__pipe_write(struct smux__pipe *pipe, const struct smux_iov *iov, int n, size_t *out_len);

/** Tells that the writer has finished. */
void smux__pipe_end(struct smux__pipe *pipe);

/** Tells that the reader has gone. */
void smux__pipe_break(struct smux__pipe *pipe);

#endif
