/* SPDX-License-Identifier: Apache-2.0
 *
 * The ordered kernels' own functions, put into tables by ordered.c. A kernel's variant is its ordered_isa. */
#ifndef NN_CPU_ORDERED_KERNELS_H
#define NN_CPU_ORDERED_KERNELS_H

#include "nn/cpu/ordered_isa.h"
#include "nn/device.h"

/* conv2d, and an activation after it. */
bool ordered_conv_match(const kernel *k, const node *root, kernel_match *m);
int  ordered_conv_prepare(kernel_step *s, params *p);
int ordered_conv_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch);
void ordered_conv_release(kernel_step *s);

/* act(shortcut + conv1x1(depthwise3x3(x))). */
bool ordered_residual_match(const kernel *k, const node *root, kernel_match *m);
int  ordered_residual_prepare(kernel_step *s, params *p);
int ordered_residual_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch);
void ordered_residual_release(kernel_step *s);

/* A 3x3 depthwise_conv2d by itself. */
bool ordered_depthwise_match(const kernel *k, const node *root, kernel_match *m);
int  ordered_depthwise_prepare(kernel_step *s, params *p);
int ordered_depthwise_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch);
void ordered_depthwise_release(kernel_step *s);

/* The same as a part of another kernel. */
typedef struct {
    const ordered_isa *isa;
    depthwise_cut cut;
    size_t stride, pad_top, pad_left, groups, vectors;
    const float *weights, *bias;
    float *zeros;            /* stands for an absent bias; freed by the owner */
} ordered_depthwise_layer;

bool ordered_depthwise_ok(const node *n);
/* in_pixel, out_pixel: floats from a pixel to the next. */
int  ordered_depthwise_pack(ordered_depthwise_layer *l, const ordered_isa *isa, const node *n, size_t in_pixel, size_t out_pixel, params *p);
/* Output rows [y, y + rows) of `width` pixels; x is the first element of the input, which has a border of 1 at least.
 * `pooled`, with stride 2, gets the input pooled 2x2, laid out like out; NULL: not wanted. */
void ordered_depthwise_rows(const ordered_depthwise_layer *l, const float *x, const nn_layout *in, size_t y, size_t rows,
                            size_t width, float *out, size_t out_row, size_t out_pixel, float *pooled);

#endif
