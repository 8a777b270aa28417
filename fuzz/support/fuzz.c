#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What must() of tests/support ends in, see tests/minicheck/check.h. */
void minicheck_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    abort();
}

static uint64_t take(struct fuzz_input *in, unsigned n)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < n && in->len > 0; i++) {
        value |= (uint64_t)*in->at << (8 * i);
        in->at++;
        in->len--;
    }
    return value;
}

uint8_t fuzz_u8(struct fuzz_input *in)
{
    return (uint8_t)take(in, 1);
}

uint16_t fuzz_u16(struct fuzz_input *in)
{
    return (uint16_t)take(in, 2);
}

uint32_t fuzz_u32(struct fuzz_input *in)
{
    return (uint32_t)take(in, 4);
}

uint64_t fuzz_u64(struct fuzz_input *in)
{
    return take(in, 8);
}

uint32_t fuzz_below(struct fuzz_input *in, uint32_t n)
{
    return (n <= 256 ? fuzz_u8(in) : fuzz_u32(in)) % n;
}

uint32_t fuzz_log(struct fuzz_input *in, uint32_t max)
{
    unsigned bits = fuzz_below(in, 33);
    uint32_t low = fuzz_u16(in);
    uint32_t value;

    if (bits == 0) {
        return 0;
    }
    value = (uint32_t)1 << (bits - 1);
    value |= bits > 16 ? low << (bits - 17) : low & (value - 1);
    return value <= max ? value : max;
}
