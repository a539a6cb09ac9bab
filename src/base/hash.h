/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of bytes in memory. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

void sha256(const void *data, size_t size, uint8_t out[32]);
void sha256_hex(const uint8_t digest[32], char out[65]);   /* lower case, terminated */

#endif
