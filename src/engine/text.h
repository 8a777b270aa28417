/*
 * text.h - one bounded formatter for messages, without stdio [R12].
 *
 * Bytes of a peer are escaped. What does not fit is cut; the result always ends with a 0.
 */
#ifndef SMUX__TEXT_H
#define SMUX__TEXT_H

#include "wire.h"

#include <stddef.h>
#include <stdint.h>

struct smux__text {
    char *out;
    size_t size; /* of out, at least 1 */
    size_t len;  /* used, without the 0 */
};

void smux__text_init(struct smux__text *text, char *out, size_t size);
void smux__text_add(struct smux__text *text, const char *string);
void smux__text_add_number(struct smux__text *text, uint64_t number);
void smux__text_add_bytes(struct smux__text *text, const uint8_t *data, size_t len);

/* Writes what the first bytes of a connection look like when they are not smux `version`. */
void smux__text_guess_peer(struct smux__text *text, const uint8_t first[SMUX__HEADER_LEN],
                           unsigned version);

#endif
