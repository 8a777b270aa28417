/*
 * Much data on many streams, by many threads.
 *
 * ctest-timeout: 120
 */
#include "ends.h"
#include "flow.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static struct ends ends;

static uint64_t key_of(const smux_stream *stream, unsigned writer)
{
    return flow_key(1, smux_stream_id(stream), writer);
}

/* --- saturation ---------------------------------------------------------------------------- */

#define STREAMS 64

/* One end of one stream: a thread that writes, and one that reads. */
struct half {
    smux_stream *stream;
    unsigned side;
    uint64_t len;
    size_t piece;
    struct task writer, reader;
};

static void half_write(void *arg)
{
    struct half *half = arg;

    flow_send(half->stream, key_of(half->stream, half->side), half->len, half->piece);
    ck_assert_int_eq(smux_stream_shutdown(half->stream), SMUX_OK);
}

static void half_read(void *arg)
{
    struct half *half = arg;

    flow_expect(half->stream, key_of(half->stream, 1 - half->side), half->len);
    expect_end(half->stream);
}

static void half_start(struct half *half, smux_stream *stream, unsigned side, uint64_t len,
                       size_t piece)
{
    half->stream = stream;
    half->side = side;
    half->len = len;
    half->piece = piece;
    task_start(&half->writer, half_write, half);
    task_start(&half->reader, half_read, half);
}

static void half_join(struct half *half)
{
    task_join(&half->writer);
    task_join(&half->reader);
}

/* Both directions of all streams at once; small budgets make them collide (G14). */
static void saturate(enum wire wire, uint32_t version, uint32_t budget, uint64_t len)
{
    static struct half halves[2 * STREAMS];
    struct smux_config config;

    smux_config_init(&config);
    config.version = version;
    config.max_receive_buffer = budget;
    config.fin_linger_ms = 10;
    ends_open(&ends, wire, &config);
    for (int i = 0; i < STREAMS; i++) {
        smux_stream *near, *far;
        size_t piece = i % 3 == 0 ? 100 : i % 3 == 1 ? 5000 : 50000; /* copied and lent */
        ends_stream(&ends, &near, &far);
        half_start(&halves[2 * i], near, 0, len, piece);
        half_start(&halves[2 * i + 1], far, 1, len, piece);
    }
    for (int i = 0; i < 2 * STREAMS; i++) {
        half_join(&halves[i]);
    }
    for (int i = 0; i < 2 * STREAMS; i++) {
        smux_stream_close(halves[i].stream);
    }
    ends_close(&ends);
}

START_TEST(sixty_four_streams_saturate_both_directions)
{
    saturate((enum wire)(_i / 2), 1 + (uint32_t)_i % 2, 0, 200000);
}
END_TEST

START_TEST(a_small_budget_does_not_stop_them)
{
    saturate(WIRE_TCP, 2, 256 * 1024, 200000);
}
END_TEST

/* --- several callers on one stream --------------------------------------------------------- */

#define WRITERS 8
#define RECORDS 100

/* Each record is one write: its writer's number over and over. */
static size_t record_len(unsigned writer, unsigned record)
{
    return 1 + (writer * 7919 + record * 104729) % 40000;
}

struct scribe {
    smux_stream *stream;
    unsigned number;
    struct task task;
};

static void scribe_run(void *arg)
{
    struct scribe *scribe = arg;
    uint8_t *buf = malloc(40000);

    for (unsigned i = 0; i < RECORDS; i++) {
        size_t len = record_len(scribe->number, i);
        memset(buf, (int)scribe->number, len);
        ck_assert_int_eq(smux_stream_write(scribe->stream, buf, len, NULL), SMUX_OK);
        memset(buf, 0xee, len); /* nothing may look at it any more (R8) */
    }
    free(buf);
}

static void read_exactly(smux_stream *stream, uint8_t *buf, size_t len)
{
    while (len > 0) {
        size_t n = 0;
        ck_assert_int_eq(smux_stream_read(stream, buf, len, &n), SMUX_OK);
        buf += n;
        len -= n;
    }
}

