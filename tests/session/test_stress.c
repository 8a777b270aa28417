/*
 * Random use of two sessions by many threads, from a seed: SEED=n repeats the choices of a run,
 * though not its schedule.
 *
 * Every stream carries a header that tells its content. Whatever happens to a stream, what is read
 * is a prefix of what was written; if the end is reported, all of it [I1, I2].
 *
 * ctest-timeout: 60
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "flow.h"
#include "rng.h"
#include "suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OPENERS      6
#define ACCEPTERS    6
#define STREAMS_EACH 60

static struct ends ends;
static uint64_t seed;

/*
 * With a small budget, data of streams that nobody has accepted yet can stop those that are being
 * read: that is the protocol. So there every opener stays until its stream was served, and all
 * are served at the same time.
 */
static bool small_budget;
static _Atomic unsigned complete, cut;

/* What a stream says first. */
struct header {
    uint64_t key;
    uint64_t len;
};

/* --- the opener ---------------------------------------------------------------------------- */

/* Writes as long as the stream allows; returns how much was accepted. */
static uint64_t write_some(smux_stream *stream, const struct header *header, struct rng *rng)
{
    static _Thread_local uint8_t buf[100000];
    uint64_t done = 0;

    while (done < header->len) {
        size_t len = rng_log(rng, 1, sizeof buf), n = 0;
        len = len < header->len - done ? len : (size_t)(header->len - done);
        flow_fill(header->key, done, buf, len);
        if (rng_chance(rng, 10)) {
            smux_stream_set_write_deadline(stream, in_ms(rng_below(rng, 3)));
        }
        int status = smux_stream_write(stream, buf, len, &n);
        memset(buf, 0xcc, len);
        done += n;
        if (status == SMUX_EDEADLINE) {
            smux_stream_set_write_deadline(stream, SMUX_NEVER);
        } else if (status != SMUX_OK) {
            break;
        }
    }
    return done;
}

static void use_stream(smux_stream *stream, struct rng *rng)
{
    struct header header = {.key = rng_next(rng), .len = rng_log(rng, 1, 400000)};
    unsigned end = rng_below(rng, 10);
    char answer[8];
    size_t n = 0, got = 0;

    ck_assert_int_eq(smux_stream_write(stream, &header, sizeof header, NULL), SMUX_OK);
    if (end == 0) {
        header.len /= 2; /* less than promised, and an abort */
    }
    uint64_t done = write_some(stream, &header, rng);
    if (end == 0) {
        smux_stream_abort(stream);
    } else if ((end > 2 || small_budget) && done == header.len) { /* others close at once */
        smux_stream_shutdown(stream);
        while (got < sizeof answer &&
               smux_stream_read(stream, answer + got, sizeof answer - got, &n) == SMUX_OK) {
            got += n;
        }
        ck_assert(got == 0 || memcmp(answer, &header.key, got) == 0);
    }
}

static void opener_run(void *arg)
{
    struct rng rng;
    uint64_t number = (uint64_t)(uintptr_t)arg;
    smux_session *session = number % 2 == 0 ? ends.client : ends.server;

    rng_seed(&rng, seed + number);
    for (int i = 0; i < STREAMS_EACH; i++) {
        smux_stream *stream;
        ck_assert_int_eq(smux_session_open(session, &stream), SMUX_OK);
        use_stream(stream, &rng);
        smux_stream_close(stream);
    }
}

/* --- the accepter -------------------------------------------------------------------------- */

static int read_header(smux_stream *stream, struct header *header)
{
    size_t got = 0, n;
    int status = SMUX_OK;

    while (got < sizeof *header && status == SMUX_OK) {
        status = smux_stream_read(stream, (char *)header + got, sizeof *header - got, &n);
        got += status == SMUX_OK ? n : 0;
    }
    return status;
}

