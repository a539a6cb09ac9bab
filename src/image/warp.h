/* SPDX-License-Identifier: Apache-2.0
 *
 * A rotated rectangle of a picture as a small tensor, exactly as MediaPipe's ImageToTensorCalculator with OpenCV makes
 * it (8-bit bilinear sampling on a 1/32 pixel grid, no half-pixel offset); equal bits. */
#ifndef IMAGE_WARP_H
#define IMAGE_WARP_H

#include "image/image.h"

/* Centre and size in pixels, rotation in radians, clockwise on the screen. */
typedef struct { float cx, cy, width, height, rotation; } warp_rect;

typedef enum { WARP_ZERO, WARP_REPLICATE } warp_border;   /* what lies outside the picture */

/* out [height, width, 3] f32 = fmaf(sample, scale, offset). */
void image_warp(const image *in, warp_rect rect, warp_border border, float scale, float offset, int width, int height, float *out);
/* The 8-bit samples alone, out [height, width, 3]. */
void image_warp_u8(const image *in, warp_rect rect, warp_border border, int width, int height, uint8_t *out);

#endif
