#include "conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Reads and writes of a direction before others get their turn. */
#define TURNS 16
/* How often a cut looks whether the receiver has all. */
#define CUT_POLL_NS 1000000u

/*
 * Buffers of our sockets. Left alone, the kernel lets them grow to megabytes, and the link would
 * have a queue that nobody asked for: bytes that lie in our receive buffer have left the sender but
 * have not entered the link. So both are fixed. 5 ms of the link are enough to bridge the time
 * until a sender that waits for room runs again; the queue of the link bridges the rest. 256 KiB
 * are enough for any rate on loopback, where a round trip takes some 10 us; less than 64 KiB is
 * slow, because a segment on loopback has that size. The buffer we send from holds what has been
 * delivered: on loopback it is empty unless the receiver does not read.
 */
#define BUFFER_MS  5
#define MIN_BUFFER (64 * 1024)
#define MAX_BUFFER (256 * 1024)

void conn_tune_socket(int fd, uint64_t rate)
{
    uint64_t bytes = rate / 8000 * BUFFER_MS;
    int send = MAX_BUFFER;
    int receive = MAX_BUFFER;
    int on = 1;

    if (rate != 0 && bytes < MAX_BUFFER) {
        receive = (int)(bytes < MIN_BUFFER ? MIN_BUFFER : bytes);
    }
    /* The kernel doubles these for its own overhead. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof(send));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* --- life --------------------------------------------------------------------------------- */

struct conn *conn_new(uint64_t number, int client, int target, const struct options *options,
                      const struct linkclock clocks[2])
{
    struct conn *conn = calloc(1, sizeof(*conn));

    if (conn == NULL) {
        close(client);
        close(target);
        return NULL;
    }
    conn->number = number;
    conn->cut = -1;
    conn->sockets[UP] = (struct conn_socket){.fd = client, .connected = true};
    conn->sockets[DOWN] = (struct conn_socket){.fd = target};
    for (int i = 0; i < 2; i++) {
        /* Every direction of every connection has a jitter of its own. */
        uint64_t seed = (options->seed * 4099 + number) * 2 + (uint64_t)i;
        if (!pipe_init(&conn->pipes[i], &options->directions[i], &clocks[i], seed)) {
            conn_free(conn);
            return NULL;
        }
    }
    return conn;
}

static void close_socket(int fd, bool reset)
{
    const struct linger linger = {.l_onoff = 1};

    if (reset) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    close(fd);
}

void conn_free(struct conn *conn)
{
    for (int i = 0; i < 2; i++) {
        close_socket(conn->sockets[i].fd, conn->end != CONN_CLOSED);
        pipe_deinit(&conn->pipes[i]);
    }
    free(conn);
}

void conn_cut(struct conn *conn)
{
    conn->end = CONN_CUT;
}

/* --- moving ------------------------------------------------------------------------------- */

/* A socket was reset, or could not be connected. */
static void fail(struct conn *conn, int side)
{
    struct conn_socket *socket = &conn->sockets[side];

    if (!socket->connected) {
        fprintf(stderr, "linkemu: cannot connect to the target: %s\n", strerror(errno));
    }
    socket->dead = true;
    pipe_end(&conn->pipes[side], PIPE_RESET);
    if (conn->sockets[!side].dead) {
        conn->end = CONN_RESET;
    }
}

/* After a half-close nobody reads from a socket; so its reset is looked for. */
static void look_for_reset(struct conn *conn, int side)
{
    struct conn_socket *socket = &conn->sockets[side];
    socklen_t len = sizeof(errno);

    if (socket->hung && !socket->dead && conn->pipes[side].ending == PIPE_FIN &&
        getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &errno, &len) == 0 && errno != 0) {
        fail(conn, side);
    }
}

