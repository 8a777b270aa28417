/*
 * test_hostile.c - random frames of a hostile peer, mixed with random calls of the application
 * (threats.md, F2 and F3).
 *
 * Whatever comes: no crash, memory within its bound (L3, L4), only sound frames out, errors that
 * stay, timers that end, and all memory back.
 *
 *   SEED=n    run this seed alone
 *   SEEDS=n   run so many seeds
 *
 * ctest-timeout: 600
 */
#include "support/seeds.h"
#include "support/suite.h"
#include "support/wire.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEEDS 4000
#define BATCHES       8
#define HANDLES       24
#define STEPS         250

struct hostile {
    struct wire w;
    struct rng rng;
    struct smux_config config;
    smux_estream *handles[HANDLES];
    uint8_t *posted; /* memory of handles[post] */
    uint32_t post;
    int error; /* first one seen */
    uint8_t buf[65536];
};

/* --- the peer ------------------------------------------------------------------------------ */

static uint32_t any_id(struct hostile *h)
{
    switch (rng_below(&h->rng, 20)) {
    case 0:
        return (uint32_t)rng_next(&h->rng);
    case 1:
        return 0xfffffffe + rng_below(&h->rng, 3);
    default:
        return rng_below(&h->rng, 24);
    }
}

/* Mostly near what can be right, sometimes far away. */
static uint32_t any_count(struct hostile *h)
{
    static const uint32_t edges[] = {0,      1,          2,          262143,     262144,
                                     262145, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff};

    if (rng_chance(&h->rng, 20)) {
        return edges[rng_below(&h->rng, sizeof(edges) / sizeof(edges[0]))];
    }
    return rng_log(&h->rng, 1, 1 << 20) - 1;
}

static void feed_psh(struct hostile *h, uint32_t id, size_t len)
{
    uint8_t header[FRAME_HEADER];

    wire_feed(&h->w, header, put_header(header, h->w.version, CMD_PSH, (unsigned)len, id));
    /* Sometimes the payload stays away for a while. */
    if (len > 0 && rng_chance(&h->rng, 90)) {
        wire_feed(&h->w, h->buf, len);
    }
}

static void feed_some(struct hostile *h)
{
    uint32_t id = any_id(h);

    if (bytes_len(&h->w.in) > 0) { /* paused: the peer goes on later */
        wire_push(&h->w);
        return;
    }
    switch (rng_below(&h->rng, 40)) {
    case 0:
        wire_header(&h->w, rng_below(&h->rng, 7), rng_below(&h->rng, 4) * 4, id);
        break;
    case 1:
    case 2:
        wire_nop(&h->w);
        break;
    case 3:
    case 4:
    case 5:
        wire_fin(&h->w, id);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
        if (h->w.version == 2) {
            wire_upd(&h->w, id, any_count(h), any_count(h));
        }
        break;
    case 12:
        feed_psh(h, id, 0);
        break;
    default:
        if (rng_chance(&h->rng, 40)) {
            /* Our own parity would end the session too soon, most of the time. */
            id = rng_chance(&h->rng, 99) ? (id & ~1u) | (h->w.role == SMUX_SERVER) : id;
            wire_syn(&h->w, id);
        } else {
            feed_psh(h, id, rng_log(&h->rng, 1, 65535));
        }
        break;
    }
}

/* --- the application ----------------------------------------------------------------------- */

static void unpost(struct hostile *h)
{
    size_t len;

    if (h->posted != NULL) {
        smux_estream_unpost(h->w.engine, h->handles[h->post], &len);
        free(h->posted);
        h->posted = NULL;
    }
}

static void post(struct hostile *h, uint32_t slot)
{
    size_t len = rng_log(&h->rng, 1, 65536);

    unpost(h);
    h->posted = malloc(len);
    ck_assert(h->posted != NULL);
    h->post = slot;
    if (smux_estream_post(h->w.engine, h->handles[slot], h->posted, len) != SMUX_OK) {
        free(h->posted);
        h->posted = NULL;
    }
}

