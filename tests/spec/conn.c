#include "conn.h"

#include "sabotage.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"

enum {
    READ_SIZE = 128 << 10,
    CONNECT_MS = 3000,     /**< a server may need a moment until it listens */
    CREDIT_STEP = 32 << 10 /**< payload that is credited at a time */
};

uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

static void *grow(void *memory, size_t size)
{
    void *grown = realloc(memory, size);

    if (grown == NULL) {
        abort();
    }
    return grown;
}

/* --- making ---------------------------------------------------------------------------------- */

/** Tells whether a connection that a client made is too old: it has given up, or has been
 *  sending for long. One NOP is how a client may greet [VER-3]. */
static bool is_stale(int fd)
{
    uint8_t bytes[FRAME_HEADER + 1];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || n > FRAME_HEADER || (n < 0 && errno != EAGAIN);
}

static int take_connection(const struct spec_run *run)
{
    uint64_t until = clock_us() + run->patience_ms * UINT64_C(1000);

    for (;;) {
        int fd = address_accept(run->listen_fd, until);

        if (fd < 0 || !is_stale(fd)) {
            return fd;
        }
        close(fd);
    }
}

struct conn *conn_open(struct spec_test *test)
{
    const struct spec_run *run = test->run;
    struct conn *c = calloc(1, sizeof *c);
    int one = 1;

    if (c == NULL || test->n_conns == SPEC_CONNS) {
        abort();
    }
    c->test = test;
    c->run = run;
    c->version = run->version;
    test->conns[test->n_conns++] = c;
    c->fd = run->listen_fd < 0 ? address_connect(run->address, CONNECT_MS) : take_connection(run);
    expect(c, c->fd >= 0, "no connection: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->since_us = clock_us();
    return c;
}

void conn_free(struct conn *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    for (size_t i = 0; i < c->n_streams; i++) {
        free(c->streams[i]->data);
        free(c->streams[i]);
    }
    free(c->streams);
    free(c->in);
    free(c);
}

struct stream *stream_of(struct conn *c, uint32_t id)
{
    struct stream *s;