/* Reads once into the pipe that starts at a socket. Returns whether that may go on. */
static bool fill(struct conn *conn, int side)
{
    struct conn_socket *socket = &conn->sockets[side];
    struct pipe *pipe = &conn->pipes[side];
    ssize_t got;

    if (!socket->readable || socket->dead || conn->sockets[!side].dead || !pipe_has_room(pipe)) {
        return false;
    }
    got = pipe_fill(pipe, socket->fd);
    if (got < 0 && errno == EAGAIN) {
        socket->readable = false;
    } else if (got < 0) {
        fail(conn, side);
    } else if (got == 0) {
        pipe_end(pipe, PIPE_FIN);
    }
    return got > 0;
}

static bool can_write(const struct conn_socket *socket)
{
    return socket->writable && socket->connected && !socket->dead;
}

/* Writes once from a pipe to the socket where it ends. Returns whether that may go on. */
static bool drain(struct conn *conn, int direction)
{
    struct conn_socket *socket = &conn->sockets[!direction];
    ssize_t put;

    if (!can_write(socket)) {
        return false;
    }
    put = pipe_drain(&conn->pipes[direction], socket->fd);
    if (put < 0 && errno == EAGAIN) {
        socket->writable = false;
    } else if (put < 0) {
        fail(conn, !direction);
    }
    return put > 0;
}

/* Passes the end of a direction on, once it is due. */
static void pass_end(struct conn *conn, int direction)
{
    struct conn_socket *socket = &conn->sockets[!direction];
    enum pipe_ending ending = pipe_ended(&conn->pipes[direction]);

    if (ending == PIPE_RESET) {
        conn->end = CONN_RESET;
    } else if (ending == PIPE_FIN && !socket->shut && !socket->dead && socket->connected) {
        socket->shut = true;
        (void)shutdown(socket->fd, SHUT_WR);
    }
}

/* The receiver has all, or never will. */
static bool cut_is_over(const struct conn *conn)
{
    const struct conn_socket *socket = &conn->sockets[!conn->cut];
    int unsent = 0;

    return socket->hung || ioctl(socket->fd, SIOCOUTQ, &unsent) != 0 || unsent == 0;
}

/* Returns true when the direction used up its turns. */
static bool pump_direction(struct conn *conn, int direction)
{
    for (int i = 0; i < TURNS; i++) {
        bool filled = fill(conn, direction);
        bool drained = drain(conn, direction);
        if (!filled && !drained) {
            pass_end(conn, direction);
            return false;
        }
    }
    return true;
}

bool conn_pump(struct conn *conn)
{
    bool more = false;

    for (int i = 0; i < 2 && conn->cut < 0 && conn->end == CONN_OPEN; i++) {
        look_for_reset(conn, i);
        more |= pump_direction(conn, i);
        if (pipe_is_cut(&conn->pipes[i])) {
            conn->cut = i;
        }
    }
    if (conn->cut >= 0 && conn->end == CONN_OPEN) {
        conn->end = cut_is_over(conn) ? CONN_CUT : CONN_OPEN;
        return false;
    }
    if (conn->sockets[UP].shut && conn->sockets[DOWN].shut && conn->end == CONN_OPEN) {
        conn->end = CONN_CLOSED;
    }
    return more;
}

void conn_take_events(struct conn *conn, int side, uint32_t events)
{
    struct conn_socket *socket = &conn->sockets[side];
    bool broken = events & (EPOLLERR | EPOLLHUP);

    socket->hung |= broken;
    socket->readable |= broken || (events & (EPOLLIN | EPOLLRDHUP));
    socket->writable |= broken || (events & EPOLLOUT);
    socket->connected |= !broken && (events & EPOLLOUT);
}

uint64_t conn_wake_ns(const struct conn *conn, uint64_t now_ns)
{
    uint64_t wake = NEVER;

    if (conn->cut >= 0) {
        return now_ns + CUT_POLL_NS;
    }
    for (int i = 0; i < 2; i++) {
        const struct pipe *pipe = &conn->pipes[i];
        uint64_t next = linkclock_real(pipe->clock, pipe_next_ns(pipe));
        /* What cannot be written waits for epoll, not for the time. */
        if (can_write(&conn->sockets[!i]) && next < wake) {
            wake = next;
        }
    }
    return wake;
}
