#include "audit.h"

#include "must.h"
#include <stdlib.h>
#include <string.h>

void audit_init(struct audit *audit, enum smux_role role, unsigned version, uint64_t guard_us)
{
    memset(audit, 0, sizeof(*audit));
    audit->role = role;
    audit->version = version;
    audit->guard_us = guard_us;
    audit->max_frame = 65535;
    audit->first_id[SMUX_CLIENT] = 1;
    audit->first_id[SMUX_SERVER] = 0;
}

void audit_free(struct audit *audit)
{
    free(audit->streams);
    free(audit->far);
    memset(audit, 0, sizeof(*audit));
}

static struct audit_stream *grow(struct audit_stream *streams, size_t from, size_t to)
{
    streams = realloc(streams, to * sizeof(streams[0]));
    must(streams != NULL, "no memory for the test");
    for (size_t i = from; i < to; i++) {
        memset(&streams[i], 0, sizeof(streams[0]));
        streams[i].window = 262144;
        streams[i].edge = 262144;
    }
    return streams;
}

/* Ids that only a hostile peer uses. */
static struct audit_stream *far_stream(struct audit *audit, uint32_t id)
{
    for (size_t i = 0; i < audit->num_far; i++) {
        if (audit->far[i].id == id) {
            return &audit->far[i];
        }
    }
    audit->far = grow(audit->far, audit->num_far, audit->num_far + 1);
    audit->far[audit->num_far].id = id;
    return &audit->far[audit->num_far++];
}

struct audit_stream *audit_stream(struct audit *audit, uint32_t id)
{
    unsigned opener = (id & 1) == 1 ? SMUX_CLIENT : SMUX_SERVER;
    size_t place = (id - audit->first_id[opener]) | opener;

    if (place >= AUDIT_NEAR) {
        return far_stream(audit, id);
    }
    if (place >= audit->num_streams) {
        size_t num = place + place / 2 + 32;

        audit->streams = grow(audit->streams, audit->num_streams, num);
        audit->num_streams = num;
    }
    return &audit->streams[place];
}

uint32_t audit_room(struct audit *audit, uint32_t id, uint64_t sent)
{
    const struct audit_stream *s = audit_stream(audit, id);
    uint64_t edge = s->acked + s->window;

    if ((uint32_t)edge == 0 && s->window >= 2) {
        edge--; /* [WIN-9] */
    }
    return edge > sent ? (uint32_t)(edge - sent) : 0;
}

bool audit_between_frames(const struct audit *audit)
{
    return audit->in.have == 0 && audit->in.payload == 0;
}

/* Takes bytes up to the end of the next frame header (or update). Returns true when a frame is
 * there; *data and *len move on. */
static bool next_frame(struct audit_decoder *d, const uint8_t **data, size_t *len,
                       size_t *payload_of_last, struct frame *out_frame)
{
    size_t payload = d->payload < *len ? d->payload : *len;
    size_t want, part;

    *payload_of_last = payload;
    d->payload -= payload;
    *data += payload;
    *len -= payload;
    for (;;) {
        want = FRAME_HEADER;
        if (d->have >= FRAME_HEADER && d->head[1] == CMD_UPD) {
            want = FRAME_UPD;
        }
        if (d->have == want) {
            break;
        }
        part = want - d->have < *len ? want - d->have : *len;
        if (part == 0) {
            return false;
        }
        memcpy(d->head + d->have, *data, part);
        d->have += part;
        *data += part;
        *len -= part;
    }
    frame_header(d->head, out_frame);
    if (out_frame->cmd == CMD_UPD) {
        (void)frame_next(d->head, FRAME_UPD, out_frame);
    } else {
        d->payload = out_frame->len;
        d->id = out_frame->id;
    }
    d->have = 0;
    return true;
}

static const char *check_origin(struct audit *audit, struct audit_stream *s,
                                const struct frame *frame, uint64_t now_us)
{
    bool ours = (frame->id & 1) == (audit->role == SMUX_CLIENT ? 1 : 0);

    if (frame->cmd == CMD_SYN) {
        if (!ours) {
            return "SYN with an id of the peer";
        }
        return s->syn_out ? "second SYN" : NULL;
    }
    if (ours) {
        return s->syn_out ? NULL : "frame before its SYN";
    }
    if (s->syns_in == 0) {
        return "frame for a stream the peer did not open";
    }
    if (s->syns_in == 1 && !s->heard && now_us < s->syn_in_at_us + audit->guard_us) {
        return "frame before the accept guard ended";
    }
    return NULL;
}

