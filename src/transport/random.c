#define _GNU_SOURCE 1 /* sys.h: POSIX */

#include "random.h"

#include "sys.h"

#include <smux/transport.h>

#include <errno.h>
#include <unistd.h>

/** Fills `value` from the system's generator. Returns whether that worked. */
static bool random_from_system(uint64_t *value)
{
    ssize_t n;

    do {
        n = smux__sys.getrandom(value, sizeof *value, 0);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *value;
}

/** Stirs every bit of `x` into all others: the finisher of splitmix64. */
static uint64_t random_stir(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/** Mixes what an outsider does not know well: time, process and where memory lies. */
static uint64_t random_from_circumstances(void)
{
    uint64_t here = (uint64_t)(uintptr_t)&here;
    uint64_t code = (uint64_t)(uintptr_t)&smux__sys;
    uint64_t process = (uint64_t)getpid();

    return random_stir(random_stir(here ^ smux_now_us()) ^ code ^ (process << 32));
}

uint64_t smux__random_seed(void)
{
    uint64_t seed;

    if (!random_from_system(&seed)) {
        seed = random_from_circumstances();
    }
    return seed != 0 ? seed : 1;
}
