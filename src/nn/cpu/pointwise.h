/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for add and mul of f32 tensors, equal to the reference bit for bit. */
#ifndef NN_CPU_POINTWISE_H
#define NN_CPU_POINTWISE_H

#include "nn/device.h"

const kernel *pointwise_kernels(size_t *n);

#endif
