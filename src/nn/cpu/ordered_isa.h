/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the drivers of the ordered kernels (ordered_conv.c, ordered_residual.c), which know shapes and memory, and
 * their inner loops (ordered_avx512.c, ordered_avx2.c), which know vectors.
 *
 * Channels come in groups of 8. A `chunk` is the run of output channels that one inner loop keeps in registers: some
 * whole vectors and, with 16 lanes, perhaps a last group of 8, for which two pixels share a register. */
#ifndef NN_CPU_ORDERED_ISA_H
#define NN_CPU_ORDERED_ISA_H

#include <stddef.h>
#include <stdint.h>

enum { ORDERED_GROUP = 8, ORDERED_MAX_PIXELS = 16, ORDERED_WIDE = 9, ORDERED_WIDE_F16 = 10, ORDERED_KINDS = 11 };

typedef enum { ORDERED_NONE, ORDERED_RELU, ORDERED_PRELU } ordered_activation;

/* One block of pixels times one chunk of output channels. Strides in floats. */
typedef struct {
    /* Terms in order: for each of `runs`, `run` consecutive floats from in + run_at[i] on. */
    const float *in;             /* of the first pixel */
    size_t in_pixel;
    size_t runs, run;
    const uint32_t *run_at;
    const void *weights;         /* [term][lanes], f32 or f16 */
    const float *bias;           /* [lanes] */
    const float *add;            /* shortcut, or NULL; of pixel p at add + add_at[p] */
    const uint32_t *add_at;
    size_t add_groups;           /* groups of this chunk that the shortcut has; 0 is added to the rest */
    ordered_activation activation;
    const float *alpha;          /* [lanes], for PReLU */
    float *out;                  /* pixel p goes to out + out_at[p] */
    const uint32_t *out_at;
} ordered_sum;

/* One or two rows of a 3x3 depthwise convolution. Strides in floats. */
typedef struct {
    const float *in;             /* what tap (0,0) of the first output reads */
    size_t in_row, in_pixel;
    const float *weights;        /* [vector][kx][ky][lanes] */
    const float *bias;           /* [vector][lanes] */
    float *out;
    size_t out_row, out_pixel;
    size_t width;                /* outputs in a row */
    size_t vectors;
    float *pooled;               /* laid out like out; see depthwise_cut */
} ordered_depthwise;

/* How a depthwise layer is cut into vectors. */
typedef enum {
    DEPTHWISE_FULL,   /* vectors of `lanes` channels of one pixel */
    DEPTHWISE_PAIR,   /* odd number of groups: vectors run over two neighbouring pixels (stride 1, width >= 2) */
    DEPTHWISE_POOL,   /* full, stride 2: `pooled` gets the largest of the 2x2 inputs from tap (0,0) on */
    DEPTHWISE_CUTS,
} depthwise_cut;

typedef void ordered_sum_fn(const ordered_sum *s);
typedef void ordered_depthwise_fn(const ordered_depthwise *d);

typedef struct {
    const char *name;
    int lanes;
    /* Inner loops by kind and number of pixels, 1..max_pixels. Kind k < ORDERED_WIDE: chunks of k groups; ORDERED_WIDE:
     * 8 vectors, for pictures of one pixel, whose time is that of reading the weights; ORDERED_WIDE_F16: these kept in
     * f16. NULL where there is none. */
    ordered_sum_fn *const *sum[ORDERED_KINDS];
    uint8_t max_pixels[ORDERED_KINDS];
    /* By cut, stride (1 or 2) - 1, rows (1 or 2) - 1. */
    ordered_depthwise_fn *depthwise[DEPTHWISE_CUTS][2][2];
    /* out[x] = max of the 2x2 pixels at in + 2x; `groups` of channels, `width` outputs. */
    void (*pool)(float *out, size_t out_pixel, const float *in, size_t in_row, size_t in_pixel, size_t groups, size_t width);
} ordered_isa;

extern const ordered_isa ordered_isa_avx2, ordered_isa_avx512, ordered_isa_avx512_pairs;

/* Kinds 1, 3, 5 and 7 of the two for AVX-512. */
extern ordered_sum_fn *const ordered_halves_avx512[4][ORDERED_MAX_PIXELS + 1], *const ordered_pairs_avx512[4][ORDERED_MAX_PIXELS + 1];

#endif
