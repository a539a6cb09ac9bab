/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention without the matrix of scores: keys and values are packed once a head, then each block of queries walks over
 * blocks of keys with a running maximum and sum (Milakov and Gimelshein 2018; Dao et al. 2022). */
#ifndef NN_CPU_ATTENTION_H
#define NN_CPU_ATTENTION_H

#include "nn/device.h"

/* Up to `level`, worst first; every type of every level from AVX2 on is served. */
const kernel *attention_kernels(cpu_level level, size_t *n);

/* Of attention_d, its gradient: weights are recomputed from the saved logarithms; outputs that nobody reads are not computed. */
const kernel *attention_d_kernels(cpu_level level, size_t *n);

#endif
