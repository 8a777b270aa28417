/*
 * Rows: a writer in the middle of a long turn is awaited, and the others leave sending to it (row.c). If
 * it does not come back, whyever, they must hardly notice; what is urgent must not notice at all.
 *
 * Turns are made long here for few streams and however slow the machine is.
 *
 * ctest-timeout: 120
 * ctest-wrap: smux__scheduler_set_turn_of_many smux_engine_send_stream smux_engine_deadline smux__event_wait smux__spin_note
 */
#include "ends.h"
#include "engine/scheduler.h"
#include "session/session_internal.h"
#include "suite.h"

#include <smux/engine.h>
#include <smux/transport.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS 8
#define MESSAGE 131072u
#define TURN    (8u * MESSAGE)

void __real_smux__scheduler_set_turn_of_many(struct smux__scheduler *scheduler, uint32_t turn,
                                             uint32_t many);
void __wrap_smux__scheduler_set_turn_of_many(struct smux__scheduler *scheduler, uint32_t turn,
                                             uint32_t many);
smux_estream *__real_smux_engine_send_stream(const smux_engine *engine);
smux_estream *__wrap_smux_engine_send_stream(const smux_engine *engine);
uint64_t __real_smux_engine_deadline(const smux_engine *engine);
uint64_t __wrap_smux_engine_deadline(const smux_engine *engine);
bool __real_smux__event_wait(struct smux__event *event, uint64_t deadline_us);
bool __wrap_smux__event_wait(struct smux__event *event, uint64_t deadline_us);
void __real_smux__spin_note(struct smux__spin *spin, bool success);
void __wrap_smux__spin_note(struct smux__spin *spin, bool success);

void __wrap_smux__scheduler_set_turn_of_many(struct smux__scheduler *scheduler, uint32_t turn,
                                             uint32_t many)
{
    (void)turn;
    (void)many;
    __real_smux__scheduler_set_turn_of_many(scheduler, TURN, 2);
}

static atomic_uint n_awaited; /* how many times somebody was */

static _Thread_local bool is_of_test; /* a thread of this test, not of the library */
static void note_awaited(const smux_estream *stream);

smux_estream *__wrap_smux_engine_send_stream(const smux_engine *engine)
{
    smux_estream *stream = __real_smux_engine_send_stream(engine);

    atomic_fetch_add(&n_awaited, stream != NULL);
    if (stream != NULL) {
        note_awaited(stream);
    }
    return stream;
}

static struct ends ends;
static atomic_bool over;

/* A stream that is written to and read all the time. */
struct line {
    smux_stream *near, *far;
    struct task writer, reader;
    void (*pause)(struct line *line); /* what its writer does after each message; or NULL */
    int status;                       /* how its last write ended */
    atomic_size_t read;
};

static struct line lines[WRITERS];

static void write_line(void *arg)
{
    struct line *line = arg;
    void *message = calloc(1, MESSAGE);

    is_of_test = true;
    do {
        line->status = smux_stream_write(line->near, message, MESSAGE, NULL);
        if (line->pause != NULL && line->status == SMUX_OK) {
            line->pause(line);
        }
    } while (line->status == SMUX_OK && !atomic_load(&over));
    free(message);
}

static void read_line(void *arg)
{
    struct line *line = arg;
    void *buf = malloc(MESSAGE);
    size_t n;

    while (smux_stream_read(line->far, buf, MESSAGE, &n) == SMUX_OK) {
        atomic_fetch_add(&line->read, n);
    }
    free(buf);
}

static void lines_open(void)
{
    atomic_store(&over, false);
    atomic_store(&n_awaited, 0);
    ends_open_version(&ends, WIRE_TCP, 1);
    for (unsigned i = 0; i < WRITERS; i++) {
        struct line *line = &lines[i];
        memset(line, 0, sizeof *line);
        ends_stream(&ends, &line->near, &line->far);
        task_start(&line->reader, read_line, line);
    }
}

static void lines_start(void)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        task_start(&lines[i].writer, write_line, &lines[i]);
    }
}

static void lines_stop(void)
{
    atomic_store(&over, true);
    for (unsigned i = 0; i < WRITERS; i++) {
        task_join(&lines[i].writer);
        smux_stream_close(lines[i].near);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        task_join(&lines[i].reader);
        smux_stream_close(lines[i].far);
    }
    ends_close(&ends);
}

