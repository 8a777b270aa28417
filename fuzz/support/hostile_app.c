#include "hostile.h"

#include <stdlib.h>
#include <string.h>

/* --- what calls may return ----------------------------------------------------------------- */

/* A call on a stream failed: there must be a reason [I16]. */
static void check_error(const struct hostile *h, const struct hostile_stream *s, int status)
{
    int session = smux_engine_error(h->engine);
    bool may;

    if (session != SMUX_OK && status == session) {
        return;
    }
    switch (status) {
    case SMUX_EABORTED:
        may = s->aborted;
        break;
    case SMUX_ENOMEM:
        may = h->heap.failures > 0;
        break;
    case SMUX_ECONSUMED:
    case SMUX_EWINDOW:
        may = smux_engine_version(h->engine) == 2;
        break;
    case SMUX_ESTALLED:
        may = h->config.stall_timeout_ms != 0;
        break;
    case SMUX_ETRUNCATED:
        may = h->ended;
        break;
    case SMUX_EPIPE: /* after our shutdown or drain, or no credit came [FIN-9] */
        may = true;
        break;
    default:
        may = false;
        break;
    }
    must(may, "stream %u fails with %s (session: %s)", s->reader.id->id, smux_status_name(status),
         smux_status_name(session));
}

/* Returns whether there is data. The end of reading is final [FIN-2, I16]. */
static bool check_read(struct hostile *h, struct hostile_stream *s, int status)
{
    int session = smux_engine_error(h->engine);

    must(s->read_end == 0 || status == s->read_end || s->aborted || status == session,
         "reading ended with %s, and now there is %s", smux_status_name(s->read_end),
         smux_status_name(status));
    if (status == SMUX_OK || status == SMUX_EAGAIN) {
        return status == SMUX_OK;
    }
    if (status == SMUX_EOF) {
        must(s->read_end == SMUX_EOF || peer_check_eof(&s->reader),
             "end of file after %llu bytes is none", (unsigned long long)s->reader.read);
    } else {
        check_error(h, s, status);
    }
    s->read_end = status;
    return false;
}

static bool check_write(struct hostile *h, struct hostile_stream *s, int status)
{
    if (status != SMUX_OK && status != SMUX_EAGAIN) {
        check_error(h, s, status);
    }
    return status == SMUX_OK;
}

static void check_data(struct hostile_stream *s, const void *data, size_t len)
{
    must(peer_check_data(&s->reader, data, len), "stream %u: wrong data before offset %llu",
         s->reader.id->id, (unsigned long long)s->reader.read); /* [I1] */
}

/* --- opening ------------------------------------------------------------------------------- */

static void take_up(struct hostile *h, smux_estream *stream)
{
    struct hostile_stream **user = smux_estream_user(stream);

    must(*user == NULL, "memory of the owner is not zero");
    for (unsigned i = 0; i < HOSTILE_STREAMS; i++) {
        struct hostile_stream *s = &h->streams[i];

        if (s->stream == NULL) {
            memset(s, 0, sizeof(*s));
            s->stream = stream;
            s->reader = peer_reader(peer_find(&h->peer, smux_estream_id(stream)));
            *user = s;
            return;
        }
    }
    smux_estream_close(h->engine, stream); /* enough of them */
}

/* What the peer sent for the id before is not for this stream. If some of that has still to be
 * decoded, nothing is known of its data. */
static void call_open(struct hostile *h)
{
    smux_estream *stream = NULL;
    int status = smux_engine_open(h->engine, &stream);
    struct peer_id *id;

    if (status == SMUX_OK) {
        id = peer_find(&h->peer, smux_estream_id(stream));
        id->unknown = bytes_len(&h->in) > 0 || h->receiving || !smux_engine_wants_read(h->engine);
        peer_begin(id);
        take_up(h, stream);
        return;
    }
    must(status == smux_engine_error(h->engine) || (status == SMUX_EGOAWAY && h->drained) ||
             (status == SMUX_ENOMEM && h->heap.failures > 0) || h->ended,
         "open: %s", smux_status_name(status));
}

static bool call_accept(struct hostile *h)
{
    smux_estream *stream = NULL;
    int status = smux_engine_accept(h->engine, &stream);

    if (status == SMUX_OK) {
        take_up(h, stream);
        return true;
    }
    must(status == SMUX_EAGAIN || status == smux_engine_error(h->engine) || h->ended, "accept: %s",
         smux_status_name(status));
    return false;
}

/* --- reading ------------------------------------------------------------------------------- */

