/*
 * test_hostile.c - random frames of a hostile peer, mixed with random calls of the application
 * (threats.md, F2 and F3).
 *
 * Whatever comes: no crash, memory within its bound [I3], only sound frames out [I10] and few of them
 * [I9], errors that stay [I16], timers that end, and all memory back [I12]. What the application reads
 * is what the peer sent for that stream, in one piece [I1], and ends only behind a FIN [I2]. The same
 * seed gives the same trace [I15].
 *
 *   SEED=n    run this seed alone
 *   SEEDS=n   run so many seeds, from FROM=n on; scripts/simulate does so in several processes
 *
 * ctest-timeout: 600
 */
#include "support/inside.h"
#include "support/must.h"
#include "support/seeds.h"
#include "support/suite.h"
#include "support/wire.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEEDS 20000
#define BATCHES       8
#define IDS           24 /* of streams that are looked at closely */
#define MAX_MARKS     64
#define HANDLES       24
#define STEPS         200

/* What has arrived under an id, by the bytes that the engine took. */
struct arrivals {
    struct bytes payload;
    uint64_t marks[MAX_MARKS]; /* where a stream may begin: at a SYN, at an open */
    unsigned num_marks;
    bool fin;
};

/* What the application has read of a stream. */
struct reading {
    uint64_t len;
    uint64_t begins; /* a bit a mark: it may have begun there, as all bytes so far say */
    bool anywhere;   /* it was opened here while what had come before was not decoded */
};

struct hostile {
    struct wire w;
    struct arrivals arrivals[IDS];
    struct reading readings[HANDLES];
    struct bytes taken; /* by the engine and not yet looked at */
    size_t body_left;   /* of the frame that is looked at */
    uint32_t body_id;
    uint64_t hash;     /* of the trace */
    bool wild;         /* the peer violates the protocol, so the session dies soon */
    bool attends;      /* the application asks for all events, and reads what they tell */
    bool bursts;       /* small frames of several streams come together */
    bool bulk;         /* large frames of one length come one after the other */
    bool shared_input; /* they waited in the in-tray (intray.h) */
    struct rng rng;
    struct smux_config config;
    smux_estream *handles[HANDLES];
    uint8_t *posted; /* memory of handles[post] */
    uint32_t post;
    uint32_t budget; /* the largest one: what came under it stays when it falls */
    int error;       /* first one seen */
    uint8_t buf[65536];
};

/* --- what arrived -------------------------------------------------------------------------- */

static void add_mark(struct hostile *h, uint32_t id)
{
    struct arrivals *a = id < IDS ? &h->arrivals[id] : NULL;

    if (a != NULL && a->num_marks < MAX_MARKS) {
        /* A frame under way was judged by its header, before there was this stream. */
        size_t missed = h->body_id == id ? h->body_left : 0;

        a->marks[a->num_marks++] = a->payload.end + missed;
    }
}

static void look_at_frame(struct hostile *h, const struct frame *frame)
{
    struct arrivals *a = frame->id < IDS ? &h->arrivals[frame->id] : NULL;

    if (frame->cmd == CMD_SYN) {
        add_mark(h, frame->id);
    } else if (frame->cmd == CMD_FIN && a != NULL) {
        a->fin = true;
    }
    h->body_left = frame->len;
    h->body_id = frame->cmd == CMD_PSH ? frame->id : UINT32_MAX;
}

/* It may have grown and be back to what it was before the next check. */
static void note_budget(struct hostile *h)
{
    uint32_t budget = wire_stats(&h->w).receive_budget;

    h->budget = budget > h->budget ? budget : h->budget;
}

/* Reads along with the engine. */
static void look_at_input(void *ctx, const uint8_t *data, size_t len)
{
    struct hostile *h = ctx;
    struct frame frame;

    note_budget(h);
    bytes_put(&h->taken, data, len);
    for (;;) {
        size_t part = h->body_left < bytes_len(&h->taken) ? h->body_left : bytes_len(&h->taken);

        if (part > 0 && h->body_id < IDS) {
            bytes_put(&h->arrivals[h->body_id].payload, bytes_head(&h->taken), part);
        }
        bytes_drop(&h->taken, part);
        h->body_left -= part;
        if (h->body_left > 0 || bytes_len(&h->taken) < FRAME_HEADER) {
            return;
        }
        frame_header(bytes_head(&h->taken), &frame);
        bytes_drop(&h->taken, FRAME_HEADER);
        look_at_frame(h, &frame);
    }
}

