/* SPDX-License-Identifier: Apache-2.0 */
#include "weights_samples.h"

#include <assert.h>
#include <string.h>

size_t sample_safetensors(uint8_t file[SAMPLE_ROOM], const char *header, size_t bytes) {
    size_t n = strlen(header);
    assert(8 + n + bytes <= SAMPLE_ROOM);
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)(n >> 8 * i);
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < bytes; i++) file[8 + n + i] = (uint8_t)i;
    return 8 + n + bytes;
}
