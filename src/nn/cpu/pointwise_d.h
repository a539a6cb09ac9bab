/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for gradients that are computed element by element: silu_dx, gelu_dx, quick_gelu_dx, geglu_dx (close), mse_dx (equal bits). */
#ifndef NN_CPU_POINTWISE_D_H
#define NN_CPU_POINTWISE_D_H

#include "nn/device.h"

const kernel *pointwise_d_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

#endif