static void call_read(struct hostile *h, struct hostile_stream *s, size_t len)
{
    static uint8_t buf[65535];
    size_t got = 0;
    int status = smux_estream_read(h->engine, s->stream, buf, len, &got);

    if (len > 0 && check_read(h, s, status)) {
        must(got > 0 && got <= len, "read gave %zu of %zu", got, len);
        check_data(s, buf, got);
    }
}

static void call_peek(struct hostile *h, struct hostile_stream *s, size_t len, unsigned max)
{
    struct smux_iov iov[4];
    int n = 0;
    size_t done = 0;

    max = 1 + max % 4;
    if (!check_read(h, s, smux_estream_peek(h->engine, s->stream, iov, (int)max, &n))) {
        return;
    }
    must(n >= 1 && n <= (int)max, "peek gives %d vectors", n);
    for (int i = 0; i < n && done < len; i++) {
        size_t part = iov[i].len < len - done ? iov[i].len : len - done;

        must(iov[i].len > 0, "empty vector to read");
        check_data(s, iov[i].base, part);
        done += part;
    }
    smux_estream_consume(h->engine, s->stream, done);
}

static void call_unpost(struct hostile *h, struct hostile_stream *s)
{
    size_t len = 0;

    if (s->post == NULL) {
        return;
    }
    hostile_settle(h);
    smux_estream_unpost(h->engine, s->stream, &len);
    must(len <= s->post_len, "%zu bytes in posted memory of %zu", len, s->post_len);
    check_data(s, s->post, len);
    memset(s->post, 0xee, s->post_len);
    free(s->post);
    s->post = NULL;
}

/* One stream at a time has posted memory. */
static void call_post(struct hostile *h, struct hostile_stream *s, size_t len)
{
    int status;

    for (unsigned i = 0; i < HOSTILE_STREAMS; i++) {
        call_unpost(h, &h->streams[i]);
    }
    hostile_settle(h);
    s->post_len = len > 0 ? len : 1;
    s->post = malloc(s->post_len);
    must(s->post != NULL, "no memory for the test");
    status = smux_estream_post(h->engine, s->stream, s->post, s->post_len);
    if (status != SMUX_OK) {
        must(status == SMUX_EAGAIN, "post: %s", smux_status_name(status));
        free(s->post);
        s->post = NULL;
    }
}

/* --- writing ------------------------------------------------------------------------------- */

/* The peer may get so much of the stream from now on. */
static void note_written(struct hostile_stream *s, uint64_t written)
{
    if (written > s->reader.id->written) {
        s->reader.id->written = written;
    }
}

static void call_write(struct hostile *h, struct hostile_stream *s, size_t len)
{
    static uint8_t buf[65535];
    size_t taken = 0;
    int status;

    peer_app_data(s->reader.id, s->written, buf, len);
    status = smux_estream_write(h->engine, s->stream, buf, len, &taken);
    memset(buf, 0xee, len); /* [R8] */
    if (check_write(h, s, status)) {
        must(taken <= len && (taken > 0 || len == 0), "write took %zu of %zu", taken, len);
        s->written += taken;
        note_written(s, s->written);
    }
}

static void call_reserve(struct hostile *h, struct hostile_stream *s, size_t len, bool fill)
{
    struct smux_iov iov;
    int status = smux_estream_write_reserve(h->engine, s->stream, len > 0 ? len : 1, &iov);

    if (!check_write(h, s, status)) {
        return;
    }
    must(iov.len > 0, "room of 0 bytes");
    len = !fill ? 0 : len < iov.len ? len : iov.len;
    peer_app_data(s->reader.id, s->written, iov.base, len);
    smux_estream_write_commit(h->engine, s->stream, len);
    s->written += len;
    note_written(s, s->written);
}

static void call_reclaim(struct hostile *h, struct hostile_stream *s)
{
    size_t kept = 0;
    int status;

    if (s->loan == NULL) {
        return;
    }
    hostile_settle(h);
    status = smux_estream_reclaim(h->engine, s->stream, &kept);
    must(status == SMUX_OK || (status == SMUX_EIO && h->heap.failures > 0), "reclaim: %s",
         smux_status_name(status));
    must(kept <= s->loan_len, "%zu of %zu lent bytes kept", kept, s->loan_len);
    must(smux_estream_lent(h->engine, s->stream) == 0, "a loan is left after reclaim");
    memset(s->loan, 0xee, s->loan_len);
    free(s->loan);
    s->loan = NULL;
    s->written += kept;
}

