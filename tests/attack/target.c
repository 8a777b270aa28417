#include "target.h"

#include "app.h"
#include "interop/workers.h"
#include "peer.h"

#include <smux/transport.h>

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WORKERS = 8192,    /* more than a session of the tunnel may have streams */
    BUFFER = 16 << 10, /* so that what is held is held soon */
    TURN_MS = 100,
    DIAL_MS = 5000,
    AGAIN_MS = 5 /* until lost connections to a client are made again */
};

static int item_fd(const void *item)
{
    return (int)(intptr_t)item;
}

static int read_fd(void *item, void *buf, size_t len, size_t *out_len)
{
    ssize_t n = recv(item_fd(item), buf, len, 0);
    *out_len = n > 0 ? (size_t)n : 0;
    return n > 0 ? SMUX_OK : n == 0 ? SMUX_EOF : SMUX_EIO;
}

static int write_fd(void *item, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = send(item_fd(item), at, len, MSG_NOSIGNAL);
        if (n < 0) {
            return SMUX_EIO;
        }
        at += n;
        len -= (size_t)n;
    }
    return SMUX_OK;
}

static void shutdown_fd(void *item)
{
    shutdown(item_fd(item), SHUT_WR);
}

static void hold_fd(void *item)
{
    struct pollfd p = {item_fd(item), 0, 0};
    poll(&p, 1, -1);
}

static void close_fd(void *item)
{
    close(item_fd(item));
}

int target_main(int argc, char **argv)
{
    static const struct app_ops ops = {read_fd, write_fd, shutdown_fd, NULL, close_fd};
    static struct app app;
    int size = BUFFER;
    int listener, fd;
    char address[128];
    if (smux_listen(argc > 0 ? argv[0] : "127.0.0.1:0", &listener) != SMUX_OK) {
        return 1;
    }
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    smux_socket_address(listener, false, address, sizeof address);
    printf("listening %s\n", address);
    fflush(stdout);
    app_init(&app, &ops, WORKERS);
    struct pollfd p[2] = {{listener, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    while (poll(p, 2, -1) < 0 || p[1].revents == 0) {
        if (smux_accept_fd(listener, TURN_MS, &fd) == SMUX_OK) {
            app_add(&app, (void *)(intptr_t)fd);
        }
    }
    return 0; /* what is still blocked goes with the process */
}

/* --- behind a client ---------------------------------------------------------------------- */

static atomic_uint n_connections;

static void connection_over(void *arg, int status)
{
    (void)arg;
    (void)status;
    n_connections--;
}

/** Makes what is missing. */
static void connect_locals(struct app *app, const char *address)
{
    int fd;
    while (n_connections < PEER_OFFERED && smux_dial(address, DIAL_MS, &fd) == SMUX_OK) {
        n_connections++;
        app_add(app, (void *)(intptr_t)fd);
    }
}

int locals_main(int argc, char **argv)
{
    static const struct app_ops ops = {read_fd, write_fd, shutdown_fd, hold_fd, close_fd};
    static struct app app;
    struct pollfd end = {STDIN_FILENO, POLLIN, 0};
    if (argc != 1) {
        return 2;
    }
    app_init(&app, &ops, WORKERS);
    app.ended = connection_over;
    connect_locals(&app, argv[0]);
    puts("connected");
    fflush(stdout);
    while (poll(&end, 1, AGAIN_MS) == 0) {
        connect_locals(&app, argv[0]);
    }
    return 0;
}
