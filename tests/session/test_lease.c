/*
 * The reader that all data is for keeps the receiver's role while away with some (role.c). When it does
 * not come back, the others must not notice.
 *
 * ctest-timeout: 60
 * ctest-waits
 * ctest-wrap: smux__event_wait
 */
#define _GNU_SOURCE 1

#include "session/session_internal.h"

#include "ends.h"
#include "suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BULK  (8u << 20)
#define PIECE 131072u

static struct ends ends;
static smux_stream *bulk[2], *calm[2]; /* client, server */
static atomic_uint answers;

static void send_bulk(void *arg)
{
    (void)arg;
    flow_send(bulk[0], 1, BULK, PIECE);
}

static void count_bytes(void *arg)
{
    char c;
    size_t n;

    while (smux_stream_read(arg, &c, 1, &n) == SMUX_OK) {
        atomic_fetch_add(&answers, 1);
    }
}

static atomic_long accepter_tid;

static void accept_nothing(void *arg)
{
    smux_stream *stream;

    (void)arg;
    atomic_store(&accepter_tid, syscall(SYS_gettid));
    ck_assert_int_ne(smux_session_accept(ends.server, &stream), SMUX_OK);
}

static bool is_answered(void *arg)
{
    return atomic_load(&answers) == *(unsigned *)arg;
}

/* The reader of the bulk goes away in its midst, until a byte for somebody else has come through;
 * which happens at once, whoever waits: the reader of another stream only (_i == 0), or an accepter,
 * too. */
START_TEST(a_reader_that_does_not_come_back_stops_nobody)
{
    struct task sender, reader, accepter;
    unsigned n_written = 0;
    uint64_t least_us = UINT64_MAX;

    ends_open_version(&ends, WIRE_TCP, 2);
    ends_stream(&ends, &bulk[0], &bulk[1]);
    ends_stream(&ends, &calm[0], &calm[1]);
    task_start(&reader, count_bytes, calm[1]);
    if (_i == 1) {
        task_start(&accepter, accept_nothing, NULL);
    }
    task_start(&sender, send_bulk, NULL);
    uint8_t *buf = malloc(PIECE);
    for (uint64_t got = 0; got < BULK;) {
        size_t n;

        ck_assert_int_eq(smux_stream_read(bulk[1], buf, PIECE, &n), SMUX_OK);
        if (got / (BULK / 4) != (got + n) / (BULK / 4)) { /* four times */
            uint64_t begun_us = smux_now_us();

            ck_assert_int_eq(smux_stream_write(calm[0], "x", 1, NULL), SMUX_OK);
            n_written++;
            ck_assert(await(is_answered, &n_written));
            uint64_t took_us = smux_now_us() - begun_us;
            least_us = took_us < least_us ? took_us : least_us;
        }
        got += n;
    }
    free(buf);
    ck_assert_uint_lt(least_us, 50000); /* a millisecond or two, but machines are busy */
    task_join(&sender);
    smux_stream_close(bulk[0]);
    smux_stream_close(bulk[1]);
    smux_stream_close(calm[0]); /* ends count_bytes() */
    task_join(&reader);
    smux_stream_close(calm[1]);
    ends_close(&ends);
    if (_i == 1) {
        task_join(&accepter);
    }
}
END_TEST

/* How many times the accepter has gone to sleep. */
static unsigned accepter_sleeps(void)
{
    char line[128];
    unsigned count = 0;

    (void)snprintf(line, sizeof line, "/proc/self/task/%ld/status", atomic_load(&accepter_tid));
    FILE *file = fopen(line, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL &&
           sscanf(line, "voluntary_ctxt_switches: %u", &count) != 1) {
    }
    ck_assert_int_eq(fclose(file), 0);
    return count;
}

static void answer_calm(void *arg)
{
    char c;
    size_t n;

    (void)arg;
    while (smux_stream_read(calm[1], &c, 1, &n) == SMUX_OK) {
        ck_assert_int_eq(smux_stream_write(calm[1], &c, 1, NULL), SMUX_OK);
    }
}

static void ask(unsigned times)
{
    char c;
    size_t n;

    for (unsigned i = 0; i < times; i++) {
        ck_assert_int_eq(smux_stream_write(calm[0], "x", 1, NULL), SMUX_OK);
        ck_assert_int_eq(smux_stream_read(calm[0], &c, 1, &n), SMUX_OK);
    }
}

/* All requests are on one stream, beside a thread that waits for new ones. That one does not wake up
 * for each, only to wake the one that answers. */
START_TEST(who_gets_all_requests_receives_them)
{
    struct task accepter, answerer;

    ends_open_version(&ends, WIRE_TCP, 2);
    ends_stream(&ends, &calm[0], &calm[1]);
    atomic_store(&accepter_tid, 0);
    task_start(&accepter, accept_nothing, NULL);
    while (atomic_load(&accepter_tid) == 0) {
        sleep_ms(1);
    }
    sleep_ms(50); /* until it waits */
    task_start(&answerer, answer_calm, NULL);
    ask(50);
    unsigned before = accepter_sleeps();
    ask(500);
    ck_assert_uint_lt(accepter_sleeps() - before, 250); /* machines are busy, and leases end */
    smux_stream_close(calm[0]);
    task_join(&answerer);
    smux_stream_close(calm[1]);
    ends_close(&ends);
    task_join(&accepter);
}
END_TEST

