/*
 * test_alloc.c - memory runs out: the n-th allocation of a session fails, for every n, once or
 * from then on, at either end (K1).
 *
 * The scenario opens streams, echoes data that is written, reserved and lent, and closes. With
 * each failure: no crash, no wrong byte, no short stream that looks complete, the session goes
 * on or is dead with a reason, and every byte of memory comes back.
 *
 * ctest-timeout: 600
 */
#include "support/flow.h"
#include "support/heap.h"
#include "support/link.h"
#include "support/suite.h"

#include <stdlib.h>
#include <string.h>

#define STREAMS 3
#define TOTAL   60000u

/* One stream as the client sees it, and its echo at the server. */
struct echo {
    smux_estream *stream[2];
    uint32_t written[2];
    uint32_t read[2];
    bool shut[2];
    int end[2];     /* how reading ended; 0 before */
    bool failed[2]; /* a write failed for good */
    uint8_t *loan;
    uint32_t loan_len;
};

struct run {
    struct heap heap[2];
    smux_engine *engine[2];
    struct rng rng;
    struct link link;
    struct echo echos[STREAMS + 1];
    uint32_t num_echos;
    uint64_t now;
    uint64_t moved;
    uint64_t n; /* the allocation that fails */
    uint8_t buf[20000];
};

static uint64_t key_of(uint32_t id)
{
    return flow_key(1, id, 0);
}

static void end_loan(struct run *r, struct echo *echo)
{
    size_t kept = 0;
    int status;

    link_settle(&r->link, 0);
    status = smux_estream_reclaim(r->engine[0], echo->stream[0], &kept);
    ck_assert(status == SMUX_OK ||
              (status == SMUX_EIO && smux_engine_error(r->engine[0]) == SMUX_EIO));
    ck_assert_uint_le(kept, echo->loan_len);
    memset(echo->loan, 0xee, echo->loan_len);
    free(echo->loan);
    echo->loan = NULL;
    echo->written[0] += (uint32_t)kept;
    r->moved++;
}

/* Says whether a write went through or can be tried again. */
static bool may_go_on(struct run *r, struct echo *echo, unsigned side, int status)
{
    if (status == SMUX_OK || status == SMUX_EAGAIN) {
        return true;
    }
    /* Without memory the stream may have failed for good: reading tells. */
    if (status == SMUX_ENOMEM && smux_engine_error(r->engine[side]) == SMUX_OK &&
        echo->end[side] != SMUX_ENOMEM) {
        return true;
    }
    echo->failed[side] = true;
    r->moved++;
    return false;
}

static void write_client(struct run *r, struct echo *echo)
{
    uint32_t id = smux_estream_id(echo->stream[0]);
    uint32_t left = TOTAL - echo->written[0];
    size_t taken = 0;
    struct smux_iov iov;

    if (echo->loan != NULL) {
        if (smux_estream_lent(r->engine[0], echo->stream[0]) == 0 ||
            smux_engine_error(r->engine[0]) != SMUX_OK) {
            end_loan(r, echo);
        }
    } else if (left > 40000) {
        flow_fill(key_of(id), echo->written[0], r->buf, 7000);
        if (may_go_on(r, echo, 0,
                      smux_estream_write(r->engine[0], echo->stream[0], r->buf, 7000, &taken))) {
            echo->written[0] += (uint32_t)taken;
            r->moved += taken > 0;
        }
    } else if (left > 20000) {
        int status = smux_estream_write_reserve(r->engine[0], echo->stream[0], 5000, &iov);

        if (may_go_on(r, echo, 0, status) && status == SMUX_OK) {
            taken = iov.len < 5000 ? iov.len : 5000;
            flow_fill(key_of(id), echo->written[0], iov.base, taken);
            smux_estream_write_commit(r->engine[0], echo->stream[0], taken);
            echo->written[0] += (uint32_t)taken;
            r->moved++;
        }
    } else {
        int status;

        echo->loan_len = left;
        echo->loan = malloc(left);
        ck_assert(echo->loan != NULL);
        flow_fill(key_of(id), echo->written[0], echo->loan, left);
        status = smux_estream_lend(r->engine[0], echo->stream[0], echo->loan, left);
        if (status != SMUX_OK) {
            free(echo->loan);
            echo->loan = NULL;
            (void)may_go_on(r, echo, 0, status);
        }
    }
}

