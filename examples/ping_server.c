/*
 * ping_server.c - answers one stream with what it received: ping_server [ADDRESS]
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
    int listener, fd, status;
    smux_session *session;
    smux_stream *stream;

    if ((status = smux_listen(argc > 1 ? argv[1] : "9000", &listener)) != SMUX_OK ||
        (status = smux_accept_fd(listener, SMUX_OFF, &fd)) != SMUX_OK ||
        (status = smux_server(fd, NULL, &session)) != SMUX_OK) {
        return fail("cannot serve", status);
    }
    status = smux_session_accept(session, &stream);
    if (status == SMUX_OK) {
        while ((status = smux_stream_read(stream, buf, sizeof buf, &n)) == SMUX_OK) {
            printf("received \"%.*s\"\n", (int)n, buf);
            (void)smux_stream_write(stream, buf, n, NULL);
        }
        smux_stream_close(stream);
    }
    (void)smux_session_close(session);
    return status == SMUX_EOF ? 0 : fail("stream", status);
}
