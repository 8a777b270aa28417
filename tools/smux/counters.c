#define _GNU_SOURCE 1

#include "counters.h"

#include "app.h"
#include "log.h"
#include "relay.h"

static uint64_t frames(const struct smux_frame_counts *counts)
{
    return counts->syn + counts->fin + counts->psh + counts->nop + counts->upd;
}

static void log_link(const struct link *link)
{
    struct smux_session_stats stats;

    smux_engine_stats(link->engine, &stats);
    LOG_ANSWER(LEVEL_INFO, link->app->ops->name, "counters", LOG_U64("session", link->id),
               LOG_STR("peer", link->peer), LOG_U64("smux", stats.version),
               LOG_U64("streams", stats.streams_now),
               LOG_U64("opened", stats.streams_opened + stats.streams_accepted),
               LOG_U64("refused", stats.streams_refused), LOG_U64("in", stats.payload_in),
               LOG_U64("out", stats.payload_out), LOG_U64("wire_in", stats.wire_in),
               LOG_U64("wire_out", stats.wire_out), LOG_U64("frames_in", frames(&stats.frames_in)),
               LOG_U64("frames_out", frames(&stats.frames_out)),
               LOG_U64("unread", stats.receive_buffer), LOG_U64("unsent", stats.send_buffer),
               LOG_U64("pauses", stats.receive_pauses), LOG_US("paused", stats.receive_paused_us),
               LOG_U64("glitches", stats.glitches));
}

void counters_add(struct app_totals *totals, const struct link *link)
{
    struct smux_session_stats stats;

    smux_engine_stats(link->engine, &stats);
    totals->glitches += stats.glitches;
    totals->pauses += stats.receive_pauses;
    for (unsigned i = 0; i < SMUX_LIMIT_COUNT; i++) {
        totals->limits[i] += stats.limits[i];
    }
}

/* Sessions and relays are added up when they are over; these are the ones under way. */
static void add_running(const struct app *app, struct app_totals *totals)
{
    for (const struct link *link = app->links; link != NULL; link = link->next) {
        counters_add(totals, link);
        for (const struct relay *relay = link->relays; relay != NULL; relay = relay->next) {
            totals->bytes_up += relay->bytes_up;
            totals->bytes_down += relay->bytes_down;
        }
    }
}

static void log_app(const struct app *app, const struct app_totals *totals)
{
    uint64_t sessions_refused = totals->sessions_refused + totals->sessions_refused_source +
                                totals->sessions_refused_memory;

    LOG_ANSWER(LEVEL_INFO, app->ops->name, "counters",
               LOG_MS("uptime", uv_now(&app->loop) - app->since_ms),
               LOG_U64("sessions", app->n_links), LOG_U64("streams", app->n_relays),
               LOG_U64("sessions_total", totals->sessions),
               LOG_U64("streams_total", totals->streams), LOG_U64("failed", totals->streams_failed),
               LOG_U64("refused", totals->refused), LOG_U64("sessions_refused", sessions_refused),
               LOG_U64("up", totals->bytes_up), LOG_U64("down", totals->bytes_down),
               LOG_U64("memory", memory_used(app)), LOG_U64("glitches", totals->glitches),
               LOG_U64("pauses", totals->pauses));
}

/* --- limits ------------------------------------------------------------------------------ */

/* A line of counters that is put together. */
struct limits_line {
    struct log_field fields[SMUX_LIMIT_COUNT + 16];
    size_t n;
};

static void line_add(struct limits_line *line, const char *key, uint64_t number)
{
    line->fields[line->n++] = LOG_U64(key, number);
}

static void line_write(struct limits_line *line, const struct app *app)
{
    line->fields[line->n] = (struct log_field){.kind = LOG_KIND_END};
    log_answer(LEVEL_INFO, app->ops->name, "limits", line->fields);
}

static void log_app_limits(const struct app *app, const struct app_totals *totals)
{
    struct limits_line line = {.n = 0};

    line_add(&line, "refused_sessions", totals->sessions_refused);
    line_add(&line, "refused_source", totals->sessions_refused_source);
    line_add(&line, "refused_session_memory", totals->sessions_refused_memory);
    line_add(&line, "refused_max_streams", totals->refused_max_streams);
    line_add(&line, "throttled", app->memory.times);
    line_add(&line, "dials_failed", app->dials.failed);
    line_add(&line, "dials_timed_out", app->dials.timed_out);
    line_add(&line, "ended_handshake", totals->greeting_timeouts);
    line_add(&line, "delayed_accepts", totals->delayed_accepts);
    line_add(&line, "ended_half_close", totals->half_close_timeouts);
    for (unsigned i = 0; i < SMUX_LIMIT_COUNT; i++) {
        line_add(&line, smux_limit_name(i), totals->limits[i]);
    }
    line_write(&line, app);
}

static void log_link_limits(const struct link *link)
{
    struct smux_session_stats stats;
    struct limits_line line = {.n = 0};

    smux_engine_stats(link->engine, &stats);
    line_add(&line, "session", link->id);
    for (unsigned i = 0; i < SMUX_LIMIT_COUNT; i++) {
        if (stats.limits[i] > 0) {
            line_add(&line, smux_limit_name(i), stats.limits[i]);
        }
    }
    if (line.n > 1) {
        line_write(&line, link->app);
    }
}

void counters_log(const struct app *app)
{
    struct app_totals totals = app->totals;

    add_running(app, &totals);
    log_app(app, &totals);
    log_app_limits(app, &totals);
    for (const struct link *link = app->links; link != NULL; link = link->next) {
        log_link(link);
        log_link_limits(link);
    }
}
