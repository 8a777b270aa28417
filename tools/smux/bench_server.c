#define _GNU_SOURCE 1 /* MSG_NOSIGNAL and threads under -std=c11 */

#include "bench_server.h"

#include <pthread.h>
#include <smux/transport.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_channel.h"
#include "bench_loop.h"
#include "socket_options.h"

/* What one read takes at most; peers read into as much. */
#define READ_SIZE (128u * 1024)
/* A source looks whether it should stop after about so many bytes, not to slow itself down. */
#define SOURCE_BATCH (1u << 20)

/* A channel that has a thread. */
struct service {
    struct service *next;
    struct channel channel;
    struct bench_request request;
    pthread_t thread;
};

struct bench_server {
    struct bench_server_options options;
    int listener;
    char directory[32]; /* of the Unix socket; "" for TCP */
    char address[64];
    pthread_t acceptor;
    _Atomic bool stopping;
    uint64_t discarded; /* channels read to the end; of the acceptor */
    struct service *services;
    struct channel *held;
    size_t n_held;
    size_t held_capacity;
};

/* --- services ---------------------------------------------------------------------------- */

static void serve_sink(struct channel *channel, char *buf)
{
    uint8_t reply[BENCH_COUNT_SIZE];
    uint64_t total = 0;
    size_t n = 0;
    int status;

    while ((status = channel_read(channel, buf, READ_SIZE, &n)) == SMUX_OK) {
        total += n;
    }
    if (status == SMUX_EOF) {
        bench_count_encode(total, reply);
        channel_write(channel, reply, sizeof(reply));
    }
}

static void serve_source(struct channel *channel, uint32_t size)
{
    char *block = malloc(size);
    uint32_t batch = size < SOURCE_BATCH ? SOURCE_BATCH / size : 1;
    int status = block == NULL ? SMUX_ENOMEM : SMUX_OK;

    if (block != NULL) {
        memset(block, 'x', size); /* as work_write() does */
    }
    channel_stop_waiting(channel);
    while (status == SMUX_OK && !channel_has_ended(channel)) {
        for (uint32_t i = 0; i < batch && status == SMUX_OK; i++) {
            status = channel_write(channel, block, size);
        }
    }
    free(block);
}

static void serve_echo(struct channel *channel, char *buf)
{
    size_t n = 0;

    while (channel_read(channel, buf, READ_SIZE, &n) == SMUX_OK &&
           channel_write(channel, buf, n) == SMUX_OK) {
    }
}

static void *service_run(void *arg)
{
    struct service *service = arg;
    struct channel *channel = &service->channel;
    char *buf = malloc(READ_SIZE);

    if (buf != NULL && service->request.service == BENCH_SINK) {
        serve_sink(channel, buf);
    } else if (buf != NULL && service->request.service == BENCH_ECHO) {
        serve_echo(channel, buf);
    } else if (service->request.service == BENCH_SOURCE) {
        serve_source(channel, service->request.size);
    }
    free(buf);
    channel_close(channel);
    return NULL;
}

/* --- taking up channels ------------------------------------------------------------------- */

static void start_service(struct bench_server *server, struct channel channel,
                          const struct bench_request *request)
{
    struct service *service = malloc(sizeof(*service));

    if (service != NULL) {
        *service = (struct service){server->services, channel, *request, 0};
        if (pthread_create(&service->thread, NULL, service_run, service) == 0) {
            server->services = service;
            return;
        }
    }
    free(service);
    channel_close(&channel);
}

static void discard(struct bench_server *server, struct channel channel)
{
    char buf[512];
    size_t n;
    int status;

    while ((status = channel_read(&channel, buf, sizeof(buf), &n)) == SMUX_OK) {
    }
    channel_close(&channel);
    if (status == SMUX_EOF) {
        server->discarded++;
    }
}

/* In its turn: all channels that were opened before it have been read to the end. */
static void count(const struct bench_server *server, struct channel channel)
{
    uint8_t reply[BENCH_COUNT_SIZE];

    bench_count_encode(server->discarded, reply);
    (void)channel_write(&channel, reply, sizeof(reply));
    channel_close(&channel);
}

static void hold(struct bench_server *server, struct channel channel)
{
    if (server->n_held < server->held_capacity && channel_write(&channel, "", 1) == SMUX_OK) {
        server->held[server->n_held++] = channel;
    } else {
        channel_close(&channel);
    }
}

static void take_channel(struct bench_server *server, struct channel channel)
{
    uint8_t bytes[BENCH_REQUEST_SIZE];
    struct bench_request request;

    if (channel_read_full(&channel, bytes, sizeof(bytes)) != SMUX_OK ||
        !bench_request_decode(bytes, &request)) {
        channel_close(&channel);
    } else if (request.service == BENCH_DISCARD) {
        discard(server, channel);
    } else if (request.service == BENCH_COUNT) {
        count(server, channel);
    } else if (request.service == BENCH_HOLD) {
        hold(server, channel);
    } else {
        start_service(server, channel, &request);
    }
}