/* Writing between loan and reclaim would make it unknown where what is written goes. */
static void call_lend(struct hostile *h, struct hostile_stream *s, size_t len)
{
    s->loan = malloc(len > 0 ? len : 1);
    must(s->loan != NULL, "no memory for the test");
    peer_app_data(s->reader.id, s->written, s->loan, len);
    s->loan_len = len;
    int status = smux_estream_lend(h->engine, s->stream, s->loan, len);
    if (status == SMUX_OK) {
        must(len > 0, "nothing was lent");
        note_written(s, s->written + len);
        return;
    }
    must(status != SMUX_EINVAL || len == 0, "lend: %s", smux_status_name(status));
    if (len > 0) {
        (void)check_write(h, s, status);
    }
    free(s->loan);
    s->loan = NULL;
}

/* --- the rest ------------------------------------------------------------------------------ */

static void call_priority(struct hostile *h, struct hostile_stream *s, unsigned class,
                          unsigned weight)
{
    bool good = class <= SMUX_PRIORITY_MAX && weight >= 1 && weight <= SMUX_WEIGHT_MAX;
    int status = smux_estream_set_priority(h->engine, s->stream, class, weight);

    must(status == (good ? SMUX_OK : SMUX_EINVAL), "class %u, weight %u: %s", class, weight,
         smux_status_name(status));
}

static void call_events(struct hostile *h)
{
    smux_estream *stream;
    unsigned events;
    unsigned n = 0;

    while ((stream = smux_engine_next_ready(h->engine, &events)) != NULL) {
        struct hostile_stream **user = smux_estream_user(stream);

        must(*user != NULL && (*user)->stream == stream, "event for a stream that is not ours");
        must(events == smux_estream_events(h->engine, stream), "event bits differ");
        must(++n <= HOSTILE_STREAMS, "events without end");
    }
}

static void call_close(struct hostile *h, struct hostile_stream *s)
{
    call_reclaim(h, s);
    call_unpost(h, s);
    smux_estream_close(h->engine, s->stream);
    s->stream = NULL;
}

static void call_on_stream(struct hostile *h, struct hostile_stream *s, struct record record)
{
    switch (record.cmd - RECORD_CALL) {
    case CALL_READ:
        call_unpost(h, s); /* what is there came first */
        call_read(h, s, record.len);
        break;
    case CALL_PEEK:
        call_unpost(h, s);
        call_peek(h, s, record.len, record.version);
        break;
    case CALL_WRITE:
        call_reclaim(h, s);
        call_write(h, s, record.len);
        break;
    case CALL_RESERVE:
        call_reclaim(h, s);
        call_reserve(h, s, record.len, record.version % 2 == 0);
        break;
    case CALL_LEND:
        call_reclaim(h, s);
        call_lend(h, s, record.len);
        break;
    case CALL_RECLAIM:
        call_reclaim(h, s);
        break;
    case CALL_POST:
        call_post(h, s, record.len);
        break;
    case CALL_UNPOST:
        call_unpost(h, s);
        break;
    case CALL_SHUTDOWN:
        (void)check_write(h, s, smux_estream_shutdown(h->engine, s->stream));
        break;
    case CALL_CLOSE:
        call_close(h, s);
        break;
    case CALL_ABORT:
        call_reclaim(h, s);
        smux_estream_abort(h->engine, s->stream, SMUX_EABORTED);
        s->aborted = true;
        break;
    default:
        call_priority(h, s, record.version, record.len);
        break;
    }
}

/* The stream that an id chooses; NULL when the application holds none. */
static struct hostile_stream *choose(struct hostile *h, uint32_t id)
{
    for (unsigned i = 0; i < HOSTILE_STREAMS; i++) {
        struct hostile_stream *s = &h->streams[(id + i) % HOSTILE_STREAMS];

        if (s->stream != NULL) {
            return s;
        }
    }
    return NULL;
}

void hostile_call(struct hostile *h, struct record record)
{
    unsigned call = record.cmd - RECORD_CALL;
    struct hostile_stream *s;

    if (call == CALL_OPEN) {
        call_open(h);
    } else if (call == CALL_ACCEPT) {
        (void)call_accept(h);
    } else if (call == CALL_EVENTS) {
        call_events(h);
    } else if ((s = choose(h, record.id)) != NULL) {
        call_on_stream(h, s, record);
    }
}

void hostile_close_all(struct hostile *h)
{
    for (bool more = true; more; more = call_accept(h)) {
        for (unsigned i = 0; i < HOSTILE_STREAMS; i++) {
            if (h->streams[i].stream != NULL) {
                call_close(h, &h->streams[i]);
            }
        }
    }
}

void hostile_free_app(struct hostile *h)
{
    for (unsigned i = 0; i < HOSTILE_STREAMS; i++) {
        if (h->streams[i].stream != NULL) {
            free(h->streams[i].loan);
            free(h->streams[i].post);
        }
    }
}