/* What is read next must follow what was read before, from one of the marks on [I1]. */
static void check_read(struct hostile *h, uint32_t slot, const uint8_t *data, size_t len)
{
    uint32_t id = smux_estream_id(h->handles[slot]);
    struct reading *r = &h->readings[slot];
    const struct arrivals *a = id < IDS ? &h->arrivals[id] : NULL;

    if (len == 0) {
        return;
    }
    for (unsigned i = 0; a != NULL && i < a->num_marks; i++) {
        uint64_t from = a->marks[i] + r->len;

        if (from + len > bytes_len(&a->payload) ||
            memcmp(bytes_head(&a->payload) + from, data, len) != 0) {
            r->begins &= ~(UINT64_C(1) << i);
        }
    }
    r->len += len;
    must(a == NULL || a->num_marks == MAX_MARKS || r->anywhere || r->begins != 0,
         "I1: stream %u: what is read after %llu bytes did not arrive so", (unsigned)id,
         (unsigned long long)r->len);
}

static void read_some(struct hostile *h, uint32_t slot, size_t len)
{
    uint32_t id = smux_estream_id(h->handles[slot]);
    size_t done;
    int status = smux_estream_read(h->w.engine, h->handles[slot], h->buf, len, &done);

    if (status == SMUX_OK) {
        check_read(h, slot, h->buf, done);
    }
    must(status != SMUX_EOF || id >= IDS || h->arrivals[id].fin,
         "I2: stream %u: end of file without FIN", (unsigned)id);
}

static void begin_reading(struct hostile *h, uint32_t slot)
{
    const struct arrivals *a;
    uint32_t id = smux_estream_id(h->handles[slot]);

    h->readings[slot] = (struct reading){0};
    if (id < IDS) {
        a = &h->arrivals[id];
        h->readings[slot].begins =
            a->num_marks < 64 ? (UINT64_C(1) << a->num_marks) - 1 : UINT64_MAX;
    }
}

/* --- the peer ------------------------------------------------------------------------------ */

static uint8_t payload[2 * 65536]; /* random */

static uint32_t any_id(struct hostile *h)
{
    switch (rng_below(&h->rng, 20)) {
    case 0:
        return (uint32_t)rng_next(&h->rng);
    case 1:
        return 0xfffffffe + rng_below(&h->rng, 3);
    default:
        return rng_below(&h->rng, 24);
    }
}

/* Mostly near what can be right, sometimes far away. */
static uint32_t any_count(struct hostile *h)
{
    static const uint32_t edges[] = {0,      1,          2,          262143,     262144,
                                     262145, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff};

    if (rng_chance(&h->rng, 20)) {
        return edges[rng_below(&h->rng, sizeof(edges) / sizeof(edges[0]))];
    }
    return rng_log(&h->rng, 1, 1 << 20) - 1;
}

static void feed_psh(struct hostile *h, uint32_t id, size_t len)
{
    uint8_t header[FRAME_HEADER];

    wire_feed(&h->w, header, put_header(header, h->w.version, CMD_PSH, (unsigned)len, id));
    /* Sometimes the payload stays away for a while. */
    if (len > 0 && !(h->wild && rng_chance(&h->rng, 10))) {
        wire_feed(&h->w, payload + rng_below(&h->rng, sizeof(payload) - 65536), len);
    }
}

/* Small frames of streams one after the other, in one piece. */
static void feed_burst(struct hostile *h)
{
    uint32_t id = any_id(h);
    unsigned n = rng_between(&h->rng, 2, 12);

    for (unsigned i = 0; i < n; i++) {
        size_t len = rng_between(&h->rng, 1, 600);
        uint8_t header[FRAME_HEADER];

        bytes_put(&h->w.in, header,
                  put_header(header, h->w.version, CMD_PSH, (unsigned)len, (id + i) % IDS));
        bytes_put(&h->w.in, payload + rng_below(&h->rng, sizeof(payload) - 65536), len);
    }
    wire_push(&h->w);
}

/* Large frames of one length, and some of others among them, as much of them with each read as there are
 * places for. */