    for (size_t i = c->n_streams; i > 0; i--) {
        if (c->streams[i - 1]->id == id) {
            return c->streams[i - 1];
        }
    }
    s = grow(NULL, sizeof *s);
    memset(s, 0, sizeof *s);
    s->id = id;
    s->window = FIRST_WINDOW;
    c->streams = grow(c->streams, (c->n_streams + 1) * sizeof(struct stream *));
    c->streams[c->n_streams++] = s;
    return s;
}

/* --- receiving ------------------------------------------------------------------------------- */

/** Gives back the window of what arrived, as a reader that keeps up would. */
static void credit(struct conn *c, struct stream *s)
{
    if (c->version == 2 && !s->withhold && s->fins == 0 && s->got - s->credited >= CREDIT_STEP) {
        s->credited = s->got;
        send_upd(c, s->id, (uint32_t)s->got, FIRST_WINDOW);
    }
}

static void book_psh(struct conn *c, struct stream *s, const struct frame *f)
{
    if (s->got + f->len > s->room) {
        s->room = 2 * s->room + f->len;
        s->data = grow(s->data, s->room);
    }
    memcpy(s->data + s->got, f->payload, f->len);
    s->got += f->len;
    s->pshs++;
    s->ones += f->len == 1;
    s->last = f->len;
    s->psh_at_us = clock_us();
    credit(c, s);
}

static void book_upd(struct stream *s, const struct frame *f)
{
    uint32_t step = f->consumed - s->consumed;

    s->backwards = s->backwards || f->consumed < s->consumed || f->consumed > s->sent;
    s->step = step > s->step ? step : s->step;
    s->consumed = f->consumed;
    s->window = f->window;
    s->upds++;
}

static void book_trace(struct stream *s, unsigned cmd)
{
    char letter = "SFPNU"[cmd];
    size_t len = strlen(s->trace);

    if (len + 1 < sizeof s->trace && (len == 0 || s->trace[len - 1] != letter || letter == 'F')) {
        s->trace[len] = letter;
    }
}

void conn_book(struct conn *c, const struct frame *f)
{
    const char *wrong = frame_fault(f, c->version);
    struct stream *s;

    expect(c, wrong == NULL, "malformed frame: version %u, command %u, length %u, stream %u: %s",
           f->version, f->cmd, f->len, (unsigned)f->id, wrong);
    if (f->payload != NULL) {
        memcpy(c->raw[f->cmd], f->payload - FRAME_HEADER, FRAME_HEADER + (f->len < 8 ? f->len : 8));
    }
    if (f->cmd == CMD_NOP) {
        c->nops++;
        return;
    }
    s = stream_of(c, f->id);
    s->frames++;
    book_trace(s, f->cmd);
    switch (f->cmd) {
    case CMD_SYN:
        s->syns++;
        break;
    case CMD_FIN:
        s->fin_at_us = s->fins == 0 ? clock_us() : s->fin_at_us;
        s->fins++;
        break;
    case CMD_PSH:
        book_psh(c, s, f);
        break;
    default:
        book_upd(s, f);
    }
}

/** Takes the frames that are complete. */
static void take_frames(struct conn *c)
{
    struct frame f;
    size_t at = 0;
    size_t size;

    while ((size = frame_next(c->in + at, c->in_len - at, &f)) > 0) {
        at += size;
        sabotage_frame(c, &f);
    }
    if (at > 0) {
        c->in_len -= at;
        memmove(c->in, c->in + at, c->in_len);
    }
}

/** Reads what is there; false when nothing was. */
static bool read_some(struct conn *c)
{
    ssize_t n;

    if (c->in_room < c->in_len + READ_SIZE) {
        c->in_room = c->in_len + READ_SIZE;
        c->in = grow(c->in, c->in_room);
    }
    n = recv(c->fd, c->in + c->in_len, READ_SIZE, MSG_DONTWAIT);
    if (n > 0) {
        c->in_len += (size_t)n;
        take_frames(c);
        return true;
    }
    if (n == 0 || errno != EAGAIN) {
        c->error = n == 0 ? 0 : errno;
        sabotage_end(c);
    }
    return n == 0;
}

/** Waits until the descriptor is ready, at most until then. */
static short await_ready(int fd, short events, uint64_t until_us)
{
    struct pollfd p = {fd, events, 0};
    uint64_t now = clock_us();
    int ms = now < until_us ? (int)((until_us - now + 999) / 1000) : 0;

    return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

bool conn_receive(struct conn *c, uint64_t until_us)
{
    return !c->ended && !c->deaf && await_ready(c->fd, POLLIN, until_us) != 0 && read_some(c);
}

void conn_idle(struct conn *c, unsigned ms)
{
    uint64_t until = clock_us() + ms * UINT64_C(1000);

    if (c->deaf) {
        poll(NULL, 0, (int)ms);
    }
    while (conn_receive(c, until)) {
    }
}

/* --- sending --------------------------------------------------------------------------------- */

size_t conn_offer(struct conn *c, const void *data, size_t len, unsigned ms)
{
    uint64_t until = clock_us() + ms * UINT64_C(1000);
    size_t at = 0;

    while (at < len && clock_us() < until) {
        ssize_t n = send(c->fd, (const char *)data + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            at += (size_t)n;
        } else if (errno != EAGAIN) {
            break;
        } else if ((await_ready(c->fd, c->deaf ? POLLOUT : POLLOUT | POLLIN, until) & POLLIN) !=
                   0) {
            if (!read_some(c)) {
                break;
            }
        }
    }
    return at;
}

void conn_send(struct conn *c, const void *data, size_t len)
{
    size_t n = conn_offer(c, data, len, c->run->patience_ms);

    expect(c, n == len || c->ended || errno == EPIPE || errno == ECONNRESET,
           "the subject takes no more: %zu of %zu bytes were sent", n, len);
}

void send_header(struct conn *c, unsigned version, unsigned cmd, unsigned len, uint32_t id)
{
    uint8_t buf[FRAME_HEADER];

    if (!sabotage_hides(c, version, cmd, len)) {
        conn_send(c, buf, put_header(buf, version, cmd, len, id));
    }
}

void send_syn(struct conn *c, uint32_t id)
{
    send_header(c, c->version, CMD_SYN, 0, id);
}

void send_fin(struct conn *c, uint32_t id)
{
    send_header(c, c->version, CMD_FIN, 0, id);
}

void send_nop(struct conn *c)
{
    send_header(c, c->version, CMD_NOP, 0, 0);
}

void send_upd(struct conn *c, uint32_t id, uint32_t consumed, uint32_t window)
{
    uint8_t buf[FRAME_UPD];

    conn_send(c, buf, put_upd(buf, c->version, id, consumed, window));
}

static void send_payload(struct conn *c, uint32_t id, const void *data, size_t len)
{
    uint8_t buf[FRAME_MAX];

    stream_of(c, id)->sent += len;
    conn_send(c, buf, put_psh(buf, c->version, id, data, len));
}

void send_psh(struct conn *c, uint32_t id, size_t len)
{
    uint64_t from = stream_of(c, id)->sent;
    uint8_t data[65535];

    for (size_t i = 0; i < len; i++) {
        data[i] = pattern_byte(id, from + i);
    }
    send_payload(c, id, data, len);
}

void send_text(struct conn *c, uint32_t id, const char *text)
{
    send_payload(c, id, text, strlen(text));
}

void conn_shut(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

void conn_reset(struct conn *c)
{
    const struct linger at_once = {1, 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(c->fd);
    c->fd = -1;
    c->ended = true;
}

/* --- streams --------------------------------------------------------------------------------- */

uint8_t pattern_byte(uint32_t id, uint64_t at)
{
    return (uint8_t)(0x80 | (id ^ at ^ at >> 8 ^ at >> 16));
}

uint32_t our_id(const struct conn *c, uint32_t i)
{
    return 2 * i + (c->run->listen_fd < 0 ? 1 : 0);
}

uint32_t their_id(const struct conn *c, uint32_t i)
{
    return 2 * i + (c->run->listen_fd < 0 ? 0 : 1);
}

struct stream *fresh_stream(struct conn *c)
{
    c->taken++;
    return stream_of(c, our_id(c, c->taken));
}

struct stream *open_stream(struct conn *c)
{
    struct stream *s = fresh_stream(c);

    send_syn(c, s->id);
    return s;
}
