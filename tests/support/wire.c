#include "wire.h"

#include "must.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The writers of flow_key(): the peer that the test plays, and the application. */
enum {
    WRITER_PEER = 0,
    WRITER_APP = 1
};

#define WIRE_SEED UINT64_C(0x736d7578)

struct smux_config wire_config(unsigned version)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = version;
    config.max_stream_buffer = 65536;
    config.keepalive_interval_ms = SMUX_OFF;
    config.accept_guard_ms = SMUX_OFF;
    config.fin_linger_ms = SMUX_OFF;
    config.hash_seed = WIRE_SEED;
    return config;
}

void wire_start(struct wire *w, enum smux_role role, const struct smux_config *config, int mode)
{
    struct smux_config mine = config != NULL ? *config : wire_config(1);
    int status;

    memset(w, 0, sizeof(*w));
    w->role = role;
    w->version = mine.version == 2 ? 2 : 1;
    w->now = 1000000;
    w->mode = (enum feed_mode)mode;
    rng_seed(&w->rng, WIRE_SEED);
    heap_init(&w->heap);
    guard_init(&w->guard);
    mine.allocator = &w->heap.allocator;
    status = smux_engine_new(role, &mine, 0, w->now, &w->engine);
    must(status == SMUX_OK, "engine_new: %s", smux_strerror(status));
}

void wire_stop(struct wire *w)
{
    smux_engine_free(w->engine);
    ck_assert_uint_eq(w->heap.now, 0);
    ck_assert_uint_eq(w->heap.blocks, 0);
    guard_free(&w->guard);
    bytes_free(&w->in);
    bytes_free(&w->out);
    free(w->flows);
}

struct wire_flow *wire_flow(struct wire *w, uint32_t id)
{
    struct wire_flow *flow;

    for (size_t i = 0; i < w->num_flows; i++) {
        if (w->flows[i].id == id) {
            return &w->flows[i];
        }
    }
    w->flows = realloc(w->flows, (w->num_flows + 1) * sizeof(*w->flows));
    must(w->flows != NULL, "no memory for the test");
    flow = &w->flows[w->num_flows++];
    memset(flow, 0, sizeof(*flow));
    flow->id = id;
    return flow;
}

/* --- the peer sends ------------------------------------------------------------------- */

static size_t wire_recv(struct wire *w, const uint8_t *data, size_t len)
{
    size_t taken = 0;
    int status;

    if (len > GUARD_SIZE) {
        len = GUARD_SIZE;
    }
    status = smux_engine_recv(w->engine, guard_copy(&w->guard, data, len), len, w->now, &taken);
    must(taken <= len, "recv took %zu of %zu", taken, len);
    must(status == smux_engine_error(w->engine), "recv returns %d", status);
    return taken;
}

static size_t wire_recv_iov(struct wire *w, const uint8_t *data, size_t len)
{
    struct smux_iov iov[20];
    int max = w->mode == FEED_RANDOM ? (int)rng_between(&w->rng, 2, 20) : 20;
    int n = smux_engine_recv_iov(w->engine, iov, max);
    size_t taken = 0;

    must(n <= max, "%d vectors of %d", n, max);
    for (int i = 0; i < n && taken < len; i++) {
        size_t part = iov[i].len < len - taken ? iov[i].len : len - taken;

        must(iov[i].len > 0, "empty vector to read into");
        memcpy(iov[i].base, data + taken, part);
        taken += part;
    }
    if (n > 0) {
        int status = smux_engine_recv_commit(w->engine, taken, w->now);

        must(status == smux_engine_error(w->engine), "recv_commit returns %d", status);
    }
    return taken;
}

static size_t wire_offer(struct wire *w, const uint8_t *data, size_t len)
{
    size_t piece;

    switch (w->mode) {
    case FEED_BYTES:
        return wire_recv(w, data, 1);
    case FEED_RANDOM:
        piece = rng_log(&w->rng, 1, len < 70000 ? (uint32_t)len : 70000);
        return rng_chance(&w->rng, 50) ? wire_recv(w, data, piece) : wire_recv_iov(w, data, piece);
    case FEED_IOV:
        return wire_recv_iov(w, data, len);
    case FEED_WHOLE:
    case FEED_MODES:
    default:
        return wire_recv(w, data, len);
    }
}

void wire_push(struct wire *w)
{
    while (bytes_len(&w->in) > 0 && smux_engine_wants_read(w->engine)) {
        size_t taken = wire_offer(w, bytes_head(&w->in), bytes_len(&w->in));

        if (w->watch != NULL) {
            w->watch(w->watch_ctx, bytes_head(&w->in), taken);
        }
        bytes_drop(&w->in, taken);
        if (taken == 0) {
            must(!smux_engine_wants_read(w->engine), "wants_read, but takes nothing");
        }
    }
}

