/*
 * The bytes of a frame: what is emitted, what is taken, and what ends the session [FRM-1..11].
 */
#include "steps.h"

#include <string.h>

/* --- what is emitted ------------------------------------------------------------------------ */

static void expect_raw(struct conn *c, unsigned cmd, unsigned len, uint32_t id)
{
    const uint8_t *raw = c->raw[cmd];
    const uint8_t want[FRAME_HEADER] = {(uint8_t)c->version, (uint8_t)cmd,       (uint8_t)len,
                                        (uint8_t)(len >> 8), (uint8_t)id,        (uint8_t)(id >> 8),
                                        (uint8_t)(id >> 16), (uint8_t)(id >> 24)};

    expect(c, memcmp(raw, want, FRAME_HEADER) == 0,
           "the header is %02x %02x %02x %02x  %02x %02x %02x %02x", raw[0], raw[1], raw[2], raw[3],
           raw[4], raw[5], raw[6], raw[7]);
}

static void syn_bytes(struct conn *c)
{
    command(c, "open 1");
    expect_raw(c, CMD_SYN, 0, await_opened(c, 1)->id);
}

/** The subject may cut the echo as it likes; all but the last piece of one byte is wider than a
 *  byte can tell. */
static void psh_bytes(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_psh(c, s->id, 60000);
    await_echo(c, s);
    expect_raw(c, CMD_PSH, (unsigned)s->last, s->id);
}

static void fin_bytes(struct conn *c)
{
    struct stream *s = open_echo(c);

    send_fin(c, s->id);
    await_fin(c, s);
    expect_raw(c, CMD_FIN, 0, s->id);
}

static void nop_bytes(struct conn *c)
{
    fence(c);
    await(c, c->nops > 0, "no NOP");
    expect_raw(c, CMD_NOP, 0, 0);
}

static void upd_bytes(struct conn *c)
{
    struct stream *s = open_echo(c);
    const uint8_t *raw = c->raw[CMD_UPD];
    uint32_t consumed;

    await(c, s->upds > 0, "no UPD");
    expect_raw(c, CMD_UPD, 8, s->id);
    consumed = raw[8] | (uint32_t)raw[9] << 8 | (uint32_t)raw[10] << 16 | (uint32_t)raw[11] << 24;
    expect(c, consumed >= 1 && consumed <= 5, "CONSUMED %u of 5 bytes", (unsigned)consumed);
}

/** conn_book() looks at every frame; here all kinds of them pass. */
static void all_kinds(struct conn *c)
{
    struct stream *s = open_stream(c);

    command(c, "open 3 hello");
    send_data(c, s, 300000, 40000);
    await_echo(c, s);
    await_opened(c, 3);
    send_nop(c);
    send_fin(c, s->id);
    await_fin(c, s);
    fence(c);
}

static void empty_echo(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_fin(c, s->id);
    await_fin(c, s);
    settle(c);
    expect(c, s->pshs == 0, "a PSH on a stream without data");
}

static void no_upd_in_v1(struct conn *c)
{
    struct stream *s = open_stream(c);

    send_data(c, s, 600000, 32768);
    await_echo(c, s);
    fence(c);
    expect(c, s->upds == 0, "%u UPDs", s->upds);
}

/* --- what is taken -------------------------------------------------------------------------- */

/** `b` frames of `a` bytes. */
static void psh_of(struct conn *c)
{
    struct stream *s = open_stream(c);

    for (uint32_t i = 0; i < spec_b(c); i++) {
        send_psh(c, s->id, spec_a(c));
    }
    await_echo(c, s);
    fence(c);
}

static void mixed_sizes(struct conn *c)
{
    static const size_t sizes[] = {1, 65535, 2, 32768, 3, 16384, 65535, 1, 1000};
    struct stream *s = open_stream(c);

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        send_data(c, s, sizes[i], sizes[i]);
    }
    await_echo(c, s);
}

/* --- how the bytes are cut [FRM-9] ------------------------------------------------------------ */

/** SYN, a PSH of 5 bytes, FIN. */
static size_t put_exchange(struct conn *c, struct stream *s, uint8_t *buf)
{
    size_t len = put_syn(buf, c->version, s->id);
    uint8_t data[5];

    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = pattern_byte(s->id, i);
    }
    s->sent = sizeof data;
    len += put_psh(buf + len, c->version, s->id, data, sizeof data);
    return len + put_fin(buf + len, c->version, s->id);
}

static void byte_by_byte(struct conn *c)
{
    struct stream *s = fresh_stream(c);
    uint8_t buf[64];
    size_t len = put_exchange(c, s, buf);

    for (size_t i = 0; i < len; i++) {
        conn_send(c, buf + i, 1);
        conn_idle(c, 1);
    }
    await_echo(c, s);
    await_fin(c, s);
}

