/*
 * wire.h - the bytes of a frame [FRM-1].
 *
 *   byte   0         1         2    3         4    5    6    7        8 ...
 *        +---------+---------+---------+---------+----+----+----+----+=========+
 *        | VERSION |   CMD   |  LENGTH (LE)      |   STREAMID (LE)   | payload |
 *        +---------+---------+---------+---------+----+----+----+----+=========+
 *
 * Everything goes through loads and stores of single bytes: no alignment, no byte order of the
 * machine, and compilers make one instruction of each.
 */
#ifndef SMUX__WIRE_H
#define SMUX__WIRE_H

#include <stdint.h>

#define SMUX__HEADER_LEN  8u
#define SMUX__UPD_LEN     8u
#define SMUX__MAX_PAYLOAD 65535u

enum smux__cmd {
    SMUX__CMD_SYN = 0,
    SMUX__CMD_FIN = 1,
    SMUX__CMD_PSH = 2,
    SMUX__CMD_NOP = 3,
    SMUX__CMD_UPD = 4
};

struct smux__header {
    uint8_t version;
    uint8_t cmd;
    uint16_t len;
    uint32_t id;
};

static inline uint16_t smux__load16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)(p[1] << 8));
}

static inline uint32_t smux__load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void smux__store16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void smux__store32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static inline struct smux__header smux__header_load(const uint8_t *p)
{
    struct smux__header h = {p[0], p[1], smux__load16(p + 2), smux__load32(p + 4)};
    return h;
}

static inline void smux__header_store(uint8_t *p, struct smux__header h)
{
    p[0] = h.version;
    p[1] = h.cmd;
    smux__store16(p + 2, h.len);
    smux__store32(p + 4, h.id);
}

#endif
