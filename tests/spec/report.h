/*
 * report.h - how a run is told: a table for people, Markdown, or JSON for scripts.
 */
#ifndef SPEC_REPORT_H
#define SPEC_REPORT_H

#include "spec.h"

enum report_format {
    REPORT_TABLE,
    REPORT_MARKDOWN,
    REPORT_JSON
};

/** Prints all cases, with their verdict if they were run. Returns the number that failed. */
size_t report_print(enum report_format format, const struct spec_run *run,
                    const struct spec_test *tests, size_t n, double seconds);

/** Prints the cases alone. */
void report_list(const struct spec_test *tests, size_t n);

#endif
