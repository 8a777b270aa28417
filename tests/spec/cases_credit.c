/*
 * Windows, the receiving side, and the budget of the session [UPD-1..10] [BKT-3..7].
 */
#include "steps.h"

#include <stdlib.h>
#include <string.h>

/* --- credit --------------------------------------------------------------------------------- */

static void first_read(struct conn *c)
{
    struct stream *s = open_echo(c);

    await(c, s->upds > 0, "no UPD after the first read");
    expect(c, s->consumed >= 1 && s->consumed <= 5, "CONSUMED %u of 5 bytes",
           (unsigned)s->consumed);
    expect(c, s->window <= 0x7fffffff, "WINDOW %u", (unsigned)s->window);
}

static void consumed_is_true(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_data(c, s, 2000000, 20000);
    await_echo(c, s);
    expect(c, s->upds > 0 && !s->backwards, "CONSUMED went back, or beyond what was sent");
    expect(c, s->window <= 0x7fffffff, "WINDOW %u", (unsigned)s->window);
}

/** Frames of `a` bytes, `b` in all, and never more than what was granted. */
static void never_stalls(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_data(c, s, spec_b(c), spec_a(c));
    await_echo(c, s);
}

static void unread_is_not_credited(struct conn *c)
{
    struct stream *s = command(c, "hold");

    send_psh(c, s->id, 60000);
    send_psh(c, s->id, 60000);
    settle(c);
    expect(c, s->consumed <= 100, "CONSUMED %u, but nothing was read", (unsigned)s->consumed);
    release(c);
    await_echo(c, s);
}

static void none_after_fin(struct conn *c)
{
    struct stream *s = command(c, "hold");
    unsigned before;

    for (unsigned i = 0; i < 6; i++) {
        send_psh(c, s->id, 40000);
    }
    send_fin(c, s->id);
    fence(c);
    before = s->upds;
    release(c);
    await_echo(c, s);
    await_fin(c, s);
    settle(c);
    expect(c, s->upds == before, "%u UPDs after our FIN", s->upds - before);
}

/** A window that became smaller counts for what is sent after it. */
static void first_window_stays_legal(struct conn *c)
{
    struct stream *s = command(c, "hold");

    fence(c);
    while (s->sent < FIRST_WINDOW) {
        size_t left = (size_t)(FIRST_WINDOW - s->sent);

        send_psh(c, s->id, left < 30000 ? left : 30000);
    }
    release(c);
    await_echo(c, s);
}

static void overrun(struct conn *c)
{
    struct stream *s = command(c, "hold");
    uint64_t limit;

    fence(c);
    limit = 2 * (uint64_t)(s->window > FIRST_WINDOW ? s->window : FIRST_WINDOW);
    while (s->sent <= limit + 65536) {
        send_psh(c, s->id, 65535);
    }
    await_fin(c, s);
    fence(c);
}

static void credit_after_own_fin(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "half %s", token);

    await_fin(c, s);
    release(c);
    send_data(c, s, 800000, 32768);
    send_fin(c, s->id);
    expect_outcome(c, token, "bytes=800000 end=eof");
}

/* --- the budget ----------------------------------------------------------------------------- */

enum {
    BLOCK = 65535,
    BLOCKS = 400, /**< more than a budget and all that sockets hold */
    STUCK_MS = 400
};

/** Sends to a stream that is not read, until the subject takes no more; the frame that was cut
 *  then stays in `frame`. Returns what is left of it, 0 if the stream was closed before. */
static size_t fill(struct conn *c, const struct stream *s, uint8_t *frame)
{
    size_t len = put_header(frame, c->version, CMD_PSH, BLOCK, s->id) + BLOCK;
    size_t n = len;

    memset(frame + FRAME_HEADER, 0x80, BLOCK);
    for (unsigned i = 0; i < BLOCKS && n == len && s->fins == 0; i++) {
        n = conn_offer(c, frame, len, STUCK_MS);
    }
    expect(c, n < len || s->fins > 0, "%u MB were taken for a stream that is not read",
           BLOCKS * BLOCK / 1000000);
    memmove(frame, frame + n, len - n);
    return len - n;
}

static void pause_receiving(struct conn *c)
{
    uint8_t frame[FRAME_MAX];

    expect(c, fill(c, command(c, "hold"), frame) > 0, "the stream was closed");
}

