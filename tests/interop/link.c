#include "link.h"

#include "workers.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DIAL_MS = 10000,
    END_MS = 2000,
    TURN_MS = 50
};

bool link_is_end(int status)
{
    switch (status) {
    case SMUX_EOF:
    case SMUX_ECLOSED:
    case SMUX_EGOAWAY:
    case SMUX_EIO:
    case SMUX_EPIPE:
    case SMUX_ETRUNCATED:
        return true;
    default:
        return false;
    }
}

/** Starts a session on a connection; NULL after tally_fail(). */
static smux_session *start(struct peer *peer, enum smux_role role, int fd)
{
    smux_session *session;
    const struct smux_config *config = &peer->options->config;
    int status =
        role == SMUX_CLIENT ? smux_client(fd, config, &session) : smux_server(fd, config, &session);
    if (status == SMUX_OK) {
        return session;
    }
    const char *why = "";
    smux_config_check(config, role, &why);
    tally_fail(&peer->tally, "session: %s %s", smux_strerror(status), why);
    close(fd);
    return NULL;
}

smux_session *link_connect(struct peer *peer)
{
    int fd;
    int status = smux_dial(peer->options->address, DIAL_MS, &fd);
    if (status != SMUX_OK) {
        tally_fail(&peer->tally, "connect to %s: %s (%s)", peer->options->address,
                   smux_strerror(status), strerror(errno));
        return NULL;
    }
    return start(peer, SMUX_CLIENT, fd);
}

void link_close(struct peer *peer, smux_session *session)
{
    struct smux_session_stats stats;
    char text[TALLY_TEXT] = "";
    int error = smux_session_error(session);
    smux_session_error_text(session, text, sizeof text);
    smux_session_stats(session, &stats);
    if (stats.receive_buffer != 0) {
        tally_fail(&peer->tally, "%u bytes are charged to the budget, no stream is open",
                   (unsigned)stats.receive_buffer);
    }
    int status = smux_session_close(session);
    if (error != SMUX_OK && !link_is_end(error)) {
        tally_session_error(&peer->tally, error, text);
    } else if (status != SMUX_OK && !link_is_end(status)) {
        tally_session_error(&peer->tally, status, "smux_session_close");
    }
    peer->tally.sessions++;
}

smux_stream *link_open(struct peer *peer, smux_session *session)
{
    smux_stream *stream;
    int status = smux_session_open(session, &stream);
    if (status != SMUX_OK) {
        tally_fail(&peer->tally, "open: %s", smux_strerror(status));
        return NULL;
    }
    peer->tally.streams++;
    return stream;
}

void link_on_stream(struct peer *peer, smux_session *session, stream_work *work)
{
    smux_stream *stream = link_open(peer, session);
    if (stream != NULL) {
        work(peer, stream);
        smux_stream_close(stream);
    }
}

/** What the threads of link_on_streams() share. */
struct batch {
    struct peer *peer;
    smux_session *session;
    stream_work *work;
};

static void run_one(void *arg, uint32_t i)
{
    struct batch *batch = arg;
    (void)i;
    link_on_stream(batch->peer, batch->session, batch->work);
}

void link_on_streams(struct peer *peer, smux_session *session, uint32_t n, uint32_t parallel,
                     stream_work *work)
{
    struct batch batch = {peer, session, work};
    workers_each(n, parallel, run_one, &batch);
}

void link_run_client(struct peer *peer, uint32_t n, uint32_t parallel, stream_work *work)
{
    smux_session *session = link_connect(peer);
    if (session != NULL) {
        link_on_streams(peer, session, n, parallel, work);
        link_close(peer, session);
    }
}

/* --- accepted streams ------------------------------------------------------------------- */

struct accepted {
    struct peer *peer;
    smux_stream *stream;
    stream_work *work;
    struct group *group;
};

static void *run_stream(void *arg)
{
    struct accepted *a = arg;
    struct group *group = a->group;
    a->work(a->peer, a->stream);
    smux_stream_close(a->stream);
    free(a);
    group_done(group);
    return NULL;
}

