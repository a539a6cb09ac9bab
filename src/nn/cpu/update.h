/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for nn/update.h: adamw and adamw8 in one pass over all they read and write, accumulate, average, clip_factor. Equal to the references bit for bit,
 * whatever the number of threads. sum_squares is among the sums (reduce.h). */
#ifndef NN_CPU_UPDATE_H
#define NN_CPU_UPDATE_H

#include "nn/device.h"

const kernel *update_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

#endif
