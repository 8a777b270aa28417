#include "payload.h"

#include "pattern.h"

#include <stdlib.h>
#include <string.h>

enum {
    LENGTH_SIZE = 8
};

void *payload_alloc(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

bool payload_fail(struct peer *peer, smux_stream *stream, const char *what, int status)
{
    return tally_fail(&peer->tally, "stream %u: %s: %s (%s)", (unsigned)smux_stream_id(stream),
                      what, smux_strerror(status), smux_status_name(status));
}

int payload_read_full(smux_stream *stream, void *buf, size_t len)
{
    uint8_t *at = buf;
    while (len > 0) {
        size_t n = 0;
        int status = smux_stream_read(stream, at, len, &n);
        if (status != SMUX_OK) {
            return status;
        }
        at += n;
        len -= n;
    }
    return SMUX_OK;
}

bool payload_send_length(struct peer *peer, smux_stream *stream, uint64_t n)
{
    uint8_t head[LENGTH_SIZE];
    for (size_t i = 0; i < sizeof head; i++) {
        head[i] = (uint8_t)(n >> (8 * i));
    }
    int status = smux_stream_write(stream, head, sizeof head, NULL);
    return status == SMUX_OK || payload_fail(peer, stream, "write of the length", status);
}

bool payload_read_length(struct peer *peer, smux_stream *stream, uint64_t *out_n)
{
    uint8_t head[LENGTH_SIZE];
    int status = payload_read_full(stream, head, sizeof head);
    if (status != SMUX_OK) {
        return payload_fail(peer, stream, "read of the length", status);
    }
    *out_n = 0;
    for (size_t i = 0; i < sizeof head; i++) {
        *out_n |= (uint64_t)head[i] << (8 * i);
    }
    return true;
}

int payload_send(struct peer *peer, smux_stream *stream, uint64_t n, uint32_t chunk,
                 uint8_t digest[SHA256_SIZE])
{
    struct sha256 sha;
    struct pattern pattern;
    uint8_t *buf = payload_alloc(chunk);
    int status = SMUX_OK;
    sha256_init(&sha);
    pattern_init(&pattern, smux_stream_id(stream));
    while (n > 0 && status == SMUX_OK) {
        size_t len = n < chunk ? (size_t)n : chunk;
        size_t accepted = 0;
        pattern_fill(&pattern, buf, len);
        sha256_update(&sha, buf, len);
        status = smux_stream_write(stream, buf, len, &accepted);
        peer->tally.bytes += accepted;
        n -= len;
    }
    sha256_final(&sha, digest);
    free(buf);
    return status;
}

bool payload_receive(struct peer *peer, smux_stream *stream, uint64_t n,
                     uint8_t digest[SHA256_SIZE], uint64_t *out_n)
{
    struct sha256 sha;
    struct pattern_check check;
    uint8_t *buf = payload_alloc(PAYLOAD_BUFFER);
    int status = SMUX_OK;
    bool same = true;
    sha256_init(&sha);
    pattern_check_init(&check);
    while (check.seen < n && same && status == SMUX_OK) {
        size_t want = n - check.seen < PAYLOAD_BUFFER ? (size_t)(n - check.seen) : PAYLOAD_BUFFER;
        size_t len = 0;
        status = smux_stream_read(stream, buf, want, &len);
        same = pattern_check_next(&check, buf, len);
        sha256_update(&sha, buf, len);
        peer->tally.bytes += len;
    }
    free(buf);
    if (digest != NULL) {
        sha256_final(&sha, digest);
    }
    if (out_n != NULL) {
        *out_n = check.seen;
    }
    if (!same) {
        return tally_fail(&peer->tally, "stream %u: payload byte %llu is wrong",
                          (unsigned)smux_stream_id(stream), (unsigned long long)check.seen);
    }
    if (check.seen < n && !(n == PAYLOAD_UNTIL_END && status == SMUX_EOF)) {
        return tally_fail(&peer->tally, "stream %u: after %llu bytes: %s",
                          (unsigned)smux_stream_id(stream), (unsigned long long)check.seen,
                          smux_status_name(status));
    }
    return true;
}

bool payload_expect_digest(struct peer *peer, smux_stream *stream,
                           const uint8_t digest[SHA256_SIZE])
{
    uint8_t got[SHA256_SIZE];
    int status = payload_read_full(stream, got, sizeof got);
    if (status != SMUX_OK) {
        return payload_fail(peer, stream, "read of the digest", status);
    }
    return memcmp(got, digest, sizeof got) == 0 ||
           tally_fail(&peer->tally, "stream %u: the digests differ",
                      (unsigned)smux_stream_id(stream));
}

bool payload_expect_end(struct peer *peer, smux_stream *stream)
{
    for (int i = 0; i < 2; i++) {
        uint8_t byte;
        size_t n = 0;
        int status = smux_stream_read(stream, &byte, 1, &n);
        if (status != SMUX_EOF || n != 0) {
            return payload_fail(peer, stream, "read of the end", status);
        }
    }
    return true;
}
