#include "hostile.h"

#include <string.h>

#define MAX_RECORDS 2000
#define DAY_US      (UINT64_C(86400) * 1000000)

static const uint8_t versions[] = {1, 2, 0};
const struct record_format fuzz_records = {16, false, HOSTILE_CALLS, versions};

/* --- the start ----------------------------------------------------------------------------- */

static void read_limits(struct smux_config *c, struct fuzz_input *in)
{
    static const uint32_t frames[] = {0, 1, 100, 65535};
    static const uint32_t budgets[] = {0, 1, 5000, 65536, 262144};
    static const uint32_t windows[] = {0, 1, 511, 4096, 65536};
    static const uint32_t few[] = {0, 1, 2, 7};
    static const uint32_t discards[] = {0, SMUX_OFF, 1, 2};
    static const uint32_t sending[] = {0, 1, 4096, 65536};
    static const uint32_t glitches[] = {0, SMUX_OFF, 1, 200};

    c->max_frame_size = fuzz_pick(in, frames);
    c->max_receive_buffer = fuzz_pick(in, budgets);
    c->max_stream_buffer = fuzz_pick(in, windows);
    if (c->max_receive_buffer != 0 && c->max_stream_buffer > c->max_receive_buffer) {
        c->max_stream_buffer = c->max_receive_buffer;
    }
    c->max_remote_streams = fuzz_pick(in, few);
    c->accept_backlog = fuzz_pick(in, few);
    c->max_refusals = fuzz_pick(in, few);
    c->max_unanswered_opens = fuzz_pick(in, few);
    c->max_discards = fuzz_pick(in, discards);
    c->max_stream_send_buffer = fuzz_pick(in, sending);
    c->max_send_buffer = fuzz_pick(in, sending);
    c->glitch_burst = fuzz_pick(in, glitches);
}

static void read_timers(struct smux_config *c, struct fuzz_input *in)
{
    uint8_t flags = fuzz_u8(in);

    c->accept_guard_ms = (flags & 1) != 0 ? SMUX_OFF : 0;
    c->fin_linger_ms = (flags & 2) != 0 ? SMUX_OFF : 0;
    c->keepalive_interval_ms = (flags & 4) != 0 ? SMUX_OFF : 0;
    c->keepalive_mode = (flags >> 3) % 3;
    c->idle_timeout_ms = (flags & 32) != 0 ? 1000 : 0;
    c->stall_timeout_ms = (flags & 64) != 0 ? 500 : 0;
    c->send_stall_timeout_ms = (flags & 128) != 0 ? 700 : 0;
    c->max_window_growth = (flags & 3) == 3 ? SMUX_OFF : 0;
}

static void begin(struct hostile *h, struct fuzz_input *in, unsigned version)
{
    static struct guard guard; /* made once: it costs more than a short run */
    uint8_t flags;

    if (guard.end == NULL) {
        guard_init(&guard);
    }
    memset(h, 0, offsetof(struct hostile, peer));
    h->peer.num_ids = 0;
    h->guard = &guard;
    heap_init(&h->heap);
    smux_config_init(&h->config);
    flags = fuzz_u8(in);
    h->role = (flags & 1) != 0 ? SMUX_CLIENT : SMUX_SERVER;
    h->config.version = version;
    if ((flags & 2) != 0 && h->role == SMUX_SERVER) {
        h->config.version = SMUX_VERSION_AUTO;
    }
    read_limits(&h->config, in);
    read_timers(&h->config, in);
    h->config.hash_seed = fuzz_u8(in);
    h->config.allocator = &h->heap.allocator;
    h->start = h->now = (flags & 4) != 0 ? 0 : UINT64_C(1) << 40;
    h->piece = 65535;
    (void)fuzz_u16(in); /* to spare */
    must(smux_engine_new(h->role, &h->config, sizeof(struct hostile_stream *), h->now,
                         &h->engine) == SMUX_OK,
         "no engine");
    hostile_watch(h, version);
}

/* --- invariants ---------------------------------------------------------------------------- */

static uint64_t or_default(uint32_t value, uint32_t standard)
{
    return value != 0 ? value : standard;
}

/* [I3] L3 and L4, and beside them what the application has written itself (L8). */
static void check_memory(const struct hostile *h, const struct smux_session_stats *s)
{
    uint64_t limit = s->receive_budget + s->receive_budget / 4 + 65536;

    must(s->receive_buffer <= (uint64_t)s->receive_budget + 65534 + 33000,
         "%u bytes charged to a budget of %u", (unsigned)s->receive_buffer,
         (unsigned)s->receive_budget);
    limit += 65534 + 33000 + (s->streams_now + HOSTILE_STREAMS + 16) * UINT64_C(512);
    limit += 2 * (uint64_t)s->send_buffer + 8 * HOSTILE_STREAMS * UINT64_C(4096) + 262144;
    must(h->heap.now <= limit, "heap of %zu bytes, %llu allowed", h->heap.now,
         (unsigned long long)limit);
}

static void check_session(struct hostile *h, const struct smux_session_stats *s)
{
    int error = smux_engine_error(h->engine);
    uint64_t burst = or_default(h->config.glitch_burst, 10000);

    if (h->error == SMUX_OK) {
        h->error = error;
    }
    must(error == h->error, "sticky error changes to %s", smux_status_name(error)); /* [I16] */
    must(error == SMUX_OK || smux_status_is_fatal(error) || error == SMUX_EOF,
         "the session ends with %s", smux_status_name(error));
    must(strlen(smux_engine_error_text(h->engine)) > 0, "no text");
    if (burst != SMUX_OFF && error == SMUX_OK) { /* L6 */
        must(s->glitches <= burst + 330 * ((h->now - h->start) / 1000000 + 1), "%llu glitches",
             (unsigned long long)s->glitches);
    }
    must(error != SMUX_EFLOOD || s->glitches >= burst, "a flood of %llu glitches",
         (unsigned long long)s->glitches);
}

