/*
 * link.h - joins two engines in memory, under a virtual clock.
 *
 * Each direction has its own granularity, latency and capacity, may freeze for a while, and may
 * be cut at any byte. Sends and receives may stay under way while other calls are made; what
 * was handed out must then be unchanged (engine.h, rule 2). All that passes is audited
 * (audit.h) and goes into a hash, so that two runs can be compared [I15].
 */
#ifndef SUPPORT_LINK_H
#define SUPPORT_LINK_H

#include <smux/engine.h>

#include "audit.h"
#include "bytes.h"
#include "rng.h"

enum link_cut {
    CUT_NONE,
    CUT_RESET, /**< both ends get an error */
    CUT_END,   /**< the receiver gets an orderly end, the sender an error */
    CUT_HALF   /**< the receiver gets an orderly end, the sender's bytes vanish */
};

/* What one end writes and the other reads. */
struct link_dir {
    uint32_t take;         /**< largest piece that is taken from the sender */
    uint32_t give;         /**< largest piece that is given to the receiver */
    uint32_t give_least;   /**< smallest one, if so much has arrived */
    uint32_t latency_us;   /**< how long bytes are on their way */
    uint32_t jitter_us;    /**< by how much longer at most */
    uint32_t rate;         /**< bytes a second; 0 for no limit */
    uint64_t busy_until;   /**< when the last byte that was taken is on the way */
    uint64_t last_arrival; /**< of a piece: none overtakes another */
    size_t capacity;       /**< how many may be on their way */
    uint64_t frozen_until; /**< nothing arrives before this time */
    enum link_cut cut;     /**< what happens ... */
    uint64_t cut_at;       /**< ... after so many bytes */
    struct bytes bytes;    /**< on their way */
    struct bytes marks;    /**< of struct link_mark: when they arrive */
    uint64_t passed;       /**< bytes taken from the sender so far */
    bool broken;           /**< the cut happened; later bytes vanish */
    bool ended;            /**< the receiver was told */
};

struct link_end {
    smux_engine *engine;
    struct audit audit;
    bool sending;   /**< a send is under way */
    bool receiving; /**< a receive is under way */
    struct smux_iov send_iov[64];
    int num_send_iov;
    struct smux_iov recv_iov[64];
    int num_recv_iov;
    int max_recv_iov;   /**< so many are asked for: 2 as with threads, more as in a loop */
    uint64_t send_hash; /**< of what the send handed out */
    uint64_t now;       /**< the largest time that the engine was told */
};

struct link {
    struct link_end ends[2]; /**< client, server */
    struct link_dir dirs[2]; /**< dirs[i] is written by ends[i] */
    uint64_t now;
    struct rng *rng;
    uint32_t back_percent; /**< how often an engine is told an earlier time: the caller's fault */
    bool no_memory;        /**< allocations may fail: send_iov may have nothing to give */
    bool overlap;          /**< leave sends and receives under way sometimes */
    uint64_t hash;         /**< of everything that passed */
    const char *fault;     /**< what the audit objects to; the first one stays */
    uint64_t ticks;        /**< of timers; not those that calls on streams ask for */
};

/** Joins two engines; both directions start whole, unlimited and without latency. */
void link_init(struct link *link, smux_engine *client, smux_engine *server, struct rng *rng,
               uint64_t now);

/** Frees what the link holds; the engines stay. */
void link_free(struct link *link);

/** Moves a piece from end `i` onto the way; tells whether something happened. */
bool link_send(struct link *link, unsigned i);

/** Moves a piece from the way to the end opposite to `i`; tells whether something happened. */
bool link_deliver(struct link *link, unsigned i);

/** Finishes what is under way at end `i`: before a reclaim, an unpost, or a free. */
void link_settle(struct link *link, unsigned i);

/** Ends direction `i` in order, behind what is on its way. */
void link_end_direction(struct link *link, unsigned i);

/** When something can happen by itself: an arrival, a deadline; SMUX_NEVER for never. */
uint64_t link_next(const struct link *link);

/** Sets the clock and runs the timers that are due. */
void link_set_now(struct link *link, uint64_t now);

/** Tells whether bytes are still on their way in one of the directions. */
bool link_busy(const struct link *link);

/** Adds a number to the trace hash. */
void link_note(struct link *link, uint64_t number);

#endif
