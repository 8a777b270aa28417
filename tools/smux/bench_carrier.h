/*
 * bench_carrier.h - what carries the channels of a test: one smux session, or a TCP connection
 * for each channel; and the server at the other end, in this process unless it is remote.
 */
#ifndef TOOL_BENCH_CARRIER_H
#define TOOL_BENCH_CARRIER_H

#include <netinet/in.h>

#include "bench_channel.h"
#include "bench_loop.h"
#include "heap.h"
#include "bench_server.h"
#include "bench_settings.h"

struct carrier {
    const struct bench_settings *settings;
    enum bench_kind kind;
    struct smux_config config[2]; /* by enum smux_role */
    struct heap heap[2];
    struct bench_server *server; /* NULL: remote */
    const char *address;         /* of the server */
    smux_session *session;       /* NULL for TCP, and with an event loop */
    struct bench_loop loop;      /* with --loop, instead of the session */
    _Atomic uint64_t frames; /* of data of the loop, in both directions, as it tells now and then */
    struct sockaddr_in peer; /* TCP: what to connect to */
    _Atomic uint32_t connected; /* TCP: connections made */
};

/*
 * Connects, starts the server if it is ours, and sees whether it answers.
 *
 * n_channels: how many will be open at once
 * count_heap: whether carrier_heap_bytes() will be asked for; it costs time
 * Returns 0, or the exit code after a message.
 */
int carrier_open(struct carrier *carrier, const struct bench_settings *settings,
                 enum bench_kind kind, uint32_t n_channels, bool count_heap);

/* Opens a channel. */
int carrier_channel(struct carrier *carrier, struct channel *out_channel);

/* Returns how many ends of each channel are in this process. */
unsigned carrier_ends(const struct carrier *carrier);

/* Returns the bytes of heap that all ends here use now. */
uint64_t carrier_heap_bytes(const struct carrier *carrier);

/* Returns the frames of data sent and received by the client so far. */
uint64_t carrier_frames(const struct carrier *carrier);

/* Explains why an operation ended with `status`, in `out`. */
const char *carrier_explain(const struct carrier *carrier, int status, char *out, size_t size);

/* Ends everything; all channels must have been closed. */
void carrier_close(struct carrier *carrier);

#endif