static void all_in_one(struct conn *c)
{
    struct stream *s[20];
    uint8_t buf[64 * 20];
    size_t len = 0;

    for (size_t i = 0; i < 20; i++) {
        s[i] = fresh_stream(c);
        len += put_exchange(c, s[i], buf + len);
    }
    conn_send(c, buf, len);
    for (size_t i = 0; i < 20; i++) {
        await_echo(c, s[i]);
        await_fin(c, s[i]);
    }
}

static void every_split(struct conn *c)
{
    uint8_t buf[64];
    size_t len = sizeof buf;

    for (size_t at = 1; at < len; at++) {
        struct stream *s = fresh_stream(c);

        len = put_exchange(c, s, buf);
        conn_send(c, buf, at);
        conn_idle(c, 2);
        conn_send(c, buf + at, len - at);
        await_echo(c, s);
    }
}

static void half_header(struct conn *c)
{
    struct stream *s = fresh_stream(c);
    uint8_t buf[64];
    size_t len = put_exchange(c, s, buf);

    conn_send(c, buf, 4);
    conn_idle(c, 100);
    expect(c, !c->ended, "the connection was closed");
    conn_send(c, buf + 4, len - 4);
    await_echo(c, s);
}

/** A header of version `a` and command `b` whose payload does not come. */
static void judged_at_once(struct conn *c)
{
    open_echo(c);
    send_header(c, spec_a(c) != 0 ? spec_a(c) : c->version, spec_b(c), 1000, our_id(c, 1));
    expect_end_within(c, soon(c));
}

static void frame_timeout(struct conn *c)
{
    unsigned limit = (unsigned)setting(c, "frame_ms");
    struct stream *s = open_echo(c);
    uint64_t start = clock_us();

    send_header(c, c->version, CMD_PSH, 100, s->id);
    conn_send(c, "0123456789", 10);
    expect_end_within(c, limit + c->run->patience_ms);
    expect(c, clock_us() - start >= limit * UINT64_C(1000), "closed after only %u ms",
           (unsigned)((clock_us() - start) / 1000));
}

static void slow_frame(struct conn *c)
{
    unsigned limit = (unsigned)setting(c, "frame_ms");
    struct stream *s = open_echo(c);
    uint64_t start = clock_us();

    send_header(c, c->version, CMD_PSH, 10, s->id);
    for (uint32_t i = 0; i < 10; i++) {
        uint8_t byte = pattern_byte(s->id, s->sent++);

        conn_idle(c, limit / 20);
        conn_send(c, &byte, 1);
    }
    if (clock_us() - start > limit * UINT64_C(900)) {
        spec_skip(c, "this machine is too busy: the frame took too long");
    }
    await_echo(c, s);
}

/** A stream is aborted while one of its frames is half sent. */
static void started_frame(struct conn *c)
{
    struct stream *s;

    c->deaf = true;
    s = command(c, "send 1000000");
    conn_idle(c, 100);
    send_upd(c, s->id, 900000, 900000);
    conn_idle(c, 50);
    c->deaf = false;
    await_fin(c, s);
    expect(c, s->got <= FIRST_WINDOW, "%llu bytes", (unsigned long long)s->got);
    fence(c);
}

/* --- what ends the session ------------------------------------------------------------------ */

/** A header of version `a`, 0 for the right one, and command `b`, beside a live stream. */
static void bad_version(struct conn *c)
{
    open_echo(c);
    send_header(c, spec_a(c), spec_b(c), 0, our_id(c, 1));
    expect_dead(c);
}

static void other_version(struct conn *c)
{
    send_header(c, 3 - c->version, CMD_NOP, 0, 0);
    expect_dead(c);
}

static void version_changes(struct conn *c)
{
    open_echo(c);
    send_header(c, 3 - c->version, CMD_NOP, 0, 0);
    expect_dead(c);
}

static void bad_version_of_unknown(struct conn *c)
{
    open_echo(c);
    send_header(c, 7, CMD_FIN, 0, our_id(c, 1000));
    expect_dead(c);
}

static void bad_command(struct conn *c)
{
    open_echo(c);
    send_header(c, c->version, spec_a(c), 0, our_id(c, 1));
    expect_dead(c);
}

/** Command `a` with length `b`; as the receiver must not wait for the payload, none comes. */
static void bad_length(struct conn *c)
{
    open_echo(c);
    send_header(c, c->version, spec_a(c), spec_b(c),
                spec_a(c) == CMD_SYN ? our_id(c, 50) : our_id(c, 1));
    expect_dead(c);
}

static void upd_in_v1(struct conn *c)
{
    struct stream *s = open_echo(c);

    if (!sabotage_is(c, "forgiving")) {
        send_upd(c, s->id, 0, FIRST_WINDOW);
    }
    expect_dead(c);
}

