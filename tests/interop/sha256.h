/*
 * sha256.h - SHA-256 as in FIPS 180-4: the digest that ends a bulk transfer.
 */
#ifndef INTEROP_SHA256_H
#define INTEROP_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum {
    SHA256_SIZE = 32
};

struct sha256 {
    uint32_t state[8];
    uint64_t len;      /**< bytes so far */
    uint8_t block[64]; /**< those of them that do not fill a block yet */
};

void sha256_init(struct sha256 *sha);
void sha256_update(struct sha256 *sha, const void *data, size_t len);
void sha256_final(struct sha256 *sha, uint8_t out[SHA256_SIZE]);

#endif
