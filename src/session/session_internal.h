/*
 * session_internal.h - the state of a session, and what the parts of this layer offer each other.
 *
 *   session.c     life of a session, entering and leaving it
 *   close.c       its orderly end
 *   accept.c      open and accept
 *   stream.c      life of a stream, reading, properties
 *   write.c       writing
 *   pace.c        small writes: when their output leaves
 *   wait.c        blocked calls: they sleep, or do the I/O meanwhile
 *   role.c        who receives and who sends next: leases, heirs
 *   poll.c        waiting for the transport
 *   io.c          transport <-> engine
 *   row.c         a writer in the middle of its turn is awaited
 *   spin.c        who looks again instead of sleeping, who lets others run
 *   background.c  the thread that serves sessions nobody waits on, and the timers
 *   serve.c       what it does for one of them, and what is left to it
 *   watch.c       the descriptors that it watches
 *   agenda.c      what it has to do, and when
 *   life.c        when there is one
 *
 * One lock a session guards everything but the system calls. Two roles keep these apart:
 *
 *   receiver  the one who reads from the transport into the engine, or polls for it
 *   sender    the one who moves output to the transport, or polls for it to take more
 *
 * The reader that all data is for keeps the receiver's role while it is away with some: a lease.
 * Waking another thread for a few microseconds each time would cost more than the data itself. The
 * background sees to it that a lease ends when its holder does not come back within a millisecond,
 * or within 4 when it has always come back and others wait for new streams only.
 *
 * In version 1 only writers that wait send for others for as long as there is output. Anybody else sends
 * once, which takes its own small frames along, as they go first, and then wakes a writer to go on.
 *
 * A writer in the middle of a long turn is awaited in the same way: others leave sending to it, as
 * long as it comes back at once and nothing else is urgent (a row, row.c).
 *
 * A call that must wait takes the roles that are free and does the work of the session until its
 * own condition holds; others that wait sleep. A caller who only leaves something to send becomes
 * sender for as long as the transport takes it. What nobody does is left to the background:
 *
 *                    wait()                          condition holds, others sleep: an heir is woken
 *        [free] ----------------> [a blocked call] -------------------------------> [the heir]
 *         ^  |                          |
 *         |  | some ms later            | condition holds, nobody sleeps
 *         |  v                          v
 *   [background: epoll] <---------- [free]
 *
 * An heir that was woken and has not come some milliseconds later, as it gets no processor, is
 * awaited no longer: the background chooses another one.
 *
 * Lock order: session, then background; the latter is held for a few instructions only.
 */
#ifndef SMUX__SESSION_INTERNAL_H
#define SMUX__SESSION_INTERNAL_H

#include "heap.h"
#include "port.h"
#include "ring.h"

#include <smux/engine.h>
#include <smux/session.h>

/* --- waiting ------------------------------------------------------------------------------- */

/* What a blocked call waits for. */
enum smux__wait_kind {
    SMUX__WAIT_READ,
    SMUX__WAIT_WRITE,
    SMUX__WAIT_ACCEPT,
    SMUX__WAIT_DRAIN
};

/* A blocked call; lives on the stack of its thread. */
struct smux__waiter {
    struct smux_session *session;
    struct smux_stream *stream; /* NULL for accept and drain */
    enum smux__wait_kind kind;
    bool fired;                /* something happened: look at the condition again */
    bool sleeping;             /* in session.sleepers */
    bool polling;              /* waits for the transport with its alarm, if it has one */
    bool tried;                /* has looked at the transport once, as even a late call may */
    struct smux__node peer;    /* in stream.waiters or session.accepters */
    struct smux__node sleeper; /* in session.sleepers, while it sleeps and has not fired */
    struct smux__node idle;    /* a writer: in session.idle_writers, the same */
    struct smux__bell *alarm;  /* to be woken from poll; NULL until needed */
    smux_estream *accepted;    /* a stream handed over to an accepter */
    struct smux__node claim;   /* in session.claims: a writer wants its memory back, write.c */
    size_t loan_kept;          /* how much of it counts as written */
    int loan_status;           /* of giving it back */
    uint8_t *buf;              /* memory of a reader; NULL for others */
    size_t size;               /* of buf */
    size_t got;                /* bytes received into buf, past the queue of the stream */
    struct smux__event *event; /* of its thread, while it sleeps */
};

static inline struct smux__waiter *smux__waiter_of_sleeper(struct smux__node *node)
{
    return SMUX__OBJECT(node, struct smux__waiter, sleeper);
}

