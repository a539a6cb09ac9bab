/* SPDX-License-Identifier: Apache-2.0
 *
 * A rotated rectangle of a picture as a small tensor, exactly as MediaPipe's ImageToTensorCalculator with OpenCV makes
 * it (8-bit bilinear sampling on a 1/32 pixel grid, no half-pixel offset); equal bits at every processor level. */
#ifndef IMAGE_WARP_H
#define IMAGE_WARP_H

#include "base/cpu.h"
#include "image/image.h"

/* Centre and size in pixels, rotation in radians, clockwise on the screen. */
typedef struct { float cx, cy, width, height, rotation; } warp_rect;

typedef enum { WARP_ZERO, WARP_REPLICATE } warp_border;   /* what lies outside the picture */

/* What is made of it: [height, width, 3] f32 = fmaf(sample, scale, offset). */
typedef struct { int width, height; float scale, offset; } warp_target;

/* `cpu` is the level to use, at most what the machine has. Any rectangle will do: NaNs and infinities give some sample. */
void image_warp(const image *in, warp_rect rect, warp_border border, warp_target target, cpu_level cpu, float *out);
/* The 8-bit samples alone, out [height, width, 3]: for tests, beside recorded crops. */
void image_warp_u8(const image *in, warp_rect rect, warp_border border, int width, int height, uint8_t *out);

#endif
