/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256, of bytes in memory or as they come. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

void sha256(const void *data, size_t size, uint8_t out[32]);

typedef struct { uint64_t opaque[16]; } sha256_state;
void sha256_begin(sha256_state *s);
void sha256_add(sha256_state *s, const void *data, size_t size);
void sha256_end(sha256_state *s, uint8_t out[32]);

void sha256_hex(const uint8_t digest[32], char out[65]);   /* lower case, terminated */

#endif
