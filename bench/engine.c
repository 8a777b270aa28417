/*
 * engine.c - what the engine alone costs: two engines in memory, no sockets, no threads.
 *
 *   engine_bench                     the whole table: each case, 1 to 1,000,000 open streams
 *   engine_bench quick               the same with few rounds and 10,000 streams, as a test: fails
 *                                    when a round takes more memory than `allocations` of its case
 *   engine_bench CASE STREAMS ACTIVE ROUNDS [VERSION]
 *
 * An operation is, by case,
 *
 *   frame64   64 bytes written on a stream, formed into a frame, parsed and read at the other end
 *   batch64   the same, 64 streams at a time: what a transport that is busy sees
 *   frame32k  32 KiB lent, formed, parsed, peeked and consumed, on one stream
 *   churn     open, write 5 bytes, close; accept, read to the end, close
 *
 * ACTIVE of the STREAMS that are open take turns, in an order that no cache can guess: STREAMS
 * alone shows what an open stream costs the others, ACTIVE also what cache misses cost.
 *
 * Each line of output is a JSON object. `allocations` counts calls of the allocator during the
 * measured rounds, of both ends. bench/check runs this under callgrind, which counts what happens
 * inside measured_rounds().
 */
#define _GNU_SOURCE 1 /* clock_gettime under -std=c11 */

#include <smux/engine.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 64u
/* Coprime to every number of streams in use: its multiples visit all of them. */
#define STRIDE 7919u
#define LARGE  32768u
/* Operations before the measured ones: a stream alone has used up its first window by then. */
#define WARM_UP 5000u
/* Allocations of a stream table that grows while streams come and go. */
#define TABLE_GROWTH 16u

/* --- the two ends ------------------------------------------------------------------------- */

/* Stands before each piece of memory. */
union head {
    size_t size;
    max_align_t align;
};

struct counts {
    uint64_t calls;
    uint64_t bytes; /* in use */
};

struct pair {
    smux_engine *client;
    smux_engine *server;
    smux_estream **streams; /* of the client */
    uint32_t n;
    uint32_t active;
    uint32_t at; /* whose turn it is */
    uint64_t now_us;
    struct counts counts;
    struct smux_allocator allocator;
    char large[LARGE];
};

static void *count_alloc(size_t size, void *ctx)
{
    struct counts *counts = ctx;
    union head *head = malloc(sizeof(*head) + size);

    if (head == NULL) {
        return NULL;
    }
    head->size = size;
    counts->calls++;
    counts->bytes += size;
    return head + 1;
}

static void count_free(void *ptr, void *ctx)
{
    struct counts *counts = ctx;
    union head *head = (union head *)ptr - 1;

    counts->bytes -= head->size;
    free(head);
}

static void fail(const char *what, int status)
{
    fprintf(stderr, "engine_bench: %s: %s\n", what, smux_strerror(status));
    exit(1);
}

static void expect_ok(const char *what, int status)
{
    if (status != SMUX_OK) {
        fail(what, status);
    }
}

/* Copies what `from` wants to send to where `to` wants it: what two system calls would do. */
static void move(smux_engine *from, smux_engine *to, uint64_t now_us)
{
    struct smux_iov out[64];
    int n;

    while ((n = smux_engine_send_iov(from, out, 64, now_us)) > 0) {
        size_t moved = 0;
        for (int i = 0; i < n; i++) {
            size_t taken = 0;
            expect_ok("receive", smux_engine_recv(to, out[i].base, out[i].len, now_us, &taken));
            moved += taken;
            if (taken < out[i].len) {
                fail("receive", SMUX_EAGAIN);
            }
        }
        smux_engine_send_commit(from, moved, now_us);
    }
}

static void exchange(struct pair *pair)
{
    pair->now_us++;
    move(pair->client, pair->server, pair->now_us);
    move(pair->server, pair->client, pair->now_us);
}

/* --- the cases ---------------------------------------------------------------------------- */

static smux_estream *next_stream(struct pair *pair)
{
    pair->at = (pair->at + STRIDE) % pair->active;
    return pair->streams[pair->at];
}

static void write_all(struct pair *pair, smux_estream *stream, const void *data, size_t len)
{
    size_t taken = 0;

    expect_ok("write", smux_estream_write(pair->client, stream, data, len, &taken));
    if (taken != len) {
        fail("write", SMUX_EAGAIN);
    }
}

/* Reads what has come to the server, stream by stream. Returns the number of bytes. */
static size_t read_ready(struct pair *pair)
{
    char buf[256];
    size_t total = 0;
    unsigned events;
    smux_estream *stream;

    while ((stream = smux_engine_next_ready(pair->server, &events)) != NULL) {
        size_t n = 0;
        if (smux_estream_read(pair->server, stream, buf, sizeof(buf), &n) == SMUX_OK) {
            total += n;
        }
    }
    return total;
}

