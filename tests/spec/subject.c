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
#include <smux/smux.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK = 64 << 10,
    PIECE = 4096, /**< of a write: small ones are queued, large ones wait for the transport */
    LINE = 128,
    STACK = 256 << 10,
    RETRY_MS = 20,
    OUTCOME_MS = 5000
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

/** A session and what its streams share. */
struct room {
    smux_session *session;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned running; /**< threads of streams */
    unsigned pauses;  /**< streams that asked for no more accepting */
    bool released;    /**< held streams may go on */
    bool over;        /**< the session has ended */
    bool ending;      /**< we were asked to end it */
};

/** A stream and the thread that serves it. */
struct visit {
    struct room *room;
    smux_stream *stream;
    bool opened;     /**< by us */
    char line[LINE]; /**< opened: what to write first; else the line that was read */
    char *arguments; /**< behind the verb */
    uint8_t buf[CHUNK];
};

static void fault(const char *text)
{
    fprintf(stderr, "specsubject: %s\n", text);
    g_fault = true;
}

static void thread_start(void *(*run)(void *arg), void *arg)
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

static struct timespec time_after(unsigned long ms)
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

/* --- outcomes: what a reader saw, to be asked for in another session ----------------------- */

struct outcome {
    struct outcome *next;
    char token[LINE];
    char text[LINE];
};

static struct outcome *g_outcomes;
static pthread_mutex_t g_outcomes_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_outcomes_changed = PTHREAD_COND_INITIALIZER;

static void outcome_put(const char *token, uint64_t bytes, int status)
{
    struct outcome *o = calloc(1, sizeof *o);

    if (o == NULL) {
        abort();
    }
    snprintf(o->token, sizeof o->token, "%s", token);
    snprintf(o->text, sizeof o->text, "bytes=%llu end=%s why=%s\n", (unsigned long long)bytes,
             status == SMUX_EOF ? "eof" : "error", smux_status_name(status));
    pthread_mutex_lock(&g_outcomes_lock);
    o->next = g_outcomes;
    g_outcomes = o;
    pthread_cond_broadcast(&g_outcomes_changed);
    pthread_mutex_unlock(&g_outcomes_lock);
}

static const char *outcome_find(const char *token)
{
    for (const struct outcome *o = g_outcomes; o != NULL; o = o->next) {
        if (strcmp(o->token, token) == 0) {
            return o->text;
        }
    }
    return NULL;
}

/** Waits a while for it; "unknown" when it does not come. Texts stay for good. */
static const char *outcome_get(const char *token)
{
    struct timespec until = time_after(OUTCOME_MS);
    const char *text;
    int rc = 0;

    pthread_mutex_lock(&g_outcomes_lock);
    while ((text = outcome_find(token)) == NULL && rc == 0) {
        rc = pthread_cond_timedwait(&g_outcomes_changed, &g_outcomes_lock, &until);
    }
    pthread_mutex_unlock(&g_outcomes_lock);
    return text != NULL ? text : "unknown\n";
}

/* --- pieces of verbs ------------------------------------------------------------------------ */

static void say(struct visit *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct visit *v, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    smux_stream_write(v->stream, text, strlen(text), NULL);
}

/** The content of what the verbs write, byte by byte; never an exclamation mark. */
static int write_pattern(struct visit *v, uint64_t n)
{
    uint64_t at = 0;
    int status = SMUX_OK;

    while (at < n && status == SMUX_OK) {
        size_t len = n - at < PIECE ? (size_t)(n - at) : PIECE;

        for (size_t i = 0; i < len; i++, at++) {
            v->buf[i] = (uint8_t)(0x80 | (at ^ at >> 8 ^ at >> 16));
        }
        status = smux_stream_write(v->stream, v->buf, len, NULL);
    }
    return status;
}

/** Reads to the end, counts, returns the status of the end. */
static int drain(struct visit *v, uint64_t *out_bytes)
{
    size_t n = 0;
    int status = SMUX_OK;

    for (*out_bytes = 0; status == SMUX_OK; *out_bytes += n) {
        status = smux_stream_read(v->stream, v->buf, CHUNK, &n);
    }
    return status;
}

