/*
 * Stream ids, opening, accepting, refusing [SID-1..5] [OPN-1..7].
 */
#include "steps.h"

#include <string.h>

enum {
    FENCE_GONE_MS = 500 /**< the subject has closed the stream of a fence */
};

/* --- ids that the subject chooses ----------------------------------------------------------- */

static void first_id(struct conn *c)
{
    struct stream *s;

    command(c, "open 1");
    s = await_opened(c, 1);
    expect(c, s->id == their_id(c, 1), "the first id is %u", (unsigned)s->id);
}

static void next_ids(struct conn *c)
{
    command(c, "open 40");
    for (unsigned i = 1; i <= 40; i++) {
        struct stream *s = await_opened(c, i);

        expect(c, s->id == their_id(c, i), "id %u of stream %u", (unsigned)s->id, i);
        expect(c, s->syns == 1, "%u SYNs of one stream", s->syns);
    }
}

static void ids_not_reused(struct conn *c)
{
    for (unsigned i = 1; i <= 5; i++) {
        struct stream *s;

        command(c, "open 1 hello");
        s = await_opened(c, i);
        expect(c, s->id == their_id(c, i), "id %u of stream %u", (unsigned)s->id, i);
        await_text(c, s, "hello");
        send_fin(c, s->id);
        await_fin(c, s);
    }
}

/* --- ids that the subject takes --------------------------------------------------------------- */

static struct stream *echo_at(struct conn *c, uint32_t id)
{
    struct stream *s = stream_of(c, id);

    send_syn(c, id);
    send_psh(c, id, 10);
    await_echo(c, s);
    return s;
}

static void lowest_id(struct conn *c)
{
    echo_at(c, our_id(c, 0));
    fence(c);
}

static void highest_id(struct conn *c)
{
    echo_at(c, our_id(c, 0x7fffffff));
    fence(c);
}

static void falling_ids(struct conn *c)
{
    for (uint32_t i = 60; i > 10; i--) {
        echo_at(c, our_id(c, i));
    }
    fence(c);
}

static void scattered_ids(struct conn *c)
{
    for (uint32_t i = 1; i <= 50; i++) {
        echo_at(c, our_id(c, i * UINT32_C(2654435769) >> 1));
    }
    fence(c);
}

static void ids_of_same_bucket(struct conn *c)
{
    for (uint32_t i = 1; i <= 50; i++) {
        echo_at(c, our_id(c, i << 16));
    }
    fence(c);
}

/** A SYN with an id of the subject's own parity. */
static void their_parity(struct conn *c)
{
    open_echo(c);
    if (!sabotage_is(c, "forgiving")) {
        send_syn(c, their_id(c, 500));
    }
    expect_dead(c);
}

/** The subject has sent data, so that its table has the stream for sure: in some releases of Go, a
 *  SYN that comes before makes the process crash later on. */
static void their_stream(struct conn *c)
{
    struct stream *s;

    command(c, "open 1 hello");
    s = await_opened(c, 1);
    await_text(c, s, "hello");
    if (!sabotage_is(c, "forgiving")) {
        send_syn(c, s->id);
    }
    expect_dead(c);
}

static void id_of_nop(struct conn *c)
{
    send_header(c, c->version, CMD_NOP, 0, 77);
    send_header(c, c->version, CMD_NOP, 0, 0xffffffff);
    fence(c);
}

/* --- opening -------------------------------------------------------------------------------- */

/** The subject's table has the stream before its SYN can leave: an answer that is as fast as
 *  can be is not lost. */
static void answered_at_once(struct conn *c)
{
    enum {
        ROUNDS = 100
    };

    for (unsigned i = 1; i <= ROUNDS; i++) {
        struct stream *s;

        command(c, "open 1");
        s = await_opened(c, i);
        send_text(c, s->id, "answer");
        await(c, s->got == 6, "the answer to stream %u of %u was lost", i, (unsigned)ROUNDS);
    }
}

static void refused_at_once(struct conn *c)
{
    enum {
        ROUNDS = 100
    };

    for (unsigned i = 1; i <= ROUNDS; i++) {
        struct stream *s;

        command(c, "open 1");
        s = await_opened(c, i);
        send_fin(c, s->id);
        await(c, s->fins > 0, "the refusal of stream %u of %u was lost", i, (unsigned)ROUNDS);
    }
}