static void feed_bulk(struct hostile *h)
{
    enum feed_mode mode = h->w.mode;
    uint32_t usual = rng_log(&h->rng, 4096, 65535);
    unsigned n = rng_between(&h->rng, 3, 12);

    for (unsigned i = 0; i < n; i++) {
        size_t len = rng_chance(&h->rng, 90) ? usual : rng_log(&h->rng, 1, 65535);
        uint8_t header[FRAME_HEADER];

        bytes_put(&h->w.in, header,
                  put_header(header, h->w.version, CMD_PSH, (unsigned)len, any_id(h)));
        bytes_put(&h->w.in, payload + rng_below(&h->rng, sizeof(payload) - 65536), len);
    }
    if (h->w.heap.fail_percent == 0) {
        h->w.mode = FEED_IOV;
    }
    wire_push(&h->w);
    h->w.mode = mode;
}

static void feed_some(struct hostile *h)
{
    uint32_t id = any_id(h);

    if (bytes_len(&h->w.in) > 0) { /* paused: the peer goes on later */
        wire_push(&h->w);
        return;
    }
    if (h->bursts && rng_chance(&h->rng, 30)) {
        feed_burst(h);
        return;
    }
    if (h->bulk && rng_chance(&h->rng, 30)) {
        feed_bulk(h);
        return;
    }
    switch (rng_below(&h->rng, 40)) {
    case 0:
        if (h->wild) {
            wire_header(&h->w, rng_below(&h->rng, 7), rng_below(&h->rng, 4) * 4, id);
        }
        break;
    case 1:
    case 2:
        wire_nop(&h->w);
        break;
    case 3:
    case 4:
    case 5:
        wire_fin(&h->w, id);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
        if (h->w.version == 2) {
            wire_upd(&h->w, id, any_count(h), any_count(h));
        }
        break;
    case 12:
        feed_psh(h, id, 0);
        break;
    default:
        if (rng_chance(&h->rng, 40)) {
            /* Our own parity would end the session too soon, most of the time. */
            id = !h->wild || rng_chance(&h->rng, 99) ? (id & ~1u) | (h->w.role == SMUX_SERVER) : id;
            wire_syn(&h->w, id);
        } else {
            feed_psh(h, id, rng_log(&h->rng, 1, 65535));
        }
        break;
    }
}

/* --- the application ----------------------------------------------------------------------- */

static void unpost(struct hostile *h)
{
    size_t len;

    if (h->posted != NULL) {
        smux_estream_unpost(h->w.engine, h->handles[h->post], &len);
        check_read(h, h->post, h->posted, len);
        free(h->posted);
        h->posted = NULL;
    }
}

static void post(struct hostile *h, uint32_t slot)
{
    size_t len = rng_log(&h->rng, 1, 65536);

    unpost(h);
    h->posted = malloc(len);
    ck_assert(h->posted != NULL);
    h->post = slot;
    if (smux_estream_post(h->w.engine, h->handles[slot], h->posted, len) != SMUX_OK) {
        free(h->posted);
        h->posted = NULL;
    }
}

static void lend_and_reclaim(struct hostile *h, smux_estream *stream)
{
    size_t len = rng_log(&h->rng, 1, 65536);
    uint8_t *data = calloc(1, len);
    size_t kept = 0;

    ck_assert(data != NULL);
    if (smux_estream_lend(h->w.engine, stream, data, len) == SMUX_OK) {
        wire_take(&h->w, rng_log(&h->rng, 1, 100000));
        int status = smux_estream_reclaim(h->w.engine, stream, &kept);

        must(status == SMUX_OK || (status == SMUX_EIO && h->w.heap.fail_percent > 0), "reclaim: %s",
             smux_status_name(status));
        must(kept <= len, "%zu of %zu lent bytes kept", kept, len);
    }
    free(data);
}

static void use_stream(struct hostile *h, uint32_t slot)
{
    smux_estream *stream = h->handles[slot];
    size_t len = rng_log(&h->rng, 1, sizeof(h->buf));
    size_t done;

    switch (rng_below(&h->rng, 16)) {
    case 0:
        (void)smux_estream_shutdown(h->w.engine, stream);
        break;
    case 1:
        smux_estream_abort(h->w.engine, stream, SMUX_EABORTED);
        break;
    case 2:
    case 3:
        if (h->posted != NULL && h->post == slot) {
            unpost(h);
        }
        smux_estream_close(h->w.engine, stream);
        h->handles[slot] = NULL;
        break;
    case 4:
        post(h, slot);
        break;
    case 5:
        lend_and_reclaim(h, stream);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        (void)smux_estream_write(h->w.engine, stream, h->buf, len, &done);
        break;
    default:
        if (h->posted == NULL || h->post != slot) {
            read_some(h, slot, len);
        }
        break;
    }
}

