/*
 * check.h - the part of the interface of Check (libcheck) that our tests use, for targets for
 * which no Check is packaged: the cross builds under qemu-user.
 *
 * Each test runs in a process of its own with a time limit, as in Check; CK_FORK=no runs them
 * in one process, CK_TIMEOUT_MULTIPLIER stretches the limits. Only macros and functions listed
 * here exist; what a test needs beyond them is added here.
 */
#ifndef MINICHECK_CHECK_H
#define MINICHECK_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Suite Suite;
typedef struct TCase TCase;
typedef struct SRunner SRunner;
typedef void (*SFun)(void);

typedef struct TTest {
    const char *name;
    void (*fn)(int _i);
} TTest;

enum print_output {
    CK_SILENT,
    CK_MINIMAL,
    CK_NORMAL,
    CK_VERBOSE,
    CK_ENV
};
enum fork_status {
    CK_FORK_GETENV,
    CK_FORK,
    CK_NOFORK
};

Suite *suite_create(const char *name);
void suite_add_tcase(Suite *suite, TCase *tcase);
TCase *tcase_create(const char *name);
void tcase_set_timeout(TCase *tcase, double seconds);
void tcase_add_checked_fixture(TCase *tcase, SFun setup, SFun teardown);
void tcase_add_unchecked_fixture(TCase *tcase, SFun setup, SFun teardown);
void minicheck_add(TCase *tcase, const TTest *test, int signal, int status, int from, int to);
SRunner *srunner_create(Suite *suite);
void srunner_add_suite(SRunner *runner, Suite *suite);
void srunner_set_fork_status(SRunner *runner, enum fork_status status);
void srunner_run_all(SRunner *runner, enum print_output output);
int srunner_ntests_failed(SRunner *runner);
int srunner_ntests_run(SRunner *runner);
void srunner_free(SRunner *runner);

void minicheck_fail(const char *file, int line, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

#define tcase_add_test(tc, t)                   minicheck_add((tc), (t), 0, 0, 0, 1)
#define tcase_add_loop_test(tc, t, from, to)    minicheck_add((tc), (t), 0, 0, (from), (to))
#define tcase_add_exit_test(tc, t, status)      minicheck_add((tc), (t), 0, (status), 0, 1)
#define tcase_add_test_raise_signal(tc, t, sig) minicheck_add((tc), (t), (sig), 0, 0, 1)

#define START_TEST(test_name)                                                                      \
    static void test_name##_fn(int _i);                                                            \
    static const TTest test_name##_ttest = {#test_name, test_name##_fn};                           \
    static const TTest *const test_name = &test_name##_ttest;                                      \
    static void test_name##_fn(int _i __attribute__((unused)))
#define END_TEST

#define ck_abort_msg(...) minicheck_fail(__FILE__, __LINE__, "" __VA_ARGS__)
#define ck_abort()        minicheck_fail(__FILE__, __LINE__, "failed")
#define ck_assert(expr)                                                                            \
    ((expr) ? (void)0 : minicheck_fail(__FILE__, __LINE__, "%s", "'" #expr "' failed"))
#define ck_assert_msg(expr, ...)                                                                   \
    ((expr) ? (void)0 : minicheck_fail(__FILE__, __LINE__, "" __VA_ARGS__))

#define MINICHECK_COMPARE(type, format, x, op, y)                                                  \
    do {                                                                                           \
        type _ck_x = (x);                                                                          \
        type _ck_y = (y);                                                                          \
        if (!(_ck_x op _ck_y)) {                                                                   \
            minicheck_fail(__FILE__, __LINE__, "'%s' failed: %s == " format ", %s == " format,     \
                           #x " " #op " " #y, #x, _ck_x, #y, _ck_y);                               \
        }                                                                                          \
    } while (0)

#define MINICHECK_INT(x, op, y) MINICHECK_COMPARE(intmax_t, "%jd", x, op, y)
#define ck_assert_int_eq(x, y)  MINICHECK_INT(x, ==, y)
#define ck_assert_int_ne(x, y)  MINICHECK_INT(x, !=, y)
#define ck_assert_int_lt(x, y)  MINICHECK_INT(x, <, y)
#define ck_assert_int_le(x, y)  MINICHECK_INT(x, <=, y)
#define ck_assert_int_gt(x, y)  MINICHECK_INT(x, >, y)
#define ck_assert_int_ge(x, y)  MINICHECK_INT(x, >=, y)

#define MINICHECK_UINT(x, op, y) MINICHECK_COMPARE(uintmax_t, "%ju", x, op, y)
#define ck_assert_uint_eq(x, y)  MINICHECK_UINT(x, ==, y)
#define ck_assert_uint_ne(x, y)  MINICHECK_UINT(x, !=, y)
#define ck_assert_uint_lt(x, y)  MINICHECK_UINT(x, <, y)
#define ck_assert_uint_le(x, y)  MINICHECK_UINT(x, <=, y)
#define ck_assert_uint_gt(x, y)  MINICHECK_UINT(x, >, y)
#define ck_assert_uint_ge(x, y)  MINICHECK_UINT(x, >=, y)

#define MINICHECK_DOUBLE(x, op, y) MINICHECK_COMPARE(double, "%g", x, op, y)
#define ck_assert_double_eq(x, y)  MINICHECK_DOUBLE(x, ==, y)
#define ck_assert_double_lt(x, y)  MINICHECK_DOUBLE(x, <, y)
#define ck_assert_double_le(x, y)  MINICHECK_DOUBLE(x, <=, y)
#define ck_assert_double_gt(x, y)  MINICHECK_DOUBLE(x, >, y)
#define ck_assert_double_ge(x, y)  MINICHECK_DOUBLE(x, >=, y)

#define MINICHECK_PTR(x, op, y)  MINICHECK_COMPARE(const void *, "%p", x, op, y)
#define ck_assert_ptr_eq(x, y)   MINICHECK_PTR(x, ==, y)
#define ck_assert_ptr_ne(x, y)   MINICHECK_PTR(x, !=, y)
#define ck_assert_ptr_null(x)    MINICHECK_PTR(x, ==, NULL)
#define ck_assert_ptr_nonnull(x) MINICHECK_PTR(x, !=, NULL)

#define MINICHECK_STR(x, op, y)                                                                    \
    do {                                                                                           \
        const char *_ck_x = (x);                                                                   \
        const char *_ck_y = (y);                                                                   \
        if (!_ck_x || !_ck_y || !(strcmp(_ck_x, _ck_y) op 0)) {                                    \
            minicheck_fail(__FILE__, __LINE__, "'%s' failed: %s == \"%s\", %s == \"%s\"",          \
                           #x " " #op " " #y, #x, _ck_x ? _ck_x : "(null)", #y,                    \
                           _ck_y ? _ck_y : "(null)");                                              \
        }                                                                                          \
    } while (0)
#define ck_assert_str_eq(x, y) MINICHECK_STR(x, ==, y)
#define ck_assert_str_ne(x, y) MINICHECK_STR(x, !=, y)

void minicheck_mem(const char *file, int line, const char *what, int equal, const void *x,
                   const void *y, size_t len);
#define ck_assert_mem_eq(x, y, len) minicheck_mem(__FILE__, __LINE__, #x " == " #y, 1, x, y, len)
#define ck_assert_mem_ne(x, y, len) minicheck_mem(__FILE__, __LINE__, #x " != " #y, 0, x, y, len)

#endif
