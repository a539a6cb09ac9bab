/* SPDX-License-Identifier: Apache-2.0 */
#include "tflite_samples.h"

static const uint16_t half_ones[] = { 0x3c00, 0x3c00, 0x3c00, 0x3c00 };
const uint16_t sample_digits[9] = { 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x4800, 0x4880 };

static model conv(int activation, float bias) {
    model m = model_new();
    int x = model_input(&m, "x", 1, 4, 4, 1, 0), w = model_half(&m, "w", sample_digits, 9, 1, 3, 3, 1, 0);
    int b = model_constant(&m, "b", T_F32, &bias, 4, 1, 0);
    int y = model_value(&m, "y", 1, 2, 2, 1, 0);
    model_options(model_apply(&m, CONV_2D, y, x, w, b, -2), 1, 6, SAME, 2, 2, activation, 1, 1);
    model_output(&m, y);
    return m;
}

model sample_conv_same(void) { return conv(0, 0.5f); }
model sample_conv_relu(void) { return conv(1, -116.0f); }

model sample_conv_valid(void) {
    model m = model_new();
    int x = model_input(&m, "x", 1, 5, 4, 1, 0), w = model_half(&m, "w", sample_digits, 9, 1, 3, 3, 1, 0), y = model_value(&m, "y", 1, 3, 2, 1, 0);
    model_options(model_apply(&m, CONV_2D, y, x, w, -1, -2), 1, 3, VALID, 1, 1);
    model_output(&m, y);
    return m;
}

model sample_depthwise(void) {
    static const float w[] = { -2, -1, 0, 1, 2, 3, 4, 5 }, b[] = { 10, -10 };
    model m = model_new();
    int x = model_input(&m, "x", 1, 3, 3, 2, 0), tw = model_constant(&m, "w", T_F32, w, sizeof w, 1, 2, 2, 2, 0);
    int tb = model_constant(&m, "b", T_F32, b, sizeof b, 2, 0), y = model_value(&m, "y", 1, 3, 3, 2, 0);
    model_options(model_apply(&m, DEPTHWISE_CONV_2D, y, x, tw, tb, -2), 2, 7, SAME, 1, 1, 1, 0, 1, 1);
    model_output(&m, y);
    return m;
}

model sample_relu(void) {
    model m = model_new();
    int x = model_input(&m, "x", 6, 0), y = model_value(&m, "y", 6, 0);
    model_apply(&m, RELU, y, x, -2);
    model_output(&m, y);
    return m;
}

model sample_prelu(void) {
    model m = model_new();
    int x = model_input(&m, "x", 1, 1, 3, 2, 0), a = model_half(&m, "alpha", sample_digits + 1, 2, 1, 1, 2, 0), y = model_value(&m, "y", 1, 1, 3, 2, 0);
    model_apply(&m, PRELU, y, x, a, -2);
    model_output(&m, y);
    return m;
}

/* Two results of one input; the constant stands first and is the smaller one. */
model sample_add_and_mul(void) {
    model m = model_new();
    int x = model_input(&m, "x", 1, 3, 2, 0), c = model_half(&m, "c", sample_digits, 2, 2, 0);
    int sum = model_value(&m, "sum", 1, 3, 2, 0), y = model_value(&m, "y", 1, 3, 2, 0);
    model_options(model_apply(&m, ADD, sum, c, x, -2), 11, 1, 0);
    model_options(model_apply(&m, MUL, y, sum, x, -2), 21, 1, 1);
    model_output(&m, y);
    return m;
}

model sample_pad(void) {
    static const int32_t paddings[8] = { 0, 0, 0, 0, 0, 0, 0, 2 };
    model m = model_new();
    int x = model_input(&m, "x", 1, 1, 3, 1, 0), p = model_constant(&m, "p", T_I32, paddings, 32, 4, 2, 0), y = model_value(&m, "y", 1, 1, 3, 3, 0);
    model_apply(&m, PAD, y, x, p, -2);
    model_output(&m, y);
    return m;
}

static model pool(int padding, int height) {
    model m = model_new();
    int x = model_input(&m, "x", 1, height, 4, 1, 0), y = model_value(&m, "y", 1, 2, 2, 1, 0);
    model_options(model_apply(&m, MAX_POOL_2D, y, x, -2), 5, 6, padding, 2, 2, 2, 2, 0);
    model_output(&m, y);
    return m;
}

model sample_pool_same(void) { return pool(SAME, 4); }
model sample_pool_valid(void) { return pool(VALID, 5); }

model sample_reshapes(void) {
    static const int32_t want[] = { 3, -1 };
    model m = model_new();
    int x = model_input(&m, "x", 1, 6, 0), s = model_constant(&m, "s", T_I32, want, 8, 2, 0), a = model_value(&m, "a", 3, 2, 0), y = model_value(&m, "y", 2, 3, 0);
    model_apply(&m, RESHAPE, a, x, s, -2);
    model_operation *o = model_apply(&m, RESHAPE, y, a, -2);
    model_options(o, 17, 2, 2, 3);
    o->option_is_vector = true;
    model_output(&m, y);
    return m;
}

model sample_concat(void) {
    model m = model_new();
    int x = model_input(&m, "x", 2, 2, 0), a = model_value(&m, "a", 2, 2, 0), y = model_value(&m, "y", 2, 6, 0);
    model_apply(&m, RELU, a, x, -2);
    model_options(model_apply(&m, CONCATENATION, y, x, a, x, -2), 10, 1, -1);
    model_output(&m, y);
    return m;
}

