#include "victim.h"

#include "app.h"
#include "counted.h"
#include "interop/workers.h"

#include <smux/session.h>

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WORKERS = 64, /* of a session */
    TURN_MS = 20, /* longest wait before the listener looks whether it is over */
    CODES = 64,   /* status codes are above -CODES */
    BYTES_A_STREAM = 256,
    RECEIVE_BUFFER = 64 << 10
};

struct served {
    smux_session *session;
    struct counted memory;
    struct app app;
    uint32_t streams; /**< most there were at once */
    uint32_t budget;  /**< largest there was */
    struct served *next;
    struct served **at; /**< what points here, so that thousands can leave at once */
};

/** The session that came closest to what it may use, or went farthest beyond. */
struct worst {
    size_t peak;
    size_t limit; /**< 1.25 x budget + 256 bytes a stream + the receive buffer [L4] */
    uint32_t streams;
};

static struct {
    struct smux_config config;
    atomic_bool over;
    struct group running;
    pthread_mutex_t lock; /* of all below */
    struct served *list;
    uint32_t live;
    uint32_t accepted;
    uint32_t sessions_ended[CODES]; /* by negated status */
    uint32_t streams_ended[CODES];
    uint64_t refused;
    uint64_t aborted;
    uint64_t glitches;
    uint64_t leaked;
    struct worst worst;
} victim;

/* --- figures ------------------------------------------------------------------------------ */

/** Keeps the highest figures of a session; the lock is held. */
static void observe(struct served *served, struct smux_session_stats *out_stats)
{
    size_t now;
    struct worst w;
    smux_session_stats(served->session, out_stats);
    if (out_stats->streams_now > served->streams) {
        served->streams = out_stats->streams_now;
    }
    if (out_stats->receive_budget > served->budget) {
        served->budget = out_stats->receive_budget;
    }
    counted_bytes(&served->memory, &now, &w.peak);
    w.streams = served->streams;
    w.limit = served->budget + served->budget / 4 + (size_t)BYTES_A_STREAM * served->streams +
              RECEIVE_BUFFER;
    if ((double)w.peak * (double)victim.worst.limit > (double)victim.worst.peak * (double)w.limit ||
        victim.worst.limit == 0) {
        victim.worst = w;
    }
}

static void add_stats(const struct smux_session_stats *stats)
{
    victim.refused += stats->streams_refused;
    victim.aborted += stats->streams_aborted;
    victim.glitches += stats->glitches;
}

static void print_ends(const char *name, const uint32_t ended[CODES])
{
    const char *comma = "";
    printf("\"%s\": {", name);
    for (int code = 0; code < CODES; code++) {
        if (ended[code] > 0) {
            printf("%s\"%s\": %u", comma, smux_status_name(-code), (unsigned)ended[code]);
            comma = ", ";
        }
    }
    printf("}, ");
}

