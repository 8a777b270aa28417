#define _GNU_SOURCE 1

#include "ends.h"

#include "flow.h"

#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* --- wires --------------------------------------------------------------------------------- */

void wire_tcp(int out_fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    out_fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(out_fds[0], (struct sockaddr *)&address, len), 0);
    out_fds[1] = accept(listener, NULL, NULL);
    ck_assert_int_ge(out_fds[1], 0);
    close(listener);
}

static void wire_make_pipes(struct smux_transport out_transports[2])
{
    int there[2];
    int back[2];

    ck_assert_int_eq(pipe(there), 0);
    ck_assert_int_eq(pipe(back), 0);
    ck_assert_int_eq(smux_transport_fd(back[0], there[1], &out_transports[0]), SMUX_OK);
    ck_assert_int_eq(smux_transport_fd(there[0], back[1], &out_transports[1]), SMUX_OK);
}

void wire_make(enum wire wire, struct smux_transport out_transports[2])
{
    int fds[2];

    if (wire == WIRE_PIPES) {
        wire_make_pipes(out_transports);
        return;
    }
    if (wire == WIRE_MEMORY) {
        ck_assert_int_eq(smux_transport_pair(65536, out_transports), SMUX_OK);
        return;
    }
    if (wire == WIRE_TCP) {
        wire_tcp(fds);
    } else {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(smux_transport_fd(fds[i], fds[i], &out_transports[i]), SMUX_OK);
    }
}

/* --- sessions ------------------------------------------------------------------------------ */

void ends_open(struct ends *ends, enum wire wire, const struct smux_config *config)
{
    struct smux_transport transports[2];

    wire_make(wire, transports);
    ck_assert_int_eq(smux_session_new(SMUX_CLIENT, &transports[0], config, &ends->client), SMUX_OK);
    ck_assert_int_eq(smux_session_new(SMUX_SERVER, &transports[1], config, &ends->server), SMUX_OK);
}

void ends_open_version(struct ends *ends, enum wire wire, uint32_t version)
{
    struct smux_config config;

    smux_config_init(&config);
    config.version = version;
    config.fin_linger_ms = 10; /* nothing here loses data to a FIN, as Go peers do [FIN-7] */
    ends_open(ends, wire, &config);
}

static void close_one(void *arg)
{
    ck_assert_int_eq(smux_session_close(arg), SMUX_OK);
}

void ends_close(struct ends *ends)
{
    struct task task;

    task_start(&task, close_one, ends->server);
    close_one(ends->client);
    task_join(&task);
}

void ends_stream(struct ends *ends, smux_stream **out_client, smux_stream **out_server)
{
    char byte;
    size_t n;

    ck_assert_int_eq(smux_session_open(ends->client, out_client), SMUX_OK);
    ck_assert_int_eq(smux_stream_write(*out_client, "!", 1, NULL), SMUX_OK);
    ck_assert_int_eq(smux_session_accept(ends->server, out_server), SMUX_OK);
    ck_assert_int_eq(smux_stream_read(*out_server, &byte, 1, &n), SMUX_OK);
}

/* --- threads ------------------------------------------------------------------------------- */

static void *task_run(void *arg)
{
    struct task *task = arg;

    task->run(task->arg);
    return NULL;
}

void task_start(struct task *task, void (*run)(void *arg), void *arg)
{
    task->run = run;
    task->arg = arg;
    ck_assert_int_eq(pthread_create(&task->thread, NULL, task_run, task), 0);
}

void task_join(struct task *task)
{
    ck_assert_int_eq(pthread_join(task->thread, NULL), 0);
}

/* --- flows --------------------------------------------------------------------------------- */

void flow_send(smux_stream *stream, uint64_t key, uint64_t len, size_t piece)
{
    uint8_t *buf = malloc(piece);

    for (uint64_t done = 0; done < len;) {
        size_t n = len - done < piece ? (size_t)(len - done) : piece;
        size_t written = 0;
        flow_fill(key, done, buf, n);
        ck_assert_int_eq(smux_stream_write(stream, buf, n, &written), SMUX_OK);
        ck_assert_uint_eq(written, n);
        done += n;
    }
    free(buf);
}

void flow_expect(smux_stream *stream, uint64_t key, uint64_t len)
{
    uint8_t buf[16384];

    for (uint64_t done = 0; done < len;) {
        size_t n = len - done < sizeof buf ? (size_t)(len - done) : sizeof buf;
        ck_assert_int_eq(smux_stream_read(stream, buf, n, &n), SMUX_OK);
        ck_assert_uint_ge(n, 1);
        ck_assert_uint_eq(flow_check(key, done, buf, n), n);
        done += n;
    }
}

void expect_end(smux_stream *stream)
{
    char byte;
    size_t n = 1;

    for (int i = 0; i < 2; i++) { /* it stays the end */
        ck_assert_int_eq(smux_stream_read(stream, &byte, 1, &n), SMUX_EOF);
        ck_assert_uint_eq(n, 0);
    }
}

/* --- time and process ---------------------------------------------------------------------- */

uint64_t in_ms(unsigned ms)
{
    return smux_now_us() + (uint64_t)ms * 1000;
}

void sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

bool await(bool (*condition)(void *arg), void *arg)
{
    const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");
    int limit_ms = 5000 * (multiplier != NULL ? atoi(multiplier) : 1);

    for (int i = 0; i < limit_ms; i++) {
        if (condition(arg)) {
            return true;
        }
        sleep_ms(1);
    }
    return false;
}

static unsigned long status_value(const char *name)
{
    char line[256];
    unsigned long value = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            value = strtoul(line + strlen(name), NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return value;
}

unsigned count_threads(void)
{
    return (unsigned)status_value("Threads:");
}

size_t resident_bytes(void)
{
    return status_value("VmRSS:") * 1024;
}
