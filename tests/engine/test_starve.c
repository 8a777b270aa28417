/*
 * test_starve.c - scenarios in which each allocation fails in turn, once and from then on (K1).
 *
 * Each is played without a failure first, where it must succeed; then once for every allocation
 * it makes, at either end. What must hold is in duo.h. test_alloc.c has one long scenario more.
 *
 * ctest-timeout: 300
 */
#include "duo.h"

#include "support/frames.h"
#include "support/starve.h"
#include "support/suite.h"

#include <string.h>

static struct duo duo;

/* --- sessions ---------------------------------------------------------------------------- */

static void nothing_but_two_ends(void)
{
    duo_move(&duo);
}

static void ends_at_rest_send_signs_of_life(void)
{
    duo_sleep(&duo, 35000);
}

static void a_drain_waits_for_streams(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_write(&duo, stream, 0, 20000, DUO_COPY);
    duo_move(&duo);
    duo.doomed = true;
    smux_engine_drain(duo.engine[0]);
    smux_engine_drain(duo.engine[1]);
    duo_move(&duo);
}

static void a_session_fails_with_data_under_way(void)
{
    for (int i = 0; i < 5; i++) {
        duo_write(&duo, duo_open(&duo), 0, 20000, DUO_COPY);
    }
    duo.doomed = true;
    smux_engine_fail(duo.engine[1], SMUX_EIO, "cut");
    duo_move(&duo);
}

static void a_transport_ends_with_data_under_way(void)
{
    for (int i = 0; i < 5; i++) {
        duo_write(&duo, duo_open(&duo), 0, 20000, DUO_COPY);
    }
    duo_move(&duo);
    duo.doomed = true;
    smux_engine_recv_eof(duo.engine[0], duo.link.now);
    smux_engine_recv_eof(duo.engine[1], duo.link.now);
}

/* --- many streams ------------------------------------------------------------------------ */

static void the_table_of_streams_grows(void)
{
    for (int i = 0; i < 200; i++) {
        (void)duo_open(&duo);
    }
    duo_move(&duo);
}

static void streams_come_and_go(void)
{
    for (int i = 0; i < 60; i++) {
        struct duo_stream *stream = duo_open(&duo);
        duo_write(&duo, stream, 0, 300, DUO_COPY);
        duo_shut(&duo, stream, 0);
        duo_move(&duo);
        duo_read(&duo, stream, 1, SIZE_MAX, DUO_COPY);
        duo_close(&duo, stream, 1);
        duo_close(&duo, stream, 0);
    }
}

static void streams_wait_to_be_accepted(void)
{
    duo.deaf = true;
    for (int i = 0; i < 50; i++) {
        duo_write(&duo, duo_open(&duo), 0, 100, DUO_COPY);
    }
    duo_move(&duo);
    duo.deaf = false;
}

static void streams_above_the_limit_are_refused(void)
{
    duo.refuses = true;
    for (int i = 0; i < 30; i++) {
        duo_write(&duo, duo_open(&duo), 0, 10, DUO_COPY);
    }
    duo_sleep(&duo, 20);
}

static void streams_that_nobody_accepts_age(void)
{
    duo.refuses = duo.deaf = true;
    for (int i = 0; i < 10; i++) {
        (void)duo_open(&duo);
    }
    duo_sleep(&duo, 31000);
    duo.deaf = false;
}

static void twenty_streams_share_the_line(void)
{
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 20; i++) {
            struct duo_stream *stream = round == 0 ? duo_open(&duo) : &duo.streams[i];
            if (i < duo.n) {
                duo_write(&duo, stream, 0, 6000, DUO_COPY);
            }
        }
        duo_move(&duo);
    }
}

static void priorities_change_with_data_queued(void)
{
    for (unsigned i = 0; i < 8; i++) {
        struct duo_stream *stream = duo_open(&duo);
        duo_write(&duo, stream, 0, 9000, DUO_COPY);
        if (stream != NULL && stream->at[0] != NULL) {
            (void)smux_estream_set_priority(duo.engine[0], stream->at[0], i % 8, 1 + 20 * i);
        }
    }
    duo_move(&duo);
}

/* --- writing ----------------------------------------------------------------------------- */

static void many_small_writes(void)
{
    struct duo_stream *stream = duo_open(&duo);

    for (int i = 0; i < 300; i++) {
        duo_write(&duo, stream, 0, 1 + (size_t)i % 50, DUO_COPY);
    }
}

static void one_large_write(void)
{
    duo_write(&duo, duo_open(&duo), 0, 600000, DUO_COPY);
}

static void reserved_writes(void)
{
    duo_write(&duo, duo_open(&duo), 0, 100000, DUO_IN_PLACE);
}

static void lent_memory(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_lend(&duo, stream, 50000);
    duo_move(&duo);
    duo_reclaim(&duo, stream);
    duo_lend(&duo, stream, 50000);
    duo_sleep(&duo, 10);
}

static void lent_memory_taken_back_in_a_frame(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_lend(&duo, stream, 30000);
    duo.link.dirs[0].capacity = 1000; /* so that a frame has begun and is not out */
    (void)link_send(&duo.link, 0);
    duo_reclaim(&duo, stream);
    duo.link.dirs[0].capacity = 1 << 20;
    duo_move(&duo);
}

