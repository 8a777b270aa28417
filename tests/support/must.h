/*
 * must.h - an assertion for places that run millions of times: Check reports every one that
 * holds to its parent process, which costs a system call.
 */
#ifndef SUPPORT_MUST_H
#define SUPPORT_MUST_H

#include <check.h>

#define must(expr, ...)                                                                            \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            ck_abort_msg(__VA_ARGS__);                                                             \
        }                                                                                          \
    } while (0)

#endif