void wire_feed(struct wire *w, const void *data, size_t len)
{
    bytes_put(&w->in, data, len);
    wire_push(w);
}

void wire_header(struct wire *w, unsigned cmd, unsigned len, uint32_t id)
{
    uint8_t buf[FRAME_HEADER];

    wire_feed(w, buf, put_header(buf, w->version, cmd, len, id));
}

void wire_syn(struct wire *w, uint32_t id)
{
    wire_header(w, CMD_SYN, 0, id);
}

void wire_fin(struct wire *w, uint32_t id)
{
    wire_header(w, CMD_FIN, 0, id);
}

void wire_nop(struct wire *w)
{
    wire_header(w, CMD_NOP, 0, 0);
}

void wire_upd(struct wire *w, uint32_t id, uint32_t consumed, uint32_t window)
{
    uint8_t buf[FRAME_UPD];

    wire_feed(w, buf, put_upd(buf, w->version, id, consumed, window));
}

void wire_put_psh(struct wire *w, uint32_t id, size_t len)
{
    struct wire_flow *flow = wire_flow(w, id);
    uint8_t *buf = bytes_room(&w->in, FRAME_HEADER + len);

    put_header(buf, w->version, CMD_PSH, (unsigned)len, id);
    flow_fill(flow_key(WIRE_SEED, id, WRITER_PEER), flow->fed, buf + FRAME_HEADER, len);
    flow->fed += len;
}

void wire_psh(struct wire *w, uint32_t id, size_t len)
{
    wire_put_psh(w, id, len);
    wire_push(w);
}

void wire_data(struct wire *w, uint32_t id, size_t len, size_t frame_len)
{
    while (len > 0) {
        size_t part = len < frame_len ? len : frame_len;

        wire_psh(w, id, part);
        len -= part;
    }
}

void wire_sleep(struct wire *w, uint32_t ms)
{
    uint64_t end = w->now + (uint64_t)ms * 1000;
    uint32_t steps = 0;

    for (;;) {
        uint64_t due = smux_engine_deadline(w->engine);

        if (due > end) {
            break;
        }
        if (due > w->now) {
            w->now = due;
        }
        smux_engine_tick(w->engine, w->now);
        wire_pump(w);
        due = smux_engine_deadline(w->engine);
        must(due > w->now, "a deadline that was served is still due [I13]");
        must(++steps < 1000000, "timers without end");
    }
    w->now = end;
    smux_engine_tick(w->engine, w->now);
    wire_pump(w);
}

/* --- the application ------------------------------------------------------------------ */

smux_estream *wire_open(struct wire *w)
{
    smux_estream *stream = NULL;
    int status = smux_engine_open(w->engine, &stream);

    must(status == SMUX_OK, "open: %s", smux_strerror(status));
    must(stream != NULL, "no memory for the test");
    return stream;
}

smux_estream *wire_accept_at(struct wire *w, uint32_t id, int line)
{
    smux_estream *stream = NULL;
    int status = smux_engine_accept(w->engine, &stream);

    must(status == SMUX_OK, "line %d: accept: %s", line, smux_strerror(status));
    must(smux_estream_id(stream) == id, "line %d: accepted id %" PRIu32, line,
         smux_estream_id(stream));
    return stream;
}

void wire_content(const struct wire *w, const struct wire_flow *flow, void *buf, size_t len)
{
    (void)w;
    flow_fill(flow_key(WIRE_SEED, flow->id, WRITER_APP), flow->written, buf, len);
}

size_t wire_write_some(struct wire *w, smux_estream *stream, size_t len)
{
    struct wire_flow *flow = wire_flow(w, smux_estream_id(stream));
    uint8_t *buf = malloc(len + 1);
    size_t taken = 0;
    int status;

    must(buf != NULL, "no memory for the test");
    wire_content(w, flow, buf, len);
    status = smux_estream_write(w->engine, stream, buf, len, &taken);
    /* What a call did not take may be overwritten at once [ORD-4]. */
    memset(buf, 0xee, len + 1);
    free(buf);
    if (status != SMUX_OK) {
        return 0;
    }
    must(taken <= len, "write took %zu of %zu", taken, len);
    flow->written += taken;
    return taken;
}

void wire_write_at(struct wire *w, smux_estream *stream, size_t len, int line)
{
    size_t taken = wire_write_some(w, stream, len);

    must(taken == len, "line %d: %zu of %zu bytes written", line, taken, len);
}

void expect_content_at(struct wire *w, struct wire_flow *flow, const void *buf, size_t len,
                       int line)
{
    uint64_t key = flow_key(WIRE_SEED, flow->id, WRITER_PEER);

    (void)w;
    must(flow_check(key, flow->read, buf, len) == len, "line %d: wrong data near offset %" PRIu64,
         line, flow->read);
    flow->read += len;
}

