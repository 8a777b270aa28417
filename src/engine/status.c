/*
 * status.c - names and texts of the status codes, names of the limits, and the version of the
 * library.
 */
#include <smux/base.h>

const char *smux_version(void)
{
    return SMUX_VERSION_STRING;
}

const char *smux_strerror(int status)
{
    switch (status) {
#define STATUS_TEXT(name, code, text)                                                              \
    case code:                                                                                     \
        return text;
        SMUX_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "unknown status";
    }
}

const char *smux_status_name(int status)
{
    switch (status) {
#define STATUS_NAME(name, code, text)                                                              \
    case code:                                                                                     \
        return "SMUX_" #name;
        SMUX_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "SMUX_?";
    }
}

const char *smux_limit_name(unsigned limit)
{
    static const char *const names[] = {
#define LIMIT_NAME(limit, name) name,
        SMUX_LIMIT_MAP(LIMIT_NAME)
#undef LIMIT_NAME
    };

    return limit < SMUX_LIMIT_COUNT ? names[limit] : NULL;
}

bool smux_status_is_fatal(int status)
{
    return status <= SMUX_ECLOSED;
}
