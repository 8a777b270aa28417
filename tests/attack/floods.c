/*
 * floods.c - frames that cost the victim more than the attacker: opens, ends, signs of life,
 * nothing at all.
 */
#include "attack.h"

enum {
    FIRST_ID = 3,
    ROUND = 400,  /* opens a paced flood does at once, well below what may wait to be refused */
    ROUND_MS = 6, /* and the time it gives the victim to refuse them */
    RAPID_AHEAD = 500, /* opens that a rapid open-and-close is ahead of its victim's answers */
    MANY = 2000
};

void attack_syn_flood(struct peer *peer)
{
    uint32_t id = peer->own_id;
    while (peer_syn(peer, id)) {
        id += 2;
    }
}

/* More opens than a session may have, but no faster than their refusals can leave: each round waits
 * for the stream beside. One byte on each, which must not cost memory once they are refused. */
void attack_syn_paced(struct peer *peer)
{
    uint32_t id = peer->own_id;
    while (peer_wait(peer, ROUND_MS)) {
        uint32_t rounds = peer->side.rounds;
        for (int i = 0; i < ROUND; i++, id += 2) {
            peer_syn(peer, id);
            peer_psh(peer, id, 1);
        }
        while (peer->side.rounds < rounds + 2 && peer_wait(peer, 1)) {
        }
    }
}

/* CVE-2023-44487: each stream is given up at once, so that no limit on open streams is reached. */
void attack_open_close(struct peer *peer)
{
    uint32_t n = 0;
    do {
        while (n < peer->frames[CMD_FIN] + RAPID_AHEAD) {
            peer_syn(peer, peer->own_id + 2 * n);
            peer_fin(peer, peer->own_id + 2 * n);
            n++;
        }
    } while (peer_wait(peer, 1));
}

void attack_empty_frames(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'E');
    while (peer_psh(peer, FIRST_ID, 0)) {
    }
}

void attack_nop_flood(struct peer *peer)
{
    while (peer_nop(peer)) {
    }
}

/* Repeated FINs of one stream are a habit of Go [RCV-14]; a flood of them must cost no memory. */
void attack_fin_repeated(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'H');
    while (peer_fin(peer, FIRST_ID)) {
    }
}

void attack_fin_unknown(struct peer *peer)
{
    uint32_t id = peer->own_id;
    while (peer_fin(peer, id)) {
        id += 2;
    }
}

/* Nine bytes for a system call of the victim, at thousands of descriptors, and in the end all of
 * them are to be closed at once. */
void attack_many_streams(struct peer *peer)
{
    uint32_t n = peer->serves ? PEER_OFFERED - 1 : MANY;
    for (uint32_t i = 0; i < n; i++) {
        peer_open(peer, FIRST_ID + 2 * i, 'H');
    }
    while (peer_wait(peer, ROUND_MS)) {
        for (uint32_t i = 0; i < n; i++) {
            peer_psh(peer, FIRST_ID + 2 * i, 1);
        }
    }
}
