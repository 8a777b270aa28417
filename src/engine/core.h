/*
 * core.h - the state of an engine, and what its parts offer each other.
 *
 *   engine.c        life, errors, the orderly end, events, statistics
 *   time.c          what is due when
 *   intake.c        where the transport reads to
 *   decoder.c       bytes in -> frames
 *   receive.c       what each received frame does
 *   stream.c        birth and end of streams
 *   stream_timer.c  their timers
 *   read.c          the application reads; credit for the peer
 *   tune.c          how large a window should be
 *   write.c         the application writes
 *   tray.c          small frames that a write lays out itself
 *   intray.c        small frames that came together and wait to be read
 *   send.c          what a stream may send, and the lists it waits in
 *   refusal.c       streams that were refused and wait to be told so
 *   scheduler.c     who sends next
 *   turn.c          how much at once
 *   form.c          frames -> bytes out
 */
#ifndef SMUX__CORE_H
#define SMUX__CORE_H

#include "chunk.h"
#include "config.h"
#include "intray.h"
#include "outbox.h"
#include "rare.h"
#include "scheduler.h"
#include "stream.h"
#include "table.h"
#include "tray.h"
#include "tune.h"
#include "wire.h"

#include <smux/engine.h>

#include <assert.h>

/* What no two bytes are equal to. */
#define SMUX__NO_HEAD UINT32_MAX

/* The frame that is being received. */
struct smux__decoder {
    uint8_t head[SMUX__HEADER_LEN + SMUX__UPD_LEN]; /* header, and the payload of an update */
    uint32_t head_len;
    uint32_t body_left;          /* bytes of a PSH that are still to come */
    uint32_t body_id;            /* its stream id */
    uint32_t last_body;          /* length of the last PSH: guess for the next one */
    uint32_t alike;              /* how many before it, in a row, were as long */
    uint32_t misses;             /* times in a row that a read trusted this and failed */
    struct smux_estream *target; /* whose they are; NULL to drop them */
    uint64_t frame_since_us;     /* when an unfinished frame began, SMUX_NEVER if there is none */
    uint32_t psh_head;           /* the first two bytes of a PSH of this session; NO_HEAD before
                                    the first valid header, and until then no flags are */
    uint32_t plain_head;         /* the same in the upper half, less the length of a header */
    uint32_t plain_flags;        /* those of a stream for which a run of small frames may go on */
    bool begun;                  /* a first valid header arrived */
    bool busy;                   /* decoding right now: no second entry */
};

/* Times that may be noted when the clock is old. */
enum smux__moment {
    SMUX__MOMENT_READ = 1,   /* last_read_us */
    SMUX__MOMENT_LISTEN = 2, /* last_in_us */
    SMUX__MOMENT_FRAME = 4,  /* decoder.frame_since_us */
    SMUX__MOMENT_IDLE = 8    /* idle_since_us */
};

/* Bytes formed ahead, as long as the transport takes all of them. */
#define SMUX__MAX_BATCH 262144u

/* Memory handed out by smux_engine_recv_iov(). */
struct smux__intake {
    /* Bytes read and not yet decoded. While a read is under way it holds nothing, and the chunks are
     * places where something may come. */
    struct smux__queue input;
    uint32_t buffer_size;       /* size for the next buffer; adapts to the traffic */
    struct smux__chunk *direct; /* chunk of decoder.target that payload is read into */
    struct smux__chunk *before; /* the one in front of it, valid while it is not the only one */
    size_t direct_len;          /* room handed out of it, or of the posted memory */
    uint32_t last_len;          /* bytes of the last read that brought some */
    bool under_way;             /* between recv_iov and recv_commit */
    bool expected;              /* the last read had places for frames that were expected */
};

/* Memory of a waiting reader [smux_estream_post]. */
struct smux__post {
    struct smux_estream *stream;
    uint8_t *buf;
    size_t size;
    size_t len; /* bytes that arrived */
};

