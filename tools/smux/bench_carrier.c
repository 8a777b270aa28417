#define _GNU_SOURCE 1 /* struct ip_mreq and friends of <netinet/in.h> */

#include "bench_carrier.h"

#include <arpa/inet.h>
#include <errno.h>
#include <smux/transport.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "bench_flow.h"
#include "socket_options.h"
#include "usage.h"
#include "values.h"

/* Streams of the tests themselves besides those that are measured. */
#define SPARE_STREAMS 1024u

/* --- sessions ---------------------------------------------------------------------------- */

/* The server must take so many streams; it is ours, so no peer can misuse these limits. */
static void configure(struct carrier *carrier, uint32_t n_channels, bool count_heap)
{
    for (int role = 0; role < 2; role++) {
        struct smux_config *config = &carrier->config[role];
        settings_session_config(&carrier->settings->common, config);
        config->version = carrier->kind == KIND_V1 ? 1 : 2;
        config->max_remote_streams = 2 * n_channels + SPARE_STREAMS;
        config->accept_backlog = config->max_remote_streams;
        config->glitch_burst = SMUX_OFF;
        heap_init(&carrier->heap[role]);
        config->allocator = count_heap ? &carrier->heap[role].allocator : NULL;
    }
}

/* Makes a session over a socket, which belongs to it on failure, too. */
static int take_socket(struct carrier *carrier, int fd)
{
    const struct smux_config *config = &carrier->config[SMUX_CLIENT];
    int status;

    if (carrier->settings->loop) {
        return loop_open(&carrier->loop, SMUX_CLIENT, fd, config, flow_user_size());
    }
    status = smux_client(fd, config, &carrier->session);
    if (status != SMUX_OK) {
        close(fd);
    }
    return status;
}

static int start_session(struct carrier *carrier)
{
    const struct settings *settings = &carrier->settings->common;
    int fd = -1;
    int status = smux_dial(carrier->address, settings->connect_timeout, &fd);

    if (status != SMUX_OK) {
        usage_error("cannot connect to %s: %s", carrier->address,
                    status == SMUX_EIO ? value_errno_text(errno) : smux_strerror(status));
        return EX_UNAVAILABLE;
    }
    socket_tune_session(fd, settings);
    status = take_socket(carrier, fd);
    if (status != SMUX_OK) {
        usage_error("cannot start a session: %s", smux_strerror(status));
        return EX_OSERR;
    }
    return 0;
}

static int ask_for_count(struct carrier *carrier, uint64_t *out_count)
{
    uint32_t limit_ms = carrier->settings->common.connect_timeout;
    struct channel channel;
    int status;

    if (carrier->loop.conn != NULL) {
        return flow_probe(&carrier->loop, limit_ms, out_count);
    }
    status = carrier_channel(carrier, &channel);
    if (status == SMUX_OK) {
        channel_set_limit(&channel, limit_ms);
        status = channel_request(&channel, BENCH_COUNT, 0);
        status = status == SMUX_OK ? channel_read_count(&channel, out_count) : status;
        channel_close(&channel);
    }
    return status;
}

/* Asks for the count of discarded streams: only a bench server knows the answer. */
static int probe(struct carrier *carrier)
{
    char why[256];
    uint64_t count = 1;
    int status = ask_for_count(carrier, &count);

    if (status == SMUX_OK && count == 0) {
        return 0;
    }
    usage_error("no bench server answers at %s (%s): is `smux server --bench` running there?",
                carrier->address,
                status == SMUX_OK ? "the answer is something else"
                                  : carrier_explain(carrier, status, why, sizeof(why)));
    return EX_PROTOCOL;
}

static int start_server(struct carrier *carrier, uint32_t n_channels)
{
    const struct bench_server_options options = {.kind = carrier->kind,
                                                 .unix_socket = carrier->settings->unix_socket,
                                                 .loop = carrier->settings->loop,
                                                 .settings = &carrier->settings->common,
                                                 .config = &carrier->config[SMUX_SERVER],
                                                 .expected = n_channels};
    int status = bench_server_start(&options, &carrier->server);

    if (status != SMUX_OK) {
        usage_error("cannot start the server on loopback: %s", smux_strerror(status));
        return EX_OSERR;
    }
    carrier->address = bench_server_address(carrier->server);
    return 0;
}

/* --- TCP --------------------------------------------------------------------------------- */

