/* SPDX-License-Identifier: Apache-2.0 */
#include "train/cache_entry.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"

enum { FORMAT = 1 };
static const char magic[8] = "miencach";

/* As it lies in the file, little-endian. */
typedef struct {
    char magic[8];
    uint32_t format, type;
    uint64_t count, zero;
    uint8_t digest[32];
} header;
_Static_assert(sizeof(header) == CACHE_ENTRY_HEADER, "no padding");

size_t cache_entry_bytes(const cache_entry *e) { return e->count * (e->type == CACHE_ENTRY_F32 ? 4 : 2); }

static void digest(const cache_entry *e, const void *numbers, uint8_t out[32]) {
    sha256_state s;
    sha256_begin(&s);
    sha256_add(&s, e->name, strlen(e->name) + 1);
    sha256_add(&s, numbers, cache_entry_bytes(e));
    sha256_end(&s, out);
}

void cache_entry_write(const cache_entry *e, const void *numbers, uint8_t *out) {
    header h = { .format = FORMAT, .type = e->type, .count = e->count };
    memcpy(h.magic, magic, sizeof magic);
    digest(e, numbers, h.digest);
    memcpy(out, &h, sizeof h);
    memcpy(out + sizeof h, numbers, cache_entry_bytes(e));
}

int cache_entry_read(const cache_entry *e, const uint8_t *data, size_t size, const void **numbers) {
    header h;
    uint8_t want[32];
    if (size < sizeof h) return error_set(ERR_FORMAT, "no room for a header");
    memcpy(&h, data, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic) != 0) return error_set(ERR_FORMAT, "no item of a cache");
    if (h.format != FORMAT) return error_set(ERR_FORMAT, "format %u, of which only %d is known here", h.format, FORMAT);
    if (h.type != (uint32_t)e->type || h.count != e->count || size - sizeof h != cache_entry_bytes(e))
        return error_set(ERR_FORMAT, "not as large as it should be");
    digest(e, data + sizeof h, want);
    if (memcmp(want, h.digest, sizeof want) != 0) return error_set(ERR_FORMAT, "its checksum is wrong");
    *numbers = data + sizeof h;
    return 0;
}
