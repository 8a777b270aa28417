#define _GNU_SOURCE 1

#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "app.h"
#include "listener.h"
#include "log.h"
#include "pool.h"
#include "relay.h"
#include "socket_options.h"
#include "usage.h"
#include "waiting.h"

struct client {
    struct app app;
    struct settings settings;
    struct address listen;
    struct address *remotes;
    struct listener listener;
    struct pool pool;
    struct waiting waiting;
    uint32_t max_local; /* connections, so that there are descriptors for sessions */
    bool stdio;         /* one stream on standard input and output */
    bool made;          /* pool and waiting have handles */
    bool placing;       /* on_room() is under way */
};

const struct command client_command = {
    .name = "client",
    .id = FOR_CLIENT,
    .synopsis = "client [-l ADDR] -r ADDR [OPTION]...\nclient -l - -r ADDR [OPTION]...\n",
    .about = "Accepts local connections and carries each as a stream through a session with\n"
             "the server. With -l - standard input and output are one stream, as for ssh's\n"
             "ProxyCommand. Addresses: smux help addresses.",
    .lists = {&common_options, NULL},
    .settings_size = sizeof(struct settings),
};

/* --- local connections ------------------------------------------------------------------- */

/* What a process ends with whose only stream did not come to its end. */
static int stdio_exit_code(const struct app *app)
{
    bool interrupted = app->state == APP_DRAINING && app->exit_code == EXIT_INTERRUPTED;

    return interrupted ? EXIT_INTERRUPTED : EX_UNAVAILABLE;
}

static void give_up_local(void *owner, int fd)
{
    struct client *client = owner;
    const char *why = client->app.state == APP_RUNNING ? "no session within --connect-timeout"
                                                       : "stopping, and there is no session";
    char from[ADDRESS_TEXT];

    if (fd == WAITING_STDIO) {
        app_stop(&client->app, stdio_exit_code(&client->app), why);
        return;
    }
    LOG_EVENT(LEVEL_WARN, "client", "stream.refused",
              LOG_STR("from", address_of_socket(fd, true, from, sizeof(from))),
              LOG_STR("error", why));
    client->app.totals.refused++;
    close(fd); /* a reset, since on_accepted() */
}

static void join(struct client *client, struct relay *relay, int fd)
{
    if (fd == WAITING_STDIO) {
        snprintf(relay->peer, sizeof(relay->peer), "-");
    } else {
        address_of_socket(fd, true, relay->peer, sizeof(relay->peer));
    }
    if ((client->settings.quiet & QUIET_STREAMS) == 0) {
        LOG_EVENT(LEVEL_INFO, "client", "stream.open", LOG_U64("session", relay->link->id),
                  LOG_U64("stream", relay->id), LOG_STR("from", relay->peer));
    }
    if (fd == WAITING_STDIO) {
        relay_join_stdio(relay);
    } else {
        relay_join_socket(relay, fd);
    }
}

/* Starts the relay of a local connection; false when there is no session for it now. */
static bool start_stream(struct client *client, int fd)
{
    struct link *link;
    struct relay *relay;
    smux_estream *stream;

    if (pool_open_stream(&client->pool, &link, &stream) != SMUX_OK) {
        return false;
    }
    relay = relay_new(link, stream);
    if (relay == NULL) {
        link_refuse_stream(link, stream, "out of memory");
        return false;
    }
    join(client, relay, fd);
    return true;
}

static void take_local(struct client *client, int fd)
{
    int first;
    bool others = waiting_peek(&client->waiting, &first);

    if (!others && start_stream(client, fd)) {
        return;
    }
    if (!waiting_push(&client->waiting, fd)) {
        give_up_local(client, fd);
    }
}

/* Sessions need descriptors, too: else connections that wait for one would keep it from being made. */
static bool is_full(void *owner)
{
    const struct client *client = owner;

    return client->app.n_relays + client->waiting.n >= client->max_local;
}

static uint32_t max_local(uint32_t sessions)
{
    uint32_t limit = app_descriptor_limit();

    return sessions < limit / 2 ? limit - sessions : limit / 2;
}

static void on_accepted(struct listener *listener, int fd)
{
    socket_reset_on_close(fd, true); /* as long as nothing has ended in order */
    take_local(listener->owner, fd);
}

/* There may be a session for those that wait. A relay that is over as soon as it starts makes
 * room itself, in the middle of this. */