/* Waits for a connection. false at the end of the server. */
static bool accept_connection(struct bench_server *server, int *out_fd)
{
    if (smux_accept_fd(server->listener, SMUX_OFF, out_fd) != SMUX_OK) {
        return false;
    }
    if (atomic_load(&server->stopping)) {
        close(*out_fd);
        return false;
    }
    return true;
}

/* Waits until the client has ended all channels. */
static void end_services(struct bench_server *server)
{
    while (server->services != NULL) {
        struct service *service = server->services;
        server->services = service->next;
        pthread_join(service->thread, NULL);
        free(service);
    }
    while (server->n_held > 0) {
        channel_close(&server->held[--server->n_held]);
    }
}

static void *accept_connections(void *arg)
{
    struct bench_server *server = arg;
    int fd;

    while (accept_connection(server, &fd)) {
        take_channel(server, channel_of_socket(fd));
    }
    end_services(server);
    return NULL;
}

/* Waits for the connection of the session. false at the end of the server. */
static bool accept_session(struct bench_server *server, int *out_fd)
{
    if (!accept_connection(server, out_fd)) {
        return false;
    }
    socket_tune_session(*out_fd, server->options.settings);
    return true;
}

static void *accept_streams(void *arg)
{
    struct bench_server *server = arg;
    smux_session *session;
    smux_stream *stream;
    int fd;

    if (!accept_session(server, &fd)) {
        return NULL;
    }
    if (smux_server(fd, server->options.config, &session) != SMUX_OK) {
        close(fd);
        return NULL;
    }
    while (smux_session_accept(session, &stream) == SMUX_OK) {
        take_channel(server, channel_of_stream(stream));
    }
    end_services(server);
    smux_session_close(session); /* the client waits for it */
    return NULL;
}

/* --- an event loop ------------------------------------------------------------------------ */

static void serve_peer(void *user, smux_estream *stream)
{
    bench_peer_on_event(user, stream, 0);
}

static void *run_loop(void *arg)
{
    struct bench_server *server = arg;
    struct bench_loop loop;
    int fd;

    if (!accept_session(server, &fd) || loop_open(&loop, SMUX_SERVER, fd, server->options.config,
                                                  bench_peer_user_size()) != SMUX_OK) {
        return NULL;
    }
    loop.serve = serve_peer;
    loop.user = bench_peer_new(loop.conn);
    while (loop.user != NULL && loop_turn(&loop, SMUX_NEVER) == SMUX_OK) {
    }
    bench_peer_free(loop.user);
    loop_close(&loop);
    return NULL;
}

/* --- life -------------------------------------------------------------------------------- */

static void server_free(struct bench_server *server)
{
    if (server->listener >= 0) {
        close(server->listener);
    }
    if (server->directory[0] != '\0') {
        (void)unlink(server->address + strlen("unix:"));
        (void)rmdir(server->directory);
    }
    free(server->held);
    free(server);
}

static int listen_unix(struct bench_server *server)
{
    char directory[] = "/tmp/smux-bench-XXXXXX";

    if (mkdtemp(directory) == NULL) {
        return SMUX_EIO;
    }
    memcpy(server->directory, directory, sizeof(directory));
    snprintf(server->address, sizeof(server->address), "unix:%s/socket", directory);
    return smux_listen(server->address, &server->listener);
}

static int listen_tcp(struct bench_server *server)
{
    int status = smux_listen("127.0.0.1:0", &server->listener);

    if (status == SMUX_OK) {
        status =
            smux_socket_address(server->listener, false, server->address, sizeof(server->address));
    }
    return status;
}

static void *(*choose_acceptor(const struct bench_server_options *options))(void *)
{
    if (options->kind == KIND_TCP) {
        return accept_connections;
    }
    return options->loop ? run_loop : accept_streams;
}

int bench_server_start(const struct bench_server_options *options, struct bench_server **out_server)
{
    struct bench_server *server = calloc(1, sizeof(*server));
    int status;

    if (server == NULL) {
        return SMUX_ENOMEM;
    }
    server->options = *options;
    server->listener = -1;
    server->held_capacity = options->expected;
    server->held = calloc(options->expected + 1, sizeof(*server->held));
    status = server->held == NULL   ? SMUX_ENOMEM
             : options->unix_socket ? listen_unix(server)
                                    : listen_tcp(server);
    if (status == SMUX_OK &&
        pthread_create(&server->acceptor, NULL, choose_acceptor(options), server) != 0) {
        status = SMUX_EIO;
    }
    if (status != SMUX_OK) {
        server_free(server);
        return status;
    }
    *out_server = server;
    return SMUX_OK;
}

const char *bench_server_address(const struct bench_server *server)
{
    return server->address;
}

/* Wakes an acceptor that waits for a connection, by making one. */
static void wake_acceptor(const struct bench_server *server)
{
    int fd;

    if (smux_dial(server->address, 1000, &fd) == SMUX_OK) {
        close(fd);
    }
}

void bench_server_stop(struct bench_server *server)
{
    atomic_store(&server->stopping, true);
    wake_acceptor(server);
    pthread_join(server->acceptor, NULL);
    server_free(server);
}