/* Stands for a role owner that cannot be woken, as it will be back in a moment. */
extern struct smux__waiter smux__somebody;

/* --- streams ------------------------------------------------------------------------------- */

/* The part of a stream that this layer adds; the engine keeps it beside its own. Every stream
 * has one, a million of them idle: keep it small. */
struct smux_stream {
    struct smux_session *session;
    struct smux__node *waiters; /* blocked calls, in order of arrival */
    uint32_t read_deadline_low; /* deadlines have 48 bits, enough for nine years since boot */
    uint32_t write_deadline_low;
    uint16_t read_deadline_high;
    uint16_t write_deadline_high;
    uint32_t callers : 30; /* calls inside */
    uint32_t closed : 1;   /* its handle is gone; the last caller releases it */
    uint32_t copying : 1;  /* a copy_to has shown data to its sink */
};

_Static_assert(sizeof(struct smux_stream) <= 32, "an idle stream is to stay small");

/* The engine's part of a stream. */
static inline smux_estream *smux__stream_engine(const smux_stream *stream)
{
    return smux_estream_of(stream);
}

/* --- sessions ------------------------------------------------------------------------------ */

/* Threads to be woken when the lock is released. */
#define SMUX__WAKES 16

/* What the background knows of a session, see serve.c. */
struct smux__served {
    struct smux__timed timer; /* registered deadline; changed with both locks held */
    struct smux__node node;   /* in one of the two lists of those to be looked at */
    bool attended;            /* is in one of them; under the session's lock */
    bool hurried;             /* in the one for output that waits; under the background's lock */
    uint8_t owed;             /* enum smux__haste: when output that waits is to be sent */
    uint8_t told;             /* the same, as the thread knows it */
    bool lease_told;          /* the thread looks often, as there are leases */
    uint8_t trust;            /* the last looks, up to MAX_TRUST, found receiving go on */
    bool hung_up;             /* the read descriptor has no news but what a read would tell */
    bool peer_ended;          /* the same of the peer's orderly end: it may still fail */
    unsigned armed;           /* SMUX__ARMED_*, as of the last time epoll reported */
    unsigned seen_turn;       /* session.turn at the last look */
    int read_fd, write_fd;    /* in epoll; -1 once forgotten */
    uint64_t told_us;         /* when it learnt of output; under the background's lock */
    uint64_t number;          /* in the registry */
};

enum smux__armed {
    SMUX__ARMED_READ = SMUX_WAIT_READ,   /* epoll reports input */
    SMUX__ARMED_WRITE = SMUX_WAIT_WRITE, /* epoll reports room for output */
    SMUX__ARMED_ERROR = 4 /* epoll reports failure of the read descriptor; so does it with READ */
};

/* Learns whether it is of use to look again before sleeping. */
struct smux__spin {
    uint8_t failures; /* weight of the last ones */
    uint8_t skip;     /* occasions to let pass */
};

/* Since when one thread moves bytes in one direction without a rest. */
struct smux__stint {
    const void *thread; /* NULL: none yet */
    uint64_t seen_us;   /* when it began its last read or write */
    uint64_t due_us;    /* when it lets others run */
};

/* How small writes come, and what is kept of them to be sent together, see pace.c. */
struct smux__pace {
    const void *writer; /* thread of the last one */
    uint64_t called_us; /* when it was, before they made a row */
    uint64_t sent_us;   /* end of the last send, of whatever */
    size_t kept;        /* bytes since then, */
    uint8_t row;        /* small writes in a row, each right after the one before */
    /* Changed with the lock held, read by the background thread without. No more than 32 bits: some
     * machines have no larger atomic ones. */
    _Atomic uint32_t sent_low;   /* of sent_us */
    _Atomic uint32_t kept_calls; /* small writes since then that left something */
};

struct smux_session {
    struct smux__lock lock;
    smux_engine *engine;
    struct smux_transport transport; /* ops == NULL once closed */

