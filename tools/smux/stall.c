#define _GNU_SOURCE 1

#include "stall.h"

#include <stdio.h>

#include "app.h"
#include "log.h"
#include "relay.h"

/* A pause as long as this is not just a moment of a busy program. */
#define STALL_MS 3000

static const struct relay *largest_holder(const struct link *link, uint32_t *out_unread)
{
    const struct relay *holder = NULL;

    *out_unread = 0;
    for (const struct relay *relay = link->relays; relay != NULL; relay = relay->next) {
        struct smux_stream_stats stats;
        smux_estream_stats(link->engine, relay->stream, &stats);
        if (stats.unread > *out_unread) {
            *out_unread = stats.unread;
            holder = relay;
        }
    }
    return holder;
}

/* Tells whether there was something to tell: without unread data the session does not read for
 * another reason, because it is about to end. */
static bool tell_stalled(const struct link *link, uint64_t for_ms)
{
    uint32_t unread;
    const struct relay *holder = largest_holder(link, &unread);
    char name[32];

    if (holder == NULL) {
        return false;
    }
    snprintf(name, sizeof(name), "stream:%u", holder->id);
    LOG_EVENT(LEVEL_WARN, "session", "stalled", LOG_U64("id", link->id),
              LOG_STR("reason", "receive-budget"), LOG_STR("holder", name),
              LOG_U64("unread", unread), LOG_MS("for", for_ms),
              LOG_STR("hint", smux_engine_version(link->engine) == 1
                                  ? "use --smuxver 2 or a larger --smuxbuf"
                                  : "use a larger --smuxbuf"));
    return true;
}

static void check_pause(struct link *link, uint64_t now)
{
    bool paused = link->state != LINK_DEAD && !smux_engine_wants_read(link->engine);

    if (!paused) {
        if (link->pause_told) {
            LOG_EVENT(LEVEL_INFO, "session", "resumed", LOG_U64("id", link->id),
                      LOG_MS("after", now - link->paused_since_ms));
        }
        link->paused_since_ms = 0;
        link->pause_told = false;
    } else if (link->paused_since_ms == 0) {
        link->paused_since_ms = now;
    } else if (!link->pause_told && now - link->paused_since_ms >= STALL_MS) {
        link->pause_told = tell_stalled(link, now - link->paused_since_ms);
    }
}

/* A server that is no smux server may accept connections and wait for ever. Ours is not ended for
 * that, because a smux peer without keep-alive is as silent until it has something to say. */
static void check_silence(struct link *link, uint64_t now)
{
    uint64_t silent_ms = now - link->since_ms;

    if (link->role != SMUX_CLIENT || link->state == LINK_DEAD) {
        return;
    }
    if (link->greeted && link->silence_told) {
        link->silence_told = false;
        LOG_EVENT(LEVEL_INFO, "session", "resumed", LOG_U64("id", link->id),
                  LOG_MS("after", silent_ms));
    } else if (!link->greeted && !link->silence_told &&
               silent_ms >= link->app->settings->keepalive_timeout) {
        link->silence_told = true;
        LOG_EVENT(LEVEL_WARN, "session", "stalled", LOG_U64("id", link->id),
                  LOG_STR("reason", "no-frame"), LOG_STR("peer", link->peer),
                  LOG_MS("for", silent_ms),
                  LOG_STR("hint", "the peer has sent nothing yet: is it a smux server?"));
    }
}

static struct link_refusals refusals_of(const struct link *link)
{
    struct smux_session_stats stats;

    smux_engine_stats(link->engine, &stats);
    return (struct link_refusals){
        .all = stats.streams_refused,
        .for_memory = stats.limits[SMUX_LIMIT_REFUSED_MEMORY],
        .for_streams = stats.limits[SMUX_LIMIT_REFUSED_STREAMS],
    };
}

/* The option to raise for what was refused meanwhile: what a limit did earlier is told already. */
static const char *refusal_hint(const struct link_refusals *now, const struct link_refusals *told)
{
    if (now->for_memory > told->for_memory) {
        return "out of memory";
    }
    return now->for_streams > told->for_streams ? "raise --max-streams-per-session"
                                                : "raise --accept-backlog";
}

/* The library refuses without asking: over its limits a stream must cost nothing. */
static void check_refusals(struct link *link)
{
    struct link_refusals now = refusals_of(link);

    if (now.all > link->refusals_told.all) {
        LOG_EVENT(LEVEL_WARN, "session", "stream.refused", LOG_U64("id", link->id),
                  LOG_U64("streams", now.all - link->refusals_told.all),
                  LOG_STR("hint", refusal_hint(&now, &link->refusals_told)));
        link->refusals_told = now;
    }
}

void stall_check(struct app *app)
{
    uint64_t now = uv_now(&app->loop);

    for (struct link *link = app->links; link != NULL; link = link->next) {
        check_pause(link, now);
        check_silence(link, now);
        check_refusals(link);
    }
}