static void echo(struct visit *v)
{
    size_t n = 0;

    while (smux_stream_read(v->stream, v->buf, CHUNK, &n) == SMUX_OK &&
           smux_stream_write(v->stream, v->buf, n, NULL) == SMUX_OK) {
    }
}

/** Waits for the verb release, or the end of the session, or `ms` if not 0; tells whether it was
 *  none of the last. */
static bool await_release(struct room *room, unsigned long ms)
{
    struct timespec until = time_after(ms);
    int rc = 0;

    pthread_mutex_lock(&room->lock);
    while (!room->released && !room->over && rc == 0) {
        rc = ms > 0 ? pthread_cond_timedwait(&room->changed, &room->lock, &until)
                    : pthread_cond_wait(&room->changed, &room->lock);
    }
    pthread_mutex_unlock(&room->lock);
    return rc == 0;
}

/* --- verbs ---------------------------------------------------------------------------------- */

static void *visit_thread(void *arg);
static void verb_hello(struct visit *v);

/** Serves a stream in a thread of its own. */
static void visit_start(struct room *room, smux_stream *stream, const char *greeting)
{
    struct visit *v = calloc(1, sizeof *v);

    if (v == NULL) {
        abort();
    }
    v->room = room;
    v->stream = stream;
    v->opened = greeting != NULL;
    snprintf(v->line, sizeof v->line, "%s", greeting != NULL ? greeting : "");
    pthread_mutex_lock(&room->lock);
    room->running++;
    pthread_mutex_unlock(&room->lock);
    thread_start(visit_thread, v);
}

static void verb_open(struct visit *v)
{
    char *greeting;
    unsigned long n = strtoul(v->arguments, &greeting, 10);
    smux_stream *stream;

    greeting += *greeting == ' ';
    for (unsigned long i = 0; i < n; i++) {
        if (smux_session_open(v->room->session, &stream) == SMUX_OK) {
            visit_start(v->room, stream, greeting);
        }
    }
    say(v, "ok\n");
}

/** Tells under its second argument, if there is one, that all has been taken. */
static void verb_send(struct visit *v)
{
    char *token;
    uint64_t n = strtoull(v->arguments, &token, 10);
    int status = write_pattern(v, n);

    if (*token == ' ') {
        outcome_put(token + 1, n, status == SMUX_OK ? SMUX_EOF : status);
    }
    smux_stream_shutdown(v->stream);
    drain(v, &n);
}

static void verb_close(struct visit *v)
{
    write_pattern(v, strtoull(v->arguments, NULL, 10));
}

static void verb_abort(struct visit *v)
{
    write_pattern(v, strtoull(v->arguments, NULL, 10));
    smux_stream_abort(v->stream);
}

static void verb_hold(struct visit *v)
{
    if (await_release(v->room, strtoul(v->arguments, NULL, 10))) {
        echo(v);
    }
}

static void verb_release(struct visit *v)
{
    pthread_mutex_lock(&v->room->lock);
    v->room->released = true;
    pthread_cond_broadcast(&v->room->changed);
    pthread_mutex_unlock(&v->room->lock);
    say(v, "ok\n");
}

static void verb_sink(struct visit *v)
{
    uint64_t n;
    int status = drain(v, &n);

    outcome_put(v->arguments, n, status);
    say(v, "end %llu\n", (unsigned long long)n);
}

static void verb_half(struct visit *v)
{
    uint64_t n;
    int status;

    smux_stream_shutdown(v->stream);
    await_release(v->room, 0);
    status = drain(v, &n);
    outcome_put(v->arguments, n, status);
}

static void verb_twice(struct visit *v)
{
    uint64_t n;

    drain(v, &n);
    say(v, "end %llu\n", (unsigned long long)n);
    await_release(v->room, 0);
    drain(v, &n);
    say(v, "late %llu\n", (unsigned long long)n);
}

static void verb_outcome(struct visit *v)
{
    say(v, "%s", outcome_get(v->arguments));
}

