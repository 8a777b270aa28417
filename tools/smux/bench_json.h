/*
 * bench_json.h - results as JSON: the objects of schema smux-bench/1.
 *
 * One test is   { "schema", "start", "intervals": [...], "end", "histogram": [[us, count], ...] },
 * several are   { "schema", "tests": [ such objects ], "summary": [...] }.
 * JSON lines are { "event": "start" | "interval" | "end", "data": the same object }.
 *
 * Each function returns a new reference, or NULL without memory.
 */
#ifndef TOOL_BENCH_JSON_H
#define TOOL_BENCH_JSON_H

#include <jansson.h>

#include "bench_summary.h"

json_t *json_of_start(const struct bench_test *test);
json_t *json_of_interval(const struct bench_interval *interval);
json_t *json_of_end(const struct bench_result *result);

/* An event of JSON lines; takes over `data`. */
json_t *json_of_event(const char *event, json_t *data);

/* A test whose "start" and "intervals" are known already; takes both over. */
json_t *json_of_test(const struct bench_result *result, json_t *start);

json_t *json_of_summary(const struct summary *summary);

/* The whole document; takes over tests and summary. */
json_t *json_of_document(json_t *tests, json_t *summary);

#endif
