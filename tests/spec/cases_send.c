/*
 * Windows, the sending side: the subject sends no more than we allow, and all that we allow
 * [WIN-1..10] [RCV-16..19] [UPD-7].
 */
#include "steps.h"

#include <string.h>

enum {
    MUCH = 1000000
};

/** The subject wants to send MUCH and has used up the first window. */
static struct stream *first_window(struct conn *c)
{
    struct stream *s = command(c, "send %d", MUCH);

    s->withhold = true;
    await(c, s->got >= FIRST_WINDOW, "%llu bytes came in the first window",
          (unsigned long long)s->got);
    return s;
}

/** The rest comes, and it is right. */
static void expect_rest(struct conn *c, struct stream *s)
{
    while (s->got < MUCH) {
        uint64_t before = s->got;

        grant(c, s, (uint32_t)s->got, FIRST_WINDOW);
        await(c, s->got > before, "nothing came behind byte %llu", (unsigned long long)s->got);
    }
    await_fin(c, s);
    expect_pattern(c, s, MUCH);
    expect(c, s->got == MUCH, "%llu bytes came", (unsigned long long)s->got);
}

static void first_is_262144(struct conn *c)
{
    expect_got(c, first_window(c), FIRST_WINDOW);
}

static void each_stream_has_its_own(struct conn *c)
{
    struct stream *a = first_window(c);
    struct stream *b = first_window(c);

    grant(c, a, 1000, FIRST_WINDOW);
    expect_got(c, a, FIRST_WINDOW + 1000);
    expect_got(c, b, FIRST_WINDOW);
}

static void others_go_on(struct conn *c)
{
    struct stream *s;

    first_window(c);
    s = open_stream(c);
    send_data(c, s, 500000, 32768);
    await_echo(c, s);
}

static void steady(struct conn *c)
{
    expect_rest(c, first_window(c));
}

static void shrunk(struct conn *c)
{
    struct stream *s = first_window(c);

    grant(c, s, 32768, 65536);
    expect_got(c, s, FIRST_WINDOW);
    grant(c, s, FIRST_WINDOW - 1000, 1500);
    expect_got(c, s, FIRST_WINDOW + 500);
    expect_rest(c, s);
}

static void older_ignored(struct conn *c)
{
    struct stream *s = first_window(c);

    grant(c, s, FIRST_WINDOW, 1000);
    expect_got(c, s, FIRST_WINDOW + 1000);
    grant(c, s, 100000, 900000);
    expect_got(c, s, FIRST_WINDOW + 1000);
    grant(c, s, FIRST_WINDOW + 1000, 5000);
    expect_got(c, s, FIRST_WINDOW + 6000);
}

/** An older one does not take window away either. */
static void older_takes_nothing(struct conn *c)
{
    struct stream *s = command(c, "send %d", MUCH);

    grant(c, s, 0, 10000);
    await(c, s->got >= 10000, "%llu bytes came", (unsigned long long)s->got);
    grant(c, s, 10000, 0);
    fence(c);
    send_upd(c, s->id, 5000, 1);
    grant(c, s, (uint32_t)s->got, 20000);
    send_upd(c, s->id, 5000, 1);
    await(c, s->got >= 30000, "%llu bytes came of 30000", (unsigned long long)s->got);
}

static void same_consumed(struct conn *c)
{
    struct stream *s = first_window(c);

    grant(c, s, FIRST_WINDOW, 1000);
    expect_got(c, s, FIRST_WINDOW + 1000);
    grant(c, s, FIRST_WINDOW, 3000);
    expect_got(c, s, FIRST_WINDOW + 3000);
    grant(c, s, FIRST_WINDOW, 2000);
    expect_got(c, s, FIRST_WINDOW + 3000);
    grant(c, s, FIRST_WINDOW, 4000);
    expect_got(c, s, FIRST_WINDOW + 4000);
}

static void zero_waits(struct conn *c)
{
    struct stream *s = first_window(c);

    grant(c, s, FIRST_WINDOW, 0);
    expect_got(c, s, FIRST_WINDOW);
    conn_idle(c, 400);
    expect(c, s->got == FIRST_WINDOW, "%llu bytes came through a window of 0",
           (unsigned long long)s->got);
    grant(c, s, FIRST_WINDOW, 70000);
    expect_got(c, s, FIRST_WINDOW + 70000);
}

/** A window of `a`, granted again and again. */
static void small_window(struct conn *c)
{
    uint32_t n = spec_a(c);
    struct stream *s = first_window(c);

    for (uint32_t i = 0; i < spec_b(c); i++) {
        uint64_t want = s->got + n;

        grant(c, s, (uint32_t)s->got, n);
        await(c, s->got >= want, "byte %llu did not come", (unsigned long long)want);
        expect(c, s->got == want, "%llu bytes came, not %llu", (unsigned long long)s->got,
               (unsigned long long)want);
    }
}

/** A window that opens byte by byte while much is in flight is no reason for frames of a byte,
 *  but for one now and then, lest the peer waits for more before it opens on. */
static void no_silly_frames(struct conn *c)
{
    struct stream *s = first_window(c);
    uint64_t start = clock_us();
    unsigned allowed;

    for (uint32_t i = 1; i <= 20; i++) {
        grant(c, s, i, FIRST_WINDOW);
        fence(c);
        conn_idle(c, 4);
    }
    allowed = (unsigned)((clock_us() - start) / 200000) + 1;
    expect(c, s->ones <= allowed, "%u frames of one byte", s->ones);
}

