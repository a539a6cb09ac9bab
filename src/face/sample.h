/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside sample_patch: the one loop over pixels, and who blends a pixel's channels. */
#ifndef FACE_SAMPLE_H
#define FACE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

enum { SAMPLE_MAX_CHANNELS = 512 };   /* of the kernels; the reference takes any number */

typedef struct { size_t height, width, channels, row, pixel; } sample_view;   /* row and pixel: steps in elements */

/* out[c] = bilinear of the four pixels, q[0] q[1] above, q[2] q[3] below; NULL: all zeros. */
typedef void sample_blend(float *out, const float *const q[4], float dx, float dy, size_t channels);
sample_blend sample_pixel, sample_pixel_avx2, sample_pixel_avx512;

/* `x` and `y` point at their first elements; border and padding of y are the caller's. */
void sample_run(sample_blend *blend, const float *x, sample_view in, const float m[16], float *y, sample_view out);

#endif
