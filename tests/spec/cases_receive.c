/*
 * What happens to each received frame, and honest peers that look hostile [RCV-2..15]
 * [TRAP-1..9].
 */
#include "steps.h"

#include <string.h>

static void nop_not_answered(struct conn *c)
{
    unsigned interval = (unsigned)spec_setting(c->run, "keepalive_ms", 10000);
    unsigned own;

    for (unsigned i = 0; i < 50; i++) {
        send_nop(c);
    }
    settle(c);
    own = (unsigned)((clock_us() - c->since_us) / 1000 / interval) + 2;
    expect(c, c->nops <= own, "%u NOPs came, %u are its own", c->nops, own);
}

static void nop_burst(struct conn *c)
{
    for (unsigned i = 0; i < 2050; i++) {
        send_nop(c);
    }
    fence(c);
}

static void syn_again(struct conn *c)
{
    struct stream *s = open_echo(c);

    send_syn(c, s->id);
    send_psh(c, s->id, 10);
    await_echo(c, s);
    send_syn(c, s->id);
    send_fin(c, s->id);
    await_fin(c, s);
    expect(c, s->got == s->sent, "%llu bytes came back", (unsigned long long)s->got);
}

/** A flood of useless frames ends the session. */
static void syn_flood(struct conn *c)
{
    enum {
        BUNCH = 1000
    };
    struct stream *s = open_echo(c);
    uint8_t syns[BUNCH * FRAME_HEADER];

    for (size_t i = 0; i < BUNCH; i++) {
        put_syn(syns + i * FRAME_HEADER, c->version, s->id);
    }
    for (unsigned i = 0; i < 60 && !c->ended && !sabotage_is(c, "forgiving"); i++) {
        conn_send(c, syns, sizeof syns);
        conn_receive(c, 0);
    }
    await_end(c);
}

static void id_again(struct conn *c)
{
    struct stream *s = open_echo(c);

    for (unsigned i = 1; i <= 5; i++) {
        send_fin(c, s->id);
        await(c, s->fins == i, "no FIN the %u. time", i);
        /* The subject forgets a stream when its FIN is written, which is now. */
        fence(c);
        send_syn(c, s->id);
        send_psh(c, s->id, 10);
        await_echo(c, s);
    }
}

static void empty_psh(struct conn *c)
{
    struct stream *s = open_echo(c);

    send_psh(c, s->id, 0);
    send_psh(c, s->id, 0);
    send_psh(c, s->id, 10);
    send_psh(c, s->id, 0);
    await_echo(c, s);
    settle(c);
    expect(c, s->fins == 0, "an empty PSH was taken as the end");
}

static void empty_psh_unknown(struct conn *c)
{
    send_psh(c, our_id(c, 900), 0);
    send_psh(c, their_id(c, 900), 0);
    settle(c);
    expect(c, stream_of(c, our_id(c, 900))->frames == 0, "it was answered");
}

/** `b` PSH of `a` bytes for streams that do not exist. */
static void psh_unknown(struct conn *c)
{
    struct stream *ours = stream_of(c, our_id(c, 900));
    struct stream *theirs = stream_of(c, their_id(c, 900));

    for (uint32_t i = 0; i < spec_b(c); i++) {
        send_psh(c, i % 2 == 0 ? ours->id : theirs->id, spec_a(c));
    }
    settle(c);
    expect(c, ours->frames + theirs->frames == 0, "it was answered: %s", ours->trace);
}

