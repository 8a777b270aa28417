/*
 * FIN, half-close, close, abort, and the order of frames [FIN-1..12] [ORD-1..4] [RCV-13].
 */
#include "steps.h"

#include <string.h>

/* --- FIN ------------------------------------------------------------------------------------ */

static void one_fin(struct conn *c)
{
    struct stream *s = open_echo(c);

    send_fin(c, s->id);
    await_fin(c, s);
    settle(c);
    expect(c, s->fins == 1, "%u FINs", s->fins);
}

static void one_fin_of_sender(struct conn *c)
{
    struct stream *s = command(c, "send 1000");

    await_fin(c, s);
    send_fin(c, s->id);
    settle(c);
    expect(c, s->fins == 1, "%u FINs", s->fins);
}

/** All of `a` bytes, and then the FIN. */
static void fin_behind_data(struct conn *c)
{
    struct stream *s = command(c, "send %u", (unsigned)spec_a(c));

    await_fin(c, s);
    expect(c, s->got == spec_a(c), "%llu bytes came before the FIN", (unsigned long long)s->got);
    expect_pattern(c, s, spec_a(c));
}

static void end_behind_data(struct conn *c)
{
    struct stream *s = command(c, "hold");

    for (unsigned i = 0; i < 10; i++) {
        send_psh(c, s->id, 12345);
    }
    send_fin(c, s->id);
    release(c);
    await_echo(c, s);
    await_fin(c, s);
}

static void end_without_data(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "sink %s", token);

    send_fin(c, s->id);
    expect_outcome(c, token, "bytes=0 end=eof");
}

static void end_is_sticky(struct conn *c)
{
    struct stream *s = command(c, "twice");
    const char *told;

    send_psh(c, s->id, 10);
    send_fin(c, s->id);
    told = answer_line(c, s);
    expect(c, strcmp(told, "end 10\n") == 0, "the reader saw %s", told);
    send_text(c, s->id, "late");
    release(c);
    told = answer(c, s);
    expect(c, strcmp(told, "end 10\nlate 0\n") == 0, "data came behind the end: %s", told);
}

/* --- half-close ------------------------------------------------------------------------------ */

/** The subject has closed its side before: unread data must survive our FIN. */
static void unread_survives_both_fins(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "half %s", token);

    await_fin(c, s);
    for (unsigned i = 0; i < 5; i++) {
        send_psh(c, s->id, 10000);
    }
    send_fin(c, s->id);
    fence(c);
    release(c);
    expect_outcome(c, token, "bytes=50000 end=eof");
}

static void reads_behind_own_fin(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "half %s", token);

    await_fin(c, s);
    release(c);
    send_data(c, s, 100000, 10000);
    conn_idle(c, 100);
    send_fin(c, s->id);
    expect_outcome(c, token, "bytes=100000 end=eof");
}

/** Writes `a` bytes although we have closed our side. */
static void writes_behind_our_fin(struct conn *c)
{
    struct stream *s = command(c, "send %u", (unsigned)spec_a(c));

    send_fin(c, s->id);
    await_fin(c, s);
    expect(c, s->got == spec_a(c), "%llu bytes came", (unsigned long long)s->got);
    expect_pattern(c, s, spec_a(c));
}

static void reply_behind_our_fin(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "sink %s", token);

    send_psh(c, s->id, 1000);
    send_fin(c, s->id);
    expect(c, strcmp(answer(c, s), "end 1000\n") == 0, "the answer is %s", c->text);
}

static void waits_for_credit(struct conn *c)
{
    unsigned limit = (unsigned)setting(c, "half_close_ms");
    struct stream *s = command(c, "send 500000");
    uint64_t start = clock_us();

    s->withhold = true;
    send_fin(c, s->id);
    await(c, s->got == FIRST_WINDOW, "%llu bytes came", (unsigned long long)s->got);
    conn_idle(c, limit);
    await_fin(c, s);
    expect(c, s->fin_at_us - start >= limit * UINT64_C(1000) && s->got == FIRST_WINDOW,
           "%llu bytes, FIN after %llu us", (unsigned long long)s->got,
           (unsigned long long)(s->fin_at_us - start));
    fence(c);
}

/* --- linger ---------------------------------------------------------------------------------- */

