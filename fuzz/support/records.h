/*
 * records.h - inputs that are a sequence of frames, and calls between them.
 *
 *   byte  0 ... preamble        then, again and again
 *         configuration         +---------+---------+---------+---------+- - - - -+
 *         of the target         | VERSION |   CMD   | LENGTH  | STREAMID|  body   |
 *                               +---------+---------+---------+---------+- - - - -+
 *
 * A record begins as a frame of smux does. With a CMD below RECORD_CALL it is one; the body of a
 * UPD are its two fields. With a higher CMD it is a call of the application in which the fields of
 * the header have other meanings, and there is no body. So one mutator (mutator.c) knows enough of
 * all these inputs.
 */
#ifndef FUZZ_RECORDS_H
#define FUZZ_RECORDS_H

#include "fuzz.h"

#define RECORD_HEADER 8u
#define RECORD_CALL   0x80u

/** How the input of a target is laid out; each target that uses mutator.c has one. */
struct record_format {
    size_t preamble;         /**< bytes before the first record */
    bool has_payload;        /**< the body of a PSH is its payload; otherwise it has none */
    unsigned num_calls;      /**< values of CMD from RECORD_CALL on */
    const uint8_t *versions; /**< those that are worth trying, ended by 0 */
};

extern const struct record_format fuzz_records;

struct record {
    uint8_t version;
    uint8_t cmd;
    uint16_t len;
    uint32_t id;
};

struct record record_load(const uint8_t *at);
void record_store(uint8_t *at, struct record record);

/** Size of a record with its body as the header announces it. */
size_t record_size(const struct record_format *format, struct record record);

#endif
