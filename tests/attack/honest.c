#include "honest.h"

#include "interop/workers.h"

#include <smux/session.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SIZE = 64,              /* bytes of a message */
    PAUSE_MS = 1,           /* between two of them */
    PATIENCE_US = 20000000, /* until a message is given up for lost */
    SAMPLES = 1 << 20,
    DIAL_MS = 10000
};

static struct {
    const char *address;
    struct smux_config config;
    atomic_bool over;
    pthread_mutex_t lock; /* of all below */
    uint32_t *samples;    /* microseconds */
    uint32_t *served;     /* the same, less the victim's waits for a processor */
    uint32_t n;
    char error[200];
    int schedstat; /* of the victim, or -1 */
} honest;

static void fail(const char *what, int status)
{
    pthread_mutex_lock(&honest.lock);
    if (honest.error[0] == '\0') {
        snprintf(honest.error, sizeof honest.error, "%s: %s", what, smux_status_name(status));
    }
    pthread_mutex_unlock(&honest.lock);
}

/* --- messages ----------------------------------------------------------------------------- */

static int read_all(smux_stream *stream, char *buf, size_t len)
{
    int status = SMUX_OK;
    size_t n;
    for (size_t at = 0; at < len && status == SMUX_OK; at += n) {
        status = smux_stream_read(stream, buf + at, len - at, &n);
    }
    return status;
}

/** How long the victim has been ready to run since it began, and another process had its processor; 0
 *  when that is not known. Microseconds. */
static uint64_t victim_waited_us(void)
{
    char text[128] = "";
    unsigned long long ns = 0;
    if (honest.schedstat >= 0 && pread(honest.schedstat, text, sizeof text - 1, 0) > 0) {
        (void)sscanf(text, "%*u %llu", &ns);
    }
    return ns / 1000;
}

/** Exchanges one message, and compares. */
static int exchange(smux_stream *stream, uint32_t number)
{
    char out[SIZE], in[SIZE];
    for (uint32_t i = 0; i < SIZE; i++) {
        out[i] = (char)(number * 31 + i);
    }
    smux_stream_set_deadline(stream, smux_now_us() + PATIENCE_US);
    int status = smux_stream_write(stream, out, SIZE, NULL);
    if (status == SMUX_OK) {
        status = read_all(stream, in, SIZE);
    }
    if (status == SMUX_OK && memcmp(out, in, SIZE) != 0) {
        status = SMUX_EPROTO;
    }
    return status;
}

/** Makes a session with one stream that is echoed. */
static int begin(smux_session **out_session, smux_stream **out_stream)
{
    int fd;
    *out_session = NULL;
    *out_stream = NULL;
    int status = smux_dial(honest.address, DIAL_MS, &fd);
    if (status == SMUX_OK) {
        status = smux_client(fd, &honest.config, out_session);
    }
    if (status == SMUX_OK) {
        status = smux_session_open(*out_session, out_stream);
    }
    if (status == SMUX_OK) {
        status = smux_stream_write(*out_stream, "E", 1, NULL);
    }
    return status;
}

static void keep(uint64_t took_us, uint64_t waited_us)
{
    pthread_mutex_lock(&honest.lock);
    if (honest.n < SAMPLES) {
        honest.samples[honest.n] = (uint32_t)took_us;
        honest.served[honest.n++] = (uint32_t)(took_us > waited_us ? took_us - waited_us : 0);
    }
    pthread_mutex_unlock(&honest.lock);
}

static void *exchange_loop(void *arg)
{
    smux_session *session;
    smux_stream *stream;
    int status = begin(&session, &stream);
    (void)arg;
    for (uint32_t i = 0; status == SMUX_OK && !honest.over; i++) {
        uint64_t waited_us = victim_waited_us();
        uint64_t begin_us = smux_now_us();
        status = exchange(stream, i);
        if (status == SMUX_OK) {
            keep(smux_now_us() - begin_us, victim_waited_us() - waited_us);
            sleep_ms(PAUSE_MS);
        }
    }
    if (status != SMUX_OK) {
        fail("message", status);
    }
    smux_stream_close(stream);
    smux_session_close(session);
    return NULL;
}

/* --- commands ----------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double quantile_ms(const uint32_t *sorted, double q)
{
    return honest.n == 0 ? 0 : sorted[(uint32_t)(q * (honest.n - 1))] / 1000.0;
}

static void mark(void)
{
    pthread_mutex_lock(&honest.lock);
    qsort(honest.samples, honest.n, sizeof honest.samples[0], compare);
    qsort(honest.served, honest.n, sizeof honest.served[0], compare);
    printf("{\"n\": %u, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f, \"served\": %.3f, "
           "\"error\": \"%s\"}\n",
           honest.n, quantile_ms(honest.samples, 0.5), quantile_ms(honest.samples, 0.99),
           quantile_ms(honest.samples, 1), quantile_ms(honest.served, 0.99), honest.error);
    honest.n = 0;
    pthread_mutex_unlock(&honest.lock);
}

static void again(void)
{
    smux_session *session;
    smux_stream *stream;
    uint64_t begin_us = smux_now_us();
    int status = begin(&session, &stream);
    if (status == SMUX_OK) {
        status = exchange(stream, 1);
    }
    smux_stream_close(stream);
    smux_session_close(session);
    printf("{\"status\": \"%s\", \"ms\": %.3f}\n", smux_status_name(status),
           (double)(smux_now_us() - begin_us) / 1000);
}

/** Opens what tells how long a process of one thread has waited; -1 when there is none such. */
static int open_schedstat(const char *pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/schedstat", pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int honest_main(int argc, char **argv)
{
    char line[64];
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "attack: honest ADDRESS VERSION [PID]\n");
        return 2;
    }
    honest.address = argv[0];
    smux_config_init(&honest.config);
    honest.config.version = (uint32_t)atoi(argv[1]);
    honest.schedstat = argc == 3 ? open_schedstat(argv[2]) : -1;
    honest.samples = calloc(SAMPLES, sizeof honest.samples[0]);
    honest.served = calloc(SAMPLES, sizeof honest.served[0]);
    if (honest.samples == NULL || honest.served == NULL) {
        return 1;
    }
    pthread_mutex_init(&honest.lock, NULL);
    pthread_t thread = worker_start(exchange_loop, NULL);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "again\n") == 0) {
            again();
        } else {
            mark();
        }
        fflush(stdout);
    }
    honest.over = true;
    pthread_join(thread, NULL);
    free(honest.samples);
    free(honest.served);
    return honest.error[0] == '\0' ? 0 : 1;
}
