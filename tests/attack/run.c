#include "run.h"

#include "attack.h"
#include "interop/workers.h"

#include <smux/transport.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_MS = 2,    /* between two connections */
    VICTIM_MS = 5000 /* until a client must have come */
};

/** What happened on all connections of an attack. */
struct outcome {
    uint32_t connections;
    uint32_t refused; /* could not be made */
    uint32_t closed;  /* by the victim */
    uint64_t sent;
    uint64_t received;
    uint32_t rounds;
    uint64_t worst_us;
    char fault[sizeof((struct peer *)0)->fault];
};

static void add_peer(struct outcome *outcome, const struct peer *peer)
{
    outcome->connections += peer->connections > 0 ? peer->connections : 1;
    outcome->closed += peer->closed;
    outcome->sent += peer->sent;
    outcome->received += peer->received;
    outcome->rounds += peer->side.rounds;
    if (peer->side.worst_us > outcome->worst_us) {
        outcome->worst_us = peer->side.worst_us;
    }
    if (outcome->fault[0] == '\0') {
        memcpy(outcome->fault, peer->fault, sizeof outcome->fault);
    }
}

/** Performs it on one connection: one to an address, or one that comes to a listener. */
static void perform(const struct attack *attack, struct peer peer, int listener,
                    struct outcome *outcome)
{
    peer.fd = -1;
    peer.seed = outcome->connections;
    peer.side.on = (attack->traits & BESIDE) != 0;
    if (listener >= 0 && !peer_accept(&peer, listener)) {
        return;
    }
    if (listener < 0 && (attack->traits & CONNECTS) == 0 && !peer_connect(&peer)) {
        outcome->refused++;
        return;
    }
    attack->run(&peer);
    add_peer(outcome, &peer);
    peer_close(&peer);
}

static void report(const struct outcome *o, double seconds)
{
    printf("{\"connections\": %u, \"refused\": %u, \"closed\": %u, \"sent\": %llu, "
           "\"received\": %llu, \"rounds\": %u, \"worst_ms\": %.1f, \"seconds\": %.3f, "
           "\"fault\": \"%s\"}\n",
           o->connections, o->refused, o->closed, (unsigned long long)o->sent,
           (unsigned long long)o->received, o->rounds, (double)o->worst_us / 1000, seconds,
           o->fault);
}

static const struct attack *find(const char *name)
{
    for (const struct attack *a = attacks; a->name != NULL; a++) {
        if (strcmp(a->name, name) == 0) {
            return a;
        }
    }
    return NULL;
}

/** Listens, and waits for the first that comes; false when nobody does. */
static bool listen_for_victim(const char *address, int *out_listener)
{
    struct pollfd p = {.events = POLLIN};
    if (smux_listen(address, out_listener) != SMUX_OK) {
        return false;
    }
    p.fd = *out_listener;
    return poll(&p, 1, VICTIM_MS) > 0;
}

int run_attack(int argc, char **argv, bool serves)
{
    struct outcome outcome = {0};
    const struct attack *attack = argc == 4 ? find(argv[0]) : NULL;
    int listener = -1;
    if (attack == NULL) {
        fprintf(stderr, "attack: run or serve NAME ADDRESS VERSION SECONDS\n");
        return 2;
    }
    if (serves && !listen_for_victim(argv[1], &listener)) {
        fprintf(stderr, "attack: no client came to %s\n", argv[1]);
        return 1;
    }
    uint64_t begin_us = smux_now_us();
    struct peer peer = {.address = argv[1], .version = (unsigned)atoi(argv[2])};
    peer.until_us = begin_us + (uint64_t)(atof(argv[3]) * 1e6);
    do {
        perform(attack, peer, listener, &outcome);
        sleep_ms(AGAIN_MS);
    } while (smux_now_us() < peer.until_us);
    report(&outcome, (double)(smux_now_us() - begin_us) / 1e6);
    return 0;
}

static const char *json_bool(unsigned bit)
{
    return bit != 0 ? "true" : "false";
}

static void print_text(const char *text)
{
    if (text == NULL) {
        fputs("null", stdout);
    } else {
        printf("\"%s\"", text);
    }
}

int list_attacks(void)
{
    for (const struct attack *a = attacks; a->name != NULL; a++) {
        printf("{\"name\": \"%s\", \"clauses\": \"%s\", \"versions\": [%s], ", a->name, a->clauses,
               a->versions == BOTH ? "1, 2"
               : a->versions == V1 ? "1"
                                   : "2");
        printf("\"beside\": %s, \"sends\": %s, \"silent\": %s, ", json_bool(a->traits & BESIDE),
               json_bool(a->traits & SENDS), json_bool(a->traits & SILENT));
        printf("\"trap\": %s, \"timed\": %s, \"connects\": %s, ", json_bool(a->traits & TRAP),
               json_bool(a->traits & TIMED), json_bool(a->traits & CONNECTS));
        printf("\"crowd\": %s, \"fixed\": %s, ", json_bool(a->traits & CROWD),
               json_bool(a->traits & FIXED));
        printf("\"opens\": %s, ", json_bool(a->traits & OPENS));
        printf("\"long\": %s, \"fills\": %s, \"works\": %s, ", json_bool(a->traits & LONG),
               json_bool(a->traits & FILLS), json_bool(a->traits & WORKS));
        printf("\"glitches\": %u, \"end\": ", (unsigned)a->glitches);
        print_text(a->end);
        fputs(", \"stream\": ", stdout);
        print_text(a->stream);
        puts("}");
    }
    return 0;
}