static void write_server(struct run *r, struct echo *echo)
{
    uint32_t len = echo->read[1] - echo->written[1];
    size_t taken = 0;

    len = len < sizeof(r->buf) ? len : (uint32_t)sizeof(r->buf);
    flow_fill(key_of(smux_estream_id(echo->stream[1])), echo->written[1], r->buf, len);
    if (may_go_on(r, echo, 1,
                  smux_estream_write(r->engine[1], echo->stream[1], r->buf, len, &taken))) {
        echo->written[1] += (uint32_t)taken;
        r->moved += taken > 0;
    }
}

static void write_some(struct run *r, struct echo *echo, unsigned side)
{
    bool all = side == 0 ? echo->written[0] == TOTAL
                         : echo->written[1] == echo->read[1] && echo->end[1] != 0;

    if (echo->shut[side] || echo->failed[side]) {
        return;
    }
    if (!all) {
        if (side == 0) {
            write_client(r, echo);
        } else if (echo->written[1] < echo->read[1]) {
            write_server(r, echo);
        }
        return;
    }
    if (echo->loan != NULL && side == 0) {
        end_loan(r, echo);
    }
    if (smux_estream_shutdown(r->engine[side], echo->stream[side]) == SMUX_OK) {
        echo->shut[side] = true;
    } else {
        echo->failed[side] = true;
    }
    r->moved++;
}

static void read_some(struct run *r, struct echo *echo, unsigned side)
{
    uint32_t id = smux_estream_id(echo->stream[side]);
    size_t got = 0;
    int status;

    if (echo->end[side] != 0) {
        return;
    }
    status = smux_estream_read(r->engine[side], echo->stream[side], r->buf, 3000, &got);
    if (status == SMUX_EAGAIN) {
        return;
    }
    r->moved++;
    if (status == SMUX_OK) {
        ck_assert_msg(flow_check(key_of(id), echo->read[side], r->buf, got) == got, "wrong data");
        echo->read[side] += (uint32_t)got;
        return;
    }
    echo->end[side] = status;
    if (status == SMUX_EOF && echo->read[side] != TOTAL) {
        /* Short, so the other end must know that it failed, or never had the stream. */
        bool other = echo->failed[1 - side] || echo->stream[1 - side] == NULL ||
                     (echo->end[1 - side] != 0 && echo->end[1 - side] != SMUX_EOF);
        size_t len;

        if (!other) {
            other = smux_estream_write(r->engine[1 - side], echo->stream[1 - side], "", 0, &len) !=
                    SMUX_OK;
        }
        ck_assert_msg(other, "%u bytes look like all", (unsigned)echo->read[side]);
    }
}

static void open_stream(struct run *r)
{
    struct echo *echo = &r->echos[r->num_echos];

    if (smux_engine_open(r->engine[0], &echo->stream[0]) == SMUX_OK) {
        r->num_echos++;
        r->moved++;
    }
}

static void accept_streams(struct run *r)
{
    smux_estream *stream;

    while (smux_engine_accept(r->engine[1], &stream) == SMUX_OK) {
        struct echo *echo = NULL;

        for (uint32_t i = 0; i < r->num_echos; i++) {
            if (smux_estream_id(r->echos[i].stream[0]) == smux_estream_id(stream)) {
                echo = &r->echos[i];
            }
        }
        ck_assert(echo != NULL && echo->stream[1] == NULL);
        echo->stream[1] = stream;
        r->moved++;
    }
}

static bool echo_done(const struct echo *echo)
{
    return echo->end[0] != 0 && (echo->stream[1] == NULL || echo->end[1] != 0) &&
           (echo->shut[0] || echo->failed[0]) &&
           (echo->stream[1] == NULL || echo->shut[1] || echo->failed[1]);
}

/* Goes on until all streams are done or nothing moves any more. */
static bool go_on(struct run *r)
{
    for (int idle = 0; idle < 50;) {
        uint64_t before = r->moved;
        bool done = r->num_echos > 0;

        accept_streams(r);
        for (uint32_t i = 0; i < r->num_echos; i++) {
            for (unsigned side = 0; side < 2; side++) {
                if (r->echos[i].stream[side] != NULL) {
                    write_some(r, &r->echos[i], side);
                    read_some(r, &r->echos[i], side);
                }
            }
            done = done && echo_done(&r->echos[i]);
        }
        for (unsigned side = 0; side < 2; side++) {
            r->moved += link_send(&r->link, side);
            r->moved += link_deliver(&r->link, side);
        }
        ck_assert_msg(r->link.fault == NULL, "%s", r->link.fault);
        if (done) {
            return true;
        }
        idle = r->moved != before ? 0 : idle + 1;
        if (idle > 0 && link_next(&r->link) != SMUX_NEVER && idle < 40) {
            link_set_now(&r->link, link_next(&r->link));
        }
    }
    return false;
}