/* --- who is awaited does not come back ------------------------------------------------------ */

static atomic_uint n_pauses;

/* Now and then it does something else; what others have must be sent meanwhile. */
static bool is_time_to_leave(const struct line *line)
{
    return atomic_load(&n_awaited) > 20 &&
           atomic_load(&line->read) / (4 * TURN) > atomic_load(&n_pauses);
}

static uint64_t read_by_others(const struct line *line)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < WRITERS; i++) {
        sum += &lines[i] != line ? atomic_load(&lines[i].read) : 0;
    }
    return sum;
}

struct progress {
    const struct line *line;
    uint64_t until;
};

static bool others_have_read(void *arg)
{
    const struct progress *progress = arg;

    return read_by_others(progress->line) >= progress->until;
}

/* Each of them several turns. */
static void await_others(const struct line *line)
{
    struct progress progress = {line, read_by_others(line) + 4 * (uint64_t)WRITERS * TURN};

    ck_assert_msg(await(others_have_read, &progress), "others wait for one that does not come");
    atomic_fetch_add(&n_pauses, 1);
}

static void leave(struct line *line)
{
    if (is_time_to_leave(line)) {
        await_others(line);
    }
}

static void leave_for_good(struct line *line)
{
    if (is_time_to_leave(line)) {
        await_others(line);
        line->status = SMUX_EOF;
    }
}

static void leave_and_abort(struct line *line)
{
    if (is_time_to_leave(line)) {
        smux_stream_abort(line->near);
        await_others(line);
    }
}

static void leave_and_shut_down(struct line *line)
{
    if (is_time_to_leave(line)) {
        ck_assert_int_eq(smux_stream_shutdown(line->near), SMUX_OK);
        await_others(line);
    }
}

static void leave_and_be_late(struct line *line)
{
    if (is_time_to_leave(line)) {
        smux_stream_set_write_deadline(line->near, smux_now_us()); /* for its next write */
        ck_assert_int_eq(smux_stream_write(line->near, line, 1, NULL), SMUX_OK);
        await_others(line);
        smux_stream_set_write_deadline(line->near, SMUX_NEVER);
    }
}

static void (*const pauses[])(struct line *) = {leave, leave_for_good, leave_and_abort,
                                                leave_and_shut_down, leave_and_be_late};

static bool has_paused(void *arg)
{
    (void)arg;
    return atomic_load(&n_pauses) > 0 && atomic_load(&n_awaited) > 100;
}

START_TEST(who_does_not_come_back_stops_nobody)
{
    atomic_store(&n_pauses, 0);
    lines_open();
    lines[3].pause = pauses[_i];
    lines_start();
    ck_assert(await(has_paused, NULL));
    lines_stop();
}
END_TEST

/* Nobody comes back at once: that is learned, and all get through. */
static void pause_a_little(struct line *line)
{
    (void)line;
    sleep_ms(1);
}

START_TEST(writers_that_never_come_back_at_once_get_through)
{
    lines_open();
    for (unsigned i = 0; i < WRITERS; i++) {
        lines[i].pause = pause_a_little;
    }
    lines_start();
    struct progress progress = {NULL, 4 * (uint64_t)WRITERS * TURN};
    ck_assert(await(others_have_read, &progress));
    lines_stop();
}
END_TEST

/* As one that waits for an answer: others can send meanwhile. */
static void pause_for_an_answer(struct line *line)
{
    uint64_t until_us = smux_now_us() + 150;

    (void)line;
    while (smux_now_us() < until_us) {
        smux__thread_yield();
    }
}

static struct {
    unsigned n, in_row; /* looks, and how many saw that somebody was awaited */
    unsigned calm;      /* times, in a row, that these were few of LOOKS */
} looks;

#define LOOKS 200

static bool is_in_row(void)
{
    smux__session_lock(ends.client);
    bool in_row = ends.client->row_until_us > smux_now_us();
    smux__session_unlock(ends.client);
    return in_row;
}

/* In one of ten looks, for a second. */
static bool somebody_is_awaited_rarely(void *arg)
{
    (void)arg;
    looks.n++;
    looks.in_row += is_in_row();
    if (looks.n == LOOKS) {
        looks.calm = looks.in_row <= LOOKS / 10 ? looks.calm + 1 : 0;
        looks.n = 0;
        looks.in_row = 0;
    }
    return looks.calm == 5;
}

