/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels for sums over many numbers: sum_to, sum_squares, mse, mae. How they are cut follows from shapes alone, f32 over up to 64 terms of a column and f64 else, so
 * that results do not depend on the number of threads. */
#ifndef NN_CPU_REDUCE_H
#define NN_CPU_REDUCE_H

#include "nn/device.h"

const kernel *reduce_kernels(cpu_level level, size_t *n);   /* level: AVX2 or above */

#endif