/* Streams of the peer that were refused and whose FIN is due [OPN-4]: a ring. */
struct smux__refusal {
    uint32_t id;
    uint32_t due_ms; /* relative to the birth of the engine */
};

struct smux__refusals {
    struct smux__refusal *ring; /* max_refusals entries; NULL until needed */
    uint32_t head, count;
    uint32_t n_undated; /* of these, the last ones that were queued with an old clock */
};

/* A limit on useless frames: a bucket that leaks glitch_rate a second. */
struct smux__glitches {
    uint32_t level;
    uint64_t leaked_at_us;
    uint32_t nops; /* NOPs in the current second */
    uint64_t nop_second;
};

struct smux_engine {
    struct smux_config config;
    enum smux_role role;
    uint32_t version; /* 0 while unknown */
    int error;        /* sticky */
    bool draining;
    bool gone;        /* opens no more streams: the peer cannot answer */
    bool end_waits;   /* the transport ended in order behind bytes that are not decoded yet */
    bool input_ended; /* it has ended, and nothing is left to be decoded */
    bool truncated;   /* and cut a stream, or data that was to be sent */

    uint64_t born_us;
    uint64_t now_us;          /* as of the last call that told it */
    uint32_t now_ms;          /* the same since birth, in milliseconds modulo 2^32 */
    bool now_is_old;          /* streams were used since then: see smux__engine_enter() */
    uint8_t undated;          /* enum smux__moment: times that were noted meanwhile */
    uint64_t last_in_us;      /* last byte received, or end of a pause */
    uint64_t excused_at;      /* stats.wire_in when a late tick put off the end of waiting for it */
    uint64_t last_out_us;     /* last frame formed */
    uint64_t out_since_us;    /* output pending and nothing taken since; SMUX_NEVER if none */
    uint64_t idle_since_us;   /* no stream since, if there is none */
    uint64_t paused_since_us; /* budget exhausted since; SMUX_NEVER if not */
    uint64_t last_read_us;    /* last time a paused session was read from */
    uint64_t trim_at_us;      /* when unused memory is given back */
    uint64_t admits_below;    /* charge up to which frames are taken [BKT-4] */
    uint64_t runs_below;      /* charge up to which they go into the in-tray; 0 if they never do */
    uint32_t max_queued;      /* bytes in all send queues; beyond it a stream may always have */
    uint32_t queue_floor;     /* so many, as a few stuck ones must not starve the others (L8) */
    bool throttled;           /* see smux_engine_throttle() */
    bool peer_sent_nop;
    bool nop_due;
    uint64_t nop_ends_at;     /* stats.wire_out behind the last NOP [KA-6] */
    uint64_t payload_ends_at; /* the same for the last PSH [END-3] */

    struct smux__pool pool;
    struct smux__table table;
    struct smux__decoder decoder;
    struct smux__intake intake;
    struct smux__post post;
    struct smux__outbox outbox;
    size_t offered;      /* bytes shown by the last send_iov */
    size_t batch_limit;  /* bytes formed ahead of the transport; adapts to what it takes */
    uint64_t metered_us; /* since then the transport took */
    uint64_t metered;    /* so many bytes, */
    bool fast;           /* and before then so many that long turns take it little time */

    struct smux_estream *in_turn; /* a loan of it ended before its turn did, see turn.c; or NULL */
    uint64_t row_ends_at;         /* stats.wire_out behind that loan */

    struct smux_estream *last_found; /* answer of the last look-up */
    uint64_t next_id;                /* the next id we open */
    uint32_t n_streams;              /* in the table, discard records excluded */
    uint32_t n_remote;               /* counted against max_remote_streams */
    uint32_t n_backlog;
    uint32_t n_discards;
    uint32_t n_unanswered; /* our SYNs that nothing came back for */
    uint32_t n_unfinished; /* in the table, our FIN not formed */
    uint64_t send_queued;  /* bytes in all send queues and in the tray, loans excluded */
    uint64_t unread;       /* bytes sent on streams that the peer read nothing of yet */
    int64_t credit;        /* sum of smux__stream_credit() [BKT-7] */

