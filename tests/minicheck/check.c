/* check.c - runner of the small stand-in for Check; see check.h. */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct entry {
    const TTest *test;
    int signal, status, from, to;
    struct entry *next;
};

struct fixture {
    SFun setup, teardown;
    struct fixture *next;
};

struct TCase {
    const char *name;
    double timeout;
    struct entry *entries;
    struct fixture *checked, *unchecked;
    TCase *next;
};

struct Suite {
    const char *name;
    TCase *cases;
    Suite *next;
};

struct SRunner {
    Suite *suites;
    enum fork_status fork_status;
    int run, failed;
};

static jmp_buf failure;
static int forking = 1;

static void *make(size_t size)
{
    void *made = calloc(1, size);
    if (!made) {
        abort();
    }
    return made;
}

#define APPEND(list, item)                                                                         \
    do {                                                                                           \
        while (*(list)) {                                                                          \
            (list) = &(*(list))->next;                                                             \
        }                                                                                          \
        *(list) = (item);                                                                          \
    } while (0)

Suite *suite_create(const char *name)
{
    Suite *suite = make(sizeof *suite);
    suite->name = name;
    return suite;
}

void suite_add_tcase(Suite *suite, TCase *tcase)
{
    TCase **end = &suite->cases;
    APPEND(end, tcase);
}

TCase *tcase_create(const char *name)
{
    const char *standard = getenv("CK_DEFAULT_TIMEOUT");
    TCase *tcase = make(sizeof *tcase);
    tcase->name = name;
    tcase->timeout = standard ? atof(standard) : 4;
    return tcase;
}

void tcase_set_timeout(TCase *tcase, double seconds)
{
    tcase->timeout = seconds;
}

static void add_fixture(struct fixture **end, SFun setup, SFun teardown)
{
    struct fixture *fixture = make(sizeof *fixture);
    fixture->setup = setup;
    fixture->teardown = teardown;
    APPEND(end, fixture);
}

void tcase_add_checked_fixture(TCase *tcase, SFun setup, SFun teardown)
{
    add_fixture(&tcase->checked, setup, teardown);
}

void tcase_add_unchecked_fixture(TCase *tcase, SFun setup, SFun teardown)
{
    add_fixture(&tcase->unchecked, setup, teardown);
}

void minicheck_add(TCase *tcase, const TTest *test, int signal, int status, int from, int to)
{
    struct entry *entry = make(sizeof *entry);
    struct entry **end = &tcase->entries;
    entry->test = test;
    entry->signal = signal;
    entry->status = status;
    entry->from = from;
    entry->to = to;
    APPEND(end, entry);
}

SRunner *srunner_create(Suite *suite)
{
    SRunner *runner = make(sizeof *runner);
    if (suite) {
        srunner_add_suite(runner, suite);
    }
    return runner;
}

void srunner_add_suite(SRunner *runner, Suite *suite)
{
    Suite **end = &runner->suites;
    APPEND(end, suite);
}

void srunner_set_fork_status(SRunner *runner, enum fork_status status)
{
    runner->fork_status = status;
}

void minicheck_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%s:%d: ", file, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(NULL);
    if (forking) {
        _exit(1);
    }
    longjmp(failure, 1);
}

void minicheck_mem(const char *file, int line, const char *what, int equal, const void *x,
                   const void *y, size_t len)
{
    const unsigned char *a = x, *b = y;
    size_t at = 0;
    while (at < len && a[at] == b[at]) {
        at++;
    }
    if (equal && at < len) {
        minicheck_fail(file, line, "'%s' failed: byte %zu of %zu is 0x%02x and 0x%02x", what, at,
                       len, a[at], b[at]);
    }
    if (!equal && at == len) {
        minicheck_fail(file, line, "'%s' failed: %zu equal bytes", what, len);
    }
}

static void run_fixtures(const struct fixture *fixture, int setup)
{
    for (; fixture; fixture = fixture->next) {
        SFun function = setup ? fixture->setup : fixture->teardown;
        if (function) {
            function();
        }
    }
}

static void run_body(const TCase *tcase, const struct entry *entry, int i)
{
    run_fixtures(tcase->checked, 1);
    entry->test->fn(i);
    run_fixtures(tcase->checked, 0);
}

/* Runs a test here, its failure being a jump back. */
static int run_inline(const TCase *tcase, const struct entry *entry, int i)
{
    if (setjmp(failure)) {
        return 0;
    }
    run_body(tcase, entry, i);
    return 1;
}

static double stretch(void)
{
    const char *factor = getenv("CK_TIMEOUT_MULTIPLIER");
    return factor ? atof(factor) : 1;
}

static int run_forked(const TCase *tcase, const struct entry *entry, int i)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        alarm((unsigned)(tcase->timeout * stretch()) + 1);
        run_body(tcase, entry, i);
        fflush(NULL);
        _exit(0);
    }
    if (pid < 0) {
        return 0;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    kill(-pid, SIGKILL);
    if (WIFSIGNALED(status) && WTERMSIG(status) != entry->signal) {
        printf("%s: %s\n", entry->test->name,
               WTERMSIG(status) == SIGALRM ? "time limit passed" : strsignal(WTERMSIG(status)));
    }
    if (entry->signal) {
        return WIFSIGNALED(status) && WTERMSIG(status) == entry->signal;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == entry->status;
}

static void run_case(SRunner *runner, const TCase *tcase)
{
    run_fixtures(tcase->unchecked, 1);
    for (const struct entry *entry = tcase->entries; entry; entry = entry->next) {
        for (int i = entry->from; i < entry->to; i++) {
            if (!forking && (entry->signal || entry->status)) {
                continue;
            }
            runner->run++;
            if (!(forking ? run_forked : run_inline)(tcase, entry, i)) {
                runner->failed++;
                printf("%s:%s:%d: failed\n", tcase->name, entry->test->name, i);
            }
        }
    }
    run_fixtures(tcase->unchecked, 0);
}

void srunner_run_all(SRunner *runner, enum print_output output)
{
    const char *wish = getenv("CK_FORK");
    forking = runner->fork_status == CK_FORK ||
              (runner->fork_status == CK_FORK_GETENV && !(wish && strcmp(wish, "no") == 0));
    for (const Suite *suite = runner->suites; suite; suite = suite->next) {
        for (const TCase *tcase = suite->cases; tcase; tcase = tcase->next) {
            run_case(runner, tcase);
        }
    }
    if (output != CK_SILENT && runner->run > 0) {
        printf("%d%%: Checks: %d, Failures: %d\n",
               100 * (runner->run - runner->failed) / runner->run, runner->run, runner->failed);
    }
}

int srunner_ntests_failed(SRunner *runner)
{
    return runner->failed;
}

int srunner_ntests_run(SRunner *runner)
{
    return runner->run;
}

#define FREE_LIST(type, list)                                                                      \
    for (type *item = (list), *next; item; item = next) {                                          \
        next = item->next;                                                                         \
        free(item);                                                                                \
    }

void srunner_free(SRunner *runner)
{
    for (Suite *suite = runner->suites, *next_suite; suite; suite = next_suite) {
        next_suite = suite->next;
        for (TCase *tcase = suite->cases, *next_case; tcase; tcase = next_case) {
            next_case = tcase->next;
            FREE_LIST(struct entry, tcase->entries)
            FREE_LIST(struct fixture, tcase->checked)
            FREE_LIST(struct fixture, tcase->unchecked)
            free(tcase);
        }
        free(suite);
    }
    free(runner);
}
