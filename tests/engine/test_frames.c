/*
 * test_frames.c - FRM-1..9: what frames look like, and that bad ones are fatal. The rules about
 * frames half way (FRM-9..11) and the version are in test_partial.c and test_version.c.
 *
 * ctest-timeout: 900
 */
#include "support/suite.h"
#include "support/wire.h"

#include <string.h>

static void expect_bytes(struct wire *w, const void *bytes, size_t len)
{
    wire_pump(w);
    ck_assert_uint_eq(bytes_len(&w->out), len);
    ck_assert_mem_eq(bytes_head(&w->out), bytes, len);
    bytes_drop(&w->out, len);
}

START_TEST(FRM_1_v1_frames_look_as_drawn)
{
    static const uint8_t expected[] = {
        1, 0, 0, 0, 3, 0, 0, 0,                          /* SYN, first id of a client */
        1, 2, 5, 0, 3, 0, 0, 0, 'h', 'e', 'l', 'l', 'o', /* PSH */
        1, 1, 0, 0, 3, 0, 0, 0,                          /* FIN */
    };
    struct wire w;
    smux_estream *stream;
    size_t len;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    stream = wire_open(&w);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "hello", 5, &len), SMUX_OK);
    ck_assert_uint_eq(len, 5);
    ck_assert_int_eq(smux_estream_shutdown(w.engine, stream), SMUX_OK);
    expect_bytes(&w, expected, sizeof(expected));
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_1_v1_nop_looks_as_drawn)
{
    static const uint8_t expected[] = {1, 3, 0, 0, 0, 0, 0, 0};
    struct smux_config config = wire_config(1);
    struct wire w;

    config.keepalive_interval_ms = 10000;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    expect_bytes(&w, expected, sizeof(expected));
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_1_v2_update_looks_as_drawn)
{
    static const uint8_t input[] = {2, 0, 0, 0, 3, 0, 0, 0, /* SYN, PSH "hello" */
                                    2, 2, 5, 0, 3, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
    static const uint8_t expected[] = {2, 4, 8, 0, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 1, 0};
    struct smux_config config = wire_config(2);
    smux_estream *stream;
    struct wire w;
    char buf[8];
    size_t len;

    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_feed(&w, input, sizeof(input));
    stream = wire_accept(&w, 3);
    ck_assert_int_eq(smux_estream_read(w.engine, stream, buf, sizeof(buf), &len), SMUX_OK);
    ck_assert_uint_eq(len, 5);
    ck_assert_mem_eq(buf, "hello", 5);
    expect_bytes(&w, expected, sizeof(expected));
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_2_every_frame_carries_the_version)
{
    /* expect_* look at the version of each frame; here all kinds pass. */
    for (unsigned version = 1; version <= 2; version++) {
        struct smux_config config = wire_config(version);
        smux_estream *stream;
        struct wire w;

        config.keepalive_interval_ms = 10000;
        wire_start(&w, SMUX_CLIENT, &config, _i);
        expect_nop(&w);
        stream = wire_open(&w);
        wire_write(&w, stream, 100);
        expect_syn(&w, 3);
        expect_data(&w, 3, 100);
        wire_psh(&w, 3, 100);
        expect_read(&w, stream, 100);
        if (version == 2) {
            expect_upd(&w, 3, 100, 65536);
        }
        smux_estream_close(w.engine, stream);
        expect_fin(&w, 3);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(FRM_3_empty_write_sends_nothing)
{
    struct wire w;
    smux_estream *stream;
    size_t len = 1;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    stream = wire_open(&w);
    expect_syn(&w, 3);
    ck_assert_int_eq(smux_estream_write(w.engine, stream, "", 0, &len), SMUX_OK);
    ck_assert_uint_eq(len, 0);
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_4_any_payload_length_is_received)
{
    static const size_t lens[] = {1, 2, 99, 100, 101, 32768, 65535};
    struct smux_config config = wire_config(1);
    smux_estream *stream;
    struct wire w;

    config.max_frame_size = 100;
    wire_start(&w, SMUX_SERVER, &config, _i);
    wire_syn(&w, 1);
    stream = wire_accept(&w, 1);
    wire_psh(&w, 1, 0);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        wire_psh(&w, 1, lens[i]);
        expect_read(&w, stream, lens[i]);
        expect_status(&w, stream, SMUX_EAGAIN);
    }
    expect_alive(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_4_maximum_frame_size_limits_sending)
{
    static const uint32_t sizes[] = {1, 2, 1000, 32768, 65535};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t left = sizes[i] < 100 ? 300 : 200000;
        struct smux_config config = wire_config(1);
        smux_estream *stream;
        struct frame frame;
        struct wire w;

        config.max_frame_size = sizes[i];
        wire_start(&w, SMUX_CLIENT, &config, _i);
        stream = wire_open(&w);
        wire_write(&w, stream, left);
        expect_syn(&w, 3);
        while (left > 0) {
            ck_assert(wire_frame(&w, &frame));
            ck_assert_uint_eq(frame.cmd, CMD_PSH);
            ck_assert_uint_le(frame.len, sizes[i]);
            left -= frame.len;
        }
        wire_stop(&w);
    }
}
END_TEST

/* Feeds a stream with data, then a header that must kill the session at once. */
static void expect_fatal(int mode, unsigned session_version, unsigned version, unsigned cmd,
                         unsigned len)
{
    struct smux_config config = wire_config(session_version);
    uint8_t header[FRAME_HEADER];
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, mode);
    wire_syn(&w, 3);
    wire_psh(&w, 3, 50);
    stream = wire_accept(&w, 3);
    wire_feed(&w, header, put_header(header, version, cmd, len, 3));
    expect_dead(&w, SMUX_EPROTO); /* by the header alone */
    expect_read(&w, stream, 50);  /* [END-2] */
    expect_status(&w, stream, SMUX_EPROTO);
    smux_estream_close(w.engine, stream);
    wire_stop(&w);
}

START_TEST(FRM_5_other_version_is_fatal)
{
    static const unsigned wrong[] = {0, 1, 2, 3, 128, 255};

    for (unsigned session = 1; session <= 2; session++) {
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
            if (wrong[i] != session) {
                expect_fatal(_i, session, wrong[i], CMD_SYN, 0);
                expect_fatal(_i, session, wrong[i], CMD_PSH, 10);
                expect_fatal(_i, session, wrong[i], CMD_NOP, 0);
            }
        }
    }
}
END_TEST

