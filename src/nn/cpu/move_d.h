/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for the gradients of what only moves numbers: unslice, upsample_nearest_dx, embedding_d. Sums in the references' order: equal bits. */
#ifndef NN_CPU_MOVE_D_H
#define NN_CPU_MOVE_D_H

#include "nn/device.h"

const kernel *move_d_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

#endif
