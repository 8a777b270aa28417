/*
 * line.h - two engines on a line of a certain rate and delay, under a virtual clock.
 *
 * For properties of throughput: nothing is audited and no byte is looked at; link.h is for that.
 * Time goes on in steps of 250 us. Each stream of the client is written to without end; the
 * server reads each as its reader wishes.
 */
#ifndef SUPPORT_LINE_H
#define SUPPORT_LINE_H

#include <smux/engine.h>

#include "bytes.h"
#include "heap.h"

#define LINE_STEP_US 250

/** One direction. */
struct line_way {
    struct bytes bytes; /**< on their way */
    struct bytes marks; /**< of struct line_mark: how many arrive when */
};

/** A stream that the client fills. */
struct line_stream {
    smux_estream *client, *server; /**< server: NULL until accepted */
    uint64_t rate;                 /**< bytes a second that the server reads; 0: never reads */
    uint64_t allowed;              /**< bytes times 10^6 it may read now */
    uint64_t read;                 /**< bytes read */
    bool quiet;                    /**< the client writes nothing more */
};

#define LINE_FAST    (UINT64_C(1) << 40)
#define LINE_STREAMS 1024

struct line {
    smux_engine *engine[2]; /**< client, server */
    struct heap heap[2];
    struct line_way way[2]; /**< way[i] is written by engine[i] */
    uint64_t now;
    uint64_t rate; /**< bytes a second, each way */
    uint64_t delay_us;
    struct line_stream streams[LINE_STREAMS];
    unsigned n_streams, n_accepted;
};

/** Makes both engines; NULL means the defaults of version 2. */
void line_start(struct line *line, uint64_t rate, uint64_t delay_us,
                const struct smux_config *client, const struct smux_config *server);

/** Opens a stream that is read with `rate` bytes a second. Returns its index. */
unsigned line_open(struct line *line, uint64_t rate);

/** Lets time go by. */
void line_run(struct line *line, uint64_t us);

/** The server's counters. */
struct smux_session_stats line_stats(const struct line *line);

/** Frees everything and checks that all memory came back. */
void line_stop(struct line *line);

#endif
