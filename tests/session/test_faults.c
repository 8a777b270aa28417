/*
 * test_faults.c - sessions with their threads, whose system calls fail: each call with each error
 * of its manual page, at every place of a scenario (K2, K3, K4, K8, K10, K12).
 *
 * A scenario is played without a fault first. With one that is harmless it has to succeed all the
 * same. With any other, calls may report errors, but bytes are right and an end that is short is
 * known to one side as a failure. Always: it comes to an end soon, without spinning, and no
 * descriptor stays. Which call is the n-th differs between runs, as threads differ.
 *
 *   SMUX_LONG=1   every place, not only some
 *
 * ctest-wrap: ppoll epoll_create1 epoll_ctl epoll_wait syscall pthread_create fcntl dup2
 * ctest-timeout: 120
 */
#define _GNU_SOURCE 1

#include "exchange.h"
#include "faults.h"
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- calls that the session layer makes itself --------------------------------------------- */

int __real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *set);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *set);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);
int __real_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
int __real_epoll_wait(int epoll_fd, struct epoll_event *events, int n, int timeout_ms);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int n, int timeout_ms);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __real_dup2(int from, int to);
int __wrap_dup2(int from, int to);

int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *set)
{
    if (faults_strike(FAULT_POLL)) {
        return errno == 0 ? faults_all_ready(fds, n) : -1;
    }
    return __real_ppoll(fds, n, timeout, set);
}

int __wrap_epoll_create1(int flags)
{
    return faults_strike(FAULT_EPOLL_CREATE) ? -1 : __real_epoll_create1(flags);
}

/* Removing needs nothing that could be missing. */
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
    return op != EPOLL_CTL_DEL && faults_strike(FAULT_EPOLL_CTL)
               ? -1
               : __real_epoll_ctl(epoll_fd, op, fd, event);
}

int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int n, int timeout_ms)
{
    return faults_strike(FAULT_EPOLL_WAIT) ? -1
                                           : __real_epoll_wait(epoll_fd, events, n, timeout_ms);
}

static bool syscall_strikes(long number, long op)
{
#ifdef SYS_epoll_pwait2
    if (number == SYS_epoll_pwait2) {
        return faults_strike(FAULT_EPOLL_WAIT);
    }
#endif
    return number == SYS_futex && (op & FUTEX_CMD_MASK) == FUTEX_WAIT && faults_strike(FAULT_FUTEX);
}

long __wrap_syscall(long number, ...)
{
    long args[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        args[i] = va_arg(list, long);
    }
    va_end(list);
    if (syscall_strikes(number, args[1])) {
        return -1;
    }
    return __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* Ends are made: the library starts its thread and the test makes transports, which have to be
 * there. Otherwise the test starts threads. */
static atomic_bool opening;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    return opening && faults_strike(FAULT_THREAD) ? errno
                                                  : __real_pthread_create(thread, attr, run, arg);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    long value;

    va_start(args, command);
    value = va_arg(args, long);
    va_end(args);
    return !opening && faults_strike(FAULT_FCNTL) ? -1 : __real_fcntl(fd, command, value);
}

int __wrap_dup2(int from, int to)
{
    return faults_strike(FAULT_DUP) ? -1 : __real_dup2(from, to);
}

/* --- scenarios: each tells whether all that was sent came back ------------------------------ */

static bool open_both(enum wire wire, const struct smux_config *config)
{
    opening = true;
    bool opened = open_ends(wire, config);
    opening = false;
    return opened;
}

static bool play_exchange(enum wire wire, unsigned version, size_t len, size_t piece)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = version;
    config.fin_linger_ms = 5;
    config.drain_timeout_ms = 50; /* a shutdown that fails is never answered */
    if (!open_both(wire, &config)) {
        return false;
    }
    bool complete = exchange(len, piece);
    close_ends();
    return complete;
}

static bool a_small_exchange(void)
{
    return play_exchange(WIRE_TCP, 1, 100, 10);
}

static bool many_writes_in_version_2(void)
{
    return play_exchange(WIRE_SOCKET, 2, 50000, 3000);
}

static bool a_large_write_that_lends(void)
{
    return play_exchange(WIRE_SOCKET, 1, 400000, 400000);
}

static bool pipes(void)
{
    return play_exchange(WIRE_PIPES, 2, 150000, 50000);
}

struct part {
    struct task task;
    bool complete;
};

static void play_part(void *arg)
{
    struct part *part = arg;

    part->complete = exchange(20000, 5000);
}

static bool three_streams_at_once(void)
{
    struct part parts[3];
    bool complete = true;

    if (!open_both(WIRE_SOCKET, NULL)) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        task_start(&parts[i].task, play_part, &parts[i]);
    }
    for (int i = 0; i < 3; i++) {
        task_join(&parts[i].task);
        complete = complete && parts[i].complete;
    }
    close_ends();
    return complete;
}

