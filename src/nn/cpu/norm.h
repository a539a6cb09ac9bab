/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for group_norm, alone or with a silu behind it and an addend by channel ([1 or N,1,1,C], the time embedding) before it, and for
 * layer_norm. Statistics are sums about a value of the channel itself, f32 over 64 pixels and f64 beyond: a mean far from 0 costs
 * no digits. */
#ifndef NN_CPU_NORM_H
#define NN_CPU_NORM_H

#include "nn/device.h"

const kernel *norm_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

#endif