static void take_up(struct hostile *h, uint32_t slot, int status)
{
    if (status != SMUX_OK) {
        h->handles[slot] = NULL;
        return;
    }
    bool ours = (smux_estream_id(h->handles[slot]) & 1) == (h->w.role == SMUX_CLIENT);
    if (ours) {
        add_mark(h, smux_estream_id(h->handles[slot])); /* opened here, most often */
    }
    begin_reading(h, slot);
    h->readings[slot].anywhere = ours && !smux_engine_wants_read(h->w.engine);
}

/* Takes all news, and reads what there is. */
static void attend(struct hostile *h)
{
    unsigned events;
    smux_estream *stream;

    while ((stream = smux_engine_next_ready(h->w.engine, &events)) != NULL) {
        for (uint32_t slot = 0; slot < HANDLES; slot++) {
            bool waits = h->posted != NULL && h->post == slot;

            if (h->handles[slot] == stream && !waits && (events & SMUX_EVENT_READABLE) != 0) {
                read_some(h, slot, sizeof(h->buf));
            }
        }
    }
}

static void use_session(struct hostile *h)
{
    uint32_t slot = rng_below(&h->rng, HANDLES);
    unsigned events;

    if (h->handles[slot] != NULL) {
        use_stream(h, slot);
    } else if (rng_chance(&h->rng, 70)) {
        take_up(h, slot, smux_engine_accept(h->w.engine, &h->handles[slot]));
    } else {
        take_up(h, slot, smux_engine_open(h->w.engine, &h->handles[slot]));
    }
    if (h->attends) {
        attend(h);
    } else if (rng_chance(&h->rng, 30)) {
        (void)smux_engine_next_ready(h->w.engine, &events);
    }
    if (rng_chance(&h->rng, 1) && rng_chance(&h->rng, 20)) {
        smux_engine_drain(h->w.engine);
    }
}

/* --- a run --------------------------------------------------------------------------------- */

static void choose_config(struct hostile *h)
{
    struct smux_config *c = &h->config;
    uint32_t window = rng_log(&h->rng, 1, 1 << 20);

    *c = wire_config(1 + rng_below(&h->rng, 2));
    c->max_stream_buffer = window;
    c->max_receive_buffer = rng_log(&h->rng, window, 4 << 20);
    c->max_frame_size = rng_log(&h->rng, 1, 65535);
    c->accept_backlog = rng_log(&h->rng, 1, 20);
    c->max_remote_streams = rng_log(&h->rng, 1, 40);
    c->max_refusals = rng_log(&h->rng, 1, 50);
    c->max_discards = rng_chance(&h->rng, 30) ? SMUX_OFF : rng_log(&h->rng, 1, 20);
    c->accept_guard_ms = rng_chance(&h->rng, 50) ? SMUX_OFF : 5;
    c->fin_linger_ms = rng_chance(&h->rng, 50) ? SMUX_OFF : 250;
    c->keepalive_interval_ms = rng_chance(&h->rng, 50) ? SMUX_OFF : 1000;
    c->stall_timeout_ms = rng_chance(&h->rng, 50) ? 0 : 1000;
    c->max_unanswered_opens = rng_chance(&h->rng, 70) ? 0 : rng_log(&h->rng, 1, 5);
    if (h->bursts) {
        c->max_receive_buffer = rng_between(&h->rng, 1 << 18, 4 << 20);
        c->max_stream_buffer = rng_log(&h->rng, 2048, 1 << 18);
        c->accept_backlog = 20;
    }
    c->glitch_burst = rng_chance(&h->rng, 50) ? SMUX_OFF : rng_log(&h->rng, 100, 10000);
    c->allow_any_parity = rng_chance(&h->rng, 30);
}

/* The limits that choose_config() leaves alone, by a sequence of their own: seeds that are known from
 * the time before it do the same up to here. */
