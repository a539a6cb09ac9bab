/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ordered kernels share: the cut of output channels into chunks, packed weights, tables of pixel addresses,
 * and the zeros around an output. */
#ifndef NN_CPU_ORDERED_PACK_H
#define NN_CPU_ORDERED_PACK_H

#include "nn/cpu/ordered_isa.h"
#include "nn/device.h"
#include "nn/ops.h"

/* One chunk of output channels (see ordered_isa.h). Its weights and its bias lie behind those of the chunks before. */
typedef struct {
    int kind;
    size_t first, groups;   /* groups of 8 channels */
    size_t lanes, lane_at;  /* of its bias: how many and where */
    size_t weight_at;       /* in bytes */
} ordered_chunk;

/* A convolution with its weights packed: chunk by chunk, [term][lanes]. */
typedef struct {
    const ordered_isa *isa;
    size_t channels, terms;       /* outputs, and multiply-adds for one */
    size_t groups;                /* written for each pixel, of 8 floats */
    size_t n_chunks, lanes;
    ordered_chunk *chunks;
    const char *weights;
    const float *bias, *alpha;
    float *zeros;                 /* stands for an absent bias */
    ordered_activation activation;
} ordered_packed;

/* Packs the weights of `conv` and of `activation` (relu, prelu or NULL). `single`: for pictures of one pixel. */
int  ordered_pack(ordered_packed *k, const ordered_isa *isa, const node *conv, const node *activation, bool single, params *p);
void ordered_packed_free(ordered_packed *k);

/* All chunks of `n` pixels in a row in the input (in, in_pixel and the terms of *s are set; so are out, add and their
 * tables). */
void ordered_run(const ordered_packed *k, const ordered_sum *s, size_t n);

/* Whether the operands of a (depthwise) convolution are such as these kernels read: f32 pictures, floating parameters. */
bool ordered_conv_ok(const node *conv);
/* relu or prelu over t, which only it reads? */
bool ordered_activation_ok(const node *n);

size_t ordered_groups(size_t channels);
/* at[i] = offset of pixel i of rows `width` long. */
void ordered_table(uint32_t *at, size_t pixels, size_t width, size_t row, size_t pixel);
/* Zeros round one picture, whose first element is at out. */
void ordered_border(float *out, const nn_layout *l, nn_shape s);
/* Zeros in the channels from from_channel to to_channel of each pixel. */
void ordered_zero_tail(float *out, const uint32_t *at, size_t from_channel, size_t to_channel, size_t pixels);
/* Rows of `channels` from [pixels][from_pixel] to out + at[pixel]; zeros up to to_channels. */
void ordered_scatter(float *out, const uint32_t *at, size_t to_channels, const float *from, size_t from_pixel, size_t channels, size_t pixels);

#endif
