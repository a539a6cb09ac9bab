/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of weights, made by hand. */
#ifndef TESTS_WEIGHTS_SAMPLES_H
#define TESTS_WEIGHTS_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

enum { SAMPLE_ROOM = 1 << 16 };

/* A safetensors file of this header and `bytes` bytes of data, 0, 1, 2, ...; returns its size. */
size_t sample_safetensors(uint8_t file[SAMPLE_ROOM], const char *header, size_t bytes);

#endif
