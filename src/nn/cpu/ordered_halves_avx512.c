/* SPDX-License-Identifier: Apache-2.0
 *
 * An odd group of 8 channels in registers of 8 lanes: see ordered_avx512.c. */
#include "nn/cpu/ordered_v512.h"

#include "nn/cpu/ordered_sum.h"

SUM4(0, 1, 1, 2, 3, 4) SUM4(0, 1, 5, 6, 7, 8) SUM4(0, 1, 9, 10, 11, 12) SUM4(0, 1, 13, 14, 15, 16)
SUM4(1, 1, 1, 2, 3, 4) SUM4(1, 1, 5, 6, 7, 8) SUM4(1, 1, 9, 10, 11, 12)
SUM4(2, 1, 1, 2, 3, 4) SUM4(2, 1, 5, 6, 7, 8)
SUM4(3, 1, 1, 2, 3, 4) SUM(3, 1, 5) SUM(3, 1, 6)

ordered_sum_fn *const ordered_halves_avx512[4][ORDERED_MAX_PIXELS + 1] = {
    { NULL, sum_0_1_1, sum_0_1_2, sum_0_1_3, sum_0_1_4, sum_0_1_5, sum_0_1_6, sum_0_1_7, sum_0_1_8, sum_0_1_9,
      sum_0_1_10, sum_0_1_11, sum_0_1_12, sum_0_1_13, sum_0_1_14, sum_0_1_15, sum_0_1_16 },
    { NULL, sum_1_1_1, sum_1_1_2, sum_1_1_3, sum_1_1_4, sum_1_1_5, sum_1_1_6, sum_1_1_7, sum_1_1_8, sum_1_1_9,
      sum_1_1_10, sum_1_1_11, sum_1_1_12 },
    { NULL, sum_2_1_1, sum_2_1_2, sum_2_1_3, sum_2_1_4, sum_2_1_5, sum_2_1_6, sum_2_1_7, sum_2_1_8 },
    { NULL, sum_3_1_1, sum_3_1_2, sum_3_1_3, sum_3_1_4, sum_3_1_5, sum_3_1_6 },
};