    struct smux__stream_list backlog;  /* by `ready` */
    struct smux__stream_list ready;    /* by `ready` */
    struct smux__stream_list detached; /* by `detached` */
    struct smux__stream_list control;  /* by `control_next`: first in, first out */
    struct smux__stream_list held;     /* by `control_next` [OPN-8] */
    struct smux__scheduler data;       /* those that may send payload */
    struct smux__tray tray;            /* what leaves before those of the default class */
    struct smux__intray intray;
    struct smux__timer_list timers[TIMER_KINDS];
    struct smux__timer_list undated_timers; /* started with an old clock, of any kind */
    struct smux__refusals refusals;
    struct smux__glitches glitches;
    struct smux__tuner tuner;

    struct smux_session_stats stats;
    char error_text[160];
};

/* --- engine.c --- */

/* Kills the session with a sentence of its own; only the first call has an effect [END-1]. */
void smux__engine_fail(smux_engine *e, int status, const char *why);

/* All that came before the end of the transport is decoded: cuts what it left incomplete. */
void smux__engine_end_input(smux_engine *e);

/* Ends the session when the transport has ended and nothing is left to do [END-3]. */
void smux__engine_check_ended(smux_engine *e);

/* Charges useless frames to the peer; too many are fatal (L6). */
void smux__engine_glitch(smux_engine *e, uint32_t price);

/* A limit ends the session, and is counted. */
void smux__engine_end_by(smux_engine *e, enum smux_limit limit, int status, const char *why);

/* Memory that received data may take: what is configured, and what windows have grown. */
static inline uint64_t smux__engine_budget(const smux_engine *e)
{
    return e->config.max_receive_buffer + e->tuner.growth;
}

/* What a session may hold that is throttled: unread, or to be sent. */
#define SMUX__THROTTLED_BUDGET 4096u

/* The budget has changed, or what may be used of it. */
void smux__engine_set_admission(smux_engine *e);

/* Tells whether the budget lets the next frame in [BKT-4]. */
static inline bool smux__engine_has_budget(const smux_engine *e)
{
    return e->pool.charged < e->admits_below;
}

/* --- time.c --- */

/* Sees to it that memory which is not used, or hardly, is given back some time after this. */
void smux__engine_plan_trim(smux_engine *e);

/* Whether there is some. */
static inline bool smux__engine_can_trim(const smux_engine *e)
{
    return e->pool.cached > 0 || e->intray.chunk != NULL;
}

/* Plans it, if there is some and it is not planned yet. */
static inline void smux__engine_mind_trim(smux_engine *e)
{
    if (e->trim_at_us == SMUX_NEVER && smux__engine_can_trim(e)) {
        smux__engine_plan_trim(e);
    }
}

/* Lets the clock go on to a time; it never goes back. Dates what was left undated. */
void smux__engine_advance(smux_engine *e, uint64_t now_us);

/* Notes the time. */
static inline void smux__engine_set_now(smux_engine *e, uint64_t now_us)
{
    if (now_us > e->now_us || e->now_is_old) {
        smux__engine_advance(e, now_us);
    }
    smux__engine_mind_trim(e);
}

/* To be called first by calls on streams, which do not tell the time: since the last one that did,
 * any time may have passed. What begins in between begins, for the engine, at the next call that
 * tells it: its deadline is `at once` until then, so that call comes soon. */
static inline void smux__engine_enter(smux_engine *e)
{
    e->now_is_old = true;
}

/* Notes the present time. */
static inline void smux__engine_note(smux_engine *e, uint64_t *out_us, enum smux__moment moment)
{
    *out_us = e->now_us;
    if (e->now_is_old) {
        e->undated |= (uint8_t)moment;
    }
}