static void lent_beside_copied(void)
{
    struct duo_stream *stream = duo_open(&duo);
    struct duo_stream *other = duo_open(&duo);

    duo_write(&duo, stream, 0, 3000, DUO_COPY);
    duo_lend(&duo, stream, 20000);
    duo_write(&duo, other, 0, 20000, DUO_COPY);
    duo_move(&duo);
}

static void both_ways_at_once(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_write(&duo, stream, 0, 1000, DUO_COPY);
    duo_sleep(&duo, 10);
    for (int i = 0; i < 10; i++) {
        duo_write(&duo, stream, 0, 9000, DUO_COPY);
        duo_write(&duo, stream, 1, 9000, DUO_IN_PLACE);
    }
}

static void a_transport_that_takes_one_byte(void)
{
    duo.link.dirs[0].take = duo.link.dirs[1].take = 1;
    duo_write(&duo, duo_open(&duo), 0, 700, DUO_COPY);
    duo_move(&duo);
}

/* --- reading ----------------------------------------------------------------------------- */

static void bytes_that_come_one_by_one(void)
{
    duo.link.dirs[0].give = duo.link.dirs[1].give = 1;
    duo_write(&duo, duo_open(&duo), 0, 3000, DUO_COPY);
    duo_move(&duo);
}

static void frames_of_one_byte(void)
{
    struct duo_stream *stream = duo_open(&duo);

    for (int i = 0; i < 500; i++) {
        duo_write(&duo, stream, 0, 1, DUO_COPY);
        duo_move(&duo);
    }
}

static void reading_in_place(void)
{
    struct duo_stream *stream = duo_open(&duo);

    for (int i = 0; i < 10; i++) {
        duo_write(&duo, stream, 0, 20000, DUO_COPY);
        duo_move(&duo);
        duo_read(&duo, stream, 1, 13000, DUO_IN_PLACE);
    }
}

static void memory_posted_for_what_comes(void)
{
    static uint8_t posted[8000];
    struct duo_stream *stream = duo_open(&duo);
    size_t got = 0;

    duo_write(&duo, stream, 0, 100, DUO_COPY);
    duo_sleep(&duo, 10);
    duo_read(&duo, stream, 1, SIZE_MAX, DUO_COPY);
    if (stream == NULL || stream->at[1] == NULL ||
        smux_estream_post(duo.engine[1], stream->at[1], posted, sizeof(posted)) != SMUX_OK) {
        return;
    }
    duo_write(&duo, stream, 0, 20000, DUO_COPY);
    duo_move(&duo);
    link_settle(&duo.link, 1);
    if (stream->at[1] != NULL) {
        smux_estream_unpost(duo.engine[1], stream->at[1], &got);
        stream->read[1] += got;
    }
}

static void an_unread_stream_uses_up_the_budget(void)
{
    struct duo_stream *unread = duo_open(&duo);
    struct duo_stream *stream = duo_open(&duo);

    for (int i = 0; i < 20; i++) {
        duo_write(&duo, unread, 0, 2000, DUO_COPY);
        duo_write(&duo, stream, 0, 2000, DUO_COPY);
        duo_move(&duo);
        duo_read(&duo, stream, 1, SIZE_MAX, DUO_COPY);
    }
}

static void a_window_grows(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo.link.dirs[0].latency_us = duo.link.dirs[1].latency_us = 50000;
    for (int i = 0; i < 12; i++) {
        duo_write(&duo, stream, 0, 200000, DUO_COPY);
        duo_sleep(&duo, 60);
        duo_read(&duo, stream, 1, SIZE_MAX, DUO_COPY);
    }
}

/* --- ends of streams --------------------------------------------------------------------- */

static void a_half_close_and_an_answer(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_write(&duo, stream, 0, 20000, DUO_COPY);
    duo_shut(&duo, stream, 0);
    duo_sleep(&duo, 10);
    duo_read(&duo, stream, 1, SIZE_MAX, DUO_COPY);
    duo_write(&duo, stream, 1, 20000, DUO_COPY);
}

static void the_writer_aborts(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_write(&duo, stream, 0, 20000, DUO_COPY);
    duo_sleep(&duo, 10);
    duo_write(&duo, stream, 0, 20000, DUO_COPY);
    duo_abort(&duo, stream, 0);
}

static void the_reader_aborts(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_write(&duo, stream, 0, 20000, DUO_COPY);
    duo_sleep(&duo, 10);
    duo_abort(&duo, stream, 1);
    duo_write(&duo, stream, 0, 20000, DUO_COPY);
}

static void the_reader_closes_and_more_comes(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_write(&duo, stream, 0, 20000, DUO_COPY);
    duo_sleep(&duo, 10);
    duo_close(&duo, stream, 1);
    for (int i = 0; i < 10; i++) {
        duo_write(&duo, stream, 0, 20000, DUO_COPY);
        duo_sleep(&duo, 10);
    }
}

