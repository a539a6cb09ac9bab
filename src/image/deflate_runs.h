/* SPDX-License-Identifier: Apache-2.0
 *
 * DEFLATE (RFC 1951) for pictures that are nearly all one colour, as face maps are: runs of a pixel and repeats of the
 * row above, with fixed Huffman codes made for them. It looks at each byte once or twice, about ten times as fast as a
 * general compressor, and no larger on maps. */
#ifndef IMAGE_DEFLATE_RUNS_H
#define IMAGE_DEFLATE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Compresses PNG rows, each `row` bytes with its filter byte, 8-bit RGB. Returns the bytes written, or 0 if they would be
 * more than `room`: then the picture is of another kind. */
size_t deflate_runs(const uint8_t *in, size_t size, size_t row, uint8_t *out, size_t room);

#endif
