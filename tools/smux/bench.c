#include "bench.h"

#include <stdlib.h>
#include <sysexits.h>

#include "bench_interrupt.h"
#include "bench_machine.h"
#include "bench_report.h"
#include "bench_run.h"
#include "bench_settings.h"
#include "usage.h"

/* Descriptors for everything but the connections of a test. */
#define SPARE_DESCRIPTORS 64u

/* All tests of one call. */
struct plan {
    const struct bench_settings *settings;
    uint64_t descriptors; /* how many this process may have */
    struct report *report;
    struct bench_result *results;
    size_t n;
};

/* A TCP connection takes two descriptors here; a figure of fewer is better than none. */
static uint32_t choose_streams(const struct plan *plan, const struct bench_mode *mode,
                               enum bench_kind kind)
{
    uint32_t streams = bench_mode_streams(plan->settings, mode);
    uint64_t most =
        plan->descriptors > SPARE_DESCRIPTORS ? (plan->descriptors - SPARE_DESCRIPTORS) / 2 : 1;

    if (kind == KIND_TCP && streams > most) {
        usage_error("%u connections need more descriptors than the %llu allowed: using %llu",
                    streams, (unsigned long long)plan->descriptors, (unsigned long long)most);
        streams = (uint32_t)most;
    }
    return streams;
}

static int run_test(struct plan *plan, const struct bench_mode *mode, enum bench_kind kind,
                    uint32_t run)
{
    const struct bench_test test = {.settings = plan->settings,
                                    .mode = mode,
                                    .kind = kind,
                                    .run = run,
                                    .streams = choose_streams(plan, mode, kind),
                                    .size = bench_mode_size(plan->settings, mode)};
    int code = bench_run(&test, plan->report, &plan->results[plan->n]);

    plan->n += code == 0;
    return code;
}

/* What is compared runs one after the other within each run: machines drift. */
static int run_mode(struct plan *plan, const struct bench_mode *mode)
{
    int code = 0;

    for (uint32_t run = 1; run <= plan->settings->runs && code == 0; run++) {
        for (size_t k = 0; k < plan->settings->n_kinds && code == 0; k++) {
            code = run_test(plan, mode, plan->settings->kinds[k], run);
            code = code == 0 && interrupt_came() ? EXIT_INTERRUPTED : code;
        }
    }
    return code;
}

static int run_plan(struct plan *plan)
{
    const struct bench_settings *settings = plan->settings;
    int code = 0;

    for (size_t m = 0; m < settings->n_modes && code == 0; m++) {
        code = run_mode(plan, settings->modes[m]);
    }
    if (code == EXIT_INTERRUPTED) {
        usage_error(plan->n > 0 ? "interrupted: this is what was measured until then"
                                : "interrupted before anything was measured");
    }
    if (code == 0 || (code == EXIT_INTERRUPTED && plan->n > 0)) {
        int failed = report_finish(plan->report, plan->results, plan->n);
        code = failed != 0 ? failed : code;
    }
    return code;
}

static int bench(const struct bench_settings *settings)
{
    struct plan plan = {.settings = settings, .descriptors = machine_raise_descriptor_limit()};
    int code = EX_CANTCREAT;

    plan.results =
        calloc(settings->n_modes * settings->n_kinds * settings->runs, sizeof(*plan.results));
    if (plan.results == NULL) {
        usage_error("out of memory");
        return EX_OSERR;
    }
    plan.report = report_new(settings);
    if (plan.report != NULL) {
        code = run_plan(&plan);
        report_free(plan.report);
    }
    for (size_t i = 0; i < plan.n; i++) {
        result_deinit(&plan.results[i]);
    }
    free(plan.results);
    return code;
}

int bench_main(int argc, char **argv)
{
    struct bench_settings settings;
    int code = bench_settings_parse(&settings, argc, argv);

    if (code != OPTIONS_GO_ON) {
        return code;
    }
    machine_sleep_exactly();
    code = bench(&settings);
    settings_free(&settings.common);
    return code;
}
