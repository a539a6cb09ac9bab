/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own product of a matrix and a weight in bf16, for AVX-512 bf16: linear and 1x1 convolutions, alone or with what follows
 * them (a residual, an activation, geglu). Close to the reference: sums are f32 in one fixed order, rounded once at the end. */
#ifndef NN_CPU_LINEAR_H
#define NN_CPU_LINEAR_H

#include "nn/device.h"

const kernel *linear_kernels(cpu_level level, size_t *n);      /* none below AVX-512 bf16 */
const kernel *linear_dw_kernels(cpu_level level, size_t *n);   /* gradients of weights */
const kernel *linear_upsampled_kernels(cpu_level level, size_t *n);   /* conv2d_dx and the upsample_nearest_dx behind it */

#endif
