#include "bench_summary.h"

#include <stdlib.h>

/* --- figures ------------------------------------------------------------------------------ */

static double bytes_rate(const struct bench_result *result)
{
    return interval_bytes_rate(&result->total);
}

static double operations_rate(const struct bench_result *result)
{
    return interval_operations_rate(&result->total);
}

static double cpu_per_byte(const struct bench_result *result)
{
    return result->total.bytes > 0 ? result_cpu_s(result) * 1e9 / (double)result->total.bytes : 0;
}

static double switches_per_gigabyte(const struct bench_result *result)
{
    double gigabytes = (double)result->total.bytes / 1e9;

    return gigabytes > 0 ? (double)result->usage.switches / gigabytes : 0;
}

static double p50(const struct bench_result *result)
{
    return result->total.p50_us;
}

static double p99(const struct bench_result *result)
{
    return result->total.p99_us;
}

static double heap_per_stream(const struct bench_result *result)
{
    return result->heap_per_stream;
}

static double rss_per_stream(const struct bench_result *result)
{
    return result->rss_per_stream;
}

static const struct figure figures[] = {
    {MODE_BULK, "throughput", "GB/s", 1e9, false, bytes_rate},
    {MODE_BULK, "cpu", "ns/byte", 1, false, cpu_per_byte},
    {MODE_BULK, "switches", "k/GB", 1e3, false, switches_per_gigabyte},
    {MODE_BULK, "fairness", "Jain", 1, false, result_fairness},
    {MODE_SMALL, "writes", "k/s", 1e3, false, operations_rate},
    {MODE_TURNS, "writes", "k/s", 1e3, false, operations_rate},
    {MODE_PINGPONG, "p50", "us", 1, false, p50},
    {MODE_PINGPONG, "p99", "us", 1, false, p99},
    {MODE_LOADED, "p50", "us", 1, false, p50},
    {MODE_LOADED, "p99", "us", 1, false, p99},
    {MODE_LOADED, "bulk", "GB/s", 1e9, false, bytes_rate},
    {MODE_CHURN, "streams", "k/s", 1e3, false, operations_rate},
    {MODE_IDLE, "heap of a stream end", "bytes", 1, true, heap_per_stream},
    {MODE_IDLE, "rss of a stream end", "bytes", 1, true, rss_per_stream},
};

#define N_FIGURES (sizeof(figures) / sizeof(figures[0]))

/* --- medians ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void fill_cell(struct summary_cell *cell, double *values, size_t n)
{
    *cell = (struct summary_cell){.runs = n};
    if (n > 0) {
        qsort(values, n, sizeof(*values), compare);
        cell->min = values[0];
        cell->max = values[n - 1];
        cell->median = (values[(n - 1) / 2] + values[n / 2]) / 2;
    }
}

/* Collects a figure of one kind from all results that have it. */
static size_t collect(const struct figure *figure, enum bench_kind kind,
                      const struct bench_result *results, size_t n, double *values)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        const struct bench_test *test = &results[i].test;
        if (test->mode->id == figure->mode && test->kind == kind &&
            !(figure->smux_only && kind == KIND_TCP)) {
            values[found++] = figure->value(&results[i]) / figure->scale;
        }
    }
    return found;
}

static const struct bench_mode *mode_of(const struct bench_result *results, size_t n,
                                        enum bench_mode_id id)
{
    for (size_t i = 0; i < n; i++) {
        if (results[i].test.mode->id == id) {
            return results[i].test.mode;
        }
    }
    return NULL;
}

