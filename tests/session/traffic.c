#define _GNU_SOURCE 1

#include "traffic.h"

#include "flow.h"
#include "rng.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* What a stream says first. */
struct header {
    uint64_t key;
    uint64_t len;
};

/* A thread and its choices. */
struct part {
    struct traffic *traffic;
    smux_session *session;
    struct rng rng;
};

/* Threads with even numbers work at the client. */
static void part_init(struct part *part, struct traffic_thread *thread)
{
    part->traffic = thread->traffic;
    part->session =
        thread->number % 2 == 0 ? thread->traffic->ends->client : thread->traffic->ends->server;
    rng_seed(&part->rng, thread->traffic->seed + thread->number);
}

/* --- the opener ---------------------------------------------------------------------------- */

/* Writes as long as the stream allows; returns how much was accepted. */
static uint64_t write_some(smux_stream *stream, const struct header *header, struct rng *rng)
{
    static _Thread_local uint8_t buf[100000];
    uint64_t done = 0;

    while (done < header->len) {
        size_t len = rng_log(rng, 1, sizeof buf), n = 0;
        len = len < header->len - done ? len : (size_t)(header->len - done);
        flow_fill(header->key, done, buf, len);
        if (rng_chance(rng, 10)) {
            smux_stream_set_write_deadline(stream, in_ms(rng_below(rng, 3)));
        }
        int status = smux_stream_write(stream, buf, len, &n);
        memset(buf, 0xcc, len);
        done += n;
        if (status == SMUX_EDEADLINE) {
            smux_stream_set_write_deadline(stream, SMUX_NEVER);
        } else if (status != SMUX_OK) {
            break;
        }
    }
    return done;
}

static void read_answer(smux_stream *stream, const struct header *header)
{
    char answer[8];
    size_t n = 0, got = 0;

    while (got < sizeof answer &&
           smux_stream_read(stream, answer + got, sizeof answer - got, &n) == SMUX_OK) {
        got += n;
    }
    ck_assert(got == 0 || memcmp(answer, &header->key, got) == 0);
}

/*
 * With a small budget, data of streams that nobody has accepted yet can stop those that are being
 * read: that is the protocol. So there every opener stays until its stream was served, and all
 * are served at the same time.
 */
static void use_stream(struct part *part, smux_stream *stream)
{
    struct rng *rng = &part->rng;
    struct header header = {.key = rng_next(rng), .len = rng_log(rng, 1, part->traffic->max_len)};
    unsigned end = rng_below(rng, 10);

    if (smux_stream_write(stream, &header, sizeof header, NULL) != SMUX_OK) {
        ck_assert(part->traffic->may_end);
        return;
    }
    if (end == 0) {
        header.len /= 2; /* less than promised, and an abort */
    }
    uint64_t done = write_some(stream, &header, rng);
    if (end == 0) {
        smux_stream_abort(stream);
    } else if ((end > 2 || part->traffic->small_budget) && done == header.len) {
        smux_stream_shutdown(stream); /* others close at once */
        read_answer(stream, &header);
    }
}

static void opener_run(void *arg)
{
    struct part part;

    part_init(&part, arg);
    for (unsigned i = 0; i < part.traffic->streams_each; i++) {
        smux_stream *stream;
        if (smux_session_open(part.session, &stream) != SMUX_OK) {
            ck_assert(part.traffic->may_end);
            return;
        }
        use_stream(&part, stream);
        smux_stream_close(stream);
    }
}

/* --- the accepter -------------------------------------------------------------------------- */

static int read_header(smux_stream *stream, struct header *header)
{
    size_t got = 0, n;
    int status = SMUX_OK;

    while (got < sizeof *header && status == SMUX_OK) {
        status = smux_stream_read(stream, (char *)header + got, sizeof *header - got, &n);
        got += status == SMUX_OK ? n : 0;
    }
    return status;
}

/* Reads to the end, unless it loses interest. */
static void serve_stream(struct part *part, smux_stream *stream)
{
    static _Thread_local uint8_t buf[70000];
    struct header header = {.len = UINT64_MAX}; /* if it does not arrive */
    struct rng *rng = &part->rng;
    uint64_t done = 0;
    size_t n;
    int status = read_header(stream, &header);
    bool fickle = rng_chance(rng, 10);

    while (status == SMUX_OK || status == SMUX_EDEADLINE) {
        if (rng_chance(rng, 5)) {
            smux_stream_set_read_deadline(stream, in_ms(rng_below(rng, 3)));
        }
        status = smux_stream_read(stream, buf, rng_log(rng, 1, sizeof buf), &n);
        if (status == SMUX_EDEADLINE) {
            smux_stream_set_read_deadline(stream, SMUX_NEVER);
        } else if (status == SMUX_OK) {
            ck_assert_uint_eq(flow_check(header.key, done, buf, n), n);
            done += n;
        }
        if (fickle && rng_chance(rng, 10)) {
            return;
        }
    }
    if (done == header.len) {
        ck_assert(status == SMUX_EOF || part->traffic->may_end);
        part->traffic->n_complete++;
        (void)smux_stream_write(stream, &header.key, sizeof header.key, NULL);
    } else {
        part->traffic->n_cut++;
    }
}

static void accepter_run(void *arg)
{
    struct part part;
    smux_stream *stream;

    part_init(&part, arg);
    while (smux_session_accept(part.session, &stream) == SMUX_OK) {
        serve_stream(&part, stream);
        smux_stream_close(stream);
    }
}

/* --- the whole ------------------------------------------------------------------------------ */

void traffic_start(struct traffic *traffic)
{
    for (unsigned i = 0; i < traffic->threads; i++) {
        traffic->openers[i] = (struct traffic_thread){.traffic = traffic, .number = i};
        traffic->accepters[i] = (struct traffic_thread){.traffic = traffic, .number = 1000 + i};
        task_start(&traffic->accepters[i].task, accepter_run, &traffic->accepters[i]);
        task_start(&traffic->openers[i].task, opener_run, &traffic->openers[i]);
    }
}

void traffic_join(struct traffic *traffic)
{
    for (unsigned i = 0; i < traffic->threads; i++) {
        task_join(&traffic->openers[i].task);
    }
    smux_session_set_accept_deadline(traffic->ends->client, 1); /* who still waits can go home */
    smux_session_set_accept_deadline(traffic->ends->server, 1);
    for (unsigned i = 0; i < traffic->threads; i++) {
        task_join(&traffic->accepters[i].task);
    }
}
