/*
 * wire.h - a raw, scripted peer of one engine.
 *
 * The test plays the peer: it feeds frames or any bytes, and takes the frames that the engine
 * emits. Each scenario runs once for every way of cutting the bytes (enum feed_mode), as a Check
 * loop test:
 *
 *     START_TEST(RCV_2_nop_is_not_answered)
 *     {
 *         struct wire w;
 *
 *         wire_start(&w, SMUX_SERVER, NULL, _i);
 *         wire_nop(&w);
 *         expect_quiet(&w);
 *         wire_stop(&w);
 *     }
 *
 * Payload in both directions follows flow.h. Every emitted frame is checked against the rules
 * of [FRM-2] and [FRM-3] while it is taken, wants_write against send_iov, and wire_stop()
 * checks that all memory came back.
 */
#ifndef SUPPORT_WIRE_H
#define SUPPORT_WIRE_H

#include <check.h>
#include <smux/engine.h>

#include "bytes.h"
#include "flow.h"
#include "frames.h"
#include "guard.h"
#include "heap.h"
#include "rng.h"

/** How bytes are cut on their way in and out; the loop variable of a test. */
enum feed_mode {
    FEED_WHOLE,  /**< each wire_feed() in one smux_engine_recv() */
    FEED_BYTES,  /**< one byte at a time, at a guard page */
    FEED_RANDOM, /**< random pieces, through recv or recv_iov at random */
    FEED_IOV,    /**< as much as recv_iov takes */
    FEED_MODES
};

/** Adds a test that runs once a feed mode. */
#define add_every_split(tcase, test) tcase_add_loop_test((tcase), test, 0, FEED_MODES)

/** Number of vectors that one send uses at most. */
#define WIRE_IOVS 64

/** Offsets of the two directions of one stream. */
struct wire_flow {
    uint32_t id;
    uint64_t fed;     /**< payload bytes that we, the peer, sent */
    uint64_t read;    /**< of these read by the application */
    uint64_t written; /**< bytes that the application wrote */
    uint64_t got;     /**< of these that we received */
};

struct wire {
    smux_engine *engine;
    enum smux_role role;
    unsigned version; /**< of the frames that the peer builds */
    uint64_t now;     /**< the virtual clock */
    bool blocked;     /**< the transport takes nothing for now */
    bool eof;         /**< the transport ended */
    enum feed_mode mode;
    struct rng rng;
    struct heap heap;
    struct guard guard;
    struct bytes in;  /**< not yet taken by the engine */
    struct bytes out; /**< taken from the engine and not yet parsed */
    struct wire_flow *flows;
    size_t num_flows;
    void (*watch)(void *ctx, const uint8_t *data, size_t len); /**< sees what the engine took */
    void *watch_ctx;
};

/** A configuration of `version` without keepalive, accept guard and FIN linger, and with
 *  windows of 65536 bytes that do not tune themselves. */
struct smux_config wire_config(unsigned version);

/** Makes the engine; a NULL configuration means wire_config(1). */
void wire_start(struct wire *w, enum smux_role role, const struct smux_config *config, int mode);

/** Frees the engine and checks that all memory came back [I12]. */
void wire_stop(struct wire *w);

/* --- the peer sends ------------------------------------------------------------------- */

/** Feeds bytes as far as the engine takes them; the rest waits in `in` [BKT-4]. */
void wire_feed(struct wire *w, const void *data, size_t len);

/** Offers what waits in `in` again. */
void wire_push(struct wire *w);

void wire_syn(struct wire *w, uint32_t id);
void wire_fin(struct wire *w, uint32_t id);
void wire_nop(struct wire *w);
void wire_upd(struct wire *w, uint32_t id, uint32_t consumed, uint32_t window);
void wire_header(struct wire *w, unsigned cmd, unsigned len, uint32_t id);

/** Sends the next `len` bytes of the peer's content, in one frame of up to 65535 bytes. */
void wire_psh(struct wire *w, uint32_t id, size_t len);

/** The same, to come in one piece with what is fed next. */
void wire_put_psh(struct wire *w, uint32_t id, size_t len);

/** Sends `len` bytes in frames of up to `frame_len`. */
void wire_data(struct wire *w, uint32_t id, size_t len, size_t frame_len);

