/*
 * values.h - rates, sizes and durations as people type them.
 *
 *   rate       1Gbit   100Mbit   500kbit   8000 (bits a second); 0 is "no limit"
 *   size       4096   64KiB   2MiB (1024)   8kB   1MB (1000)
 *   duration   0.5   2s   50ms   100us; without a unit: seconds
 *
 * Fractions are allowed with all of them.
 */
#ifndef LINKEMU_VALUES_H
#define LINKEMU_VALUES_H

#include <stdbool.h>
#include <stdint.h>

/* Each returns false, and leaves *out alone, when the text is something else or too large. */
bool value_parse_rate(const char *text, uint64_t *out_bits_per_s);
bool value_parse_size(const char *text, uint64_t *out_bytes);
bool value_parse_duration(const char *text, uint64_t *out_ns);
bool value_parse_number(const char *text, uint64_t *out);

#endif
