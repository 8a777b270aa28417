#include "values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Far above what makes sense, far below what the arithmetic could not hold. */
#define LIMIT 1e15

struct unit {
    const char *name;
    double factor;
};

static const struct unit rate_units[] = {{"", 1},       {"bit", 1},    {"kbit", 1e3},
                                         {"Mbit", 1e6}, {"Gbit", 1e9}, {NULL, 0}};

static const struct unit size_units[] = {{"", 1},          {"B", 1},         {"kB", 1e3},
                                         {"MB", 1e6},      {"GB", 1e9},      {"KiB", 1 << 10},
                                         {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static const struct unit duration_units[] = {{"", 1e9},   {"s", 1e9},  {"ms", 1e6},
                                             {"us", 1e3}, {"m", 6e10}, {NULL, 0}};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static bool parse(const char *text, const struct unit *units, uint64_t *out)
{
    char *end;
    double value;

    if (!isdigit((unsigned char)text[0])) {
        return false; /* strtod() also takes signs, spaces, "inf" */
    }
    value = strtod(text, &end);
    while (units->name != NULL && strcmp(units->name, end) != 0) {
        units++;
    }
    if (units->name == NULL || !(value * units->factor <= LIMIT)) {
        return false;
    }
    *out = (uint64_t)(value * units->factor + 0.5);
    return true;
}

bool value_parse_rate(const char *text, uint64_t *out_bits_per_s)
{
    return parse(text, rate_units, out_bits_per_s);
}

bool value_parse_size(const char *text, uint64_t *out_bytes)
{
    return parse(text, size_units, out_bytes);
}

bool value_parse_duration(const char *text, uint64_t *out_ns)
{
    return parse(text, duration_units, out_ns);
}

bool value_parse_number(const char *text, uint64_t *out)
{
    return text[strspn(text, "0123456789")] == '\0' && parse(text, no_units, out);
}