/* How often an id was opened, by whomever. */
static unsigned lives(const struct audit_stream *s)
{
    return s->syns_in > 0 ? s->syns_in : 1;
}

static const char *check_out(struct audit *audit, const struct frame *frame, uint64_t now_us)
{
    const char *fault = frame_fault(frame, audit->version);
    struct audit_stream *s;
    uint32_t forward;

    audit->frames_out++;
    if (fault != NULL || frame->cmd == CMD_NOP) {
        return fault;
    }
    s = audit_stream(audit, frame->id);
    fault = check_origin(audit, s, frame, now_us);
    if (fault != NULL) {
        return fault;
    }
    switch (frame->cmd) {
    case CMD_SYN:
        s->syn_out = true;
        return NULL;
    case CMD_FIN:
        fault = s->fins_out == lives(s) ? "second FIN" : NULL;
        s->fins_out++;
        return fault;
    case CMD_PSH:
        s->sent += frame->len;
        if (frame->len > audit->max_frame) {
            return "PSH larger than max_frame_size";
        }
        if (audit->version == 2 && s->syns_in <= 1 && s->sent > s->edge) {
            return "payload beyond the window";
        }
        return s->fins_out == lives(s) ? "PSH behind FIN" : NULL;
    default:
        if (s->syns_in > 1) {
            return NULL;
        }
        forward = frame->consumed - (uint32_t)s->consumed;
        if (forward >= 0x80000000u) {
            return "CONSUMED goes back";
        }
        s->consumed += forward;
        if (frame->window > 0x7fffffff) {
            return "WINDOW too large";
        }
        return s->consumed > s->received ? "CONSUMED beyond what arrived" : NULL;
    }
}

static void show_frame(const struct audit *audit, bool out, const struct frame *frame)
{
    if (audit->watch != NULL) {
        audit->watch->frame(audit->watch->ctx, out, frame);
    }
}

static void show_payload(const struct audit *audit, bool out, uint32_t id, const uint8_t *data,
                         size_t len)
{
    if (audit->watch != NULL && len > 0) {
        audit->watch->payload(audit->watch->ctx, out, id, data, len);
    }
}

const char *audit_out(struct audit *audit, const uint8_t *data, size_t len, uint64_t now_us)
{
    const char *fault = NULL;
    bool more;

    do {
        const uint8_t *first = data;
        uint32_t id = audit->out.id;
        size_t payload;
        struct frame frame;

        more = next_frame(&audit->out, &data, &len, &payload, &frame);
        show_payload(audit, true, id, first, payload);
        if (more) {
            fault = check_out(audit, &frame, now_us);
            show_frame(audit, true, &frame);
        }
    } while (more && fault == NULL);
    return fault;
}

static void see_in(struct audit *audit, const struct frame *frame, uint64_t now_us)
{
    struct audit_stream *s;

    if (frame->cmd == CMD_NOP) {
        return;
    }
    s = audit_stream(audit, frame->id);
    switch (frame->cmd) {
    case CMD_SYN:
        s->syn_in_at_us = s->syns_in++ == 0 ? now_us : s->syn_in_at_us;
        return;
    case CMD_UPD: {
        uint32_t forward = frame->consumed - (uint32_t)s->acked;

        if (forward < 0x80000000u) {
            s->acked += forward;
            s->window = frame->window;
            if (s->acked + frame->window > s->edge) {
                s->edge = s->acked + frame->window;
            }
        }
        break;
    }
    case CMD_FIN:
        s->fin_in = true;
        break;
    default:
        break;
    }
    s->heard = true;
}

void audit_in(struct audit *audit, const uint8_t *data, size_t len, uint64_t now_us)
{
    bool more;

    do {
        const uint8_t *first = data;
        uint32_t id = audit->in.id;
        size_t payload;
        struct frame frame;

        more = next_frame(&audit->in, &data, &len, &payload, &frame);
        if (payload > 0) {
            audit_stream(audit, id)->received += payload;
        }
        show_payload(audit, false, id, first, payload);
        if (more) {
            see_in(audit, &frame, now_us);
            show_frame(audit, false, &frame);
        }
    } while (more);
}
