/*
 * frame_reader.h - takes a captured byte stream of one direction apart into frames.
 *
 *   byte  0        1      2..3         4..7           8 ...
 *         VERSION  CMD    LENGTH (LE)  STREAMID (LE)  payload
 *
 * It judges each frame by docs/PROTOCOL.md, section Frames: the version is 1 or 2 and stays the
 * same, CMD is 0..4, LENGTH is 0 for SYN, FIN and NOP and 8 for UPD, UPD is only in version 2.
 */
#ifndef TOOL_FRAME_READER_H
#define TOOL_FRAME_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum frame_command {
    FRAME_SYN,
    FRAME_FIN,
    FRAME_PSH,
    FRAME_NOP,
    FRAME_UPD
};

/* What is wrong with a frame. */
enum frame_fault {
    FAULT_NONE,
    FAULT_RULE,     /* a rule is violated; where the next frame begins is still known */
    FAULT_FRAMING,  /* this is no frame, nothing behind it can be understood */
    FAULT_TRUNCATED /* the input ends inside the frame */
};

struct frame {
    uint64_t offset; /* of its header in the stream */
    uint8_t version;
    uint8_t command; /* enum frame_command */
    uint16_t len;
    uint32_t stream;
    uint32_t consumed; /* UPD */
    uint32_t window;   /* UPD */
    enum frame_fault fault;
    char why[160]; /* the fault as a sentence */
};

/* Who sent the stream, as far as it tells: clients open odd ids, servers even ones. */
enum frame_sender {
    SENDER_UNKNOWN,
    SENDER_CLIENT,
    SENDER_SERVER
};

struct frame_reader {
    FILE *in;
    bool hex;        /* the input is hexadecimal digits */
    uint64_t offset; /* bytes read */
    uint64_t line;   /* of the last character of hexadecimal text that counted, from 1 */
    bool bad_input;  /* a character that is no digit, or half_byte */
    bool half_byte;  /* the text ends after the first digit of two */
    uint8_t version; /* of the first frame; 0 before it */
    enum frame_sender sender;
};

/* Prepares to read a stream, of raw bytes or hexadecimal digits. */
void frame_reader_init(struct frame_reader *reader, FILE *in, bool hex);

/* Reads the next frame. False at the end of the input and when that is unusable; check ferror(in)
 * and bad_input then. */
bool frame_reader_next(struct frame_reader *reader, struct frame *out);

/* Returns the name of a command, "?" for others. */
const char *frame_command_name(uint8_t command);

#endif
