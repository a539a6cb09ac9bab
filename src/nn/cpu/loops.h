/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the drivers of our own kernels (pointwise.c, norm.c, reduce.c, update.c, ...), which know shapes, memory and threads, and their
 * inner loops (loops_*.c), which know vectors. Tables are by element type: [NN_F32] or [NN_BF16]; those of bf16 are there at AVX-512 bf16
 * only, for models in bf16 are refused below. Sums and statistics are f32, and f64 over more than NORM_CHUNK terms. */
#ifndef NN_CPU_LOOPS_H
#define NN_CPU_LOOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

enum { LOOP_TYPES = 2 };
/* Pixels (or rows) whose sums are f32 before they are added up in f64. */
enum { NORM_CHUNK = 64 };

typedef void unary_loop(const void *x, void *y, size_t n);
typedef void binary_loop(const void *a, const void *b, void *y, size_t n);

/* Mean and sum of squared differences from it, of each channel, over `count` pixels. */
typedef struct { double *mean, *squares; size_t count; } channel_moments;

/* By channel: what norm_pictures.h says; slope and offset: see group_dx. */
typedef struct { const float *centre, *scale, *shift, *slope, *offset; } channel_vectors;

/* What a step of AdamW has for all weights (nn/update.h): keep is 1 - rate decay, step is rate / (1 - beta1^t), second sqrt(1 - beta2^t). */
typedef struct { float keep, step, second, new_m, beta2, new_v, epsilon, factor; } adamw_numbers;
/* Weights are f32, or bf16 with their lower bits in low (nn/halves.h), else NULL. ADAMW8_BLOCK of them (nn/adamw8.h); random: what the first one's is hashed of. */
typedef struct { void *weight; uint16_t *low; uint8_t *m, *root; float *m_scale, *root_scale; const float *dw; uint32_t random; } adamw8_block;

typedef struct {
    const char *name;
    bool bf16;
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

    /* ---- gradients ---- */

    binary_loop *silu_dx[LOOP_TYPES], *gelu_dx[LOOP_TYPES], *quick_gelu_dx[LOOP_TYPES];   /* of x, dy */
    void (*geglu_dx[LOOP_TYPES])(const void *a, const void *b, const void *dy, void *da, void *db, size_t n);
    /* With e = dy, or dy times silu's derivative at (x - centre) scale + shift: adds by channel e to sum, e (x - centre) to with. work: 2 channels f32.
     * kept: where e is stored, or NULL. */
    void (*group_sums[LOOP_TYPES][2])(const void *x, const void *dy, size_t pixels, size_t channels, const channel_vectors *v, double *sum, double *with, float *work,
                                        void *kept);
    /* dx = e scale + (x - centre) slope + offset; dx may be e. */
    void (*group_dx[LOOP_TYPES])(const void *x, const void *e, void *dx, size_t pixels, size_t channels, const channel_vectors *v);
    /* dx may be NULL, and so may dgamma and dbeta, both: then adds nothing to them. work: 2 channels f32. */
    void (*layer_norm_d[LOOP_TYPES])(const void *x, const void *dy, void *dx, size_t rows, size_t channels, const float *gamma, float epsilon, double *dgamma, double *dbeta,
                                     float *work);
    /* Of the columns of at most NORM_CHUNK rows, `stride` elements apart. */
    void (*column_sums[LOOP_TYPES])(const void *x, size_t rows, size_t stride, size_t n, float *sum);
    void (*add_to[LOOP_TYPES])(float *sum, const void *x, size_t n);      /* sum += x */
    double (*total[LOOP_TYPES])(const void *x, size_t n);
    double (*squares[LOOP_TYPES])(const void *x, size_t n);               /* the sum of x^2 */
    double (*distance[LOOP_TYPES])(const void *x, const float *target, size_t n);   /* the sum of (x - target)^2 */
    void (*distance_dx[LOOP_TYPES])(const void *x, const float *target, float scale, float weight, void *dx, size_t n);   /* (x - target) scale weight */
    double (*absolute[LOOP_TYPES])(const void *x, const float *target, size_t n);   /* the sum of |x - target| */
    void (*absolute_dx[LOOP_TYPES])(const void *x, const float *target, float scale, float weight, void *dx, size_t n);   /* its sign, 0 of 0, times scale weight */

    /* ---- an autoencoder's posterior: op_posterior.c; moments [rows, 2 channels] ---- */

    void (*sample[LOOP_TYPES])(const void *moments, const float *noise, void *y, size_t rows, size_t channels);
    void (*sample_d[LOOP_TYPES])(const void *moments, const float *noise, const void *dy, void *d, size_t rows, size_t channels);
    double (*divergence[LOOP_TYPES])(const void *moments, size_t rows, size_t channels);
    void (*divergence_d[LOOP_TYPES])(const void *moments, float scale, void *d, size_t rows, size_t channels);

    /* ---- updates (nn/update.h), equal bits ---- */

    void (*adamw)(const adamw_numbers *a, void *weight, uint16_t *low, float *m, float *v, const float *dw, size_t n);
    void (*adamw8)(const adamw_numbers *a, const adamw8_block *b);
    void (*accumulate)(float *sum, const float *dw, size_t n);
    void (*average)(float *mean, const void *x, const uint16_t *low, float share, size_t n);   /* mean += share (x - mean) */
} loops;

extern const loops loops_avx2, loops_avx512, loops_avx512bf16;
const loops *loops_of(cpu_level level);   /* AVX2 or above */

#endif
