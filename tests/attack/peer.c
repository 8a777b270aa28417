#include "peer.h"

#include <smux/transport.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIDE_ID UINT32_C(0xfffffff1)

enum {
    FIRST_OF_CLIENT = 3,
    FIRST_OF_SERVER = 2,
    CONNECT_MS = 5000,
    TURN_MS = 20,            /* longest wait before the clock is looked at again */
    ENOUGH = 32 << 10,       /* bytes worth a system call */
    SEND_BUFFER = 256 << 10, /* of the kernel, so that what is done now reaches the victim soon */
    PATIENCE_US = 2000000,   /* until something that must come is missed */
    SIDE_SIZE = 16,          /* bytes of a message */
    SIDE_PAUSE_US = 1000,
    SIDE_CREDIT = 1 << 17 /* payload until the next window update */
};

void peer_blame(struct peer *peer, const char *format, ...)
{
    if (peer->fault[0] != '\0') {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(peer->fault, sizeof peer->fault, format, args);
    va_end(args);
}

bool peer_live(const struct peer *peer)
{
    return !peer->closed && smux_now_us() < peer->until_us;
}

static void start(struct peer *peer, uint32_t own_id, uint32_t side_id)
{
    int size = SEND_BUFFER;
    int on = 1;
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peer->own_id = own_id;
    if (peer->side.on && peer_open(peer, side_id, 'E')) {
        peer->side.id = side_id;
    }
}

bool peer_connect(struct peer *peer)
{
    if (smux_dial(peer->address, CONNECT_MS, &peer->fd) != SMUX_OK) {
        return false;
    }
    start(peer, FIRST_OF_CLIENT, SIDE_ID);
    return true;
}

bool peer_accept(struct peer *peer, int listener)
{
    peer->serves = true;
    while (peer_live(peer)) {
        if (smux_accept_fd(listener, TURN_MS, &peer->fd) == SMUX_OK) {
            start(peer, FIRST_OF_SERVER, FIRST_OF_CLIENT + 2 * (PEER_OFFERED - 1));
            return true;
        }
    }
    return false;
}

void peer_reset(int fd)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

void peer_close(struct peer *peer)
{
    if (peer->fd >= 0) {
        peer_reset(peer->fd);
    }
    bytes_free(&peer->out);
    bytes_free(&peer->in);
}

/* --- the stream beside ------------------------------------------------------------------ */

static void side_send(struct peer *peer)
{
    static const uint8_t message[SIDE_SIZE] = "beside an attack";
    struct peer_side *side = &peer->side;
    if (side->id == 0 || side->waits || smux_now_us() < side->sent_us + SIDE_PAUSE_US) {
        return;
    }
    uint8_t *room = bytes_room(&peer->out, FRAME_HEADER + SIDE_SIZE);
    put_psh(room, peer->version, side->id, message, SIDE_SIZE);
    side->sent_us = smux_now_us();
    side->waits = true;
    side->got = 0;
}

static void side_receive(struct peer *peer, uint32_t len)
{
    struct peer_side *side = &peer->side;
    side->got += len;
    if (side->got >= SIDE_SIZE) {
        uint64_t took_us = smux_now_us() - side->sent_us;
        side->rounds++;
        side->worst_us = took_us > side->worst_us ? took_us : side->worst_us;
        side->waits = false;
    }
    if (side->consumed / SIDE_CREDIT != (side->consumed + len) / SIDE_CREDIT &&
        peer->version == 2) {
        put_upd(bytes_room(&peer->out, FRAME_UPD), 2, side->id, side->consumed + len, 262144);
    }
    side->consumed += len;
}

/* --- input and output ------------------------------------------------------------------- */

static void take_frame(struct peer *peer, const struct frame *frame)
{
    const char *why = frame_fault(frame, peer->version);
    if (why != NULL) {
        peer_blame(peer, "%s for stream %u", why, (unsigned)frame->id);
        return;
    }
    peer->frames[frame->cmd]++;
    if (frame->cmd == CMD_FIN) {
        peer->last_fin = frame->id;
    }
    if (frame->cmd == CMD_SYN) {
        peer->last_syn = frame->id;
    }
    if (frame->cmd == CMD_PSH && frame->id == peer->side.id) {
        side_receive(peer, frame->len);
    } else if (frame->cmd == CMD_PSH) {
        peer->payload += frame->len;
    }
}

static void read_some(struct peer *peer)
{
    uint8_t buf[65536];
    struct frame frame;
    ssize_t n = recv(peer->fd, buf, sizeof buf, 0);
    if (n <= 0) {
        peer->closed = n == 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
    peer->received += (uint64_t)n;
    bytes_put(&peer->in, buf, (size_t)n);
    for (;;) {
        size_t size = frame_next(bytes_head(&peer->in), bytes_len(&peer->in), &frame);
        if (size == 0) {
            return;
        }
        take_frame(peer, &frame);
        bytes_drop(&peer->in, size);
    }
}

static void write_some(struct peer *peer)
{
    ssize_t n = send(peer->fd, bytes_head(&peer->out), bytes_len(&peer->out), MSG_NOSIGNAL);
    if (n >= 0) {
        peer->sent += (uint64_t)n;
        bytes_drop(&peer->out, (size_t)n);
    } else if (errno != EAGAIN && errno != EINTR) {
        peer->closed = true;
    }
}

/** Moves what can be moved, waiting at most `ms` for that. */
static void turn(struct peer *peer, int ms)
{
    struct pollfd p = {.fd = peer->fd, .events = POLLRDHUP};
    p.events = (short)(p.events | (peer->deaf ? 0 : POLLIN));
    p.events = (short)(p.events | (bytes_len(&peer->out) > 0 ? POLLOUT : 0));
    if (poll(&p, 1, ms) <= 0) {
        return;
    }
    if (peer->deaf && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
        peer->closed = true;
        return;
    }
    if (!peer->deaf && (p.revents & ~POLLOUT) != 0) {
        read_some(peer);
    }
    if (!peer->closed && (p.revents & POLLOUT) != 0) {
        write_some(peer);
    }
}

bool peer_flush(struct peer *peer)
{
    side_send(peer);
    while (bytes_len(&peer->out) > 0 && peer_live(peer)) {
        turn(peer, TURN_MS);
    }
    return peer_live(peer);
}

bool peer_wait(struct peer *peer, uint32_t ms)
{
    uint64_t until_us = smux_now_us() + (uint64_t)ms * 1000;
    while (peer_flush(peer) && smux_now_us() < until_us) {
        turn(peer, (int)(ms < TURN_MS ? ms : peer->side.on ? 1 : TURN_MS));
    }
    return peer_live(peer);
}

bool peer_await_payload(struct peer *peer, uint64_t total)
{
    uint64_t seen = peer->payload;
    uint64_t since_us = smux_now_us();
    while (peer->payload < total && peer_flush(peer)) {
        turn(peer, 1);
        if (peer->payload != seen) {
            seen = peer->payload;
            since_us = smux_now_us();
        } else if (smux_now_us() - since_us > PATIENCE_US) {
            peer_blame(peer, "%llu of %llu bytes came", (unsigned long long)seen,
                       (unsigned long long)total);
            return false;
        }
    }
    return peer_live(peer);
}

/* --- frames ------------------------------------------------------------------------------ */

static bool queued(struct peer *peer)
{
    return bytes_len(&peer->out) < ENOUGH ? !peer->closed : peer_flush(peer);
}

bool peer_header(struct peer *peer, unsigned cmd, unsigned len, uint32_t id)
{
    put_header(bytes_room(&peer->out, FRAME_HEADER), peer->version, cmd, len, id);
    return queued(peer);
}

bool peer_syn(struct peer *peer, uint32_t id)
{
    return peer_header(peer, CMD_SYN, 0, id);
}

bool peer_fin(struct peer *peer, uint32_t id)
{
    return peer_header(peer, CMD_FIN, 0, id);
}

bool peer_nop(struct peer *peer)
{
    return peer_header(peer, CMD_NOP, 0, 0);
}

bool peer_upd(struct peer *peer, uint32_t id, uint32_t consumed, uint32_t window)
{
    put_upd(bytes_room(&peer->out, FRAME_UPD), peer->version, id, consumed, window);
    return queued(peer);
}

bool peer_psh(struct peer *peer, uint32_t id, size_t len)
{
    static const uint8_t payload[65535];
    put_psh(bytes_room(&peer->out, FRAME_HEADER + len), peer->version, id, payload, len);
    return queued(peer);
}

bool peer_bytes(struct peer *peer, const void *data, size_t len)
{
    bytes_put(&peer->out, data, len);
    return queued(peer);
}

bool peer_say(struct peer *peer, uint32_t id, char what)
{
    put_psh(bytes_room(&peer->out, FRAME_HEADER + 1), peer->version, id, &what, 1);
    return queued(peer);
}

/** Reads, although the script may be deaf to what follows, until the victim has opened a stream. */
static bool await_syn(struct peer *peer, uint32_t id)
{
    bool deaf = peer->deaf;
    peer->deaf = false;
    while (peer->last_syn < id && peer_flush(peer)) {
        turn(peer, TURN_MS);
    }
    peer->deaf = deaf;
    return peer->last_syn >= id;
}

bool peer_begin(struct peer *peer, uint32_t id)
{
    return peer->serves ? await_syn(peer, id) : peer_syn(peer, id);
}

bool peer_open(struct peer *peer, uint32_t id, char what)
{
    return peer_begin(peer, id) && peer_say(peer, id, what);
}
