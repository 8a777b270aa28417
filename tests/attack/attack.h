/*
 * attack.h - the table of attacks.
 *
 * An attack is a script of one hostile peer: it gets a fresh connection, misbehaves on it until
 * the victim hangs up or the time is over, and is called again while there is time. What the
 * victim has to do is in the table, too; the driver (_case.py) judges.
 *
 * A stream of the victim's application does what its first byte says, see app.h.
 */
#ifndef ATTACK_ATTACK_H
#define ATTACK_ATTACK_H

#include "peer.h"

/** Versions of the protocol in which an attack makes sense; bits. */
enum attack_versions {
    V1 = 1,
    V2 = 2,
    BOTH = V1 | V2
};

/** What else is true of an attack; bits. */
enum attack_trait {
    BESIDE = 1,    /**< another stream of the same session must go on meanwhile */
    SENDS = 2,     /**< makes the victim hold output, so that L8 adds to the limit of memory */
    SILENT = 4,    /**< sends next to nothing, so the victim must not use the processor */
    TRAP = 8,      /**< an honest peer that looks hostile: nothing may be held against it */
    TIMED = 16,    /**< its end is a time limit, which the victim is given a short one of */
    CONNECTS = 32, /**< makes its connections by itself */
    CROWD = 64,    /**< comes back before its last session is over, so that several exist */
    LONG = 256,    /**< needs two seconds to come to the limit */
    WORKS = 1024,  /**< makes the application work: streams are made and closed */
    FILLS = 512,   /**< uses up the receive budget */
    OPENS = 2048,  /**< only a client can do this: a server opens no streams */
    FIXED = 128    /**< the victim has windows of 64 KiB that do not tune themselves */
};

struct attack {
    const char *name;
    const char *clauses; /**< ids of docs/PROTOCOL.md, and of limits */
    unsigned versions;   /**< enum attack_versions */
    unsigned traits;     /**< enum attack_trait */
    const char *end;     /**< status with which the victim ends the session; NULL: it stays open */
    const char *stream;  /**< status with which it ends streams, or NULL */
    uint32_t glitches;   /**< of a TRAP: the most it may cost */
    void (*run)(struct peer *peer);
};

/** All attacks; ends with a NULL name. */
extern const struct attack attacks[];

/* floods.c */
void attack_syn_flood(struct peer *peer);
void attack_syn_paced(struct peer *peer);
void attack_open_close(struct peer *peer);
void attack_empty_frames(struct peer *peer);
void attack_nop_flood(struct peer *peer);
void attack_fin_repeated(struct peer *peer);
void attack_fin_unknown(struct peer *peer);
void attack_many_streams(struct peer *peer);

/* data.c */
void attack_tiny_frames(struct peer *peer);
void attack_unread(struct peer *peer);
void attack_unknown_data(struct peer *peer);
void attack_unknown_tiny(struct peer *peer);
void attack_window_overrun(struct peer *peer);
void attack_withheld(struct peer *peer);
void attack_loris_header(struct peer *peer);
void attack_loris_payload(struct peer *peer);
void attack_never_reading(struct peer *peer);
void attack_hang_up(struct peer *peer);
void attack_reset_churn(struct peer *peer);

/* windows.c */
void attack_window_zero(struct peer *peer);
void attack_window_one(struct peer *peer);
void attack_window_2_31(struct peer *peer);
void attack_window_2_32(struct peer *peer);
void attack_consumed_ahead(struct peer *peer);
void attack_consumed_back(struct peer *peer);
void attack_upd_flood(struct peer *peer);
void attack_upd_jitter(struct peer *peer);
void attack_upd_unknown(struct peer *peer);

/* malformed.c */
void attack_malformed(struct peer *peer);
void attack_wrong_version(struct peer *peer);
void attack_our_parity(struct peer *peer);
void attack_syn_known(struct peer *peer);
void attack_hash_flood(struct peer *peer);

/* connects.c */
void attack_connects(struct peer *peer);

/* traps.c */
void trap_1_unknown_and_closed_ids(struct peer *peer);
void trap_2_fins_and_none(struct peer *peer);
void trap_3_ids_in_any_order(struct peer *peer);
void trap_4_unordered_and_tiny_windows(struct peer *peer);
void trap_5_no_nops(struct peer *peer);
void trap_5_burst_of_nops(struct peer *peer);
void trap_6_slow_reader(struct peer *peer);
void trap_7_open_and_close(struct peer *peer);
void trap_8_data_after_our_fin(struct peer *peer);
void trap_9_two_writers(struct peer *peer);
void trap_10_stops_with_window(struct peer *peer);
void trap_11_never_updates(struct peer *peer);
void trap_bulk(struct peer *peer);

#endif
