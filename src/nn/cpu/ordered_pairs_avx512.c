/* SPDX-License-Identifier: Apache-2.0
 *
 * An odd group of 8 channels of two pixels in one register: see ordered_avx512.c. */
#define HALF_PAIRS
#include "nn/cpu/ordered_v512.h"

#include "nn/cpu/ordered_sum.h"

SUM4(0, 1, 2, 4, 6, 8) SUM4(0, 1, 10, 12, 14, 16)
SUM4(1, 1, 2, 4, 6, 8) SUM4(1, 1, 10, 12, 14, 16)
SUM4(2, 1, 2, 4, 6, 8) SUM(2, 1, 10)
SUM(3, 1, 2) SUM(3, 1, 4) SUM(3, 1, 6)

ordered_sum_fn *const ordered_pairs_avx512[4][ORDERED_MAX_PIXELS + 1] = {
    { [2] = sum_0_1_2, [4] = sum_0_1_4, [6] = sum_0_1_6, [8] = sum_0_1_8, [10] = sum_0_1_10, [12] = sum_0_1_12,
      [14] = sum_0_1_14, [16] = sum_0_1_16 },
    { [2] = sum_1_1_2, [4] = sum_1_1_4, [6] = sum_1_1_6, [8] = sum_1_1_8, [10] = sum_1_1_10, [12] = sum_1_1_12,
      [14] = sum_1_1_14, [16] = sum_1_1_16 },
    { [2] = sum_2_1_2, [4] = sum_2_1_4, [6] = sum_2_1_6, [8] = sum_2_1_8, [10] = sum_2_1_10 },
    { [2] = sum_3_1_2, [4] = sum_3_1_4, [6] = sum_3_1_6 },
};
