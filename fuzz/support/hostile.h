/*
 * hostile.h - one engine between a hostile peer and an application, both played by the input.
 *
 * Records (records.h) below RECORD_CALL are frames of the peer, sound or not; the payload of PSH
 * is made up so that it can be checked. The others are calls of the application, of the transport
 * and of the clock, enum hostile_call. After every record the invariants are looked at.
 *
 *   hostile.c        configuration, records, invariants, the end
 *   hostile_wire.c   bytes in and out, and the time
 *   hostile_app.c    calls on streams, and what they may return
 *   peer.c           what the peer sent and got, to check data with
 */
#ifndef FUZZ_HOSTILE_H
#define FUZZ_HOSTILE_H

#include <smux/engine.h>

#include "audit.h"
#include "bytes.h"
#include "fuzz.h"
#include "guard.h"
#include "heap.h"
#include "peer.h"
#include "records.h"

/* CMD - RECORD_CALL. `version`, `len` and `id` of the record are arguments; `id` chooses a stream
 * among those that the application holds. */
enum hostile_call {
    CALL_OPEN,
    CALL_ACCEPT,
    CALL_READ,    /**< up to len bytes */
    CALL_PEEK,    /**< and consume up to len bytes; version: vectors */
    CALL_WRITE,   /**< len bytes */
    CALL_RESERVE, /**< room for len bytes, filled unless version is odd */
    CALL_LEND,    /**< len bytes */
    CALL_RECLAIM,
    CALL_POST, /**< memory of len bytes */
    CALL_UNPOST,
    CALL_SHUTDOWN,
    CALL_CLOSE,
    CALL_ABORT,
    CALL_PRIORITY, /**< class version, weight len */
    CALL_EVENTS,   /**< takes all */
    CALL_TICK,     /**< len << version % 16 microseconds pass */
    CALL_DUE,      /**< time passes until the deadline, at most a day */
    CALL_TAKE,     /**< the transport takes len bytes, all with 0; version odd: a later call does */
    CALL_CUT,      /**< bytes come in pieces of len; version odd: through recv_iov, 2: slowly */
    CALL_MEMORY,   /**< allocation len from now on fails; version odd: and all behind it */
    CALL_END,      /**< version % 3: the transport ends, the application drains, it fails */
    HOSTILE_CALLS
};

#define HOSTILE_STREAMS 32

/* A stream that the application holds. */
struct hostile_stream {
    smux_estream *stream; /**< NULL: this place is free */
    struct peer_reader reader;
    uint64_t written;
    bool aborted;
    int read_end; /**< what ended reading; 0 before */
    uint8_t *loan;
    size_t loan_len;
    uint8_t *post;
    size_t post_len;
};

struct hostile {
    struct smux_config config; /**< as asked for, zeros for defaults */
    enum smux_role role;
    smux_engine *engine;
    struct heap heap;
    struct guard *guard;
    struct audit audit;
    struct audit_watch watch;
    uint64_t start, now;
    struct hostile_stream streams[HOSTILE_STREAMS];

    struct bytes in; /**< sent by the peer, not yet taken */
    size_t fed;      /**< bytes that the peer has sent in all */
    size_t piece;    /**< largest piece that is given at once */
    bool by_iov;     /**< through recv_iov */
    bool lingers;    /**< a receive stays under way for a while */
    bool receiving;  /**< it does */
    struct smux_iov recv_iov[20];
    int num_recv_iov;
    bool sending; /**< a send is under way */
    struct smux_iov send_iov[64];
    int num_send_iov;
    uint64_t send_hash; /**< of what it shows */

    bool ended;        /**< the transport told the end of its input */
    bool drained;      /**< a graceful end was begun */
    int error;         /**< first error of the session [I16] */
    uint32_t controls; /**< frames but PSH emitted since the last check [I9] */
    size_t unsent;     /**< bytes shown by the last send that it did not take */

    struct peer peer; /**< last, as it is large: not cleared as a whole */
};

/** Runs an input against an engine of this version. */
void hostile_run(const uint8_t *data, size_t size, unsigned version);

/* --- hostile_wire.c --- */

/** Starts to watch what passes. */
void hostile_watch(struct hostile *h, unsigned version);

/** The peer sends what the record says; takes the fields of an update from `in`. */
void hostile_frame(struct hostile *h, struct record record, struct fuzz_input *in);

/** Gives the engine what it takes now of what the peer has sent. */
void hostile_push(struct hostile *h);

/** The transport takes up to `len` bytes; `later` leaves the send under way. */
void hostile_take(struct hostile *h, size_t len, bool later);

/** Finishes what is under way. */
void hostile_settle(struct hostile *h);

/** Lets time pass and runs the timers. */
void hostile_tick(struct hostile *h, uint64_t us);

/* --- hostile_app.c --- */

/** Carries out a call on streams. */
void hostile_call(struct hostile *h, struct record record);

/** Closes what the application holds and what waits to be accepted. */
void hostile_close_all(struct hostile *h);

/** Frees the memory of the application. */
void hostile_free_app(struct hostile *h);

#endif
