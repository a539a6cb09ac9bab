/* SPDX-License-Identifier: Apache-2.0
 *
 * Inner loops of the ordered kernels for AVX-512. An odd last group of 8 channels has two forms: in registers of half
 * the size (ordered_halves_avx512.c), for processors whose multiplications of that size take half the time; and two
 * pixels to a register (ordered_pairs_avx512.c), for those where they take the same. */
#include "nn/cpu/ordered_v512.h"

#include "nn/cpu/ordered_depthwise.h"
#include "nn/cpu/ordered_sum.h"

SUM4(1, 0, 1, 2, 3, 4) SUM4(1, 0, 5, 6, 7, 8) SUM4(1, 0, 9, 10, 11, 12) SUM4(1, 0, 13, 14, 15, 16)
SUM4(2, 0, 1, 2, 3, 4) SUM4(2, 0, 5, 6, 7, 8) SUM4(2, 0, 9, 10, 11, 12)
SUM4(3, 0, 1, 2, 3, 4) SUM4(3, 0, 5, 6, 7, 8)
SUM4(4, 0, 1, 2, 3, 4) SUM(4, 0, 5) SUM(4, 0, 6)
SUM(8, 0, 1)
static __attribute__((noinline)) void sum_f16(const ordered_sum *s) { sum_block(s, 8, 0, 1, true); }

static ordered_sum_fn *const one[] = { NULL, sum_1_0_1, sum_1_0_2, sum_1_0_3, sum_1_0_4, sum_1_0_5, sum_1_0_6,
      sum_1_0_7, sum_1_0_8, sum_1_0_9, sum_1_0_10, sum_1_0_11, sum_1_0_12, sum_1_0_13, sum_1_0_14, sum_1_0_15,
      sum_1_0_16 };
static ordered_sum_fn *const two[] = { NULL, sum_2_0_1, sum_2_0_2, sum_2_0_3, sum_2_0_4, sum_2_0_5, sum_2_0_6,
      sum_2_0_7, sum_2_0_8, sum_2_0_9, sum_2_0_10, sum_2_0_11, sum_2_0_12 };
static ordered_sum_fn *const three[] = { NULL, sum_3_0_1, sum_3_0_2, sum_3_0_3, sum_3_0_4, sum_3_0_5, sum_3_0_6,
      sum_3_0_7, sum_3_0_8 };
static ordered_sum_fn *const four[] = { NULL, sum_4_0_1, sum_4_0_2, sum_4_0_3, sum_4_0_4, sum_4_0_5, sum_4_0_6 };
static ordered_sum_fn *const wide[] = { NULL, sum_8_0_1 }, *const wide_f16[] = { NULL, sum_f16 };

DEPTHWISE(slide_1, slide(d, 1))
DEPTHWISE(slide_2, slide(d, 2))
DEPTHWISE(leap_1, leap(d, 1, 1, false))
DEPTHWISE(leap_2, leap(d, 2, 1, false))
DEPTHWISE(stride2_1, leap(d, 1, 2, false))
DEPTHWISE(pool_1, leap(d, 1, 2, true))
DEPTHWISE(stride2_2, leap(d, 2, 2, false))
DEPTHWISE(pool_2, leap(d, 2, 2, true))

/* The largest of two neighbouring columns: v > best ? v : best in the reference's order, row by row. */
static void pool(float *out, size_t out_pixel, const float *in, size_t in_row, size_t in_pixel, size_t groups, size_t width) {
    for (size_t x = 0; x < width; x++, out += out_pixel, in += 2 * in_pixel) {
        const float *right = in + in_pixel, *below = in + in_row, *last = below + in_pixel;
        size_t c = 0;
        for (; c + LANES <= groups * ORDERED_GROUP; c += LANES)
            v_store(out + c, v_max(v_load(last + c), v_max(v_load(below + c), v_max(v_load(right + c), v_load(in + c)))));
        if (groups % 2)
            h_store(out + c, h_max(h_load(last + c), h_max(h_load(below + c), h_max(h_load(right + c), h_load(in + c)))));
    }
}

#define ISA(halves, one_pixels, three_pixels, five_pixels, seven_pixels) { \
        .name = "avx512-" #halves, \
        .lanes = LANES, \
        .sum = { NULL, ordered_##halves##_avx512[0], one, ordered_##halves##_avx512[1], two, ordered_##halves##_avx512[2], \
                 three, ordered_##halves##_avx512[3], four, wide, wide_f16 }, \
        .max_pixels = { 0, one_pixels, 16, three_pixels, 12, five_pixels, 8, seven_pixels, 6, 1, 1 }, \
        .depthwise = { [DEPTHWISE_FULL] = { { slide_1, slide_2 }, { stride2_1, stride2_2 } }, \
                       [DEPTHWISE_PAIR] = { { leap_1, leap_2 } }, \
                       [DEPTHWISE_POOL] = { [1] = { pool_1, pool_2 } } }, \
        .pool = pool, \
    }

const ordered_isa ordered_isa_avx512 = ISA(halves, 16, 12, 8, 6);
const ordered_isa ordered_isa_avx512_pairs = ISA(pairs, 16, 16, 10, 6);