/** The stream is closed without being read: its memory comes back. On a busy machine it may be
 *  closed before the budget is used up; then it is held longer. */
static void resume(struct conn *c)
{
    uint8_t frame[FRAME_MAX];
    size_t left = 0;

    for (unsigned ms = 1000; ms < 10000 && left == 0; ms *= 2) {
        left = fill(c, command(c, "hold %u", ms), frame);
    }
    expect(c, left > 0, "receiving never paused");
    conn_send(c, frame, left);
    fence(c);
}

static void nops_go_on(struct conn *c)
{
    uint8_t frame[FRAME_MAX];
    unsigned before;

    fill(c, command(c, "hold"), frame);
    before = c->nops;
    await(c, c->nops >= before + 3, "%u NOPs while receiving was paused", c->nops - before);
}

static void data_goes_on(struct conn *c)
{
    uint8_t frame[FRAME_MAX];
    struct stream *s;

    c->deaf = true;
    s = command(c, "send 3000000");
    fill(c, command(c, "hold"), frame);
    c->deaf = false;
    await(c, s->got == 3000000, "%llu bytes came while receiving was paused",
          (unsigned long long)s->got);
    await_fin(c, s);
}

/** Streams that are closed with unread data, more of it than the budget. */
static void unread_is_given_back(struct conn *c)
{
    for (unsigned i = 0; i < 40; i++) {
        struct stream *s = command(c, "hold 1");

        for (unsigned k = 0; k < 4; k++) {
            send_psh(c, s->id, 60000);
        }
        await_fin(c, s);
        send_fin(c, s->id);
    }
    fence(c);
}

static void one_unread_stream(struct conn *c)
{
    struct stream *held = command(c, "hold");
    struct stream *s = open_stream(c);

    for (unsigned i = 0; i < 8; i++) {
        send_psh(c, held->id, 32000);
    }
    send_data(c, s, 2000000, 32768);
    await_echo(c, s);
    release(c);
    await_echo(c, held);
}

static void both_directions(struct conn *c)
{
    struct stream *s[8];

    for (size_t i = 0; i < 8; i++) {
        s[i] = open_stream(c);
    }
    for (size_t round = 0; round < 10; round++) {
        for (size_t i = 0; i < 8; i++) {
            send_data(c, s[i], 50000, 25000);
        }
    }
    for (size_t i = 0; i < 8; i++) {
        await_echo(c, s[i]);
    }
}

static const struct spec_case k_cases[] = {
    {"UPD-1", "CONSUMED is never too much, and never goes back", V2, "", consumed_is_true, 0, 0},
    {"UPD-1", "what was not read is not credited", V2, "hold release", unread_is_not_credited, 0,
     0},
    {"UPD-2", "the first read is told", V2, "", first_read, 0, 0},
    {"UPD-2", "who keeps to the window never waits for good, 4 MB", V2, "", never_stalls, 32768,
     4000000},
    {"UPD-2", "nor with small frames", V2, "", never_stalls, 100, 400000},
    {"UPD-6", "no UPD after the peer's FIN", V2, "hold release", none_after_fin, 0, 0},
    {"UPD-8", "the first 262144 bytes stay legal when the window shrinks", V2, "hold release",
     first_window_stays_legal, 0, 0},
    {"UPD-9", "who overruns the window twice over loses the stream", V2, "hold", overrun, 0, 0},
    {"UPD-10 FIN-5", "crediting goes on behind the subject's FIN", V2, "half release outcome",
     credit_after_own_fin, 0, 0},
    {"BKT-3", "closing an unread stream lets receiving go on", V1, "hold", resume, 0, 0},
    {"BKT-4", "an unread stream stops receiving in the end", V1, "hold", pause_receiving, 0, 0},
    {"BKT-5", "the budget survives streams closed with unread data", BOTH, "hold",
     unread_is_given_back, 0, 0},
    {"BKT-6", "NOPs go on while receiving is paused", V1, "hold keepalive_ms", nops_go_on, 0, 0},
    {"BKT-6", "data goes on while receiving is paused", V1, "hold send", data_goes_on, 0, 0},
    {"BKT-6", "8 streams that are busy in both directions", BOTH, "", both_directions, 0, 0},
    {"BKT-7", "one unread stream does not stop others", V2, "hold release", one_unread_stream, 0,
     0},
};

SPEC_GROUP(credit, k_cases);
