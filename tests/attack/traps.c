/*
 * traps.c - honest peers that look hostile, section 15 of docs/PROTOCOL.md. Nothing may be held
 * against them, and they get what they came for. tests/engine/test_traps.c shows the same of the
 * engine to the frame; here whole programs are at the other end.
 */
#include "attack.h"

#include <smux/transport.h>

enum {
    FIRST_ID = 3,
    WINDOW = 262144, /* of every stream at its start */
    ROUND_MS = 10,
    BURST = 2050, /* NOPs that Go may have queued while we did not read */
    MESSAGE = 1000,
    BLOCK = 32768, /* payload of a frame of bulk data */
    ENDLESS_IDS = 100
};

/** Exchanges a message on a stream that is echoed; tells whether it came back. */
static bool echoed(struct peer *peer, uint32_t id, size_t len)
{
    uint64_t total = peer->payload + len;
    peer_psh(peer, id, len);
    return peer_await_payload(peer, total);
}

/* Data in flight when a stream ends. */
void trap_1_unknown_and_closed_ids(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'E');
    peer_fin(peer, FIRST_ID);
    for (uint32_t round = 0; peer_wait(peer, ROUND_MS); round++) {
        for (uint32_t i = 0; i < 100; i++) {
            uint32_t id = i % 2 == 0 ? FIRST_ID : 5 + 2 * round;
            peer_psh(peer, id, MESSAGE);
            peer_fin(peer, id);
            if (peer->version == 2) {
                peer_upd(peer, id, 1000000, WINDOW);
            }
        }
    }
    if (peer->frames[CMD_FIN] > 1) {
        peer_blame(peer, "%u FINs came, one stream was opened", (unsigned)peer->frames[CMD_FIN]);
    }
}

/* A Write racing Close of one stream, a CloseWrite and a Close, and streams that never end. */
void trap_2_fins_and_none(struct peer *peer)
{
    for (uint32_t id = FIRST_ID; peer_wait(peer, ROUND_MS); id += 4) {
        peer_open(peer, id, 'E');
        if (!echoed(peer, id, MESSAGE)) {
            return;
        }
        peer_fin(peer, id);
        peer_psh(peer, id, MESSAGE);
        peer_fin(peer, id);
        if (id < ENDLESS_IDS) { /* each keeps a worker busy */
            peer_open(peer, id + 2, 'E');
        }
    }
}

void trap_3_ids_in_any_order(struct peer *peer)
{
    for (uint32_t base = 0; peer_wait(peer, ROUND_MS); base += 8) {
        static const uint32_t order[] = {7, 1, 5, 3};
        for (int i = 0; i < 4; i++) {
            peer_open(peer, base + order[i], 'E');
            if (!echoed(peer, base + order[i], MESSAGE)) {
                return;
            }
            peer_fin(peer, base + order[i]);
        }
    }
}

/* Two readers of one stream, whose updates leave in any order; and a stream buffer of one byte. */
void trap_4_unordered_and_tiny_windows(struct peer *peer)
{
    uint32_t consumed = 0;
    peer_open(peer, FIRST_ID, 'E');
    while (peer_live(peer)) {
        if (!echoed(peer, FIRST_ID, MESSAGE)) {
            return;
        }
        for (uint32_t i = 0; i < MESSAGE; i += 2) {
            peer_upd(peer, FIRST_ID, consumed + i + 2, 65536);
            peer_upd(peer, FIRST_ID, consumed + i + 1, 1);
        }
        consumed += MESSAGE;
        for (uint32_t i = 0; i < 5; i++) {
            peer_upd(peer, FIRST_ID, consumed++, 1);
            if (!echoed(peer, FIRST_ID, 1)) {
                return;
            }
        }
        peer_upd(peer, FIRST_ID, consumed, 65536);
        peer_wait(peer, ROUND_MS);
    }
}

void trap_5_no_nops(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'E');
    while (peer_wait(peer, 100)) {
    }
}

/* What Go had queued while nobody read its connection. */
void trap_5_burst_of_nops(struct peer *peer)
{
    for (int i = 0; i < BURST; i++) {
        peer_nop(peer);
    }
    while (peer_wait(peer, 100)) {
    }
}

/* An application that is slow, with a library beneath it that sends NOPs. It reads in the end, and
 * nothing is missing. */
void trap_6_slow_reader(struct peer *peer)
{
    uint64_t wake_us = (smux_now_us() + peer->until_us) / 2;
    uint64_t total = 0;
    peer->deaf = true;
    for (uint32_t i = 0; i < 20; i++, total += 30000) {
        peer_open(peer, FIRST_ID + 2 * i, 'E');
        peer_psh(peer, FIRST_ID + 2 * i, 30000);
    }
    while (smux_now_us() < wake_us && peer_wait(peer, 100)) {
        peer_nop(peer);
    }
    peer->deaf = false;
    if (peer_await_payload(peer, total)) {
        peer_wait(peer, UINT16_MAX);
    } else if (!peer->closed) {
        peer_blame(peer, "%u of %u bytes came", (unsigned)peer->payload, (unsigned)total);
    }
}

/* A port check, or connections that were given up at once. */
void trap_7_open_and_close(struct peer *peer)
{
    uint32_t id = FIRST_ID;
    while (peer_wait(peer, ROUND_MS)) {
        for (int i = 0; i < 100; i++, id += 2) {
            peer_syn(peer, id);
            peer_fin(peer, id);
        }
    }
    if (peer->frames[CMD_FIN] == 0) {
        peer_blame(peer, "no stream was closed");
    }
}

/* To Go from 1.5.54 on our FIN is a half-close, so it goes on sending. */
void trap_8_data_after_our_fin(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'F');
    while (peer_wait(peer, ROUND_MS)) {
        peer_psh(peer, FIRST_ID, MESSAGE);
    }
    if (peer->frames[CMD_FIN] != 1) {
        peer_blame(peer, "%u FINs came, expected one", (unsigned)peer->frames[CMD_FIN]);
    }
}

/* Two goroutines that write one stream have a window each. */
void trap_9_two_writers(struct peer *peer)
{
    for (uint32_t id = FIRST_ID; id <= FIRST_ID + 2; id += 2) {
        peer_open(peer, id, 'H');
        for (size_t sent = 1; sent + 65535 < 2 * WINDOW; sent += 65535) {
            peer_psh(peer, id, 65535);
        }
    }
    while (peer_wait(peer, 100)) {
    }
}

/* A writer that was told it may go on, and does not. */
void trap_10_stops_with_window(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'E');
    echoed(peer, FIRST_ID, MESSAGE);
    while (peer_wait(peer, 100)) {
    }
}

/* The first window is all that a peer without updates ever gives. */
void trap_11_never_updates(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'S');
    peer_await_payload(peer, WINDOW);
    while (peer_wait(peer, 100)) {
    }
    if (peer->payload != WINDOW) {
        peer_blame(peer, "%u bytes came, the window has %d", (unsigned)peer->payload, WINDOW);
    }
}

/* Nothing but a busy client: what it does to others is the measure for attacks of the same rate. */
void trap_bulk(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'F');
    while (peer_psh(peer, FIRST_ID, BLOCK)) {
    }
}
