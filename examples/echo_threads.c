/*
 * echo_threads.c - a server with a thread for each stream, and a client that checks its echo.
 *
 * Both live in this process, connected over loopback, and end by themselves. ctest: run
 */
#include <smux/smux.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS 16
#define ROUNDS  100

static void check(int status, const char *what)
{
    if (status != SMUX_OK) {
        fprintf(stderr, "%s: %s\n", what, smux_strerror(status));
        exit(1);
    }
}

/* --- server -------------------------------------------------------------------------------- */

static void *serve_stream(void *arg)
{
    smux_stream *stream = arg;
    char buf[4096];
    size_t n;

    while (smux_stream_read(stream, buf, sizeof buf, &n) == SMUX_OK &&
           smux_stream_write(stream, buf, n, NULL) == SMUX_OK) {
    }
    smux_stream_close(stream);
    return NULL;
}

/* Serves one session until its peer closes it. */
static void *serve(void *arg)
{
    int fd;
    int status;
    smux_session *session;
    smux_stream *stream;

    check(smux_accept_fd(*(int *)arg, SMUX_OFF, &fd), "accept");
    check(smux_server(fd, NULL, &session), "server");
    while ((status = smux_session_accept(session, &stream)) == SMUX_OK) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve_stream, stream) != 0) {
            smux_stream_close(stream);
            continue;
        }
        pthread_detach(thread); /* the session lives as long as its streams */
    }
    printf("server: %s\n", smux_strerror(status));
    check(smux_session_close(session), "close");
    return NULL;
}

/* --- client -------------------------------------------------------------------------------- */

static void read_exactly(smux_stream *stream, char *buf, size_t len)
{
    for (size_t done = 0, n; done < len; done += n) {
        check(smux_stream_read(stream, buf + done, len - done, &n), "read");
    }
}

static void *ask(void *arg)
{
    smux_stream *stream = arg;
    char question[1000], answer[1000];

    for (int i = 0; i < ROUNDS; i++) {
        memset(question, 'a' + i % 26, sizeof question);
        check(smux_stream_write(stream, question, sizeof question, NULL), "write");
        read_exactly(stream, answer, sizeof answer);
        if (memcmp(question, answer, sizeof answer) != 0) {
            fprintf(stderr, "the echo differs\n");
            exit(1);
        }
    }
    smux_stream_close(stream);
    return NULL;
}

int main(void)
{
    char address[64];
    int listener, fd;
    pthread_t server, clients[STREAMS];
    smux_session *session;
    struct smux_session_stats stats;

    check(smux_listen("127.0.0.1:0", &listener), "listen"); /* 0: any free port */
    check(smux_socket_address(listener, false, address, sizeof address), "address");
    pthread_create(&server, NULL, serve, &listener);

    check(smux_dial(address, 5000, &fd), "dial");
    check(smux_client(fd, NULL, &session), "client");
    for (int i = 0; i < STREAMS; i++) {
        smux_stream *stream;
        check(smux_session_open(session, &stream), "open");
        pthread_create(&clients[i], NULL, ask, stream);
    }
    for (int i = 0; i < STREAMS; i++) {
        pthread_join(clients[i], NULL);
    }
    smux_session_stats(session, &stats);
    printf("client: %llu streams, %llu bytes there and %llu back\n",
           (unsigned long long)stats.streams_opened, (unsigned long long)stats.payload_out,
           (unsigned long long)stats.payload_in);
    check(smux_session_close(session), "close");
    pthread_join(server, NULL);
    return 0;
}