static void choose_more(struct hostile *h, uint64_t seed)
{
    struct smux_config *c = &h->config;
    struct rng own;

    rng_seed(&own, ~seed);
    if (rng_chance(&own, 30)) {
        c->max_stream_buffer = 0; /* tunes itself */
        c->max_window_growth = rng_chance(&own, 30) ? SMUX_OFF : rng_log(&own, 1, 16 << 20);
    }
    if (rng_chance(&own, 50)) {
        c->max_send_buffer = rng_log(&own, 1, 1 << 20);
        c->max_stream_send_buffer = rng_log(&own, 1, 262144);
    }
    c->glitch_rate = rng_chance(&own, 50) ? 0 : rng_log(&own, 1, 1000);
    if (rng_chance(&own, 30)) {
        c->keepalive_mode = rng_below(&own, 3);
        c->keepalive_timeout_ms = rng_log(&own, 1000, 120000);
        c->frame_timeout_ms = rng_log(&own, 1, 120000);
        c->send_stall_timeout_ms = rng_log(&own, 100, 120000);
        c->idle_timeout_ms = rng_log(&own, 100, 120000);
    }
    if (rng_chance(&own, 50)) {
        c->half_close_timeout_ms = rng_log(&own, 1, 60000);
        c->accept_timeout_ms = rng_log(&own, 1, 30000);
    }
}

/* Checks the complete frames that the engine sent, and forgets them. */
static void check_output(struct hostile *h)
{
    struct frame frame;
    size_t len;

    while ((len = frame_next(bytes_head(&h->w.out), bytes_len(&h->w.out), &frame)) > 0) {
        const char *fault = frame_fault(&frame, h->w.version);

        must(fault == NULL, "I10: %s emitted: %s", frame_name(frame.cmd), fault);
        bytes_drop(&h->w.out, len);
    }
}

/* What windows may add to the budget. */
static uint32_t most_growth(const struct smux_config *c)
{
    if (c->max_stream_buffer != 0 || c->max_window_growth == SMUX_OFF) {
        return 0;
    }
    return c->max_window_growth;
}

static void check(struct hostile *h)
{
    const struct smux_config *c = &h->config;
    struct smux_session_stats stats = wire_stats(&h->w);
    int error = smux_engine_error(h->w.engine);
    size_t streams = stats.streams_now + HANDLES + 40;

    note_budget(h);
    size_t limit = (size_t)h->budget + h->budget / 4 + 2 * 65536;

    limit += streams * 512 + (1 << 20) + (1 << 19) + 4096 * streams + 262144; /* the send side */
    if (h->error == SMUX_OK) {
        h->error = error;
    }
    must(error == h->error, "I16: the error changes from %s to %s", smux_status_name(h->error),
         smux_status_name(error));
    must(h->w.heap.now <= limit, "I3: heap of %zu bytes, %zu allowed", h->w.heap.now, limit);
    must(stats.receive_buffer <= (uint64_t)h->budget + 65534 + 33000,
         "I3: %u bytes charged to a budget of %u", (unsigned)stats.receive_buffer,
         (unsigned)h->budget);
    must(stats.receive_budget <= (uint64_t)c->max_receive_buffer + most_growth(c),
         "L3: a budget of %u", (unsigned)stats.receive_budget);
    h->shared_input = h->shared_input || inside_shares_input(h->w.engine);
    must(inside_discards(h->w.engine) <= (c->max_discards == SMUX_OFF ? 0 : c->max_discards),
         "I11: %u discard records", (unsigned)inside_discards(h->w.engine));
    must(stats.backlog_now <= c->accept_backlog, "I11: %u streams wait",
         (unsigned)stats.backlog_now);
}

/* Bytes of frames without payload that were formed so far. */
static uint64_t control_out(const struct hostile *h)
{
    struct smux_session_stats s = wire_stats(&h->w);

    return FRAME_HEADER * (s.frames_out.syn + s.frames_out.fin + s.frames_out.nop) +
           FRAME_UPD * s.frames_out.upd;
}

/* Whatever the peer sends while the application does nothing, the answer is one FIN and one update
 * for each stream there is or was, and one FIN for each refusal that may wait [I9]. */
static void check_answers(struct hostile *h)
{
    const struct smux_config *c = &h->config;
    uint64_t streams = c->max_remote_streams + HANDLES + 20; /* and discard records */
    uint64_t before;

    h->w.blocked = false;
    wire_pump(&h->w);
    check_output(h);
    before = control_out(h);
    h->w.blocked = true;
    for (int i = 0; i < 200; i++) {
        feed_some(h);
    }
    h->w.blocked = false;
    wire_pump(&h->w);
    must(control_out(h) - before <= (FRAME_HEADER + FRAME_UPD) * streams +
                                        FRAME_HEADER * (uint64_t)c->max_refusals + FRAME_HEADER,
         "I9: %llu bytes of answers", (unsigned long long)(control_out(h) - before));
}

