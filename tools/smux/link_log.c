#define _GNU_SOURCE 1

#include "link_log.h"

#include <stdio.h>

#include "app.h"
#include "link.h"
#include "log.h"

void link_log_up(const struct link *link)
{
    const struct settings *settings = link->app->settings;
    const struct smux_transport *t = smux_conn_transport(link->conn);
    uint32_t rtt_us = t == NULL || t->ops->rtt_us == NULL ? 0 : t->ops->rtt_us(t->ctx);

    LOG_EVENT(LEVEL_INFO, link->app->ops->name, "session.up", LOG_U64("id", link->id),
              LOG_STR("peer", link->peer),
              rtt_us > 0 ? LOG_US("rtt", rtt_us) : LOG_STR("rtt", NULL),
              LOG_U64("smux", smux_engine_version(link->engine)),
              LOG_U64("framesize", settings->framesize), LOG_U64("streambuf", settings->streambuf),
              LOG_STR("tls", "off"));
}

const char *link_error_text(const struct link *link, char *out, size_t size)
{
    const char *text = smux_engine_error_text(link->engine);
    unsigned theirs;
    unsigned ours;

    /* The library does not know what its setting is called here. */
    /* NOLINTNEXTLINE(cert-err34-c): the numbers are single bytes */
    if (sscanf(text, "peer speaks smux %u, this side is set to %u", &theirs, &ours) == 2) {
        snprintf(out, size, "%s: use --smuxver %u here, or %u on the peer", text, theirs, ours);
    } else {
        snprintf(out, size, "%s", text);
    }
    return out;
}

/* Tells whether a client's peer never said anything although it should have: a server may take
 * its keep-alive interval for that. */
static bool was_mute(const struct link *link, uint64_t lived_ms)
{
    int error = smux_engine_error(link->engine);

    if (link->role != SMUX_CLIENT || link->greeted || error == SMUX_EPROTO) {
        return false;
    }
    return error != SMUX_ECLOSED || lived_ms >= link->app->settings->keepalive_timeout;
}

/* Tells whether the log knows nothing of this session: a server's counts from the first frame. */
static bool never_began(const struct link *link)
{
    return link->role == SMUX_SERVER && !link->greeted;
}

void link_log_down(const struct link *link)
{
    int error = smux_engine_error(link->engine);
    bool in_order = error == SMUX_ECLOSED || error == SMUX_EOF;
    uint64_t lived_ms = uv_now(&link->app->loop) - link->since_ms;
    char text[LINK_ERROR_TEXT];

    if (never_began(link) && (link->app->settings->quiet & QUIET_HANDSHAKES) != 0) {
        return;
    }
    LOG_EVENT(in_order ? LEVEL_INFO : LEVEL_WARN, link->app->ops->name, "session.down",
              LOG_U64("id", link->id), LOG_STR("peer", link->peer), LOG_MS("after", lived_ms),
              LOG_U64("streams", link->n_relays),
              LOG_STR("error", link_error_text(link, text, sizeof(text))),
              LOG_STR("hint", was_mute(link, lived_ms) ? "the peer sent nothing before: is it a "
                                                         "smux server of the same --smuxver?"
                                                       : NULL));
}

void link_log_failed(const struct app *app, const char *peer, const char *why)
{
    if ((app->settings->quiet & QUIET_HANDSHAKES) == 0) {
        LOG_EVENT(LEVEL_WARN, app->ops->name, "handshake.failed", LOG_STR("peer", peer),
                  LOG_STR("error", why));
    }
}
