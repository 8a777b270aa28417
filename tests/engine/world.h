/*
 * world.h - a small world for a search through all that can happen in it: two engines, their
 * applications and what is between them, as a state that can be saved, brought back and compared.
 *
 * Frames have at most 2 bytes, the budget of an end 5. Each step does what it says if
 * that is possible now, and leaves everything as it is otherwise.
 */
#ifndef ENGINE_WORLD_H
#define ENGINE_WORLD_H

#include "support/arena.h"
#include "support/audit.h"

#include <stdbool.h>

#define WORLD_STREAMS 2
#define WORLD_PIPE    512
#define WORLD_AUDITED 8 /**< streams that an audit has room for from the beginning */
#define WORLD_BOTH    2u

/** What happens, beside what the transport does. */
struct scope {
    unsigned version;
    unsigned streams;             /**< that the client opens */
    uint8_t bytes[WORLD_STREAMS]; /**< the client writes, 2 at a time */
    uint8_t answer;               /**< bytes the server writes on each stream */
    uint8_t window;               /**< that each end offers */
    bool direct;                  /**< the engine's own memory is read into: no copy */
};

/** One end of one stream. */
struct world_end {
    smux_estream *stream;
    uint8_t written, read;
    uint8_t shut, ended, closed;
};

/** All that is no part of an engine. */
struct world_model {
    struct world_end ends[2][WORLD_STREAMS];
    size_t pipe_len[2];
    uint64_t now;
    struct audit audits[2]; /**< their streams are saved apart */
    uint8_t pipes[2][WORLD_PIPE];
};

struct world {
    struct scope scope;
    struct arena arenas[2]; /**< of the engines: nothing of one can be seen by the other */
    smux_engine *engines[2];
    struct world_model m;
};

/** The only one. */
extern struct world world;

/** One that was all zero is filled and grows as needed. */
struct world_snapshot {
    struct world_model model;
    struct audit_stream streams[2][WORLD_AUDITED];
    size_t size[2];
    uint8_t *memory[2];
};

void world_begin(const struct scope *scope);
void world_end(void);

/** Keeps what a step of one end, or of WORLD_BOTH, can change. */
void world_save(struct world_snapshot *s, unsigned changes);
void world_snapshot_free(struct world_snapshot *s);

/** Brings back what such a step has changed. */
void world_restore(const struct world_snapshot *s, unsigned changed);

/* --- comparing --- */

/** One end: the engine, its application, and what the audit knows, without the past. */
uint64_t world_hash_end(unsigned side);

/** Both, by their hashes, and what is between them. */
uint64_t world_hash(const uint64_t ends[2]);

/** All of a state, the past included. */
uint64_t world_hash_exactly(void);

/* --- applications: false if it was not possible --- */

bool world_write(unsigned side, unsigned stream); /**< or a shutdown when all is written */
bool world_read(unsigned side, unsigned stream, size_t most);
bool world_accept(void);
bool world_close(unsigned side, unsigned stream);

/** What an end writes on a stream, and how much that is. */
uint8_t world_content(unsigned writer, unsigned stream, unsigned offset);
uint8_t world_total(unsigned side, unsigned stream);

/** What the audit of an end knows of a stream. */
const struct audit_stream *world_audited(unsigned side, unsigned stream);

/* --- the transport --- */

/** What an engine has to send, in one piece; returns how much. */
size_t world_gather(unsigned side, uint8_t data[WORLD_PIPE]);

/** Moves `n` bytes to the other end, or all that there are if fewer; returns how many it took. */
size_t world_move(unsigned side, size_t n);

/** Takes nothing of what an engine has to send. */
void world_refuse(unsigned side);

/** Takes all that an engine has to send onto the way. */
void world_take(unsigned side);

/** Lets the first frame on the way arrive. */
void world_give(unsigned side);

#endif
