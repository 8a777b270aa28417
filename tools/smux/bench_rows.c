#include "bench_rows.h"

#include <string.h>

#include "values.h"

static const char *unit_of_window(const struct bench_test *test, char *out, size_t size)
{
    uint32_t streambuf = test->settings->common.streambuf;
    char window[32];

    if (test->kind != KIND_V2) {
        return "";
    }
    snprintf(out, size, "  window %s",
             streambuf == 0 ? "auto" : value_format_bytes(streambuf, window, sizeof(window)));
    return out;
}

static const char *direction(const struct bench_test *test)
{
    if (test->mode->work != WORK_FLOW && test->mode->background == 0) {
        return "";
    }
    return test->settings->bidir ? "  both ways" : test->settings->reverse ? "  reverse" : "";
}

static void put_title(FILE *out, const struct bench_test *test)
{
    const char *where = test->settings->remote != NULL ? test->settings->remote
                        : test->settings->unix_socket  ? "unix socket"
                                                       : "loopback";
    char size[32];
    char frame[32];
    char window[48];

    fprintf(out, "smux %s bench  %s  %s  %s  %u %s%s  %s each%s", smux_version(), where,
            bench_kind_name(test->kind), test->mode->name, test->streams,
            test->kind == KIND_TCP ? "connection" : "stream", test->streams == 1 ? "" : "s",
            value_format_bytes(test->size, size, sizeof(size)), direction(test));
    if (test->kind != KIND_TCP) {
        fprintf(out, "  frame %s%s",
                value_format_bytes(test->settings->common.framesize, frame, sizeof(frame)),
                unit_of_window(test, window, sizeof(window)));
    }
    if (test->settings->loop) {
        fputs("  event loop", out);
    }
    if (test->settings->runs > 1) {
        fprintf(out, "  run %u of %u", test->run, test->settings->runs);
    }
    fputc('\n', out);
}

void rows_start(FILE *out, const struct bench_test *test)
{
    char per_second[16];

    put_title(out, test);
    if (test->mode->has_latency) {
        fprintf(out, "  latency: %s\n",
                test->settings->rate > 0
                    ? "open loop, counted from when each message was due"
                    : "closed loop, each message leaves when the one before is back");
    }
    snprintf(per_second, sizeof(per_second), "%s/s", test->mode->operation);
    fprintf(out, "  %-15s %12s %12s %12s %9s", "interval", "throughput", per_second, "frames/s",
            "blocked");
    if (test->mode->has_latency) {
        fprintf(out, " %12s %12s", "p50", "p99");
    }
    fputc('\n', out);
    fflush(out);
}

static void put_rate(FILE *out, double bytes_per_s)
{
    if (bytes_per_s >= 1e8) {
        fprintf(out, " %7.3f GB/s", bytes_per_s / 1e9);
    } else {
        fprintf(out, " %7.3f MB/s", bytes_per_s / 1e6);
    }
}

static void put_interval(FILE *out, const char *label, const struct bench_test *test,
                         const struct bench_interval *interval)
{
    double seconds = interval_seconds(interval);

    fprintf(out, "  %-15s", label);
    put_rate(out, interval_bytes_rate(interval));
    fprintf(out, " %12.0f %12.0f %7.1f %%", interval_operations_rate(interval),
            (double)interval->frames / seconds, 100 * interval->blocked_s / seconds);
    if (test->mode->has_latency) {
        fprintf(out, " %9.1f us %9.1f us", interval->p50_us, interval->p99_us);
    }
    fputc('\n', out);
}

void rows_interval(FILE *out, const struct bench_test *test, const struct bench_interval *interval)
{
    char label[48];

    snprintf(label, sizeof(label), "%.1f-%.1f s", interval->t0, interval->t1);
    put_interval(out, label, test, interval);
    fflush(out);
}

/* The memory of TCP connections is in the kernel, and not shown. */
static void put_memory(FILE *out, const struct bench_result *result)
{
    fprintf(out, "  %u opened in %.2f s", result->test.streams, result->open_s);
    if (result->test.kind != KIND_TCP) {
        fprintf(out, ": heap %.1f bytes, rss %.1f bytes for each end of a stream",
                result->heap_per_stream, result->rss_per_stream);
    }
    fputc('\n', out);
}

static void put_latency(FILE *out, const struct histogram *latency)
{
    fprintf(out, "  latency p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  p99.99 %.1f  max %.1f us\n",
            histogram_quantile_us(latency, 0.5), histogram_quantile_us(latency, 0.9),
            histogram_quantile_us(latency, 0.99), histogram_quantile_us(latency, 0.999),
            histogram_quantile_us(latency, 0.9999), histogram_quantile_us(latency, 1));
}

void rows_result(FILE *out, const struct bench_result *result)
{
    const struct bench_interval *total = &result->total;
    char rss[32];

    put_interval(out, "total", &result->test, total);
    fprintf(out, "  cv %.1f %%  cpu %.2f s", 100 * result->cv, result_cpu_s(result));
    if (total->bytes > 0) {
        fprintf(out, " = %.3f ns/byte", result_cpu_s(result) * 1e9 / (double)total->bytes);
    }
    fprintf(out, "  rss %s", value_format_bytes(result->rss_bytes, rss, sizeof(rss)));
    if (result->n_streams > 1) {
        fprintf(out, "  fairness %.4f", result_fairness(result));
    }
    fprintf(out, "%s\n", result->window_limited ? "  window-limited" : "");
    if (result->test.mode->has_latency) {
        put_latency(out, &result->latency);
    }
    if (result->test.mode->work == WORK_HOLD) {
        put_memory(out, result);
    }
    fputc('\n', out);
    fflush(out);
}
