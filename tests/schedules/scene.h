/*
 * scene.h - what the scenarios have in common: actors, connections, and data that is checked.
 */
#ifndef SCHEDULES_SCENE_H
#define SCHEDULES_SCENE_H

#include "session/ends.h"

#include "rng.h"

#include <stdatomic.h>

/** A thread with a name. */
struct actor {
    struct task task;
    const char *name;
    void (*run)(void *arg);
    void *arg;
};

void actor_start(struct actor *actor, const char *name, void (*run)(void *arg), void *arg);
void actor_join(struct actor *actor);

/** Closes a session; any status will do that is defined. */
struct closer {
    struct actor actor;
    smux_session *session;
    int status;
};

void closer_run(void *closer);
void closer_start(struct closer *closer, smux_session *session);
void closer_join(struct closer *closer);

/** Small buffers at random, and no timer that would hide a lost wake-up. */
void scene_config(struct smux_config *config, struct rng *rng);

/** Connects two sessions by something that takes few bytes at a time. */
void scene_open(struct ends *ends, struct rng *rng, const struct smux_config *of_client,
                const struct smux_config *of_server);

/** As scene_open() for the client alone; the other end of the wire is left to the test. */
void scene_open_raw(smux_session **out_client, struct smux_transport *out_peer, struct rng *rng,
                    const struct smux_config *config);

/** Two sessions and a stream between them: most scenarios need no more. The handles of the stream
 *  keep the memory of sessions that were closed. */
struct scene {
    struct ends ends;
    smux_stream *near;    /**< at the client */
    smux_stream *far;     /**< at the server */
    atomic_uint returned; /**< calls that have come back, for scene_await_blocked() */
};

extern struct scene scene;

/** Makes these. */
void scene_begin(struct rng *rng, const struct smux_config *config);

void scene_close_streams(void);

/** Closes all of them, and expects that nothing was lost. */
void scene_end(void);

/** Closes both ends at the same time, and expects that nothing was lost. */
void scene_close(struct ends *ends);

/** Closes both where data may be left: any end will do that is defined. */
void scene_close_anyhow(struct ends *ends);

/** Waits until so many calls of a session are blocked or, as scene.returned tells, have come back
 *  from being so. */
void scene_await_blocked(smux_session *session, unsigned n);

/** Sleeps so many microseconds, less than a second. */
void scene_sleep(uint32_t us);

/** Sleeps up to so many microseconds, often not at all. */
void scene_pause(struct rng *rng, uint32_t most_us);

/** Expects a status of a list. */
#define expect_status(status, ...)                                                                 \
    expect_status_of(__FILE__, __LINE__, (status), (const int[]){__VA_ARGS__, 1})
void expect_status_of(const char *file, int line, int status, const int *list);

/** Expects a status that tells of the end of a stream or session. */
void expect_end_status(int status);

/* Content for several readers of a stream: bytes that count, so that any piece can be checked. */
void count_fill(uint64_t offset, uint8_t *buf, size_t len);
bool count_is_right(const uint8_t *buf, size_t len);

/** A flow of a stream, written or read by an actor of its own. */
struct flow {
    smux_stream *stream;
    uint64_t key;
    uint64_t len;   /**< to be written, or to be expected */
    uint32_t piece; /**< largest call */
    uint64_t seed;
    bool large; /**< calls are as large as they may be: such memory is lent, not copied */
    bool shut;  /**< the writer shuts its side down, the reader expects that */
    uint64_t done;
    int status; /**< of the last call */
};

/** Writes all of it, with deadlines in between and memory that is used again; expects success. */
void flow_write_patiently(void *flow);

/** Reads all of it and checks it, with deadlines in between; expects success. */
void flow_read_exactly(void *flow);

/** Reads until anything but data or a deadline comes; what came is right. */
void flow_read_prefix(void *flow);

#endif
