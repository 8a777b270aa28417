/*
 * Many sessions and many streams: one thread serves them, and an idle one costs little.
 *
 * ctest-timeout: 60
 * ctest-waits
 */
#define _GNU_SOURCE 1

#include "ends.h"
#include "flow.h"
#include "heap.h"
#include "suite.h"

#include <stdlib.h>
#include <sys/resource.h>

/* Pairs of sessions in one process: 10,000 ends. */
#define PAIRS 5000
/* Descriptors of everything else. */
#define OTHER_DESCRIPTORS 200

static struct ends all[PAIRS];

/* Returns for how many pairs there are descriptors, at most `pairs`; root may always have them. */
static int allow_pairs(int pairs)
{
    const rlim_t wanted = 2 * (rlim_t)pairs + OTHER_DESCRIPTORS;
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted) {
        struct rlimit more = {wanted, wanted};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0) {
            return pairs;
        }
    }
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return (int)((limit.rlim_cur - OTHER_DESCRIPTORS) / 2);
}

/* Tells whether memory of a session has fallen to what its test allows; caches are given back
 * after a while. */
struct budget {
    const struct heap *heap;
    size_t allowed;
};

static bool is_within(void *arg)
{
    const struct budget *budget = arg;

    return budget->heap->now <= budget->allowed;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Nothing works for a while. */
static bool is_idle(void *arg)
{
    double before = cpu_seconds();

    (void)arg;
    sleep_ms(200);
    return cpu_seconds() - before < 0.05;
}

START_TEST(ten_thousand_idle_sessions_cost_one_thread_and_little_else)
{
    const int pairs = allow_pairs(suite_rounds(PAIRS));
    smux_stream *near, *far;
    struct smux_transport transports[2];
    struct smux_config config;
    struct heap heap;

    heap_init(&heap);
    smux_config_init(&config);
    config.allocator = &heap.allocator;
    wire_make(WIRE_SOCKET, transports);
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &transports[0], &config, &all[0].client),
                     SMUX_OK);
    ck_assert_int_eq(smux_session_new(SMUX_SERVER, &transports[1], NULL, &all[0].server), SMUX_OK);
    unsigned threads = count_threads();
    for (int i = 1; i < pairs; i++) {
        ends_open_version(&all[i], WIRE_SOCKET, 2);
    }
    ck_assert_uint_eq(count_threads(), threads);
    ck_assert(await(is_idle, NULL)); /* when all is watched */
    ck_assert_uint_eq(smux_session_num_streams(all[0].client), 0);
    ck_assert(await(is_within, &(struct budget){&heap, 8192}));
    for (int i = 0; i < pairs; i += 97) { /* any of them wakes up */
        ends_stream(&all[i], &near, &far);
        flow_send(far, 1, 5000, 1000);
        flow_expect(near, 1, 5000);
        smux_stream_close(near);
        smux_stream_close(far);
    }
    for (int i = 0; i < pairs; i++) {
        ends_close(&all[i]);
    }
}
END_TEST

static bool is_all_there(void *arg)
{
    struct smux_stream_stats stats;

    smux_stream_stats(arg, &stats);
    return stats.unread == 10000;
}

/* All of them work, although nobody waits at the server. */
START_TEST(the_background_serves_all_sessions)
{
    enum {
        N = 200
    };
    static smux_stream *streams[N], *far[N];

    (void)allow_pairs(2 * N); /* pipes take four descriptors */
    for (unsigned i = 0; i < N; i++) {
        ends_open_version(&all[i], (enum wire)(i % WIRE_KINDS), 1 + i % 2);
        ck_assert_int_eq(smux_session_open(all[i].client, &streams[i]), SMUX_OK);
        flow_send(streams[i], i, 10000, 10000);
    }
    for (unsigned i = 0; i < N; i++) {
        ck_assert_int_eq(smux_session_accept(all[i].server, &far[i]), SMUX_OK);
    }
    for (unsigned i = 0; i < N; i++) { /* the data is there before anybody asks for it */
        ck_assert(await(is_all_there, far[i]));
        flow_expect(far[i], i, 10000);
        smux_stream_close(streams[i]);
        smux_stream_close(far[i]);
        ends_close(&all[i]);
    }
}
END_TEST

/* One thread closes while another opens: the background thread ends and starts again. */
static void open_and_close_sessions(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        struct ends own;
        smux_stream *near, *far;
        ends_open_version(&own, WIRE_SOCKET, 1);
        ends_stream(&own, &near, &far);
        smux_stream_close(near);
        smux_stream_close(far);
        ends_close(&own);
    }
}

START_TEST(sessions_come_and_go_in_several_threads)
{
    struct task tasks[4];

    for (int i = 0; i < 4; i++) {
        task_start(&tasks[i], open_and_close_sessions, NULL);
    }
    for (int i = 0; i < 4; i++) {
        task_join(&tasks[i]);
    }
}
END_TEST

START_TEST(an_idle_stream_is_small)
{
    enum {
        N = 10000
    };
    static smux_stream *near[N], *far[N];
    struct heap heaps[2];
    struct smux_config config;
    struct smux_transport transports[2];
    struct ends ends;

    smux_config_init(&config);
    config.version = 2;
    config.accept_backlog = N;
    config.max_remote_streams = N;
    wire_make(WIRE_TCP, transports);
    heap_init(&heaps[0]);
    config.allocator = &heaps[0].allocator;
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &transports[0], &config, &ends.client), SMUX_OK);
    heap_init(&heaps[1]);
    config.allocator = &heaps[1].allocator;
    ck_assert_int_eq(smux_session_new(SMUX_SERVER, &transports[1], &config, &ends.server), SMUX_OK);
    for (int i = 0; i < N; i++) {
        ends_stream(&ends, &near[i], &far[i]);
    }
    for (int i = 0; i < 2; i++) { /* the table included */
        ck_assert(await(is_within, &(struct budget){&heaps[i], (size_t)160 * N}));
        ck_assert_uint_eq(smux_session_num_streams(i == 0 ? ends.client : ends.server), N);
    }
    for (int i = 0; i < N; i++) {
        smux_stream_close(near[i]);
        smux_stream_close(far[i]);
    }
    ends_close(&ends);
    ck_assert_uint_eq(heaps[0].now, 0);
    ck_assert_uint_eq(heaps[1].now, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("many sessions");
    TCase *tcase = tcase_create("many");

    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, ten_thousand_idle_sessions_cost_one_thread_and_little_else);
    tcase_add_test(tcase, the_background_serves_all_sessions);
    tcase_add_test(tcase, sessions_come_and_go_in_several_threads);
    tcase_add_test(tcase, an_idle_stream_is_small);
    suite_add_tcase(suite, tcase);
    return suite_main(suite);
}
