/*
 * sim.h - the simulation: two engines, an application at each end, one virtual clock, and one
 * seed that decides everything.
 *
 *   1. scenario   sim_plan.c    configuration, streams and transport are drawn from the seed
 *   2. faults     sim.c         random steps: applications act, bytes move, time passes and jumps,
 *                               things freeze, fail and break, the API is misused
 *   3. converge   sim.c         no more faults: everything must finish within a bound [I7], even
 *                               beside streams that nobody reads [I6]
 *   4. verdict    sim.c         nothing is left, all memory is back [I4, I12]
 *
 * sim_app.c and sim_io.c hold what the applications do, and check what they see [I1, I2, I8, I16];
 * sim_misuse.c holds what they must not do. sim_check.c has the invariants that are looked at after
 * every step [I3, I4, I5, I8, I11, I13, I16], audit.c those of the wire [I5, I10], link.c those of
 * the engine as its owner sees it [I10, I13]. I9 needs a peer that does nothing else: test_hostile.c.
 * I14 needs streams that do nothing else: test_priority.c and test_random.c. I15: test_random.c and test_hostile.c.
 */
#ifndef SUPPORT_SIM_H
#define SUPPORT_SIM_H

#include <smux/engine.h>

#include "heap.h"
#include "link.h"
#include "rng.h"

enum sim_finish {
    FINISH_SHUTDOWN, /**< half-close behind the data, read to the end */
    FINISH_CLOSE,    /**< close behind the data, drop what comes */
    FINISH_ABORT     /**< abort in the middle */
};

/** What one end of a stream is going to do. */
struct sim_plan {
    uint32_t total;        /**< bytes to write */
    uint32_t write_chunk;  /**< largest write */
    uint32_t write_least;  /**< smallest one, if so much is left */
    uint32_t read_chunk;   /**< largest read */
    uint32_t read_percent; /**< eagerness while there are faults; 0 = does not read then */
    uint32_t lend_percent; /**< how many writes lend their memory */
    uint32_t post_percent; /**< how many reads post their memory */
    enum sim_finish finish;
    bool waits; /**< writes all, but finishes only when the other end has: one end of a stream */
};

/** One end of one stream. */
struct sim_end {
    struct sim_plan plan;
    smux_estream *stream; /**< NULL before it is opened or accepted, and after close */
    uint32_t id;
    unsigned side; /**< 0 client, 1 server */
    bool known;    /**< was opened or accepted */
    bool shut;     /**< finished writing in order */
    bool aborted;  /**< by its own application */
    bool closed;
    bool can_read; /**< worth trying: as the events say */
    bool can_write;
    uint64_t written; /**< accepted by the engine */
    uint64_t read;
    int read_end;  /**< SMUX_EOF or the error that ended reading; 0 before */
    int write_end; /**< the error that ended writing; 0 before */
    uint8_t *loan; /**< memory that is lent */
    size_t loan_len;
    uint8_t *post; /**< memory that is posted */
    size_t post_len;
    uint64_t in_from;  /**< counter of received bytes at the start: not 0 near 2^32 */
    uint64_t out_from; /**< the same of sent ones */
};

struct sim_stream {
    unsigned opener;        /**< side */
    bool sleeps;            /**< nobody reads it while others have not finished [I6] */
    struct sim_end ends[2]; /**< by side */
};

struct sim {
    uint64_t seed;
    struct rng rng;
    struct link link;
    struct heap heap[2];
    struct smux_config config[2];
    smux_engine *engine[2];
    unsigned version;
    uint64_t start; /**< when it all began */

    struct sim_stream *streams; /**< those of the client first */
    uint32_t num_planned[2];    /**< how many each side opens */
    uint32_t num_opened[2];
    uint32_t first[2];         /**< index of the first stream that a side opens */
    uint32_t first_id[2];      /**< and its id */
    struct sim_end *posted[2]; /**< the end whose memory is posted, a side */
    bool may_open[2];

