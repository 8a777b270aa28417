#define _GNU_SOURCE 1 /* sys.h: POSIX */

#include "sys.h"

#include <smux/transport.h>

uint64_t smux_now_us(void)
{
    struct timespec now = {0};

    /* CLOCK_MONOTONIC cannot fail where libsmux builds; 0 would read as "unset" to callers. */
    (void)smux__sys.clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    return us != 0 ? us : 1;
}
