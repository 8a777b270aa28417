#define _GNU_SOURCE 1

#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "values.h"

/* In a turn of the loop none begins after this time, but one in any case: sockets cost tens of
 * microseconds each, and much more once the kernel has to search for a free port. */
#define DIAL_TURN_NS 30000u

/* A Unix socket whose backlog is full cannot be waited for; look again after this time. */
#define BUSY_RETRY_MS 20

struct dial {
    struct dial_queue *queue;
    struct dial_line *line;
    struct dial *next; /* in the line */
    struct dial *before;
    uv_loop_t *loop;
    struct address address;
    uint32_t timeout_ms;
    uint64_t deadline_ms;
    void (*prepare)(void *arg, int fd);
    dial_done done; /* NULL once called or cancelled */
    void *arg;

    struct address_list *found; /* from its turn on: those that wait shall be small */
    size_t at;                  /* the address being tried */
    int fd;
    bool running; /* counted by the queue, and in no line */
    bool resolving;
    bool polling; /* poll is a handle of the loop */
    const char *error;
    uv_getaddrinfo_t resolver;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned open_handles;
};

static void dial_try(struct dial *dial);
static void dial_begin(struct dial *dial);

/* --- the queue --------------------------------------------------------------------------- */

static void ring_add(struct dial_queue *queue, struct dial_line *line)
{
    struct dial_line *first = queue->lines;

    line->next = first == NULL ? line : first;
    line->before = first == NULL ? line : first->before;
    line->next->before = line;
    line->before->next = line;
    queue->lines = first == NULL ? line : first;
}

static void ring_remove(struct dial_queue *queue, struct dial_line *line)
{
    line->before->next = line->next;
    line->next->before = line->before;
    if (queue->lines == line) {
        queue->lines = line->next == line ? NULL : line->next;
    }
}

static void line_push(struct dial_line *line, struct dial *dial)
{
    if (line->first == NULL) {
        ring_add(dial->queue, line);
    }
    dial->before = line->last;
    *(line->last == NULL ? &line->first : &line->last->next) = dial;
    line->last = dial;
}

/* In constant time: a session that ends gives up all its dials at once, which may be thousands. */
static void line_remove(struct dial *dial)
{
    struct dial_line *line = dial->line;

    *(dial->before == NULL ? &line->first : &dial->before->next) = dial->next;
    *(dial->next == NULL ? &line->last : &dial->next->before) = dial->before;
    dial->next = NULL;
    dial->before = NULL;
    if (line->first == NULL) {
        ring_remove(dial->queue, line);
    }
}

static bool queue_may_begin(const struct dial_queue *queue)
{
    return queue->lines != NULL && queue->running < DIAL_LIMIT;
}

static void queue_begin_one(struct dial_queue *queue)
{
    struct dial *dial = queue->lines->first;

    queue->lines = queue->lines->next;
    line_remove(dial);
    dial->running = true;
    queue->running++;
    dial_begin(dial);
}

static void queue_on_idle(uv_idle_t *idle)
{
    struct dial_queue *queue = idle->data;
    uint64_t begin_ns = uv_hrtime();

    while (queue_may_begin(queue)) {
        queue_begin_one(queue);
        if (uv_hrtime() - begin_ns >= DIAL_TURN_NS) {
            return;
        }
    }
    uv_idle_stop(idle);
}

/* Lets those begin that may, in the loop's turn. */
static void queue_run(struct dial_queue *queue)
{
    if (queue_may_begin(queue)) {
        uv_idle_start(&queue->begin, queue_on_idle);
    }
}

void dial_queue_init(struct dial_queue *queue, uv_loop_t *loop)
{
    *queue = (struct dial_queue){.running = 0};
    uv_idle_init(loop, &queue->begin);
    queue->begin.data = queue;
}

/* --- ending ------------------------------------------------------------------------------ */

static void dial_free_if_idle(struct dial *dial)
{
    if (dial->done == NULL && dial->open_handles == 0 && !dial->resolving) {
        dial->queue->bytes -= sizeof(*dial);
        free(dial->found);
        free(dial);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;

    dial->open_handles--;
    dial_free_if_idle(dial);
}

/* Also gone when the dial goes on with the next address: a handle cannot be used again before it
 * is closed, so that address waits for it. */
static void on_poll_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;

    dial->open_handles--;
    if (dial->done != NULL) {
        dial_try(dial);
    } else {
        dial_free_if_idle(dial);
    }
}