/* Reads to the end, unless it loses interest. */
static void serve_stream(smux_stream *stream, struct rng *rng)
{
    static _Thread_local uint8_t buf[70000];
    struct header header = {.len = UINT64_MAX}; /* if it does not arrive */
    uint64_t done = 0;
    size_t n;
    int status = read_header(stream, &header);
    bool fickle = rng_chance(rng, 10);

    while (status == SMUX_OK || status == SMUX_EDEADLINE) {
        if (rng_chance(rng, 5)) {
            smux_stream_set_read_deadline(stream, in_ms(rng_below(rng, 3)));
        }
        status = smux_stream_read(stream, buf, rng_log(rng, 1, sizeof buf), &n);
        if (status == SMUX_EDEADLINE) {
            smux_stream_set_read_deadline(stream, SMUX_NEVER);
        } else if (status == SMUX_OK) {
            ck_assert_uint_eq(flow_check(header.key, done, buf, n), n);
            done += n;
        }
        if (fickle && rng_chance(rng, 10)) {
            return;
        }
    }
    if (done == header.len) {
        ck_assert_int_eq(status, SMUX_EOF);
        complete++;
        (void)smux_stream_write(stream, &header.key, sizeof header.key, NULL);
    } else {
        cut++;
    }
}

static void accepter_run(void *arg)
{
    struct rng rng;
    uint64_t number = (uint64_t)(uintptr_t)arg;
    smux_session *session = number % 2 == 0 ? ends.client : ends.server;
    smux_stream *stream;

    rng_seed(&rng, seed + 1000 + number);
    while (smux_session_accept(session, &stream) == SMUX_OK) {
        serve_stream(stream, &rng);
        smux_stream_close(stream);
    }
}

/* --- the run ------------------------------------------------------------------------------- */

static void choose_config(struct smux_config *config, struct rng *rng)
{
    smux_config_init(config);
    config->version = 1 + rng_below(rng, 2);
    config->max_frame_size = rng_log(rng, 1000, 65535);
    config->max_stream_buffer = rng_log(rng, 1000, 300000);
    small_budget = rng_chance(rng, 50);
    config->max_receive_buffer =
        small_budget ? config->max_stream_buffer + rng_log(rng, 100000, 4000000) : 256 << 20;
    config->max_stream_send_buffer = rng_log(rng, 4096, 300000);
    config->fin_linger_ms = rng_between(rng, 1, 20);
    config->accept_guard_ms = rng_between(rng, 1, 5);
}

/* Who writes to a reader that has lost interest may have data left when the other end closes. */
static void close_end(void *arg)
{
    int status = smux_session_close(arg);

    ck_assert(status == SMUX_OK || status == SMUX_ETRUNCATED);
}

START_TEST(random_use_keeps_every_promise)
{
    struct task openers[OPENERS], accepters[ACCEPTERS], closer;
    struct smux_config config;
    struct rng rng;

    seed += (uint64_t)_i * 7919;
    rng_seed(&rng, seed);
    choose_config(&config, &rng);
    ends_open(&ends, (enum wire)(_i % WIRE_KINDS), &config);
    for (uintptr_t i = 0; i < ACCEPTERS; i++) {
        task_start(&accepters[i], accepter_run, (void *)i);
    }
    for (uintptr_t i = 0; i < OPENERS; i++) {
        task_start(&openers[i], opener_run, (void *)i);
    }
    for (int i = 0; i < OPENERS; i++) {
        task_join(&openers[i]);
    }
    smux_session_set_accept_deadline(ends.client, 1); /* who still waits can go home */
    smux_session_set_accept_deadline(ends.server, 1);
    for (int i = 0; i < ACCEPTERS; i++) {
        task_join(&accepters[i]);
    }
    task_start(&closer, close_end, ends.server);
    close_end(ends.client);
    task_join(&closer);
    ck_assert_uint_gt(complete, OPENERS * STREAMS_EACH / 2);
    ck_assert_uint_gt(cut, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session stress");
    TCase *tcase = tcase_create("stress");
    const char *chosen = getenv("SEED");

    seed = chosen != NULL ? strtoull(chosen, NULL, 10) : (uint64_t)time(NULL);
    printf("SEED=%llu\n", (unsigned long long)seed);
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, random_use_keeps_every_promise, 0, 8);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
