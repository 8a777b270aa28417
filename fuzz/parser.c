/*
 * parser.c - whatever way the bytes are cut, the result is the same [FRM-9].
 *
 * Input: eight bytes of configuration, then what the peer sends. It is fed to four engines: one
 * byte at a time, whole, and in random pieces through recv and through recv_iov. Every byte lies
 * at a guard page. At the same places of the input the applications take what came, and all that
 * can be seen is written down: events, streams, data, statuses, frames emitted, counters. The four
 * traces must be equal.
 *
 * Inputs are far smaller than the budget: where it ends depends on how payload fell into chunks.
 *
 * fuzz-with: mutator
 */
#include "fuzz.h"
#include "records.h"

#include "bytes.h"
#include "guard.h"
#include "heap.h"
#include "rng.h"

#include <smux/engine.h>
#include <string.h>

#define MAX_INPUT   65536u /* GUARD_SIZE is more */
#define MAX_STREAMS 64

static const uint8_t versions[] = {1, 2, 0};
const struct record_format fuzz_records = {8, true, 0, versions};

enum cut {
    CUT_BYTES,
    CUT_WHOLE,
    CUT_RECV,
    CUT_IOV,
    CUTS
};

/** What the preamble says. */
struct plan {
    enum smux_role role;
    struct smux_config config;
    size_t stretch; /**< bytes between two looks of the application */
    bool replies;   /**< it writes to what it accepts */
    bool closes;    /**< it closes what has ended */
    uint8_t seed;   /**< of the random pieces */
};

struct run {
    const struct plan *plan;
    enum cut cut;
    smux_engine *engine;
    struct heap heap;
    struct guard *guard;
    struct rng rng;
    uint64_t now;
    smux_estream *streams[MAX_STREAMS];
    unsigned num_streams;
    struct bytes trace;
};

static struct plan read_plan(struct fuzz_input *in)
{
    static const uint32_t budgets[] = {4, 1 << 20, 262144};
    static const uint32_t few[] = {0, 1, 2, 5};
    uint8_t flags = fuzz_u8(in);
    struct plan plan = {0};

    plan.role = (flags & 1) != 0 ? SMUX_CLIENT : SMUX_SERVER;
    smux_config_init(&plan.config);
    plan.config.version = 1 + ((flags >> 1) & 1);
    if ((flags & 4) != 0 && plan.role == SMUX_SERVER) {
        plan.config.version = SMUX_VERSION_AUTO;
    }
    plan.config.allow_any_parity = (flags & 8) != 0;
    plan.config.accept_guard_ms = (flags & 16) != 0 ? 0 : SMUX_OFF;
    plan.replies = (flags & 32) != 0;
    plan.closes = (flags & 64) != 0;
    plan.config.keepalive_interval_ms = SMUX_OFF;
    plan.config.max_remote_streams = fuzz_pick(in, few);
    plan.config.accept_backlog = fuzz_pick(in, few);
    plan.config.glitch_burst = fuzz_pick(in, few);
    plan.config.max_receive_buffer = 4 << 20;
    plan.config.max_stream_buffer = fuzz_pick(in, budgets);
    plan.stretch = 1 + (size_t)fuzz_u8(in) * fuzz_u8(in);
    plan.seed = fuzz_u8(in);
    return plan;
}

/* --- the trace ----------------------------------------------------------------------------- */

static void note(struct run *r, uint64_t number)
{
    bytes_put(&r->trace, &number, sizeof(number));
}

static void note_data(struct run *r, const void *data, size_t len)
{
    note(r, len);
    bytes_put(&r->trace, data, len);
}

static void note_session(struct run *r)
{
    const char *text = smux_engine_error_text(r->engine);
    struct smux_session_stats s;

    smux_engine_stats(r->engine, &s);
    note(r, (uint64_t)(int64_t)smux_engine_error(r->engine));
    note_data(r, text, strlen(text));
    note(r, smux_engine_version(r->engine));
    note_data(r, &s.frames_in, sizeof(s.frames_in));
    note(r, s.payload_in);
    note(r, s.payload_discarded);
    note(r, s.streams_accepted);
    note(r, s.streams_refused);
    note(r, s.streams_aborted);
    note(r, s.glitches);
    note(r, s.syn_ignored);
    note(r, s.psh_after_fin);
    note(r, s.upd_stale);
    note(r, s.streams_now);
    note(r, s.backlog_now);
    note(r, s.credit_now);
}

/* --- the application ----------------------------------------------------------------------- */

static void accept_all(struct run *r)
{
    smux_estream *stream;
    size_t len;

    while (r->num_streams < MAX_STREAMS && smux_engine_accept(r->engine, &stream) == SMUX_OK) {
        r->streams[r->num_streams++] = stream;
        note(r, smux_estream_id(stream));
        if (r->plan->replies) {
            note(r, (uint64_t)(int64_t)smux_estream_write(r->engine, stream, "hello", 5, &len));
        }
    }
}

/* Returns whether the stream has ended. */
static bool read_all(struct run *r, smux_estream *stream)
{
    uint8_t buf[4096];
    size_t len;
    int status;

    while ((status = smux_estream_read(r->engine, stream, buf, sizeof(buf), &len)) == SMUX_OK) {
        bytes_put(&r->trace, buf, len);
    }
    note(r, (uint64_t)(int64_t)status);
    note(r, smux_estream_events(r->engine, stream));
    return status != SMUX_EAGAIN;
}