static void a_stream_is_closed_with_data_queued(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_write(&duo, stream, 0, 100000, DUO_COPY);
    duo_close(&duo, stream, 0);
    duo_sleep(&duo, 10);
}

static void the_end_of_an_answer_lingers(void)
{
    struct duo_stream *stream = duo_open(&duo);

    duo_write(&duo, stream, 0, 1000, DUO_COPY);
    duo_shut(&duo, stream, 0);
    duo_sleep(&duo, 10);
    duo_read(&duo, stream, 1, SIZE_MAX, DUO_COPY);
    duo_write(&duo, stream, 1, 9000, DUO_COPY);
    duo_shut(&duo, stream, 1);
    duo_sleep(&duo, 400);
}

static void an_opener_that_gives_up_at_once(void)
{
    for (int i = 0; i < 20; i++) {
        struct duo_stream *stream = duo_open(&duo);
        duo_write(&duo, stream, 0, 500, DUO_COPY);
        duo_abort(&duo, stream, 0);
    }
}

/* --- the table --------------------------------------------------------------------------- */

static void version_1(struct smux_config *config)
{
    config->version = 1;
}

static void keepalive(struct smux_config *config)
{
    config->keepalive_interval_ms = 10000;
}

static void few_streams(struct smux_config *config)
{
    config->max_remote_streams = 5;
}

static void small_budget(struct smux_config *config)
{
    config->max_receive_buffer = 65536;
}

static void lingering(struct smux_config *config)
{
    config->fin_linger_ms = 250;
}

static const struct scenario {
    const char *name;
    void (*play)(void);
    void (*configure)(struct smux_config *config); /* NULL: as duo_config() */
} scenarios[] = {
    {"nothing but two ends", nothing_but_two_ends, NULL},
    {"ends at rest send signs of life", ends_at_rest_send_signs_of_life, keepalive},
    {"a drain waits for streams", a_drain_waits_for_streams, NULL},
    {"a session fails with data under way", a_session_fails_with_data_under_way, NULL},
    {"a transport ends with data under way", a_transport_ends_with_data_under_way, NULL},
    {"the table of streams grows", the_table_of_streams_grows, NULL},
    {"streams come and go", streams_come_and_go, NULL},
    {"streams wait to be accepted", streams_wait_to_be_accepted, NULL},
    {"streams above the limit are refused", streams_above_the_limit_are_refused, few_streams},
    {"streams that nobody accepts age", streams_that_nobody_accepts_age, NULL},
    {"twenty streams share the line", twenty_streams_share_the_line, NULL},
    {"priorities change with data queued", priorities_change_with_data_queued, NULL},
    {"many small writes", many_small_writes, NULL},
    {"one large write", one_large_write, NULL},
    {"one large write, version 1", one_large_write, version_1},
    {"reserved writes", reserved_writes, NULL},
    {"lent memory", lent_memory, NULL},
    {"lent memory taken back in a frame", lent_memory_taken_back_in_a_frame, NULL},
    {"lent beside copied", lent_beside_copied, NULL},
    {"both ways at once", both_ways_at_once, NULL},
    {"both ways at once, version 1", both_ways_at_once, version_1},
    {"a transport that takes one byte", a_transport_that_takes_one_byte, NULL},
    {"bytes that come one by one", bytes_that_come_one_by_one, NULL},
    {"frames of one byte", frames_of_one_byte, NULL},
    {"reading in place", reading_in_place, NULL},
    {"memory posted for what comes", memory_posted_for_what_comes, NULL},
    {"an unread stream uses up the budget", an_unread_stream_uses_up_the_budget, small_budget},
    {"a window grows", a_window_grows, NULL},
    {"a half-close and an answer", a_half_close_and_an_answer, NULL},
    {"the writer aborts", the_writer_aborts, NULL},
    {"the reader aborts", the_reader_aborts, NULL},
    {"the reader closes and more comes", the_reader_closes_and_more_comes, NULL},
    {"a stream is closed with data queued", a_stream_is_closed_with_data_queued, NULL},
    {"the end of an answer lingers", the_end_of_an_answer_lingers, lingering},
    {"an opener that gives up at once", an_opener_that_gives_up_at_once, NULL},
};
#define N_SCENARIOS ((int)(sizeof(scenarios) / sizeof(scenarios[0])))

/* The n-th allocation fails; 0 for none. Returns whether there was one. */
static bool play(const void *arg, unsigned n, bool on)
{
    const struct scenario *scenario = arg;
    struct smux_config config = duo_config();
    struct heap heap;

    heap_init(&heap);
    heap.fail_at = n;
    heap.fail_on = on;
    if (scenario->configure != NULL) {
        scenario->configure(&config);
    }
    if (duo_start(&duo, &heap, &config)) {
        scenario->play();
    }
    duo_finish(&duo);
    return heap.failures > 0;
}

START_TEST(K1_every_allocation_fails)
{
    const struct scenario *scenario = &scenarios[_i];

    starve(play, scenario, scenario->name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("starved engines");
    TCase *tc = tcase_create("starved engines");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, K1_every_allocation_fails, 0, N_SCENARIOS);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