static void stop_polling(struct dial *dial)
{
    if (dial->polling) {
        dial->polling = false;
        uv_close((uv_handle_t *)&dial->poll, on_poll_closed);
    }
}

/* Gives up everything but the socket, and the memory later. */
static void dial_release(struct dial *dial)
{
    dial->done = NULL;
    stop_polling(dial);
    if (dial->resolving) {
        uv_cancel((uv_req_t *)&dial->resolver);
    }
    if (dial->running) {
        dial->running = false;
        dial->queue->running--;
    } else {
        line_remove(dial);
    }
    uv_close((uv_handle_t *)&dial->timer, on_handle_closed);
    queue_run(dial->queue);
}

static void dial_finish(struct dial *dial, int fd, const char *error)
{
    dial_done done = dial->done;
    void *arg = dial->arg;

    if (fd < 0) {
        dial->queue->failed++;
        dial->queue->timed_out += uv_now(dial->loop) >= dial->deadline_ms;
    }
    dial->fd = -1;
    dial_release(dial);
    done(arg, fd, error);
}

void dial_cancel(struct dial *dial)
{
    if (dial->fd >= 0) {
        stop_polling(dial);
        close(dial->fd);
        dial->fd = -1;
    }
    dial_release(dial);
}

/* --- trying addresses -------------------------------------------------------------------- */

/* Gives up on the address that is being tried and goes on to the next one. The functions here call
 * each other no more often than there are addresses.
 * NOLINTBEGIN(misc-no-recursion) */
static void dial_next(struct dial *dial, const char *error)
{
    bool closing = dial->polling;

    uv_timer_stop(&dial->timer);
    stop_polling(dial);
    if (dial->fd >= 0) {
        close(dial->fd);
        dial->fd = -1;
    }
    dial->error = error;
    dial->at++;
    if (!closing) {
        dial_try(dial);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct dial *dial = timer->data;

    if (dial->resolving) {
        dial_finish(dial, -1, "the name server does not answer");
    } else if (dial->fd < 0) {
        dial_try(dial); /* a Unix socket that was busy, or no resolver was to be had */
    } else {
        dial_next(dial, "connection timed out");
    }
}

/* Tells whether a socket is connected to itself, which TCP does when a port of this machine is dialled where
 * nobody listens, and the kernel picks that one for the near end. It would even keep the listener away. */
static bool met_itself(int fd)
{
    struct endpoint_address here = {.len = sizeof(here.sa)};
    struct endpoint_address there = {.len = sizeof(there.sa)};

    return getsockname(fd, (struct sockaddr *)(void *)&here.sa, &here.len) == 0 &&
           getpeername(fd, (struct sockaddr *)(void *)&there.sa, &there.len) == 0 &&
           here.sa.ss_family != AF_UNIX && here.len == there.len &&
           memcmp(&here.sa, &there.sa, here.len) == 0;
}

/* The socket is connected. */
static void dial_connected(struct dial *dial)
{
    if (met_itself(dial->fd)) {
        dial_next(dial, value_errno_text(ECONNREFUSED));
    } else {
        dial_finish(dial, dial->fd, NULL);
    }
}

/* Connecting has come to an end, good or bad. */
static void dial_conclude(struct dial *dial, int status)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0 && status < 0) {
        error = -status;
    }
    if (error != 0) {
        dial_next(dial, value_errno_text(error));
    } else {
        dial_connected(dial);
    }
}

static void on_connected(uv_poll_t *poll, int status, int events)
{
    (void)events;
    dial_conclude(poll->data, status);
}

/* A target on the same machine has answered by now, which saves the way through the loop. */
static bool is_connected(const struct dial *dial)
{
    struct pollfd pfd = {.fd = dial->fd, .events = POLLOUT};

    return poll(&pfd, 1, 0) > 0;
}

/* The address gets an equal share of the time that is left. */
static void start_share(struct dial *dial)
{
    uint64_t now = uv_now(dial->loop);
    uint64_t left = dial->deadline_ms > now ? dial->deadline_ms - now : 0;

    uv_timer_start(&dial->timer, on_timer, left / (dial->found->n - dial->at) + 1, 0);
}