    bool priorities;        /**< applications set classes and weights at random */
    bool by_events;         /**< applications act only when an event told them to */
    bool bulk;              /**< large frames of one length come one after the other */
    bool bursts;            /**< small frames of many streams come together, with room for them */
    uint32_t event_percent; /**< how often an application asks for events when it can */
    bool no_memory;         /**< allocations fail: streams may fail, too */
    bool may_stall;         /**< streams may be aborted for holding the budget */
    bool may_time_out; /**< short timeouts, long freezes, clocks that jump: the session may die */
    bool drains;       /**< one end begins a graceful end early */
    bool misuses;      /**< applications make calls that must be refused */
    bool asleep;       /**< there are streams that sleep */
    bool near_wrap;    /**< counters start near 2^32 */
    bool converging;
    bool draining[2];
    uint32_t steps;        /**< of the fault phase */
    uint32_t next_look;    /**< steps until all streams are looked at again */
    int error[2];          /**< first error seen, a side [I16] */
    uint64_t wire_from[2]; /**< stats.wire_out at the start */
    uint64_t ticks;        /**< of the link, as of the last second [I13] */
    uint64_t second;
    uint64_t moved; /**< grows with every bit of progress */
    uint64_t bytes_read;
    bool shared_input; /**< small frames waited in the in-tray of an engine (intray.h) */
    uint8_t buf[65536];
};

/** Runs one seed; any violation fails the running test and names the seed. Tells whether small frames
 *  that came together waited to be read. */
bool sim_run(uint64_t seed, uint64_t *out_hash);

/* --- between the parts of the simulation --------------------------------------------------- */

/** Fails the running test unless `ok`. */
void sim_check_at(const struct sim *sim, bool ok, const char *file, int line, const char *format,
                  ...) __attribute__((format(printf, 5, 6)));
#define sim_check(sim, ok, ...) sim_check_at((sim), (ok), __FILE__, __LINE__, __VA_ARGS__)

/** Draws the scenario and makes the engines. */
void sim_plan(struct sim *sim);

/** Moves the counters of some streams near 2^32 while nothing is under way. */
void sim_warm_up(struct sim *sim);

/** Finds the end of a stream by side and id; fails for an id that was never opened. */
struct sim_end *sim_find(struct sim *sim, unsigned side, uint32_t id);

struct sim_end *sim_other(struct sim *sim, const struct sim_end *end);

/** Checks the invariants of both engines. */
void sim_check_step(struct sim *sim);

/** Checks what must hold when everything has finished; `settled`: nothing is on its way. */
void sim_check_verdict(struct sim *sim, bool settled);

/** Nothing is on its way, neither in the link nor in an engine. */
bool sim_is_quiet(const struct sim *sim);

/** The way between the ends was cut or has ended. */
bool sim_transport_may_fail(const struct sim *sim);

/** Credit may come too late for a stream that is closed already [FIN-9]. */
bool sim_credit_may_be_late(const struct sim *sim, const struct sim_end *end);

/** A call on a stream failed: the reason must be known, and be the session's if it is dead. */
void sim_check_error(const struct sim *sim, const struct sim_end *end, int status);

void sim_open(struct sim *sim, unsigned side);
void sim_accept(struct sim *sim, unsigned side);
void sim_events(struct sim *sim, unsigned side);

/** Posts memory for the payload that comes next, as a reader that waits for it would. */
void sim_post_to_receiver(struct sim *sim, unsigned side);

/** Lets the application do what it can or, while there are faults, some of it. */
void sim_visit(struct sim *sim, struct sim_end *end);

/** Gives a stream another class and weight; sometimes with numbers that must be refused. */
void sim_set_priority(struct sim *sim, struct sim_end *end);

/** Makes calls on a session, or on a stream that is not NULL, that must be refused or do nothing. */
void sim_misuse_session(struct sim *sim, unsigned side);
void sim_misuse_stream(struct sim *sim, struct sim_end *end);

void sim_write_step(struct sim *sim, struct sim_end *end);
void sim_read_step(struct sim *sim, struct sim_end *end);
void sim_reclaim(struct sim *sim, struct sim_end *end);
void sim_unpost(struct sim *sim, struct sim_end *end);
void sim_shut(struct sim *sim, struct sim_end *end);
void sim_abort(struct sim *sim, struct sim_end *end);
void sim_close(struct sim *sim, struct sim_end *end);

#endif