model sample_slice(void) {
    static const int32_t begin[] = { 7, 1, 5, 1 }, end[] = { 1, -1, 2, 100 }, step[] = { 1, 1, 1, 1 };
    model m = model_new();
    int x = model_input(&m, "x", 1, 4, 3, 2, 0), b = model_constant(&m, "b", T_I32, begin, 16, 4, 0), e = model_constant(&m, "e", T_I32, end, 16, 4, 0);
    int s = model_constant(&m, "s", T_I32, step, 16, 4, 0), y = model_value(&m, "y", 1, 2, 2, 1, 0);
    model_options(model_apply(&m, STRIDED_SLICE, y, x, b, e, s, -2), 32, 6, 5, 0, 0, 0, 0, 0);
    model_output(&m, y);
    return m;
}

model sample_custom(void) {
    model m = model_new();
    int x = model_input(&m, "x", 2, 1, 0), y = model_value(&m, "y", 2, 2, 0);
    model_operation *o = model_apply(&m, CUSTOM, y, x, -2);
    o->custom = "Widen";
    o->version = 2;
    o->custom_options = "\1";
    o->custom_bytes = 1;
    model_output(&m, y);
    return m;
}

/* What the face networks are made of: a residual block, and a constant that nothing uses. */
model sample_block(void) {
    static const int32_t paddings[8] = { 0, 0, 0, 0, 0, 0, 0, 1 };
    model m = model_new();
    int x = model_input(&m, "x", 1, 4, 4, 1, 0);
    int w1 = model_half(&m, "depthwise", sample_digits, 9, 1, 3, 3, 1, 0), w2 = model_half(&m, "pointwise", sample_digits, 2, 2, 1, 1, 1, 0);
    int b = model_half(&m, "bias", half_ones, 2, 2, 0), p = model_constant(&m, "p", T_I32, paddings, 32, 4, 2, 0);
    model_half(&m, "unused", half_ones, 4, 4, 0);
    int a = model_value(&m, "a", 1, 2, 2, 1, 0), c = model_value(&m, "c", 1, 2, 2, 2, 0), d = model_value(&m, "d", 1, 2, 2, 1, 0);
    int e = model_value(&m, "e", 1, 2, 2, 2, 0), f = model_value(&m, "f", 1, 2, 2, 2, 0), y = model_value(&m, "y", 1, 2, 2, 2, 0);
    model_options(model_apply(&m, DEPTHWISE_CONV_2D, a, x, w1, -1, -2), 2, 4, SAME, 2, 2, 1);
    model_options(model_apply(&m, CONV_2D, c, a, w2, b, -2), 1, 3, VALID, 1, 1);
    model_options(model_apply(&m, MAX_POOL_2D, d, x, -2), 5, 5, SAME, 2, 2, 2, 2);
    model_apply(&m, PAD, e, d, p, -2);
    model_options(model_apply(&m, ADD, f, e, c, -2), 11, 1, 0);
    model_apply(&m, RELU, y, f, -2);
    model_output(&m, y);
    model_output(&m, c);
    return m;
}

/* Options in a FlexBuffer map, made by the flexbuffers module of Python's flatbuffers 25: left 0, right 1, subset 0 to 4,
 * output 5x4, scale 1.5 and 1.25, target angle 0; and output 5x4. */
static const char matrix_options[] =
    "left_rotation_idx\0output_height\0output_width\0right_rotation_idx\0scale_x\0scale_y\0subset_idxs\0\5\0\1\2\3\4"
    "target_rotation_radians\0\10\173j\135\121\77\70\61\40\0\11\0\0\0\1\0\0\0\10\0\0\0\0\0\0\0\4\0\0\0\5\0\0\0\1\0\0\0"
    "\0\0\300\77\0\0\240\77\113\0\0\0\0\0\0\0\6\6\6\6\16\16\54\16\50\46\1";
static const char patch_options[] = "output_height\0output_width\0\2\34\17\2\1\2\4\5\4\4\4\44\1";

static void face_operation(model *m, int out, int a, int b, const char *name, const char *options, size_t size) {
    model_operation *o = model_apply(m, CUSTOM, out, a, b < 0 ? -2 : b, -2);
    o->custom = name;
    o->version = 2;
    o->custom_options = options;
    o->custom_bytes = size;
}

/* The three operations of face/ops.h in a row, for the fuzz target and for the seam between the two rooms. */
model sample_face(void) {
    model m = model_new();
    int mesh = model_input(&m, "mesh", 1, 9, 3, 0), grid = model_input(&m, "grid", 1, 6, 6, 4, 0), points = model_input(&m, "points", 1, 5, 2, 0);
    int matrix = model_value(&m, "matrix", 1, 4, 4, 0), patch = model_value(&m, "patch", 1, 4, 5, 4, 0), y = model_value(&m, "y", 1, 5, 2, 0);
    face_operation(&m, matrix, mesh, -1, "Landmarks2TransformMatrix", matrix_options, sizeof matrix_options - 1);
    face_operation(&m, patch, grid, matrix, "TransformTensorBilinear", patch_options, sizeof patch_options - 1);
    face_operation(&m, y, points, matrix, "TransformLandmarks", NULL, 0);
    model_output(&m, patch);
    model_output(&m, y);
    return m;
}
