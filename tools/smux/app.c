#define _GNU_SOURCE 1

#include "app.h"

#include <signal.h>
#include <smux/transport.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "counters.h"
#include "log.h"
#include "stall.h"
#include "usage.h"
#include "values.h"

#define TICK_MS 1000

/* Descriptors that are not connections: standard ones, loop, listeners, sessions, log. */
#define DESCRIPTOR_RESERVE 64

/* Turns of the loop at the end, for handles to close. A name that is still being resolved takes
 * longer than that, and nobody waits for it. */
#define CLOSING_TURNS 100

/* --- flushing ---------------------------------------------------------------------------- */

static void app_flush(struct app *app)
{
    memory_check(app);
    while (app->dirty != NULL) {
        struct link *link = app->dirty;
        app->dirty = link->next_dirty;
        link->dirty = false;
        link_flush(link);
    }
}

static void on_before_wait(uv_prepare_t *handle)
{
    app_flush(handle->data);
}

static void on_after_wait(uv_check_t *handle)
{
    struct app *app = handle->data;

    app_flush(app);
    app->turn = (struct app_turn){
        .number = app->turn.number + 1, .busy = app->turn.busy_now, .ending = app->turn.ending_now};
}

/* --- ending ------------------------------------------------------------------------------ */

void app_stop(struct app *app, int exit_code, const char *why)
{
    if (app->state == APP_STOPPED) {
        return;
    }
    app->state = APP_STOPPED;
    app->exit_code = exit_code;
    LOG_EVENT(why == NULL ? LEVEL_INFO : LEVEL_ERROR, app->ops->name, "stop",
              LOG_U64("exit", (uint64_t)exit_code), LOG_STR("error", why));
    uv_stop(&app->loop);
}

static void end_drain(struct app *app, bool cut)
{
    if (cut && app->ops->cut != NULL) {
        app->ops->cut(app->role);
    }
    app_stop(app, app->exit_code, NULL);
}

void app_check_drained(struct app *app)
{
    if (app->state == APP_DRAINING && app->n_relays == 0 && app->n_links == 0) {
        end_drain(app, app->cut);
    }
}

static bool all_is_sent(const struct app *app)
{
    for (const struct link *link = app->links; link != NULL; link = link->next) {
        if (!smux_engine_drained(link->engine)) {
            return false;
        }
    }
    return !app->cut;
}

static void on_drain_limit(uv_timer_t *timer)
{
    struct app *app = timer->data;

    LOG_EVENT(LEVEL_WARN, app->ops->name, "drain", LOG_U64("streams", app->n_relays),
              LOG_U64("sessions", app->n_links), LOG_STR("error", "time is up"));
    end_drain(app, app->n_relays > 0 || !all_is_sent(app));
}

/* Retiring frees links that are through with it at once, so the next one is looked up before. */
static void retire_links(struct app *app)
{
    struct link *next;

    for (struct link *link = app->links; link != NULL; link = next) {
        next = link->next;
        link_retire(link);
    }
}

void app_drain(struct app *app, int exit_code)
{
    if (app->state != APP_RUNNING) {
        return;
    }
    app->state = APP_DRAINING;
    app->exit_code = exit_code;
    LOG_EVENT(LEVEL_INFO, app->ops->name, "drain", LOG_U64("streams", app->n_relays),
              LOG_U64("sessions", app->n_links), LOG_MS("timeout", app->settings->drain_timeout));
    if (app->ops->drain != NULL) {
        app->ops->drain(app->role);
    }
    uv_timer_start(&app->limit, on_drain_limit, app->settings->drain_timeout, 0);
    retire_links(app);
    app_check_drained(app);
}

/* --- signals ----------------------------------------------------------------------------- */

static void on_end_signal(struct app *app, int signum)
{
    if (app->state == APP_RUNNING) {
        app_drain(app, signum == SIGINT ? EXIT_INTERRUPTED : EX_OK);
    } else {
        app_stop(app, EXIT_INTERRUPTED, "a second signal");
    }
}

static void on_reopen_signal(struct app *app)
{
    int error = log_reopen();

    LOG_EVENT(error == 0 ? LEVEL_INFO : LEVEL_ERROR, app->ops->name, "reload",
              LOG_STR("what", "log"),
              LOG_STR("error", error == 0 ? NULL : value_errno_text(error)));
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct app *app = handle->data;

    switch (signum) {
    case SIGTERM:
    case SIGINT:
        on_end_signal(app, signum);
        break;
    case SIGUSR1:
        counters_log(app);
        if (app->ops->retry != NULL && app->state == APP_RUNNING) {
            app->ops->retry(app->role);
        }
        break;
    case SIGUSR2:
        on_reopen_signal(app);
        break;
    default:
        LOG_EVENT(LEVEL_INFO, app->ops->name, "reload", LOG_STR("what", "configuration"),
                  LOG_STR("hint", "there is no configuration file, HUP is ignored"));
    }
}

