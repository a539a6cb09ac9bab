/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers of new tensors: each depends on seed, name and place in the tensor alone, so they are the same in whatever order, pieces
 * or company they are drawn, and on every machine (arithmetic and square roots only, no library's logarithm). */
#ifndef WEIGHTS_TENSOR_DRAW_H
#define WEIGHTS_TENSOR_DRAW_H

#include <stddef.h>
#include <stdint.h>

/* Where a tensor's numbers begin. */
uint64_t draw_begin(uint64_t seed, const char *name);
/* Numbers at, at + 1, ... of the tensor: uniform within -bound..bound, or normal. */
void     draw_uniform(uint64_t start, size_t at, double bound, float *out, size_t n);
void     draw_normal(uint64_t start, size_t at, double deviation, float *out, size_t n);

#endif