static void expect_bytes(size_t got, size_t want)
{
    if (got != want) {
        fprintf(stderr, "engine_bench: %zu bytes arrived, %zu were sent\n", got, want);
        exit(1);
    }
}

static void round_frame64(struct pair *pair)
{
    write_all(pair, next_stream(pair), pair->large, 64);
    exchange(pair);
    expect_bytes(read_ready(pair), 64);
}

static void round_batch64(struct pair *pair)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        write_all(pair, next_stream(pair), pair->large, 64);
    }
    exchange(pair);
    expect_bytes(read_ready(pair), BATCH * 64);
}

static void consume_ready(struct pair *pair)
{
    struct smux_iov iov[16];
    size_t total = 0;
    unsigned events;
    smux_estream *stream = smux_engine_next_ready(pair->server, &events);
    int n = 0;

    while (stream != NULL && smux_estream_peek(pair->server, stream, iov, 16, &n) == SMUX_OK) {
        size_t len = 0;
        for (int i = 0; i < n; i++) {
            len += iov[i].len;
        }
        smux_estream_consume(pair->server, stream, len);
        total += len;
    }
    expect_bytes(total, LARGE);
}

static void round_frame32k(struct pair *pair)
{
    smux_estream *stream = next_stream(pair);

    expect_ok("lend", smux_estream_lend(pair->client, stream, pair->large, LARGE));
    exchange(pair);
    expect_bytes(smux_estream_lent(pair->client, stream), 0);
    consume_ready(pair);
}

static void round_churn(struct pair *pair)
{
    smux_estream *stream = NULL;
    char buf[16];
    size_t n = 0;

    expect_ok("open", smux_engine_open(pair->client, &stream));
    write_all(pair, stream, "hello", 5);
    smux_estream_close(pair->client, stream);
    exchange(pair);
    expect_ok("accept", smux_engine_accept(pair->server, &stream));
    expect_ok("read", smux_estream_read(pair->server, stream, buf, sizeof(buf), &n));
    expect_bytes(n, 5);
    if (smux_estream_read(pair->server, stream, buf, sizeof(buf), &n) != SMUX_EOF) {
        fail("end of stream", SMUX_EPROTO);
    }
    smux_estream_close(pair->server, stream);
    exchange(pair);
    pair->now_us++;
    smux_engine_tick(pair->client, pair->now_us);
    smux_engine_tick(pair->server, pair->now_us);
}

struct bench_case {
    const char *name;
    void (*round)(struct pair *pair);
    uint32_t operations;  /* of a round */
    uint32_t rounds;      /* by default */
    uint32_t allocations; /* that a round may make */
};

static const struct bench_case cases[] = {
    {"frame64", round_frame64, 1, 2000000, 0},
    {"batch64", round_batch64, BATCH, 50000, 0},
    {"frame32k", round_frame32k, 1, 100000, 0},
    {"churn", round_churn, 1, 500000, 2},
};

/* --- measuring ---------------------------------------------------------------------------- */

/* Of its own, so that callgrind can be told to count here only. */
__attribute__((noinline)) void measured_rounds(const struct bench_case *bench, struct pair *pair,
                                               uint32_t rounds);

void measured_rounds(const struct bench_case *bench, struct pair *pair, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        bench->round(pair);
    }
}

static void open_streams(struct pair *pair)
{
    smux_estream *accepted;

    for (uint32_t i = 0; i < pair->n; i++) {
        expect_ok("open", smux_engine_open(pair->client, &pair->streams[i]));
        write_all(pair, pair->streams[i], "", 1);
        exchange(pair);
        expect_ok("accept", smux_engine_accept(pair->server, &accepted));
        expect_bytes(read_ready(pair), 1);
    }
    exchange(pair);
}

static struct pair *pair_new(uint32_t streams, uint32_t active, uint32_t version)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    struct smux_config config;

    if (pair == NULL || (pair->streams = calloc(streams, sizeof(*pair->streams))) == NULL) {
        fail("start", SMUX_ENOMEM);
    }
    pair->allocator = (struct smux_allocator){count_alloc, count_free, &pair->counts};
    smux_config_init(&config);
    config.version = version;
    config.allocator = &pair->allocator;
    config.max_remote_streams = streams + 1024;
    config.glitch_burst = SMUX_OFF;
    config.keepalive_interval_ms = SMUX_OFF; /* time runs at one microsecond an exchange */
    config.keepalive_timeout_ms = SMUX_OFF;
    pair->n = streams;
    pair->active = active;
    memset(pair->large, 'x', sizeof(pair->large));
    expect_ok("start", smux_engine_new(SMUX_CLIENT, &config, 0, 0, &pair->client));
    expect_ok("start", smux_engine_new(SMUX_SERVER, &config, 0, 0, &pair->server));
    return pair;
}