    struct smux__waiter *receiver;  /* NULL: nobody */
    struct smux__waiter *sender;    /* NULL: nobody */
    struct smux__waiter *heir;      /* was woken to become receiver, and has not come yet */
    struct smux__waiter *send_heir; /* the same for a writer that is to become sender */
    uint64_t heir_due_us;           /* the heir is awaited until then, */
    uint64_t send_heir_due_us;      /* and that writer until then */
    struct smux__waiter *drainer;   /* smux_session_close(), while it waits */
    const smux_stream *leased;      /* its reader will be back to receive: nobody else need */
    uint64_t leased_until_us;       /* take the role before this time */
    const smux_stream *regular;     /* the stream whose reader was told of data last, */
    uint32_t regular_reads;         /* how many times in a row, */
    uint32_t last_run;              /* and the one before, */
    bool regular_told;              /* and whether it was by the last receive */
    struct smux__node *sleepers;    /* waiters that sleep */
    struct smux__node
        *idle_writers;            /* those of them that wait for room, or for a loan to be sent */
    struct smux__node *accepters; /* waiters in smux_session_accept() */
    struct smux__waiter *posted;  /* the reader into whose memory a read is under way */
    struct smux__node *claims;    /* waiters that want a loan back as soon as nobody writes */
    uint32_t n_waiters;           /* blocked calls */

    uint32_t handles;  /* of the application: its own, and one a stream */
    uint32_t callers;  /* calls inside */
    uint32_t io_users; /* calls that use the transport without the lock */
    unsigned turn;     /* grows with every receive; tells the background who is active */

    struct smux__pace pace; /* of small writes */

    uint64_t metered_us;          /* bytes are counted since then, */
    uint64_t moved;               /* both ways */
    bool fast;                    /* as of then: so many come that waiting is not worth a sleep */
    struct smux__stint receiving; /* of threads with that role */
    struct smux__stint sending;   /* the same */
    struct smux__spin linger;     /* for more of a reader's data */
    struct smux__spin polls;      /* for the transport */
    bool prompt;                  /* the last wait for it was short: the next may be so, too */
    struct smux__spin rows;       /* for a writer in the middle of its turn to come back, */
    uint64_t row_until_us;        /* until then at most; 0: none is awaited */
    uint8_t slow_rows;            /* how many more were late than soon */

    bool writing;       /* a writev is under way */
    bool reading;       /* a readv is under way */
    bool write_blocked; /* the transport took no more; cleared when poll says so */
    bool read_dry;      /* the last read found less than it asked for: poll first */
    bool starved;       /* there was no memory to read into: rests until the next look */
    bool eof;           /* the transport ended in order */
    bool send_failed;   /* the transport takes no more for good */
    bool closing;       /* smux_session_close() was called */
    bool lingering;     /* which still needs the transport after the end */
    bool ended;         /* the engine is dead, and everybody was told */

    unsigned n_wakes;
    struct smux__event *wakes[SMUX__WAKES];

    uint64_t accept_deadline_us;
    uint64_t polled_until_us; /* a caller polls and minds the engine's timers from then on;
                                 SMUX_NEVER if none does */
    uint32_t drain_timeout_ms;
    uint32_t busy_poll_us;
    unsigned generation;    /* smux__port_generation at its birth */
    const char *send_error; /* text of a failed write */
    char *addresses[2];     /* local and remote, kept when the transport is closed; or NULL */
    const struct smux_allocator *allocator;
    struct smux__served served;
};

/* --- session.c ----------------------------------------------------------------------------- */

/* Takes the lock and counts the caller, who may then give the lock away for a while. */
void smux__session_enter(smux_session *session);

/* When output that a call leaves behind is sent, unless somebody is at it already. */
enum smux__haste {
    SMUX__AS_BEFORE, /* this call leaves nothing that matters: by it, unless left to the thread */
    SMUX__NOW,       /* by this call */
    SMUX__SOON,      /* within a millisecond: more will follow at once */
    SMUX__BEHIND,    /* by a call that follows at once, or within some 100 us by the background */
};

/* Leaves the session in good hands and releases the lock. It may be gone afterwards. */
void smux__session_leave(smux_session *session, enum smux__haste haste);

/* Releases the lock for a while and wakes those that fired. */
void smux__session_unlock(smux_session *session);
void smux__session_lock(smux_session *session);

/* To be called after everything that may change streams or kill the engine: tells the waiters. */
void smux__session_update(smux_session *session);

/* Brackets a use of the transport without the lock. */
void smux__session_begin_io(smux_session *session);
void smux__session_end_io(smux_session *session);

/* Closes the transport if it is time: the session has ended and nobody uses it. */
void smux__session_close_transport(smux_session *session);

/* Tells whether the session was inherited through fork and may only be closed. */
bool smux__session_is_inherited(const smux_session *session);

/* Drops a handle in a process that inherited it. */
void smux__session_abandon(smux_session *session);

/* --- stream.c ------------------------------------------------------------------------------ */

/* Makes a stream of the engine a handle of the application. */
smux_stream *smux__stream_adopt(smux_session *session, smux_estream *engine_stream);