/* --- intake.c --- */

void smux__intake_init(smux_engine *e);

/* Begins with little again if nothing is in it. */
void smux__intake_shrink(smux_engine *e);

/* Gives its memory back, when the engine is freed. */
void smux__intake_clear(smux_engine *e);

/* Notes the beginning or the end of a pause [BKT-4]. */
void smux__intake_note_pause(smux_engine *e);

/* Bytes have come and are not decoded, as the budget is exhausted. */
bool smux__intake_has_input(const smux_engine *e);

/* Goes on decoding, or notes that it could. */
void smux__intake_resume_now(smux_engine *e);

/* The same after memory was released: mostly there is nothing to go on with. */
static inline void smux__intake_resume(smux_engine *e)
{
    if (e->paused_since_us != SMUX_NEVER || e->intake.input.tail != NULL ||
        !smux__engine_has_budget(e)) {
        smux__intake_resume_now(e);
    }
}

/* --- decoder.c --- */

/* Notes the length of a PSH, from which that of the next one is guessed. */
static inline void smux__decoder_note_body(struct smux__decoder *d, uint32_t len)
{
    d->alike = len == d->last_body ? d->alike + 1 : 0;
    d->last_body = len;
}

/* Decodes as far as the bytes, the budget and the peer's obedience go. Returns how many bytes that
 * were. */
size_t smux__decoder_run(smux_engine *e, const uint8_t *data, size_t len);

/* Notes that bytes of the payload under way have come and were booked. */
void smux__decoder_body_came(struct smux__decoder *d, uint32_t len);

/* Forgets a stream that goes away or is not to get more. */
void smux__decoder_forget(smux_engine *e, struct smux_estream *stream);

/* --- receive.c: each takes a frame whose header was found valid --- */

void smux__receive_syn(smux_engine *e, uint32_t id);
void smux__receive_fin(smux_engine *e, uint32_t id);
void smux__receive_nop(smux_engine *e);
void smux__receive_upd(smux_engine *e, uint32_t id, uint32_t consumed, uint32_t window);

/* Judges a PSH by its header. Returns who gets the payload, or NULL to drop it. */
struct smux_estream *smux__receive_psh(smux_engine *e, uint32_t id, uint32_t len);

/* Takes a piece of the payload of a PSH; `left` is what the frame still has, this included. */
void smux__receive_payload(smux_engine *e, struct smux_estream *stream, const uint8_t *data,
                           uint32_t len, uint32_t left);

/* Takes the PSH at the beginning of `data` that have come as a whole, as small ones mostly do:
 * nothing of them needs to be remembered. Returns their length, headers included. */
size_t smux__receive_whole(smux_engine *e, const uint8_t *data, size_t len);

/* Takes a piece of payload that nobody gets. */
void smux__receive_drop(smux_engine *e, uint32_t id, uint32_t len);

/* Books payload that is already in its place. */
void smux__receive_book(smux_engine *e, struct smux_estream *stream, uint32_t len);

/* --- stream_timer.c --- */

/* Starts the timer of a stream from now on, for the time that this kind runs; not if that is
 * configured never to end. False without memory: who starts a timer for a stream that may be idle
 * goes on as if it had expired. */
bool smux__stream_timer_start(smux_engine *e, struct smux_estream *stream,
                              enum smux__timer_kind kind);
/* The same for a time in the future. */
bool smux__stream_timer_start_at(smux_engine *e, struct smux_estream *stream,
                                 enum smux__timer_kind kind, uint64_t deadline_us);
void smux__stream_timer_cancel(struct smux_estream *stream);

/* Stops the timer if it is of this kind. */
static inline void smux__stream_timer_stop(struct smux_estream *stream, enum smux__timer_kind kind)
{
    if (stream->timer_kind == kind) {
        smux__stream_timer_cancel(stream);
    }
}

/* Lets the timers that were started with an old clock run from now on. */
void smux__stream_timers_date(smux_engine *e);

