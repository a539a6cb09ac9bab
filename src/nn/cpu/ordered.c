/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/ordered.h"

#include "nn/cpu/ordered_kernels.h"
#include "nn/ops.h"

#define CONV(level, op) \
    { "conv2d/ordered-" #level, op, ordered_conv_match, ordered_conv_prepare, ordered_conv_run, ordered_conv_release, &ordered_isa_##level }
#define DEPTHWISE(level) \
    { "depthwise_conv2d/ordered-" #level, &op_depthwise_conv2d, ordered_depthwise_match, ordered_depthwise_prepare, \
      ordered_depthwise_run, ordered_depthwise_release, &ordered_isa_##level }
#define RESIDUAL(level, op) \
    { "residual/ordered-" #level, op, ordered_residual_match, ordered_residual_prepare, \
      ordered_residual_run, ordered_residual_release, &ordered_isa_##level }
#define TABLE(level) \
    static const kernel table_##level[] = { \
        CONV(level, &op_conv2d), CONV(level, &op_relu), CONV(level, &op_prelu), DEPTHWISE(level), \
        RESIDUAL(level, &op_add), RESIDUAL(level, &op_relu), RESIDUAL(level, &op_prelu), \
    }; \
    const kernel *ordered_kernels_##level(size_t *n) { \
        *n = sizeof table_##level / sizeof *table_##level; \
        return table_##level; \
    }

TABLE(avx2)
TABLE(avx512)
TABLE(avx512_pairs)
