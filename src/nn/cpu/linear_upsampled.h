/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the driver of the gradient of a convolution behind an upsampling (linear_upsampled.c) and its loops (linear_upsampled_avx512bf16.c). */
#ifndef NN_CPU_LINEAR_UPSAMPLED_H
#define NN_CPU_LINEAR_UPSAMPLED_H

#include <stddef.h>
#include <stdint.h>

enum { UPSAMPLED_AROUND = 16, UPSAMPLED_PRODUCTS = 9 };

/* Of a small pixel, rows and columns 2i - 1 to 2i + 2 of dy, row by row, n channels each -> to[product], the last word filled with a zero. */
void upsampled_differ(const uint16_t *const around[UPSAMPLED_AROUND], uint16_t *const to[UPSAMPLED_PRODUCTS], size_t n);

/* n numbers, rounded. */
void upsampled_round(const float *sums, uint16_t *to, size_t n);

#endif
