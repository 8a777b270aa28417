/*
 * The version, and peers that speak something else [VER-1..4].
 */
#include "steps.h"

#include <string.h>

/** Bytes of another protocol. */
static void foreign(struct conn *c, const void *bytes, size_t len)
{
    if (!sabotage_is(c, "forgiving")) {
        conn_send(c, bytes, len);
    }
    expect_dead(c);
}

static void http(struct conn *c)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    foreign(c, request, sizeof request - 1);
}

static void tls(struct conn *c)
{
    foreign(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
}

static void zeros(struct conn *c)
{
    static const uint8_t none[64];

    foreign(c, none, sizeof none);
}

static void cut_after_one_byte(struct conn *c)
{
    uint8_t byte = (uint8_t)c->version;

    conn_send(c, &byte, 1);
    conn_shut(c);
    await_end(c);
    fence(conn_open(c->test));
}

static void closed_at_once(struct conn *c)
{
    conn_shut(c);
    await_end(c);
    fence(conn_open(c->test));
}

static void silent_before(struct conn *c)
{
    conn_idle(c, 3 * (unsigned)setting(c, "keepalive_ms"));
    expect(c, c->frames == 0 && !c->ended, "something came before the version was known");
    fence(c);
}

static void taken_from_nop(struct conn *c)
{
    send_nop(c);
    fence(c);
}

static void one_byte_decides(struct conn *c)
{
    uint8_t nop[FRAME_HEADER];

    put_nop(nop, c->version);
    conn_send(c, nop, 1);
    conn_idle(c, 50);
    conn_send(c, nop + 1, FRAME_HEADER - 1);
    fence(c);
}

static void kept(struct conn *c)
{
    fence(c);
    send_header(c, 3 - c->version, CMD_NOP, 0, 0);
    expect_dead(c);
}

static void neither(struct conn *c)
{
    send_header(c, 3, CMD_NOP, 0, 0);
    expect_dead(c);
}

static const struct spec_case k_cases[] = {
    {"FRM-5 VER-4", "an HTTP request ends the session", BOTH, "", http, 0, 0},
    {"FRM-5 VER-4", "a TLS hello ends the session", BOTH, "", tls, 0, 0},
    {"FRM-5 VER-4", "zeros end the session", BOTH, "", zeros, 0, 0},
    {"END-3", "a connection that ends after one byte harms nobody", BOTH, "", cut_after_one_byte, 0,
     0},
    {"END-3", "a connection that ends at once harms nobody", BOTH, "", closed_at_once, 0, 0},
    {"VER-2", "the version is taken from a first NOP", BOTH | AUTO, "", taken_from_nop, 0, 0},
    {"VER-2", "a single byte is enough for it", BOTH | AUTO, "", one_byte_decides, 0, 0},
    {"VER-2", "the version that was taken is kept", BOTH | AUTO, "", kept, 0, 0},
    {"VER-2", "a first byte of 3 is fatal", BOTH | AUTO, "", neither, 0, 0},
    {"VER-3", "nothing is sent before the version is known", BOTH | AUTO, "keepalive_ms",
     silent_before, 0, 0},
};

SPEC_GROUP(version, k_cases);
