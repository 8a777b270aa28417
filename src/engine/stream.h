/*
 * stream.h - one stream of an engine.
 *
 * Life:
 *
 *   opened by us    open() -> SYN due -> SYN formed -> ...
 *   opened by peer  SYN in -> guard -> backlog -> accept() -> ...
 *
 *   write side      open -> FIN_WANTED (shutdown, close, abort) -> [queue empty, linger over]
 *                   -> FIN_SENT
 *   read side       open -> FIN_RCVD -> [queue empty] -> end of file
 *
 * A stream is in the table (a frame for its id finds it) until our FIN is formed and either the
 * peer's FIN and all data were read, or the application let go of it [FIN-4]. It may stay a
 * little longer as a discard record [FIN-11]. It is freed when it is neither in the table nor
 * held by the application.
 */
#ifndef SMUX__STREAM_H
#define SMUX__STREAM_H

#include "queue.h"
#include "timer.h"
#include "window.h"

#include <smux/engine.h>

#include <assert.h>

/* How much is credited to the peer for a stream that we closed [FIN-11]. */
#define SMUX__DISCARD_CREDIT (1u << 20)

/* The first flight of a stream may be doubled so often [BKT-7]. */
#define SMUX__MAX_FLIGHTS 7

enum smux__stream_flag {
    STREAM_LOCAL = 1 << 0,        /* opened by us */
    STREAM_HANDLE = 1 << 1,       /* the application holds it */
    STREAM_IN_TABLE = 1 << 2,     /* frames for its id find it */
    STREAM_IN_BACKLOG = 1 << 3,   /* waits to be accepted; linked by `ready` */
    STREAM_IN_READY = 1 << 4,     /* has news for the application; linked by `ready` */
    STREAM_IN_CONTROL = 1 << 5,   /* has a control frame due; linked by `control_next` */
    STREAM_IN_DATA = 1 << 6,      /* may send payload; in the scheduler by `sched` */
    STREAM_DETACHED = 1 << 7,     /* not in the table, held by the application; `detached` */
    STREAM_SYN_DUE = 1 << 8,      /* our SYN was not formed yet */
    STREAM_UPD_DUE = 1 << 9,      /* a window update is due [UPD-3] */
    STREAM_FIN_WANTED = 1 << 10,  /* no more writes; FIN behind the data */
    STREAM_FIN_SENT = 1 << 11,    /* our FIN was formed */
    STREAM_FIN_RCVD = 1 << 12,    /* the peer's FIN arrived */
    STREAM_GUARDED = 1 << 13,     /* nothing may be sent yet [OPN-5] */
    STREAM_CLOSED = 1 << 14,      /* the application closed it: received data is dropped */
    STREAM_DISCARD = 1 << 15,     /* only a discard record is left [FIN-11] */
    STREAM_ANSWERED = 1 << 16,    /* something arrived for a stream of ours [OPN-8] */
    STREAM_UPD_SENT = 1 << 17,    /* the peer was told a window */
    STREAM_SILLY_OVER = 1 << 18,  /* small frames allowed once: waited long enough [WIN-8] */
    STREAM_WANTS_SPACE = 1 << 19, /* a write was cut short */
    STREAM_COUNTED = 1 << 20,     /* counts against max_remote_streams */
    STREAM_UNUSUAL = 1 << 21,     /* its frames need a closer look, see smux__stream_mark() */
    STREAM_SYN_HELD = 1 << 22,    /* waits for max_unanswered_opens; linked by `control_next` */
    STREAM_LENT = 1 << 23,        /* some bytes of a loan may still be read */
    STREAM_TOLD = 1 << 24,        /* the peer told us a window */
    STREAM_IN_FRESH = 1 << 25,    /* in the scheduler among the fresh ones */
    STREAM_IS_READ = 1 << 26,     /* the peer consumed something */
    STREAM_UNHEARD = 1 << 27,     /* nothing arrived for it but its SYN */
    STREAM_RANKED = 1 << 28,      /* of another class than the default one */
    STREAM_IN_TRAY = 1 << 29,     /* all that it has to send is a frame in the tray */
    STREAM_IN_INTRAY = 1 << 30    /* all that it has unread is a piece of the in-tray */
};

/* Why a stream's timer runs. They exclude each other: a guarded stream does nothing else, an
 * unaccepted one is not written to, and the rest belong to different states of the write side; who
 * begins the next state stops the timer of the one before. */
enum smux__timer_kind {
    TIMER_NONE,       /* it does not run */
    TIMER_GUARD,      /* accept guard [OPN-5] */
    TIMER_ACCEPT,     /* waits to be accepted [OPN-6] */
    TIMER_SILLY,      /* holds back a small frame [WIN-8], or what follows a first flight [BKT-7] */
    TIMER_HALF_CLOSE, /* waits for credit after the peer's FIN [FIN-9] */
    TIMER_LINGER,     /* holds back our FIN [FIN-7] */
    TIMER_TAIL_UPD,   /* spaces updates after our FIN [UPD-10] */
    TIMER_DISCARD,    /* end of a discard record [FIN-11] */
    TIMER_KINDS
};

struct smux__link {
    struct smux_estream *prev, *next;
};

/* What a stream has besides while something is under way: bytes that wait, a timer, a turn to
 * send. An idle stream has SMUX__NO_TRAFFIC instead, which can be read, but not written to. */
