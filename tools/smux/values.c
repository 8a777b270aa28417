#define _GNU_SOURCE 1

#include "values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

/* A factor that may follow a number. */
struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},           {"B", 1},      {"KiB", 1u << 10}, {"MiB", 1u << 20},
    {"GiB", 1u << 30}, {"kB", 1000u}, {"MB", 1000000u},  {"GB", 1000000000u},
};

/* In milliseconds. */
static const struct unit time_units[] = {
    {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

static const struct unit *unit_find(const struct unit *units, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(units[i].name, name) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

/* Reads digits; false when there are none or the number does not fit 32 bits. */
static bool scan_digits(const char **text, uint64_t *out)
{
    const char *at = *text;
    uint64_t number = 0;

    if (!isdigit((unsigned char)*at)) {
        return false;
    }
    for (; isdigit((unsigned char)*at); at++) {
        number = number * 10 + (uint64_t)(*at - '0');
        if (number > UINT32_MAX) {
            return false;
        }
    }
    *text = at;
    *out = number;
    return true;
}

/* Reads ".5" as thousandths, further digits without meaning; nothing at all is 0. */
static bool scan_thousandths(const char **text, uint64_t *out)
{
    const char *at = *text;
    uint64_t scale = 100;

    *out = 0;
    if (*at != '.') {
        return true;
    }
    if (!isdigit((unsigned char)*++at)) {
        return false;
    }
    for (; isdigit((unsigned char)*at); at++, scale /= 10) {
        *out += (uint64_t)(*at - '0') * scale;
    }
    *text = at;
    return true;
}

static bool fit_u32(uint64_t value, uint32_t *out)
{
    if (value >= UINT32_MAX) { /* the last one means "off" in the library */
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

bool value_parse_number(const char *text, uint32_t *out)
{
    uint64_t number;

    return scan_digits(&text, &number) && *text == '\0' && fit_u32(number, out);
}

bool value_parse_size(const char *text, uint32_t *out_bytes)
{
    const struct unit *unit;
    uint64_t number;

    if (!scan_digits(&text, &number)) {
        return false;
    }
    unit = unit_find(size_units, sizeof(size_units) / sizeof(size_units[0]), text);
    return unit != NULL && fit_u32(number * unit->factor, out_bytes);
}

bool value_parse_duration(const char *text, uint32_t *out_ms)
{
    const struct unit *unit;
    uint64_t whole;
    uint64_t thousandths;

    if (!scan_digits(&text, &whole) || !scan_thousandths(&text, &thousandths)) {
        return false;
    }
    unit = unit_find(time_units, sizeof(time_units) / sizeof(time_units[0]), text);
    return unit != NULL &&
           fit_u32(whole * unit->factor + thousandths * unit->factor / 1000, out_ms);
}

bool value_parse_switch(const char *text, bool *out)
{
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0) {
        return false;
    }
    *out = strcmp(text, "on") == 0;
    return true;
}

const char *value_format_bytes(uint64_t bytes, char *out, size_t size)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double amount = (double)bytes;
    size_t unit = 0;

    while (amount >= 1024 && unit + 1 < sizeof(names) / sizeof(names[0])) {
        amount /= 1024;
        unit++;
    }
    snprintf(out, size, unit == 0 || amount >= 100 ? "%.0f %s" : "%.1f %s", amount, names[unit]);
    return out;
}

const char *value_errno_text(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "address in use";
    case EISDIR:
        return "is a directory";
    default:
        return uv_strerror(-error);
    }
}