/* Nobody waits in the pauses: the background watches, and is all that notices what comes. */
static bool pauses(void)
{
    smux_stream *stream;

    if (!open_both(WIRE_TCP, NULL)) {
        return false;
    }
    bool complete = exchange(100, 100);
    sleep_ms(12);
    stream = open_stream(); /* arrives while the server does nothing */
    complete = stream != NULL && fine(smux_stream_write(stream, "abc", 3, NULL)) && complete;
    sleep_ms(12);
    if (stream != NULL) {
        smux_stream *accepted = NULL;

        smux_session_set_accept_deadline(ends.server, in_ms(patience_ms));
        if (fine(smux_session_accept(ends.server, &accepted))) {
            smux_stream_close(accepted);
        }
        smux_stream_close(stream);
    }
    close_ends();
    return complete;
}

static const struct scenario {
    const char *name;
    bool (*play)(void);
    unsigned places; /* tried in the suite, among all that there are */
} scenarios[] = {
    {"a small exchange", a_small_exchange, 8},
    {"many writes in version 2", many_writes_in_version_2, 8},
    {"a large write that lends", a_large_write_that_lends, 8},
    {"pipes", pipes, 8},
    {"three streams at once", three_streams_at_once, 8},
    {"pauses", pauses, 3},
};
#define N_SCENARIOS ((int)(sizeof scenarios / sizeof scenarios[0]))

/* --- faults -------------------------------------------------------------------------------- */

static const struct fault {
    enum fault_call call;
    int error;
    bool harmless;
} faults[] = {
    {FAULT_READ, EINTR, true},
    {FAULT_READ, EAGAIN, true},
    {FAULT_READ, 0, false},
    {FAULT_READ, ECONNRESET, false},
    {FAULT_READ, ETIMEDOUT, false},
    {FAULT_READ, ENOBUFS, false},
    {FAULT_READ, ENOMEM, false},
    {FAULT_READ, EIO, false},
    {FAULT_READ, ECONNREFUSED, false},
    {FAULT_READ, ENOTCONN, false},
    {FAULT_READ, EHOSTUNREACH, false},
    {FAULT_WRITE, EINTR, true},
    {FAULT_WRITE, EAGAIN, true},
    {FAULT_WRITE, EPIPE, false},
    {FAULT_WRITE, ECONNRESET, false},
    {FAULT_WRITE, ETIMEDOUT, false},
    {FAULT_WRITE, ENOBUFS, false},
    {FAULT_WRITE, ENOMEM, false},
    {FAULT_WRITE, EIO, false},
    {FAULT_WRITE, ENOTCONN, false},
    {FAULT_WRITE, EHOSTUNREACH, false},
    {FAULT_WRITE, ENETDOWN, false},
    {FAULT_WRITE, EMSGSIZE, false},
    {FAULT_POLL, EINTR, true},
    {FAULT_POLL, ENOMEM, true},
    {FAULT_POLL, 0, true},
    {FAULT_EPOLL_CREATE, EMFILE, false},
    {FAULT_EPOLL_CREATE, ENFILE, false},
    {FAULT_EPOLL_CREATE, ENOMEM, false},
    {FAULT_EPOLL_CTL, ENOMEM, false},
    {FAULT_EPOLL_CTL, ENOSPC, false},
    {FAULT_EPOLL_CTL, EPERM, false},
    {FAULT_EPOLL_WAIT, EINTR, true},
    {FAULT_EPOLL_WAIT, ENOSYS, true}, /* of epoll_pwait2, on an old kernel */
    {FAULT_FUTEX, EINTR, true},
    {FAULT_FUTEX, EAGAIN, true},
    {FAULT_BELL, EMFILE, false},
    {FAULT_BELL, ENFILE, false},
    {FAULT_BELL, ENOMEM, false},
    {FAULT_BELL, ENODEV, false},
    {FAULT_RING, EINTR, true},
    {FAULT_SHUTDOWN, ENOTCONN, true},
    {FAULT_CLOSE, EINTR, true},
    {FAULT_CLOSE, EIO, true},
    {FAULT_CLOSE, ENOSPC, true},
    {FAULT_SETSOCKOPT, ENOPROTOOPT, true},
    {FAULT_SETSOCKOPT, EINVAL, true},
    {FAULT_SETSOCKOPT, ENOMEM, true},
    {FAULT_SETSOCKOPT, EDOM, true},
    {FAULT_RANDOM, EINTR, true},
    {FAULT_RANDOM, ENOSYS, true},
    {FAULT_RANDOM, EAGAIN, true},
    {FAULT_RANDOM, EPERM, true}, /* of a filter of system calls */
    {FAULT_THREAD, EAGAIN, false},
    {FAULT_THREAD, EPERM, false},
    {FAULT_FCNTL, EPERM, true},
    {FAULT_FCNTL, EAGAIN, true},
    {FAULT_DUP, EINTR, true}, /* of a pipe that is shut down: its peer waits for the close */
    {FAULT_DUP, EBUSY, true},
};
#define N_FAULTS ((int)(sizeof faults / sizeof faults[0]))