/** The FIN is held back while we may have unread data of the subject. */
static void lingers(struct conn *c)
{
    uint64_t linger = setting(c, "linger_ms") * UINT64_C(1000);
    struct stream *s = open_stream(c);
    uint64_t start = clock_us();

    s->withhold = true;
    send_psh(c, s->id, 100);
    send_fin(c, s->id);
    await_echo(c, s);
    await_fin(c, s);
    /* Who notes in whole milliseconds when it sent is up to one early. */
    expect(c, s->fin_at_us - start + 1000 >= linger, "the FIN came after %llu us",
           (unsigned long long)(s->fin_at_us - start));
}

/** Of two streams, the one whose data is acknowledged ends first. A machine that sleeps for the
 *  whole linger in between may see it otherwise, but not five times. */
static void acknowledged_ends_first(struct conn *c)
{
    for (unsigned tries = 0; tries < 5; tries++) {
        struct stream *a = open_stream(c);
        struct stream *b = open_stream(c);

        a->withhold = true;
        send_psh(c, a->id, 100);
        send_fin(c, a->id);
        send_psh(c, b->id, 100);
        send_fin(c, b->id);
        await_echo(c, b);
        grant(c, b, 100, FIRST_WINDOW);
        await_fin(c, a);
        await_fin(c, b);
        if (b->fin_at_us < a->fin_at_us) {
            return;
        }
    }
    spec_fail(c, "the FIN behind acknowledged data comes no earlier");
}

static void own_fin_does_not_linger(struct conn *c)
{
    struct stream *s = command(c, "send 100");

    await_fin(c, s);
    fence(c);
}

/* --- close and abort ------------------------------------------------------------------------- */

static void close_sends_all(struct conn *c)
{
    struct stream *s = command(c, "close 200000");

    for (unsigned i = 0; i < 10; i++) {
        send_psh(c, s->id, 5000);
    }
    await_fin(c, s);
    expect(c, s->got == 200000, "%llu bytes came before the FIN", (unsigned long long)s->got);
    expect_pattern(c, s, 200000);
    fence(c);
}

/** A writer that does not know yet gets window, so that it can finish. Clause: may. */
static void closed_is_credited(struct conn *c)
{
    enum {
        PLENTY = 800000
    };
    struct stream *s = command(c, "close 10");

    await_fin(c, s);
    while (s->sent < PLENTY) {
        uint64_t room = allowance(c, s);

        for (unsigned i = 0; i < 50 && room == 0; i++, room = allowance(c, s)) {
            conn_idle(c, 10);
        }
        if (room == 0) {
            fence(c);
            spec_skip(c, "%llu bytes were credited, and none is allowed",
                      (unsigned long long)s->sent);
        }
        send_psh(c, s->id, room < 32000 ? (size_t)room : 32000);
    }
    fence(c);
}

static void closed_then_fin(struct conn *c)
{
    struct stream *s = command(c, "close 10");

    await_fin(c, s);
    send_psh(c, s->id, 100);
    send_fin(c, s->id);
    settle(c);
    expect(c, s->fins == 1, "%u FINs", s->fins);
    send_syn(c, s->id);
    s->got = s->sent = s->line = 0;
    send_psh(c, s->id, 100);
    await_echo(c, s);
}

static void aborted(struct conn *c)
{
    struct stream *s = command(c, "abort 0");

    await_fin(c, s);
    send_psh(c, s->id, 1000);
    send_fin(c, s->id);
    settle(c);
    expect(c, s->got == 0 && s->fins == 1, "the frames of an aborted stream are %s", s->trace);
}

static void abort_drops_the_rest(struct conn *c)
{
    struct stream *s = command(c, "abort 200000");

    await_fin(c, s);
    expect(c, s->got <= 200000, "%llu bytes came", (unsigned long long)s->got);
    expect_pattern(c, s, s->got);
    settle(c);
    expect(c, s->fins == 1, "%u FINs", s->fins);
}

/* --- order ----------------------------------------------------------------------------------- */

static void order_of_frames(struct conn *c)
{
    struct stream *s;
    const char *fin;

    command(c, "open 1 hello");
    s = await_opened(c, 1);
    await_text(c, s, "hello");
    send_data(c, s, 100000, 10000);
    send_fin(c, s->id);
    await(c, s->got == 100005, "%llu bytes came", (unsigned long long)s->got);
    await_fin(c, s);
    settle(c);
    fin = strchr(s->trace, 'F');
    expect(c, s->trace[0] == 'S' && s->syns == 1, "the frames are %s", s->trace);
    expect(c, fin[1 + strspn(fin + 1, "U")] == '\0', "behind the FIN came %s", fin);
}