START_TEST(FRM_6_unknown_command_is_fatal)
{
    for (unsigned cmd = 5; cmd <= 255; cmd++) {
        expect_fatal(_i, 1 + cmd % 2, 1 + cmd % 2, cmd, cmd % 9);
    }
}
END_TEST

static const unsigned nonzero[] = {1, 2, 8, 255, 256, 65535};

START_TEST(FRM_7_nonzero_length_in_syn_is_fatal)
{
    for (size_t i = 0; i < sizeof(nonzero) / sizeof(nonzero[0]); i++) {
        expect_fatal(_i, 1, 1, CMD_SYN, nonzero[i]);
        expect_fatal(_i, 2, 2, CMD_SYN, nonzero[i]);
    }
}
END_TEST

START_TEST(FRM_7_nonzero_length_in_fin_is_fatal)
{
    for (size_t i = 0; i < sizeof(nonzero) / sizeof(nonzero[0]); i++) {
        expect_fatal(_i, 1, 1, CMD_FIN, nonzero[i]);
        expect_fatal(_i, 2, 2, CMD_FIN, nonzero[i]);
    }
}
END_TEST

START_TEST(FRM_7_nonzero_length_in_nop_is_fatal)
{
    for (size_t i = 0; i < sizeof(nonzero) / sizeof(nonzero[0]); i++) {
        expect_fatal(_i, 1, 1, CMD_NOP, nonzero[i]);
        expect_fatal(_i, 2, 2, CMD_NOP, nonzero[i]);
    }
}
END_TEST