bool summary_init(struct summary *summary, const struct bench_result *results, size_t n)
{
    double *values = calloc(n + 1, sizeof(*values));

    *summary = (struct summary){.rows = calloc(N_FIGURES, sizeof(struct summary_row))};
    if (values == NULL || summary->rows == NULL) {
        free(values);
        summary_deinit(summary);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        summary->has_kind[results[i].test.kind] = true;
    }
    for (size_t f = 0; f < N_FIGURES; f++) {
        struct summary_row *row = &summary->rows[summary->n];
        row->figure = &figures[f];
        row->mode = mode_of(results, n, figures[f].mode);
        summary->n += row->mode != NULL;
        for (int kind = 0; kind < KIND_COUNT; kind++) {
            size_t found = collect(row->figure, (enum bench_kind)kind, results, n, values);
            fill_cell(&row->cells[kind], values, found);
        }
    }
    free(values);
    return true;
}

void summary_deinit(struct summary *summary)
{
    free(summary->rows);
    summary->rows = NULL;
    summary->n = 0;
}

double summary_ratio(const struct summary_row *row, enum bench_kind kind)
{
    double base = row->cells[KIND_TCP].median;

    return row->cells[KIND_TCP].runs > 0 && base > 0 ? row->cells[kind].median / base : 0;
}

/* --- the table ---------------------------------------------------------------------------- */

/* The same columns for people and for Markdown, which only needs the bars between them. */
struct table {
    FILE *out;
    bool markdown;
    size_t column; /* of the line */
};

/* The first two columns are words, the others numbers. */
static void put(struct table *table, const char *text)
{
    static const int widths[] = {-8, -20, -7};
    int width = table->column < 3 ? widths[table->column] : 9;
    const char *before =
        table->column == 0 ? (table->markdown ? "| " : "  ") : (table->markdown ? " | " : "  ");

    fprintf(table->out, "%s%*s", before, width, text);
    table->column++;
}

static void end_line(struct table *table)
{
    fputs(table->markdown ? " |\n" : "\n", table->out);
    table->column = 0;
}

static void put_number(struct table *table, double value, const char *suffix)
{
    char text[32];
    int digits = value >= 100 ? 0 : value >= 10 ? 1 : 3;

    snprintf(text, sizeof(text), "%.*f%s", digits, value, suffix);
    put(table, text);
}

static void put_cell(struct table *table, const struct summary_cell *cell)
{
    if (cell->runs == 0) {
        put(table, "-");
    } else {
        put_number(table, cell->median, "");
    }
}

static bool shows_ratio(const struct summary *summary, int kind)
{
    return kind != KIND_TCP && summary->has_kind[kind] && summary->has_kind[KIND_TCP];
}

static void put_header(struct table *table, const struct summary *summary)
{
    char text[32];
    size_t columns;

    put(table, "mode");
    put(table, "figure");
    put(table, "unit");
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (summary->has_kind[kind]) {
            put(table, bench_kind_name((enum bench_kind)kind));
        }
    }
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (shows_ratio(summary, kind)) {
            snprintf(text, sizeof(text), "%s/tcp", bench_kind_name((enum bench_kind)kind));
            put(table, text);
        }
    }
    columns = table->column;
    end_line(table);
    for (size_t i = 0; table->markdown && i < columns; i++) {
        put(table, i < 3 ? "---" : "---:");
    }
    if (table->markdown) {
        end_line(table);
    }
}

static void put_row(struct table *table, const struct summary *summary,
                    const struct summary_row *row)
{
    put(table, row->mode->name);
    put(table, row->figure->name);
    put(table, row->figure->unit);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (summary->has_kind[kind]) {
            put_cell(table, &row->cells[kind]);
        }
    }
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        double ratio = summary_ratio(row, (enum bench_kind)kind);
        if (shows_ratio(summary, kind) && ratio > 0) {
            put_number(table, ratio, " x");
        } else if (shows_ratio(summary, kind)) {
            put(table, "-");
        }
    }
    end_line(table);
}

void summary_print(const struct summary *summary, bool markdown, FILE *out)
{
    struct table table = {.out = out, .markdown = markdown};

    put_header(&table, summary);
    for (size_t i = 0; i < summary->n; i++) {
        put_row(&table, summary, &summary->rows[i]);
    }
}