START_TEST(writers_that_come_back_a_little_late_are_awaited_rarely)
{
    lines_open();
    for (unsigned i = 0; i < WRITERS; i++) {
        lines[i].pause = pause_for_an_answer;
    }
    lines_start();
    ck_assert(await(somebody_is_awaited_rarely, NULL));
    lines_stop();
}
END_TEST

static bool have_rows(void *arg)
{
    (void)arg;
    return atomic_load(&n_awaited) > 100;
}

START_TEST(the_session_ends_in_a_row)
{
    lines_open();
    lines_start();
    ck_assert(await(have_rows, NULL));
    smux_session_abort(_i == 0 ? ends.client : ends.server);
    for (unsigned i = 0; i < WRITERS; i++) {
        task_join(&lines[i].writer);
        ck_assert_int_ne(lines[i].status, SMUX_OK);
        task_join(&lines[i].reader);
        smux_stream_close(lines[i].near);
        smux_stream_close(lines[i].far);
    }
    (void)smux_session_close(ends.client);
    (void)smux_session_close(ends.server);
}
END_TEST

/* --- whom the background awaits ------------------------------------------------------------- */

static _Atomic(const smux_estream *) awaited; /* by the background; NULL: nobody yet */
static atomic_int watched;                    /* whom: */
enum {
    NOBODY,
    BY_BACKGROUND,
    BY_ANYBODY
};

/* No timer comes to anybody's help. */
uint64_t __wrap_smux_engine_deadline(const smux_engine *engine)
{
    return atomic_load(&watched) != NOBODY ? SMUX_NEVER : __real_smux_engine_deadline(engine);
}

/* Where rows are in vain, as on a slow machine, they are not tried less. */
void __wrap_smux__spin_note(struct smux__spin *spin, bool success)
{
    bool of_watched = atomic_load(&watched) != NOBODY && spin == &ends.client->rows;

    __real_smux__spin_note(spin, success || of_watched);
}

static void note_awaited(const smux_estream *stream)
{
    const smux_estream *none = NULL;
    int by = atomic_load(&watched);

    if (by == BY_ANYBODY || (by == BY_BACKGROUND && !is_of_test)) {
        (void)atomic_compare_exchange_strong(&awaited, &none, stream);
    }
}

/* Its writer does not come back until others got on. */
static void leave_the_others_waiting(struct line *line)
{
    if (atomic_load(&awaited) == smux_estream_of(line->near)) {
        await_others(line);
        atomic_store(&awaited, NULL);
    }
}

/* So many that they are kept, and nobody sends them but the background. */
static void write_small(smux_stream *stream)
{
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_int_eq(smux_stream_write(stream, "x", 1, NULL), SMUX_OK);
    }
}

static void skip_calm(void *arg)
{
    char buf[256];
    size_t n;

    while (smux_stream_read(arg, buf, sizeof buf, &n) == SMUX_OK) {
    }
}

static bool nobody_is_awaited(void *arg)
{
    (void)arg;
    return atomic_load(&awaited) == NULL;
}

static struct {
    smux_stream *near, *far;
    struct task skipper;
} beside;

/* What the test is about is rare, and rarer on a busy machine: it goes on until this was seen so often as
 * is enough, or some time has passed and it was seen at all. */
static bool goes_on(const atomic_uint *n_seen, unsigned enough, uint64_t began_us)
{
    unsigned seen = atomic_load(n_seen);
    uint64_t longest_s = seen == 0 ? 20 : 3;

    return seen < enough && smux_now_us() - began_us < longest_s * 1000000;
}

/* Writers that do this after each message, and a stream beside them for small writes. */
static void lines_open_beside(void (*pause)(struct line *line))
{
    is_of_test = true;
    lines_open();
    ends_stream(&ends, &beside.near, &beside.far);
    task_start(&beside.skipper, skip_calm, beside.far);
    for (unsigned i = 0; i < WRITERS; i++) {
        lines[i].pause = pause;
    }
}

static void lines_stop_beside(void)
{
    smux_stream_close(beside.near);
    task_join(&beside.skipper);
    smux_stream_close(beside.far);
    lines_stop();
}

/* Rows of the first are over before it is back: then the background has to send, and begins the next one.
 * While that one is awaited nothing new comes to help. */
