/*
 * smooth.c - how evenly data arrives while its reader reads in bursts.
 *
 *   smooth_bench raw|v1|v2 [SECONDS [RATE [WINDOW [SEED]]]]
 *
 * A writer sends as fast as it can over loopback TCP, which the kernel paces to RATE bytes a
 * second (100 MB/s) as a link would be. The reader reads all it gets for 1 to 20 ms, then pauses
 * for 1 to 20 ms; the times are random, but the same for each kind. What is shown is the rate at
 * which bytes arrive at the receiving socket, whoever keeps them then: the kernel alone for raw
 * TCP, kernel and session for smux. WINDOW is that of a stream in version 2 (0: it tunes itself).
 *
 * Output: a line of names, then time in seconds and bytes a second for each bin of 10 ms.
 */
#define _GNU_SOURCE 1 /* clock_nanosleep under -std=c11 */

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <smux/session.h>
#include <smux/transport.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BIN_US   10000u
#define WARM_US  300000u
#define BURST_MS 20u /* longest time of reading, and of a pause */
#define PIECE    (128u * 1024)

struct side {
    int fd;
    smux_session *session; /* NULL: raw TCP */
    smux_stream *stream;
};

struct run {
    struct side writer;
    struct side reader;
    uint64_t seed;
    _Atomic bool stop;
};

static void fail(const char *what, int status)
{
    fprintf(stderr, "smooth_bench: %s: %s\n", what, smux_strerror(status));
    exit(1);
}

static void expect_ok(const char *what, int status)
{
    if (status != SMUX_OK) {
        fail(what, status);
    }
}

static void sleep_us(uint64_t us)
{
    const struct timespec time = {.tv_sec = (time_t)(us / 1000000),
                                  .tv_nsec = (long)(us % 1000000) * 1000};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* --- the two ends ------------------------------------------------------------------------- */

static void *write_all(void *arg)
{
    struct run *run = arg;
    struct side *side = &run->writer;
    char *data = malloc(PIECE);
    bool ok = data != NULL;

    if (ok) {
        memset(data, 'x', PIECE);
    }
    while (ok && !atomic_load(&run->stop)) {
        ok = side->stream != NULL ? smux_stream_write(side->stream, data, PIECE, NULL) == SMUX_OK
                                  : send(side->fd, data, PIECE, MSG_NOSIGNAL) > 0;
    }
    free(data);
    return NULL;
}

/* A random number of microseconds up to BURST_MS (Marsaglia's xorshift). */
static uint64_t next_time_us(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return 1000 + *state % ((BURST_MS - 1) * 1000);
}

static bool read_some(struct side *side, char *buf)
{
    size_t n;

    return side->stream != NULL ? smux_stream_read(side->stream, buf, PIECE, &n) == SMUX_OK
                                : recv(side->fd, buf, PIECE, 0) > 0;
}

static void *read_in_bursts(void *arg)
{
    struct run *run = arg;
    uint64_t random = run->seed;
    char *buf = malloc(PIECE);
    bool ok = buf != NULL;

    while (ok && !atomic_load(&run->stop)) {
        uint64_t until_us = smux_now_us() + next_time_us(&random);
        while (ok && smux_now_us() < until_us) {
            ok = read_some(&run->reader, buf);
        }
        sleep_us(next_time_us(&random));
    }
    free(buf);
    return NULL;
}

/* --- connecting --------------------------------------------------------------------------- */

static void connect_pair(struct run *run, uint32_t rate)
{
    char address[64];
    int listener;

    expect_ok("listen", smux_listen("127.0.0.1:0", &listener));
    expect_ok("listen", smux_socket_address(listener, false, address, sizeof(address)));
    expect_ok("connect", smux_dial(address, 5000, &run->writer.fd));
    expect_ok("accept", smux_accept_fd(listener, 5000, &run->reader.fd));
    close(listener);
    if (setsockopt(run->writer.fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)) != 0) {
        fail("the kernel cannot pace", SMUX_EIO);
    }
}

static void start_sessions(struct run *run, uint32_t version, uint32_t window)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = version;
    config.max_stream_buffer = window;
    expect_ok("client", smux_client(run->writer.fd, &config, &run->writer.session));
    expect_ok("server", smux_server(run->reader.fd, &config, &run->reader.session));
    expect_ok("open", smux_session_open(run->writer.session, &run->writer.stream));
    expect_ok("write", smux_stream_write(run->writer.stream, "x", 1, NULL));
    expect_ok("accept", smux_session_accept(run->reader.session, &run->reader.stream));
}

static void stop(struct run *run)
{
    struct side *sides[2] = {&run->writer, &run->reader};

    atomic_store(&run->stop, true);
    for (int i = 0; i < 2; i++) {
        if (sides[i]->session != NULL) {
            smux_session_abort(sides[i]->session);
        } else {
            shutdown(sides[i]->fd, SHUT_RDWR);
        }
    }
}

static void close_side(struct side *side)
{
    if (side->session != NULL) {
        smux_stream_close(side->stream);
        smux_session_close(side->session);
    } else {
        close(side->fd);
    }
}

/* --- measuring ---------------------------------------------------------------------------- */

static uint64_t arrived(const struct side *side)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    memset(&info, 0, sizeof(info));
    if (getsockopt(side->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) {
        fail("the kernel does not count", SMUX_EIO);
    }
    return info.tcpi_bytes_received;
}

static void sample(const struct run *run, double seconds)
{
    uint64_t start_us = smux_now_us();
    uint64_t last_us = start_us;
    uint64_t last = arrived(&run->reader);

    printf("t_s\tbytes_per_s\n");
    while ((double)(last_us - start_us) < seconds * 1e6) {
        uint64_t past_us = (smux_now_us() - start_us) % BIN_US;
        sleep_us(BIN_US - past_us);
        uint64_t now = arrived(&run->reader);
        uint64_t now_us = smux_now_us();
        printf("%.4f\t%.0f\n", (double)(now_us - start_us) / 1e6,
               (double)(now - last) * 1e6 / (double)(now_us - last_us));
        last = now;
        last_us = now_us;
    }
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    uint32_t rate = argc > 3 ? (uint32_t)atof(argv[3]) : 100000000;
    uint32_t window = argc > 4 ? (uint32_t)atoi(argv[4]) : 0;
    struct run run = {.seed = argc > 5 ? strtoull(argv[5], NULL, 10) : 20161};
    pthread_t threads[2];

    if ((strcmp(kind, "raw") != 0 && strcmp(kind, "v1") != 0 && strcmp(kind, "v2") != 0) ||
        seconds <= 0 || rate == 0 || run.seed == 0) {
        fprintf(stderr, "usage: smooth_bench raw|v1|v2 [SECONDS [RATE [WINDOW [SEED]]]]\n");
        return 64;
    }
    connect_pair(&run, rate);
    if (kind[0] == 'v') {
        start_sessions(&run, kind[1] == '1' ? 1 : 2, window);
    }
    if (pthread_create(&threads[0], NULL, write_all, &run) != 0 ||
        pthread_create(&threads[1], NULL, read_in_bursts, &run) != 0) {
        fail("start", SMUX_EIO);
    }
    sleep_us(WARM_US);
    sample(&run, seconds);
    stop(&run);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    close_side(&run.writer);
    close_side(&run.reader);
    return 0;
}
