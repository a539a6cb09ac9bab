/* SPDX-License-Identifier: Apache-2.0
 *
 * An f32 in two halves: a bf16, which kernels read, and the 16 bits that it lacks. The bf16 is the nearest one, ties away from 0 (to even, as everywhere else, two numbers
 * would have the same halves); the rest is added to its bits, as a signed number. So an f32 comes back with all its bits, but for some NaN. */
#ifndef NN_HALVES_H
#define NN_HALVES_H

#include <stddef.h>
#include <stdint.h>

void halves_split(const float *x, uint16_t *weight, uint16_t *low, size_t n);
void halves_join(float *x, const uint16_t *weight, const uint16_t *low, size_t n);

/* Of one number's bits. */
static inline uint16_t halves_weight(uint32_t x) { return (uint16_t)((x + 0x8000) >> 16); }
static inline uint16_t halves_low(uint32_t x) { return (uint16_t)x; }
static inline uint32_t halves_bits(uint16_t weight, uint16_t low) { return ((uint32_t)weight << 16) + (uint32_t)(int32_t)(int16_t)low; }

#endif