static void small_opening_is_used(struct conn *c)
{
    struct stream *s = first_window(c);

    grant(c, s, 100, FIRST_WINDOW);
    expect_got(c, s, FIRST_WINDOW + 100);
}

/** WINDOW `a`, above 2^31 - 1. */
static void huge_window(struct conn *c)
{
    struct stream *s = first_window(c);

    grant(c, s, FIRST_WINDOW, spec_a(c));
    await(c, s->got == MUCH, "%llu bytes came", (unsigned long long)s->got);
    await_fin(c, s);
    expect_pattern(c, s, MUCH);
}

static void huge_in_flight(struct conn *c)
{
    struct stream *s = first_window(c);

    grant(c, s, 1000, spec_a(c));
    await(c, s->got == MUCH, "%llu bytes came", (unsigned long long)s->got);
    expect_pattern(c, s, MUCH);
}

static void early_window(struct conn *c)
{
    struct stream *s = open_stream(c);

    grant(c, s, 0, 1000);
    send_text(c, s->id, "!send 1000000\n");
    expect_got(c, s, 1000);
    grant(c, s, 1000, 9000);
    expect_got(c, s, 10000);
}

static void early_zero(struct conn *c)
{
    struct stream *s = open_stream(c);

    grant(c, s, 0, 0);
    send_text(c, s->id, "!send 1000000\n");
    expect_got(c, s, 0);
    grant(c, s, 0, 5000);
    expect_got(c, s, 5000);
}

static void upd_after_fin(struct conn *c)
{
    struct stream *s = command(c, "send 1000");

    await_fin(c, s);
    grant(c, s, 500, 65536);
    grant(c, s, 1000, 65536);
    grant(c, s, 1000, 0);
    send_fin(c, s->id);
    settle(c);
    expect(c, s->fins == 1 && s->got == 1000, "the frames are %s", s->trace);
}

/** CONSUMED beyond what was sent ends the stream, not the session. */
static void ahead(struct conn *c)
{
    struct stream *s = first_window(c);

    grant(c, s, FIRST_WINDOW + 1, 65536);
    await_fin(c, s);
    expect(c, s->got <= FIRST_WINDOW, "%llu bytes came", (unsigned long long)s->got);
    fence(c);
}

static void ahead_of_nothing(struct conn *c)
{
    struct stream *s = open_stream(c);

    grant(c, s, 1, 65536);
    send_psh(c, s->id, 10);
    await_fin(c, s);
    fence(c);
}

static const struct spec_case k_cases[] = {
    {"WIN-1", "the first window is 262144", V2, "send", first_is_262144, 0, 0},
    {"WIN-1", "each stream has a window of its own", V2, "send", each_stream_has_its_own, 0, 0},
    {"WIN-1 ORD-2", "a stream without window does not stop others", V2, "send", others_go_on, 0, 0},
    {"RCV-16", "all comes while the window is granted again", V2, "send", steady, 0, 0},
    {"WIN-3", "a window may shrink below what is in flight", V2, "send", shrunk, 0, 0},
    {"WIN-4 RCV-17", "an older CONSUMED is ignored", V2, "send", older_ignored, 0, 0},
    {"WIN-4 RCV-17", "an older CONSUMED does not shrink the window", V2, "send",
     older_takes_nothing, 0, 0},
    {"WIN-5", "the window may grow and shrink at the same CONSUMED", V2, "send", same_consumed, 0,
     0},
    {"WIN-6", "a window of 0 means wait", V2, "send", zero_waits, 0, 0},
    {"WIN-7 RCV-19", "a window of 2^31 is taken as 2^31 - 1", V2, "send", huge_window, 0x80000000u,
     0},
    {"WIN-7 RCV-19", "a window of 2^32 - 1 is taken as 2^31 - 1", V2, "send", huge_window,
     0xffffffffu, 0},
    {"WIN-7 RCV-19", "so it is while data is in flight", V2, "send", huge_in_flight, 0x80000000u,
     0},
    {"WIN-7", "a window of 2^31 - 1 is used", V2, "send", huge_window, 0x7fffffff, 0},
    {"WIN-8", "a window of 1 is used", V2, "send", small_window, 1, 30},
    {"WIN-8", "a window of 511 is used", V2, "send", small_window, 511, 100},
    {"WIN-8", "a window of 32768 is used", V2, "send", small_window, 32768, 10},
    {"WIN-8", "an opening of one byte is not used at once", V2, "send", no_silly_frames, 0, 0},
    {"WIN-8", "a small opening is used in the end", V2, "send", small_opening_is_used, 0, 0},
    {"WIN-10", "a UPD behind the subject's FIN does nothing", V2, "send", upd_after_fin, 0, 0},
    {"RCV-18", "CONSUMED ahead of what was sent ends the stream", V2, "send", ahead, 0, 0},
    {"RCV-18", "so it does when nothing was sent", V2, "", ahead_of_nothing, 0, 0},
    {"UPD-7", "an early UPD holds from the first byte on", V2, "send", early_window, 0, 0},
    {"UPD-7 WIN-6", "an early UPD may close the window", V2, "send", early_zero, 0, 0},
};

SPEC_GROUP(send, k_cases);