static void report(void)
{
    struct smux_session_stats stats;
    struct rusage usage;
    size_t heap = 0, now, peak;
    uint32_t streams = 0;
    pthread_mutex_lock(&victim.lock);
    uint64_t refused = victim.refused, aborted = victim.aborted, glitches = victim.glitches;
    for (struct served *at = victim.list; at != NULL; at = at->next) {
        observe(at, &stats);
        counted_bytes(&at->memory, &now, &peak);
        heap += now;
        streams += stats.streams_now;
        refused += stats.streams_refused;
        aborted += stats.streams_aborted;
        glitches += stats.glitches;
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"sessions\": %u, \"streams\": %u, \"heap\": %zu, \"accepted\": %u, ", victim.live,
           streams, heap, victim.accepted);
    print_ends("sessions_ended", victim.sessions_ended);
    print_ends("streams_ended", victim.streams_ended);
    printf("\"refused\": %llu, \"aborted\": %llu, \"glitches\": %llu, ",
           (unsigned long long)refused, (unsigned long long)aborted, (unsigned long long)glitches);
    printf("\"worst\": {\"peak\": %zu, \"limit\": %zu, \"streams\": %u}, \"leaked\": %llu, ",
           victim.worst.peak, victim.worst.limit, victim.worst.streams,
           (unsigned long long)victim.leaked);
    printf("\"cpu\": %.3f}\n", (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    fflush(stdout);
    pthread_mutex_unlock(&victim.lock);
}

/* --- the application ---------------------------------------------------------------------- */

static int read_stream(void *item, void *buf, size_t len, size_t *out_len)
{
    return smux_stream_read(item, buf, len, out_len);
}

static int write_stream(void *item, const void *data, size_t len)
{
    return smux_stream_write(item, data, len, NULL);
}

static void shutdown_stream(void *item)
{
    smux_stream_shutdown(item);
}

static void close_stream(void *item)
{
    smux_stream_close(item);
}

static const struct app_ops stream_ops = {read_stream, write_stream, shutdown_stream, NULL,
                                          close_stream};

static void stream_ended(void *arg, int status)
{
    (void)arg;
    pthread_mutex_lock(&victim.lock);
    victim.streams_ended[-status]++;
    pthread_mutex_unlock(&victim.lock);
}

/* --- sessions ----------------------------------------------------------------------------- */

static void enlist(struct served *served)
{
    served->next = victim.list;
    served->at = &victim.list;
    if (served->next != NULL) {
        served->next->at = &served->next;
    }
    victim.list = served;
}

static void unlist(const struct served *served)
{
    *served->at = served->next;
    if (served->next != NULL) {
        served->next->at = served->at;
    }
}

static void end_session(struct served *served)
{
    struct smux_session_stats stats;
    size_t now, peak;
    int status = smux_session_error(served->session);
    app_finish(&served->app);
    pthread_mutex_lock(&victim.lock);
    observe(served, &stats);
    add_stats(&stats);
    unlist(served);
    victim.live--;
    victim.sessions_ended[-status]++;
    pthread_mutex_unlock(&victim.lock);
    smux_session_close(served->session);
    counted_bytes(&served->memory, &now, &peak);
    pthread_mutex_lock(&victim.lock);
    victim.leaked += now; /* [I12] */
    pthread_mutex_unlock(&victim.lock);
}

static void *run_session(void *arg)
{
    struct served *served = arg;
    struct smux_session_stats stats;
    smux_stream *stream;
    while (smux_session_accept(served->session, &stream) == SMUX_OK) {
        app_add(&served->app, stream);
        pthread_mutex_lock(&victim.lock);
        observe(served, &stats);
        pthread_mutex_unlock(&victim.lock);
    }
    end_session(served);
    free(served);
    group_done(&victim.running);
    return NULL;
}

static void start_session(int fd)
{
    struct served *served = calloc(1, sizeof *served);
    struct smux_config config = victim.config;
    if (served == NULL) {
        abort();
    }
    counted_init(&served->memory);
    config.allocator = &served->memory.allocator;
    if (smux_server(fd, &config, &served->session) != SMUX_OK) {
        close(fd); /* no descriptor is left, or the peer is gone */
        free(served);
        return;
    }
    app_init(&served->app, &stream_ops, WORKERS);
    served->app.ended = stream_ended;
    pthread_mutex_lock(&victim.lock);
    enlist(served);
    victim.live++;
    victim.accepted++;
    pthread_mutex_unlock(&victim.lock);
    group_add(&victim.running);
    pthread_detach(worker_start(run_session, served));
}

static void *listen_loop(void *arg)
{
    int listener = *(const int *)arg;
    int fd;
    while (!victim.over) {
        int status = smux_accept_fd(listener, TURN_MS, &fd);
        if (status == SMUX_OK) {
            start_session(fd);
        } else if (status != SMUX_EDEADLINE) {
            sleep_ms(TURN_MS); /* out of descriptors: connections wait in the kernel */
        }
    }
    return NULL;
}

static void end_all(void)
{
    pthread_mutex_lock(&victim.lock);
    for (struct served *at = victim.list; at != NULL; at = at->next) {
        smux_session_abort(at->session);
    }
    pthread_mutex_unlock(&victim.lock);
    while (!group_wait(&victim.running, UINT16_MAX)) {
    }
}

int victim_main(int argc, char **argv)
{
    char address[64];
    char line[64];
    int listener;
    smux_config_init(&victim.config);
    victim.config.version = argc > 0 ? (uint32_t)atoi(argv[0]) : 1;
    victim.config.frame_timeout_ms = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    victim.config.send_stall_timeout_ms = victim.config.frame_timeout_ms;
    victim.config.max_stream_buffer = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    pthread_mutex_init(&victim.lock, NULL);
    group_init(&victim.running);
    if (smux_listen("127.0.0.1:0", &listener) != SMUX_OK) {
        return 1;
    }
    smux_socket_address(listener, false, address, sizeof address);
    printf("listening %s\n", address);
    fflush(stdout);
    pthread_t thread = worker_start(listen_loop, &listener);
    while (fgets(line, sizeof line, stdin) != NULL) {
        report();
    }
    victim.over = true;
    pthread_join(thread, NULL);
    close(listener);
    end_all();
    report();
    return victim.leaked == 0 ? 0 : 1;
}