/* Serves all stream timers that are due. */
void smux__stream_timers_run(smux_engine *e);

/* Whose timer it is. */
struct smux_estream *smux__stream_of_timer(struct smux__timer *timer);

/* --- stream.c --- */

static inline struct smux_estream *smux__stream_find(smux_engine *e, uint32_t id)
{
    if (e->last_found == NULL || e->last_found->id != id) {
        e->last_found = smux__table_find(&e->table, id);
    }
    return e->last_found;
}

/* Memory of a stream and of what its owner keeps with it. */
size_t smux__stream_size(size_t user_size);

/* Makes a stream and puts it into the table; NULL without memory. */
struct smux_estream *smux__stream_new(smux_engine *e, uint32_t id, uint32_t flags);

/* Lets go of a stream as far as its state allows; it may be freed. */
void smux__stream_settle_now(smux_engine *e, struct smux_estream *stream);

/* The same; as long as our direction goes on nothing can be let go of, and it is over in whatever
 * has left the table.
 * NOLINTNEXTLINE(misc-no-recursion): see begin_discard() */
static inline void smux__stream_settle(smux_engine *e, struct smux_estream *stream)
{
    assert(smux__stream_is(stream, STREAM_FIN_SENT | STREAM_IN_TABLE));
    if (smux__stream_is(stream, STREAM_FIN_SENT)) {
        smux__stream_settle_now(e, stream);
    }
}

/* Notes that nothing more will be sent for a stream. */
void smux__stream_sent_fin(smux_engine *e, struct smux_estream *stream);

/* A stream whose SYN has not left is over without a trace on the wire. */
void smux__stream_cancel_syn(smux_engine *e, struct smux_estream *stream);

/* Frees a stream, wherever it is but in a list of control frames. */
void smux__stream_free(smux_engine *e, struct smux_estream *stream);

/* Ends a stream with an error as far as sending and receiving go; what has come may still be read,
 * and its FIN, if it may go, is all that is sent. */
void smux__stream_break(smux_engine *e, struct smux_estream *stream, int status);

/* Ends a stream that the end of the transport has cut; what arrived stays readable. It gets no FIN,
 * which would pass for the end of its data [FIN-3]. One that nobody holds is to be settled. */
void smux__stream_truncate(smux_engine *e, struct smux_estream *stream, int status);

/* Ends a stream with an error [FIN-12]; it may be freed unless the application holds it. */
void smux__stream_abort(smux_engine *e, struct smux_estream *stream, int status);

/* Drops what a stream has unread, for want of memory, and ends it with that error. */
void smux__stream_lose_input(smux_engine *e, struct smux_estream *stream);

/* Forgets a discard record before its time. */
void smux__stream_end_discard(smux_engine *e, struct smux_estream *stream);

/* Gives an idle stream what it needs to have something under way. False without memory. The record
 * is new, or from smux__stream_rest(): its queues are empty, and the rest has no meaning yet. */
static inline bool smux__stream_engage(smux_engine *e, struct smux_estream *stream)
{
    if (stream->traffic == SMUX__NO_TRAFFIC) {
        struct smux__traffic *traffic = smux__pool_take(&e->pool, SMUX__RECORD_TRAFFIC);
        if (traffic == NULL) {
            return false;
        }
        traffic->stream = stream;
        stream->traffic = traffic;
    }
    return true;
}

/* Whether nothing is under way any more. */
static inline bool smux__stream_rests(const struct smux_estream *stream)
{
    const struct smux__traffic *traffic = stream->traffic;

    return traffic->in.tail == NULL && traffic->out.tail == NULL &&
           !smux__stream_timer_runs(stream);
}

