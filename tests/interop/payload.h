/*
 * payload.h - data on a stream: exact reads, patterns sent and checked with their digest.
 *
 * Functions that return a bool have told the tally what went wrong when they return false.
 */
#ifndef INTEROP_PAYLOAD_H
#define INTEROP_PAYLOAD_H

#include "link.h"
#include "sha256.h"

/** Size of the buffers between two calls of the library. */
enum {
    PAYLOAD_BUFFER = 64 << 10
};

/** payload_receive(): as much as comes before the end of the stream. */
#define PAYLOAD_UNTIL_END UINT64_MAX

/** malloc() that does not fail. */
void *payload_alloc(size_t size);

/** Tells the tally of a call on a stream that failed; returns false. */
bool payload_fail(struct peer *peer, smux_stream *stream, const char *what, int status);

/** Reads exactly `len` bytes; SMUX_OK or the status of the read that failed. */
int payload_read_full(smux_stream *stream, void *buf, size_t len);

/** Sends and reads the length that comes before a transfer. */
bool payload_send_length(struct peer *peer, smux_stream *stream, uint64_t n);
bool payload_read_length(struct peer *peer, smux_stream *stream, uint64_t *out_n);

/** Sends `n` bytes of a pattern in writes of `chunk` and counts them. Returns the status of the
 *  writes; the digest is complete with SMUX_OK. */
int payload_send(struct peer *peer, smux_stream *stream, uint64_t n, uint32_t chunk,
                 uint8_t digest[SHA256_SIZE]);

/** Reads `n` bytes of a pattern, or all until the end, and checks them. `digest` and `out_n` may
 *  be NULL. */
bool payload_receive(struct peer *peer, smux_stream *stream, uint64_t n,
                     uint8_t digest[SHA256_SIZE], uint64_t *out_n);

/** Reads a digest and compares it. */
bool payload_expect_digest(struct peer *peer, smux_stream *stream,
                           const uint8_t digest[SHA256_SIZE]);

/** Reads the end of the stream, twice: the end is sticky [FIN-2]. */
bool payload_expect_end(struct peer *peer, smux_stream *stream);

#endif