void expect_read_at(struct wire *w, smux_estream *stream, size_t len, int line)
{
    struct wire_flow *flow = wire_flow(w, smux_estream_id(stream));
    uint8_t buf[4096];
    size_t done = 0;

    while (done < len) {
        size_t want = len - done < sizeof(buf) ? len - done : sizeof(buf);
        size_t got = 0;
        int status = smux_estream_read(w->engine, stream, buf, want, &got);

        must(status == SMUX_OK, "line %d: read after %zu of %zu bytes: %s", line, done, len,
             smux_strerror(status));
        must(got > 0 && got <= want, "line %d: read of %zu", line, got);
        expect_content_at(w, flow, buf, got, line);
        done += got;
    }
}

void expect_status_at(struct wire *w, smux_estream *stream, int status, int line)
{
    uint8_t buf[1];
    size_t got = 0;
    int is = smux_estream_read(w->engine, stream, buf, sizeof(buf), &got);

    must(is == status, "line %d: read gives %s, not %s", line, smux_status_name(is),
         smux_status_name(status));
    ck_assert_uint_eq(got, 0);
}

void expect_dead_at(struct wire *w, int status, int line)
{
    int is = smux_engine_error(w->engine);
    struct smux_iov iov[2];
    smux_estream *stream;

    must(is == status, "line %d: session error %s, not %s (%s)", line, smux_status_name(is),
         smux_status_name(status), smux_engine_error_text(w->engine));
    ck_assert(smux_status_is_fatal(is));
    ck_assert_str_eq(smux_engine_error_text(w->engine), smux_engine_error_text(w->engine));
    ck_assert(strlen(smux_engine_error_text(w->engine)) > 0);
    ck_assert(!smux_engine_wants_read(w->engine));
    ck_assert(!smux_engine_wants_write(w->engine));
    ck_assert_int_eq(smux_engine_send_iov(w->engine, iov, 2, w->now), 0);
    ck_assert_int_eq(smux_engine_recv_iov(w->engine, iov, 2), 0);
    ck_assert_int_eq(smux_engine_open(w->engine, &stream), status);
    ck_assert_int_eq(smux_engine_tick(w->engine, w->now), status);
    must(smux_engine_deadline(w->engine) == SMUX_NEVER, "line %d: a dead session has a deadline",
         line);
}

void expect_timeout_in_at(struct wire *w, uint32_t ms, int line)
{
    int is;

    wire_sleep(w, ms - 100);
    is = smux_engine_error(w->engine);
    must(is == SMUX_OK, "line %d: session error %s already", line, smux_status_name(is));
    wire_sleep(w, 200);
    expect_dead_at(w, SMUX_ETIMEDOUT, line);
}

/* --- the peer receives ---------------------------------------------------------------- */

/* One peek and acknowledge of at most `limit` bytes; returns how many came. */
static size_t wire_pull(struct wire *w, size_t limit)
{
    struct smux_iov iov[WIRE_IOVS];
    int max = w->mode == FEED_RANDOM ? (int)rng_between(&w->rng, 1, WIRE_IOVS) : WIRE_IOVS;
    uint64_t failures = w->heap.failures;
    bool wants = smux_engine_wants_write(w->engine);
    int n = smux_engine_send_iov(w->engine, iov, max, w->now);
    size_t taken = 0;

    must(wants || n == 0, "send_iov gives %d that wants_write did not tell", n);
    /* What was due may have become void meanwhile; then it must not be told again. */
    must(n > 0 || !smux_engine_wants_write(w->engine) || w->heap.failures > failures,
         "wants_write goes on, but send_iov gives nothing");
    must(n <= max, "%d vectors of %d", n, max);
    for (int i = 0; i < n; i++) {
        size_t part = iov[i].len < limit - taken ? iov[i].len : limit - taken;

        must(iov[i].len > 0, "empty vector to send");
        bytes_put(&w->out, iov[i].base, part);
        taken += part;
    }
    if (n > 0) {
        smux_engine_send_commit(w->engine, taken, w->now);
    }
    return taken;
}

static size_t wire_piece(struct wire *w)
{
    switch (w->mode) {
    case FEED_BYTES:
        /* Single bytes around the headers of short scenarios, larger pieces behind. */
        return bytes_len(&w->out) < 2048 ? 1 : 1000;
    case FEED_RANDOM:
        return rng_log(&w->rng, 1, 100000);
    case FEED_WHOLE:
    case FEED_IOV:
    case FEED_MODES:
    default:
        return SIZE_MAX;
    }
}

