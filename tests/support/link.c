#include "link.h"

#include "must.h"
#include <string.h>

struct link_mark {
    uint64_t at;
    size_t len;
};

void link_init(struct link *link, smux_engine *client, smux_engine *server, struct rng *rng,
               uint64_t now)
{
    memset(link, 0, sizeof(*link));
    link->ends[0].engine = client;
    link->ends[1].engine = server;
    link->rng = rng;
    link->now = now;
    for (int i = 0; i < 2; i++) {
        link->dirs[i].take = 65536;
        link->dirs[i].give = 65536;
        link->dirs[i].give_least = 1;
        link->dirs[i].capacity = 1 << 20;
        link->dirs[i].cut_at = UINT64_MAX;
        link->ends[i].now = now;
        link->ends[i].max_recv_iov = i == 0 ? 20 : 2;
    }
}

void link_free(struct link *link)
{
    for (int i = 0; i < 2; i++) {
        bytes_free(&link->dirs[i].bytes);
        bytes_free(&link->dirs[i].marks);
        audit_free(&link->ends[i].audit);
    }
}

void link_note(struct link *link, uint64_t number)
{
    link->hash = rng_mix(link->hash ^ number) + number;
}

/* The time as an engine is told it. One that goes back counts as the largest one seen. */
static uint64_t tell_time(struct link *link, struct link_end *end)
{
    if (link->back_percent > 0 && rng_chance(link->rng, link->back_percent)) {
        uint64_t back = rng_log(link->rng, 1, UINT32_MAX);

        return back < end->now ? end->now - back : 0;
    }
    end->now = link->now;
    return link->now;
}