static void syn_first(struct conn *c)
{
    command(c, "open 20 hello");
    for (unsigned i = 1; i <= 20; i++) {
        struct stream *s = await_opened(c, i);

        await_text(c, s, "hello");
        expect(c, s->trace[0] == 'S' && s->syns == 1, "the frames of a new stream are %s",
               s->trace);
    }
}

static void syn_by_itself(struct conn *c)
{
    struct stream *s;

    command(c, "open 1");
    s = await_opened(c, 1);
    settle(c);
    expect(c, s->pshs == 0 && s->fins == 0, "the frames of a silent stream are %s", s->trace);
}

static void open_does_not_wait(struct conn *c)
{
    command(c, "open 100");
    await_opened(c, 100);
    fence(c);
}

static void both_open(struct conn *c)
{
    for (unsigned i = 1; i <= 20; i++) {
        struct stream *s;

        command(c, "open 1 hi");
        s = open_echo(c);
        await_text(c, await_opened(c, i), "hi");
        send_psh(c, s->id, 1000);
        await_echo(c, s);
    }
}

/* --- accepting ------------------------------------------------------------------------------- */

static void many_streams(struct conn *c)
{
    struct stream *s[100];

    for (size_t i = 0; i < 100; i++) {
        s[i] = open_stream(c);
        send_psh(c, s[i]->id, 100 + i);
        if (i % 50 == 49) {
            fence(c);
        }
    }
    for (size_t i = 0; i < 100; i++) {
        await_echo(c, s[i]);
    }
}

static void one_after_another(struct conn *c)
{
    for (size_t i = 0; i < 200; i++) {
        struct stream *s = open_stream(c);

        send_psh(c, s->id, 20);
        send_fin(c, s->id);
        await_echo(c, s);
    }
    fence(c);
}

static void syn_with_data_and_fin(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_psh(c, s->id, 1000);
    send_fin(c, s->id);
    await_fin(c, s);
    await_echo(c, s);
}

static void data_long_after_syn(struct conn *c)
{
    struct stream *s = open_stream(c);

    conn_idle(c, 300);
    expect(c, s->frames == 0, "a stream without data was answered: %s", s->trace);
    send_psh(c, s->id, 10);
    await_echo(c, s);
}

/* --- refusing ------------------------------------------------------------------------------- */

/** Opens streams until some are refused, and each further one will be. The fences, which keep
 *  the accept queue short, have left the subject's table by then. */
static struct stream *open_too_many(struct conn *c)
{
    unsigned most = (unsigned)setting(c, "max_streams");
    struct stream *last = NULL;

    for (unsigned i = 0; i < most; i++) {
        if (i % 50 == 49 && i < most - 50) {
            fence(c);
        }
        open_stream(c);
    }
    conn_idle(c, FENCE_GONE_MS);
    for (unsigned i = 0; i < 30; i++) {
        last = open_stream(c);
    }
    await_fin(c, last);
    return last;
}

/** Streams that were answered by one FIN and nothing else. */
static unsigned refused(const struct conn *c)
{
    unsigned n = 0;

    for (size_t i = 0; i < c->n_streams; i++) {
        const struct stream *s = c->streams[i];

        n += s->sent == 0 && strcmp(s->trace, "F") == 0;
    }
    return n;
}

static void over_the_limit(struct conn *c)
{
    struct stream *last = open_too_many(c);

    conn_idle(c, 100);
    expect(c, refused(c) >= 20 && refused(c) <= 60, "%u streams were refused", refused(c));
    expect(c, strcmp(last->trace, "F") == 0, "a refusal is %s", last->trace);
}

static void goes_on_after_refusing(struct conn *c)
{
    struct stream *last = open_too_many(c);

    send_psh(c, last->id, 1000);
    send_fin(c, last->id);
    for (size_t i = 0; i < 40; i++) {
        if (c->streams[i]->sent == 0 && c->streams[i]->fins == 0) {
            send_fin(c, c->streams[i]->id);
            await_fin(c, c->streams[i]);
        }
    }
    fence(c);
    expect(c, strcmp(last->trace, "F") == 0, "a refused stream got %s", last->trace);
}

/** A refusal waits for the guard: the opener's table may not have the stream before. */
static void guarded_refusal(struct conn *c)
{
    uint64_t guard = setting(c, "guard_ms") * UINT64_C(1000);
    struct stream *s;
    uint64_t start;

    open_too_many(c);
    start = clock_us();
    s = open_stream(c);
    await_fin(c, s);
    expect(c, s->fin_at_us - start >= guard, "refused after %llu us",
           (unsigned long long)(s->fin_at_us - start));
}

