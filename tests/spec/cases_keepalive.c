/*
 * Signs of life, and their absence [KA-1..6]. A subject that is not set to short times is not
 * asked.
 */
#include "steps.h"

#include <string.h>

enum {
    LONG_MS = 5000 /**< nobody wants to wait twice as long */
};

static unsigned interval_of(struct conn *c)
{
    unsigned ms = (unsigned)setting(c, "keepalive_ms");

    if (ms > LONG_MS) {
        spec_skip(c, "a NOP only each %u ms", ms);
    }
    return ms;
}

static unsigned timeout_of(struct conn *c)
{
    unsigned ms = (unsigned)setting(c, "timeout_ms");

    if (ms > LONG_MS) {
        spec_skip(c, "silence of %u ms is too long for us", ms);
    }
    return ms;
}

static unsigned ms_since(uint64_t start_us)
{
    return (unsigned)((clock_us() - start_us) / 1000);
}

static void nops_come(struct conn *c)
{
    interval_of(c);
    fence(c);
    await(c, c->nops >= 4, "%u NOPs in %u ms", c->nops, ms_since(c->since_us));
}

static void not_too_many(struct conn *c)
{
    unsigned interval = interval_of(c);

    fence(c);
    conn_idle(c, 6 * interval);
    expect(c, c->nops <= ms_since(c->since_us) / interval + 2, "%u NOPs in %u ms", c->nops,
           ms_since(c->since_us));
}

/** A peer that never sent a NOP may be silent as long as it likes. */
static void silence_without_nop(struct conn *c)
{
    unsigned timeout = timeout_of(c);

    fence(c);
    conn_idle(c, 2 * timeout + 500);
    expect(c, !c->ended, "closed after %u ms", ms_since(c->since_us));
    fence(c);
}

static void silence_after_nop(struct conn *c)
{
    unsigned timeout = timeout_of(c);
    uint64_t start = clock_us();

    send_nop(c);
    expect_end_within(c, 2 * timeout + c->run->patience_ms);
    expect(c, ms_since(start) >= timeout, "closed after only %u ms", ms_since(start));
}

/** The subject must not have ended the session, unless this machine was so busy that we were
 *  silent for long. */
static void expect_alive(struct conn *c, uint64_t last_us, uint64_t start_us)
{
    if (c->ended && ms_since(last_us) > timeout_of(c) / 2) {
        spec_skip(c, "this machine is too busy: no word from us for %u ms", ms_since(last_us));
    }
    expect(c, !c->ended, "closed after %u ms", ms_since(start_us));
}

/** Says something each so often, for longer than the subject bears silence. */
static void keep_talking(struct conn *c, void (*say)(struct conn *c, struct stream *s))
{
    unsigned timeout = timeout_of(c);
    struct stream *s = open_echo(c);
    uint64_t start = clock_us();

    send_nop(c);
    while (ms_since(start) < 2 * timeout + 500) {
        uint64_t last = clock_us();

        say(c, s);
        conn_idle(c, timeout / 10);
        expect_alive(c, last, start);
    }
}

static void say_nop(struct conn *c, struct stream *s)
{
    (void)s;
    send_nop(c);
}

static void say_psh(struct conn *c, struct stream *s)
{
    send_psh(c, s->id, 1);
}

static void say_late_psh(struct conn *c, struct stream *s)
{
    (void)s;
    send_psh(c, our_id(c, 900), 1);
}

static void say_byte(struct conn *c, struct stream *s)
{
    uint8_t byte = pattern_byte(s->id, s->sent++);

    conn_send(c, &byte, 1);
}

static void nops_keep_alive(struct conn *c)
{
    keep_talking(c, say_nop);
    fence(c);
}

static void data_keeps_alive(struct conn *c)
{
    keep_talking(c, say_psh);
    fence(c);
}

static void late_data_keeps_alive(struct conn *c)
{
    keep_talking(c, say_late_psh);
    fence(c);
}

/** The bytes of a frame that is long under way. */
static void bytes_keep_alive(struct conn *c)
{
    unsigned frame_ms = (unsigned)spec_setting(c->run, "frame_ms", 120000);
    struct stream *s;

    if (frame_ms <= 2 * timeout_of(c) + 900) {
        spec_skip(c, "a frame must not take so long");
    }
    s = stream_of(c, our_id(c, 1));
    open_echo(c);
    send_nop(c);
    send_header(c, c->version, CMD_PSH, 1000, s->id);
    for (uint64_t start = clock_us(); ms_since(start) < 2 * timeout_of(c) + 700;) {
        uint64_t last = clock_us();

        say_byte(c, s);
        conn_idle(c, timeout_of(c) / 10);
        expect_alive(c, last, start);
    }
    while (s->sent < 1005) {
        say_byte(c, s);
    }
    await_echo(c, s);
}

/** NOPs that cannot be written do not pile up. */
static void one_pending_nop(struct conn *c)
{
    unsigned interval = interval_of(c);
    struct stream *s;
    unsigned deaf_ms;
    uint64_t start;

    c->deaf = true;
    s = command(c, "send 16000000");
    start = clock_us();
    conn_idle(c, 16 * interval);
    deaf_ms = ms_since(start);
    c->deaf = false;
    await(c, s->got == 16000000, "%llu bytes came", (unsigned long long)s->got);
    expect(c, c->nops <= (ms_since(c->since_us) - deaf_ms) / interval + 3,
           "%u NOPs, %u ms of reading", c->nops, ms_since(c->since_us) - deaf_ms);
}

static const struct spec_case k_cases[] = {
    {"KA-1", "NOPs come", BOTH, "keepalive_ms", nops_come, 0, 0},
    {"KA-1", "no more NOPs come than intervals pass", BOTH, "keepalive_ms", not_too_many, 0, 0},
    {"KA-4 TRAP-5", "a peer that sends no NOPs may be silent", BOTH, "timeout_ms",
     silence_without_nop, 0, 0},
    {"KA-4", "a peer that falls silent after a NOP is dead", BOTH, "timeout_ms", silence_after_nop,
     0, 0},
    {"KA-4", "NOPs keep the session up", BOTH, "timeout_ms", nops_keep_alive, 0, 0},
    {"KA-4", "data keeps the session up", BOTH, "timeout_ms", data_keeps_alive, 0, 0},
    {"KA-4", "data for unknown streams keeps it up", BOTH, "timeout_ms", late_data_keeps_alive, 0,
     0},
    {"KA-4", "bytes of an unfinished frame keep it up", BOTH, "timeout_ms", bytes_keep_alive, 0, 0},
    {"KA-6", "NOPs that cannot be written do not pile up", V1, "keepalive_ms send", one_pending_nop,
     0, 0},
};

SPEC_GROUP(keepalive, k_cases);
