/* SPDX-License-Identifier: Apache-2.0
 *
 * What our matrix products (linear.c, linear_dw.c) share: which convolutions are products, and how operands are packed. */
#ifndef NN_CPU_LINEAR_PACK_H
#define NN_CPU_LINEAR_PACK_H

#include "nn/cpu/linear_isa.h"
#include "nn/ops.h"

/* Whether a convolution by weights of that shape is a linear. */
bool linear_conv(const conv2d_attr *a, nn_shape w);

/* Panels in groups: five wide where that comes out even, else four. */
linear_cut linear_cut_panels(size_t panels);

/* y [rows, outputs] = x [rows, inputs] w^T: w is stored [outputs, inputs]; or across, [inputs, outputs]. */
typedef struct {
    size_t outputs, inputs;
    linear_cut groups;        /* of panels of outputs */
    bool across;
    size_t row;               /* across: numbers of a stored row, of which `outputs` are packed */
    size_t halves, half;      /* w has `halves` such matrices, one behind another; this packs one of them, whose groups lie `halves` apart */
} linear_packing;

/* panel: bf16 numbers of a packed panel. Everything is written, zeros behind the last output and input included. */
void linear_pack(const linear_packing *p, void *to, size_t panel, const void *from, nn_type type, int threads);
/* Groups [first, first + groups) alone, by this thread; the first of all halves lies at `to`. */
void linear_pack_groups(const linear_packing *p, void *to, size_t panel, const void *from, nn_type type, size_t first, size_t groups);

#endif
