/*
 * specsubject - libsmux under the test of smuxspec, and an example of what smuxspec asks of a
 * subject (README.md): each stream of the peer is echoed, unless it starts with a line such as
 * "!send 1000", which names a verb.
 *
 *     specsubject -l ADDRESS [-v 1|2|auto] [NAME=VALUE...]          a server
 *     specsubject -r ADDRESS [-v 1|2] [-n CONNECTIONS] [NAME=VALUE...]  a client
 *
 * A server prints `listening ADDRESS`. A client keeps its connections up: when a session ends,
 * it connects again. Both end when standard input does. NAME=VALUE sets what k_settings lists;
 * the verb hello tells it to smuxspec. Exit codes: 0, 1 after a fault of ours, 2 usage.
 */
#include "subject.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    STACK = 256 << 10,
    RETRY_MS = 20
};

static struct smux_config g_config;
static unsigned g_connections = 32;
static atomic_bool g_fault; /**< decides the exit code */

/** What can be set and is told by hello: durations in milliseconds, sizes in bytes. */
static const struct setting {
    const char *name;
    size_t offset;
} k_settings[] = {
    {"keepalive_ms", offsetof(struct smux_config, keepalive_interval_ms)},
    {"timeout_ms", offsetof(struct smux_config, keepalive_timeout_ms)},
    {"guard_ms", offsetof(struct smux_config, accept_guard_ms)},
    {"linger_ms", offsetof(struct smux_config, fin_linger_ms)},
    {"half_close_ms", offsetof(struct smux_config, half_close_timeout_ms)},
    {"drain_ms", offsetof(struct smux_config, drain_timeout_ms)},
    {"frame_ms", offsetof(struct smux_config, frame_timeout_ms)},
    {"max_streams", offsetof(struct smux_config, max_remote_streams)},
    {"backlog", offsetof(struct smux_config, accept_backlog)},
    {"budget", offsetof(struct smux_config, max_receive_buffer)},
    {"stream_buffer", offsetof(struct smux_config, max_stream_buffer)},
};

#define NUM_SETTINGS (sizeof k_settings / sizeof k_settings[0])

static uint32_t *setting_field(size_t i)
{
    return (uint32_t *)(void *)((char *)&g_config + k_settings[i].offset);
}

void settings_tell(char *text, size_t size)
{
    int len = snprintf(text, size, "connections=%u", g_connections);

    for (size_t i = 0; i < NUM_SETTINGS && len > 0 && (size_t)len < size; i++) {
        if (*setting_field(i) != 0) {
            len += snprintf(text + len, size - (size_t)len, " %s=%lu", k_settings[i].name,
                            (unsigned long)*setting_field(i));
        }
    }
}

void fault(const char *text)
{
    fprintf(stderr, "specsubject: %s\n", text);
    g_fault = true;
}

void thread_start(void *(*run)(void *arg), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, run, arg) != 0) {
        fault("no more threads");
        exit(1);
    }
    pthread_attr_destroy(&attr);
}

struct timespec time_after(unsigned long ms)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    return until;
}

/* --- a session ------------------------------------------------------------------------------ */

/** Waits until accepting is wanted; false when we were asked to end the session. */
static bool may_accept(struct room *room)
{
    pthread_mutex_lock(&room->lock);
    while (room->pauses > 0) {
        pthread_cond_wait(&room->changed, &room->lock);
    }
    bool may = !room->ending;
    pthread_mutex_unlock(&room->lock);
    return may;
}

static void await_visits(struct room *room)
{
    pthread_mutex_lock(&room->lock);
    room->over = true;
    pthread_cond_broadcast(&room->changed);
    while (room->running > 0) {
        pthread_cond_wait(&room->changed, &room->lock);
    }
    pthread_mutex_unlock(&room->lock);
}

/** No stream is open, so that no memory may be charged to the budget [BKT-5]. */
static void check_budget(smux_session *session)
{
    struct smux_session_stats stats;

    smux_session_stats(session, &stats);
    if (stats.receive_buffer != 0) {
        fault("no stream is open, but memory is charged to the budget");
    }
}

