/* SPDX-License-Identifier: Apache-2.0
 *
 * Small sound models, one an operation or two, with one float32 input "x" (but for the last) and the output "y". */
#ifndef TESTS_TFLITE_SAMPLES_H
#define TESTS_TFLITE_SAMPLES_H

#include "tflite_builder.h"

model sample_conv_same(void);
model sample_conv_relu(void);
model sample_conv_valid(void);
model sample_depthwise(void);
model sample_relu(void);
model sample_prelu(void);
model sample_add_and_mul(void);
model sample_pad(void);
model sample_pool_same(void);
model sample_pool_valid(void);
model sample_reshapes(void);
model sample_concat(void);
model sample_slice(void);
model sample_custom(void);   /* "Widen", version 2, with one byte of options: more channels of zeros, here 1 */
model sample_block(void);    /* a residual block, and a constant that nothing uses; its weights: */
extern const uint16_t sample_digits[9];   /* 1 to 9 in float16 */
/* The three operations of face/ops.h in a row: inputs "mesh", "grid", "points"; outputs "patch", "y". Subset 0 to 4, left 0,
 * right 1, output 5x4, scale 1.5 and 1.25, target angle 0. */
model sample_face(void);

#endif
