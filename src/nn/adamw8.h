/* SPDX-License-Identifier: Apache-2.0
 *
 * What adamw8's reference (op_adamw8.c, which explains it) and its kernels share. */
#ifndef NN_ADAMW8_H
#define NN_ADAMW8_H

#include <stdint.h>

enum { ADAMW8_BLOCK = 256 };

/* The values of the largest codes, 2 * 127 and 255, out of 1: a block's largest number has one of them. */
#define ADAMW8_M_TOP (506.0f / 512)
#define ADAMW8_ROOT_TOP (509.0f / 512)

/* What one of a block's numbers is multiplied by before its code is looked for; 0 for a block of zeros, and for one that is lost. */
static inline float adamw8_over(float scale, float top) { return scale > 0x1p-100f && scale < 0x1p127f ? top / scale : 0; }

/* Of a step: the number that each element's index is added to before it is hashed. */
static inline uint32_t adamw8_seed(uint32_t key, uint32_t step) {   /* splitmix64 */
    uint64_t z = ((uint64_t)key << 32 | step) + 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(z ^ z >> 31);
}

#endif
