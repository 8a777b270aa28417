#define _GNU_SOURCE 1

#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "descriptor.h"
#include "socket_options.h"

/* --- watching ---------------------------------------------------------------------------- */

static void channel_on_poll(uv_poll_t *poll, int status, int events)
{
    struct endpoint *endpoint = poll->data;
    unsigned ready = 0;

    if (status < 0) { /* libuv stopped watching; the next read or write tells the reason */
        bool in = poll == &endpoint->in.handle.poll;
        (in ? &endpoint->in : endpoint->out)->watched = 0;
        ready = ENDPOINT_READABLE | ENDPOINT_WRITABLE;
    }
    if ((events & UV_READABLE) != 0) {
        ready |= ENDPOINT_READABLE;
    }
    if ((events & UV_WRITABLE) != 0) {
        ready |= ENDPOINT_WRITABLE;
    }
    endpoint->events->ready(endpoint, ready);
}

static void channel_on_idle(uv_idle_t *idle)
{
    struct endpoint *endpoint = idle->data;
    bool in = idle == &endpoint->in.handle.idle;

    endpoint->events->ready(endpoint, in ? ENDPOINT_READABLE : ENDPOINT_WRITABLE);
}

static void channel_watch(struct endpoint_channel *channel, unsigned events)
{
    int uv_events = 0;

    if (channel->fd < 0 || channel->watched == events) { /* closed: standard output has ended */
        return;
    }
    channel->watched = events;
    if (channel->is_file) {
        if (events != 0) {
            uv_idle_start(&channel->handle.idle, channel_on_idle);
        } else {
            uv_idle_stop(&channel->handle.idle);
        }
        return;
    }
    if ((events & ENDPOINT_READABLE) != 0) {
        uv_events |= UV_READABLE;
    }
    if ((events & ENDPOINT_WRITABLE) != 0) {
        uv_events |= UV_WRITABLE;
    }
    if (uv_events != 0) {
        uv_poll_start(&channel->handle.poll, uv_events, channel_on_poll);
    } else {
        uv_poll_stop(&channel->handle.poll);
    }
}

void endpoint_watch(struct endpoint *endpoint, unsigned events)
{
    if (endpoint_is_socket(endpoint)) {
        channel_watch(&endpoint->in, events);
        return;
    }
    channel_watch(&endpoint->in, events & ENDPOINT_READABLE);
    channel_watch(endpoint->out, events & ENDPOINT_WRITABLE);
}

/* --- making ------------------------------------------------------------------------------ */

static int channel_init(struct endpoint *endpoint, struct endpoint_channel *channel,
                        uv_loop_t *loop, int fd)
{
    struct stat st;
    int error;

    channel->fd = fd;
    channel->watched = 0;
    channel->is_file = fstat(fd, &st) == 0 && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) &&
                       !S_ISCHR(st.st_mode);
    error = channel->is_file ? uv_idle_init(loop, &channel->handle.idle)
                             : uv_poll_init(loop, &channel->handle.poll, fd);
    if (error == UV_EPERM) { /* a device such as /dev/null, which is always ready too */
        channel->is_file = true;
        error = uv_idle_init(loop, &channel->handle.idle);
    }
    if (error != 0) {
        return -error;
    }
    channel->handle.any.data = endpoint;
    endpoint->open_handles++;
    return 0;
}

int endpoint_init_socket(struct endpoint *endpoint, uv_loop_t *loop, int fd,
                         const struct endpoint_events *events)
{
    endpoint->events = events;
    endpoint->out = &endpoint->in;
    endpoint->open_handles = 0;
    socket_reset_on_close(fd, true);
    socket_probe_peer(fd);
    return channel_init(endpoint, &endpoint->in, loop, fd);
}

/* One that was closed when we began is there, but cannot be used, see main.c. */
static bool is_open(int fd, int mode)
{
    int has = fcntl(fd, F_GETFL) & O_ACCMODE;

    return has == mode || has == O_RDWR;
}

/* A descriptor of our own for standard input or output, non-blocking without effect on others if possible. */
static int open_stdio(int fd, int mode)
{
    int again;

    if (!is_open(fd, mode)) {
        errno = EBADF;
        return -1;
    }
    again = descriptor_open_again(fd, mode);
    return again >= 0 ? again : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* Both or none. Returns 0 or an errno. */
static int open_both(int *out_in, int *out_out)
{
    int error;

    *out_in = open_stdio(STDIN_FILENO, O_RDONLY);
    if (*out_in < 0) {
        return errno;
    }
    *out_out = open_stdio(STDOUT_FILENO, O_WRONLY);
    if (*out_out >= 0) {
        return 0;
    }
    error = errno;
    close(*out_in);
    return error;
}

int endpoint_init_stdio(struct endpoint *endpoint, uv_loop_t *loop,
                        const struct endpoint_events *events)
{
    int in = -1;
    int out = -1;
    int error = open_both(&in, &out);

    if (error != 0) {
        return error;
    }
    endpoint->events = events;
    endpoint->open_handles = 0;
    endpoint->out = calloc(1, sizeof(*endpoint->out));
    if (endpoint->out == NULL) {
        return ENOMEM;
    }
    /* Whoever reads our output must see its end when we say so, not when the process ends. */
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    (void)!open("/dev/null", O_RDONLY); /* 0 and 1 are not to become sockets by accident */
    (void)!open("/dev/null", O_WRONLY);
    error = channel_init(endpoint, &endpoint->in, loop, in);
    return error != 0 ? error : channel_init(endpoint, endpoint->out, loop, out);
}

bool endpoint_is_socket(const struct endpoint *endpoint)
{
    return endpoint->out == &endpoint->in;
}

/* --- reading and writing ----------------------------------------------------------------- */

ssize_t endpoint_read(struct endpoint *endpoint, void *buf, size_t len)
{
    ssize_t n;

    do {
        n = read(endpoint->in.fd, buf, len);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t endpoint_writev(struct endpoint *endpoint, const struct smux_iov *iov, int n)
{
    ssize_t written;

    do { /* an smux_iov has the layout of an iovec */
        written = writev(endpoint->out->fd, (const struct iovec *)(const void *)iov, n);
    } while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : written;
}

/* --- ending ------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct endpoint *endpoint = handle->data;

    if (--endpoint->open_handles > 0) {
        return;
    }
    if (!endpoint_is_socket(endpoint)) {
        free(endpoint->out);
    }
    endpoint->events->closed(endpoint);
}

static void channel_close(struct endpoint_channel *channel)
{
    if (channel->fd >= 0) {
        uv_close(&channel->handle.any, on_closed);
        close(channel->fd);
        channel->fd = -1;
    }
}

void endpoint_shutdown(struct endpoint *endpoint)
{
    if (endpoint_is_socket(endpoint)) {
        shutdown(endpoint->in.fd, SHUT_WR);
    } else {
        channel_close(endpoint->out);
    }
}

static void close_channels(struct endpoint *endpoint)
{
    struct endpoint_channel *out = endpoint->out;

    if (out != &endpoint->in) {
        channel_close(out);
    }
    channel_close(&endpoint->in);
}

void endpoint_close(struct endpoint *endpoint)
{
    if (endpoint_is_socket(endpoint)) {
        socket_reset_on_close(endpoint->in.fd, false);
    }
    close_channels(endpoint);
}

void endpoint_reset(struct endpoint *endpoint)
{
    close_channels(endpoint);
}
