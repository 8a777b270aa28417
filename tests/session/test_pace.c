/*
 * Small writes in a row are sent together (pace.c). Nothing of them stays behind when the row ends,
 * and as long as it goes on the session minds everything else.
 *
 * ctest-timeout: 60
 * ctest-wrap: smux__pace_until
 */
#include "ends.h"
#include "session/session_internal.h"
#include "suite.h"

#include <smux/transport.h>

#include <stdatomic.h>

#define SMALL 16

/* A peer that reads a stream to its end and counts. */
struct counter {
    struct task task;
    smux_stream *stream;
    atomic_size_t len;
};

static void count(void *arg)
{
    struct counter *counter = arg;
    char buf[65536];
    size_t n;

    while (smux_stream_read(counter->stream, buf, sizeof buf, &n) == SMUX_OK) {
        atomic_fetch_add(&counter->len, n);
    }
}

static void counter_start(struct counter *counter, smux_stream *stream)
{
    counter->stream = stream;
    atomic_init(&counter->len, 0);
    task_start(&counter->task, count, counter);
}

static void write_small(smux_stream *stream)
{
    static const char data[SMALL];

    ck_assert_int_eq(smux_stream_write(stream, data, sizeof data, NULL), SMUX_OK);
}

struct goal {
    struct counter *counter;
    size_t len;
};

static bool has_come(void *arg)
{
    const struct goal *goal = arg;

    return atomic_load(&goal->counter->len) == goal->len;
}

START_TEST(what_a_row_leaves_is_sent_when_it_ends)
{
    struct ends ends;
    smux_stream *client, *server;
    struct counter counter;
    struct goal goal = {.counter = &counter};

    ends_open_version(&ends, WIRE_TCP, 2);
    ends_stream(&ends, &client, &server);
    counter_start(&counter, server);
    for (unsigned row = 0; row < 200; row++) { /* lengths on either side of all thresholds */
        for (unsigned i = 0; i < row; i++) {
            write_small(client);
        }
        goal.len += (size_t)row * SMALL;
        ck_assert_msg(await(has_come, &goal), "a row of %u writes: %zu of %zu bytes came", row,
                      atomic_load(&counter.len), goal.len);
    }
    smux_stream_close(client);
    task_join(&counter.task);
    smux_stream_close(server);
    ends_close(&ends);
}
END_TEST

static bool has_no_timer(void *arg)
{
    struct smux_session *session = arg;

    smux__session_lock(session);
    bool none = session->served.timer.at_us == SMUX_NEVER;
    smux__session_unlock(session);
    return none;
}

/* The background thread knows of output that is kept, and has not served the session since. */
static bool is_served(void *arg)
{
    struct smux_session *session = arg;

    smux__session_lock(session);
    bool served = session->served.told == SMUX__NOW;
    smux__session_unlock(session);
    return served;
}

static atomic_bool endless; /* a row goes on and on, for the background thread */

uint64_t __real_smux__pace_until(const struct smux__pace *pace, uint64_t now_us);
uint64_t __wrap_smux__pace_until(const struct smux__pace *pace, uint64_t now_us);

uint64_t __wrap_smux__pace_until(const struct smux__pace *pace, uint64_t now_us)
{
    return atomic_load(&endless) ? now_us + 100 : __real_smux__pace_until(pace, now_us);
}

START_TEST(a_session_is_served_however_long_a_row_goes_on)
{
    struct ends ends;
    smux_stream *client, *server;
    struct smux_config config;

    smux_config_init(&config);
    config.keepalive_interval_ms = SMUX_OFF;
    ends_open(&ends, WIRE_TCP, &config);
    ends_stream(&ends, &client, &server);
    ck_assert(await(has_no_timer, ends.client)); /* so that none brings the thread */
    smux__session_lock(ends.client);
    ends.client->pace.row = UINT8_MAX; /* what it writes is kept */
    smux__session_unlock(ends.client);
    atomic_store(&endless, true);
    write_small(client);
    ck_assert_msg(await(is_served, ends.client), "the background thread did not come");
    atomic_store(&endless, false);
    smux_stream_close(client);
    smux_stream_close(server);
    ends_close(&ends);
}
END_TEST

/* What a row has left is sent by the next call but seven, at the latest, once it is so old. */
START_TEST(a_row_keeps_nothing_for_long)
{
    struct smux__pace pace = {.row = UINT8_MAX};
    unsigned n_kept = 0;

    smux__pace_sent(&pace, smux_now_us() - 50);
    while (smux__pace_haste(&pace, SMALL) == SMUX__BEHIND) {
        n_kept++;
    }
    ck_assert_uint_lt(n_kept, 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pace");
    TCase *tcase = tcase_create("pace");

    tcase_add_test(tcase, what_a_row_leaves_is_sent_when_it_ends);
    tcase_add_test(tcase, a_session_is_served_however_long_a_row_goes_on);
    tcase_add_test(tcase, a_row_keeps_nothing_for_long);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
