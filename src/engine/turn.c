/*
 * turn.c - how much is formed ahead of the transport, and how long the turn of a stream is.
 *
 * Both follow what the transport takes. One that takes all it is offered gets large batches and
 * several frames of a stream in a row; what one did not take is not formed ahead next time, so that
 * what is more urgent can still overtake. Many streams of a fast transport have long turns, which
 * last over several messages: a row.
 */
#include "core.h"

/* Bytes formed at once, at least, when the transport takes fewer. */
#define MIN_BATCH 16384u
/* And before it is known how many it takes. */
#define FIRST_BATCH 65536u
/* Streams that a batch has room for, if their frames are not larger than that. */
#define TURNS_A_BATCH 2u
/* A transport is fast that takes so many bytes a microsecond, counted for so long at least. */
#define FAST_RATE 512u
#define METER_US  1000u
/* The turn of each of many streams, then: 2 ms at most. With so many a round takes milliseconds anyway;
 * with fewer such turns are what a small message waits for. */
#define TURN_OF_MANY 1048576u
#define MANY         32u
/* A loan from here on is worth a system call of its own. */
#define ROW_MIN 65536u

/* --- length ------------------------------------------------------------------------------ */

/* A fast transport gets several frames of a stream in a row: that wakes its writer and its reader
 * less often, and costs others microseconds. The number is rounded to the nearest: a socket often
 * takes a few bytes less than it is offered. */
static uint32_t turn_len(const smux_engine *e)
{
    uint32_t frame = e->config.max_frame_size;
    uint32_t frames = ((uint32_t)e->batch_limit / TURNS_A_BATCH + frame / 2) / frame;

    return frame * smux__max_u32(1, frames);
}

/* Many streams send several messages in a row each, which saves more of the same. In version 2 a window
 * ends such a turn. */
static void set_turns(smux_engine *e)
{
    uint32_t frame = e->config.max_frame_size;
    bool is_long = e->fast && e->version == 1;
    uint32_t of_many = is_long ? frame * smux__max_u32(1, TURN_OF_MANY / frame) : 0;

    smux__scheduler_set_turn(&e->data, turn_len(e));
    smux__scheduler_set_turn_of_many(&e->data, of_many, MANY);
    if (!e->fast && e->batch_limit < SMUX__MAX_BATCH) { /* and not only because nobody sent */
        smux__scheduler_cut_round(&e->data);
    }
}

void smux__turn_init(smux_engine *e)
{
    e->batch_limit = FIRST_BATCH;
    smux__scheduler_init(&e->data, turn_len(e));
}

/* Learns whether the transport is fast. */
static void meter(smux_engine *e, size_t len)
{
    uint64_t elapsed_us = e->now_us - e->metered_us;

    e->metered += len;
    if (elapsed_us >= METER_US) {
        e->fast = e->metered / FAST_RATE >= elapsed_us;
        e->metered_us = e->now_us;
        e->metered = 0;
    }
}

void smux__turn_adapt(smux_engine *e, size_t len)
{
    size_t some = len > MIN_BATCH ? len : MIN_BATCH;
    size_t limit = len >= e->offered ? SMUX__MAX_BATCH : some;
    bool was_fast = e->fast;

    meter(e, len);
    if (limit != e->batch_limit || e->fast != was_fast) {
        e->batch_limit = limit;
        set_turns(e);
    }
}

/* --- rows -------------------------------------------------------------------------------- */

void smux__turn_begin_row(smux_engine *e, struct smux_estream *stream)
{
    if (stream->deficit > 0 && stream->traffic->out.len == 0 &&
        smux__stream_is(stream, STREAM_LENT) && e->outbox.len >= ROW_MIN) {
        e->in_turn = stream;
        e->row_ends_at = e->stats.wire_out;
    }
}

/* Whether others have something to send that waits for nothing: all but what has waited for its turn
 * before, in the class of the stream or below. */
static bool others_are_urgent(const smux_engine *e, const struct smux_estream *stream)
{
    return e->control.head != NULL || e->nop_due || smux__refusal_is_due(e) ||
           !smux__tray_is_empty(&e->tray) || e->data.busy >> stream->priority > 1 ||
           e->data.classes[stream->priority].fresh.head != NULL;
}

smux_estream *smux_engine_send_stream(const smux_engine *e)
{
    const uint32_t open = STREAM_IN_TABLE | STREAM_HANDLE;
    const uint32_t moves = STREAM_FIN_WANTED | STREAM_LENT | STREAM_IN_DATA;
    struct smux_estream *stream = e->in_turn;
    bool waits = smux__turn_row_is_open(e) && e->outbox.len == 0 && e->error == SMUX_OK &&
                 (stream->flags & (open | moves)) == open && !others_are_urgent(e, stream);

    return waits ? stream : NULL;
}