START_TEST(calls_of_several_writers_are_not_interleaved)
{
    struct scribe scribes[WRITERS];
    unsigned next[WRITERS] = {0};
    smux_stream *near, *far;
    uint8_t *buf = malloc(40000);

    ends_open_version(&ends, WIRE_TCP, 1 + (uint32_t)_i);
    ends_stream(&ends, &near, &far);
    for (unsigned i = 0; i < WRITERS; i++) {
        scribes[i].stream = near;
        scribes[i].number = i;
        task_start(&scribes[i].task, scribe_run, &scribes[i]);
    }
    for (unsigned i = 0; i < WRITERS * RECORDS; i++) {
        read_exactly(far, buf, 1);
        unsigned writer = buf[0];
        ck_assert_uint_lt(writer, WRITERS);
        size_t len = record_len(writer, next[writer]++);
        read_exactly(far, buf + 1, len - 1);
        ck_assert_int_eq(memcmp(buf, buf + 1, len - 1), 0); /* all bytes are equal */
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        task_join(&scribes[i].task);
        ck_assert_uint_eq(next[i], RECORDS);
    }
    free(buf);
    smux_stream_close(near);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* Several readers share the bytes of one stream: each byte goes to exactly one. */
struct reader {
    smux_stream *stream;
    uint64_t sum, len;
    struct task task;
};

static void reader_run(void *arg)
{
    struct reader *reader = arg;
    uint8_t buf[1000];
    size_t n;
    int status;

    while ((status = smux_stream_read(reader->stream, buf, sizeof buf, &n)) == SMUX_OK) {
        for (size_t i = 0; i < n; i++) {
            reader->sum += buf[i];
        }
        reader->len += n;
    }
    ck_assert_int_eq(status, SMUX_EOF);
}

START_TEST(several_readers_share_a_stream)
{
    struct reader readers[4] = {0};
    uint64_t sum = 0, len = 0, expected = 0;
    uint8_t buf[1000];
    smux_stream *near, *far;

    ends_open_version(&ends, WIRE_TCP, 2);
    ends_stream(&ends, &near, &far);
    for (int i = 0; i < 4; i++) {
        readers[i].stream = far;
        task_start(&readers[i].task, reader_run, &readers[i]);
    }
    for (unsigned i = 0; i < 1000; i++) {
        flow_fill(1, i * sizeof buf, buf, sizeof buf);
        for (size_t j = 0; j < sizeof buf; j++) {
            expected += buf[j];
        }
        ck_assert_int_eq(smux_stream_write(near, buf, sizeof buf, NULL), SMUX_OK);
    }
    smux_stream_close(near);
    for (int i = 0; i < 4; i++) {
        task_join(&readers[i].task);
        sum += readers[i].sum;
        len += readers[i].len;
    }
    ck_assert_uint_eq(len, 1000000);
    ck_assert_uint_eq(sum, expected);
    smux_stream_close(far);
    ends_close(&ends);
}
END_TEST

/* --- churn --------------------------------------------------------------------------------- */

static void serve_streams(void *arg)
{
    smux_session *session = arg;
    smux_stream *stream;
    char buf[8];
    size_t n;

    while (smux_session_accept(session, &stream) == SMUX_OK) {
        while (smux_stream_read(stream, buf, sizeof buf, &n) == SMUX_OK) {
            (void)smux_stream_write(stream, buf, n, NULL);
        }
        smux_stream_close(stream);
    }
}

struct opener {
    unsigned n;
    struct task task;
};

static void open_and_close(void *arg)
{
    struct opener *opener = arg;

    for (unsigned i = 0; i < opener->n; i++) {
        smux_stream *stream;
        ck_assert_int_eq(smux_session_open(ends.client, &stream), SMUX_OK);
        ck_assert_int_eq(smux_stream_write(stream, "hello", 5, NULL), SMUX_OK);
        ck_assert_int_eq(smux_stream_shutdown(stream), SMUX_OK);
        char buf[8];
        size_t n, got = 0;
        while (smux_stream_read(stream, buf + got, sizeof buf - got, &n) == SMUX_OK) {
            got += n;
        }
        ck_assert_uint_eq(got, 5);
        ck_assert_int_eq(memcmp(buf, "hello", 5), 0);
        smux_stream_close(stream);
    }
}

static bool no_streams(void *arg)
{
    return smux_session_num_streams(arg) == 0;
}

START_TEST(ten_thousand_streams_come_and_go)
{
    struct opener openers[8];
    struct task servers[4];
    struct smux_config config;
    struct smux_session_stats stats;

    smux_config_init(&config);
    config.version = 1 + (uint32_t)_i;
    config.fin_linger_ms = SMUX_OFF;
    config.accept_guard_ms = SMUX_OFF;
    ends_open(&ends, WIRE_TCP, &config);
    for (int i = 0; i < 4; i++) {
        task_start(&servers[i], serve_streams, ends.server);
    }
    for (int i = 0; i < 8; i++) {
        openers[i].n = 10000 / 8;
        task_start(&openers[i].task, open_and_close, &openers[i]);
    }
    for (int i = 0; i < 8; i++) {
        task_join(&openers[i].task);
    }
    ck_assert(await(no_streams, ends.client));
    ck_assert(await(no_streams, ends.server));
    smux_session_stats(ends.server, &stats);
    ck_assert_uint_eq(stats.streams_accepted, 10000);
    ck_assert_uint_eq(stats.glitches, 0);
    ck_assert_int_eq(smux_session_close(ends.client), SMUX_OK);
    for (int i = 0; i < 4; i++) {
        task_join(&servers[i]);
    }
    ck_assert_int_eq(smux_session_close(ends.server), SMUX_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session transfer");
    TCase *tcase = tcase_create("transfer");

    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, sixty_four_streams_saturate_both_directions, 0, 2 * WIRE_KINDS);
    tcase_add_test(tcase, a_small_budget_does_not_stop_them);
    tcase_add_loop_test(tcase, calls_of_several_writers_are_not_interleaved, 0, 2);
    tcase_add_test(tcase, several_readers_share_a_stream);
    tcase_add_loop_test(tcase, ten_thousand_streams_come_and_go, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
