#include "hostile.h"

#include "rng.h"

#include <string.h>

#define MAX_FED (1u << 20) /* an input must not take long */

/* --- what passes --------------------------------------------------------------------------- */

static void watch_frame(void *ctx, bool out, const struct frame *frame)
{
    struct hostile *h = ctx;

    if (out) {
        peer_got_frame(&h->peer, frame);
        h->controls += frame->cmd != CMD_PSH;
    }
}

static void watch_payload(void *ctx, bool out, uint32_t id, const uint8_t *data, size_t len)
{
    struct hostile *h = ctx;

    if (out) {
        must(peer_got_payload(&h->peer, id, data, len), "stream %u: wrong data is sent", id);
    }
}

void hostile_watch(struct hostile *h, unsigned version)
{
    uint32_t guard_ms = h->config.accept_guard_ms != 0 ? h->config.accept_guard_ms : 5;

    audit_init(&h->audit, h->role, version, guard_ms == SMUX_OFF ? 0 : (uint64_t)guard_ms * 1000);
    h->watch = (struct audit_watch){watch_frame, watch_payload, h};
    h->audit.watch = &h->watch;
}

/* --- in ------------------------------------------------------------------------------------ */

static void note_frame(struct hostile *h, const struct record *record, uint8_t *payload)
{
    struct peer_id *id;

    if (record->cmd > CMD_PSH) {
        return;
    }
    id = peer_find(&h->peer, record->id);
    if (record->cmd == CMD_SYN) {
        peer_begin(id);
    } else if (record->cmd == CMD_FIN) {
        peer_end(id);
    } else {
        peer_payload(id, payload, record->len);
    }
}

void hostile_frame(struct hostile *h, struct record record, struct fuzz_input *in)
{
    size_t body = record.cmd == CMD_PSH ? record.len : 0;
    uint8_t *at;

    if (h->fed + RECORD_HEADER + body > MAX_FED || h->ended || h->peer.num_ids == PEER_IDS) {
        return;
    }
    at = bytes_room(&h->in, RECORD_HEADER + body);
    record_store(at, record);
    note_frame(h, &record, at + RECORD_HEADER);
    h->fed += RECORD_HEADER + body;
    if (record.cmd == CMD_UPD && record.len == FRAME_UPD - FRAME_HEADER) {
        uint64_t fields = fuzz_u64(in);
        uint8_t *out = bytes_room(&h->in, 8);

        for (unsigned i = 0; i < 8; i++) {
            out[i] = (uint8_t)(fields >> (8 * i));
        }
    }
}

static size_t give_by_copy(struct hostile *h)
{
    size_t len = bytes_len(&h->in) < h->piece ? bytes_len(&h->in) : h->piece;
    const uint8_t *data = guard_copy(h->guard, bytes_head(&h->in), len);
    size_t taken = 0;
    int status = smux_engine_recv(h->engine, data, len, h->now, &taken);

    must(status == smux_engine_error(h->engine) && taken <= len, "recv reports nonsense");
    must(taken == len || status != SMUX_OK || !smux_engine_wants_read(h->engine),
         "recv took less although the engine wants to read");
    audit_in(&h->audit, data, taken, h->now);
    bytes_drop(&h->in, taken);
    return taken;
}

static size_t finish_receive(struct hostile *h)
{
    size_t len = bytes_len(&h->in) < h->piece ? bytes_len(&h->in) : h->piece;
    size_t done = 0;

    for (int i = 0; i < h->num_recv_iov; i++) {
        size_t part = h->recv_iov[i].len < len - done ? h->recv_iov[i].len : len - done;

        if (part > 0) {
            memcpy(h->recv_iov[i].base, bytes_head(&h->in) + done, part);
        }
        done += part;
    }
    h->receiving = false;
    if (smux_engine_error(h->engine) != SMUX_OK) {
        done = 0;
    }
    if (done > 0) {
        audit_in(&h->audit, bytes_head(&h->in), done, h->now);
    }
    (void)smux_engine_recv_commit(h->engine, done, h->now);
    bytes_drop(&h->in, done);
    return done;
}