static void parse_peer(struct carrier *carrier)
{
    const char *colon = strrchr(carrier->address, ':');

    carrier->peer.sin_family = AF_INET;
    carrier->peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    carrier->peer.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
}

/* Takes another loopback address for each connection: a closed one blocks its pair of addresses
 * and ports for a while, and 127.0.0.1 alone would run out of ports. */
static void choose_source(struct carrier *carrier, int fd)
{
#ifdef IP_BIND_ADDRESS_NO_PORT
    uint32_t n = atomic_fetch_add(&carrier->connected, 1);
    struct sockaddr_in source = {.sin_family = AF_INET};
    int on = 1;

    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (n % 64) * 256);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    (void)bind(fd, (struct sockaddr *)&source, sizeof(source));
#else
    (void)carrier;
    (void)fd;
#endif
}

static int connect_tcp(struct carrier *carrier, int *out_fd)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0) {
        return SMUX_EIO;
    }
    choose_source(carrier, fd);
    if (connect(fd, (struct sockaddr *)&carrier->peer, sizeof(carrier->peer)) != 0) {
        close(fd);
        return SMUX_EIO;
    }
    *out_fd = fd;
    return SMUX_OK;
}

static int connect_channel(struct carrier *carrier, struct channel *out_channel)
{
    uint32_t limit_ms = carrier->settings->common.connect_timeout;
    int fd = -1;
    int status = carrier->settings->unix_socket ? smux_dial(carrier->address, limit_ms, &fd)
                                                : connect_tcp(carrier, &fd);

    if (status == SMUX_OK) {
        *out_channel = channel_of_socket(fd);
    }
    return status;
}

/* --- both -------------------------------------------------------------------------------- */

int carrier_open(struct carrier *carrier, const struct bench_settings *settings,
                 enum bench_kind kind, uint32_t n_channels, bool count_heap)
{
    int code = 0;

    memset(carrier, 0, sizeof(*carrier));
    carrier->settings = settings;
    carrier->kind = kind;
    carrier->address = settings->remote;
    configure(carrier, n_channels, count_heap);
    if (settings->remote == NULL) {
        code = start_server(carrier, n_channels);
    }
    if (code == 0 && kind == KIND_TCP && !settings->unix_socket) {
        parse_peer(carrier);
    } else if (code == 0 && kind != KIND_TCP) {
        code = start_session(carrier);
    }
    if (code == 0) {
        code = probe(carrier);
    }
    if (code != 0) {
        carrier_close(carrier);
    }
    return code;
}

int carrier_channel(struct carrier *carrier, struct channel *out_channel)
{
    smux_stream *stream;
    int status;

    if (carrier->session == NULL) {
        return connect_channel(carrier, out_channel);
    }
    status = smux_session_open(carrier->session, &stream);
    if (status == SMUX_OK) {
        *out_channel = channel_of_stream(stream);
    }
    return status;
}

unsigned carrier_ends(const struct carrier *carrier)
{
    return carrier->server == NULL ? 1 : 2;
}

uint64_t carrier_heap_bytes(const struct carrier *carrier)
{
    return heap_bytes(&carrier->heap[SMUX_CLIENT]) + heap_bytes(&carrier->heap[SMUX_SERVER]);
}

uint64_t carrier_frames(const struct carrier *carrier)
{
    struct smux_session_stats stats;

    if (carrier->session == NULL) {
        return atomic_load_explicit(&carrier->frames, memory_order_relaxed);
    }
    smux_session_stats(carrier->session, &stats);
    return stats.frames_in.psh + stats.frames_out.psh;
}

const char *carrier_explain(const struct carrier *carrier, int status, char *out, size_t size)
{
    if (carrier->session != NULL && smux_session_error(carrier->session) != SMUX_OK) {
        smux_session_error_text(carrier->session, out, size);
    } else if (carrier->loop.over) {
        snprintf(out, size, "%s", smux_engine_error_text(carrier->loop.engine));
    } else if (status == SMUX_EIO) {
        snprintf(out, size, "%s", value_errno_text(errno));
    } else {
        snprintf(out, size, "%s", smux_strerror(status));
    }
    return out;
}

void carrier_close(struct carrier *carrier)
{
    if (carrier->session != NULL) {
        smux_session_close(carrier->session);
    }
    loop_close(&carrier->loop);
    if (carrier->server != NULL) {
        bench_server_stop(carrier->server);
    }
}