static void leave_the_others_to_the_background(struct line *line)
{
    leave_the_others_waiting(line);
    if (line == &lines[0]) {
        do {
            sleep_ms(1);
        } while (!nobody_is_awaited(NULL));
    }
}

START_TEST(the_background_does_not_wait_for_ever)
{
    lines_open_beside(leave_the_others_to_the_background);
    atomic_store(&n_pauses, 0);
    atomic_store(&watched, BY_BACKGROUND);
    lines_start();
    for (uint64_t began_us = smux_now_us(); goes_on(&n_pauses, 20, began_us); sleep_ms(1)) {
        if (nobody_is_awaited(NULL)) {
            write_small(beside.near);
        }
    }
    atomic_store(&watched, NOBODY);
    ck_assert(await(nobody_is_awaited, NULL));
    ck_assert_uint_gt(atomic_load(&n_pauses), 0);
    lines_stop_beside();
}
END_TEST

static _Thread_local struct line *own_line; /* of a writer that may be held up */

static atomic_bool heirs_are_held; /* one at a time, as they wake up; */
static atomic_uint n_held;         /* so many were */

static bool is_woken_to_send(const struct smux__event *event)
{
    smux__session_lock(ends.client);
    const struct smux__waiter *heir = ends.client->send_heir;
    bool is_heir = heir != NULL && heir->event == event;
    smux__session_unlock(ends.client);
    return is_heir;
}

static void hold_heir(const struct line *line, const struct smux__event *event)
{
    bool held = true;

    if (is_woken_to_send(event) && atomic_compare_exchange_strong(&heirs_are_held, &held, false)) {
        await_others(line);
        atomic_fetch_add(&n_held, 1);
        atomic_store(&heirs_are_held, true);
    }
}

/* Who was woken does not get a processor. */
bool __wrap_smux__event_wait(struct smux__event *event, uint64_t deadline_us)
{
    bool in_time = __real_smux__event_wait(event, deadline_us);

    if (own_line != NULL) {
        leave_the_others_waiting(own_line);
        hold_heir(own_line, event);
    }
    return in_time;
}

static void may_be_held_up(struct line *line)
{
    own_line = line;
    leave_the_others_waiting(line); /* was not asleep */
}

START_TEST(a_writer_that_is_held_up_stops_nobody)
{
    is_of_test = true;
    lines_open();
    for (unsigned i = 0; i < WRITERS; i++) {
        lines[i].pause = may_be_held_up;
    }
    atomic_store(&n_pauses, 0);
    lines_start();
    ck_assert(await(have_rows, NULL));
    atomic_store(&watched, BY_ANYBODY);
    uint64_t began_us = smux_now_us();
    while (goes_on(&n_pauses, 100, began_us)) {
        sleep_ms(1);
    }
    atomic_store(&watched, NOBODY);
    ck_assert(await(nobody_is_awaited, NULL));
    ck_assert_uint_gt(atomic_load(&n_pauses), 0);
    lines_stop();
}
END_TEST

/* From now on. */
static bool nobody_is_held(void *arg)
{
    bool held = true;

    (void)arg;
    return atomic_compare_exchange_strong(&heirs_are_held, &held, false);
}

static void be_of_line(struct line *line)
{
    own_line = line;
}

/* Others were to leave sending to it: calls that are no writers, and the background. */
START_TEST(a_writer_that_is_woken_to_send_and_held_up_stops_nobody)
{
    lines_open_beside(be_of_line);
    atomic_store(&n_held, 0);
    atomic_store(&heirs_are_held, true);
    lines_start();
    for (uint64_t began_us = smux_now_us(); goes_on(&n_held, 5, began_us); sleep_ms(1)) {
        write_small(beside.near);
    }
    ck_assert_uint_gt(atomic_load(&n_held), 0);
    ck_assert(await(nobody_is_held, NULL));
    lines_stop_beside();
}
END_TEST

/* --- shares --------------------------------------------------------------------------------- */

/* How much each has read by now. */
static void look(uint64_t read[WRITERS])
{
    for (unsigned i = 0; i < WRITERS; i++) {
        read[i] = atomic_load(&lines[i].read);
    }
}

/* By how much of its share a stream has got more or less than that, at most, while one of them has some
 * 60 turns. The first has twice the weight. */
