/*
 * ping_client.c - sends "ping" and prints the answer: ping_client [ADDRESS]
 */
#include <smux/smux.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what, int status)
{
    fprintf(stderr, "%s: %s\n", what, status == SMUX_EIO ? strerror(errno) : smux_strerror(status));
    return 1;
}

int main(int argc, char **argv)
{
    char buf[100];
    size_t n;
    int fd, status;
    smux_session *session;
    smux_stream *stream;

    if ((status = smux_dial(argc > 1 ? argv[1] : "9000", 5000, &fd)) != SMUX_OK ||
        (status = smux_client(fd, NULL, &session)) != SMUX_OK ||
        (status = smux_session_open(session, &stream)) != SMUX_OK) {
        return fail("cannot connect", status);
    }
    status = smux_stream_write(stream, "ping", 4, NULL);
    if (status == SMUX_OK) {
        status = smux_stream_read(stream, buf, sizeof buf, &n);
    }
    if (status == SMUX_OK) {
        printf("received \"%.*s\"\n", (int)n, buf);
    }
    smux_stream_close(stream);
    (void)smux_session_close(session);
    return status == SMUX_OK ? 0 : fail("stream", status);
}
