#define _GNU_SOURCE 1

#include "exchange.h"

#include "flow.h"

#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct ends ends;
unsigned patience_ms;

static bool (*exchange_explains)(void);
static atomic_bool far_failed; /* the server's end of a stream told of an error */
static atomic_bool gave_up;    /* somebody on a busy machine, which the others meet as any error */

void exchange_begin(unsigned patience, bool (*explains)(void))
{
    patience_ms = patience;
    exchange_explains = explains;
    atomic_store(&gave_up, false);
}

bool excused(int status)
{
    if (status == SMUX_EDEADLINE && patience_ms == PATIENCE_MS) {
        atomic_store(&gave_up, true);
    }
    return exchange_explains() || atomic_load(&gave_up);
}

bool fine(int status)
{
    ck_assert_msg(status == SMUX_OK || excused(status), "%s", smux_strerror(status));
    return status == SMUX_OK;
}

/* --- ends -------------------------------------------------------------------------------- */

static bool make_transport(int fd, struct smux_transport *out)
{
    if (!fine(smux_transport_fd(fd, fd, out))) {
        close(fd);
        out->ops = NULL;
        return false;
    }
    return true;
}

static bool make_wire(enum wire wire, struct smux_transport out[2])
{
    int fds[2];

    out[0].ops = out[1].ops = NULL;
    if (wire == WIRE_PIPES) {
        wire_make(wire, out);
        return true;
    }
    if (wire == WIRE_MEMORY) {
        return fine(smux_transport_pair(65536, out));
    }
    if (wire == WIRE_TCP) {
        wire_tcp(fds);
    } else {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    }
    bool first = make_transport(fds[0], &out[0]);
    bool second = make_transport(fds[1], &out[1]);
    return first && second;
}

static smux_session *make_session(enum smux_role role, struct smux_transport *transport,
                                  const struct smux_config *config)
{
    smux_session *session = NULL;

    if (transport->ops != NULL && !fine(smux_session_new(role, transport, config, &session))) {
        smux_transport_close(transport);
    }
    return session;
}

static void close_end(smux_session *session)
{
    if (session != NULL && exchange_explains()) {
        smux_session_abort(session);
    }
    if (session != NULL) {
        int status = smux_session_close(session);
        ck_assert_msg(status == SMUX_OK || exchange_explains() || patience_ms == PATIENCE_MS, "%s",
                      smux_strerror(status));
    }
}

void close_ends(void)
{
    close_end(ends.client);
    close_end(ends.server);
}

void abort_ends(void)
{
    smux_session_abort(ends.client);
    smux_session_abort(ends.server);
    (void)smux_session_close(ends.client);
    (void)smux_session_close(ends.server);
}

bool open_ends(enum wire wire, const struct smux_config *config)
{
    struct smux_config own;
    struct smux_transport transports[2];

    smux_config_init(&own);
    own.fin_linger_ms = 5;
    own.drain_timeout_ms = 200;
    own = config != NULL ? *config : own;
    atomic_store(&far_failed, false);
    (void)make_wire(wire, transports);
    ends.client = make_session(SMUX_CLIENT, &transports[0], &own);
    ends.server = make_session(SMUX_SERVER, &transports[1], &own);
    if (ends.client != NULL && ends.server != NULL) {
        return true;
    }
    close_ends();
    return false;
}

/* --- streams ----------------------------------------------------------------------------- */

smux_stream *open_stream(void)
{
    smux_stream *stream;

    if (!fine(smux_session_open(ends.client, &stream))) {
        return NULL;
    }
    smux_stream_set_deadline(stream, in_ms(patience_ms));
    return stream;
}

static bool write_flow(smux_stream *stream, size_t len, size_t piece)
{
    uint8_t *buf = malloc(piece);
    size_t written = 0;
    bool good = true;

    for (size_t done = 0; done < len && good; done += written) {
        size_t n = len - done < piece ? len - done : piece;
        flow_fill(3, done, buf, n);
        good = fine(smux_stream_write(stream, buf, n, &written));
    }
    free(buf);
    return good;
}

/* Reads to the end and compares; returns how many bytes came, and how it ended. */
static size_t read_flow(smux_stream *stream, int *out_status)
{
    uint8_t buf[8000];
    size_t total = 0;
    size_t n;

    while ((*out_status = smux_stream_read(stream, buf, sizeof buf, &n)) == SMUX_OK) {
        ck_assert_uint_eq(flow_check(3, total, buf, n), n);
        total += n;
    }
    ck_assert_msg(*out_status == SMUX_EOF || excused(*out_status), "%s",
                  smux_strerror(*out_status));
    return total;
}

/* The server's thread: sends everything back. */
static void echo_one(void *arg)
{
    smux_stream *stream;
    uint8_t buf[8000];
    size_t n;
    int status;

    (void)arg;
    smux_session_set_accept_deadline(ends.server, in_ms(patience_ms));
    if (!fine(smux_session_accept(ends.server, &stream))) {
        atomic_store(&far_failed, true);
        return;
    }
    smux_stream_set_deadline(stream, in_ms(patience_ms));
    while ((status = smux_stream_read(stream, buf, sizeof buf, &n)) == SMUX_OK) {
        status = smux_stream_write(stream, buf, n, NULL);
        if (status != SMUX_OK) {
            break;
        }
    }
    if (status != SMUX_EOF || smux_stream_shutdown(stream) != SMUX_OK) {
        (void)fine(status == SMUX_EOF ? SMUX_EIO : status);
        atomic_store(&far_failed, true);
        smux_stream_abort(stream);
    }
    smux_stream_close(stream);
}

/* Sends `len` bytes through a stream and back. */
bool exchange(size_t len, size_t piece)
{
    struct task echo;
    int status = SMUX_OK;

    task_start(&echo, echo_one, NULL);
    smux_stream *stream = open_stream();
    size_t got = 0;
    bool written = stream != NULL && write_flow(stream, len, piece);
    if (written && fine(smux_stream_shutdown(stream))) {
        got = read_flow(stream, &status);
    } else {
        smux_session_abort(ends.client); /* lets the other side go */
    }
    task_join(&echo);
    ck_assert_msg(status != SMUX_EOF || got == len || atomic_load(&far_failed),
                  "%zu bytes of %zu look like all", got, len);
    if (stream != NULL) {
        smux_stream_close(stream);
    }
    return status == SMUX_EOF && got == len;
}
