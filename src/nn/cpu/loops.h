/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the drivers of our own kernels (pointwise.c, norm.c), which know shapes, memory and threads, and their inner loops
 * (loops_*.c), which know vectors. Tables are by element type: [NN_F32] or [NN_BF16]. Sums and statistics are f32. */
#ifndef NN_CPU_LOOPS_H
#define NN_CPU_LOOPS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cpu.h"

enum { LOOP_TYPES = 2 };
/* Pixels whose sums are f32 before they are added up in f64. */
enum { NORM_CHUNK = 64 };

typedef void unary_loop(const void *x, void *y, size_t n);
typedef void binary_loop(const void *a, const void *b, void *y, size_t n);

/* Mean and sum of squared differences from it, of each channel, over `count` pixels. */
typedef struct { double *mean, *squares; size_t count; } channel_moments;

typedef struct {
    const char *name;
    unary_loop *silu[LOOP_TYPES], *gelu[LOOP_TYPES], *quick_gelu[LOOP_TYPES];
    binary_loop *geglu[LOOP_TYPES];                         /* y = a gelu(b) */
    binary_loop *add[LOOP_TYPES][LOOP_TYPES], *mul[LOOP_TYPES][LOOP_TYPES];   /* by type of a (and y), of b */
    void (*add_one[LOOP_TYPES])(const void *a, float b, void *y, size_t n);
    void (*mul_one[LOOP_TYPES])(const void *a, float b, void *y, size_t n);
    void (*add_scaled[LOOP_TYPES])(const void *a, const void *b, float s, void *y, size_t n);   /* a + s b */
    binary_loop *subtract[LOOP_TYPES];                      /* y = a - b */
    /* y = (corner - across) - (up - x), rounded once. */
    void (*subtract_corner[LOOP_TYPES])(const void *corner, const void *across, const void *up, const void *x, void *y, size_t n);
    /* A pixel's four from nine products (onednn_upsampled.c says which), a bias, and residuals, which may be NULL. */
    void (*quarters[LOOP_TYPES])(const float *const product[9], const float *bias, const void *const residual[4], void *const y[4], size_t n);
    unary_loop *cast[LOOP_TYPES];                           /* to the other type, by the one of x */
    /* x [pixels, channels]: adds their moments to m; work: 3 channels f32. */
    void (*moments[LOOP_TYPES])(const void *x, size_t pixels, size_t channels, channel_moments *m, float *work);
    /* y = (x - centre) scale + shift by channel, then silu or not. */
    void (*scale_shift[LOOP_TYPES][2])(const void *x, void *y, size_t pixels, size_t channels, const float *centre, const float *scale, const float *shift);
    void (*layer_norm[LOOP_TYPES])(const void *x, void *y, size_t rows, size_t channels, const float *gamma, const float *beta, float epsilon);
} loops;

extern const loops loops_avx2, loops_avx512, loops_avx512bf16;
const loops *loops_of(cpu_level level);   /* AVX2 or above */

#endif
