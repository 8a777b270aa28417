/*
 * malformed.c - frames that violate the protocol, in every state of a session and of a stream; ids
 * that belong to somebody else.
 */
#include "attack.h"

enum {
    ID = 3,
    END_MS = 500,
    HASH_STREAMS = 8000,
    HASH_ROUND = 500,
    WINDOW = 262144,
    LARGEST = 65535
};

/* --- what is wrong ------------------------------------------------------------------------ */

static void version_3(struct peer *peer)
{
    peer_bytes(peer, "\3\3\0\0\0\0\0\0", FRAME_HEADER);
}

static void other_version(struct peer *peer)
{
    peer_bytes(peer, peer->version == 1 ? "\2\3\0\0\0\0\0\0" : "\1\3\0\0\0\0\0\0", FRAME_HEADER);
}

static void command_5(struct peer *peer)
{
    peer_header(peer, 5, 0, ID);
}

static void command_255(struct peer *peer)
{
    peer_header(peer, 255, LARGEST, ID);
}

static void syn_with_length(struct peer *peer)
{
    peer_header(peer, CMD_SYN, 1, ID + 2);
}

static void fin_with_length(struct peer *peer)
{
    peer_header(peer, CMD_FIN, LARGEST, ID);
}

static void nop_with_length(struct peer *peer)
{
    peer_header(peer, CMD_NOP, 8, 0);
}

static void upd_too_short(struct peer *peer) /* or of version 1, which has none */
{
    peer_header(peer, CMD_UPD, 7, ID);
}

static void upd_too_long(struct peer *peer)
{
    peer_header(peer, CMD_UPD, peer->version == 1 ? 8 : 9, ID);
}

static void our_parity(struct peer *peer)
{
    peer_syn(peer, peer->own_id ^ 1);
}

static void (*const errors[])(struct peer *) = {
    version_3,       other_version,   command_5,     command_255,  syn_with_length,
    fin_with_length, nop_with_length, upd_too_short, upd_too_long, our_parity,
};

/* --- and when ----------------------------------------------------------------------------- */

static void fresh(struct peer *peer)
{
    (void)peer;
}

static void opened(struct peer *peer)
{
    peer_begin(peer, ID);
}

static void half_closed(struct peer *peer)
{
    peer_open(peer, ID, 'H');
    peer_fin(peer, ID);
}

static void closed(struct peer *peer) /* by both ends */
{
    peer_begin(peer, ID);
    peer_fin(peer, ID);
    peer_wait(peer, 10);
}

static void echoing(struct peer *peer) /* data in both directions */
{
    peer_open(peer, ID, 'E');
    peer_psh(peer, ID, LARGEST);
    peer_wait(peer, 2);
}

static void sending(struct peer *peer) /* output is stuck */
{
    peer->deaf = true;
    peer_open(peer, ID, 'S');
    peer_wait(peer, 10);
}

static void holding(struct peer *peer) /* much is unread, less than the budget */
{
    for (uint32_t i = 0; i < 10; i++) {
        peer_open(peer, ID + 2 * i, 'H');
        peer_psh(peer, ID + 2 * i, LARGEST);
    }
}

static void many(struct peer *peer)
{
    for (uint32_t i = 0; i < 100; i++) {
        peer_open(peer, ID + 2 * i, "EHS"[i % 3]);
    }
}

static void skipping(struct peer *peer) /* the payload of a stream that does not exist */
{
    peer_psh(peer, peer->own_id + 1000, LARGEST);
}

static void (*const states[])(struct peer *) = {
    fresh, opened, half_closed, closed, echoing, sending, holding, many, skipping,
};

enum {
    ERRORS = sizeof errors / sizeof errors[0],
    STATES = sizeof states / sizeof states[0]
};

/** Waits until the victim hangs up, and blames it when it does not. */
static void expect_hang_up(struct peer *peer)
{
    peer->deaf = false; /* the end comes behind all data */
    peer_wait(peer, END_MS);
    if (peer_live(peer)) {
        peer_blame(peer, "error %u in state %u: not closed after %d ms",
                   (unsigned)(peer->seed % ERRORS), (unsigned)(peer->seed / ERRORS % STATES),
                   END_MS);
    }
}

/* Another pair on each connection; in the time of the suite each of them comes several times. */
void attack_malformed(struct peer *peer)
{
    states[peer->seed / ERRORS % STATES](peer);
    errors[peer->seed % ERRORS](peer);
    expect_hang_up(peer);
}

void attack_wrong_version(struct peer *peer)
{
    static const char greetings[][20] = {
        "\3\0\0\0\3\0\0\0",    "GET / HTTP/1.1\r\n\r\n",           "\x16\3\1\2\0\1\0\1\xfc\3\3",
        "SSH-2.0-OpenSSH_9.2", "\377\377\377\377\377\377\377\377",
    };
    peer_bytes(peer, greetings[peer->seed % 5], sizeof greetings[0]);
    expect_hang_up(peer);
}

/* --- ids ---------------------------------------------------------------------------------- */

/* CVE-like G17: claims the id that the victim's side opens next. */
void attack_our_parity(struct peer *peer)
{
    our_parity(peer);
    expect_hang_up(peer);
}

void attack_syn_known(struct peer *peer)
{
    peer_open(peer, ID, 'H');
    while (peer_syn(peer, ID)) {
    }
}

/* Ids that differ only in their high bits, as for a table that takes the low ones; a table whose
 * probes get long needs a time for each frame that grows with their number. */
void attack_hash_flood(struct peer *peer)
{
    uint32_t n = 0;
    for (; n < HASH_STREAMS; n++) {
        peer_syn(peer, n << 16 | 1);
        if (n % HASH_ROUND == 0 && !peer_wait(peer, 10)) {
            return;
        }
    }
    for (uint32_t i = 0; peer_fin(peer, (i * 7919 % n) << 16 | 1); i++) {
    }
}