static void start_signals(struct app *app)
{
    static const int signums[APP_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a log file as large as it may be is no reason to end */
    for (size_t i = 0; i < APP_SIGNALS; i++) {
        uv_signal_init(&app->loop, &app->signals[i]);
        app->signals[i].data = app;
        uv_signal_start(&app->signals[i], on_signal, signums[i]);
        uv_unref((uv_handle_t *)&app->signals[i]);
    }
}

/* --- making and running ------------------------------------------------------------------ */

/* One descriptor a connection: take all we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

uint32_t app_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= UINT32_MAX) {
        return UINT32_MAX;
    }
    return limit.rlim_cur > 2 * DESCRIPTOR_RESERVE ? (uint32_t)limit.rlim_cur - DESCRIPTOR_RESERVE
                                                   : (uint32_t)limit.rlim_cur / 2;
}

static void on_tick(uv_timer_t *timer)
{
    struct app *app = timer->data;

    stall_check(app);
    memory_tell(app);
    for (struct link *link = app->links; link != NULL; link = link->next) {
        link_check_linger(link);
    }
}

static void start_handles(struct app *app)
{
    uv_prepare_init(&app->loop, &app->before_wait);
    uv_check_init(&app->loop, &app->after_wait);
    uv_timer_init(&app->loop, &app->tick);
    uv_timer_init(&app->loop, &app->limit);
    dial_queue_init(&app->dials, &app->loop);
    app->before_wait.data = app;
    app->after_wait.data = app;
    app->tick.data = app;
    app->limit.data = app;
    uv_prepare_start(&app->before_wait, on_before_wait);
    uv_check_start(&app->after_wait, on_after_wait);
    uv_timer_start(&app->tick, on_tick, TICK_MS, TICK_MS);
}

static int open_log(const struct settings *settings)
{
    int error = log_open(settings->log, settings->log_level, settings->log_format, settings->name);

    if (error == 0) {
        return 0;
    }
    usage_error("cannot open the log %s: %s", settings->log, value_errno_text(error));
    return EX_CANTCREAT;
}

int app_init(struct app *app, const struct settings *settings, const struct app_role *ops,
             void *role)
{
    int error;
    int exit_code = open_log(settings);

    if (exit_code != 0) {
        return exit_code;
    }
    memset(app, 0, sizeof(*app));
    app->settings = settings;
    app->ops = ops;
    app->role = role;
    app->turn.number = 1;
    memory_init(&app->memory, settings->max_memory);
    raise_descriptor_limit();
    error = uv_loop_init(&app->loop);
    if (error != 0) {
        usage_error("cannot make an event loop: %s", uv_strerror(error));
        return EX_OSERR;
    }
    app->since_ms = uv_now(&app->loop);
    start_handles(app);
    start_signals(app);
    settings_log(settings, ops->name);
    return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* With its handle the default of a signal comes back, which for these is to end the process, as if it had
 * failed. */
static void close_signals(struct app *app)
{
    static const int harmless[] = {SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        sigaddset(&set, harmless[i]);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (size_t i = 0; i < APP_SIGNALS; i++) {
        close_handle((uv_handle_t *)&app->signals[i], NULL);
    }
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        (void)signal(harmless[i], SIG_IGN);
    }
}

static void close_own_handles(struct app *app)
{
    close_handle((uv_handle_t *)&app->before_wait, NULL);
    close_handle((uv_handle_t *)&app->after_wait, NULL);
    close_handle((uv_handle_t *)&app->tick, NULL);
    close_handle((uv_handle_t *)&app->limit, NULL);
    close_handle((uv_handle_t *)&app->dials.begin, NULL);
    close_signals(app);
}

/* Closes everything that is still open, so that leak checkers see a tidy end. */
static void app_deinit(struct app *app)
{
    if (app->ops->close != NULL) {
        app->ops->close(app->role);
    }
    while (app->links != NULL) {
        link_destroy(app->links);
    }
    close_own_handles(app);
    for (int i = 0; i < CLOSING_TURNS && uv_run(&app->loop, UV_RUN_NOWAIT) != 0; i++) {
    }
    if (uv_loop_close(&app->loop) != 0) {
        /* libuv joins its threads when the process exits, and one of them waits for a name
         * server: leave without. */
        fflush(NULL);
        _exit(app->exit_code);
    }
}

int app_run(struct app *app)
{
    while (app->state != APP_STOPPED) {
        uv_run(&app->loop, UV_RUN_DEFAULT);
    }
    app_deinit(app);
    return app->exit_code;
}
