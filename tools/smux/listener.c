#define _GNU_SOURCE 1

#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <smux/transport.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "app.h"
#include "log.h"
#include "socket_options.h"
#include "values.h"

/* Connections taken in one turn, so that a flood of them does not stop those that exist: none after
 * this time, but one in any case. */
#define ACCEPT_TURN_NS 60000u

/* Sessions whose end takes more than a turn, and how many of these there may be before others begin: who
 * lets sessions die faster than they can be buried has to wait. What enters a forward does not: it begins
 * no sessions. */
#define ENDING_MAX 4

/* How long accepting pauses when descriptors or memory have run out. */
#define PAUSE_MS 100

/* The kernel cuts it to its own limit. */
#define BACKLOG 4096

/* Where sentences for the user go. */
struct complaint {
    char *text;
    size_t size;
};

/* --- accepting --------------------------------------------------------------------------- */

static void listener_watch(struct listener *listener, bool on);

static void on_resume(uv_timer_t *timer)
{
    struct listener *listener = timer->data;

    listener->paused = false;
    listener_watch(listener, true);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* It does not listen any more: somebody else who has it has shut it down, or the system has. */
static bool is_over(int error)
{
    return error == EINVAL || error == EBADF || error == ENOTSOCK;
}

static void listener_pause(struct listener *listener, int error)
{
    if (listener->paused) {
        return;
    }
    if (!listener->pause_told) {
        LOG_EVENT(LEVEL_WARN, listener->app->ops->name, "accept.paused",
                  LOG_STR("error", value_errno_text(error)),
                  LOG_STR("hint", "raise the limit of open files"));
    }
    listener->pause_told = true;
    listener->paused = true;
    listener_watch(listener, false);
    uv_timer_start(&listener->resume, on_resume, PAUSE_MS, 0);
}

/* It stays readable for ever; others of the listener go on, and so does what was accepted. */
static void socket_retire(struct listener_socket *socket, int error)
{
    socket->over = true;
    uv_poll_stop(&socket->poll);
    LOG_EVENT(LEVEL_ERROR, socket->listener->app->ops->name, "accept.ended",
              LOG_STR("error", value_errno_text(error)),
              LOG_STR("hint", "somebody has shut down the socket: start again"));
}

static bool must_wait(const struct listener *listener)
{
    return listener->purpose == INSECURE_SESSION && listener->app->turn.ending > ENDING_MAX;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener_socket *socket = poll->data;
    struct listener *listener = socket->listener;
    uint64_t begin_ns = uv_hrtime();

    (void)events;
    if (status < 0) { /* libuv watches it no longer */
        socket_retire(socket, -status);
        return;
    }
    if (must_wait(listener)) {
        listener->app->totals.delayed_accepts++;
        return; /* the next turn comes at once */
    }
    do {
        if (listener->full != NULL && listener->full(listener->owner)) {
            listener_pause(listener, EMFILE);
            return;
        }
        int fd = accept4(socket->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->accepted(listener, fd);
        } else if (is_shortage(errno)) {
            listener_pause(listener, errno);
        } else if (is_over(errno)) {
            socket_retire(socket, errno);
            return;
        } else if (errno == EAGAIN) {
            listener->pause_told = false; /* all that waited have been served */
            return;
        } /* anything else concerns one connection that is gone again */
    } while (listener->open && !listener->paused && uv_hrtime() - begin_ns < ACCEPT_TURN_NS);
}

static void listener_watch(struct listener *listener, bool on)
{
    for (size_t i = 0; i < listener->n; i++) {
        if (on && !listener->sockets[i].over) {
            uv_poll_start(&listener->sockets[i].poll, UV_READABLE, on_readable);
        } else {
            uv_poll_stop(&listener->sockets[i].poll);
        }
    }
}

/* --- opening ----------------------------------------------------------------------------- */

static int complain_bind(const struct complaint *why, const char *address, int error)
{
    snprintf(why->text, why->size, "cannot listen on %s: %s", address, value_errno_text(error));
    return EX_CANTCREAT;
}

static int complain_insecure(const struct complaint *why, const char *address,
                             enum insecure purpose)
{
    if (purpose == INSECURE_SESSION) {
        snprintf(why->text, why->size,
                 "refusing to listen on %s without TLS, which this build does not have: listen on "
                 "loopback, or add --insecure=session on a network you trust",
                 address);
    } else {
        snprintf(why->text, why->size,
                 "refusing to listen on %s: what enters a forward is not encrypted; listen on "
                 "loopback, or add --insecure=forward",
                 address);
    }
    return EX_CONFIG;
}

static int check_secure(const struct listener *listener, const struct endpoint_address *address,
                        enum insecure purpose, const struct complaint *why)
{
    char text[ADDRESS_TEXT];

    if (address_is_local(address) || (listener->app->settings->insecure & purpose) != 0) {
        return 0;
    }
    return complain_insecure(why, address_format(address, text, sizeof(text)), purpose);
}

static void log_listening(const struct listener *listener, int fd, const char *address)
{
    struct endpoint_address bound = {.len = sizeof(bound.sa)};
    bool local = getsockname(fd, (struct sockaddr *)(void *)&bound.sa, &bound.len) != 0 ||
                 address_is_local(&bound);

    LOG_EVENT(
        local ? LEVEL_INFO : LEVEL_WARN, listener->app->ops->name, "listening",
        LOG_STR("addr", address),
        LOG_STR("hint", local ? NULL : "not encrypted and outside loopback, as --insecure allows"));
}

static int add_socket(struct listener *listener, int fd, const struct complaint *why)
{
    struct listener_socket *socket = &listener->sockets[listener->n];
    char address[ADDRESS_TEXT];
    int error = uv_poll_init(&listener->app->loop, &socket->poll, fd);

    address_of_socket(fd, false, address, sizeof(address));
    if (error != 0) {
        close(fd);
        return complain_bind(why, address, -error);
    }
    socket->listener = listener;
    socket->fd = fd;
    socket->poll.data = socket;
    listener->n++;
    log_listening(listener, fd, address);
    return 0;
}

/* The errno of what failed, or 0 with the socket. */
static int bind_socket(const struct listener *listener, const struct endpoint_address *address,
                       int *out_fd)
{
    const struct sockaddr *sa = (const struct sockaddr *)(const void *)&address->sa;
    int on = 1;
    int error;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (sa->sa_family == AF_INET6) { /* IPv4 has a socket of its own */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    socket_tune_early(fd, listener->app->settings);
    if (bind(fd, sa, address->len) == 0 && listen(fd, BACKLOG) == 0) {
        *out_fd = fd;
        return 0;
    }
    error = errno;
    close(fd);
    return error;
}

/* Port 0 lets the kernel choose; the second socket of an address follows the first one. */
static void take_port_of(const struct listener_socket *first, struct endpoint_address *address)
{
    struct sockaddr_in bound = {.sin_port = 0};
    socklen_t len = sizeof(bound);
    in_port_t *port = &((struct sockaddr_in *)(void *)&address->sa)->sin_port;

    /* sin_port and sin6_port are at the same place; the kernel cuts off what is behind them. */
    if (*port == 0 && getsockname(first->fd, (struct sockaddr *)(void *)&bound, &len) == 0) {
        *port = bound.sin_port;
    }
}

static bool family_is_missing(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT;
}

static int listen_tcp(struct listener *listener, struct address_list *list, enum insecure purpose,
                      const struct complaint *why)
{
    char text[ADDRESS_TEXT] = "";
    int error = EADDRNOTAVAIL;

    for (size_t i = 0; i < list->n; i++) {
        int fd = -1;
        int status;
        if (listener->n > 0) {
            take_port_of(&listener->sockets[0], &list->items[i]);
        }
        address_format(&list->items[i], text, sizeof(text));
        status = check_secure(listener, &list->items[i], purpose, why);
        if (status != 0) {
            return status;
        }
        error = bind_socket(listener, &list->items[i], &fd);
        if (error != 0 && listener->n > 0 && family_is_missing(error)) {
            continue; /* a machine without IPv6 */
        }
        if (error != 0) {
            return complain_bind(why, text, error);
        }
        status = add_socket(listener, fd, why);
        if (status != 0) {
            return status;
        }
    }
    return listener->n > 0 ? 0 : complain_bind(why, text, error);
}

/* Names are looked up while starting, when there is nothing to hold up yet. */
static int resolve(const struct address *address, struct address_list *out,
                   const struct complaint *why)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    int error;

    if (address_resolve_now(address, true, out)) {
        return 0;
    }
    snprintf(service, sizeof(service), "%u", address->port);
    error = getaddrinfo(address->host, service, &hints, &found);
    if (error != 0) {
        snprintf(why->text, why->size, "cannot listen on %s: %s", address->text,
                 gai_strerror(error));
        return EX_CANTCREAT;
    }
    address_list_add(out, found);
    freeaddrinfo(found);
    return 0;
}

/* Remembers the Unix socket that was made at a path, to remove it in the end. */
static void note_path(struct listener *listener, const char *path)
{
    if (lstat(path, &listener->made) == 0) {
        listener->unlink_path = path;
    }
}

/* Removes the socket, unless somebody else has put another one there by now. */
static void remove_path(const struct listener *listener)
{
    struct stat now;

    if (listener->unlink_path != NULL && lstat(listener->unlink_path, &now) == 0 &&
        now.st_dev == listener->made.st_dev && now.st_ino == listener->made.st_ino) {
        unlink(listener->unlink_path);
    }
}

/* Unix sockets and inherited ones: the library knows how to replace a stale socket. */
static int listen_other(struct listener *listener, const struct address *address,
                        enum insecure purpose, const struct complaint *why)
{
    struct endpoint_address bound = {.len = sizeof(bound.sa)};
    int fd;
    int status = smux_listen(address->text, &fd);

    if (status != SMUX_OK) {
        return complain_bind(why, address->text, status == SMUX_EIO ? errno : EINVAL);
    }
    if (getsockname(fd, (struct sockaddr *)(void *)&bound.sa, &bound.len) == 0) {
        status = check_secure(listener, &bound, purpose, why);
        if (status != 0) {
            close(fd);
            return status;
        }
    }
    if (address->kind == ADDRESS_UNIX && address->host[0] != '@') {
        note_path(listener, address->host);
    }
    return add_socket(listener, fd, why);
}

int listener_open(struct listener *listener, struct app *app, const struct address *address,
                  enum insecure purpose, void (*accepted)(struct listener *listener, int fd),
                  /* NOLINTNEXTLINE(readability-non-const-parameter): `complaint` writes there */
                  void *owner, char *why, size_t why_size)
{
    const struct complaint complaint = {why, why_size};
    struct address_list list = {.n = 0};
    int status;

    *listener = (struct listener){
        .app = app, .purpose = purpose, .accepted = accepted, .owner = owner, .open = true};
    uv_timer_init(&app->loop, &listener->resume);
    listener->resume.data = listener;
    if (address->kind == ADDRESS_TCP) {
        status = resolve(address, &list, &complaint);
        status = status != 0 ? status : listen_tcp(listener, &list, purpose, &complaint);
    } else {
        status = listen_other(listener, address, purpose, &complaint);
    }
    if (status == 0) {
        listener_watch(listener, true);
    }
    return status;
}

/* --- closing ----------------------------------------------------------------------------- */

void listener_close(struct listener *listener)
{
    if (!listener->open) {
        return;
    }
    listener->open = false;
    remove_path(listener); /* while it is open: its number is not given to another */
    for (size_t i = 0; i < listener->n; i++) {
        uv_close((uv_handle_t *)&listener->sockets[i].poll, NULL);
        close(listener->sockets[i].fd);
    }
    uv_close((uv_handle_t *)&listener->resume, NULL);
}