struct smux__traffic {
    struct smux_estream *stream; /* the first member: the pool keeps all others as they were */
    struct smux__queue in;       /* received, unread */
    struct smux__queue out;      /* written, not yet formed into frames */
    uint32_t lingers_for;        /* with TIMER_LINGER: stats.wire_out to be taken, modulo 2^32 */

    /* What may send payload waits for nothing. */
    union {
        struct smux__timer timer; /* while timer_kind is not TIMER_NONE */
        struct smux__link sched;  /* while STREAM_IN_DATA */
    };
};

extern const struct smux__traffic smux__no_traffic;
#define SMUX__NO_TRAFFIC ((struct smux__traffic *)(uintptr_t)&smux__no_traffic)

struct smux_estream {
    uint32_t id;
    uint32_t flags; /* enum smux__stream_flag */
    struct smux__traffic *traffic;

    uint64_t received; /* payload bytes; on the wire modulo 2^32 */
    uint64_t sent;     /* payload bytes formed into frames [WIN-2] */
    union {
        struct {                             /* v2 */
            struct smux__send_window window; /* what the peer lets us send */
            uint32_t updated_at;             /* CONSUMED of our last update */
            uint32_t advertised;             /* WINDOW of our last update */
        };
        struct smux__link detached; /* once STREAM_DETACHED or truncated, when these are over */
    };
    uint32_t consumed;       /* of these, by the application; modulo 2^32 */
    uint32_t max_advertised; /* v2: the largest WINDOW so far [UPD-9] */

    union {
        uint32_t loan_len;  /* length of the last loan until it is reclaimed; less if it was cut */
        uint32_t piece_at;  /* while STREAM_IN_INTRAY: where its unread bytes begin there */
        uint32_t discarded; /* once closed: dropped but credited [FIN-11] */
    };

    int32_t deficit;            /* bytes this stream may still send in `round` */
    uint32_t last_sent_ms;      /* when payload was formed last [FIN-7] */
    int8_t error;               /* enum smux_status, once the stream failed */
    unsigned timer_kind : 3;    /* enum smux__timer_kind */
    unsigned flights : 3;       /* times that the first flight was doubled [BKT-7] */
    unsigned finish_told : 1;   /* SMUX_EVENT_FINISHED was reported */
    unsigned eof_told : 1;      /* its reader was told of the end of file */
    unsigned weight_less_1 : 8; /* share within the class */
    unsigned priority : 3;      /* class */
    unsigned round : 4;         /* of the class when `deficit` was last granted, modulo 16 */
    unsigned waited : 1;        /* for that: it was its turn, and not late for a round */

    struct smux__link ready;
    struct smux_estream *control_next;
    struct smux__tuning *tuning; /* v2: NULL while nothing is known of the window it needs */
};

static_assert(TIMER_KINDS <= 1 << 3, "timer_kind holds each kind");
static_assert(sizeof(struct smux_estream) <= 104, "an idle stream has no byte to spare");

/* A list linked through one of the links above. */
struct smux__stream_list {
    struct smux_estream *head, *tail;
};

static inline bool smux__stream_is(const struct smux_estream *stream, uint32_t flags)
{
    return (stream->flags & flags) != 0;
}

/* Bytes received that the application has not read. */
static inline uint32_t smux__stream_unread(const struct smux_estream *stream)
{
    return (uint32_t)stream->received - stream->consumed;
}

/* The same wherever it may have failed or been closed: what there is to be read. */
static inline uint32_t smux__stream_input(const struct smux_estream *stream)
{
    return smux__stream_is(stream, STREAM_IN_INTRAY) ? smux__stream_unread(stream)
                                                     : stream->traffic->in.len;
}

static inline bool smux__stream_timer_runs(const struct smux_estream *stream)
{
    return stream->timer_kind != TIMER_NONE;
}

/* Functions for the list of a name, linked through a member. The `prev` of the head has no meaning, nor
 * has the tail of an empty list: so removing the head is one move. */
#define SMUX__LIST_FUNCTIONS(name, link)                                                           \
    static inline void smux__##name##_push(struct smux__stream_list *list,                         \
                                           struct smux_estream *stream)                            \
    {                                                                                              \
        stream->link.prev = list->tail;                                                            \
        stream->link.next = NULL;                                                                  \
        *(list->head != NULL ? &list->tail->link.next : &list->head) = stream;                     \
        list->tail = stream;                                                                       \
    }                                                                                              \
    static inline void smux__##name##_pop(struct smux__stream_list *list)                          \
    {                                                                                              \
        list->head = list->head->link.next;                                                        \
    }                                                                                              \
    static inline void smux__##name##_remove(struct smux__stream_list *list,                       \
                                             struct smux_estream *stream)                          \
    {                                                                                              \
        struct smux_estream *prev = stream->link.prev, *next = stream->link.next;                  \
        *(list->head != stream ? &prev->link.next : &list->head) = next;                           \
        *(next != NULL ? &next->link.prev : &list->tail) = prev;                                   \
    }

SMUX__LIST_FUNCTIONS(sched, traffic->sched)
SMUX__LIST_FUNCTIONS(ready, ready)
SMUX__LIST_FUNCTIONS(detached, detached)

/* Pushes several at once: each but the first behind the one before, and then the last one. */
static inline void smux__ready_chain(struct smux_estream *stream, struct smux_estream *next)
{
    stream->ready.next = next;
    next->ready.prev = stream;
}

static inline void smux__ready_end(struct smux__stream_list *list, struct smux_estream *last)
{
    last->ready.next = NULL;
    list->tail = last;
}

#endif
