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
    BESIDE = 1,   /**< another stream of the same session must go on meanwhile */
    SENDS = 2,    /**< makes the victim hold output, so that L8 adds to the limit of memory */
    SILENT = 4,   /**< sends next to nothing, so the victim must not use the processor */
    TRAP = 8,     /**< an honest peer that looks hostile: nothing may be held against it */
    TIMED = 16,   /**< its end is a time limit, which the victim is given a short one of */
    CONNECTS = 32 /**< makes its connections by itself */
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

#endif
