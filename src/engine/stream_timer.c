/*
 * stream_timer.c - the timers of streams: how long each kind runs, and what happens then.
 *
 * A stream has one timer at most, of the kind that its state needs (enum smux__timer_kind). Those of
 * one kind are in a list of the engine (timer.h).
 */
#include "core.h"

#include <stddef.h>

/* Longest life of a discard record [FIN-11, L13]. */
#define DISCARD_US (300u * 1000000u)
/* The longest wait for a larger window [WIN-8]. */
#define SILLY_US 200000u
/* Between two updates after our FIN [UPD-10]. */
#define TAIL_UPD_US 10000u

static uint64_t timer_duration_us(const smux_engine *e, enum smux__timer_kind kind)
{
    switch (kind) {
    case TIMER_GUARD:
        return smux__duration_us(e->config.accept_guard_ms);
    case TIMER_ACCEPT:
        return smux__duration_us(e->config.accept_timeout_ms);
    case TIMER_SILLY:
        return SILLY_US;
    case TIMER_HALF_CLOSE:
        return smux__duration_us(e->config.half_close_timeout_ms);
    case TIMER_LINGER:                                     /* unreachable: see must_linger() */
        return smux__duration_us(e->config.fin_linger_ms); /* unreachable: as above */
    case TIMER_TAIL_UPD:
        return TAIL_UPD_US;
    case TIMER_DISCARD:
        return DISCARD_US;
    case TIMER_NONE:  /* unreachable: it does not run */
    case TIMER_KINDS: /* unreachable: no kind, their number */
        break;        /* unreachable: as above */
    }
    return SMUX_NEVER; /* unreachable: as above */
}

static bool timer_start(smux_engine *e, struct smux__timer_list *list, struct smux_estream *stream,
                        enum smux__timer_kind kind, uint64_t deadline_us)
{
    assert(!smux__stream_timer_runs(stream) && !smux__stream_is(stream, STREAM_IN_DATA));
    if (!smux__stream_engage(e, stream)) {
        return false;
    }
    stream->timer_kind = kind & 7u;
    smux__timer_start(list, &stream->traffic->timer, deadline_us);
    return true;
}

bool smux__stream_timer_start_at(smux_engine *e, struct smux_estream *stream,
                                 enum smux__timer_kind kind, uint64_t deadline_us)
{
    return timer_start(e, &e->timers[kind], stream, kind, deadline_us);
}

bool smux__stream_timer_start(smux_engine *e, struct smux_estream *stream,
                              enum smux__timer_kind kind)
{
    uint64_t duration_us = timer_duration_us(e, kind);

    if (duration_us == SMUX_NEVER) {
        return true;
    }
    if (e->now_is_old) {
        return timer_start(e, &e->undated_timers, stream, kind, 0);
    }
    return smux__stream_timer_start_at(e, stream, kind, e->now_us + duration_us);
}

void smux__stream_timer_cancel(struct smux_estream *stream)
{
    if (smux__stream_timer_runs(stream)) {
        smux__timer_stop(&stream->traffic->timer);
        stream->timer_kind = TIMER_NONE;
    }
}

/* [OPN-6]: nobody accepted it in time. */
static void refuse_late(smux_engine *e, struct smux_estream *stream)
{
    e->stats.streams_refused++;
    e->stats.limits[SMUX_LIMIT_REFUSED_LATE]++;
    smux__stream_cut(e, stream, SMUX_EABORTED);
}

/* [FIN-7]: what the transport has not taken yet restarts the wait. */
static void linger_over(smux_engine *e, struct smux_estream *stream)
{
    uint32_t taken = (uint32_t)(e->stats.wire_out - e->outbox.len);

    if ((int32_t)(stream->traffic->lingers_for - taken) > 0) {
        stream->last_sent_ms = e->now_ms;
    }
    smux__send_schedule(e, stream);
    smux__stream_settle(e, stream);
}

static void tail_update_over(smux_engine *e, struct smux_estream *stream)
{
    if (stream->consumed != stream->updated_at) {
        smux__stream_consumed(e, stream, 0);
    }
    smux__stream_rest(e, stream);
}

struct smux_estream *smux__stream_of_timer(struct smux__timer *timer)
{
    uint8_t *base = (uint8_t *)timer - offsetof(struct smux__traffic, timer);

    return ((struct smux__traffic *)(void *)base)->stream;
}

void smux__stream_timers_date(smux_engine *e)
{
    struct smux__timer *timer;

    while ((timer = smux__timer_list_due(&e->undated_timers, e->now_us)) != NULL) {
        struct smux_estream *stream = smux__stream_of_timer(timer);
        enum smux__timer_kind kind = (enum smux__timer_kind)stream->timer_kind;
        smux__stream_timer_cancel(stream);
        (void)smux__stream_timer_start(e, stream, kind); /* it has what that needs */
    }
}

static void timer_expired(smux_engine *e, struct smux_estream *stream, enum smux__timer_kind kind)
{
    switch (kind) {
    case TIMER_GUARD:
        smux__stream_unguard(e, stream);
        break;
    case TIMER_ACCEPT:
        refuse_late(e, stream);
        break;
    case TIMER_SILLY:
        stream->flags |= STREAM_SILLY_OVER;
        if (stream->flights < SMUX__MAX_FLIGHTS) {
            stream->flights = (stream->flights + 1u) & SMUX__MAX_FLIGHTS;
        }
        smux__send_schedule(e, stream);
        break;
    case TIMER_HALF_CLOSE:
        e->stats.limits[SMUX_LIMIT_ABORTED_HALF_CLOSE]++;
        smux__stream_abort(e, stream, SMUX_EPIPE);
        break;
    case TIMER_LINGER:
        linger_over(e, stream);
        break;
    case TIMER_TAIL_UPD:
        tail_update_over(e, stream);
        break;
    case TIMER_DISCARD:
        e->stats.limits[SMUX_LIMIT_FORGOTTEN_DISCARDS]++;
        smux__stream_settle(e, stream);
        break;
    case TIMER_NONE:  /* unreachable: it does not run */
    case TIMER_KINDS: /* unreachable: no kind, their number */
        break;        /* unreachable: as above */
    }
}

void smux__stream_timers_run(smux_engine *e)
{
    for (unsigned kind = TIMER_NONE + 1; kind < TIMER_KINDS; kind++) {
        struct smux__timer *timer;
        while ((timer = smux__timer_list_due(&e->timers[kind], e->now_us)) != NULL) {
            struct smux_estream *stream = smux__stream_of_timer(timer);
            smux__stream_timer_cancel(stream);
            timer_expired(e, stream, (enum smux__timer_kind)kind);
        }
    }
}
