#include "peer.h"

#include "flow.h"
#include "must.h"

#include <string.h>

/* The writers of flow_key(). */
enum {
    WRITER_PEER = 0,
    WRITER_APP = 1
};

#define SEED 0x66757a7a

struct peer_id *peer_find(struct peer *peer, uint32_t id)
{
    struct peer_id *p;

    for (size_t i = 0; i < peer->num_ids; i++) {
        if (peer->ids[i].id == id) {
            return &peer->ids[i];
        }
    }
    must(peer->num_ids < PEER_IDS, "too many ids in one input");
    p = &peer->ids[peer->num_ids++];
    memset(p, 0, sizeof(*p));
    p->id = id;
    return p;
}

void peer_begin(struct peer_id *id)
{
    if (id->num_lives == PEER_LIVES) {
        id->unknown = true;
        return;
    }
    id->lives[id->num_lives++] = (struct peer_life){id->sent, UINT64_MAX};
}

void peer_end(struct peer_id *id)
{
    for (unsigned i = 0; i < id->num_lives; i++) {
        if (id->lives[i].end == UINT64_MAX) {
            id->lives[i].end = id->sent;
        }
    }
}

void peer_payload(struct peer_id *id, uint8_t *buf, size_t len)
{
    flow_fill(flow_key(SEED, id->id, WRITER_PEER), id->sent, buf, len);
    if (id->num_lives > 0 && id->lives[id->num_lives - 1].end == UINT64_MAX) {
        id->sent += len;
    }
}

void peer_app_data(const struct peer_id *id, uint64_t offset, uint8_t *buf, size_t len)
{
    flow_fill(flow_key(SEED, id->id, WRITER_APP), offset, buf, len);
}

struct peer_reader peer_reader(struct peer_id *id)
{
    return (struct peer_reader){id, ((uint32_t)1 << id->num_lives) - 1, 0};
}

static bool is_data_of(const struct peer_reader *reader, const struct peer_life *life,
                       const void *data, size_t len)
{
    const struct peer_id *id = reader->id;
    uint64_t at = life->start + reader->read;
    uint64_t end = life->end < id->sent ? life->end : id->sent;

    return at + len <= end && flow_check(flow_key(SEED, id->id, WRITER_PEER), at, data, len) == len;
}

bool peer_check_data(struct peer_reader *reader, const void *data, size_t len)
{
    for (unsigned i = 0; i < reader->id->num_lives; i++) {
        if (!is_data_of(reader, &reader->id->lives[i], data, len)) {
            reader->lives &= ~((uint32_t)1 << i);
        }
    }
    reader->read += len;
    return reader->lives != 0 || reader->id->unknown;
}

bool peer_check_eof(const struct peer_reader *reader)
{
    for (unsigned i = 0; i < reader->id->num_lives; i++) {
        const struct peer_life *life = &reader->id->lives[i];

        if ((reader->lives >> i & 1) != 0 && life->end == life->start + reader->read) {
            return true;
        }
    }
    return reader->id->unknown;
}

/* What follows a FIN belongs to another life, whose data starts at 0 again. */
void peer_got_frame(struct peer *peer, const struct frame *frame)
{
    if (frame->cmd == CMD_FIN) {
        peer_find(peer, frame->id)->got = 0;
    }
}

bool peer_got_payload(struct peer *peer, uint32_t id, const uint8_t *data, size_t len)
{
    struct peer_id *p = peer_find(peer, id);

    if (flow_check(flow_key(SEED, id, WRITER_APP), p->got, data, len) != len) {
        return false;
    }
    p->got += len;
    return p->got <= p->written;
}
