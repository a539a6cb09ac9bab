/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for operations that treat every element by itself, f32 and bf16: add and mul with any broadcasting, add_scaled and cast,
 * equal to the reference bit for bit; silu, gelu, quick_gelu and geglu, close to it. */
#ifndef NN_CPU_POINTWISE_H
#define NN_CPU_POINTWISE_H

#include "nn/device.h"

const kernel *pointwise_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

#endif