static void lend_and_reclaim(struct hostile *h, smux_estream *stream)
{
    size_t len = rng_log(&h->rng, 1, 65536);
    uint8_t *data = calloc(1, len);
    size_t kept = 0;

    ck_assert(data != NULL);
    if (smux_estream_lend(h->w.engine, stream, data, len) == SMUX_OK) {
        wire_take(&h->w, rng_log(&h->rng, 1, 100000));
        ck_assert_int_eq(smux_estream_reclaim(h->w.engine, stream, &kept), SMUX_OK);
        ck_assert_uint_le(kept, len);
    }
    free(data);
}

static void use_stream(struct hostile *h, uint32_t slot)
{
    smux_estream *stream = h->handles[slot];
    size_t len = rng_log(&h->rng, 1, sizeof(h->buf));
    size_t done;

    switch (rng_below(&h->rng, 16)) {
    case 0:
        (void)smux_estream_shutdown(h->w.engine, stream);
        break;
    case 1:
        smux_estream_abort(h->w.engine, stream, SMUX_EABORTED);
        break;
    case 2:
    case 3:
        if (h->posted != NULL && h->post == slot) {
            unpost(h);
        }
        smux_estream_close(h->w.engine, stream);
        h->handles[slot] = NULL;
        break;
    case 4:
        post(h, slot);
        break;
    case 5:
        lend_and_reclaim(h, stream);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        (void)smux_estream_write(h->w.engine, stream, h->buf, len, &done);
        break;
    default:
        if (h->posted == NULL || h->post != slot) {
            (void)smux_estream_read(h->w.engine, stream, h->buf, len, &done);
        }
        break;
    }
}

static void use_session(struct hostile *h)
{
    uint32_t slot = rng_below(&h->rng, HANDLES);
    unsigned events;

    if (h->handles[slot] != NULL) {
        use_stream(h, slot);
    } else if (rng_chance(&h->rng, 70)) {
        (void)smux_engine_accept(h->w.engine, &h->handles[slot]);
    } else if (smux_engine_open(h->w.engine, &h->handles[slot]) != SMUX_OK) {
        h->handles[slot] = NULL;
    }
    if (rng_chance(&h->rng, 30)) {
        (void)smux_engine_next_ready(h->w.engine, &events);
    }
    if (rng_chance(&h->rng, 1) && rng_chance(&h->rng, 20)) {
        smux_engine_drain(h->w.engine);
    }
}

/* --- a run --------------------------------------------------------------------------------- */

static void choose_config(struct hostile *h)
{
    struct smux_config *c = &h->config;
    uint32_t window = rng_log(&h->rng, 1, 1 << 20);

    *c = wire_config(1 + rng_below(&h->rng, 2));
    c->max_stream_buffer = window;
    c->max_receive_buffer = rng_log(&h->rng, window, 4 << 20);
    c->max_frame_size = rng_log(&h->rng, 1, 65535);
    c->accept_backlog = rng_log(&h->rng, 1, 20);
    c->max_remote_streams = rng_log(&h->rng, 1, 40);
    c->max_refusals = rng_log(&h->rng, 1, 50);
    c->max_discards = rng_chance(&h->rng, 30) ? SMUX_OFF : rng_log(&h->rng, 1, 20);
    c->accept_guard_ms = rng_chance(&h->rng, 50) ? SMUX_OFF : 5;
    c->fin_linger_ms = rng_chance(&h->rng, 50) ? SMUX_OFF : 250;
    c->keepalive_interval_ms = rng_chance(&h->rng, 50) ? SMUX_OFF : 1000;
    c->stall_timeout_ms = rng_chance(&h->rng, 50) ? 0 : 1000;
    c->max_unanswered_opens = rng_chance(&h->rng, 70) ? 0 : rng_log(&h->rng, 1, 5);
    c->glitch_burst = rng_chance(&h->rng, 50) ? SMUX_OFF : rng_log(&h->rng, 100, 10000);
    c->allow_any_parity = rng_chance(&h->rng, 30);
}