/* It takes some 10 ms, but machines are busy; and a second if only some timer comes to their help. */
#define LATE_US 400000

/* --- an heir that does not come ------------------------------------------------------------- */

bool __real_smux__event_wait(struct smux__event *event, uint64_t deadline_us);
bool __wrap_smux__event_wait(struct smux__event *event, uint64_t deadline_us);

static _Thread_local bool may_be_held; /* this thread, when it was woken, */
static atomic_bool is_held;            /* for so long */

bool __wrap_smux__event_wait(struct smux__event *event, uint64_t deadline_us)
{
    bool in_time = __real_smux__event_wait(event, deadline_us);

    while (may_be_held && atomic_load(&is_held)) {
        sleep_ms(1);
    }
    return in_time;
}

static void read_one(void *arg)
{
    char c;
    size_t n;

    (void)smux_stream_read(arg, &c, 1, &n);
}

static void read_held(void *arg)
{
    may_be_held = true;
    read_one(arg);
}

static bool somebody_sleeps(void *arg)
{
    (void)arg;
    smux__session_lock(ends.client);
    bool sleeps = ends.client->sleepers != NULL;
    smux__session_unlock(ends.client);
    return sleeps;
}

static bool somebody_receives(void *arg)
{
    (void)arg;
    smux__session_lock(ends.client);
    bool receives = ends.client->receiver != NULL && ends.client->receiver->polling;
    smux__session_unlock(ends.client);
    return receives;
}

static bool two_sleep(void *arg)
{
    (void)arg;
    smux__session_lock(ends.client);
    bool sleep = ends.client->sleepers != NULL &&
                 smux__ring_next(ends.client->sleepers, ends.client->sleepers) != NULL;
    smux__session_unlock(ends.client);
    return sleep;
}

/* Was woken to receive next, but does not get a processor. */
START_TEST(an_heir_that_does_not_come_stops_nobody)
{
    struct task receiver, heir, reader;
    smux_stream *third[2];
    unsigned once = 1;

    atomic_store(&answers, 0);
    ends_open_version(&ends, WIRE_SOCKET, 1);
    ends_stream(&ends, &bulk[0], &bulk[1]);
    ends_stream(&ends, &calm[0], &calm[1]);
    ends_stream(&ends, &third[0], &third[1]);
    task_start(&receiver, read_one, calm[0]);
    ck_assert(await(somebody_receives, NULL));
    task_start(&heir, read_held, bulk[0]);
    ck_assert(await(somebody_sleeps, NULL));
    task_start(&reader, count_bytes, third[0]);
    ck_assert(await(two_sleep, NULL));
    atomic_store(&is_held, true);
    ck_assert_int_eq(smux_stream_write(calm[1], "x", 1, NULL), SMUX_OK);
    task_join(&receiver);
    for (unsigned i = 0; i < 2; i++) { /* nobody is woken for that; the background may receive it */
        ck_assert_int_eq(smux_stream_write(calm[1], "x", 1, NULL), SMUX_OK);
        sleep_ms(20);
    }
    uint64_t begun_us = smux_now_us();
    ck_assert_int_eq(smux_stream_write(third[1], "x", 1, NULL), SMUX_OK);
    ck_assert_msg(await(is_answered, &once), "others wait for one that does not come");
    ck_assert_uint_lt(smux_now_us() - begun_us, LATE_US);
    atomic_store(&is_held, false);
    ck_assert_int_eq(smux_stream_write(bulk[1], "x", 1, NULL), SMUX_OK);
    task_join(&heir);
    smux_stream_close(third[1]); /* ends count_bytes() */
    task_join(&reader);
    smux_stream_close(third[0]);
    for (unsigned i = 0; i < 2; i++) {
        smux_stream_close(bulk[i]);
        smux_stream_close(calm[i]);
    }
    ends_close(&ends);
}
END_TEST

#define LOAN (1u << 20)

static void write_held(void *arg)
{
    uint8_t *data = calloc(1, LOAN);

    may_be_held = true;
    ck_assert_int_eq(smux_stream_write(arg, data, LOAN, NULL), SMUX_OK);
    free(data);
}

/* Leaves more output than the wire takes. */
static void fill_output(smux_stream *stream)
{
    static const uint8_t piece[8192];
    size_t n;

    do {
        smux_stream_set_write_deadline(stream, smux_now_us());
    } while (smux_stream_write(stream, piece, sizeof piece, &n) == SMUX_OK);
}

static bool receiver_sends(void *arg)
{
    (void)arg;
    smux__session_lock(ends.client);
    bool sends = ends.client->sender != NULL && ends.client->sender == ends.client->receiver;
    smux__session_unlock(ends.client);
    return sends;
}

