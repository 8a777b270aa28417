/*
 * engine_memory.c - two engines in one program, without sockets: a client writes a line, a
 * server echoes it. All that an owner has to do is here: move bytes, pull streams, pass time.
 * ctest: run
 */
#include <smux/engine.h>

#include <stdio.h>
#include <string.h>

/* Moves what `from` wants to send into `to`; returns how many bytes. */
static size_t move(smux_engine *from, smux_engine *to, uint64_t now_us)
{
    struct smux_iov iov[16];
    int n = smux_engine_send_iov(from, iov, 16, now_us);
    size_t moved = 0;

    for (int i = 0; i < n; i++) {
        size_t taken = 0;

        smux_engine_recv(to, iov[i].base, iov[i].len, now_us, &taken);
        moved += taken;
        if (taken < iov[i].len) {
            break; /* its receive budget is used up: later */
        }
    }
    smux_engine_send_commit(from, moved, now_us);
    return moved;
}

/* Lets time and bytes pass until neither end has anything to send for a while. */
static void run(smux_engine *client, smux_engine *server, uint64_t *now_us)
{
    for (int round = 0; round < 50; round++) {
        size_t up = move(client, server, *now_us);
        size_t down = move(server, client, *now_us);

        if (up + down > 0) {
            printf("%6.1f ms: %zu bytes to the server, %zu to the client\n", (double)*now_us / 1000,
                   up, down);
        }
        *now_us += 1000; /* a real program waits for smux_engine_deadline() */
        smux_engine_tick(client, *now_us);
        smux_engine_tick(server, *now_us);
    }
}

int main(void)
{
    const char line[] = "hello, stream";
    char buf[64];
    uint64_t now_us = 0;
    size_t len = 0;
    smux_engine *client = NULL, *server = NULL;
    smux_estream *ours = NULL, *theirs = NULL;
    int ok;

    ok = smux_engine_new(SMUX_CLIENT, NULL, 0, now_us, &client) == SMUX_OK &&
         smux_engine_new(SMUX_SERVER, NULL, 0, now_us, &server) == SMUX_OK &&
         smux_engine_open(client, &ours) == SMUX_OK &&
         smux_estream_write(client, ours, line, sizeof(line), &len) == SMUX_OK;
    if (ok) {
        run(client, server, &now_us);
        ok = smux_engine_accept(server, &theirs) == SMUX_OK &&
             smux_estream_read(server, theirs, buf, sizeof(buf), &len) == SMUX_OK &&
             smux_estream_write(server, theirs, buf, len, &len) == SMUX_OK;
    }
    if (ok) {
        run(client, server, &now_us);
        memset(buf, 0, sizeof(buf));
        ok = smux_estream_read(client, ours, buf, sizeof(buf), &len) == SMUX_OK &&
             len == sizeof(line) && memcmp(buf, line, len) == 0;
        printf("echo on stream %u: \"%s\"\n", (unsigned)smux_estream_id(ours), buf);
    }
    smux_engine_free(client); /* frees its streams, too */
    smux_engine_free(server);
    return ok ? 0 : 1;
}
