#include "frames.h"

#include <string.h>

static void put32(uint8_t *buf, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        buf[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get32(const uint8_t *buf)
{
    return (uint32_t)buf[0] | (uint32_t)buf[1] << 8 | (uint32_t)buf[2] << 16 |
           (uint32_t)buf[3] << 24;
}

size_t put_header(uint8_t *buf, unsigned version, unsigned cmd, unsigned len, uint32_t id)
{
    buf[0] = (uint8_t)version;
    buf[1] = (uint8_t)cmd;
    buf[2] = (uint8_t)len;
    buf[3] = (uint8_t)(len >> 8);
    put32(buf + 4, id);
    return FRAME_HEADER;
}

size_t put_syn(uint8_t *buf, unsigned version, uint32_t id)
{
    return put_header(buf, version, CMD_SYN, 0, id);
}

size_t put_fin(uint8_t *buf, unsigned version, uint32_t id)
{
    return put_header(buf, version, CMD_FIN, 0, id);
}

size_t put_nop(uint8_t *buf, unsigned version)
{
    return put_header(buf, version, CMD_NOP, 0, 0);
}

size_t put_psh(uint8_t *buf, unsigned version, uint32_t id, const void *data, size_t len)
{
    put_header(buf, version, CMD_PSH, (unsigned)len, id);
    if (len > 0) {
        memcpy(buf + FRAME_HEADER, data, len);
    }
    return FRAME_HEADER + len;
}

size_t put_upd(uint8_t *buf, unsigned version, uint32_t id, uint32_t consumed, uint32_t window)
{
    put_header(buf, version, CMD_UPD, 8, id);
    put32(buf + 8, consumed);
    put32(buf + 12, window);
    return FRAME_UPD;
}

void frame_header(const uint8_t *buf, struct frame *out_frame)
{
    memset(out_frame, 0, sizeof(*out_frame));
    out_frame->version = buf[0];
    out_frame->cmd = buf[1];
    out_frame->len = (uint16_t)(buf[2] | buf[3] << 8);
    out_frame->id = get32(buf + 4);
    out_frame->payload = buf + FRAME_HEADER;
}

size_t frame_next(const uint8_t *buf, size_t len, struct frame *out_frame)
{
    if (len < FRAME_HEADER) {
        return 0;
    }
    frame_header(buf, out_frame);
    if (len - FRAME_HEADER < out_frame->len) {
        return 0;
    }
    if (out_frame->cmd == CMD_UPD && out_frame->len == 8) {
        out_frame->consumed = get32(out_frame->payload);
        out_frame->window = get32(out_frame->payload + 4);
    }
    return FRAME_HEADER + (size_t)out_frame->len;
}

const char *frame_fault(const struct frame *frame, unsigned version)
{
    if (frame->version != version) {
        return "another version";
    }
    switch (frame->cmd) {
    case CMD_SYN:
    case CMD_FIN:
        return frame->len == 0 ? NULL : "SYN or FIN with payload";
    case CMD_PSH:
        return frame->len > 0 ? NULL : "PSH without payload";
    case CMD_NOP:
        return frame->len == 0 && frame->id == 0 ? NULL : "NOP with payload or id";
    case CMD_UPD:
        if (version != 2) {
            return "UPD in version 1";
        }
        return frame->len == 8 ? NULL : "UPD of a wrong length";
    default:
        return "unknown command";
    }
}

const char *frame_name(unsigned cmd)
{
    static const char *const names[] = {"SYN", "FIN", "PSH", "NOP", "UPD"};

    return cmd < sizeof(names) / sizeof(names[0]) ? names[cmd] : "?";
}
