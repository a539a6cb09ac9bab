/* SPDX-License-Identifier: Apache-2.0
 *
 * A small .gz file, unpacked in memory. */
#ifndef BASE_GUNZIP_H
#define BASE_GUNZIP_H

#include <stddef.h>
#include <stdint.h>

/* Into a buffer that the caller frees with free(). ERR_LIMIT if it would be larger than `limit`; messages don't name the file. */
int gunzip(const uint8_t *data, size_t size, size_t limit, uint8_t **out, size_t *out_size);

#endif