/** Lets `ms` pass; runs each timer when it is due and takes the output. */
void wire_sleep(struct wire *w, uint32_t ms);

/* --- the application ------------------------------------------------------------------ */

smux_estream *wire_open(struct wire *w);

/** Accepts and checks the id. */
smux_estream *wire_accept_at(struct wire *w, uint32_t id, int line);
#define wire_accept(w, id) wire_accept_at((w), (id), __LINE__)

/** Writes the next `len` bytes of our content; all must be taken. */
void wire_write_at(struct wire *w, smux_estream *stream, size_t len, int line);
#define wire_write(w, stream, len) wire_write_at((w), (stream), (len), __LINE__)

/** Writes as much of `len` bytes as is taken and returns it. */
size_t wire_write_some(struct wire *w, smux_estream *stream, size_t len);

/** Fills `buf` with the next bytes of our content, for other ways of writing. */
void wire_content(const struct wire *w, const struct wire_flow *flow, void *buf, size_t len);

/** Checks bytes that were read in another way than by expect_read(). */
void expect_content_at(struct wire *w, struct wire_flow *flow, const void *buf, size_t len,
                       int line);
#define expect_content(w, flow, buf, len) expect_content_at((w), (flow), (buf), (len), __LINE__)

/** Reads and checks exactly `len` bytes, which must be there. */
void expect_read_at(struct wire *w, smux_estream *stream, size_t len, int line);
#define expect_read(w, stream, len) expect_read_at((w), (stream), (len), __LINE__)

/** The next read must have this status and give nothing. */
void expect_status_at(struct wire *w, smux_estream *stream, int status, int line);
#define expect_status(w, stream, status) expect_status_at((w), (stream), (status), __LINE__)

/** The session must have this sticky error. */
void expect_dead_at(struct wire *w, int status, int line);
#define expect_dead(w, status) expect_dead_at((w), (status), __LINE__)

/** The session must live. */
#define expect_alive(w) ck_assert_int_eq(smux_engine_error((w)->engine), SMUX_OK)

/** The session must live for another `ms` milliseconds, and not longer: within 100. */
void expect_timeout_in_at(struct wire *w, uint32_t ms, int line);
#define expect_timeout_in(w, ms) expect_timeout_in_at((w), (ms), __LINE__)

/* --- the peer receives ---------------------------------------------------------------- */

/** Takes all that the engine wants to send, unless `blocked`. */
void wire_pump(struct wire *w);

/** Takes up to `len` bytes and no more; returns their number. */
size_t wire_take(struct wire *w, size_t len);

/** Pumps and takes the next frame; false when there is none. */
bool wire_frame(struct wire *w, struct frame *out_frame);

void expect_frame_at(struct wire *w, unsigned cmd, uint32_t id, int line);
void expect_upd_at(struct wire *w, uint32_t id, uint32_t consumed, uint32_t window, int line);
void expect_data_at(struct wire *w, uint32_t id, size_t len, int line);
void expect_quiet_at(struct wire *w, int line);
#define expect_syn(w, id) expect_frame_at((w), CMD_SYN, (id), __LINE__)
#define expect_fin(w, id) expect_frame_at((w), CMD_FIN, (id), __LINE__)
#define expect_nop(w)     expect_frame_at((w), CMD_NOP, 0, __LINE__)
/** The next frame is this window update. */
#define expect_upd(w, id, consumed, window) expect_upd_at((w), (id), (consumed), (window), __LINE__)
/** The next frames are PSH of this id, right in content and `len` bytes in all. */
#define expect_data(w, id, len) expect_data_at((w), (id), (len), __LINE__)
/** Nothing more is sent now. */
#define expect_quiet(w) expect_quiet_at((w), __LINE__)

/** Takes all PSH of this id that come next and returns their bytes. */
size_t wire_take_data(struct wire *w, uint32_t id);

/** Forgets all frames that the engine wants to send. */
void wire_skip(struct wire *w);

/* --- figures -------------------------------------------------------------------------- */

struct smux_session_stats wire_stats(const struct wire *w);
struct smux_stream_stats wire_stream_stats(const struct wire *w, const smux_estream *s);
#define expect_glitches(w, n) ck_assert_uint_eq(wire_stats(w).glitches, (n))

/** The offsets of a stream, made at first use. */
struct wire_flow *wire_flow(struct wire *w, uint32_t id);

#endif