/* Takes what comes, so many bytes or until none does for 1.5 s. Returns the longest pause before some
 * came. */
static uint64_t drain(const struct smux_transport *end, size_t most, size_t *out_len)
{
    static uint8_t buf[65536];
    uint64_t last_us = smux_now_us(), longest_us = 0;
    size_t n;

    for (*out_len = 0; *out_len < most && smux_now_us() < last_us + 1500000; *out_len += n) {
        struct smux_iov iov = {buf, most - *out_len < sizeof buf ? most - *out_len : sizeof buf};
        n = 0;
        if (end->ops->readv(end->ctx, &iov, 1, &n) == SMUX_OK) {
            uint64_t pause_us = smux_now_us() - last_us;
            longest_us = pause_us > longest_us ? pause_us : longest_us;
            last_us += pause_us;
        } else {
            sleep_ms(1);
        }
    }
    return longest_us;
}

/* A reader that has both roles wakes a writer to go on sending, and waits for data again. Nobody looks
 * after the session then but the background. */
START_TEST(a_writer_that_was_woken_to_send_and_does_not_come_stops_nobody)
{
    static const uint8_t nop[] = {1, 3, 0, 0, 0, 0, 0, 0}; /* which wakes the reader */
    struct smux_iov iov = {(void *)(uintptr_t)nop, sizeof nop};
    struct smux_transport wires[2];
    struct smux_config config;
    struct task reader, writer;
    size_t n;

    smux_config_init(&config);
    config.version = 1;
    wire_make(WIRE_SOCKET, wires);
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &wires[0], &config, &ends.client), SMUX_OK);
    ck_assert_int_eq(smux_session_open(ends.client, &calm[0]), SMUX_OK);
    ck_assert_int_eq(smux_session_open(ends.client, &bulk[0]), SMUX_OK);
    ck_assert_int_eq(smux_session_open(ends.client, &bulk[1]), SMUX_OK);
    task_start(&reader, read_one, calm[0]);
    ck_assert(await(somebody_receives, NULL));
    fill_output(bulk[0]);
    ck_assert_int_eq(wires[1].ops->writev(wires[1].ctx, &iov, 1, &n), SMUX_OK);
    ck_assert(await(receiver_sends, NULL));
    (void)drain(&wires[1], 180000, &n);
    sleep_ms(50); /* until the background looks no more */
    atomic_store(&is_held, true);
    task_start(&writer, write_held, bulk[1]);
    ck_assert(await(somebody_sleeps, NULL));
    sleep_ms(50);
    ck_assert_uint_lt(drain(&wires[1], SIZE_MAX, &n), LATE_US);
    ck_assert_uint_gt(n, LOAN);
    atomic_store(&is_held, false);
    task_join(&writer);
    wires[1].ops->close(wires[1].ctx);
    task_join(&reader);
    smux_stream_close(calm[0]);
    smux_stream_close(bulk[0]);
    smux_stream_close(bulk[1]);
    (void)smux_session_close(ends.client);
}
END_TEST

/* --- a stream that is closed ---------------------------------------------------------------- */

static unsigned turns(void)
{
    smux__session_lock(ends.client);
    unsigned turn = ends.client->turn;
    smux__session_unlock(ends.client);
    return turn;
}

static bool has_received(void *arg)
{
    return turns() != *(unsigned *)arg;
}

/* Its reader was told, but has not left yet; when it does, the stream may be gone at once. */
START_TEST(a_closed_stream_is_not_remembered)
{
    struct task receiver, reader;

    ends_open_version(&ends, WIRE_SOCKET, 1);
    ends_stream(&ends, &bulk[0], &bulk[1]);
    ends_stream(&ends, &calm[0], &calm[1]);
    task_start(&receiver, read_one, calm[0]);
    ck_assert(await(somebody_receives, NULL));
    task_start(&reader, read_held, bulk[0]);
    ck_assert(await(somebody_sleeps, NULL));
    atomic_store(&is_held, true);
    smux_stream_close(bulk[0]);
    unsigned turn = turns();
    ck_assert_int_eq(smux_stream_write(bulk[1], "x", 1, NULL), SMUX_OK);
    ck_assert(await(has_received, &turn));
    smux__session_lock(ends.client);
    ck_assert_ptr_ne(ends.client->regular, bulk[0]);
    smux__session_unlock(ends.client);
    atomic_store(&is_held, false);
    task_join(&reader);
    smux_stream_close(bulk[1]);
    smux_stream_close(calm[1]);
    task_join(&receiver);
    smux_stream_close(calm[0]);
    ends_close(&ends);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease");
    TCase *tc = tcase_create("lease");

    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, a_reader_that_does_not_come_back_stops_nobody, 0, 2);
    tcase_add_test(tc, who_gets_all_requests_receives_them);
    tcase_add_test(tc, an_heir_that_does_not_come_stops_nobody);
    tcase_add_test(tc, a_writer_that_was_woken_to_send_and_does_not_come_stops_nobody);
    tcase_add_test(tc, a_closed_stream_is_not_remembered);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