/* As smux__session_enter() and leave, and keeps the stream alive meanwhile. */
smux_session *smux__stream_enter(smux_stream *stream);
void smux__stream_leave(smux_stream *stream, enum smux__haste haste);

/* Until when writing waits. */
uint64_t smux__stream_write_deadline(const smux_stream *stream);

/* --- accept.c ------------------------------------------------------------------------------ */

/* Hands new streams to those that wait for one. */
void smux__accept_deliver(smux_session *session);

/* --- wait.c -------------------------------------------------------------------------------- */

/* Joins the waiters of a stream, or with NULL of the session. */
void smux__waiter_begin(struct smux__waiter *waiter, smux_session *session, smux_stream *stream,
                        enum smux__wait_kind kind);

/* Leaves them, and passes the roles on. */
void smux__waiter_end(struct smux__waiter *waiter);

/**
 * Waits until the condition of the waiter may have changed. The lock is held before and after,
 * but not always in between.
 *
 * @return SMUX_OK: look again; SMUX_EDEADLINE
 */
int smux__waiter_wait(struct smux__waiter *waiter, uint64_t deadline_us);

/* Only sleeps, without a hand in I/O: for waiting on another thread. False at the deadline. */
bool smux__waiter_sleep(struct smux__waiter *waiter, uint64_t deadline_us);

/* Wakes a waiter, wherever it waits. NULL is fine. */
void smux__waiter_fire(smux_session *session, struct smux__waiter *waiter);

/* The first reader of a stream that waits with memory for data; NULL if none does. */
struct smux__waiter *smux__waiters_first_reader(const smux_stream *stream);

/* Wakes those of a list that wait for this. */
void smux__waiters_fire(smux_session *session, struct smux__node *head, enum smux__wait_kind kind);

/* Wakes those that wait to read from a stream, which has data. */
void smux__waiters_fire_readers(smux_session *session, const smux_stream *stream);

/* Wakes all blocked calls of a session. */
void smux__waiters_fire_all(smux_session *session);

/* Tells whether those that sleep wait for new streams only. */
bool smux__waiters_only_accept(const smux_session *session);

/* The first writer of a stream, whose turn it is; NULL if none waits. */
struct smux__waiter *smux__waiters_first_writer(const smux_stream *stream);

/* --- role.c -------------------------------------------------------------------------------- */

/* Takes what is free and of use, and drops what is of no use any more. */
void smux__role_choose(struct smux__waiter *waiter);

/* The receiver works for the reader of another stream alone: leaves the role to that one, which need
 * not be woken by it any more. It may have taken what it was told of and sleep again already. */
void smux__role_hand_on(struct smux__waiter *waiter);

/* Leaves all roles. The reader that all data is for may keep the receiver's as a lease. */
void smux__role_leave(struct smux__waiter *waiter);

/* Tells whether the reader of a stream has gone with the receiver's role for a moment; forgets a
 * lease that is over. */
bool smux__role_is_leased(smux_session *session);

/* Notes whose reader gets data, and that a stream has no reader any more. */
void smux__role_note_regular(smux_session *session, const smux_stream *stream);
void smux__role_forget_regular(smux_session *session, const smux_stream *stream);

/* Wakes somebody to receive, if nobody does, nobody will at once, and somebody sleeps. */
void smux__role_find_heir(smux_session *session);

/* Waits no longer for heirs that were woken some milliseconds ago and have not come: they may not get a
 * processor. */
void smux__role_drop_late_heirs(smux_session *session);

/* Wakes a writer to send what is left, unless one is on its way already. False if none sleeps. */
bool smux__role_find_sender(smux_session *session);

/* --- poll.c -------------------------------------------------------------------------------- */

/* Waits for the transport as the roles of the waiter demand, and not beyond the deadline of the engine
 * or this one. */
void smux__poll_transport(struct smux__waiter *waiter, uint64_t deadline_us);

/* --- io.c ---------------------------------------------------------------------------------- */

enum smux__io {
    SMUX__IO_PROGRESS, /* something moved */
    SMUX__IO_BLOCKED,  /* the transport has to be polled first */
    SMUX__IO_IDLE      /* nothing may be moved now */
};

/* Reads once. The caller has taken the receiver's role. */
enum smux__io smux__io_receive(smux_session *session);

/* The same, but waits for some milliseconds if there is nothing yet; only data or a signal
 * ends that early. */
enum smux__io smux__io_receive_wait(smux_session *session);