static bool is_dead(const struct run *r)
{
    return smux_engine_error(r->engine[0]) != SMUX_OK || smux_engine_error(r->engine[1]) != SMUX_OK;
}

static bool start(struct run *r, unsigned version)
{
    for (unsigned side = 0; side < 2; side++) {
        struct smux_config config;
        int status;

        smux_config_init(&config);
        config.version = version;
        config.keepalive_interval_ms = SMUX_OFF;
        config.fin_linger_ms = SMUX_OFF;
        config.max_frame_size = 4000;
        config.hash_seed = 7;
        config.allocator = &r->heap[side].allocator;
        status =
            smux_engine_new(side == 0 ? SMUX_CLIENT : SMUX_SERVER, &config, 0, 0, &r->engine[side]);
        if (status != SMUX_OK) {
            ck_assert_int_eq(status, SMUX_ENOMEM);
            return false;
        }
    }
    link_init(&r->link, r->engine[0], r->engine[1], &r->rng, 0);
    audit_init(&r->link.ends[0].audit, SMUX_CLIENT, version, 5000);
    audit_init(&r->link.ends[1].audit, SMUX_SERVER, version, 5000);
    r->link.no_memory = true;
    r->link.dirs[0].take = r->link.dirs[1].take = 9000;
    return true;
}

static void stop(struct run *r)
{
    for (unsigned side = 0; side < 2; side++) {
        smux_engine_free(r->engine[side]);
        ck_assert_uint_eq(r->heap[side].now, 0);
        ck_assert_uint_eq(r->heap[side].blocks, 0);
    }
    for (uint32_t i = 0; i < r->num_echos; i++) {
        free(r->echos[i].loan);
    }
    if (r->link.rng != NULL) {
        link_free(&r->link);
    }
}

/* When memory is there again, a session that lives serves a new stream. */
static void check_usable(struct run *r)
{
    struct echo *echo = &r->echos[r->num_echos];

    open_stream(r);
    ck_assert_msg(echo->stream[0] != NULL, "a living session opens no stream");
    ck_assert_msg(go_on(r), "n = %u: a living session does not finish", (unsigned)r->n);
    ck_assert_int_eq(echo->end[0], SMUX_EOF);
    ck_assert_uint_eq(echo->read[0], TOTAL);
}

/* Returns false when the n-th allocation was not reached. */
static bool run(uint64_t n, bool on, unsigned version, unsigned side)
{
    static struct run r;
    bool reached;

    memset(&r, 0, sizeof(r));
    r.n = n;
    rng_seed(&r.rng, n);
    heap_init(&r.heap[0]);
    heap_init(&r.heap[1]);
    r.heap[side].fail_at = n;
    r.heap[side].fail_on = on;
    if (!start(&r, version)) {
        stop(&r);
        return true;
    }
    for (int i = 0; i < STREAMS; i++) {
        open_stream(&r);
    }
    (void)go_on(&r);
    reached = r.heap[side].failures > 0;
    r.heap[side].fail_at = 0;
    if (!is_dead(&r)) {
        /* A refusal that found no memory is lost: its opener gives up. */
        for (uint32_t i = 0; i < r.num_echos; i++) {
            if (r.echos[i].stream[1] == NULL) {
                if (r.echos[i].loan != NULL) {
                    end_loan(&r, &r.echos[i]);
                }
                smux_estream_abort(r.engine[0], r.echos[i].stream[0], SMUX_EABORTED);
            }
        }
        check_usable(&r);
    }
    stop(&r);
    return reached;
}

static void run_all(bool on, unsigned version, unsigned side)
{
    uint64_t n = 1;

    while (run(n, on, version, side)) {
        n++;
    }
    ck_assert_msg(n > 10, "only %u allocations in the scenario", (unsigned)n);
}

START_TEST(nth_allocation_fails_once)
{
    run_all(false, 1 + (unsigned)_i / 2, (unsigned)_i % 2);
}
END_TEST

START_TEST(nth_and_all_later_allocations_fail)
{
    run_all(true, 1 + (unsigned)_i / 2, (unsigned)_i % 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("allocation failures");
    TCase *tc = tcase_create("allocation failures");

    tcase_set_timeout(tc, 600);
    tcase_add_loop_test(tc, nth_allocation_fails_once, 0, 4);
    tcase_add_loop_test(tc, nth_and_all_later_allocations_fail, 0, 4);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
