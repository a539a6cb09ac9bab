/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing a weight [outputs, inputs, taps] (PyTorch's OIHW, or a linear's [outputs, inputs]) for matrix kernels that read the
 * channels of a block of outputs side by side: [outputs / block][taps][inputs / group][block][group]; or, across, for products with its
 * transpose, the channels of a block of inputs: [inputs / block][taps][outputs / group][block][group]. From f32, bf16 or f16, at any
 * address, without a copy in between, at the speed of memory; oneDNN's own reorder takes two to five times as long. */
#ifndef NN_CPU_BLOCKED_H
#define NN_CPU_BLOCKED_H

#include "nn/tensor.h"

enum { BLOCKED_MOST_TAPS = 9 };
enum { BLOCKED_STREAM = 4 << 20 };     /* bytes of a weight; from here on the caches that belong to a core hold little of it */

typedef struct {
    size_t outputs, inputs, taps;      /* of the weight, packed across or not */
    size_t block, group;               /* block: a multiple of 16; group: 1 (f32) or 2 (bf16) */
    size_t block_step, tap_step;       /* elements from a block, a tap, to the next; those of an input group are block * group */
    bool across;
    size_t row;                        /* across: numbers from an output's first to the next's, where more than `inputs` inputs are stored; 0: not so */
    bool stream;                       /* bf16 from bf16, to a whole line's address: past the caches, which hold little of it */
} blocked_layout;

/* Zeros behind the last channel of a block and of a group are written too; what lies beyond is left as it is. Needs AVX-512. */
void blocked_pack(const blocked_layout *l, void *to, nn_type to_type, const void *from, nn_type from_type, int threads);
void blocked_pack_across(const blocked_layout *l, void *to, nn_type to_type, const void *from, nn_type from_type, int threads);   /* what blocked_pack does across */

/* 16 outputs of an f32 gradient [inputs / 16][taps][16 inputs][16 outputs], as oneDNN leaves it, become [16 outputs][inputs][taps] where they are.
 * inputs: a multiple of 16; work: room for as many numbers. Needs AVX-512. */
void blocked_unpack(float *outputs, float *work, size_t inputs, size_t taps);

#endif
