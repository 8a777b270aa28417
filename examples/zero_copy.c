/*
 * zero_copy.c - payload that the engine never copies: the sender lends memory and takes it back
 * when all of it was sent; the receiver looks at what arrived where it lies. The transport, here
 * a piece of memory, makes the only copy.
 * ctest: run
 */
#include <smux/engine.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (4u << 20)

/* What a socket does: takes bytes where one engine keeps them, and puts them where the other wants
 * to have them. */
static void move(smux_engine *from, smux_engine *to)
{
    static unsigned char wire[1 << 20];
    struct smux_iov iov[64];
    size_t len = 0, room, at = 0;
    int n = smux_engine_send_iov(from, iov, 64, 0);

    for (int i = 0; i < n && len + iov[i].len <= sizeof(wire); i++) {
        memcpy(wire + len, iov[i].base, iov[i].len);
        len += iov[i].len;
    }
    smux_engine_send_commit(from, len, 0);
    while (at < len && (n = smux_engine_recv_iov(to, iov, 2)) > 0) {
        size_t stored = 0;

        for (int i = 0; i < n && at < len; i++, stored += room, at += room) {
            room = iov[i].len < len - at ? iov[i].len : len - at;
            memcpy(iov[i].base, wire + at, room);
        }
        smux_engine_recv_commit(to, stored, 0);
    }
}

/* Adds up all bytes that have come, without taking them anywhere. */
static size_t add_up(smux_engine *engine, smux_estream *stream, unsigned long *sum)
{
    struct smux_iov iov[8];
    size_t total = 0;
    int n;

    while (smux_estream_peek(engine, stream, iov, 8, &n) == SMUX_OK) {
        size_t len = 0;

        for (int i = 0; i < n; i++) {
            const unsigned char *bytes = iov[i].base;
            for (size_t k = 0; k < iov[i].len; k++) {
                *sum += bytes[k];
            }
            len += iov[i].len;
        }
        smux_estream_consume(engine, stream, len); /* the memory is the engine's again */
        total += len;
    }
    return total;
}

int main(void)
{
    smux_engine *client = NULL, *server = NULL;
    smux_estream *ours = NULL, *theirs = NULL;
    unsigned char *data = malloc(SIZE);
    unsigned long sent = 0, received = 0;
    size_t total = 0, kept = 0;

    if (data == NULL || smux_engine_new(SMUX_CLIENT, NULL, 0, 0, &client) != SMUX_OK ||
        smux_engine_new(SMUX_SERVER, NULL, 0, 0, &server) != SMUX_OK ||
        smux_engine_open(client, &ours) != SMUX_OK) {
        return 1;
    }
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = (unsigned char)(i * 31 >> 7);
        sent += data[i];
    }
    if (smux_estream_lend(client, ours, data, SIZE) != SMUX_OK) {
        return 1;
    }
    while (smux_estream_lent(client, ours) > 0) { /* data must not change meanwhile */
        move(client, server);
        if (theirs != NULL || smux_engine_accept(server, &theirs) == SMUX_OK) {
            total += add_up(server, theirs, &received);
        }
    }
    smux_estream_reclaim(client, ours, &kept);
    printf("%zu of %u bytes arrived, sum %lu, expected %lu\n", total, SIZE, received, sent);
    smux_engine_free(client);
    smux_engine_free(server);
    free(data);
    return total == SIZE && kept == SIZE && received == sent ? 0 : 1;
}
