#define _GNU_SOURCE 1

#include "ends.h"

#include "flow.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 5000

/** What a stream of a caller end has done so far. */
struct call {
    uint64_t sent;
    uint64_t received;
    bool shut;
};

/* --- links --------------------------------------------------------------------------------- */

void link_make_fds(enum link link, int out_fds[2][2])
{
    int a[2];
    int b[2];

    if (link == LINK_SOCKET) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
        out_fds[0][0] = out_fds[0][1] = a[0];
        out_fds[1][0] = out_fds[1][1] = a[1];
        return;
    }
    ck_assert_int_eq(pipe(a), 0);
    ck_assert_int_eq(pipe(b), 0);
    out_fds[0][0] = b[0];
    out_fds[0][1] = a[1];
    out_fds[1][0] = a[0];
    out_fds[1][1] = b[1];
}

void link_make(enum link link, struct smux_transport out[2])
{
    int fds[2][2];

    if (link == LINK_PAIR) {
        ck_assert_int_eq(smux_transport_pair(1000, out), SMUX_OK);
        return;
    }
    link_make_fds(link, fds);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(smux_transport_fd(fds[i][0], fds[i][1], &out[i]), SMUX_OK);
    }
}

/* --- echo ---------------------------------------------------------------------------------- */

/** Ends a stream on our side and counts how it went. */
static void end_close_stream(struct end *end, smux_estream *stream, bool complete)
{
    smux_estream_close(smux_conn_engine(end->conn), stream);
    end->complete += complete ? 1 : 0;
    end->failed += complete ? 0 : 1;
}

/** Sends back what can be read. Returns the status of the first call that did not succeed. */
static int echo_once(struct end *end, smux_estream *stream)
{
    smux_engine *engine = smux_conn_engine(end->conn);
    struct smux_iov iov;
    size_t len = 0;
    int n;

    int status = smux_estream_peek(engine, stream, &iov, 1, &n);
    if (status != SMUX_OK) {
        return status;
    }
    status = smux_estream_write(engine, stream, iov.base, iov.len, &len);
    if (status == SMUX_ENOMEM) {
        return status; /* what was read must not be missing in the middle */
    }
    if (status != SMUX_OK && status != SMUX_EAGAIN) {
        end->dropped = true;
        len = iov.len; /* no way back any more; what arrived is still read */
        status = SMUX_OK;
    }
    if (status == SMUX_OK) {
        smux_estream_consume(engine, stream, len);
        end->received += len;
    }
    return status;
}

static void echo_pump(struct end *end, smux_estream *stream)
{
    int status;

    do {
        status = echo_once(end, stream);
    } while (status == SMUX_OK);
    if (status != SMUX_EAGAIN) {
        end_close_stream(end, stream, status == SMUX_EOF);
    }
}

static void echo_ready(smux_conn *conn, void *user)
{
    struct end *end = user;
    smux_engine *engine = smux_conn_engine(conn);
    smux_estream *stream;
    unsigned events;

    end->turns++;
    while (smux_engine_accept(engine, &stream) == SMUX_OK) {
        end->accepted++;
        echo_pump(end, stream);
    }
    while ((stream = smux_engine_next_ready(engine, &events)) != NULL) {
        echo_pump(end, stream);
    }
}

/* --- calling ------------------------------------------------------------------------------- */

static uint64_t call_key(const smux_estream *stream)
{
    return flow_key(1, smux_estream_id(stream), 0);
}

static void call_write(struct end *end, smux_estream *stream, struct call *call)
{
    smux_engine *engine = smux_conn_engine(end->conn);
    unsigned char piece[PIECE];
    int status = SMUX_OK;

    while (call->sent < end->to_send && status == SMUX_OK) {
        size_t len = rng_between(&end->rng, 1, PIECE);
        size_t taken = 0;
        if (len > end->to_send - call->sent) {
            len = (size_t)(end->to_send - call->sent);
        }
        flow_fill(call_key(stream), call->sent, piece, len);
        status = smux_estream_write(engine, stream, piece, len, &taken);
        call->sent += taken;
    }
    if (call->sent == end->to_send && !call->shut) {
        call->shut = true;
        (void)smux_estream_shutdown(engine, stream);
    }
}

static int call_read(struct end *end, smux_estream *stream, struct call *call)
{
    unsigned char piece[PIECE];
    size_t len;
    int status;

    for (;;) {
        len = 0;
        status = smux_estream_read(smux_conn_engine(end->conn), stream, piece,
                                   rng_between(&end->rng, 1, PIECE), &len);
        if (status != SMUX_OK) {
            return status;
        }
        if (flow_check(call_key(stream), call->received, piece, len) != len) {
            end->wrong = true;
        }
        call->received += len;
        end->received += len;
    }
}

static void call_pump(struct end *end, smux_estream *stream)
{
    struct call *call = smux_estream_user(stream);

    call_write(end, stream, call);
    int status = call_read(end, stream, call);
    if (status != SMUX_EAGAIN) {
        bool whole = call->received == end->to_send;
        end->wrong = end->wrong || call->received > end->to_send;
        end->cut += status == SMUX_EOF && !whole ? 1 : 0;
        end_close_stream(end, stream, status == SMUX_EOF && whole);
    }
}

static void call_ready(smux_conn *conn, void *user)
{
    struct end *end = user;
    smux_estream *stream;
    unsigned events;

    end->turns++;
    while ((stream = smux_engine_next_ready(smux_conn_engine(conn), &events)) != NULL) {
        call_pump(end, stream);
    }
}

int end_call(struct end *end)
{
    smux_estream *stream;

    int status = smux_engine_open(smux_conn_engine(end->conn), &stream);
    if (status == SMUX_OK) {
        call_pump(end, stream);
        smux_conn_flush(end->conn);
    }
    return status;
}

/* --- both ---------------------------------------------------------------------------------- */

static void end_closed(smux_conn *conn, void *user)
{
    struct end *end = user;
    smux_engine *engine = smux_conn_engine(conn);

    ck_assert_msg(end->status == SMUX_OK, "closed was called twice");
    end->status = smux_engine_error(engine);
    (void)snprintf(end->text, sizeof end->text, "%s", smux_engine_error_text(engine));
    if (!end->keep) {
        end_free(end);
    }
}

static int end_init(struct end *end, enum smux_role role, const struct smux_transport *transport,
                    const struct smux_config *config, void (*ready)(smux_conn *conn, void *user))
{
    struct smux_conn_events events = {.ready = ready, .closed = end_closed};

    *end = (struct end){0};
    rng_seed(&end->rng, 3);
    return smux_conn_new(role, transport, config, sizeof(struct call), &events, end, &end->conn);
}

int end_init_echo(struct end *end, enum smux_role role, const struct smux_transport *transport,
                  const struct smux_config *config)
{
    return end_init(end, role, transport, config, echo_ready);
}

int end_init_caller(struct end *end, enum smux_role role, const struct smux_transport *transport,
                    const struct smux_config *config)
{
    return end_init(end, role, transport, config, call_ready);
}

void end_free(struct end *end)
{
    smux_conn *conn = end->conn;

    end->conn = NULL;
    smux_conn_free(conn);
}
