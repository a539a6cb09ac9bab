/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the driver of our matrix products (linear.c), which knows tensors and threads, and their inner loops
 * (linear_avx512bf16.c), which know vectors.
 *
 * y [rows, N] = x [rows, K] w^T. A word is a pair of neighbours along K, which one instruction multiplies and adds; a panel is a
 * vector's worth of outputs, a group the one to five panels that a tile keeps in registers. Packed weights are
 *     [group][word of K][output of the group][2]
 * with zeros behind the last output and the last number of an odd K. With geglu (a and b, whose product is a gelu(b)) groups of
 * a and b take turns. */
#ifndef NN_CPU_LINEAR_ISA_H
#define NN_CPU_LINEAR_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINEAR_LANES = 16, LINEAR_PANELS = 5, LINEAR_ROWS = 6, LINEAR_SUMS = LINEAR_PANELS * LINEAR_LANES };

/* Things in groups whose sizes differ by one at most, the larger ones first. */
typedef struct { size_t things, groups, size, larger; } linear_cut;

static inline linear_cut linear_cut_into(size_t things, size_t groups) {
    return (linear_cut){ things, groups, things / groups, things % groups };
}

static inline size_t linear_begin(const linear_cut *c, size_t group) {
    return group * c->size + (group < c->larger ? group : c->larger);
}

/* A tile: some rows (at most 6, or 5 of 5 panels) times a group. */
typedef struct {
    const char *x, *w;
    size_t x_row, words;            /* bytes between rows of x */
    const float *bias;              /* of the group, whole vectors; or NULL */
    char *y;                        /* bf16, whole vectors */
    const char *residual;           /* bf16, or NULL: as y */
    size_t y_row;                   /* bytes */
    float *sums;                    /* instead of y: [rows][LINEAR_SUMS]; or onto these, whose rows lie sums_row numbers apart, */
    size_t sums_row;
    bool more;                      /* from what is there; or from zero */
    const char *const *soon;        /* lines that later tiles will want, fetched meanwhile, one with each word; */
    size_t n_soon;                  /* at most `words` */
} linear_tile;

typedef void linear_tile_function(const linear_tile *t);

/* By rows - 1 and panels - 1. */
typedef linear_tile_function *linear_tile_table[LINEAR_ROWS][LINEAR_PANELS];
extern const linear_tile_table linear_direct, linear_to_sums, linear_onto;

/* ---- operands of gradients of weights: words of two neighbouring pixels ------------------------------------------------ */

/* dy [rows, step] bf16 -> of its first `columns` columns words of two neighbouring rows, to[column][word], columns to_row bytes apart: a multiple of 64.
 * Up to 15 words and 15 columns more are written, those of rows beyond as zeros. */
void linear_transpose(const uint16_t *dy, size_t step, size_t rows, size_t columns, char *to, size_t to_row);

enum { LINEAR_MOST_TAPS = 9, LINEAR_MOST_PANELS = 180 };   /* of a block of gathered columns */

/* The windows of a convolution over x [N,height,width,channels], one a pixel of y. */
typedef struct {
    const uint16_t *x;
    size_t height, width, channels, out_height, out_width;
    size_t kernel_height, kernel_width, stride, top, left;
} linear_windows;

/* Of pixels [first, first + pixels) of y, what of `inputs` channels from `input` on (a multiple of 16) lies under their windows, zeros outside of x:
 * packed words, whose columns are [channel][tap], to [group][word][column][2]; panels beyond the last channel are not written. */
void linear_gather(const linear_windows *v, size_t first, size_t pixels, size_t input, size_t inputs, const linear_cut *groups, char *to);

typedef enum { LINEAR_PLAIN, LINEAR_SILU, LINEAR_GELU, LINEAR_QUICK_GELU, LINEAR_GEGLU, LINEAR_ENDS } linear_end;

/* What is made of `outputs` sums of some rows: y = activation(sums + residual), or sums gelu(gate). */
typedef struct {
    const float *sums, *gate;
    const char *residual;
    char *y;
    size_t rows, outputs, y_row;
} linear_finish;

typedef void linear_finish_function(const linear_finish *f);
extern linear_finish_function *const linear_finish_by[LINEAR_ENDS];

#endif
