/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for the gradients of norms: layer_norm_d, group_norm_d, and the latter with the gradient of a silu behind the norm before it, for which it computes the
 * norm again in passing: silu_dx(group_norm(x), dy) exists nowhere. What nobody reads of dx, dgamma and dbeta is not computed. */
#ifndef NN_CPU_NORM_D_H
#define NN_CPU_NORM_D_H

#include "nn/device.h"

const kernel *norm_d_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

#endif
