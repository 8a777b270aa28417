#include "bench_loop.h"

#include <unistd.h>

static void on_ready(smux_conn *conn, void *user)
{
    struct bench_loop *loop = user;
    smux_estream *stream;
    unsigned events;

    (void)conn;
    while (smux_engine_accept(loop->engine, &stream) == SMUX_OK) {
        loop->serve(loop->user, stream);
    }
    while ((stream = smux_engine_next_ready(loop->engine, &events)) != NULL) {
        loop->serve(loop->user, stream);
    }
}

static void on_closed(smux_conn *conn, void *user)
{
    struct bench_loop *loop = user;

    (void)conn;
    loop->over = true;
}

static int join(struct bench_loop *loop, enum smux_role role, struct smux_transport *transport,
                const struct smux_config *config, size_t user_size)
{
    const struct smux_conn_events events = {.ready = on_ready, .closed = on_closed};
    int status = smux_conn_new(role, transport, config, user_size, &events, loop, &loop->conn);

    if (status != SMUX_OK) {
        smux_transport_close(transport);
        return status;
    }
    loop->engine = smux_conn_engine(loop->conn);
    return smux_poll_attach(loop->poll, loop->conn);
}

int loop_open(struct bench_loop *loop, enum smux_role role, int fd,
              const struct smux_config *config, size_t user_size)
{
    struct smux_transport transport;
    int status;

    *loop = (struct bench_loop){.poll = NULL};
    status = smux_transport_fd(fd, fd, &transport);
    if (status != SMUX_OK) {
        close(fd);
        return status;
    }
    status = smux_poll_new(&loop->poll);
    if (status != SMUX_OK) {
        smux_transport_close(&transport);
        return status;
    }
    status = join(loop, role, &transport, config, user_size);
    if (status != SMUX_OK) {
        loop_close(loop);
    }
    return status;
}

int loop_turn(struct bench_loop *loop, uint64_t until_us)
{
    int status = loop->over ? SMUX_OK : smux_poll_run_once(loop->poll, until_us);

    if (loop->over) {
        return smux_engine_error(loop->engine);
    }
    return status == SMUX_EDEADLINE ? SMUX_OK : status;
}

void loop_close(struct bench_loop *loop)
{
    smux_conn_free(loop->conn);
    smux_poll_free(loop->poll);
    loop->conn = NULL;
    loop->poll = NULL;
}

int loop_drain(smux_engine *engine, smux_estream *stream, uint64_t *len)
{
    struct smux_iov iov[16];
    int n = 0;
    int status;

    while ((status = smux_estream_peek(engine, stream, iov, 16, &n)) == SMUX_OK) {
        size_t sum = 0;
        for (int i = 0; i < n; i++) {
            sum += iov[i].len;
        }
        smux_estream_consume(engine, stream, sum);
        *len += sum;
    }
    return status;
}

void loop_close_stream(smux_engine *engine, smux_estream *stream)
{
    size_t kept;

    if (smux_estream_lent(engine, stream) > 0) {
        (void)smux_estream_reclaim(engine, stream, &kept);
    }
    smux_estream_close(engine, stream);
}