static void send_all(struct run *r)
{
    struct smux_iov iov[16];
    int n;

    while ((n = smux_engine_send_iov(r->engine, iov, 16, r->now)) > 0) {
        size_t total = 0;

        for (int i = 0; i < n; i++) {
            bytes_put(&r->trace, iov[i].base, iov[i].len);
            total += iov[i].len;
        }
        smux_engine_send_commit(r->engine, total, r->now);
    }
}

static void look(struct run *r)
{
    smux_estream *stream;
    unsigned events;

    note(r, (uint64_t)(int64_t)smux_engine_tick(r->engine, r->now));
    accept_all(r);
    while ((stream = smux_engine_next_ready(r->engine, &events)) != NULL) {
        note(r, smux_estream_id(stream));
        note(r, events);
    }
    for (unsigned i = 0; i < r->num_streams; i++) {
        if (r->streams[i] != NULL && read_all(r, r->streams[i]) && r->plan->closes) {
            smux_estream_close(r->engine, r->streams[i]);
            r->streams[i] = NULL;
        }
    }
    send_all(r);
    note_session(r);
    r->now += 1000;
}

/* --- feeding ------------------------------------------------------------------------------- */

static size_t feed_copy(struct run *r, const uint8_t *data, size_t len)
{
    size_t taken = 0;
    int status = smux_engine_recv(r->engine, guard_copy(r->guard, data, len), len, r->now, &taken);

    must(status == smux_engine_error(r->engine), "recv returns another error");
    must(taken <= len, "recv took %zu of %zu", taken, len);
    must(taken == len || status != SMUX_OK, "recv took %zu of %zu and lives", taken, len);
    return taken;
}

static size_t feed_iov(struct run *r, const uint8_t *data, size_t len)
{
    struct smux_iov iov[20];
    int n = smux_engine_recv_iov(r->engine, iov, 20);
    size_t done = 0;

    must(n > 0 || smux_engine_error(r->engine) != SMUX_OK, "nowhere to read to");
    for (int i = 0; i < n && done < len; i++) {
        size_t part = iov[i].len < len - done ? iov[i].len : len - done;

        memcpy(iov[i].base, data + done, part);
        done += part;
    }
    if (n > 0) {
        (void)smux_engine_recv_commit(r->engine, done, r->now);
    }
    return done;
}

static size_t feed_some(struct run *r, const uint8_t *data, size_t len)
{
    switch (r->cut) {
    case CUT_BYTES:
        return feed_copy(r, data, 1);
    case CUT_WHOLE:
        return feed_copy(r, data, len);
    case CUT_RECV:
        return feed_copy(r, data, rng_log(&r->rng, 1, (uint32_t)len));
    case CUT_IOV:
    case CUTS:
    default:
        return feed_iov(r, data, rng_log(&r->rng, 1, (uint32_t)len));
    }
}

static void feed(struct run *r, const uint8_t *data, size_t len)
{
    while (len > 0 && smux_engine_error(r->engine) == SMUX_OK) {
        size_t taken = feed_some(r, data, len);

        data += taken;
        len -= taken;
    }
}

static void run(struct run *r, const struct plan *plan, enum cut cut, const uint8_t *data,
                size_t len)
{
    static struct guard guard; /* made once: it costs more than a short run */
    struct smux_config config = plan->config;

    if (guard.end == NULL) {
        guard_init(&guard);
    }

    memset(r, 0, sizeof(*r));
    r->guard = &guard;
    r->plan = plan;
    r->cut = cut;
    r->now = 1000000;
    rng_seed(&r->rng, plan->seed);
    heap_init(&r->heap);
    config.allocator = &r->heap.allocator;
    must(smux_engine_new(plan->role, &config, 0, r->now, &r->engine) == SMUX_OK, "no engine");
    while (len > 0) {
        size_t part = len < plan->stretch ? len : plan->stretch;

        feed(r, data, part);
        look(r);
        data += part;
        len -= part;
    }
    smux_engine_recv_eof(r->engine, r->now);
    look(r);
    smux_engine_free(r->engine);
    must(r->heap.blocks == 0, "%zu blocks leaked", r->heap.blocks); /* [I12] */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run runs[CUTS];
    struct fuzz_input in = {data, size < MAX_INPUT ? size : MAX_INPUT};
    struct plan plan = read_plan(&in);
    const struct bytes *first = &runs[CUT_BYTES].trace;

    for (unsigned cut = 0; cut < CUTS; cut++) {
        const struct bytes *trace = &runs[cut].trace;

        run(&runs[cut], &plan, (enum cut)cut, in.at, in.len);
        must(bytes_len(trace) == bytes_len(first) &&
                 memcmp(bytes_head(trace), bytes_head(first), bytes_len(first)) == 0,
             "the trace of cut %u differs from that of single bytes", cut);
    }
    for (unsigned cut = 0; cut < CUTS; cut++) {
        bytes_free(&runs[cut].trace);
    }
    return 0;
}
