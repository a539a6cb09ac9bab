/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for f32 convolutions whose order of summation is fixed (node.ordered): bias, then one fused multiply-add a
 * term, over ky, kx, ci ascending; depthwise kx outer, ky inner. They are equal to the reference bit for bit, which
 * costs nothing: a vector holds output channels, so each lane sums one output in the natural order.
 *
 * Served: conv2d of any shape, with a ReLU or PReLU after it; 3x3 depthwise_conv2d; and whole residual blocks
 * act(shortcut + conv1x1(depthwise3x3(x))), shortcut = x, pooled 2x2 or padded with channels or both. */
#ifndef NN_CPU_ORDERED_H
#define NN_CPU_ORDERED_H

#include "nn/device.h"

/* Tables for device_add, best kernel last (it is asked first). Each needs a CPU that has what it is named for. */
const kernel *ordered_kernels_avx2(size_t *n);
const kernel *ordered_kernels_avx512(size_t *n);         /* for multiplications at half width (Zen 4) */
const kernel *ordered_kernels_avx512_pairs(size_t *n);   /* for full width; both are right everywhere */

#endif
