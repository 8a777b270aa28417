/*
 * peer.h - what a hostile peer has sent and has received, stream id by stream id.
 *
 * Payload in both directions follows flow.h, so that every byte can be checked without storing it.
 * The peer may use an id as often as it likes: each SYN begins another life of the id, as far as
 * the peer knows; the engine may have ignored or refused it. What a reader gets must then be the
 * data of one of the lives, from its beginning, and complete when end of file is reported [I1, I2].
 */
#ifndef FUZZ_PEER_H
#define FUZZ_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit.h"

#define PEER_LIVES 8 /* of an id; beyond them its data is not checked any more */
#define PEER_IDS   1024

struct peer_life {
    uint64_t start; /**< payload sent for the id before it */
    uint64_t end;   /**< payload sent at its FIN; UINT64_MAX before */
};

struct peer_id {
    uint32_t id;
    bool unknown; /**< its data cannot be told any more */
    unsigned num_lives;
    struct peer_life lives[PEER_LIVES];
    uint64_t sent;    /**< payload sent while some life had no FIN */
    uint64_t got;     /**< payload received since the last FIN */
    uint64_t written; /**< the most that the application has written on one of its streams */
};

struct peer {
    struct peer_id ids[PEER_IDS];
    size_t num_ids;
};

/** The record of an id; made when it is new. */
struct peer_id *peer_find(struct peer *peer, uint32_t id);

/** A life begins: the peer sends SYN, or the application opens the id. */
void peer_begin(struct peer_id *id);

/** The peer sends FIN. */
void peer_end(struct peer_id *id);

/** Fills the payload of the next PSH that the peer sends. */
void peer_payload(struct peer_id *id, uint8_t *buf, size_t len);

/** Fills what the application writes at an offset of its stream. */
void peer_app_data(const struct peer_id *id, uint64_t offset, uint8_t *buf, size_t len);

/** A reader of the id. */
struct peer_reader {
    struct peer_id *id;
    uint32_t lives; /**< bit i: it may be life i that is read */
    uint64_t read;
};

/** Starts reading; the application has just opened or accepted the stream. */
struct peer_reader peer_reader(struct peer_id *id);

/** The reader got these bytes. Returns whether they are right. */
bool peer_check_data(struct peer_reader *reader, const void *data, size_t len);

/** The reader got end of file. Returns whether all data came before it. */
bool peer_check_eof(const struct peer_reader *reader);

/** To be called from struct audit_watch with what the engine emits. */
void peer_got_frame(struct peer *peer, const struct frame *frame);
bool peer_got_payload(struct peer *peer, uint32_t id, const uint8_t *data, size_t len);

#endif