static void in_order(struct conn *c)
{
    struct stream *s[4];

    for (size_t i = 0; i < 4; i++) {
        s[i] = open_stream(c);
    }
    for (size_t round = 0; round < 50; round++) {
        for (size_t i = 0; i < 4; i++) {
            send_data(c, s[i], 1000 + 777 * i, 1500);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        await_echo(c, s[i]);
    }
}

static void megabytes(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_data(c, s, 3000000, 32768);
    await_echo(c, s);
}

/** What comes after the peer's FIN is dropped, although nothing was read yet. */
static void psh_after_fin(struct conn *c)
{
    struct stream *s = command(c, "hold");

    send_psh(c, s->id, 1000);
    send_fin(c, s->id);
    send_text(c, s->id, "late");
    release(c);
    await_fin(c, s);
    expect(c, s->got == 1000, "%llu bytes came back of 1000", (unsigned long long)s->got);
}

static void psh_for_closed(struct conn *c)
{
    struct stream *s = command(c, "close 10");

    await_fin(c, s);
    for (unsigned i = 0; i < 20; i++) {
        send_psh(c, s->id, 1000);
    }
    settle(c);
    expect(c, s->got == 10 && s->fins == 1, "the frames of a closed stream are %s", s->trace);
}

static void fin_unknown(struct conn *c)
{
    send_fin(c, our_id(c, 900));
    send_fin(c, their_id(c, 900));
    settle(c);
    expect(c, stream_of(c, our_id(c, 900))->frames == 0, "it was answered");
}

static void fin_again(struct conn *c)
{
    struct stream *s = command(c, "hold");

    send_psh(c, s->id, 1000);
    send_fin(c, s->id);
    send_fin(c, s->id);
    send_fin(c, s->id);
    release(c);
    await_echo(c, s);
    await_fin(c, s);
    send_fin(c, s->id);
    settle(c);
    expect(c, s->fins == 1, "%u FINs", s->fins);
}

static void upd_unknown(struct conn *c)
{
    send_upd(c, our_id(c, 900), 0, 65536);
    send_upd(c, their_id(c, 900), 12345, 0);
    send_upd(c, our_id(c, 901), 0xffffffff, 0xffffffff);
    settle(c);
    expect(c, stream_of(c, our_id(c, 900))->frames == 0, "it was answered");
}

/* --- traps ---------------------------------------------------------------------------------- */

static void late_frames(struct conn *c)
{
    struct stream *s = open_echo(c);

    send_fin(c, s->id);
    await_fin(c, s);
    for (unsigned i = 0; i < 100; i++) {
        send_text(c, s->id, "late");
        send_fin(c, s->id);
        if (c->version == 2) {
            send_upd(c, s->id, (uint32_t)s->got, 65536);
        }
    }
    settle(c);
    expect(c, s->fins == 1 && s->got == 5, "late frames were answered: %s", s->trace);
}

static void syn_and_fin(struct conn *c)
{
    for (unsigned i = 0; i < 1000; i++) {
        send_fin(c, open_stream(c)->id);
        conn_receive(c, 0);
    }
    for (size_t i = 0; i < 1000; i++) {
        await_fin(c, c->streams[i]);
    }
    fence(c);
}

/** The peer's application does not read for a while. */
static void slow_reader(struct conn *c)
{
    struct stream *s = command(c, "send 3000000");

    c->deaf = true;
    conn_idle(c, 700);
    c->deaf = false;
    await(c, s->got == 3000000, "%llu bytes came", (unsigned long long)s->got);
    expect_pattern(c, s, 3000000);
}

static void upd_for_every_byte(struct conn *c)
{
    struct stream *s = command(c, "send 2000");

    for (uint32_t i = 0; i < 2000; i++) {
        await(c, s->got > i, "byte %u did not come", (unsigned)i);
        grant(c, s, i + 1, FIRST_WINDOW);
    }
    await_fin(c, s);
    fence(c);
}

/** To some peers our FIN is but a half-close. */
static void sends_after_our_fin(struct conn *c)
{
    const char *token = fresh_token(c);
    struct stream *s = command(c, "half %s", token);

    await_fin(c, s);
    send_psh(c, s->id, 5000);
    send_fin(c, s->id);
    release(c);
    expect_outcome(c, token, "bytes=5000 end=eof");
}

/** Two writers of one stream may each use the whole window. */
static void overrun_of_two(struct conn *c)
{
    struct stream *s = command(c, "hold");

    for (unsigned i = 0; i < 2 * FIRST_WINDOW / 32768 - 1; i++) {
        send_psh(c, s->id, 32768);
    }
    release(c);
    await_echo(c, s);
}

static const struct spec_case k_cases[] = {
    {"RCV-2 KA-3", "a NOP is not answered", BOTH, "", nop_not_answered, 0, 0},
    {"RCV-3", "3 MB come back unchanged", BOTH, "", megabytes, 0, 0},
    {"RCV-5", "a SYN for an open stream is ignored", BOTH, "", syn_again, 0, 0},
    {"RCV-5", "60000 of them end the session", BOTH, "", syn_flood, 0, 0},
    {"RCV-6", "the id of a closed stream may be opened again", BOTH, "", id_again, 0, 0},
    {"RCV-7", "a PSH of length 0 is ignored, and no end", BOTH, "", empty_psh, 0, 0},
    {"RCV-7", "a PSH of length 0 for an unknown stream is ignored", BOTH, "", empty_psh_unknown, 0,
     0},
    {"RCV-8", "a PSH for an unknown stream is skipped", BOTH, "", psh_unknown, 100, 2},
    {"RCV-8", "6 MB for unknown streams are skipped", BOTH, "", psh_unknown, 65535, 96},
    {"RCV-9", "streams are kept apart", BOTH, "", in_order, 0, 0},
    {"RCV-10", "data behind the FIN is dropped", BOTH, "hold release", psh_after_fin, 0, 0},
    {"RCV-11", "data for a stream that the subject closed is dropped", BOTH, "close",
     psh_for_closed, 0, 0},
    {"RCV-12", "a FIN for an unknown stream is ignored", BOTH, "", fin_unknown, 0, 0},
    {"RCV-14", "a second FIN is ignored", BOTH, "hold release", fin_again, 0, 0},
    {"RCV-15", "a UPD for an unknown stream is ignored", V2, "", upd_unknown, 0, 0},
    {"TRAP-1", "late frames of a closed stream are ignored", BOTH, "", late_frames, 0, 0},
    {"TRAP-4", "a UPD for every byte is no offence", V2, "send", upd_for_every_byte, 0, 0},
    {"TRAP-5", "a burst of 2050 NOPs is no offence", BOTH, "", nop_burst, 0, 0},
    {"TRAP-6", "a peer may stop reading for a while", BOTH, "send", slow_reader, 0, 0},
    {"TRAP-7", "1000 streams that end at once are no offence", BOTH, "", syn_and_fin, 0, 0},
    {"TRAP-8", "data behind the subject's FIN is read", BOTH, "half release outcome",
     sends_after_our_fin, 0, 0},
    {"TRAP-9", "twice the first window is tolerated", V2, "hold release", overrun_of_two, 0, 0},
};

SPEC_GROUP(receive, k_cases);
