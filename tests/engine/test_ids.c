/*
 * test_ids.c - SID-1..5: who uses which stream ids. That ids run out after 2^31 streams
 * [SID-2] cannot be reached through the public API; a unit test of the engine does that.
 */
#include "support/inside.h"
#include "support/suite.h"
#include "support/wire.h"

#include <string.h>

START_TEST(SID_1_client_ids_are_3_5_7)
{
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    for (uint32_t id = 3; id < 100; id += 2) {
        ck_assert_uint_eq(smux_estream_id(wire_open(&w)), id);
        expect_syn(&w, id);
    }
    wire_stop(&w);
}
END_TEST

START_TEST(SID_1_server_ids_are_2_4_6)
{
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    for (uint32_t id = 2; id < 100; id += 2) {
        ck_assert_uint_eq(smux_estream_id(wire_open(&w)), id);
        expect_syn(&w, id);
    }
    wire_stop(&w);
}
END_TEST

START_TEST(SID_2_ids_are_not_used_again)
{
    struct wire w;

    wire_start(&w, SMUX_CLIENT, NULL, _i);
    for (uint32_t id = 3; id < 100; id += 2) {
        smux_estream *stream = wire_open(&w);

        expect_syn(&w, id);
        wire_fin(&w, id);
        smux_estream_close(w.engine, stream);
        expect_fin(&w, id);
        ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    }
    wire_stop(&w);
}
END_TEST

static void expect_all_ids(enum smux_role role, const uint32_t *ids, size_t n, int mode)
{
    smux_estream *streams[8];
    struct wire w;

    wire_start(&w, role, NULL, mode);
    for (size_t i = 0; i < n; i++) {
        wire_syn(&w, ids[i]);
    }
    for (size_t i = 0; i < n; i++) {
        streams[i] = wire_accept(&w, ids[i]);
        wire_write(&w, streams[i], 10);
        expect_data(&w, ids[i], 10);
    }
    for (size_t i = 0; i < n; i++) {
        wire_psh(&w, ids[i], 100 + i);
        expect_read(&w, streams[i], 100 + i);
        wire_fin(&w, ids[i]);
        expect_status(&w, streams[i], SMUX_EOF);
    }
    expect_alive(&w);
    wire_stop(&w);
}

START_TEST(SID_2_ids_run_out_for_good)
{
    for (int role = SMUX_CLIENT; role <= SMUX_SERVER; role++) {
        uint32_t last = role == SMUX_CLIENT ? UINT32_MAX : UINT32_MAX - 1;
        smux_estream *stream;
        struct wire w;

        wire_start(&w, (enum smux_role)role, NULL, _i);
        inside_next_id(w.engine, last - 2);
        ck_assert_uint_eq(smux_estream_id(wire_open(&w)), last - 2);
        ck_assert_uint_eq(smux_estream_id(wire_open(&w)), last);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(smux_engine_open(w.engine, &stream), SMUX_EGOAWAY);
        }
        expect_syn(&w, last - 2);
        expect_syn(&w, last);
        expect_quiet(&w);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(SID_3_server_takes_any_odd_id_in_any_order)
{
    static const uint32_t ids[] = {7, 3, 1, 0xffffffff, 5, 0x80000001};

    expect_all_ids(SMUX_SERVER, ids, sizeof(ids) / sizeof(ids[0]), _i);
}
END_TEST

START_TEST(SID_3_client_takes_any_even_id_in_any_order)
{
    static const uint32_t ids[] = {6, 0, 2, 0xfffffffe, 4, 0x80000000};

    expect_all_ids(SMUX_CLIENT, ids, sizeof(ids) / sizeof(ids[0]), _i);
}
END_TEST

START_TEST(SID_4_our_own_parity_is_fatal)
{
    static const uint32_t odd[] = {1, 3, 5, 0xffffffff};
    static const uint32_t even[] = {0, 2, 4, 0xfffffffe};

    for (size_t i = 0; i < 8; i++) {
        struct wire w;

        wire_start(&w, i < 4 ? SMUX_CLIENT : SMUX_SERVER, NULL, _i);
        wire_syn(&w, i < 4 ? odd[i] : even[i - 4]);
        expect_dead(&w, SMUX_EPROTO);
        ck_assert(strstr(smux_engine_error_text(w.engine), "role") != NULL);
        wire_stop(&w);
    }
}
END_TEST

START_TEST(SID_4_any_parity_can_be_allowed)
{
    struct smux_config config = wire_config(1);
    smux_estream *theirs, *ours;
    struct wire w;

    config.allow_any_parity = true;
    wire_start(&w, SMUX_CLIENT, &config, _i);
    wire_syn(&w, 3);
    wire_syn(&w, 7);
    wire_syn(&w, 8);
    theirs = wire_accept(&w, 3);
    wire_accept(&w, 7);
    wire_accept(&w, 8);
    ours = wire_open(&w); /* skips ids in use */
    ck_assert_uint_eq(smux_estream_id(ours), 5);
    ck_assert_uint_eq(smux_estream_id(wire_open(&w)), 9);
    expect_syn(&w, 5);
    expect_syn(&w, 9);
    wire_psh(&w, 3, 10);
    wire_psh(&w, 5, 20);
    expect_read(&w, theirs, 10);
    expect_read(&w, ours, 20);
    wire_stop(&w);
}
END_TEST

START_TEST(SID_5_id_of_a_nop_is_not_looked_at)
{
    struct wire w;

    wire_start(&w, SMUX_SERVER, NULL, _i);
    for (uint32_t id = 0; id < 5; id++) {
        wire_header(&w, CMD_NOP, 0, id);
    }
    wire_header(&w, CMD_NOP, 0, 0xffffffff);
    expect_alive(&w);
    expect_quiet(&w);
    ck_assert_uint_eq(smux_engine_num_streams(w.engine), 0);
    ck_assert_uint_eq(wire_stats(&w).frames_in.nop, 6);
    wire_stop(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ids");
    TCase *tc = tcase_create("ids");

    tcase_set_timeout(tc, 120);

    add_every_split(tc, SID_1_client_ids_are_3_5_7);
    add_every_split(tc, SID_1_server_ids_are_2_4_6);
    add_every_split(tc, SID_2_ids_are_not_used_again);
    add_every_split(tc, SID_2_ids_run_out_for_good);
    add_every_split(tc, SID_3_server_takes_any_odd_id_in_any_order);
    add_every_split(tc, SID_3_client_takes_any_even_id_in_any_order);
    add_every_split(tc, SID_4_our_own_parity_is_fatal);
    add_every_split(tc, SID_4_any_parity_can_be_allowed);
    add_every_split(tc, SID_5_id_of_a_nop_is_not_looked_at);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