static void check(struct hostile *h)
{
    struct smux_session_stats s;

    smux_engine_stats(h->engine, &s);
    check_session(h, &s);
    check_memory(h, &s);
    must(s.streams_now == smux_engine_num_streams(h->engine), "two numbers of streams");
    must(s.backlog_now <= or_default(h->config.accept_backlog, 1024), "%u streams in the backlog",
         (unsigned)s.backlog_now); /* L2 */
    must(s.backlog_now <= s.streams_now || h->error != SMUX_OK, "%u streams in a backlog of %u",
         (unsigned)s.streams_now, (unsigned)s.backlog_now); /* [I11] */
}

/* [I9]: what the peer can make us send is a few frames a stream, and the refusals; behind what was
 * formed before, maybe for streams that are gone, and not taken. */
static void take_all(struct hostile *h)
{
    struct smux_session_stats s;
    uint64_t limit;

    hostile_settle(h);
    smux_engine_stats(h->engine, &s);
    limit = 3 * (uint64_t)(s.streams_now + or_default(h->config.max_discards, 1024) % SMUX_OFF) +
            or_default(h->config.max_refusals, 1024) + 1 + h->unsent / 8;
    h->controls = 0;
    hostile_take(h, SIZE_MAX, false);
    must(h->controls <= limit, "%u control frames at once, %llu allowed", (unsigned)h->controls,
         (unsigned long long)limit);
}

/* --- records ------------------------------------------------------------------------------- */

static void call_due(struct hostile *h)
{
    uint64_t due = smux_engine_deadline(h->engine);

    if (due != SMUX_NEVER) {
        due = due > h->now ? due - h->now : 0;
        hostile_tick(h, due < DAY_US ? due : DAY_US);
    }
}

static void call_memory(struct hostile *h, struct record record)
{
    h->heap.fail_at = record.len < 1000 ? h->heap.calls + 1 + record.len : 0;
    h->heap.fail_on = record.version % 2 == 1;
}

static void call_end(struct hostile *h, struct record record)
{
    switch (record.version % 3) {
    case 0:
        hostile_settle(h);
        h->ended = true;
        smux_engine_recv_eof(h->engine, h->now);
        break;
    case 1:
        h->drained = true;
        smux_engine_drain(h->engine);
        break;
    default:
        smux_engine_fail(h->engine, SMUX_EIO, "cut");
        break;
    }
}

static void call(struct hostile *h, struct record record)
{
    switch (record.cmd - RECORD_CALL) {
    case CALL_TICK:
        hostile_tick(h, (uint64_t)record.len << record.version % 16);
        break;
    case CALL_DUE:
        call_due(h);
        break;
    case CALL_TAKE:
        if (record.len == 0) {
            take_all(h);
        } else {
            hostile_take(h, record.len, record.version % 2 == 1);
        }
        break;
    case CALL_CUT:
        h->piece = record.len > 0 ? record.len : 1;
        h->by_iov = record.version % 2 == 1;
        h->lingers = (record.version & 2) != 0;
        break;
    case CALL_MEMORY:
        call_memory(h, record);
        break;
    case CALL_END:
        call_end(h, record);
        break;
    default:
        hostile_call(h, record);
        break;
    }
}

static void next_record(struct hostile *h, struct fuzz_input *in)
{
    struct record record = record_load(in->at);

    in->at += RECORD_HEADER;
    in->len -= RECORD_HEADER;
    if (record.cmd >= RECORD_CALL) {
        record.cmd = (uint8_t)(RECORD_CALL + (record.cmd - RECORD_CALL) % HOSTILE_CALLS);
        call(h, record);
    } else {
        hostile_frame(h, record, in);
    }
    hostile_push(h);
    check(h);
}

/* --- the end ------------------------------------------------------------------------------- */

/* The application lets go of everything: nothing may stay charged [I4], no memory be lost [I12]. */
static void end(struct hostile *h)
{
    struct smux_session_stats s;

    h->heap.fail_at = 0;
    h->lingers = false;
    hostile_settle(h);
    hostile_push(h);
    hostile_close_all(h);
    take_all(h);
    hostile_push(h);
    hostile_close_all(h);
    check(h);
    smux_engine_stats(h->engine, &s);
    must(s.receive_buffer == 0, "%u bytes stay charged", (unsigned)s.receive_buffer);
}

void hostile_run(const uint8_t *data, size_t size, unsigned version)
{
    static struct hostile h;
    struct fuzz_input in = {data, size};
    bool early = size > 15 && (data[15] & 1) != 0; /* freed in the middle of everything */

    begin(&h, &in, version);
    for (unsigned i = 0; i < MAX_RECORDS && in.len >= RECORD_HEADER; i++) {
        next_record(&h, &in);
    }
    if (!early) {
        end(&h);
    }
    smux_engine_free(h.engine);
    must(h.heap.now == 0 && h.heap.blocks == 0, "%zu bytes in %zu blocks leaked", h.heap.now,
         h.heap.blocks);
    hostile_free_app(&h);
    audit_free(&h.audit);
    bytes_free(&h.in);
}