static uint64_t hash_bytes(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t hash = len;
    uint64_t word;

    for (; len >= 8; len -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    for (; len > 0; len--, bytes++) {
        hash = (hash ^ *bytes) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void object(struct link *link, const char *fault)
{
    if (link->fault == NULL) {
        link->fault = fault;
    }
}

/* --- the cut ------------------------------------------------------------------------------- */

static void break_link(struct link *link, unsigned i)
{
    struct link_dir *dir = &link->dirs[i];

    dir->broken = true;
    if (dir->cut != CUT_HALF) {
        smux_engine_fail(link->ends[i].engine, SMUX_EIO, "cut");
    }
    if (dir->cut == CUT_RESET) {
        smux_engine_fail(link->ends[1 - i].engine, SMUX_EIO, "cut");
        link->dirs[1 - i].broken = true;
        bytes_drop(&dir->bytes, bytes_len(&dir->bytes));
        bytes_drop(&dir->marks, bytes_len(&dir->marks));
    }
}

void link_end_direction(struct link *link, unsigned i)
{
    if (!link->dirs[i].broken) {
        link->dirs[i].broken = true;
        link->dirs[i].cut = CUT_HALF;
    }
}

/* --- sending ------------------------------------------------------------------------------- */

static size_t show_send(struct link *link, unsigned i, uint64_t *out_hash)
{
    struct link_end *end = &link->ends[i];
    size_t total = 0;

    *out_hash = 0;
    for (int n = 0; n < end->num_send_iov; n++) {
        if (end->send_iov[n].len == 0) {
            object(link, "empty vector to send");
        }
        *out_hash = rng_mix(*out_hash ^ hash_bytes(end->send_iov[n].base, end->send_iov[n].len));
        total += end->send_iov[n].len;
    }
    return total;
}

static bool begin_send(struct link *link, unsigned i)
{
    struct link_end *end = &link->ends[i];
    int max = (int)rng_log(link->rng, 1, 64);
    bool wants = smux_engine_wants_write(end->engine);

    if (end->now < link->now) { /* it may not know how late it is */
        wants = wants || smux_engine_deadline(end->engine) <= link->now;
    }
    end->num_send_iov = smux_engine_send_iov(end->engine, end->send_iov, max, tell_time(link, end));
    if (!wants && end->num_send_iov > 0) {
        object(link, "something to send that wants_write did not tell");
    }
    if (end->num_send_iov == 0) {
        /* What was due may have become void; then it must not be told again. */
        if (smux_engine_wants_write(end->engine) && !link->no_memory) {
            object(link, "wants_write goes on, but send_iov gives nothing");
        }
        return false;
    }
    (void)show_send(link, i, &end->send_hash);
    end->sending = true;
    return true;
}

/* When a piece that is taken now arrives. */
static uint64_t arrival(struct link *link, struct link_dir *dir, size_t len)
{
    uint64_t at = dir->busy_until > link->now ? dir->busy_until : link->now;

    if (dir->rate > 0) {
        at += len * UINT64_C(1000000) / dir->rate;
        dir->busy_until = at;
    }
    at += dir->latency_us;
    if (dir->jitter_us > 0) {
        at += rng_below(link->rng, dir->jitter_us);
    }
    dir->last_arrival = at > dir->last_arrival ? at : dir->last_arrival;
    return dir->last_arrival;
}

/* Puts up to `len` of the bytes handed out onto the way. */
static void put_on_the_way(struct link *link, unsigned i, size_t len)
{
    struct link_end *end = &link->ends[i];
    struct link_dir *dir = &link->dirs[i];
    struct link_mark mark = {arrival(link, dir, len), len};

    for (int n = 0; n < end->num_send_iov && len > 0; n++) {
        size_t part = end->send_iov[n].len < len ? end->send_iov[n].len : len;
        const char *fault = audit_out(&end->audit, end->send_iov[n].base, part, link->now);

        if (fault != NULL) {
            object(link, fault);
        }
        link_note(link, hash_bytes(end->send_iov[n].base, part));
        if (!dir->broken) {
            bytes_put(&dir->bytes, end->send_iov[n].base, part);
        }
        len -= part;
    }
    if (!dir->broken) {
        bytes_put(&dir->marks, &mark, sizeof(mark));
    }
    dir->passed += mark.len;
}

static size_t room_on_the_way(const struct link_dir *dir)
{
    size_t used = bytes_len(&dir->bytes);

    if (dir->broken) {
        return dir->take;
    }
    return used >= dir->capacity ? 0 : dir->capacity - used;
}

static bool finish_send(struct link *link, unsigned i)
{
    struct link_end *end = &link->ends[i];
    struct link_dir *dir = &link->dirs[i];
    uint64_t hash;
    size_t total = show_send(link, i, &hash);
    size_t len = rng_log(link->rng, 1, dir->take);

    if (hash != end->send_hash) {
        object(link, "memory of a send under way changed");
    }
    len = len < total ? len : total;
    if (len > room_on_the_way(dir)) {
        len = room_on_the_way(dir);
    }
    if (!dir->broken && dir->cut != CUT_NONE && len > dir->cut_at - dir->passed) {
        len = (size_t)(dir->cut_at - dir->passed);
    }
    end->sending = false;
    if (smux_engine_error(end->engine) != SMUX_OK) {
        len = 0; /* died meanwhile: its output no longer counts */
    }
    if (len > 0) {
        put_on_the_way(link, i, len);
    }
    smux_engine_send_commit(end->engine, len, tell_time(link, end));
    if (!dir->broken && dir->cut != CUT_NONE && dir->passed == dir->cut_at) {
        break_link(link, i);
        return true;
    }
    return len > 0;
}

/* The owner of a dead session closes the transport: the other end reads what is on its way,
 * then the end. */
static void close_dead(struct link *link, unsigned i)
{
    struct link_dir *dir = &link->dirs[i];

    if (!dir->broken && smux_engine_error(link->ends[i].engine) != SMUX_OK) {
        dir->broken = true;
        dir->cut = CUT_END;
    }
}

bool link_send(struct link *link, unsigned i)
{
    struct link_end *end = &link->ends[i];

    if (!end->sending) {
        close_dead(link, i);
        if (room_on_the_way(&link->dirs[i]) == 0 || !begin_send(link, i)) {
            return false;
        }
        if (link->overlap && rng_chance(link->rng, 30)) {
            return true; /* stays under way until the next call */
        }
    }
    return finish_send(link, i);
}

/* --- receiving ----------------------------------------------------------------------------- */

/* Bytes that have arrived at the end opposite to `i` and were not read yet. */
static size_t arrived(const struct link *link, unsigned i)
{
    const struct link_dir *dir = &link->dirs[i];
    size_t total = 0;
    struct link_mark mark;

    if (link->now < dir->frozen_until) {
        return 0;
    }
    for (size_t at = 0; at < bytes_len(&dir->marks) && total < dir->give; at += sizeof(mark)) {
        memcpy(&mark, bytes_head(&dir->marks) + at, sizeof(mark));
        if (mark.at > link->now) {
            break;
        }
        total += mark.len;
    }
    return total;
}

/* Takes bytes off the way. */
static void drop_arrived(struct link *link, unsigned i, size_t len)
{
    struct link_dir *dir = &link->dirs[i];
    struct link_mark mark;

    bytes_drop(&dir->bytes, len);
    while (len > 0) {
        memcpy(&mark, bytes_head(&dir->marks), sizeof(mark));
        if (mark.len > len) {
            mark.len -= len;
            memcpy(bytes_head(&dir->marks), &mark, sizeof(mark));
            return;
        }
        len -= mark.len;
        bytes_drop(&dir->marks, sizeof(mark));
    }
}

static size_t piece_to_give(struct link *link, unsigned i)
{
    size_t len = arrived(link, i);
    size_t piece = rng_log(link->rng, link->dirs[i].give_least, link->dirs[i].give);

    return piece < len ? piece : len;
}

static bool give_by_copy(struct link *link, unsigned i, size_t len)
{
    struct link_end *end = &link->ends[1 - i];
    const uint8_t *data = bytes_head(&link->dirs[i].bytes);
    size_t taken = 0;
    int status = smux_engine_recv(end->engine, data, len, tell_time(link, end), &taken);

    if (status != smux_engine_error(end->engine) || taken > len) {
        object(link, "recv reports nonsense");
    }
    audit_in(&end->audit, data, taken, end->now);
    drop_arrived(link, i, taken);
    link_note(link, taken);
    if (taken < len && status == SMUX_OK && smux_engine_wants_read(end->engine)) {
        object(link, "recv took less although the engine wants to read");
    }
    return taken > 0;
}

static bool finish_receive(struct link *link, unsigned i)
{
    struct link_end *end = &link->ends[1 - i];
    size_t len = piece_to_give(link, i);
    size_t done = 0;

    for (int n = 0; n < end->num_recv_iov; n++) {
        struct smux_iov *iov = &end->recv_iov[n];
        size_t part = iov->len < len - done ? iov->len : len - done;

        if (part > 0) {
            memcpy(iov->base, bytes_head(&link->dirs[i].bytes) + done, part);
        }
        done += part;
    }
    end->receiving = false;
    (void)smux_engine_recv_commit(end->engine, done, tell_time(link, end));
    if (done > 0) {
        audit_in(&end->audit, bytes_head(&link->dirs[i].bytes), done, end->now);
    }
    drop_arrived(link, i, done);
    link_note(link, done);
    return done > 0;
}

/* Tells the receiver of a direction that ended, once all bytes before the cut were read. */
static bool tell_end(struct link *link, unsigned i)
{
    struct link_dir *dir = &link->dirs[i];

    if (dir->ended || !dir->broken || bytes_len(&dir->bytes) > 0 || dir->cut == CUT_NONE ||
        dir->cut == CUT_RESET) {
        return false;
    }
    dir->ended = true;
    smux_engine_recv_eof(link->ends[1 - i].engine, tell_time(link, &link->ends[1 - i]));
    return true;
}

bool link_deliver(struct link *link, unsigned i)
{
    struct link_end *end = &link->ends[1 - i];
    size_t len;

    if (end->receiving) {
        return finish_receive(link, i);
    }
    if (tell_end(link, i)) {
        return true;
    }
    len = piece_to_give(link, i);
    if (len == 0) {
        return false;
    }
    if (smux_engine_error(end->engine) != SMUX_OK) { /* nobody reads any more */
        drop_arrived(link, i, len);
        return true;
    }
    if (!smux_engine_wants_read(end->engine)) {
        return false;
    }
    if (rng_chance(link->rng, 50)) {
        return give_by_copy(link, i, len);
    }
    end->num_recv_iov = smux_engine_recv_iov(end->engine, end->recv_iov, end->max_recv_iov);
    if (end->num_recv_iov == 0) {
        return false; /* no memory */
    }
    end->receiving = true;
    if (link->overlap && rng_chance(link->rng, 30)) {
        return true;
    }
    return finish_receive(link, i);
}

void link_settle(struct link *link, unsigned i)
{
    if (link->ends[i].sending) {
        finish_send(link, i);
    }
    if (link->ends[i].receiving) {
        finish_receive(link, 1 - i);
    }
}

/* --- time ---------------------------------------------------------------------------------- */

bool link_busy(const struct link *link)
{
    return bytes_len(&link->dirs[0].bytes) > 0 || bytes_len(&link->dirs[1].bytes) > 0;
}

uint64_t link_next(const struct link *link)
{
    uint64_t next = SMUX_NEVER;

    for (unsigned i = 0; i < 2; i++) {
        const struct link_dir *dir = &link->dirs[i];
        uint64_t due = smux_engine_deadline(link->ends[i].engine);
        struct link_mark mark;

        next = due < next ? due : next;
        if (bytes_len(&dir->marks) > 0) {
            memcpy(&mark, bytes_head(&dir->marks), sizeof(mark));
            due = mark.at > dir->frozen_until ? mark.at : dir->frozen_until;
            /* What has arrived and is not read waits for the reader, not for the time. */
            if (due > link->now && due < next) {
                next = due;
            }
        }
    }
    return next;
}

void link_set_now(struct link *link, uint64_t now)
{
    uint64_t before = link->now;

    link->now = now > link->now ? now : link->now;
    for (unsigned i = 0; i < 2; i++) {
        smux_engine *engine = link->ends[i].engine;
        uint64_t deadline = smux_engine_deadline(engine);

        if (deadline <= link->now) {
            link->ends[i].now = link->now;
            int status = smux_engine_tick(engine, link->now);

            /* One that is past already is no timer's: a call on a stream asked for the time. */
            link->ticks += deadline > before ? 1 : 0;
            if (status != smux_engine_error(engine)) {
                object(link, "tick reports another error");
            }
            if (smux_engine_deadline(engine) <= link->now) {
                object(link, "a deadline that was served is still due");
            }
        }
    }
}