static void pair_free(struct pair *pair)
{
    smux_engine_free(pair->client);
    smux_engine_free(pair->server);
    if (pair->counts.bytes != 0) {
        fail("memory is left", SMUX_ENOMEM);
    }
    free(pair->streams);
    free(pair);
}

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Returns how many allocations the measured rounds made. */
static uint64_t run_case(const struct bench_case *bench, uint32_t streams, uint32_t active,
                         uint32_t rounds, uint32_t version)
{
    struct pair *pair = pair_new(streams, active, version);
    uint64_t heap_before = pair->counts.bytes;
    uint64_t calls;
    double heap;
    double ns;

    if (active > streams) {
        fprintf(stderr, "engine_bench: more streams active than open\n");
        exit(64);
    }
    open_streams(pair);
    heap = (double)(pair->counts.bytes - heap_before) / (2.0 * streams);
    for (uint32_t i = 0; i < rounds / 10 + WARM_UP / bench->operations; i++) {
        bench->round(pair);
    }
    calls = pair->counts.calls;
    ns = now_ns();
    measured_rounds(bench, pair, rounds);
    calls = pair->counts.calls - calls;
    ns = (now_ns() - ns) / rounds / bench->operations;
    printf("{\"case\": \"%s\", \"version\": %u, \"streams\": %u, \"active\": %u, "
           "\"operations\": %llu, \"ns\": %.1f, \"allocations\": %llu, "
           "\"heap_per_stream_end\": %.1f}\n",
           bench->name, version, streams, active, (unsigned long long)rounds * bench->operations,
           ns, (unsigned long long)calls, heap);
    fflush(stdout);
    pair_free(pair);
    return calls;
}

static const struct bench_case *find_case(const char *name)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(cases[i].name, name) == 0) {
            return &cases[i];
        }
    }
    fprintf(stderr, "engine_bench: no case %s\n", name);
    exit(64);
}

/* Whether no more was allocated than the case allows. In version 2 a stream keeps a note of its
 * own once its first window is used up, which is no cost of a frame. */
static bool is_frugal(const struct bench_case *bench, uint64_t calls, uint32_t active,
                      uint32_t rounds)
{
    uint64_t allowed = (uint64_t)rounds * bench->allocations + active;

    return calls <= (bench->allocations > 0 ? allowed + TABLE_GROWTH : allowed);
}

/* The case with so many streams open, of which few and then all take turns. */
static bool run_streams(const struct bench_case *bench, uint32_t streams, uint32_t rounds,
                        uint32_t version)
{
    const uint32_t few = streams < 100 ? streams : 100;
    uint64_t calls;
    bool ok;

    if (bench->operations > streams) {
        return true; /* writes on one stream would share a frame */
    }
    if (bench->round == round_frame32k && streams > 1) {
        return true; /* version 2 would cut them to windows that share the budget */
    }
    calls = run_case(bench, streams, few, rounds, version);
    ok = is_frugal(bench, calls, few, rounds);
    if (streams > few && bench->round != round_churn) {
        calls = run_case(bench, streams, streams, rounds, version);
        ok = is_frugal(bench, calls, streams, rounds) && ok;
    }
    return ok;
}

static bool run_table(uint32_t divisor, uint32_t most_streams)
{
    static const uint32_t streams[] = {1, 100, 10000, 1000000};
    bool ok = true;

    for (uint32_t version = 1; version <= 2; version++) {
        for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
            for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
                if (streams[i] <= most_streams) {
                    ok = run_streams(&cases[c], streams[i], cases[c].rounds / divisor, version) &&
                         ok;
                }
            }
        }
    }
    if (!ok) {
        fprintf(stderr, "engine_bench: more allocations than allowed, see above\n");
    }
    return ok;
}

static uint32_t parse_number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*end != '\0' || value == 0 || value > 100000000) {
        fprintf(stderr, "engine_bench: %s: expected a number from 1\n", text);
        exit(64);
    }
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        return run_table(1, UINT32_MAX) ? 0 : 1;
    }
    if (argc == 2 && strcmp(argv[1], "quick") == 0) {
        return run_table(500, 10000) ? 0 : 1;
    }
    if (argc == 5 || argc == 6) {
        run_case(find_case(argv[1]), parse_number(argv[2]), parse_number(argv[3]),
                 parse_number(argv[4]), argc == 6 ? parse_number(argv[5]) : 2);
        return 0;
    }
    fprintf(stderr, "usage: engine_bench [quick | CASE STREAMS ACTIVE ROUNDS [VERSION]]\n");
    return 64;
}
