/*
 * test_conn_sizes.c - how much a connection moves with one call of its transport.
 */
#include "ends.h"
#include "suite.h"

#include <string.h>

#define FRAME 32768u
#define LOAN  (4u << 20)

/* Passes everything on and notes the largest calls. */
struct meter {
    struct smux_transport below;
    size_t most_read;
    size_t most_offered;
};

static int meter_readv(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    struct meter *meter = ctx;
    int status = meter->below.ops->readv(meter->below.ctx, iov, n, out_len);

    if (status == SMUX_OK && *out_len > meter->most_read) {
        meter->most_read = *out_len;
    }
    return status;
}

static int meter_writev(void *ctx, const struct smux_iov *iov, int n, size_t *out_len)
{
    struct meter *meter = ctx;
    size_t offered = 0;

    for (int i = 0; i < n; i++) {
        offered += iov[i].len;
    }
    if (offered > meter->most_offered) {
        meter->most_offered = offered;
    }
    return meter->below.ops->writev(meter->below.ctx, iov, n, out_len);
}

static void meter_shutdown(void *ctx)
{
    struct meter *meter = ctx;

    meter->below.ops->shutdown(meter->below.ctx);
}

static void meter_close(void *ctx)
{
    struct meter *meter = ctx;

    smux_transport_close(&meter->below);
}

static int meter_fd(void *ctx, enum smux_transport_event direction)
{
    struct meter *meter = ctx;

    return meter->below.ops->fd(meter->below.ctx, direction);
}

static const struct smux_transport_ops meter_ops = {
    .readv = meter_readv,
    .writev = meter_writev,
    .shutdown = meter_shutdown,
    .close = meter_close,
    .fd = meter_fd,
};

static char loan[LOAN];
/* How many bytes of it the other end has. */
static uint64_t taken;

static void take_all(smux_conn *conn, void *user)
{
    smux_engine *engine = smux_conn_engine(conn);
    smux_estream *stream;
    struct smux_iov iov;
    unsigned events;
    int n;

    (void)user;
    while (smux_engine_accept(engine, &stream) == SMUX_OK) {
    }
    while ((stream = smux_engine_next_ready(engine, &events)) != NULL) {
        while (smux_estream_peek(engine, stream, &iov, 1, &n) == SMUX_OK) {
            ck_assert_uint_le(taken + iov.len, LOAN);
            ck_assert_mem_eq(iov.base, loan + taken, iov.len);
            taken += iov.len;
            smux_estream_consume(engine, stream, iov.len);
        }
    }
}

static smux_conn *start(smux_poll *poll, enum smux_role role, struct meter *meter, unsigned version)
{
    const struct smux_conn_events events = {.ready = role == SMUX_SERVER ? take_all : NULL};
    const struct smux_transport transport = {&meter_ops, meter};
    struct smux_config config;
    smux_conn *conn;

    smux_config_init(&config);
    config.version = version;
    config.max_frame_size = FRAME;
    ck_assert_int_eq(smux_conn_new(role, &transport, &config, 0, &events, NULL, &conn), SMUX_OK);
    ck_assert_int_eq(smux_poll_attach(poll, conn), SMUX_OK);
    return conn;
}

START_TEST(bulk_moves_several_frames_with_each_call)
{
    struct smux_transport links[2];
    struct meter meters[2];
    smux_estream *stream;
    smux_poll *poll;

    for (size_t i = 0; i < LOAN; i++) {
        loan[i] = (char)(i % 251);
    }
    taken = 0;
    link_make(LINK_SOCKET, links);
    for (int i = 0; i < 2; i++) {
        meters[i] = (struct meter){.below = links[i]};
    }
    ck_assert_int_eq(smux_poll_new(&poll), SMUX_OK);
    smux_conn *client = start(poll, SMUX_CLIENT, &meters[0], (unsigned)_i);
    smux_conn *server = start(poll, SMUX_SERVER, &meters[1], (unsigned)_i);
    ck_assert_int_eq(smux_engine_open(smux_conn_engine(client), &stream), SMUX_OK);
    ck_assert_int_eq(smux_estream_lend(smux_conn_engine(client), stream, loan, LOAN), SMUX_OK);
    smux_conn_flush(client);
    while (taken < LOAN) {
        ck_assert_int_eq(smux_poll_run_once(poll, smux_now_us() + 5000000), SMUX_OK);
    }
    /* As much as a socket holds is not offered at once: the other side would have to wait for it. */
    ck_assert_uint_gt(meters[0].most_offered, 3 * FRAME);
    ck_assert_uint_lt(meters[0].most_offered, 5 * FRAME);
    ck_assert_uint_gt(meters[1].most_read, 3 * FRAME);
    smux_conn_free(client);
    smux_conn_free(server);
    smux_poll_free(poll);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_sizes");
    TCase *tc = tcase_create("conn_sizes");

    tcase_add_loop_test(tc, bulk_moves_several_frames_with_each_call, 1, 3);
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