void link_each_stream(struct peer *peer, smux_session *session, stream_work *work)
{
    struct group group;
    smux_stream *stream;
    uint32_t last = peer->options->last;
    group_init(&group);
    for (uint32_t n = 0;
         (last == 0 || n < last) && smux_session_accept(session, &stream) == SMUX_OK; n++) {
        struct accepted *a = malloc(sizeof *a);
        if (a == NULL) {
            abort();
        }
        peer->tally.streams++;
        group_add(&group);
        *a = (struct accepted){peer, stream, work, &group};
        pthread_detach(worker_start(run_stream, a));
    }
    /* Without -last the session is over, and every call on it ends by itself. */
    while (!group_wait(&group, UINT16_MAX)) {
    }
    group_deinit(&group);
}

/* --- a listener ------------------------------------------------------------------------- */

/** A session in the list of a server, so that the end of the server can end it. */
struct served {
    struct server *server;
    smux_session *session;
    struct served *next;
};

struct server {
    struct peer *peer;
    session_work *work;
    struct group group;
    struct served *list; /**< guarded by group.lock */
};

static void unlist(struct server *server, const struct served *served)
{
    pthread_mutex_lock(&server->group.lock);
    for (struct served **at = &server->list; *at != NULL; at = &(*at)->next) {
        if (*at == served) {
            *at = served->next;
            break;
        }
    }
    pthread_mutex_unlock(&server->group.lock);
}

static void *run_session(void *arg)
{
    struct served *served = arg;
    struct server *server = served->server;
    server->work(server->peer, served->session);
    unlist(server, served);
    link_close(server->peer, served->session);
    free(served);
    group_done(&server->group);
    return NULL;
}

static void serve_connection(struct server *server, int fd)
{
    struct served *served = malloc(sizeof *served);
    smux_session *session = start(server->peer, SMUX_SERVER, fd);
    if (session == NULL || served == NULL) {
        free(served);
        return;
    }
    group_add(&server->group);
    pthread_mutex_lock(&server->group.lock);
    *served = (struct served){server, session, server->list};
    server->list = served;
    pthread_mutex_unlock(&server->group.lock);
    pthread_detach(worker_start(run_session, served));
}

/** Ends what does not end by itself. */
static void stop_sessions(struct server *server)
{
    if (group_wait(&server->group, END_MS)) {
        return;
    }
    pthread_mutex_lock(&server->group.lock);
    for (struct served *at = server->list; at != NULL; at = at->next) {
        tally_note(&server->peer->tally, "aborting a session that has not ended");
        smux_session_abort(at->session);
    }
    pthread_mutex_unlock(&server->group.lock);
    while (!group_wait(&server->group, UINT16_MAX)) {
    }
}

/** Waits for a connection (1) or for the end of standard input (0); -1 when neither came. Who
 *  connected before the end is still served. */
static int await_connection(const struct options *options, int listen_fd)
{
    char byte;
    struct pollfd fds[2] = {{listen_fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    int n = poll(fds, options->exit_on_stdin ? 2 : 1, TURN_MS);
    if (n > 0 && fds[0].revents != 0) {
        return 1;
    }
    return n > 0 && fds[1].revents != 0 && read(STDIN_FILENO, &byte, 1) <= 0 ? 0 : -1;
}

static bool listen_and_tell(struct peer *peer, int *out_fd)
{
    char text[TALLY_TEXT] = "";
    int status = smux_listen(peer->options->address, out_fd);
    if (status != SMUX_OK) {
        return tally_fail(&peer->tally, "listen at %s: %s", peer->options->address,
                          smux_strerror(status));
    }
    smux_socket_address(*out_fd, false, text, sizeof text);
    printf("listening %s\n", text);
    fflush(stdout);
    return true;
}

void link_serve(struct peer *peer, session_work *work)
{
    struct server server = {.peer = peer, .work = work};
    int listen_fd;
    int fd;
    if (!listen_and_tell(peer, &listen_fd)) {
        return;
    }
    group_init(&server.group);
    while (peer->options->sessions == 0 || peer->tally.sessions < peer->options->sessions) {
        int event = await_connection(peer->options, listen_fd);
        if (event == 0) {
            break;
        }
        if (event > 0 && smux_accept_fd(listen_fd, TURN_MS, &fd) == SMUX_OK) {
            serve_connection(&server, fd);
        }
    }
    close(listen_fd);
    stop_sessions(&server);
    group_deinit(&server.group);
}