static const struct spec_case k_cases[] = {
    {"FRM-1", "a SYN is emitted as drawn", BOTH, "open", syn_bytes, 0, 0},
    {"FRM-1", "a PSH is emitted as drawn", BOTH, "", psh_bytes, 0, 0},
    {"FRM-1", "a FIN is emitted as drawn", BOTH, "", fin_bytes, 0, 0},
    {"FRM-1", "a NOP is emitted as drawn", BOTH, "keepalive_ms", nop_bytes, 0, 0},
    {"FRM-1", "a UPD is emitted as drawn", V2, "", upd_bytes, 0, 0},
    {"FRM-2 FRM-3", "frames of all kinds are well formed", BOTH, "open", all_kinds, 0, 0},
    {"FRM-3", "a stream without data has no PSH", BOTH, "", empty_echo, 0, 0},
    {"FRM-4", "a PSH of 1 byte is taken", BOTH, "", psh_of, 1, 1},
    {"FRM-4", "500 PSH of 1 byte are taken", BOTH, "", psh_of, 1, 500},
    {"FRM-4", "a PSH of 32769 bytes is taken", BOTH, "", psh_of, 32769, 1},
    {"FRM-4", "a PSH of 65535 bytes is taken", BOTH, "", psh_of, 65535, 1},
    {"FRM-4", "PSH of small and large sizes in turn are taken", BOTH, "", mixed_sizes, 0, 0},
    {"FRM-5", "version 0 is fatal", BOTH, "", bad_version, 0, CMD_NOP},
    {"FRM-5", "version 3 is fatal", BOTH, "", bad_version, 3, CMD_NOP},
    {"FRM-5", "version 255 is fatal", BOTH, "", bad_version, 255, CMD_PSH},
    {"FRM-5", "version 3 in a frame of an unknown stream is fatal", BOTH, "",
     bad_version_of_unknown, 0, 0},
    {"FRM-5 VER-1", "the other version in the first frame is fatal", BOTH, "", other_version, 0, 0},
    {"FRM-5 VER-1", "the other version in a later frame is fatal", BOTH, "", version_changes, 0, 0},
    {"FRM-6", "command 5 is fatal", BOTH, "", bad_command, 5, 0},
    {"FRM-6", "command 9 is fatal", BOTH, "", bad_command, 9, 0},
    {"FRM-6", "command 128 is fatal", BOTH, "", bad_command, 128, 0},
    {"FRM-6", "command 255 is fatal", BOTH, "", bad_command, 255, 0},
    {"FRM-7", "a SYN of length 1 is fatal", BOTH, "", bad_length, CMD_SYN, 1},
    {"FRM-7", "a SYN of length 65535 is fatal", BOTH, "", bad_length, CMD_SYN, 65535},
    {"FRM-7", "a FIN of length 1 is fatal", BOTH, "", bad_length, CMD_FIN, 1},
    {"FRM-7", "a FIN of length 65535 is fatal", BOTH, "", bad_length, CMD_FIN, 65535},
    {"FRM-7", "a NOP of length 1 is fatal", BOTH, "", bad_length, CMD_NOP, 1},
    {"FRM-7", "a NOP of length 65535 is fatal", BOTH, "", bad_length, CMD_NOP, 65535},
    {"FRM-7", "a UPD of length 0 is fatal", V2, "", bad_length, CMD_UPD, 0},
    {"FRM-7", "a UPD of length 7 is fatal", V2, "", bad_length, CMD_UPD, 7},
    {"FRM-7", "a UPD of length 9 is fatal", V2, "", bad_length, CMD_UPD, 9},
    {"FRM-7", "a UPD of length 65535 is fatal", V2, "", bad_length, CMD_UPD, 65535},
    {"FRM-8", "a UPD in a session of version 1 is fatal", V1, "", upd_in_v1, 0, 0},
    {"FRM-8", "a session of version 1 sends no UPD", V1, "", no_upd_in_v1, 0, 0},
    {"FRM-9", "frames may come byte by byte", BOTH, "", byte_by_byte, 0, 0},
    {"FRM-9", "60 frames may come in one piece", BOTH, "", all_in_one, 0, 0},
    {"FRM-9", "an exchange may be cut anywhere", BOTH, "", every_split, 0, 0},
    {"FRM-9", "half a header may stay alone for a while", BOTH, "", half_header, 0, 0},
    {"FRM-9", "a wrong version is seen before the payload came", BOTH, "", judged_at_once, 3,
     CMD_PSH},
    {"FRM-9", "a wrong command is seen before the payload came", BOTH, "", judged_at_once, 0, 9},
    {"FRM-9", "a wrong length is seen before the payload came", BOTH, "", judged_at_once, 0,
     CMD_FIN},
    {"FRM-10", "a frame is finished although its stream is aborted", V2, "send", started_frame, 0,
     0},
    {"FRM-11", "a frame that is not completed ends the session", BOTH, "frame_ms", frame_timeout, 0,
     0},
    {"FRM-11", "a frame may be slow within the limit", BOTH, "frame_ms", slow_frame, 0, 0},
};

SPEC_GROUP(frames, k_cases);
