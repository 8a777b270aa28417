/*
 * Who reads in bulk keeps the receiver's role while away with its data (wait.c). When it does not
 * come back, the others must not notice.
 *
 * ctest-timeout: 60
 * ctest-waits
 */
#include "ends.h"
#include "suite.h"

#include <stdatomic.h>
#include <stdlib.h>

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

static void read_calm(void *arg)
{
    char c;
    size_t n;

    (void)arg;
    while (smux_stream_read(calm[1], &c, 1, &n) == SMUX_OK) {
        atomic_fetch_add(&answers, 1);
    }
}

static void accept_nothing(void *arg)
{
    smux_stream *stream;

    (void)arg;
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
    task_start(&reader, read_calm, NULL);
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
    smux_stream_close(calm[0]); /* ends read_calm() */
    task_join(&reader);
    smux_stream_close(calm[1]);
    ends_close(&ends);
    if (_i == 1) {
        task_join(&accepter);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease");
    TCase *tc = tcase_create("lease");

    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, a_reader_that_does_not_come_back_stops_nobody, 0, 2);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
