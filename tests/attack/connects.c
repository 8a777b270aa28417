/*
 * connects.c - connections that say nothing.
 */
#include "attack.h"
#include "interop/workers.h"

#include <smux/transport.h>

#include <stdlib.h>
#include <sys/resource.h>

enum {
    CONNECTIONS = 10000,
    SPARE = 64, /* descriptors for everything else */
    DIAL_MS = 5000,
    ROUND = 20, /* connections until the next pause */
    PAUSE_MS = 2,
    SILENCE_MS = 100
};

static uint32_t descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < CONNECTIONS + SPARE ? (uint32_t)limit.rlim_cur - SPARE : CONNECTIONS;
}

/* All of them, how short the time may be, and then silence. A victim with a limit of its own closes
 * what is above; that is no end of a session. */
void attack_connects(struct peer *peer)
{
    uint32_t n = descriptors();
    int *fds = malloc(n * sizeof *fds);
    uint32_t made = 0;
    while (fds != NULL && made < n && smux_dial(peer->address, DIAL_MS, &fds[made]) == SMUX_OK) {
        made++;
        if (made % ROUND == 0) {
            sleep_ms(PAUSE_MS);
        }
    }
    if (made < n) {
        peer_blame(peer, "%u of %u connections could be made", (unsigned)made, (unsigned)n);
    }
    peer->connections = made;
    do {
        sleep_ms(SILENCE_MS);
    } while (peer_live(peer));
    for (uint32_t i = 0; i < made; i++) {
        peer_reset(fds[i]);
    }
    free(fds);
}
