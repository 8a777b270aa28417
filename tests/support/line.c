#include "line.h"

#include "must.h"
#include <string.h>

struct line_mark {
    uint64_t at;
    size_t len;
};

void line_start(struct line *line, uint64_t rate, uint64_t delay_us,
                const struct smux_config *client, const struct smux_config *server)
{
    const struct smux_config *given[2] = {client, server};

    memset(line, 0, sizeof(*line));
    line->rate = rate;
    line->delay_us = delay_us;
    for (unsigned i = 0; i < 2; i++) {
        struct smux_config config;

        smux_config_init(&config);
        config.version = 2;
        if (given[i] != NULL) {
            config = *given[i];
        }
        heap_init(&line->heap[i]);
        config.allocator = &line->heap[i].allocator;
        must(smux_engine_new(i == 0 ? SMUX_CLIENT : SMUX_SERVER, &config, 0, 0, &line->engine[i]) ==
                 SMUX_OK,
             "no engine");
    }
}

unsigned line_open(struct line *line, uint64_t rate)
{
    struct line_stream *stream = &line->streams[line->n_streams];

    must(line->n_streams < LINE_STREAMS, "too many streams");
    must(smux_engine_open(line->engine[0], &stream->client) == SMUX_OK, "no stream");
    stream->rate = rate;
    return line->n_streams++;
}

/* Puts what an engine sends onto the way, as much as fits into a step. */
static void transmit(struct line *line, unsigned i)
{
    struct line_way *way = &line->way[i];
    size_t room = (size_t)(line->rate * LINE_STEP_US / 1000000);
    struct line_mark mark = {line->now + line->delay_us, 0};
    struct smux_iov iov[64];
    int n;

    while (room > 0 && (n = smux_engine_send_iov(line->engine[i], iov, 64, line->now)) > 0) {
        size_t sent = 0;

        for (int k = 0; k < n && room > 0; k++) {
            size_t len = iov[k].len < room ? iov[k].len : room;

            bytes_put(&way->bytes, iov[k].base, len);
            sent += len;
            room -= len;
        }
        smux_engine_send_commit(line->engine[i], sent, line->now);
        mark.len += sent;
    }
    if (mark.len > 0) {
        bytes_put(&way->marks, &mark, sizeof(mark));
    }
}

/* Gives an engine what has arrived; what it does not take stays on the way. */
static void arrive(struct line *line, unsigned i)
{
    struct line_way *way = &line->way[1 - i];
    smux_engine *engine = line->engine[i];
    size_t left = 0;

    while (bytes_len(&way->marks) > 0) {
        struct line_mark mark;

        memcpy(&mark, bytes_head(&way->marks), sizeof(mark));
        if (mark.at > line->now) {
            break;
        }
        left += mark.len;
        bytes_drop(&way->marks, sizeof(mark));
    }
    while (left > 0) {
        size_t taken = 0;

        must(smux_engine_recv(engine, bytes_head(&way->bytes), left, line->now, &taken) == SMUX_OK,
             "the session is dead: %s", smux_engine_error_text(engine));
        bytes_drop(&way->bytes, taken);
        left -= taken;
        if (taken == 0) {
            break;
        }
    }
    if (left > 0) { /* the budget is used up: again in a step */
        struct line_mark mark = {line->now + LINE_STEP_US, left};
        struct bytes marks = way->marks;

        memset(&way->marks, 0, sizeof(way->marks));
        bytes_put(&way->marks, &mark, sizeof(mark));
        bytes_put(&way->marks, bytes_head(&marks), bytes_len(&marks));
        bytes_free(&marks);
    }
}

/* Lends, so that streams that are stuck do not use up the send buffer of the session (L8). */
static void write_all(struct line *line)
{
    static const uint8_t zeros[262144];
    size_t kept;

    for (unsigned i = 0; i < line->n_streams; i++) {
        struct line_stream *stream = &line->streams[i];
        smux_engine *engine = line->engine[0];

        if (!stream->quiet && smux_estream_lent(engine, stream->client) == 0) {
            (void)smux_estream_reclaim(engine, stream->client, &kept);
            (void)smux_estream_lend(engine, stream->client, zeros, sizeof(zeros));
        }
    }
}

static void read_all(struct line *line)
{
    static uint8_t buf[65536];
    smux_estream *found;

    while (smux_engine_accept(line->engine[1], &found) == SMUX_OK) {
        line->streams[line->n_accepted++].server = found; /* in the order they were opened */
    }
    for (unsigned i = 0; i < line->n_accepted; i++) {
        struct line_stream *stream = &line->streams[i];
        size_t len, got = 1;

        stream->allowed += stream->rate * LINE_STEP_US;
        while (stream->allowed >= 1000000 && got > 0) {
            len = stream->allowed / 1000000 < sizeof(buf) ? (size_t)(stream->allowed / 1000000)
                                                          : sizeof(buf);
            (void)smux_estream_read(line->engine[1], stream->server, buf, len, &got);
            stream->allowed -= got * 1000000;
            stream->read += got;
        }
        if (got == 0) {
            stream->allowed = 0; /* a reader without data saves nothing up */
        }
    }
}

void line_run(struct line *line, uint64_t us)
{
    for (uint64_t end = line->now + us; line->now < end; line->now += LINE_STEP_US) {
        for (unsigned i = 0; i < 2; i++) {
            must(smux_engine_tick(line->engine[i], line->now) == SMUX_OK, "the session is dead");
            arrive(line, i);
        }
        read_all(line);
        write_all(line);
        transmit(line, 0);
        transmit(line, 1);
    }
}

struct smux_session_stats line_stats(const struct line *line)
{
    struct smux_session_stats stats;

    smux_engine_stats(line->engine[1], &stats);
    return stats;
}

void line_stop(struct line *line)
{
    for (unsigned i = 0; i < 2; i++) {
        smux_engine_free(line->engine[i]);
        must(line->heap[i].blocks == 0, "memory is lost");
        bytes_free(&line->way[i].bytes);
        bytes_free(&line->way[i].marks);
    }
}