static void note(struct hostile *h)
{
    struct smux_session_stats stats = wire_stats(&h->w);

    h->hash = rng_mix(h->hash ^ stats.wire_out) + rng_mix(stats.payload_in + h->w.heap.now) +
              stats.glitches;
}

static void finish(struct hostile *h)
{
    unpost(h);
    h->w.heap.fail_percent = 0;
    for (uint32_t i = 0; i < HANDLES; i++) {
        if (h->handles[i] != NULL) {
            smux_estream_close(h->w.engine, h->handles[i]);
        }
    }
    h->w.blocked = false;
    wire_pump(&h->w);
    check_output(h);
    check(h);
    wire_stop(&h->w);
    for (uint32_t i = 0; i < IDS; i++) {
        bytes_free(&h->arrivals[i].payload);
    }
    bytes_free(&h->taken);
}

/* Runs one seed. Tells whether small frames that came together waited to be read. */
static bool run_hostile(uint64_t seed, uint64_t *out_hash)
{
    static struct hostile hostile;
    struct hostile *h = &hostile;

    memset(h, 0, sizeof(*h));
    rng_seed(&h->rng, seed);
    h->wild = rng_chance(&h->rng, 20);
    h->bursts = rng_chance(&h->rng, 70);
    h->attends = rng_chance(&h->rng, 70);
    h->bulk = rng_mix(seed) % 4 == 0;
    choose_config(h);
    choose_more(h, seed);
    wire_start(&h->w, rng_chance(&h->rng, 70) ? SMUX_SERVER : SMUX_CLIENT, &h->config,
               rng_chance(&h->rng, 60) ? FEED_RANDOM : FEED_WHOLE);
    if (h->w.mode == FEED_WHOLE && rng_chance(&h->rng, 20)) {
        h->w.heap.fail_percent = rng_log(&h->rng, 1, 30);
    }
    h->w.watch = look_at_input;
    h->w.watch_ctx = h;
    for (int step = 0; step < STEPS; step++) {
        uint32_t dice = rng_below(&h->rng, 100);

        if (dice < 45) {
            feed_some(h);
        } else if (dice < 80) {
            use_session(h);
        } else if (dice < 92) {
            wire_take(&h->w, rng_log(&h->rng, 1, 200000));
        } else {
            h->w.blocked = rng_chance(&h->rng, 50);
            wire_sleep(&h->w, rng_log(&h->rng, 1, 20000));
        }
        if (rng_chance(&h->rng, 1)) {
            check_answers(h);
        }
        check_output(h);
        check(h);
        note(h);
    }
    finish(h);
    *out_hash = h->hash;
    return h->shared_input;
}

static void run(uint64_t seed)
{
    uint64_t hash;

    (void)run_hostile(seed, &hash);
}

START_TEST(hostile_frames_and_random_calls_do_no_harm)
{
    seeds_run(_i, run);
}
END_TEST

START_TEST(I15_same_seed_same_trace)
{
    seeds_expect_same_traces(run_hostile);
}
END_TEST

START_TEST(frames_share_the_intray_in_a_third_of_the_sessions)
{
    seeds_expect_intray(run_hostile);
}
END_TEST

START_TEST(one_seed)
{
    uint64_t seed;

    seeds_single(&seed);
    run(seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile peer");
    TCase *tc = tcase_create("hostile peer");
    struct rng rng;
    uint64_t seed;

    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)rng_next(&rng);
    }
    tcase_set_timeout(tc, 300);
    seeds_init(BATCHES, DEFAULT_SEEDS);
    if (seeds_single(&seed)) {
        tcase_add_test(tc, one_seed);
    } else {
        tcase_add_loop_test(tc, hostile_frames_and_random_calls_do_no_harm, 0, BATCHES);
        tcase_add_test(tc, I15_same_seed_same_trace);
        tcase_add_test(tc, frames_share_the_intray_in_a_third_of_the_sessions);
    }
    suite_add_tcase(suite, tc);
    return suite_main(suite);
}
