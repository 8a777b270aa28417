/*
 * The end of a session, in order and otherwise, and what readers are told [END-1..5] [FIN-3].
 */
#include "steps.h"

#include <string.h>

/* --- errors ---------------------------------------------------------------------------------- */

/** Command `a` with length `b` closes the connection, at once. */
static void error_closes(struct conn *c)
{
    open_echo(c);
    send_header(c, c->version, spec_a(c), spec_b(c), our_id(c, 1));
    expect_end_within(c, soon(c));
}

static void version_closes(struct conn *c)
{
    open_echo(c);
    send_header(c, 3 - c->version, CMD_NOP, 0, 0);
    expect_end_within(c, soon(c));
}

/** The first error is the end: nothing behind it has an effect. */
static void nothing_behind_error(struct conn *c)
{
    struct stream *s = open_stream(c);
    uint8_t buf[128];
    size_t len = put_psh(buf, c->version, s->id, "before", 6);

    len += put_header(buf + len, c->version, sabotage_is(c, "forgiving") ? CMD_NOP : 9, 0, 0);
    len += put_psh(buf + len, c->version, s->id, "behind", 6);
    conn_send(c, buf, len);
    expect_dead(c);
    expect(c, s->got <= 6, "data behind the error came back");
}

/** Sends 50000 bytes, a FIN if `a`, and then an error, all in one piece. */
static void data_before_error(struct conn *c)
{
    static const char *const ends[] = {"bytes=50000 end=error", "bytes=50000 end=eof"};
    const char *token = fresh_token(c);
    struct stream *s = command(c, "sink %s", token);
    static uint8_t content[50000];
    uint8_t buf[sizeof content + 64];
    size_t len = put_psh(buf, c->version, s->id, content, sizeof content);

    if (spec_a(c) != 0) {
        len += put_fin(buf + len, c->version, s->id);
    }
    len += put_header(buf + len, c->version, 9, 0, 0);
    conn_send(c, buf, len);
    expect_outcome(c, token, ends[spec_a(c)]);
}

/* --- a connection that ends ------------------------------------------------------------------- */

/** Where it is cut; the bytes behind 1000 bytes of data. */
enum cut {
    BETWEEN_FRAMES,
    IN_HEADER,
    BEHIND_HEADER,
    IN_PAYLOAD,
    BEHIND_FIN,
    BEHIND_FIN_IN_HEADER
};

static size_t put_cut(uint8_t *buf, unsigned version, uint32_t id, enum cut cut)
{
    size_t len;

    switch (cut) {
    case BETWEEN_FRAMES:
        return 0;
    case IN_HEADER:
        put_header(buf, version, CMD_PSH, 100, id);
        return 5;
    case BEHIND_HEADER:
        return put_header(buf, version, CMD_PSH, 100, id);
    case IN_PAYLOAD:
        len = put_header(buf, version, CMD_PSH, 100, id);
        memset(buf + len, 0x80, 50);
        return len + 50;
    case BEHIND_FIN:
        return put_fin(buf, version, id);
    default:
        len = put_fin(buf, version, id);
        put_header(buf + len, version, CMD_PSH, 100, id);
        return len + 3;
    }
}

/** Cut `a`: without a FIN a reader must not believe that it has all. */
static void cut_connection(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "sink %s", token);
    uint8_t buf[256];

    send_psh(c, s->id, 1000);
    conn_send(c, buf, put_cut(buf, c->version, s->id, (enum cut)spec_a(c)));
    conn_shut(c);
    if (spec_a(c) >= BEHIND_FIN) {
        expect_outcome(c, token, "bytes=1000 end=eof");
    } else {
        const char *told = strstr(outcome(c, token), "end=error");

        expect(c, told != NULL, "the reader saw %.*s", (int)strcspn(c->text, "\n"), c->text);
    }
}

static void reset_connection(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "sink %s", token);

    send_psh(c, s->id, 1000);
    fence(c);
    conn_reset(c);
    expect(c, strstr(outcome(c, token), "end=error") != NULL, "the reader saw %.*s",
           (int)strcspn(c->text, "\n"), c->text);
}

/** Our direction has ended in order; the answer still comes. */
static void answer_after_end(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_psh(c, s->id, 50000);
    send_fin(c, s->id);
    conn_shut(c);
    s->withhold = true;
    await_echo(c, s);
    await_fin(c, s);
    await_end(c);
}

static void end_is_answered(struct conn *c)
{
    fence(c);
    conn_shut(c);
    expect_end_within(c, soon(c));
}

static void half_a_frame_is_no_data(struct conn *c)
{
    struct stream *s = open_echo(c);

    send_header(c, c->version, CMD_PSH, 100, s->id);
    conn_send(c, "0123456789", 10);
    conn_shut(c);
    await_end(c);
    expect(c, s->got <= 15, "%llu bytes came back", (unsigned long long)s->got);
    fence(conn_open(c->test));
}

/* --- a subject that ends the session ----------------------------------------------------------- */

static void ends_in_order(struct conn *c)
{
    struct stream *s = open_echo(c);

    command(c, "end");
    await_end(c);
    expect(c, c->error == 0, "the connection was reset");
    expect(c, s->fins == 1, "the open stream got %u FINs", s->fins);
}