/* Takes the record of a stream back if nothing is under way. */
static inline void smux__stream_rest(smux_engine *e, struct smux_estream *stream)
{
    struct smux__traffic *traffic = stream->traffic;

    if (smux__stream_rests(stream) && traffic != SMUX__NO_TRAFFIC) {
        assert(!smux__stream_is(stream, STREAM_IN_DATA)); /* without data it has no turn */
        assert(traffic->in.len == 0 && traffic->out.len == 0);
        smux__pool_give(&e->pool, SMUX__RECORD_TRAFFIC, traffic);
        stream->traffic = SMUX__NO_TRAFFIC;
    }
}

/* Puts a stream that the application holds into the list of those with news. */
static inline void smux__stream_notify(smux_engine *e, struct smux_estream *stream)
{
    if ((stream->flags & (STREAM_HANDLE | STREAM_IN_READY)) == STREAM_HANDLE) {
        stream->flags |= STREAM_IN_READY;
        smux__ready_push(&e->ready, stream);
    }
}

/* Drops all data of a stream and lets only its FIN go. */
void smux__stream_cut(smux_engine *e, struct smux_estream *stream, int status);

/* The opener's table has the stream now: lets our frames go [OPN-5]. */
void smux__stream_unguard(smux_engine *e, struct smux_estream *stream);

/* The first frame for the stream arrived: ends the guard, counts as an answer. */
void smux__stream_heard_first(smux_engine *e, struct smux_estream *stream);

/* Something arrived for the stream. */
static inline void smux__stream_heard(smux_engine *e, struct smux_estream *stream)
{
    if (smux__stream_is(stream, STREAM_UNHEARD)) {
        smux__stream_heard_first(e, stream);
    }
}

/* Notes whether the frames of a stream are to be looked at more closely than those of most (see
 * receive.c): it has failed, memory of its reader is posted, a loan is where the place of its piece
 * of the in-tray would be noted, or it was offered so little that a small frame may be too much. To
 * be called when any of these changes. */
static inline void smux__stream_mark(const smux_engine *e, struct smux_estream *stream)
{
    bool lent = stream->loan_len > 0 && !smux__stream_is(stream, STREAM_IN_INTRAY);
    bool unusual = stream->error != SMUX_OK || e->post.stream == stream || lent ||
                   stream->advertised < 2 * SMUX__INTRAY_MAX;

    stream->flags &= ~(uint32_t)STREAM_UNUSUAL;
    stream->flags |= unusual ? STREAM_UNUSUAL : 0;
}

/* --- read.c --- */

/* What is left of the window that the peer was told last. */
static inline uint32_t smux__stream_window_left(const struct smux_estream *stream)
{
    int32_t left = (int32_t)(stream->updated_at + stream->advertised - (uint32_t)stream->received);

    return left > 0 ? (uint32_t)left : 0;
}

/* Credit that the peer was granted and has not used [BKT-7]. */
static inline int64_t smux__stream_credit(const struct smux_estream *stream)
{
    const uint32_t counted = STREAM_IN_TABLE | STREAM_UPD_SENT;

    if ((stream->flags & (counted | STREAM_FIN_RCVD)) != counted || stream->error != SMUX_OK) {
        return 0;
    }
    return smux__stream_window_left(stream);
}

/* Notes that the application has read, and counts it as consumption. */
void smux__stream_was_read(smux_engine *e, struct smux_estream *stream, uint32_t len);

/* Counts consumption and decides whether an update is due [UPD-2]. */
void smux__stream_consumed(smux_engine *e, struct smux_estream *stream, uint32_t len);

/* Tells the peer a window ahead of the first reading. */
void smux__stream_warn_now(smux_engine *e, struct smux_estream *stream);

/* The same, when the budget is in demand [UPD-7]: without a word from us each stream may bring
 * 262144 bytes that nobody reads. */
static inline void smux__stream_warn(smux_engine *e, struct smux_estream *stream)
{
    if (e->pool.charged >= e->config.max_receive_buffer / 8 && e->version == 2 &&
        !smux__stream_is(stream, STREAM_UPD_SENT | STREAM_FIN_RCVD)) {
        smux__stream_warn_now(e, stream);
    }
}

