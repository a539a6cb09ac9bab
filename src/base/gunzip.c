/* SPDX-License-Identifier: Apache-2.0 */
#include "base/gunzip.h"

#include <libdeflate.h>
#include <stdlib.h>

#include "base/error.h"

int gunzip(const uint8_t *data, size_t size, size_t limit, uint8_t **out, size_t *out_size) {
    if (size < 18) return error_set(ERR_FORMAT, "is no gzip file");
    /* The last four bytes claim the size, modulo 2^32. One more, so that malloc is never asked for none. */
    size_t room = (size_t)data[size - 4] | (size_t)data[size - 3] << 8 | (size_t)data[size - 2] << 16 | (size_t)data[size - 1] << 24;
    if (room > limit) return error_set(ERR_LIMIT, "unpacked it has %zu bytes, %zu are allowed", room, limit);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    uint8_t *bytes = malloc(room + 1);
    if (!d || !bytes) {
        libdeflate_free_decompressor(d);
        free(bytes);
        return error_memory(room);
    }
    enum libdeflate_result rc = libdeflate_gzip_decompress(d, data, size, bytes, room, out_size);
    libdeflate_free_decompressor(d);
    if (rc != LIBDEFLATE_SUCCESS) {
        free(bytes);
        return error_set(ERR_FORMAT, "is no gzip file, or damaged");
    }
    *out = bytes;
    return 0;
}
