/*
 * conn.h - one connection to the subject: frames out, frames in, and what is known of each
 * stream.
 *
 * What arrives is taken apart and booked at the stream it belongs to; a case waits until the
 * books say what it expects:
 *
 *     struct stream *s = open_stream(c);
 *     send_text(c, s, "hello");
 *     await(c, s->got == 5, "no echo");
 *
 * Every frame that arrives is checked [FRM-2] [FRM-3]: a case fails whenever one is malformed.
 */
#ifndef SPEC_CONN_H
#define SPEC_CONN_H

#include "frames.h"
#include "spec.h"

/** Room for the trace of a stream. */
#define STREAM_TRACE 48

/** Bytes that a sender may send before the first UPD [WIN-1]. */
#define FIRST_WINDOW 262144

struct stream {
    uint32_t id;
    uint64_t sent; /**< payload that we sent */
    uint64_t line; /**< of it the command at the beginning, which is not echoed */
    uint64_t got;  /**< payload that arrived */
    uint8_t *data; /**< which one */
    size_t room;
    uint64_t fin_at_us; /**< when the first FIN arrived */
    uint64_t psh_at_us; /**< when the last PSH arrived */
    uint64_t credited;  /**< the CONSUMED we told last */
    bool withhold;      /**< do not credit what arrives by itself */
    bool fence;         /**< belongs to fence(), which no sabotage but the last touches */
    unsigned frames;    /**< of all kinds */
    unsigned syns;
    unsigned fins;
    unsigned pshs;
    unsigned upds;
    unsigned ones;     /**< PSH of a single byte */
    unsigned last;     /**< length of the last PSH */
    uint32_t consumed; /**< of the last UPD */
    uint32_t window;   /**< of the last UPD */
    uint32_t step;     /**< longest way of CONSUMED from one UPD to the next */
    bool backwards;    /**< CONSUMED has gone back, or beyond what we sent */
    /** S, P, F and U in the order they came, a run of the same as one letter. */
    char trace[STREAM_TRACE];
};

struct conn {
    struct spec_test *test;
    const struct spec_run *run;
    int fd;
    unsigned version; /**< of the frames that we send */
    uint64_t since_us;
    bool deaf;  /**< does not read, also not while it waits for room to write */
    bool ended; /**< nothing more will arrive */
    int error;  /**< why, 0 for an orderly end */
    uint8_t *in;
    size_t in_len;
    size_t in_room;
    struct stream **streams;
    size_t n_streams;
    unsigned nops;
    unsigned taken; /**< ids that open_stream() has used */
    unsigned fences;
    unsigned frames;           /**< that arrived */
    uint8_t raw[5][FRAME_UPD]; /**< how the last frame of each command began */
    char text[SPEC_HELLO];     /**< of answer() */
    char token[32];            /**< of fresh_token() */
};

uint64_t clock_us(void);

/** A connection of the case: the subject's own one, or a further one. Ends the case if there is
 *  none. */
struct conn *conn_open(struct spec_test *test);

/** Closes the descriptor and frees all. */
void conn_free(struct conn *c);

/** Takes what has arrived, waits for it until then; false when nothing came. */
bool conn_receive(struct conn *c, uint64_t until_us);

/** Books a frame that arrived. */
void conn_book(struct conn *c, const struct frame *f);

/** Receives until the condition holds; a case in which it does not come true has failed. */
#define await(c, condition, ...)                                                                   \
    do {                                                                                           \
        uint64_t until_ = clock_us() + (c)->run->patience_ms * UINT64_C(1000);                     \
        while (!(condition)) {                                                                     \
            if (!conn_receive((c), until_)) {                                                      \
                expect((c), (condition), __VA_ARGS__);                                             \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/** Receives for so long, or until the connection ends. */
void conn_idle(struct conn *c, unsigned ms);

/** The books of an id, made at first use. */
struct stream *stream_of(struct conn *c, uint32_t id);

/* --- sending -------------------------------------------------------------------------------- */

/** Sends bytes as they are; receives meanwhile, unless deaf. It is no fault of the case when
 *  the subject has hung up: whether it may do so is asked elsewhere. Ends the case when the
 *  subject takes nothing for too long. */
void conn_send(struct conn *c, const void *data, size_t len);

/** The same, but returns how much was taken within the time. */
size_t conn_offer(struct conn *c, const void *data, size_t len, unsigned ms);

void send_syn(struct conn *c, uint32_t id);
void send_fin(struct conn *c, uint32_t id);
void send_nop(struct conn *c);
void send_upd(struct conn *c, uint32_t id, uint32_t consumed, uint32_t window);
void send_header(struct conn *c, unsigned version, unsigned cmd, unsigned len, uint32_t id);

/** A PSH whose payload is the next `len` bytes of the stream's pattern, 0..65535. */
void send_psh(struct conn *c, uint32_t id, size_t len);

/** A PSH with this text. */
void send_text(struct conn *c, uint32_t id, const char *text);

/** Ends our direction of the connection; what comes is still received. */
void conn_shut(struct conn *c);

/** Breaks the connection off, with a reset. */
void conn_reset(struct conn *c);

/* --- streams -------------------------------------------------------------------------------- */

/** The id of our parity that has index `i`: 3, 5, 7.. of a client, 2, 4, 6.. of a server for
 *  i = 1, 2, 3..; the lowest id for i = 0. */
uint32_t our_id(const struct conn *c, uint32_t i);

/** The same of the subject. */
uint32_t their_id(const struct conn *c, uint32_t i);

/** The next id that the case has not used; nothing is sent. */
struct stream *fresh_stream(struct conn *c);

/** The same with a SYN. */
struct stream *open_stream(struct conn *c);

/** The pattern of what we send: never an exclamation mark. */
uint8_t pattern_byte(uint32_t id, uint64_t at);

#endif