size_t wire_take(struct wire *w, size_t len)
{
    size_t done = 0;

    while (done < len) {
        size_t taken = wire_pull(w, len - done);

        if (taken == 0) {
            break;
        }
        done += taken;
    }
    return done;
}

void wire_pump(struct wire *w)
{
    if (w->blocked) {
        return;
    }
    while (wire_pull(w, wire_piece(w)) > 0) {
    }
}

bool wire_frame(struct wire *w, struct frame *out_frame)
{
    unsigned version = smux_engine_version(w->engine);
    const char *fault;
    size_t len;

    wire_pump(w);
    len = frame_next(bytes_head(&w->out), bytes_len(&w->out), out_frame);
    if (len == 0) {
        must(w->blocked || bytes_len(&w->out) == 0, "half a frame was sent");
        return false;
    }
    fault = frame_fault(out_frame, version != 0 ? version : w->version);
    must(fault == NULL, "%s emitted: %s", frame_name(out_frame->cmd), fault);
    bytes_drop(&w->out, len); /* the payload stays in place until the next pump */
    return true;
}

static void check_payload(struct wire *w, const struct frame *frame, int line)
{
    struct wire_flow *flow = wire_flow(w, frame->id);
    uint64_t key = flow_key(WIRE_SEED, frame->id, WRITER_APP);

    must(flow_check(key, flow->got, frame->payload, frame->len) == frame->len,
         "line %d: wrong data sent near offset %" PRIu64, line, flow->got);
    flow->got += frame->len;
    must(flow->got <= flow->written, "line %d: more sent than written", line);
}

void expect_frame_at(struct wire *w, unsigned cmd, uint32_t id, int line)
{
    struct frame frame;

    must(wire_frame(w, &frame), "line %d: no %s(%" PRIu32 ") is sent", line, frame_name(cmd), id);
    must(frame.cmd == cmd && frame.id == id,
         "line %d: %s(%" PRIu32 ") len %u is sent, not %s(%" PRIu32 ")", line,
         frame_name(frame.cmd), frame.id, frame.len, frame_name(cmd), id);
}

void expect_upd_at(struct wire *w, uint32_t id, uint32_t consumed, uint32_t window, int line)
{
    struct frame frame;

    must(wire_frame(w, &frame), "line %d: no UPD(%" PRIu32 ") is sent", line, id);
    must(frame.cmd == CMD_UPD && frame.id == id,
         "line %d: %s(%" PRIu32 ") is sent, not UPD(%" PRIu32 ")", line, frame_name(frame.cmd),
         frame.id, id);
    must(frame.consumed == consumed && frame.window == window,
         "line %d: UPD says %" PRIu32 ", %" PRIu32 ", not %" PRIu32 ", %" PRIu32, line,
         frame.consumed, frame.window, consumed, window);
}

void expect_data_at(struct wire *w, uint32_t id, size_t len, int line)
{
    struct frame frame;
    size_t done = 0;

    while (done < len) {
        must(wire_frame(w, &frame), "line %d: %zu of %zu bytes sent", line, done, len);
        must(frame.cmd == CMD_PSH && frame.id == id,
             "line %d: %s(%" PRIu32 ") between data of %" PRIu32, line, frame_name(frame.cmd),
             frame.id, id);
        check_payload(w, &frame, line);
        done += frame.len;
    }
    must(done == len, "line %d: %zu bytes sent, not %zu", line, done, len);
}

size_t wire_take_data(struct wire *w, uint32_t id)
{
    struct frame frame;
    size_t done = 0;

    for (;;) {
        wire_pump(w);
        if (frame_next(bytes_head(&w->out), bytes_len(&w->out), &frame) == 0 ||
            frame.cmd != CMD_PSH || frame.id != id) {
            return done;
        }
        must(wire_frame(w, &frame), "the frame vanished");
        check_payload(w, &frame, __LINE__);
        done += frame.len;
    }
}

void expect_quiet_at(struct wire *w, int line)
{
    struct frame frame;

    if (wire_frame(w, &frame)) {
        ck_abort_msg("line %d: %s(%" PRIu32 ") len %u is sent, not silence", line,
                     frame_name(frame.cmd), frame.id, frame.len);
    }
}

void wire_skip(struct wire *w)
{
    struct frame frame;

    while (wire_frame(w, &frame)) {
        if (frame.cmd == CMD_PSH) {
            check_payload(w, &frame, __LINE__);
        }
    }
}

/* --- figures -------------------------------------------------------------------------- */

struct smux_session_stats wire_stats(const struct wire *w)
{
    struct smux_session_stats stats;

    smux_engine_stats(w->engine, &stats);
    return stats;
}

struct smux_stream_stats wire_stream_stats(const struct wire *w, const smux_estream *s)
{
    struct smux_stream_stats stats;

    smux_estream_stats(w->engine, s, &stats);
    return stats;
}
