/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside image_warp: one warp, and who computes it. Nobody else includes this. */
#ifndef IMAGE_WARP_ROWS_H
#define IMAGE_WARP_ROWS_H

#include "image/warp.h"

/* The reference works in blocks of 64 output columns: X = (m0*64*floor(x/64) + m1*y + m2) + m0*(x%64), in f64. */
enum { WARP_BLOCK = 64 };

typedef struct {
    const image *in;
    warp_border border;
    warp_target target;
    double m[9];         /* output pixel -> picture */
} warp_job;

/* Both need a picture of 2..2^25-1 pixels each way and a target whose width is a multiple of 8. */
void warp_rows_avx2(const warp_job *job, float *out);
void warp_rows_avx512(const warp_job *job, float *out);

#endif