/* Far more than any scenario needs, far less than the patience of a call. */
#define MAX_WALL_US      2000000
#define MAX_PROCESSOR_US 250000
#define PATIENT_MS       3000

static uint64_t processor_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static bool a_fault_struck(void)
{
    return faults_struck() > 0;
}

/* The background thread may still be on its way out; it has descriptors until it is gone. */
static bool no_descriptor_stays(void *arg)
{
    return faults_open_fds() == *(unsigned *)arg;
}

/* Plays with what was planned; returns whether everything came back. */
static bool play(const struct scenario *scenario, const char *what)
{
    unsigned fds = faults_open_fds();
    uint64_t begin_us = smux_now_us();
    uint64_t processor_begin_us = processor_us();
    bool complete = scenario->play();
    uint64_t spent_us = processor_us() - processor_begin_us;

    ck_assert_msg(smux_now_us() - begin_us < MAX_WALL_US, "%s, %s: hangs", scenario->name, what);
    ck_assert_msg(spent_us < MAX_PROCESSOR_US, "%s, %s: %u ms of the processor", scenario->name,
                  what, (unsigned)(spent_us / 1000));
    ck_assert_msg(await(no_descriptor_stays, &fds), "%s, %s: %u descriptors stay", scenario->name,
                  what, faults_open_fds() - fds);
    return complete;
}

/* One fault at the nth call. Returns whether there was such a call. */
static bool play_fault(const struct scenario *scenario, const struct fault *fault, unsigned nth)
{
    char what[64];

    (void)snprintf(what, sizeof what, "call %d, error %d, place %u", (int)fault->call, fault->error,
                   nth);
    faults_begin();
    faults_fail(fault->call, nth, fault->error, 1);
    bool complete = play(scenario, what);
    bool struck = faults_struck() > 0;
    faults_end();
    ck_assert_msg(complete || (struck && !fault->harmless), "%s, %s: not complete", scenario->name,
                  what);
    return struck;
}

static void setup(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as programs that use pipes have to */
    exchange_begin(PATIENT_MS, a_fault_struck);
}

/* How many calls there are without a fault; which differs a little between runs. */
static unsigned count_calls(const struct scenario *scenario, enum fault_call call)
{
    faults_begin();
    ck_assert_msg(play(scenario, "no fault"), "%s: not complete", scenario->name);
    faults_end();
    return faults_count(call);
}

START_TEST(K2_K3_K4_K8_a_fault_at_any_call)
{
    const struct scenario *scenario = &scenarios[_i / N_FAULTS];
    const struct fault *fault = &faults[_i % N_FAULTS];
    unsigned calls = count_calls(scenario, fault->call);
    unsigned places = (unsigned)suite_rounds((int)scenario->places);
    unsigned step = getenv("SMUX_LONG") != NULL ? 1 : (calls + places - 1) / places;

    for (unsigned nth = 1; nth <= calls && play_fault(scenario, fault, nth); nth += step) {
    }
}
END_TEST

/* Otherwise its faults would try nothing. */
START_TEST(every_call_of_the_table_is_made)
{
    unsigned calls[FAULT_CALLS] = {0};

    for (int i = 0; i < N_SCENARIOS; i++) {
        faults_begin();
        ck_assert(play(&scenarios[i], "no fault"));
        faults_end();
        for (int call = 0; call < FAULT_CALLS; call++) {
            calls[call] += faults_count((enum fault_call)call);
        }
    }
    for (int i = 0; i < N_FAULTS; i++) {
        ck_assert_msg(calls[faults[i].call] > 0, "call %d", (int)faults[i].call);
    }
}
END_TEST

static const size_t cuts[] = {1, 7, 8, 9, 1000};
#define N_CUTS 9 /* the same in both directions, or another one */

START_TEST(K2_K3_short_counts_lose_nothing)
{
    const struct scenario *scenario = &scenarios[_i / N_CUTS];

    exchange_begin(10 * PATIENT_MS, a_fault_struck); /* a byte a call takes its time */
    faults_begin();
    faults_shorten(FAULT_READ, cuts[_i % N_CUTS / 2]);
    faults_shorten(FAULT_WRITE, cuts[(_i % N_CUTS + 1) / 2]);
    ck_assert_msg(scenario->play(), "%s: not complete", scenario->name);
    faults_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults of sessions");
    TCase *tc = tcase_create("faults");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, K2_K3_K4_K8_a_fault_at_any_call, 0, N_SCENARIOS * N_FAULTS);
    tcase_add_loop_test(tc, K2_K3_short_counts_lose_nothing, 0,
                        N_CUTS * (getenv("SMUX_LONG") != NULL ? N_SCENARIOS : 2));
    tcase_add_test(tc, every_call_of_the_table_is_made);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
