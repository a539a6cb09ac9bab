/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <nettle/sha2.h>

void sha256(const void *data, size_t size, uint8_t out[32]) {
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, size, data);
    sha256_digest(&ctx, SHA256_DIGEST_SIZE, out);
}

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(sha256_state) && _Alignof(struct sha256_ctx) <= _Alignof(sha256_state), "there is room for it");

void sha256_begin(sha256_state *s) { sha256_init((struct sha256_ctx *)s->opaque); }
void sha256_add(sha256_state *s, const void *data, size_t size) { sha256_update((struct sha256_ctx *)s->opaque, size, data); }
void sha256_end(sha256_state *s, uint8_t out[32]) { sha256_digest((struct sha256_ctx *)s->opaque, SHA256_DIGEST_SIZE, out); }

void sha256_hex(const uint8_t digest[32], char out[65]) {
    for (int i = 0; i < 32; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[64] = 0;
}
