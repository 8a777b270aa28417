/*
 * test_version.c - VER-1..4: fixed and detected versions, first frames, and what is said about
 * a peer that speaks something else.
 */
#include "support/suite.h"
#include "support/wire.h"

#include <string.h>

static void expect_text(const struct wire *w, const char *part)
{
    const char *text = smux_engine_error_text(w->engine);

    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" does not mention \"%s\"", text, part);
}

START_TEST(VER_1_default_version_is_1)
{
    struct smux_config config = wire_config(0);
    struct wire w;

    wire_start(&w, SMUX_CLIENT, &config, _i);
    ck_assert_uint_eq(smux_engine_version(w.engine), 1);
    wire_open(&w);
    expect_syn(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(VER_2_auto_takes_the_version_of_the_first_byte)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct smux_config config = wire_config(SMUX_VERSION_AUTO);
        smux_estream *stream;
        struct wire w;

        wire_start(&w, SMUX_SERVER, &config, _i);
        ck_assert_uint_eq(smux_engine_version(w.engine), 0);
        ck_assert_uint_eq(wire_stats(&w).version, 0);
        w.version = version;
        wire_syn(&w, 3);
        ck_assert_uint_eq(smux_engine_version(w.engine), version);
        stream = wire_accept(&w, 3);
        wire_psh(&w, 3, 10);
        expect_read(&w, stream, 10);
        if (version == 2) {
            expect_upd(&w, 3, 10, 65536);
        }
        wire_write(&w, stream, 10);
        expect_data(&w, 3, 10);
        w.version = 3 - version; /* ... and keeps it */
        wire_nop(&w);
        expect_dead(&w, SMUX_EPROTO);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(VER_2_auto_refuses_anything_else)
{
    static const uint8_t first[] = {0, 3, 4, 'G', 0x16, 0xff};

    for (unsigned i = 0; i < 8 * sizeof(first); i++) { /* with each command, as a whole frame */
        struct smux_config config = wire_config(SMUX_VERSION_AUTO);
        uint8_t buf[FRAME_HEADER + 1] = {0};
        struct wire w;

        wire_start(&w, SMUX_SERVER, &config, _i);
        put_header(buf, first[i / 8], i % 8, 1, 3);
        wire_feed(&w, buf, sizeof(buf));
        expect_dead(&w, SMUX_EPROTO);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(VER_2_auto_is_for_servers)
{
    struct smux_config config = wire_config(SMUX_VERSION_AUTO);
    smux_engine *engine = NULL;

    ck_assert_int_eq(smux_engine_new(SMUX_CLIENT, &config, 0, 0, &engine), SMUX_ECONFIG);
}
END_TEST

START_TEST(VER_3_nothing_is_sent_while_the_version_is_unknown)
{
    struct smux_config config = wire_config(SMUX_VERSION_AUTO);
    smux_estream *stream;
    struct frame frame;
    struct wire w;

    config.keepalive_interval_ms = 1000;
    wire_start(&w, SMUX_SERVER, &config, _i);
    stream = wire_open(&w);
    wire_write(&w, stream, 100);
    wire_sleep(&w, 20000);
    expect_quiet(&w);
    w.version = 2;
    wire_nop(&w);
    while (wire_frame(&w, &frame) && frame.cmd == CMD_NOP) {
    }
    ck_assert_uint_eq(frame.cmd, CMD_SYN);
    ck_assert_uint_eq(frame.id, 2);
    expect_data(&w, 2, 100);
    wire_stop(&w);
}
END_TEST

START_TEST(VER_3_client_sends_a_nop_first)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct smux_config config = wire_config(version);
        struct wire w;

        config.keepalive_interval_ms = 10000;
        wire_start(&w, SMUX_CLIENT, &config, _i);
        wire_open(&w);
        expect_nop(&w);
        expect_syn(&w, 3);
        expect_quiet(&w);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(VER_3_no_first_nop_without_keepalive)
{
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    expect_quiet(&w);
    wire_open(&w);
    expect_syn(&w, 3);
    wire_stop(&w);
}
END_TEST

START_TEST(VER_4_text_names_what_the_peer_speaks)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, "HTTP"},
        {"POST /x HTTP/1.1\r\n", 18, "HTTP"},
        {"HTTP/1.1 400 Bad Request\r\n", 26, "HTTP"},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, "TLS"},
        {"SSH-2.0-OpenSSH_9.2\r\n", 21, "SSH"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned version = 1; version <= 3; version++) {
            struct smux_config config = wire_config(version == 3 ? SMUX_VERSION_AUTO : version);
            struct wire w;

            wire_start(&w, SMUX_SERVER, &config, _i);
            wire_feed(&w, cases[i].bytes, cases[i].len);
            expect_dead(&w, SMUX_EPROTO);
            expect_text(&w, cases[i].name);
            wire_stop(&w);
        }
    }
}
END_TEST

START_TEST(VER_4_text_shows_the_first_bytes)
{
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_feed(&w, "EHLO mail\r\n", 11);
    expect_dead(&w, SMUX_EPROTO);
    expect_text(&w, "EHLO");
    wire_stop(&w);
}
END_TEST

START_TEST(VER_4_text_tells_the_other_smux_version)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct smux_config config = wire_config(version);
        struct wire w;

        wire_start(&w, SMUX_SERVER, &config, _i);
        w.version = 3 - version;
        wire_syn(&w, 3);
        expect_dead(&w, SMUX_EPROTO);
        expect_text(&w, "smux");
        expect_text(&w, version == 1 ? "2" : "1");
        wire_stop(&w);
    }
}
END_TEST

START_TEST(VER_4_text_escapes_bytes_of_the_peer)
{
    struct wire w;
    const char *text;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_feed(&w, "\x1b[2J\r\n\x80\x00\x07", 9);
    expect_dead(&w, SMUX_EPROTO);
    for (text = smux_engine_error_text(w.engine); *text != '\0'; text++) {
        ck_assert_msg(*text >= ' ' && *text <= '~', "byte %d in the text", *text);
    }
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("version");
    TCase *tc = tcase_create("version");

    tcase_set_timeout(tc, 120);

    add_every_split(tc, VER_1_default_version_is_1);
    add_every_split(tc, VER_2_auto_takes_the_version_of_the_first_byte);
    add_every_split(tc, VER_2_auto_refuses_anything_else);
    tcase_add_test(tc, VER_2_auto_is_for_servers);
    add_every_split(tc, VER_3_nothing_is_sent_while_the_version_is_unknown);
    add_every_split(tc, VER_3_client_sends_a_nop_first);
    add_every_split(tc, VER_3_no_first_nop_without_keepalive);
    add_every_split(tc, VER_4_text_names_what_the_peer_speaks);
    add_every_split(tc, VER_4_text_shows_the_first_bytes);
    add_every_split(tc, VER_4_text_tells_the_other_smux_version);
    add_every_split(tc, VER_4_text_escapes_bytes_of_the_peer);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