/* Tells whether an update would tell anything new: one that does not costs a glitch at the peer. */
bool smux__stream_has_update(const smux_engine *e, const struct smux_estream *stream);

/* Chooses the window to advertise, and notes that it was [UPD-1, BKT-7]. */
uint32_t smux__stream_advertise(smux_engine *e, struct smux_estream *stream);

/* --- write.c --- */

/* Makes what a stream has in the tray a send queue, if it has something there. False without
 * memory. */
bool smux__stream_leave_tray(struct smux_engine *e, struct smux_estream *stream);

/* Drops what was written and not yet formed into frames. */
void smux__stream_drop_output(smux_engine *e, struct smux_estream *stream);

/* --- send.c --- */

/* Decides anew what the tray takes: to be called when the version gets known, the session ends, or
 * its limits change. */
void smux__send_set_tray(smux_engine *e);

/* Puts a stream into the lists in which its state wants it to be. */
void smux__send_schedule_now(smux_engine *e, struct smux_estream *stream);

/* The same, if there can be anything to do. */
static inline void smux__send_schedule(smux_engine *e, struct smux_estream *stream)
{
    const uint32_t fin = STREAM_FIN_WANTED | STREAM_FIN_SENT;

    if (smux__stream_is(stream, STREAM_SYN_DUE | STREAM_UPD_DUE | STREAM_IN_DATA) ||
        (stream->flags & fin) == STREAM_FIN_WANTED || stream->traffic->out.len > 0 ||
        smux__stream_timer_runs(stream)) {
        smux__send_schedule_now(e, stream);
    }
}

/* Takes a stream from the scheduler of payload. */
void smux__send_unschedule(smux_engine *e, struct smux_estream *stream);

/* Empties all lists of the scheduler, when nothing will be sent any more. */
void smux__send_stop(smux_engine *e);

/* Bytes that streams that the peer does not read may send at liberty, all together [BKT-7]. */
#define SMUX__FREE_FLIGHT (1u << 20)

/* Each stream could fill its first window before the peer can say a word, sixteen of them the
 * budget of a peer that does not read them, and so stop all others. The first few do; more begin
 * with little until the peer tells a window, which it does when it reads, or when it wants less.
 * The wait is bounded, as some may wait for half of a window. */
static inline bool smux__send_is_held_back(const smux_engine *e, const struct smux_estream *stream)
{
    return e->unread >= SMUX__FREE_FLIGHT && !smux__stream_is(stream, STREAM_TOLD) &&
           !e->input_ended;
}

/* What is left of the first flight of such a stream. */
uint32_t smux__send_first_flight(const struct smux_estream *stream);

/* Bytes of payload that version and window let a stream send now. */
static inline uint32_t smux__send_room(const smux_engine *e, const struct smux_estream *stream)
{
    if (e->version == 1) {
        return UINT32_MAX;
    }
    uint32_t room = smux__window_room(&stream->window, (uint32_t)stream->sent);
    return smux__send_is_held_back(e, stream) ? smux__min_u32(room, smux__send_first_flight(stream))
                                              : room;
}

/* Payload waits and version, window and silly-window rule let some of it go. */
static inline bool smux__send_may_go(const smux_engine *e, const struct smux_estream *stream)
{
    uint32_t pending = stream->traffic->out.len;

    if (pending == 0 || smux__stream_is(stream, STREAM_SYN_DUE)) {
        return false;
    }
    uint32_t room = smux__send_room(e, stream);
    return room >= pending ||
           (room > 0 &&
            (smux__stream_is(stream, STREAM_SILLY_OVER) ||
             !smux__window_is_silly(&stream->window, (uint32_t)stream->sent, room, pending)));
}

/* Puts a stream into the scheduler, or wherever else it belongs, after something was added to its
 * send queue. Mostly payload is all that it has to send. */