static void verb_noaccept(struct visit *v)
{
    pthread_mutex_lock(&v->room->lock);
    v->room->pauses++;
    pthread_mutex_unlock(&v->room->lock);
    say(v, "ok\n");
    echo(v);
    pthread_mutex_lock(&v->room->lock);
    v->room->pauses--;
    pthread_cond_broadcast(&v->room->changed);
    pthread_mutex_unlock(&v->room->lock);
}

static void verb_end(struct visit *v)
{
    pthread_mutex_lock(&v->room->lock);
    v->room->ending = true;
    pthread_mutex_unlock(&v->room->lock);
    smux_session_set_accept_deadline(v->room->session, 1);
    echo(v);
}

static const struct verb {
    const char *name;
    void (*run)(struct visit *v);
} k_verbs[] = {
    {"hello", verb_hello},     {"open", verb_open},       {"send", verb_send},
    {"close", verb_close},     {"abort", verb_abort},     {"hold", verb_hold},
    {"half", verb_half},       {"sink", verb_sink},       {"twice", verb_twice},
    {"end", verb_end},         {"outcome", verb_outcome}, {"noaccept", verb_noaccept},
    {"release", verb_release},
};

#define NUM_VERBS (sizeof k_verbs / sizeof k_verbs[0])

static uint32_t *setting_field(size_t i)
{
    return (uint32_t *)(void *)((char *)&g_config + k_settings[i].offset);
}

static void verb_hello(struct visit *v)
{
    char verbs[256] = "";

    for (size_t i = 0; i < NUM_VERBS; i++) {
        strcat(strcat(verbs, i > 0 ? "," : ""), k_verbs[i].name);
    }
    say(v, "name=libsmux-%s connections=%u verbs=%s", smux_version(), g_connections, verbs);
    for (size_t i = 0; i < NUM_SETTINGS; i++) {
        if (*setting_field(i) != 0) {
            say(v, " %s=%lu", k_settings[i].name, (unsigned long)*setting_field(i));
        }
    }
    say(v, "\n");
}

/* --- a stream ------------------------------------------------------------------------------- */

/** Reads the line behind the exclamation mark. */
static bool read_line(struct visit *v)
{
    size_t n = 0;

    for (size_t at = 0; at + 1 < LINE; at++) {
        if (smux_stream_read(v->stream, v->line + at, 1, &n) != SMUX_OK) {
            return false;
        }
        if (v->line[at] == '\n') {
            v->line[at] = '\0';
            v->arguments = v->line + strcspn(v->line, " ");
            if (*v->arguments != '\0') {
                *v->arguments++ = '\0';
            }
            return true;
        }
    }
    return false;
}

static void obey(struct visit *v)
{
    for (size_t i = 0; i < NUM_VERBS; i++) {
        if (strcmp(v->line, k_verbs[i].name) == 0) {
            k_verbs[i].run(v);
            return;
        }
    }
    say(v, "no verb %s\n", v->line);
}

static void visit_accepted(struct visit *v)
{
    size_t n = 0;

    if (smux_stream_read(v->stream, v->buf, 1, &n) != SMUX_OK) {
        return;
    }
    if (v->buf[0] == '!') {
        if (read_line(v)) {
            obey(v);
        }
    } else if (smux_stream_write(v->stream, v->buf, 1, NULL) == SMUX_OK) {
        echo(v);
    }
}

static void visit_opened(struct visit *v)
{
    smux_stream_write(v->stream, v->line, strlen(v->line), NULL);
    echo(v);
}

static void *visit_thread(void *arg)
{
    struct visit *v = arg;
    struct room *room = v->room;

    if (v->opened) {
        visit_opened(v);
    } else {
        visit_accepted(v);
    }
    smux_stream_close(v->stream);
    free(v);
    pthread_mutex_lock(&room->lock);
    room->running--;
    pthread_cond_broadcast(&room->changed);
    pthread_mutex_unlock(&room->lock);
    return NULL;
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
    char text[LINE] = "";

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