/** A stream whose 200000 bytes the subject has taken over from its application, unread by us. */
static struct stream *taken_over(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s;

    c->deaf = true;
    s = command(c, "send 200000 %s", token);
    s->withhold = true;
    expect_outcome(c, token, "bytes=200000 end=eof");
    return s;
}

static void end_behind_all_data(struct conn *c)
{
    struct stream *s = taken_over(c);

    command(c, "end");
    c->deaf = false;
    await_end(c);
    expect(c, s->got == 200000 && s->fins == 1, "%llu bytes and %u FINs came",
           (unsigned long long)s->got, s->fins);
    expect_pattern(c, s, 200000);
}

/** We go on sending; a reset would destroy what we have not read yet. */
static void end_against_sender(struct conn *c)
{
    struct stream *out = open_echo(c);
    struct stream *s = taken_over(c);

    out->withhold = true;
    command(c, "end");
    for (unsigned i = 0; i < 20; i++) {
        send_psh(c, out->id, 5000);
        conn_idle(c, 5);
    }
    c->deaf = false;
    await_end(c);
    expect(c, c->error == 0, "the connection was reset");
    expect(c, s->got == 200000 && s->fins == 1, "%llu bytes and %u FINs came",
           (unsigned long long)s->got, s->fins);
}

/** A peer that neither reads nor ends does not keep the subject for ever. */
static void end_is_bounded(struct conn *c)
{
    unsigned limit = (unsigned)setting(c, "drain_ms");
    uint64_t until = clock_us() + (limit + c->run->patience_ms) * UINT64_C(1000);
    uint8_t nop[FRAME_HEADER];

    put_nop(nop, c->version);
    open_echo(c);
    command(c, "end");
    await_end(c);
    while (conn_offer(c, nop, sizeof nop, 1000) == sizeof nop) {
        expect(c, clock_us() < until, "open after %u ms and more", limit);
        conn_idle(c, 20);
    }
}

static void readers_wake(struct conn *c)
{
    const char *token = fresh_token(c);

    command(c, "sink %s", token);
    fence(c);
    command(c, "end");
    expect(c, strstr(outcome(c, token), "bytes=") != NULL, "the reader still waits: %s", c->text);
}

static void new_session_after_end(struct conn *c)
{
    command(c, "end");
    await_end(c);
    fence(conn_open(c->test));
}

static const struct spec_case k_cases[] = {
    {"END-2 RCV-1", "a wrong version closes the connection", BOTH, "", version_closes, 0, 0},
    {"END-2 RCV-1", "an unknown command closes the connection", BOTH, "", error_closes, 9, 0},
    {"END-2 RCV-1", "a wrong length closes the connection", BOTH, "", error_closes, CMD_FIN, 5},
    {"END-1 FRM-6", "nothing behind an error is taken", BOTH, "", nothing_behind_error, 0, 0},
    {"END-2", "data and FIN before an error are read in order", BOTH, "sink outcome",
     data_before_error, 1, 0},
    {"END-2 FIN-3", "without FIN, the reader gets the data, then an error", BOTH, "sink outcome",
     data_before_error, 0, 0},
    {"END-3 FIN-3", "a connection cut between frames is no end of a stream", BOTH, "sink outcome",
     cut_connection, BETWEEN_FRAMES, 0},
    {"END-3 FIN-3", "nor is one that is cut inside a header", BOTH, "sink outcome", cut_connection,
     IN_HEADER, 0},
    {"END-3 FIN-3", "nor one that is cut behind a header", BOTH, "sink outcome", cut_connection,
     BEHIND_HEADER, 0},
    {"END-3 FIN-3", "nor one that is cut inside a payload", BOTH, "sink outcome", cut_connection,
     IN_PAYLOAD, 0},
    {"END-3", "a stream with FIN has ended when the connection does", BOTH, "sink outcome",
     cut_connection, BEHIND_FIN, 0},
    {"END-3", "so it has when a header is cut behind it", BOTH, "sink outcome", cut_connection,
     BEHIND_FIN_IN_HEADER, 0},
    {"END-3 FIN-3", "a reset is no end of a stream", BOTH, "sink outcome", reset_connection, 0, 0},
    {"END-3", "streams with FIN may still be answered", BOTH, "", answer_after_end, 0, 0},
    {"END-3", "the end of our direction is answered", BOTH, "", end_is_answered, 0, 0},
    {"END-3", "half a frame is no data", BOTH, "", half_a_frame_is_no_data, 0, 0},
    {"END-4", "a session that is closed ends its streams with FIN", BOTH, "end", ends_in_order, 0,
     0},
    {"END-4", "it sends all data before", BOTH, "end send outcome", end_behind_all_data, 0, 0},
    {"END-4", "it does not reset a peer that still sends", BOTH, "end send outcome",
     end_against_sender, 0, 0},
    {"END-4 END-5", "closing takes no longer than its limit", BOTH, "end drain_ms", end_is_bounded,
     0, 0},
    {"END-5", "closing wakes readers", BOTH, "end sink outcome", readers_wake, 0, 0},
    {"END-5", "another session can follow", BOTH, "end", new_session_after_end, 0, 0},
};

SPEC_GROUP(end, k_cases);
