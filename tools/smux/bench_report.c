#include "bench_report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "bench_interrupt.h"
#include "bench_json.h"
#include "bench_rows.h"
#include "bench_summary.h"
#include "bench_tsv.h"
#include "usage.h"
#include "values.h"

struct report {
    const struct bench_settings *settings;
    FILE *rows;         /* the table, or NULL */
    FILE *json;         /* the document, or NULL */
    struct tsv tsv;     /* files are NULL when not wanted */
    json_t *tests;      /* for the document */
    json_t *last_start; /* "start" of the test under way */
};

/* Standard output holds the result: what is there for the eye goes to the side when the result
 * is something else. */
static FILE *rows_file(const struct bench_settings *settings)
{
    if (settings->json_lines || (settings->json != NULL && strcmp(settings->json, "-") == 0)) {
        return NULL;
    }
    return settings->markdown ? stderr : stdout;
}

static bool open_json(struct report *report, const char *path)
{
    if (path == NULL) {
        return true;
    }
    report->json = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (report->json == NULL) {
        usage_error("cannot write %s: %s", path, value_errno_text(errno));
    }
    return report->json != NULL;
}

struct report *report_new(const struct bench_settings *settings)
{
    struct report *report = calloc(1, sizeof(*report));

    if (report == NULL) {
        usage_error("out of memory");
        return NULL;
    }
    report->settings = settings;
    report->rows = rows_file(settings);
    report->tests = json_array();
    if (!open_json(report, settings->json) ||
        (settings->tsv != NULL && !tsv_open(&report->tsv, settings->tsv))) {
        report_free(report);
        return NULL;
    }
    return report;
}

/* --- while it runs ------------------------------------------------------------------------ */

/* Prints a line of JSON; takes over `data`. */
static void put_line(const char *event, json_t *data)
{
    json_t *line = json_of_event(event, data);

    json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(line);
}

void report_start(struct report *report, const struct bench_test *test)
{
    json_decref(report->last_start);
    report->last_start = json_of_start(test);
    if (report->rows != NULL) {
        rows_start(report->rows, test);
    }
    if (report->settings->json_lines) {
        put_line("start", json_incref(report->last_start));
    }
}

void report_interval(struct report *report, const struct bench_test *test,
                     const struct bench_interval *interval)
{
    if (report->rows != NULL) {
        rows_interval(report->rows, test, interval);
    }
    if (report->settings->json_lines) {
        put_line("interval", json_of_interval(interval));
    }
}

void report_result(struct report *report, const struct bench_result *result)
{
    if (report->rows != NULL) {
        rows_result(report->rows, result);
    }
    if (report->settings->json_lines) {
        put_line("end", json_of_end(result));
    }
    if (report->json != NULL) {
        json_array_append_new(report->tests, json_of_test(result, report->last_start));
        report->last_start = NULL;
    }
    if (report->tsv.intervals != NULL) {
        tsv_write_result(&report->tsv, result);
    }
}

/* --- at the end --------------------------------------------------------------------------- */

static bool write_document(struct report *report, const struct summary *summary)
{
    json_t *document = json_of_document(report->tests, json_of_summary(summary));
    bool ok = json_dumpf(document, report->json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0;

    report->tests = NULL;
    fputc('\n', report->json);
    json_decref(document);
    return ok;
}

/* How many runs there were: fewer than wanted after INT, and the last may lack some tests. */
static uint32_t count_runs(const struct bench_result *results, size_t n)
{
    uint32_t runs = 0;

    for (size_t i = 0; i < n; i++) {
        runs = results[i].test.run > runs ? results[i].test.run : runs;
    }
    return runs;
}

static void print_summary(const struct report *report, const struct summary *summary,
                          const struct bench_result *results, size_t n)
{
    uint32_t runs = count_runs(results, n);

    if (report->settings->markdown) {
        summary_print(summary, true, stdout);
    } else if (report->rows != NULL && n > 1) {
        fprintf(report->rows, "medians of %u run%s%s\n", runs, runs == 1 ? "" : "s",
                interrupt_came() ? ", interrupted" : "");
        summary_print(summary, false, report->rows);
    }
}

static bool close_json(struct report *report)
{
    bool ok = report->json == NULL || !ferror(report->json);

    if (report->json != NULL && report->json != stdout) {
        ok = fclose(report->json) == 0 && ok;
    }
    report->json = NULL;
    return ok;
}

int report_finish(struct report *report, const struct bench_result *results, size_t n)
{
    struct summary summary;
    bool ok = true;

    if (!summary_init(&summary, results, n)) {
        usage_error("out of memory");
        return EX_OSERR;
    }
    print_summary(report, &summary, results, n);
    if (report->json != NULL) {
        ok = write_document(report, &summary);
    }
    if (report->tsv.summary != NULL) {
        tsv_write_summary(&report->tsv, &summary);
    }
    summary_deinit(&summary);
    ok = close_json(report) && ok;
    ok = tsv_close(&report->tsv) && ok;
    ok = fflush(stdout) == 0 && !ferror(stdout) && ok;
    if (!ok) {
        usage_error("cannot write the results: %s", value_errno_text(errno));
        return EX_IOERR;
    }
    return 0;
}

void report_free(struct report *report)
{
    close_json(report);
    tsv_close(&report->tsv);
    json_decref(report->tests);
    json_decref(report->last_start);
    free(report);
}