static inline void smux__send_schedule_data(smux_engine *e, struct smux_estream *stream)
{
    const uint32_t special = STREAM_GUARDED | STREAM_SYN_DUE | STREAM_UPD_DUE | STREAM_FIN_WANTED;

    if (smux__stream_is(stream, STREAM_IN_DATA)) {
        return; /* it has its turn coming */
    }
    if ((stream->flags & (STREAM_IN_TABLE | special)) == STREAM_IN_TABLE && e->error == SMUX_OK &&
        !smux__stream_timer_runs(stream) && smux__send_may_go(e, stream)) {
        smux__scheduler_join(&e->data, stream);
    } else {
        smux__send_schedule_now(e, stream);
    }
}

/* Tells whether a stream has payload that no frame was formed of. */
static inline bool smux__send_has_payload(const struct smux_estream *stream)
{
    return stream->traffic->out.len > 0 || smux__stream_is(stream, STREAM_IN_TRAY);
}

/* Takes from the tray what a smaller window does not let go any more. */
void smux__send_recall(smux_engine *e, struct smux_estream *stream);

/* Notes that the peer has read from a stream, or will not any more [BKT-7]. */
void smux__send_is_read(smux_engine *e, struct smux_estream *stream);

/* Payload waits for credit that cannot come any more [END-3]. */
static inline bool smux__send_is_starved(const smux_engine *e, const struct smux_estream *stream)
{
    return e->input_ended && stream->traffic->out.len > 0 && smux__send_room(e, stream) == 0;
}

/* Lets held SYNs go when answers have come [OPN-8]. */
void smux__send_release_held(smux_engine *e);

/* Tells whether the FIN of a stream is next and may go now; if it has to linger, its timer runs
 * [FIN-7]. */
bool smux__send_fin_may_go(smux_engine *e, struct smux_estream *stream);

/* Takes the first stream from the list of those with control frames, when these were formed. */
void smux__send_pop_control(smux_engine *e);

/* --- refusal.c --- */

/* Queues the refusal of a stream [OPN-4]. */
void smux__refusal_add(smux_engine *e, uint32_t id);

/* Dates the refusals that were queued with an old clock. */
void smux__refusal_date(smux_engine *e);

/* Tells whether one may leave. */
static inline bool smux__refusal_is_due(const smux_engine *e)
{
    const struct smux__refusals *r = &e->refusals;

    return r->count > 0 && (int32_t)(e->now_ms - r->ring[r->head].due_ms) >= 0;
}

/* The id of the first one, and takes it away. */
uint32_t smux__refusal_first(const smux_engine *e);
void smux__refusal_pop(smux_engine *e);

/* When the first one will be due; SMUX_NEVER if none will. */
uint64_t smux__refusal_at(const smux_engine *e);

/* Forgets all, and gives the memory back. */
void smux__refusal_clear(smux_engine *e);
void smux__refusal_free(smux_engine *e);

/* --- turn.c --- */

/* The first batch and turns, as long as nothing is known of the transport. */
void smux__turn_init(smux_engine *e);

/* Learns from what the transport took of what it was offered. */
void smux__turn_adapt(smux_engine *e, size_t len);

/* Begins a row if the last frame of a stream in a long turn was the end of a loan. Told that the loan was
 * sent, its writer comes back with more in a moment. So what others have is formed behind that: each of
 * them would be woken for one loan, and not for a turn. */
void smux__turn_begin_row(smux_engine *e, struct smux_estream *stream);

/* The same for any stream that has sent a frame. */
static inline void smux__turn_note_row(smux_engine *e, struct smux_estream *stream)
{
    if (smux__scheduler_class(&e->data, stream)->long_turns) {
        smux__turn_begin_row(e, stream);
    }
}

/* No frame was formed behind the loan of the stream that is in its turn. */
static inline bool smux__turn_row_is_open(const smux_engine *e)
{
    return e->in_turn != NULL && e->row_ends_at == e->stats.wire_out;
}

#endif
