/*
 * values.h - numbers, sizes and durations as people type them.
 *
 *   size       4096   64KiB   2MiB   1GiB (1024)   8kB   1MB   1GB (1000)
 *   duration   30   0.5   250ms   10s   5m   1h   1d; without a unit: seconds
 */
#ifndef TOOL_VALUES_H
#define TOOL_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns false, and leaves *out alone, when the text is something else or too large. */
bool value_parse_number(const char *text, uint32_t *out);
bool value_parse_size(const char *text, uint32_t *out_bytes);
bool value_parse_duration(const char *text, uint32_t *out_ms);
bool value_parse_switch(const char *text, bool *out);

/* Writes an amount of bytes for people, such as "1.5 MiB", and returns `out`. */
const char *value_format_bytes(uint64_t bytes, char *out, size_t size);

/* Returns the text of an errno value in lower case, such as "connection refused". */
const char *value_errno_text(int error);

#endif