static size_t give_by_iov(struct hostile *h)
{
    h->num_recv_iov = smux_engine_recv_iov(h->engine, h->recv_iov, 20);
    if (h->num_recv_iov == 0) {
        return 0; /* no memory */
    }
    h->receiving = true;
    return h->lingers ? 0 : finish_receive(h);
}

void hostile_push(struct hostile *h)
{
    if (h->receiving) {
        (void)finish_receive(h);
    }
    while (bytes_len(&h->in) > 0 && smux_engine_wants_read(h->engine)) {
        if ((h->by_iov ? give_by_iov(h) : give_by_copy(h)) == 0) {
            break;
        }
    }
    if (smux_engine_error(h->engine) != SMUX_OK) { /* nobody reads any more */
        bytes_drop(&h->in, bytes_len(&h->in));
    }
}

/* --- out ----------------------------------------------------------------------------------- */

/* Of what the send shows; one byte in eight at least, and both ends of each piece. */
static uint64_t hash_shown(const struct hostile *h, size_t *out_total)
{
    uint64_t hash = 0;

    *out_total = 0;
    for (int i = 0; i < h->num_send_iov; i++) {
        const uint8_t *at = h->send_iov[i].base;
        size_t len = h->send_iov[i].len;

        must(len > 0, "empty vector to send");
        for (size_t n = 0; n < len; n += n < 16 ? 1 : 8) {
            hash = (hash ^ at[n]) * UINT64_C(0x100000001b3);
        }
        hash = (hash ^ at[len - 1]) * UINT64_C(0x100000001b3);
        *out_total += len;
    }
    return hash;
}

static bool begin_send(struct hostile *h)
{
    bool wants = smux_engine_wants_write(h->engine);
    uint64_t failures = h->heap.failures;
    size_t total;

    h->num_send_iov = smux_engine_send_iov(h->engine, h->send_iov, 64, h->now);
    must(wants || h->num_send_iov == 0, "something to send that wants_write did not tell");
    if (h->num_send_iov == 0) {
        must(!smux_engine_wants_write(h->engine) || h->heap.failures > failures,
             "wants_write goes on, but send_iov gives nothing");
        return false;
    }
    h->send_hash = hash_shown(h, &total);
    h->sending = true;
    return true;
}

static size_t finish_send(struct hostile *h, size_t limit)
{
    size_t shown, total, left;

    must(hash_shown(h, &shown) == h->send_hash, "memory of a send under way has changed");
    total = shown < limit ? shown : limit;
    if (smux_engine_error(h->engine) != SMUX_OK) {
        total = 0; /* died meanwhile: its output does not count any more */
    }
    left = total;
    h->audit.version = smux_engine_version(h->engine); /* the peer may have chosen it [VER-2] */
    for (int i = 0; i < h->num_send_iov && left > 0; i++) {
        size_t part = h->send_iov[i].len < left ? h->send_iov[i].len : left;
        const char *fault = audit_out(&h->audit, h->send_iov[i].base, part, h->now);

        must(fault == NULL, "%s", fault); /* [I10, I5] */
        left -= part;
    }
    h->sending = false;
    h->unsent = shown - total;
    smux_engine_send_commit(h->engine, total, h->now);
    return total;
}

void hostile_take(struct hostile *h, size_t len, bool later)
{
    if (h->sending) {
        (void)finish_send(h, len);
        return;
    }
    if (later) {
        (void)begin_send(h);
        return;
    }
    while (len > 0 && begin_send(h)) {
        size_t taken = finish_send(h, len);

        if (taken == 0) {
            break;
        }
        len -= taken;
    }
}

void hostile_settle(struct hostile *h)
{
    if (h->receiving) {
        (void)finish_receive(h);
    }
    if (h->sending) {
        (void)finish_send(h, SIZE_MAX);
    }
}

void hostile_tick(struct hostile *h, uint64_t us)
{
    h->now += us;
    must(smux_engine_tick(h->engine, h->now) == smux_engine_error(h->engine),
         "tick reports another error");
    must(smux_engine_deadline(h->engine) > h->now, "a deadline that was served is still due");
}
