/*
 * echo_uv.c - smux in a libuv loop: an echo server and a client in one program.
 *
 * Both ends live in one loop and talk over a socket pair; a real program gets its descriptor from
 * smux_accept_fd() or smux_dial(). The client sends a line on a stream, prints what comes back and
 * closes the session in order. Then nothing is left to wait for, and the loop ends. (ctest: run)
 */
#define _GNU_SOURCE 1 /* libuv needs POSIX */

#include <smux/uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/** The server sends back what it reads, as much as there is room for. */
static void echo(smux_engine *engine, smux_estream *stream)
{
    struct smux_iov iov;
    int n;
    int status;

    do {
        size_t len = 0;
        status = smux_estream_peek(engine, stream, &iov, 1, &n);
        if (status == SMUX_OK) {
            status = smux_estream_write(engine, stream, iov.base, iov.len, &len);
            smux_estream_consume(engine, stream, len);
        }
    } while (status == SMUX_OK);
    if (status != SMUX_EAGAIN) { /* otherwise the stream is reported again */
        smux_estream_close(engine, stream);
    }
}

static void server_ready(smux_conn *conn, void *user)
{
    smux_engine *engine = smux_conn_engine(conn);
    smux_estream *stream;
    unsigned events;

    (void)user;
    while (smux_engine_accept(engine, &stream) == SMUX_OK) {
        echo(engine, stream);
    }
    while ((stream = smux_engine_next_ready(engine, &events)) != NULL) {
        echo(engine, stream);
    }
}

/** The client prints what it reads. */
static void client_ready(smux_conn *conn, void *user)
{
    smux_engine *engine = smux_conn_engine(conn);
    smux_estream *stream;
    unsigned events;
    char buf[256];
    size_t len;
    int status;

    (void)user;
    while ((stream = smux_engine_next_ready(engine, &events)) != NULL) {
        while ((status = smux_estream_read(engine, stream, buf, sizeof buf, &len)) == SMUX_OK) {
            fwrite(buf, 1, len, stdout);
        }
        if (status != SMUX_EAGAIN) { /* the whole answer is here */
            smux_estream_close(engine, stream);
            smux_conn_drain(conn);
        }
    }
}

static void say_hello(smux_conn *conn)
{
    smux_engine *engine = smux_conn_engine(conn);
    smux_estream *stream;
    size_t len;

    if (smux_engine_open(engine, &stream) == SMUX_OK) {
        smux_estream_write(engine, stream, "hello through a stream\n", 23, &len);
        smux_estream_shutdown(engine, stream); /* no more from us; we still read */
        smux_conn_flush(conn);
    }
}

static void closed(smux_conn *conn, void *user)
{
    fprintf(stderr, "%s: %s\n", (const char *)user, smux_engine_error_text(smux_conn_engine(conn)));
    smux_conn_free(conn);
}

/** Starts a session on a connected socket, in the default loop. */
static smux_conn *start(char *name, enum smux_role role, int fd,
                        const struct smux_conn_events *events)
{
    struct smux_transport transport;
    smux_conn *conn;

    if (smux_transport_fd(fd, fd, &transport) != SMUX_OK ||
        smux_conn_new(role, &transport, NULL, 0, events, name, &conn) != SMUX_OK ||
        smux_uv_attach(conn, uv_default_loop()) != SMUX_OK) {
        fprintf(stderr, "%s: cannot start\n", name);
        exit(EXIT_FAILURE);
    }
    return conn;
}

int main(void)
{
    const struct smux_conn_events server = {.ready = server_ready, .closed = closed};
    const struct smux_conn_events client = {.ready = client_ready, .closed = closed};
    int fds[2] = {-1, -1};

    (void)socketpair(AF_UNIX, SOCK_STREAM, 0, fds); /* start() finds out if that failed */
    start("server", SMUX_SERVER, fds[0], &server);
    say_hello(start("client", SMUX_CLIENT, fds[1], &client));
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return uv_loop_close(uv_default_loop()) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