static void only_upd_behind_fin(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "half %s", token);
    const char *fin;

    await_fin(c, s);
    release(c);
    send_data(c, s, 200000, 10000);
    send_fin(c, s->id);
    settle(c);
    fin = strchr(s->trace, 'F');
    expect(c, fin[1 + strspn(fin + 1, "U")] == '\0', "behind the FIN came %s", fin);
    expect_outcome(c, token, "bytes=200000 end=eof");
}

static void side_by_side(struct conn *c)
{
    struct stream *s[8];

    for (size_t i = 0; i < 8; i++) {
        s[i] = command(c, "send 2000000");
    }
    for (size_t i = 0; i < 8; i++) {
        await_fin(c, s[i]);
        expect(c, s[i]->got == 2000000, "%llu bytes came", (unsigned long long)s[i]->got);
        expect_pattern(c, s[i], 2000000);
    }
}

static const struct spec_case k_cases[] = {
    {"FIN-1", "an echoed stream ends with one FIN", BOTH, "", one_fin, 0, 0},
    {"FIN-1", "a stream that the subject ended first has one FIN", BOTH, "send", one_fin_of_sender,
     0, 0},
    {"FIN-1 ORD-4", "the FIN comes behind 5 bytes", BOTH, "send", fin_behind_data, 5, 0},
    {"FIN-1 ORD-4", "the FIN comes behind 200000 bytes", BOTH, "send", fin_behind_data, 200000, 0},
    {"FIN-1 ORD-4", "the FIN comes behind 2 MB", BOTH, "send", fin_behind_data, 2000000, 0},
    {"FIN-2 RCV-13", "the end is read behind all data", BOTH, "hold release", end_behind_data, 0,
     0},
    {"FIN-2 RCV-13", "a stream may end without data", BOTH, "sink outcome", end_without_data, 0, 0},
    {"FIN-2", "the end is final", BOTH, "twice release", end_is_sticky, 0, 0},
    {"FIN-4 RCV-13", "unread data survives when both have sent FIN", BOTH, "half release outcome",
     unread_survives_both_fins, 0, 0},
    {"FIN-5", "the subject reads behind its own FIN", BOTH, "half release outcome",
     reads_behind_own_fin, 0, 0},
    {"FIN-6", "the subject writes behind our FIN", BOTH, "send", writes_behind_our_fin, 100000, 0},
    {"FIN-6", "it does so beyond the first window", BOTH, "send", writes_behind_our_fin, 1000000,
     0},
    {"FIN-6", "it answers when it has read the end", BOTH, "sink outcome", reply_behind_our_fin, 0,
     0},
    {"FIN-7", "the FIN lingers while data may be unread", BOTH, "linger_ms", lingers, 0, 0},
    {"FIN-7", "acknowledged data ends the linger", V2, "linger_ms", acknowledged_ends_first, 0, 0},
    {"FIN-7", "the FIN that comes first does not wait for ours", BOTH, "send",
     own_fin_does_not_linger, 0, 0},
    {"FIN-9", "a writer without window is given up behind our FIN", V2, "send half_close_ms",
     waits_for_credit, 0, 0},
    {"FIN-10", "close sends all, and drops what comes", BOTH, "close", close_sends_all, 0, 0},
    {"FIN-11", "a closed stream may be credited", V2, "close", closed_is_credited, 0, 0},
    {"FIN-10 RCV-6", "the id of a closed stream is free again", BOTH, "close", closed_then_fin, 0,
     0},
    {"FIN-12", "abort is one FIN, and drops what comes", BOTH, "abort", aborted, 0, 0},
    {"FIN-12", "abort may drop data, but breaks no frame", BOTH, "abort", abort_drops_the_rest, 0,
     0},
    {"ORD-1", "SYN, data, FIN come in this order", BOTH, "open", order_of_frames, 0, 0},
    {"ORD-1", "behind the FIN come at most UPDs", BOTH, "half release outcome", only_upd_behind_fin,
     0, 0},
    {"ORD-4 RCV-9", "8 streams of 2 MB come right, side by side", BOTH, "send", side_by_side, 0, 0},
};

SPEC_GROUP(fin, k_cases);