static void on_room(void *owner)
{
    struct client *client = owner;
    int fd;

    if (client->placing) {
        return;
    }
    client->placing = true;
    while (waiting_peek(&client->waiting, &fd) && start_stream(client, fd)) {
        waiting_pop(&client->waiting);
    }
    client->placing = false;
}

/* --- the role ---------------------------------------------------------------------------- */

static void client_drain(void *role)
{
    struct client *client = role;

    listener_close(&client->listener);
    pool_stop(&client->pool);
    waiting_expire_all(&client->waiting);
}

static void client_retry(void *role)
{
    pool_retry(&((struct client *)role)->pool);
}

static void client_relay_over(void *role, bool clean)
{
    struct client *client = role;

    if (client->stdio && clean) {
        app_drain(&client->app, EX_OK);
    } else if (client->stdio) {
        app_stop(&client->app, stdio_exit_code(&client->app), "the stream failed");
    }
}

static void client_cut(void *role)
{
    struct client *client = role;

    if (client->stdio) {
        app_stop(&client->app, stdio_exit_code(&client->app), "the stream was cut");
    }
}

static void client_close(void *role)
{
    struct client *client = role;

    client->stdio = false;
    listener_close(&client->listener);
    if (client->made) {
        waiting_expire_all(&client->waiting);
        waiting_close(&client->waiting);
        pool_close(&client->pool);
    }
}

static const struct app_role role_ops = {.name = "client",
                                         .drain = client_drain,
                                         .retry = client_retry,
                                         .relay_over = client_relay_over,
                                         .cut = client_cut,
                                         .close = client_close};

/* --- starting ---------------------------------------------------------------------------- */

static int parse_remotes(struct client *client)
{
    const struct text_list *texts = &client->settings.remotes;

    if (texts->n == 0) {
        usage_error("no server: add --remote ADDR");
        return EX_USAGE;
    }
    client->remotes = calloc(texts->n, sizeof(*client->remotes));
    if (client->remotes == NULL) {
        usage_error("out of memory");
        return EX_OSERR;
    }
    for (size_t i = 0; i < texts->n; i++) {
        const char *error = address_parse_remote(texts->items[i], &client->remotes[i]);
        if (error != NULL) {
            usage_error("--remote %s: %s", texts->items[i], error);
            return EX_USAGE;
        }
    }
    return 0;
}

static int check_settings(struct client *client)
{
    struct settings *settings = &client->settings;
    const char *error = address_parse(settings->listen, &client->listen);
    int status;

    if (error != NULL) {
        usage_error("--listen %s: %s", settings->listen, error);
        return EX_USAGE;
    }
    client->stdio = client->listen.kind == ADDRESS_STDIO;
    if (client->stdio && !settings_were_given(settings, "log-level")) {
        settings->log_level = LEVEL_WARN; /* it is someone else's terminal */
    }
    status = parse_remotes(client);
    return status != 0 ? status : settings_check(settings, SMUX_CLIENT);
}

static void client_start(struct client *client)
{
    struct app *app = &client->app;
    char why[ADDRESS_TEXT + 200];
    int status = 0;

    if (!pool_init(&client->pool, app, client->remotes, client->settings.remotes.n, on_room,
                   client)) {
        app_stop(app, EX_OSERR, "out of memory");
        return;
    }
    waiting_init(&client->waiting, &app->loop, client->settings.connect_timeout, give_up_local,
                 client);
    client->made = true;
    if (!client->stdio) {
        status = listener_open(&client->listener, app, &client->listen, INSECURE_FORWARD,
                               on_accepted, client, why, sizeof(why));
        client->max_local = max_local(client->settings.conn);
        client->listener.full = is_full;
    }
    if (status != 0) {
        app_stop(app, status, why);
        return;
    }
    pool_start(&client->pool);
    if (client->stdio) { /* behind the start: who finds no session begins one */
        take_local(client, WAITING_STDIO);
    }
}

static int client_run(struct client *client)
{
    int status = check_settings(client);

    if (status == 0) {
        status = app_init(&client->app, &client->settings, &role_ops, client);
    }
    if (status == 0) {
        client_start(client);
        status = app_run(&client->app);
    }
    pool_deinit(&client->pool);
    free(client->remotes);
    return status;
}

int client_main(int argc, char **argv)
{
    static struct client client; /* large, and there is only one */
    int status = options_parse(&client_command, argc, argv, &client.settings, NULL);

    if (status == OPTIONS_GO_ON) {
        status = client_run(&client);
        settings_free(&client.settings);
    }
    return status;
}