static double greatest_error(void)
{
    uint64_t before[WRITERS], after[WRITERS], sum = 0;
    double greatest = 0;

    look(before);
    struct progress progress = {NULL, read_by_others(NULL) + (WRITERS + 1) * 60 * (uint64_t)TURN};
    ck_assert(await(others_have_read, &progress));
    look(after);
    for (unsigned i = 0; i < WRITERS; i++) {
        sum += after[i] - before[i];
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        double share = (double)(after[i] - before[i]) / (double)sum * (WRITERS + 1);
        double error = i == 0 ? share / 2 - 1 : share - 1;
        greatest = error > greatest ? error : -error > greatest ? -error : greatest;
    }
    return greatest;
}

/* Who is late for its turn loses it, and on a busy machine some are; that weights do not count, or one has
 * two turns for one of the others, would be 0.4 or more. */
#define MOST_ERROR 0.25

START_TEST(rows_are_fair_and_follow_the_weights)
{
    double error = 1;

    lines_open();
    ck_assert_int_eq(smux_stream_set_priority(lines[0].near, SMUX_PRIORITY_DEFAULT, 32), SMUX_OK);
    lines_start();
    ck_assert(await(have_rows, NULL));
    for (unsigned i = 0; i < 10 && error > MOST_ERROR;
         i++) { /* one that looks late sees others ahead */
        error = greatest_error();
    }
    lines_stop();
    ck_assert_double_le(error, MOST_ERROR);
}
END_TEST

/* --- what is urgent ------------------------------------------------------------------------- */

static smux_stream *calm[2];

static void answer_calm(void *arg)
{
    char buf[32768];
    size_t n;

    (void)arg;
    while (smux_stream_read(calm[1], buf, sizeof buf, &n) == SMUX_OK) {
        ck_assert_int_eq(smux_stream_write(calm[1], buf, 1, NULL), SMUX_OK);
    }
}

/* The writer that is awaited stays away, and for half a second none would be sent by the background: the
 * last row of the test is never over. What is urgent leaves by the call that writes it. */
static atomic_bool is_away;

static void stay_away(struct line *line)
{
    if (atomic_load(&n_awaited) > 100 && line == &lines[3]) {
        atomic_store(&is_away, true);
        while (!atomic_load(&over)) {
            sleep_ms(1);
        }
    }
}

static bool somebody_is_away(void *arg)
{
    (void)arg;
    return atomic_load(&is_away);
}

/* A small write, and one that is lent by a stream of a higher class. */
START_TEST(what_is_urgent_is_answered_beside_rows)
{
    struct task answerer;
    static char message[20000];
    size_t len = _i == 0 ? 1 : sizeof message;
    char c;
    size_t n;

    atomic_store(&is_away, false);
    lines_open();
    ends_stream(&ends, &calm[0], &calm[1]);
    if (_i == 1) {
        ck_assert_int_eq(smux_stream_set_priority(calm[0], SMUX_PRIORITY_MAX, 16), SMUX_OK);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        lines[i].pause = stay_away;
    }
    task_start(&answerer, answer_calm, NULL);
    lines_start();
    ck_assert(await(somebody_is_away, NULL));
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_int_eq(smux_stream_write(calm[0], message, len, NULL), SMUX_OK);
        ck_assert_int_eq(smux_stream_read(calm[0], &c, 1, &n), SMUX_OK);
    }
    smux_stream_close(calm[0]);
    task_join(&answerer);
    smux_stream_close(calm[1]);
    lines_stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rows");
    TCase *tc = tcase_create("rows");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, who_does_not_come_back_stops_nobody, 0,
                        (int)(sizeof pauses / sizeof pauses[0]));
    tcase_add_test(tc, writers_that_never_come_back_at_once_get_through);
    tcase_add_test(tc, writers_that_come_back_a_little_late_are_awaited_rarely);
    tcase_add_loop_test(tc, the_session_ends_in_a_row, 0, 2);
    tcase_add_test(tc, the_background_does_not_wait_for_ever);
    tcase_add_test(tc, a_writer_that_is_held_up_stops_nobody);
    tcase_add_test(tc, a_writer_that_is_woken_to_send_and_held_up_stops_nobody);
    tcase_add_test(tc, rows_are_fair_and_follow_the_weights);
    tcase_add_loop_test(tc, what_is_urgent_is_answered_beside_rows, 0, 2);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
