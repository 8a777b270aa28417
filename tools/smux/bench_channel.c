#include "bench_channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <smux/transport.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct channel channel_of_stream(smux_stream *stream)
{
    return (struct channel){.stream = stream, .fd = -1};
}

struct channel channel_of_socket(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* as sessions have it */
    return (struct channel){.stream = NULL, .fd = fd};
}

/* --- TCP --------------------------------------------------------------------------------- */

static int status_of_errno(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? SMUX_EDEADLINE : SMUX_EIO;
}

static int socket_write(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return status_of_errno();
        }
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return SMUX_OK;
}

static int socket_read(int fd, void *buf, size_t len, size_t *out_len)
{
    ssize_t n;

    do {
        n = recv(fd, buf, len, 0);
    } while (n < 0 && errno == EINTR);
    *out_len = n > 0 ? (size_t)n : 0;
    if (n < 0) {
        return status_of_errno();
    }
    return n == 0 ? SMUX_EOF : SMUX_OK;
}

static void socket_set_limit(int fd, uint32_t limit_ms)
{
    struct timeval limit = {.tv_sec = limit_ms / 1000,
                            .tv_usec = (suseconds_t)(limit_ms % 1000) * 1000};

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* --- both -------------------------------------------------------------------------------- */

void channel_set_limit(struct channel *channel, uint32_t limit_ms)
{
    if (channel->stream == NULL) {
        socket_set_limit(channel->fd, limit_ms);
    } else {
        smux_stream_set_deadline(channel->stream, smux_now_us() + limit_ms * UINT64_C(1000));
    }
}

int channel_write(struct channel *channel, const void *data, size_t len)
{
    return channel->stream == NULL ? socket_write(channel->fd, data, len)
                                   : smux_stream_write(channel->stream, data, len, NULL);
}

int channel_read(struct channel *channel, void *buf, size_t len, size_t *out_len)
{
    return channel->stream == NULL ? socket_read(channel->fd, buf, len, out_len)
                                   : smux_stream_read(channel->stream, buf, len, out_len);
}

int channel_read_full(struct channel *channel, void *buf, size_t len)
{
    char *at = buf;

    while (len > 0) {
        size_t n = 0;
        int status = channel_read(channel, at, len, &n);
        if (status != SMUX_OK) {
            return status;
        }
        at += n;
        len -= n;
    }
    return SMUX_OK;
}

void channel_stop_waiting(struct channel *channel)
{
    if (channel->stream != NULL) {
        smux_stream_set_read_deadline(channel->stream, 1); /* long ago */
    }
}

bool channel_has_ended(struct channel *channel)
{
    char byte;
    size_t n;

    if (channel->stream != NULL) {
        int status = smux_stream_read(channel->stream, &byte, 1, &n);
        return status != SMUX_OK && status != SMUX_EDEADLINE;
    }
    ssize_t got = recv(channel->fd, &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && status_of_errno() != SMUX_EDEADLINE);
}

int channel_shutdown(struct channel *channel)
{
    if (channel->stream == NULL) {
        return shutdown(channel->fd, SHUT_WR) == 0 ? SMUX_OK : SMUX_EIO;
    }
    return smux_stream_shutdown(channel->stream);
}

void channel_close(struct channel *channel)
{
    if (channel->stream == NULL) {
        close(channel->fd);
    } else {
        smux_stream_close(channel->stream);
    }
}

int channel_request(struct channel *channel, enum bench_service service, uint32_t size)
{
    const struct bench_request request = {service, size};
    uint8_t bytes[BENCH_REQUEST_SIZE];

    bench_request_encode(&request, bytes);
    return channel_write(channel, bytes, sizeof(bytes));
}

int channel_read_count(struct channel *channel, uint64_t *out_count)
{
    uint8_t bytes[BENCH_COUNT_SIZE];
    int status = channel_read_full(channel, bytes, sizeof(bytes));

    *out_count = status == SMUX_OK ? bench_count_decode(bytes) : 0;
    return status;
}
