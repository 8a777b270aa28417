/*
 * frames.h - builds and takes apart raw frames, without any code of the library.
 */
#ifndef SUPPORT_FRAMES_H
#define SUPPORT_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum frame_cmd {
    CMD_SYN = 0,
    CMD_FIN = 1,
    CMD_PSH = 2,
    CMD_NOP = 3,
    CMD_UPD = 4
};

#define FRAME_HEADER 8
#define FRAME_UPD    (FRAME_HEADER + 8)
#define FRAME_MAX    (FRAME_HEADER + 65535)

struct frame {
    uint8_t version;
    uint8_t cmd;
    uint16_t len;
    uint32_t id;
    uint32_t consumed;      /**< of a UPD */
    uint32_t window;        /**< of a UPD */
    const uint8_t *payload; /**< points into the buffer it was taken from */
};

/* Each returns the number of bytes it put. */
size_t put_header(uint8_t *buf, unsigned version, unsigned cmd, unsigned len, uint32_t id);
size_t put_syn(uint8_t *buf, unsigned version, uint32_t id);
size_t put_fin(uint8_t *buf, unsigned version, uint32_t id);
size_t put_nop(uint8_t *buf, unsigned version);
size_t put_psh(uint8_t *buf, unsigned version, uint32_t id, const void *data, size_t len);
size_t put_upd(uint8_t *buf, unsigned version, uint32_t id, uint32_t consumed, uint32_t window);

/** Takes the header apart; `buf` holds at least FRAME_HEADER bytes. */
void frame_header(const uint8_t *buf, struct frame *out_frame);

/** Takes one frame from the front; returns its size with header, 0 if it is incomplete. */
size_t frame_next(const uint8_t *buf, size_t len, struct frame *out_frame);

/** Returns what is wrong with a frame that an end of `version` emits, NULL if nothing. */
const char *frame_fault(const struct frame *frame, unsigned version);

const char *frame_name(unsigned cmd);

#endif