static void wait_connected(struct dial *dial)
{
    int error = uv_poll_init(dial->loop, &dial->poll, dial->fd);

    if (error != 0) {
        dial_next(dial, uv_strerror(error));
        return;
    }
    dial->poll.data = dial;
    dial->polling = true;
    dial->open_handles++;
    uv_poll_start(&dial->poll, UV_WRITABLE, on_connected);
    start_share(dial);
}

/* The backlog of a Unix socket is full: its kernel says EAGAIN, and tells nothing later. */
static void wait_busy(struct dial *dial)
{
    close(dial->fd);
    dial->fd = -1;
    if (uv_now(dial->loop) >= dial->deadline_ms) {
        dial_next(dial, "the listener's backlog is full");
    } else {
        uv_timer_start(&dial->timer, on_timer, BUSY_RETRY_MS, 0);
    }
}

static void dial_try(struct dial *dial)
{
    const struct endpoint_address *to = &dial->found->items[dial->at];
    int result;

    if (dial->at >= dial->found->n) {
        dial_finish(dial, -1, dial->error);
        return;
    }
    dial->fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0) {
        dial_next(dial, value_errno_text(errno));
        return;
    }
    if (dial->prepare != NULL) {
        dial->prepare(dial->arg, dial->fd);
    }
    do {
        result = connect(dial->fd, (const struct sockaddr *)(const void *)&to->sa, to->len);
    } while (result != 0 && errno == EINTR);
    if (result == 0) {
        dial_connected(dial);
    } else if (errno == EINPROGRESS && is_connected(dial)) {
        dial_conclude(dial, 0);
    } else if (errno == EINPROGRESS) {
        wait_connected(dial);
    } else if (errno == EAGAIN && to->sa.ss_family == AF_UNIX) {
        wait_busy(dial);
    } else {
        dial_next(dial, value_errno_text(errno));
    }
}

/* NOLINTEND(misc-no-recursion) */

/* --- starting ---------------------------------------------------------------------------- */

static void on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *found)
{
    struct dial *dial = resolver->data;

    dial->resolving = false;
    if (status == 0) {
        address_list_add(dial->found, found);
        uv_freeaddrinfo(found);
    }
    if (dial->done == NULL) {
        dial_free_if_idle(dial);
    } else if (status != 0) {
        dial_finish(dial, -1, uv_strerror(status));
    } else {
        dial_try(dial);
    }
}

static void dial_resolve(struct dial *dial)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG};
    char service[8];
    int error;

    snprintf(service, sizeof(service), "%u", dial->address.port);
    dial->resolver.data = dial;
    dial->resolving = true;
    error = uv_getaddrinfo(dial->loop, &dial->resolver, on_resolved, dial->address.host, service,
                           &hints);
    if (error != 0) {
        dial->resolving = false;
        dial->error = uv_strerror(error);
        uv_timer_start(&dial->timer, on_timer, 0, 0);
    } else {
        uv_timer_start(&dial->timer, on_timer, dial->timeout_ms, 0);
    }
}

static void dial_begin(struct dial *dial)
{
    dial->deadline_ms = uv_now(dial->loop) + dial->timeout_ms;
    dial->found = calloc(1, sizeof(*dial->found));
    if (dial->found == NULL) {
        dial_finish(dial, -1, "out of memory");
    } else if (address_resolve_now(&dial->address, false, dial->found)) {
        dial_try(dial);
    } else {
        dial_resolve(dial);
    }
}

struct dial *dial_start(struct dial_queue *queue, struct dial_line *line,
                        const struct address *address, uint32_t timeout_ms,
                        void (*prepare)(void *arg, int fd), dial_done done, void *arg)
{
    struct dial *dial = calloc(1, sizeof(*dial));

    if (dial == NULL) {
        return NULL;
    }
    dial->queue = queue;
    dial->line = line != NULL ? line : &queue->own;
    dial->loop = queue->begin.loop;
    dial->address = *address;
    dial->timeout_ms = timeout_ms;
    dial->prepare = prepare;
    dial->done = done;
    dial->arg = arg;
    dial->fd = -1;
    dial->error = "no address found";
    uv_timer_init(dial->loop, &dial->timer);
    dial->timer.data = dial;
    dial->open_handles++;
    queue->bytes += sizeof(*dial);
    line_push(dial->line, dial);
    queue_run(queue); /* from the loop, so that `done` never comes before this has returned */
    return dial;
}