START_TEST(FRM_7_update_length_other_than_8_is_fatal)
{
    static const unsigned wrong[] = {0, 1, 7, 9, 16, 0x0800, 65535};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        expect_fatal(_i, 2, 2, CMD_UPD, wrong[i]);
    }
}
END_TEST

START_TEST(FRM_8_update_in_v1_is_fatal)
{
    expect_fatal(_i, 1, 1, CMD_UPD, 8);
    expect_fatal(_i, 1, 1, CMD_UPD, 0);
}
END_TEST

START_TEST(FRM_8_v1_never_sends_updates)
{
    smux_estream *stream;
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    wire_syn(&w, 3);
    stream = wire_accept(&w, 3);
    for (int i = 0; i < 20; i++) {
        wire_psh(&w, 3, 30000);
        expect_read(&w, stream, 30000);
    }
    expect_quiet(&w);
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_9_update_is_judged_before_its_payload)
{
    struct smux_config config = wire_config(2);
    uint8_t header[FRAME_HEADER];
    struct wire w;

    wire_start(&w, SMUX_SERVER, &config, _i);
    put_header(header, 2, CMD_UPD, 8, 3);
    wire_feed(&w, header, sizeof(header)); /* valid: the payload is waited for */
    expect_alive(&w);
    wire_feed(&w, "\0\0\0\0\0\0\0\0", 8);
    expect_alive(&w);
    put_header(header, 2, CMD_UPD, 9, 3);
    wire_feed(&w, header, 7);
    expect_alive(&w);
    wire_feed(&w, header + 7, 1);
    expect_dead(&w, SMUX_EPROTO);
    wire_stop(&w);
}
END_TEST

START_TEST(FRM_9_nothing_behind_a_fatal_frame_counts)
{
    uint8_t buf[3 * FRAME_HEADER];
    smux_estream *stream;
    struct wire w;
    size_t len = 0;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    len += put_syn(buf, 1, 3);
    len += put_header(buf + len, 1, 9, 0, 3);
    len += put_syn(buf + len, 1, 5);
    wire_feed(&w, buf, len);
    expect_dead(&w, SMUX_EPROTO);
    ck_assert_uint_eq(wire_stats(&w).frames_in.syn, 1);
    wire_accept(&w, 3); /* came complete before the error [END-2] */
    ck_assert_int_eq(smux_engine_accept(w.engine, &stream), SMUX_EPROTO);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frames");
    TCase *tc = tcase_create("frames");

    tcase_set_timeout(tc, 120);

    add_every_split(tc, FRM_1_v1_frames_look_as_drawn);
    add_every_split(tc, FRM_1_v1_nop_looks_as_drawn);
    add_every_split(tc, FRM_1_v2_update_looks_as_drawn);
    add_every_split(tc, FRM_2_every_frame_carries_the_version);
    add_every_split(tc, FRM_3_empty_write_sends_nothing);
    add_every_split(tc, FRM_4_any_payload_length_is_received);
    add_every_split(tc, FRM_4_maximum_frame_size_limits_sending);
    add_every_split(tc, FRM_5_other_version_is_fatal);
    add_every_split(tc, FRM_6_unknown_command_is_fatal);
    add_every_split(tc, FRM_7_nonzero_length_in_syn_is_fatal);
    add_every_split(tc, FRM_7_nonzero_length_in_fin_is_fatal);
    add_every_split(tc, FRM_7_nonzero_length_in_nop_is_fatal);
    add_every_split(tc, FRM_7_update_length_other_than_8_is_fatal);
    add_every_split(tc, FRM_8_update_in_v1_is_fatal);
    add_every_split(tc, FRM_8_v1_never_sends_updates);
    add_every_split(tc, FRM_9_update_is_judged_before_its_payload);
    add_every_split(tc, FRM_9_nothing_behind_a_fatal_frame_counts);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
