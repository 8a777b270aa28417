#include "usage.h"

#include <stdarg.h>
#include <stdio.h>

#include "help.h"

void usage_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs(SMUX_TOOL_NAME ": ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}
