/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside image/resize: the two inner loops, plain and for AVX2. Same integers, same bytes. */
#ifndef IMAGE_RESIZE_ROWS_H
#define IMAGE_RESIZE_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* 8 bits for the value; kernels have negative lobes, so 2 more for sums below 0 and above 1. */
#define RESIZE_PRECISION (32 - 8 - 2)
#define RESIZE_HALF (1 << (RESIZE_PRECISION - 1))

/* For each output position: the first input position, how many, and their weights in fixed point, `taps` places each (a
 * multiple of 4; places not used are 0). `split`: each weight as high * 2^15 + low, four low ones, then their high ones. */
typedef struct { int taps; int *first, *count; int32_t *weight; int16_t *split; } resize_coefficients;

/* One row of RGB to one of `width` pixels. `end`: where the input picture's bytes end. */
typedef void resize_horizontal(const resize_coefficients *c, int width, const uint8_t *in, const uint8_t *end, uint8_t *out);
/* One output row of `bytes` from `count` rows, the first at `in`, each `stride` further on. */
typedef void resize_vertical(const int32_t *weight, int count, const uint8_t *in, size_t stride, size_t bytes, uint8_t *out);

resize_horizontal resize_horizontal_plain, resize_horizontal_avx2;
resize_vertical   resize_vertical_plain, resize_vertical_avx2;

static inline uint8_t resize_clip(int32_t sum) {
    int v = sum >> RESIZE_PRECISION;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

#endif
