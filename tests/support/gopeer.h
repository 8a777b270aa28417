/*
 * gopeer.h - how Go smux v1.5.57 counts in version 2, byte for byte, wrapping included.
 *
 * Reader: an update at the first read and after each half of its stream buffer, never for the
 * tail, and never with CONSUMED 0 [M15, M17]. Writer: window arithmetic in wrapping int32, an
 * error when it is acknowledged more than it counted [M9]; bytes count once their frame left.
 */
#ifndef SUPPORT_GOPEER_H
#define SUPPORT_GOPEER_H

#include <stdbool.h>
#include <stdint.h>

struct go_reader {
    uint32_t buffer;   /**< MaxStreamBuffer */
    uint32_t num_read; /**< total, modulo 2^32 */
    uint32_t incr;     /**< since the last update */
};

/** The application read n bytes. Returns true when an update is sent: `*out_consumed`. */
static inline bool go_reader_read(struct go_reader *go, uint32_t n, uint32_t *out_consumed)
{
    uint32_t notify = 0;

    go->num_read += n;
    go->incr += n;
    if (go->incr >= go->buffer / 2 || go->num_read == n) {
        notify = go->num_read;
        go->incr = 0;
    }
    *out_consumed = notify;
    return notify > 0;
}

struct go_writer {
    uint32_t num_written;
    uint32_t peer_consumed;
    uint32_t peer_window; /**< starts at 262144 */
};

/** Bytes that may be sent now, negative while the window is overdrawn. `*out_error` tells of
 *  ErrConsumed. */
static inline int32_t go_writer_window(const struct go_writer *go, bool *out_error)
{
    uint32_t inflight = go->num_written - go->peer_consumed;
    uint32_t window = go->peer_window - inflight;

    *out_error = inflight > 0x7fffffff;
    return window > 0x7fffffff ? -(int32_t)(~window) - 1 : (int32_t)window;
}

#endif