/* Sends until there is nothing left or the transport is full, unless somebody else is sender, or a
 * writer in the middle of its turn will be at once. Who is no writer sends once in version 1, and leaves
 * the rest to one that sleeps. `self` is the waiter that calls, or &smux__somebody. True if it sent
 * something. */
bool smux__io_flush(smux_session *session, struct smux__waiter *self);

/* Tells whether somebody should read from the transport. */
bool smux__io_can_receive(const smux_session *session);

/* Tells whether there is output that only the transport holds up. */
bool smux__io_is_blocked(const smux_session *session);

/* Tells whether there is output that could be sent now. */
bool smux__io_can_send(const smux_session *session);

/* The poll events to wait for in one direction: TLS may have to write before it can read. */
unsigned smux__io_awaited(const smux_session *session, enum smux_transport_event direction);

/* Lets the timers of the engine run if one is due. */
void smux__io_tick(smux_session *session);

/* Ends the session because the transport failed. */
void smux__io_fail(smux_session *session, const char *doing, const char *why);

/* Ends it after a failed write, when nobody receives: reads what there is and fails. */
void smux__io_give_up(smux_session *session);

/* --- row.c --------------------------------------------------------------------------------- */

/* Begins to wait for a writer in the middle of a long turn, if the engine knows of one and others have
 * more: it sends what it writes next. So it is woken once a turn and not for each piece. */
bool smux__row_begin(smux_session *session);

/* Tells whether sending is still left to that writer; to be called while it is awaited. Once it has come
 * the engine has something to send, and whoever flushes next does so; and at once if anything is
 * urgent. */
bool smux__row_goes_on(smux_session *session);

/* Waits no longer for it. */
void smux__row_end(smux_session *session);

/* --- spin.c -------------------------------------------------------------------------------- */

/* Counts what was moved, from which follows whether the session is fast. */
void smux__spin_meter(smux_session *session, size_t len, uint64_t now_us);

/* Until when to look for input or room again and again before sleeping: for a moment, if the
 * session moves so much that either comes in a moment; else 0. */
uint64_t smux__spin_until(const smux_session *session, struct smux__spin *spin);

/* Lets others run until it is time to look again. */
void smux__spin_pause(const smux_session *session);

/* Notes whether looking was of use. */
void smux__spin_note(struct smux__spin *spin, bool success);

/* To be called before each read or write: lets others run if this thread has moved bytes for long
 * enough. Without the lock, but with the role: who sleeps because somebody moves bytes already must not
 * come to do it, too. What others run on meanwhile the thread may then go on longer: they may be of other
 * programs, which never have enough. */
void smux__stint_rest(struct smux__stint *stint);

/* --- pace.c -------------------------------------------------------------------------------- */

/* How soon a call has to send that leaves a few bytes. */
enum smux__haste smux__pace_haste(struct smux__pace *pace, size_t len);

/* Notes that all output left, or as much as the transport took. */
void smux__pace_sent(struct smux__pace *pace, uint64_t now_us);

/* Notes that the calling thread waits for something else than room for what it writes. */
void smux__pace_wait(struct smux__pace *pace);

/* Until when the background thread leaves what is kept to the callers; `now_us` if no longer. The
 * lock need not be held. */
uint64_t smux__pace_until(const struct smux__pace *pace, uint64_t now_us);

/* Notes that nobody has sent until then: the row may be over. */
void smux__pace_look(struct smux__pace *pace);

/* --- write.c ------------------------------------------------------------------------------- */

/* Gives the loans back that were claimed. To be called when no writev is under way. */
void smux__write_return_loans(smux_session *session);

/* --- serve.c ------------------------------------------------------------------------------- */

/* Sees to it that somebody does what the session needs. To be called before the lock is
 * released for good. */
void smux__serve_settle(smux_session *session);

/* --- watch.c ------------------------------------------------------------------------------- */

/* Begins to watch the descriptors of a session: SMUX_OK, SMUX_EIO, SMUX_EINVAL for descriptors
 * that cannot be watched. With the lock held. */
int smux__watch_begin(smux_session *session, int read_fd, int write_fd);

/* Watches them no more. With the lock held. */
void smux__watch_end(smux_session *session);

/* --- life.c -------------------------------------------------------------------------------- */

/* Sees to it that the thread runs and has room for one more session: SMUX_OK, SMUX_EIO,
 * SMUX_ENOMEM. To be undone with smux__background_remove(). */
int smux__background_join(smux_session *session);

/* Lets go of a session that will be freed, and ends the thread with the last one. The session
 * must not be locked. */
void smux__background_remove(smux_session *session);

#endif
