#define _GNU_SOURCE 1

#include "server.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "app.h"
#include "link.h"
#include "link_log.h"
#include "listener.h"
#include "log.h"
#include "options.h"
#include "relay.h"
#include "usage.h"

struct server {
    struct app app;
    struct settings settings;
    struct address listen;
    struct address target;
    struct listener listener;
    uint32_t max_streams; /* --max-streams, or fewer when there are not enough descriptors */
};

const struct command server_command = {
    .name = "server",
    .id = FOR_SERVER,
    .synopsis = "server [-l ADDR] -t ADDR [OPTION]...\nserver [-l ADDR] --bench [OPTION]...\n",
    .about = "Accepts smux sessions and connects each of their streams to the target.\n"
             "Addresses: smux help addresses.\n"
             "\n"
             "Sessions are not encrypted in this build. To listen outside loopback, as the\n"
             "default address does, is therefore refused without --insecure=session. Give that\n"
             "on a network you trust; else listen on 127.0.0.1:29900 or a Unix socket, and let\n"
             "ssh or a VPN carry the sessions.",
    .lists = {&common_options, NULL},
    .settings_size = sizeof(struct settings),
};

/* --- streams and sessions ---------------------------------------------------------------- */

static void serve_stream(struct link *link, smux_estream *stream)
{
    struct server *server = link->owner;
    struct app *app = &server->app;
    struct relay *relay;

    if (app->n_relays >= server->max_streams) {
        app->totals.refused_max_streams++;
        link_refuse_stream(link, stream, "--max-streams is reached");
        return;
    }
    relay = relay_new(link, stream);
    if (relay == NULL) {
        link_refuse_stream(link, stream, "out of memory");
        return;
    }
    if ((app->settings->quiet & QUIET_STREAMS) == 0) {
        LOG_EVENT(LEVEL_INFO, "server", "stream.open", LOG_U64("session", link->id),
                  LOG_U64("stream", relay->id), LOG_STR("target", server->target.text));
    }
    relay_dial(relay, &server->target);
}

static const struct link_ops link_events = {.stream = serve_stream};

/* A peer that follows Go sends its first frame only when its keep-alive interval is over, so
 * until then silence is no reason to close. */
static uint32_t greeting_timeout(const struct settings *settings)
{
    uint64_t timeout = (uint64_t)settings->handshake_timeout + settings->keepalive_timeout;

    return timeout > UINT32_MAX ? UINT32_MAX : (uint32_t)timeout;
}

/* Closes a connection that is one too many, and counts it for the reason. */
static void refuse_session(struct app *app, int fd, uint64_t *reason, const char *why)
{
    char peer[ADDRESS_TEXT];

    (*reason)++;
    link_log_failed(app, address_of_socket(fd, true, peer, sizeof(peer)), why);
    close(fd);
}

/* Counts the session for where it comes from: as sources_take(). */
static int take_source(struct app *app, int fd, struct source **out_source)
{
    struct endpoint_address from = {.len = sizeof(from.sa)};

    if (getpeername(fd, (struct sockaddr *)(void *)&from.sa, &from.len) != 0) {
        *out_source = NULL; /* gone again, which is noticed soon */
        return SMUX_OK;
    }
    return sources_take(&app->sources, &from, app->settings->max_sessions_per_source, out_source);
}

static void start_session(struct server *server, int fd, struct source *source)
{
    struct app *app = &server->app;
    struct link *link = link_new(app, SMUX_SERVER, fd, &link_events, server);

    if (link == NULL) {
        sources_release(&app->sources, source);
        return;
    }
    link->source = source;
    link_expect_greeting(link, greeting_timeout(app->settings));
}

static void serve_session(struct listener *listener, int fd)
{
    struct server *server = listener->owner;
    struct app *app = &server->app;
    struct app_totals *totals = &app->totals;
    struct source *source;
    int status;

    if (app->n_links >= app->settings->max_sessions) {
        refuse_session(app, fd, &totals->sessions_refused, "--max-sessions is reached");
        return;
    }
    if (memory_is_scarce(app)) {
        refuse_session(app, fd, &totals->sessions_refused_memory, "--max-memory is almost reached");
        return;
    }
    status = take_source(app, fd, &source);
    if (status == SMUX_OK) {
        start_session(server, fd, source);
    } else if (status == SMUX_ELIMIT) {
        refuse_session(app, fd, &totals->sessions_refused_source,
                       "--max-sessions-per-source is reached");
    } else {
        refuse_session(app, fd, &totals->sessions_refused_memory, "out of memory");
    }
}

/* --- the role ---------------------------------------------------------------------------- */

static void server_stop_listening(void *role)
{
    struct server *server = role;

    listener_close(&server->listener);
}

static const struct app_role role_ops = {
    .name = "server", .drain = server_stop_listening, .close = server_stop_listening};

/* --- starting ---------------------------------------------------------------------------- */

static int check_addresses(struct server *server)
{
    const struct settings *settings = &server->settings;
    const char *error = address_parse(settings->listen, &server->listen);

    if (error != NULL) {
        usage_error("--listen %s: %s", settings->listen, error);
        return EX_USAGE;
    }
    if (server->listen.kind == ADDRESS_STDIO) {
        usage_error("--listen -: sessions on standard input are not available in this build");
        return EX_USAGE;
    }
    if ((settings->target == NULL) == !settings->bench) {
        usage_error("%s", settings->bench ? "--bench serves no target: leave out --target"
                                          : "no target: add --target ADDR");
        return EX_USAGE;
    }
    error = settings->bench ? NULL : address_parse_remote(settings->target, &server->target);
    if (error != NULL) {
        usage_error("--target %s: %s", settings->target, error);
        return EX_USAGE;
    }
    return 0;
}

static void server_start(struct server *server)
{
    char why[ADDRESS_TEXT + 200];
    uint32_t limit = app_descriptor_limit();
    int status;

    server->max_streams =
        server->settings.max_streams < limit ? server->settings.max_streams : limit;
    status = listener_open(&server->listener, &server->app, &server->listen, INSECURE_SESSION,
                           serve_session, server, why, sizeof(why));
    if (status != 0) {
        app_stop(&server->app, status, why);
    }
}

int server_main(int argc, char **argv)
{
    static struct server server; /* large, and there is only one */
    int status;

    status = options_parse(&server_command, argc, argv, &server.settings, NULL);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    status = check_addresses(&server);
    if (status == 0) {
        status = settings_check(&server.settings, SMUX_SERVER);
    }
    if (status == 0) {
        status = app_init(&server.app, &server.settings, &role_ops, &server);
    }
    if (status == 0) {
        server_start(&server);
        status = app_run(&server.app);
    }
    settings_free(&server.settings);
    return status;
}