static void serve(smux_session *session)
{
    struct room room = {
        .session = session, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    smux_stream *stream;

    while (may_accept(&room) && smux_session_accept(session, &stream) == SMUX_OK) {
        visit_start(&room, stream, NULL);
    }
    if (!room.ending) {
        await_visits(&room);
        check_budget(session);
    }
    smux_session_close(session);
    await_visits(&room);
}

static void serve_fd(enum smux_role role, int fd)
{
    smux_session *session;
    int status = role == SMUX_CLIENT ? smux_client(fd, &g_config, &session)
                                     : smux_server(fd, &g_config, &session);

    if (status == SMUX_OK) {
        serve(session);
    } else {
        fault(smux_strerror(status));
        close(fd);
    }
}

static void *server_thread(void *arg)
{
    int *fd = arg;

    serve_fd(SMUX_SERVER, *fd);
    free(fd);
    return NULL;
}

static void *client_thread(void *arg)
{
    const struct timespec pause = {0, RETRY_MS * 1000000L};
    int fd;

    for (;;) {
        if (smux_dial(arg, 1000, &fd) == SMUX_OK) {
            serve_fd(SMUX_CLIENT, fd);
        } else {
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

static void *listen_thread(void *arg)
{
    int listen_fd = *(int *)arg;
    int *fd = malloc(sizeof *fd);

    while (fd != NULL) {
        if (smux_accept_fd(listen_fd, SMUX_OFF, fd) == SMUX_OK) {
            thread_start(server_thread, fd);
            fd = malloc(sizeof *fd);
        }
    }
    return NULL;
}

/* --- command line --------------------------------------------------------------------------- */

static int usage(void)
{
    fprintf(stderr, "usage: specsubject -l ADDRESS | -r ADDRESS [-v 1|2|auto] [-n CONNECTIONS] "
                    "[NAME=VALUE...]\nnames:");
    for (size_t i = 0; i < NUM_SETTINGS; i++) {
        fprintf(stderr, " %s", k_settings[i].name);
    }
    fprintf(stderr, "\n");
    return 2;
}

static bool set(const char *text)
{
    size_t len = strcspn(text, "=");

    for (size_t i = 0; i < NUM_SETTINGS; i++) {
        if (text[len] == '=' && strlen(k_settings[i].name) == len &&
            strncmp(text, k_settings[i].name, len) == 0) {
            *setting_field(i) = (uint32_t)strtoul(text + len + 1, NULL, 10);
            return true;
        }
    }
    return false;
}

static bool listen_at(const char *address, int *out_fd)
{
    char text[SUBJECT_LINE] = "";

    if (smux_listen(address, out_fd) != SMUX_OK) {
        fprintf(stderr, "specsubject: cannot listen at %s\n", address);
        return false;
    }
    smux_socket_address(*out_fd, false, text, sizeof text);
    printf("listening %s\n", text);
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    const char *listen_address = NULL;
    char *remote = NULL;
    const char *why = "";
    int listen_fd;
    int option;
    char byte;

    smux_config_init(&g_config);
    while ((option = getopt(argc, argv, "l:r:v:n:")) != -1) {
        switch (option) {
        case 'l':
            listen_address = optarg;
            break;
        case 'r':
            remote = optarg;
            break;
        case 'v':
            g_config.version = strcmp(optarg, "auto") == 0 ? SMUX_VERSION_AUTO
                                                           : (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            g_connections = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            return usage();
        }
    }
    while (optind < argc && set(argv[optind])) {
        optind++;
    }
    if (optind < argc || (listen_address == NULL) == (remote == NULL)) {
        return usage();
    }
    if (smux_config_check(&g_config, remote != NULL ? SMUX_CLIENT : SMUX_SERVER, &why) != SMUX_OK) {
        fprintf(stderr, "specsubject: %s\n", why);
        return 2;
    }
    if (listen_address != NULL && !listen_at(listen_address, &listen_fd)) {
        return 1;
    }
    for (unsigned i = 0; remote != NULL && i < g_connections; i++) {
        thread_start(client_thread, remote);
    }
    if (remote == NULL) {
        thread_start(listen_thread, &listen_fd);
    }
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    _exit(g_fault ? 1 : 0);
}