/* Checks the complete frames that the engine sent, and forgets them. */
static void check_output(struct hostile *h)
{
    struct frame frame;
    size_t len;

    while ((len = frame_next(bytes_head(&h->w.out), bytes_len(&h->w.out), &frame)) > 0) {
        const char *fault = frame_fault(&frame, h->w.version);

        ck_assert_msg(fault == NULL, "%s emitted: %s", frame_name(frame.cmd), fault);
        bytes_drop(&h->w.out, len);
    }
}

static void check(struct hostile *h)
{
    const struct smux_config *c = &h->config;
    struct smux_session_stats stats = wire_stats(&h->w);
    int error = smux_engine_error(h->w.engine);
    size_t streams = stats.streams_now + HANDLES + 40;
    size_t limit = (size_t)c->max_receive_buffer + c->max_receive_buffer / 4 + 2 * 65536;

    limit += streams * 512 + (1 << 20) + (1 << 19) + 4096 * streams + 262144; /* the send side */
    if (h->error == SMUX_OK) {
        h->error = error;
    }
    ck_assert_int_eq(error, h->error); /* [I16] */
    ck_assert_msg(h->w.heap.now <= limit, "heap of %zu bytes, %zu allowed", h->w.heap.now, limit);
    ck_assert_msg(stats.receive_buffer <= (uint64_t)c->max_receive_buffer + 65534 + 33000,
                  "%u bytes charged to a budget of %u", (unsigned)stats.receive_buffer,
                  (unsigned)c->max_receive_buffer);
    ck_assert_uint_le(stats.backlog_now, c->accept_backlog);
}

static void finish(struct hostile *h)
{
    unpost(h);
    for (uint32_t i = 0; i < HANDLES; i++) {
        if (h->handles[i] != NULL) {
            smux_estream_close(h->w.engine, h->handles[i]);
        }
    }
    h->w.blocked = false;
    wire_pump(&h->w);
    check_output(h);
    check(h);
    wire_stop(&h->w);
}

static void run(uint64_t seed)
{
    static struct hostile hostile;
    struct hostile *h = &hostile;

    memset(h, 0, sizeof(*h));
    rng_seed(&h->rng, seed);
    choose_config(h);
    wire_start(&h->w, rng_chance(&h->rng, 70) ? SMUX_SERVER : SMUX_CLIENT, &h->config,
               rng_chance(&h->rng, 60) ? FEED_RANDOM : FEED_WHOLE);
    for (int step = 0; step < STEPS; step++) {
        uint32_t dice = rng_below(&h->rng, 100);

        if (dice < 45) {
            feed_some(h);
        } else if (dice < 80) {
            use_session(h);
        } else if (dice < 92) {
            wire_take(&h->w, rng_log(&h->rng, 1, 200000));
        } else {
            h->w.blocked = rng_chance(&h->rng, 50);
            wire_sleep(&h->w, rng_log(&h->rng, 1, 20000));
        }
        check_output(h);
        check(h);
    }
    finish(h);
}

START_TEST(hostile_frames_and_random_calls_do_no_harm)
{
    seeds_run(_i, run);
}
END_TEST

START_TEST(one_seed)
{
    uint64_t seed;

    seeds_single(&seed);
    run(seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile peer");
    TCase *tc = tcase_create("hostile peer");
    uint64_t seed;

    tcase_set_timeout(tc, 300);
    seeds_init(BATCHES, DEFAULT_SEEDS);
    if (seeds_single(&seed)) {
        tcase_add_test(tc, one_seed);
    } else {
        tcase_add_loop_test(tc, hostile_frames_and_random_calls_do_no_harm, 0, BATCHES);
    }
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
