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

/* Counters of relays are added up when they are over; these are the ones under way. */
static void add_running(const struct app *app, uint64_t *up, uint64_t *down)
{
    for (const struct link *link = app->links; link != NULL; link = link->next) {
        for (const struct relay *relay = link->relays; relay != NULL; relay = relay->next) {
            *up += relay->bytes_up;
            *down += relay->bytes_down;
        }
    }
}

void counters_log(const struct app *app)
{
    const struct app_totals *totals = &app->totals;
    uint64_t up = totals->bytes_up;
    uint64_t down = totals->bytes_down;

    add_running(app, &up, &down);
    LOG_ANSWER(
        LEVEL_INFO, app->ops->name, "counters",
        LOG_MS("uptime", uv_now(&app->loop) - app->since_ms), LOG_U64("sessions", app->n_links),
        LOG_U64("streams", app->n_relays), LOG_U64("sessions_total", totals->sessions),
        LOG_U64("streams_total", totals->streams), LOG_U64("failed", totals->streams_failed),
        LOG_U64("refused", totals->refused), LOG_U64("sessions_refused", totals->sessions_refused),
        LOG_U64("up", up), LOG_U64("down", down));
    for (const struct link *link = app->links; link != NULL; link = link->next) {
        log_link(link);
    }
}