/** More streams than the accept queue holds do not stop the session. */
static void not_accepted(struct conn *c)
{
    unsigned n = (unsigned)spec_setting(c->run, "backlog", 1024) + 80;
    struct stream *live = open_echo(c);

    answer_line(c, command(c, "noaccept"));
    for (unsigned i = 0; i < n; i++) {
        open_stream(c);
    }
    send_psh(c, live->id, 1000);
    await_echo(c, live);
}

static void backlog_refused(struct conn *c)
{
    unsigned backlog = (unsigned)setting(c, "backlog");

    answer_line(c, command(c, "noaccept"));
    for (unsigned i = 0; i < backlog + 30; i++) {
        open_stream(c);
    }
    await(c, refused(c) >= 25, "%u of 30 streams were refused", refused(c));
    conn_idle(c, 50);
    expect(c, refused(c) <= 31, "%u of 30 streams were refused", refused(c));
}

static void accepted_late(struct conn *c)
{
    struct stream *pause = command(c, "noaccept");
    struct stream *s[20];

    answer_line(c, pause);
    for (size_t i = 0; i < 20; i++) {
        s[i] = open_stream(c);
        send_psh(c, s[i]->id, 100);
    }
    conn_idle(c, 50);
    send_fin(c, pause->id);
    for (size_t i = 0; i < 20; i++) {
        await_echo(c, s[i]);
    }
}

static const struct spec_case k_cases[] = {
    {"SID-1", "the first id is 3 of a client, 2 of a server", BOTH, "open", first_id, 0, 0},
    {"SID-1", "each further id is 2 more", BOTH, "open", next_ids, 0, 0},
    {"SID-2", "ids are not used again", BOTH, "open", ids_not_reused, 0, 0},
    {"SID-3", "the lowest id is taken", BOTH, "", lowest_id, 0, 0},
    {"SID-3", "the highest id is taken", BOTH, "", highest_id, 0, 0},
    {"SID-3", "ids may fall", BOTH, "", falling_ids, 0, 0},
    {"SID-3", "ids may come in any order", BOTH, "", scattered_ids, 0, 0},
    {"SID-3", "ids may lie 65536 apart", BOTH, "", ids_of_same_bucket, 0, 0},
    {"SID-4", "a SYN of the subject's parity is fatal", BOTH, "", their_parity, 0, 0},
    {"SID-4", "a SYN for a stream that the subject opened is fatal", BOTH, "open", their_stream, 0,
     0},
    {"SID-5", "the id of a NOP does not matter", BOTH, "", id_of_nop, 0, 0},
    {"OPN-1", "an answer may follow the SYN at once", BOTH, "open", answered_at_once, 0, 0},
    {"OPN-1 OPN-4", "a refusal may follow the SYN at once", BOTH, "open", refused_at_once, 0, 0},
    {"OPN-2", "SYN is the first frame of a stream", BOTH, "open", syn_first, 0, 0},
    {"OPN-2", "a SYN leaves without data", BOTH, "open", syn_by_itself, 0, 0},
    {"OPN-3", "100 streams are opened without an answer", BOTH, "open", open_does_not_wait, 0, 0},
    {"OPN-4 RCV-4", "streams over the limit get one FIN each", BOTH, "max_streams", over_the_limit,
     0, 0},
    {"OPN-4 RCV-4", "after refusing, the session goes on", BOTH, "max_streams",
     goes_on_after_refusing, 0, 0},
    {"OPN-5", "a refusal waits for the accept guard", BOTH, "max_streams guard_ms", guarded_refusal,
     0, 0},
    {"OPN-5", "a silent stream is not answered", BOTH, "", data_long_after_syn, 0, 0},
    {"OPN-6", "a full accept queue does not stop the session", BOTH, "noaccept", not_accepted, 0,
     0},
    {"OPN-6", "streams over the accept queue are refused", BOTH, "noaccept backlog",
     backlog_refused, 0, 0},
    {"OPN-6 RCV-3", "streams wait for being accepted, with their data", BOTH, "noaccept",
     accepted_late, 0, 0},
    {"OPN-7", "both ends may open at the same time", BOTH, "open", both_open, 0, 0},
    {"RCV-3", "100 streams at once", BOTH, "", many_streams, 0, 0},
    {"RCV-3 FIN-4", "200 streams one after another", BOTH, "", one_after_another, 0, 0},
    {"RCV-3 RCV-13", "SYN, data and FIN may come together", BOTH, "", syn_with_data_and_fin, 0, 0},
};

SPEC_GROUP(open, k_cases);
