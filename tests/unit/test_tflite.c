/* SPDX-License-Identifier: Apache-2.0
 *
 * The TFLite reader: what small models compute, what is refused and how it is named, and broken bytes.
 * `test_tflite FOLDER` writes the small models into FOLDER instead: the seeds of tests/fuzz/corpus/tflite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "face/ops.h"
#include "nn/ops.h"
#include "nn/plan.h"
#include "tflite/tflite.h"
#include "tflite_samples.h"

enum { ROOM = 32768 };

/* A custom operation: its first option byte more channels of zeros. */
static tensor *build_widen(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t options_size) {
    if (n_in != 1 || options_size != 1) {
        graph_fail(g, error_set(ERR_FORMAT, "Widen wants 1 input and 1 byte, not %d and %zu", n_in, options_size));
        return NULL;
    }
    return pad_channels(g, in[0], options[0]);
}

static const tflite_custom custom[] = { { "Widen", 2, build_widen } };

static int read_bytes(const uint8_t *data, size_t size, graph **g, tflite_io *io) {
    *g = graph_new();
    assert_non_null(*g);
    return tflite_read(data, size, custom, 1, *g, io);
}

/* ---- what small models compute: the input is -4, -3, ..., the output what numpy says ----------------------------------- */

static const struct { const char *name; model (*make)(void); int nodes, n; float want[20]; } small[] = {
    { "conv_same", sample_conv_same, 1, 4, { 123.5f, 117.5f, 169.5f, 115.5f } },
    { "conv_relu", sample_conv_relu, 2, 4, { 7, 1, 53, 0 } },
    { "conv_valid", sample_conv_valid, 1, 6, { 123, 168, 303, 348, 483, 528 } },
    { "depthwise", sample_depthwise, 1, 18, { 38, 26, 46, 42, 22, 10, 62, 74, 70, 90, 22, 22, -6, -8, -10, -8, -14, -23 } },
    { "relu", sample_relu, 1, 6, { 0, 0, 0, 0, 0, 1 } },
    { "prelu", sample_prelu, 1, 6, { -8, -9, -4, -3, 0, 1 } },
    { "add_and_mul", sample_add_and_mul, 3, 6, { 12, 3, 2, 0, 0, 3 } },
    { "pad", sample_pad, 1, 9, { -4, 0, 0, -3, 0, 0, -2, 0, 0 } },
    { "pool_same", sample_pool_same, 1, 4, { 1, 3, 9, 11 } },
    { "pool_valid", sample_pool_valid, 1, 4, { 1, 3, 9, 11 } },
    { "reshapes", sample_reshapes, 2, 6, { -4, -3, -2, -1, 0, 1 } },
    { "concat", sample_concat, 2, 12, { -4, -3, 0, 0, -4, -3, -2, -1, 0, 0, -2, -1 } },
    { "slice", sample_slice, 1, 4, { 3, 5, 9, 11 } },
    { "custom", sample_custom, 1, 4, { -4, 0, -3, 0 } },
    { "block", sample_block, 6, 8, { 125, 247, 121, 235, 179, 339, 127, 231 } },
};
enum { N_SMALL = sizeof small / sizeof *small };

static void small_models_compute(void **state) {
    (void)state;
    for (int i = 0; i < N_SMALL; i++) {
        uint8_t bytes[ROOM];
        model m = small[i].make();
        size_t size = model_write(&m, bytes, sizeof bytes);
        graph *g;
        tflite_io io;
        int rc = read_bytes(bytes, size, &g, &io);
        if (rc) fail_msg("%s: %s", small[i].name, error_message());
        assert_int_equal(graph_nodes(g), small[i].nodes);
        for (size_t k = 0; k < graph_nodes(g); k++) assert_true(graph_node(g, k)->ordered);
        assert_int_equal(io.n_inputs, 1);
        assert_string_equal(io.inputs[0]->name, "x");
        assert_string_equal(io.outputs[0]->name, "y");
        assert_int_equal(shape_elements(io.outputs[0]->shape), small[i].n);

        device *d = device_cpu(CPU_REFERENCE);
        params *weights = params_new();
        plan *p = plan_new(g, d, weights, NULL);
        assert_non_null(p);
        workspace *w = workspace_new(plan_bytes(p));
        float *x = plan_tensor(p, w, io.inputs[0]);
        for (size_t k = 0; k < shape_elements(io.inputs[0]->shape); k++) x[k] = (float)k - 4;
        plan_run(p, w, NULL);
        const float *y = plan_tensor(p, w, io.outputs[0]);
        for (int k = 0; k < small[i].n; k++)
            if (y[k] != small[i].want[k]) fail_msg("%s: element %d is %g, not %g", small[i].name, k, (double)y[k], (double)small[i].want[k]);
        workspace_free(w);
        plan_free(p);
        params_free(weights);
        device_free(d);
        graph_free(g);
    }
}

static void constants_stay_in_the_file(void **state) {
    (void)state;
    uint8_t bytes[ROOM];
    model m = sample_block();
    size_t size = model_write(&m, bytes, sizeof bytes);
    graph *g;
    tflite_io io;
    assert_int_equal(read_bytes(bytes, size, &g, &io), 0);
    assert_int_equal(graph_tensors(g), 1 + 3 + 6);   /* input, constants, results: neither "unused" nor the DEQUANTIZEs */
    assert_null(graph_find(g, "unused"));
    const tensor *w = graph_find(g, "depthwise");
    assert_non_null(w);
    assert_int_equal(w->kind, TENSOR_PARAM);
    assert_int_equal(w->type, NN_F16);
    assert_true((const uint8_t *)w->data > bytes && (const uint8_t *)w->data < bytes + size);
    assert_memory_equal(w->data, sample_digits, 18);
    assert_int_equal(io.n_outputs, 2);
    assert_true(io.outputs[1]->output && io.outputs[1]->uses == 1);
    const conv2d_attr *a = graph_node(g, 0)->attr;
    assert_true(a->stride == 2 && !a->pad_top && !a->pad_left && a->pad_bottom == 1 && a->pad_right == 1);
    graph_free(g);
}

static void face_operations(void **state) {
    (void)state;
    uint8_t bytes[ROOM];
    model m = sample_face();
    size_t size = model_write(&m, bytes, sizeof bytes);
    graph *g = graph_new();
    tflite_io io;
    if (tflite_read(bytes, size, face_customs, FACE_CUSTOMS, g, &io) < 0) fail_msg("%s", error_message());
    assert_int_equal(graph_nodes(g), 3);
    const landmarks_matrix_attr *a = graph_node(g, 0)->attr;
    assert_true(a->left == 0 && a->right == 1 && a->n_subset == 5 && a->subset[4] == 4 && a->width == 5 && a->height == 4);
    assert_true(a->scale_x == 1.5f && a->scale_y == 1.25f && a->angle == 0);
    graph_free(g);
}

static void names_are_made_safe(void **state) {
    (void)state;
    uint8_t bytes[ROOM];
    model m = sample_relu();
    m.tensors[0].name = "\033[31m\nx\xff";
    size_t size = model_write(&m, bytes, sizeof bytes);
    graph *g;
    tflite_io io;
    assert_int_equal(read_bytes(bytes, size, &g, &io), 0);
    assert_string_equal(io.inputs[0]->name, "\\x1b[31m\\x0ax\\xff");
    graph_free(g);
}

/* ---- what is refused, and what is said ------------------------------------------------------------------------------- */

static void expect(const char *what, const model *m, int code, const char *part) {
    uint8_t bytes[ROOM];
    size_t size = model_write(m, bytes, sizeof bytes);
    graph *g;
    tflite_io io = { .n_inputs = -7 };
    int rc = read_bytes(bytes, size, &g, &io);
    if (rc != code || !strstr(error_message(), part)) fail_msg("%s: %d, \"%s\"; wanted %d, \"%s\"", what, rc, error_message(), code, part);
    assert_int_equal(io.n_inputs, -7);
    assert_true(graph_failed(g));
    graph_free(g);
}

#define REFUSED(make, change, code, part) do { model m = make(); model_operation *o = m.operations, *last = o + m.n_operations - 1; \
    model_tensor *t = m.tensors; change; (void)o, (void)t, (void)last; expect(#change, &m, code, part); } while (0)

static void headers(void **state) {
    (void)state;
    REFUSED(sample_relu, m.identifier = "TFL2", ERR_FORMAT, "not a \"TFL3\" file");
    REFUSED(sample_relu, m.version = 2, ERR_UNSUPPORTED, "schema version 2");
    REFUSED(sample_relu, m.subgraphs = 0, ERR_UNSUPPORTED, "0 subgraphs");
    REFUSED(sample_relu, m.subgraphs = 2, ERR_UNSUPPORTED, "2 subgraphs");
    REFUSED(sample_relu, m.n_inputs = 0, ERR_LIMIT, "0 inputs of the model; 1 to 16");
    REFUSED(sample_relu, m.n_inputs = 17, ERR_LIMIT, "17 inputs of the model");
    REFUSED(sample_relu, m.n_outputs = 0, ERR_LIMIT, "0 outputs of the model");
    REFUSED(sample_relu, m.n_outputs = 17, ERR_LIMIT, "17 outputs of the model");
    REFUSED(sample_relu, m.inputs[0] = 99, ERR_FORMAT, "tensor 99 of 2");
    REFUSED(sample_relu, m.inputs[0] = -1, ERR_FORMAT, "of 2");
    REFUSED(sample_relu, (m.inputs[1] = 0, m.n_inputs = 2), ERR_UNSUPPORTED, "input 1, tensor 0 (x), is constant, or not FLOAT32, or there twice");
    REFUSED(sample_relu, t[0].type = T_I32, ERR_UNSUPPORTED, "is constant, or not FLOAT32");
    REFUSED(sample_relu, t[0].bytes = 24, ERR_UNSUPPORTED, "is constant");
    REFUSED(sample_relu, m.outputs[0] = 0, ERR_FORMAT, "output 0, tensor 0, is not the result of an operation");
    REFUSED(sample_relu, m.outputs[0] = 99, ERR_FORMAT, "output 0, tensor 99, is not");
    REFUSED(sample_relu, m.outputs[0] = -1, ERR_FORMAT, "output 0, tensor -1, is not");
    REFUSED(sample_relu, (m.outputs[1] = 1, m.n_outputs = 2), ERR_FORMAT, "output 1, tensor 1, is not the result of an operation, or there twice");
    REFUSED(sample_conv_same, m.outputs[0] = 2, ERR_FORMAT, "output 0, tensor 2, is not");   /* a DEQUANTIZE's */
}

static void tensors(void **state) {
    (void)state;
    REFUSED(sample_relu, t[0].type = T_INT8, ERR_UNSUPPORTED, "tensor 0 (x): type INT8 (9) is not supported");
    REFUSED(sample_relu, t[1].type = T_INT8, ERR_UNSUPPORTED, "operation 0 (RELU): tensor 1 (y): type INT8");
    REFUSED(sample_relu, t[1].type = 77, ERR_UNSUPPORTED, "type unknown (77)");
    REFUSED(sample_relu, t[1].type = T_F16, ERR_UNSUPPORTED, "operation 0 (RELU): the output, tensor 1 (y), is of type FLOAT16");
    REFUSED(sample_relu, t[0].rank = 0, ERR_UNSUPPORTED, "tensor 0 (x): 0 dimensions; 1 to 4");
    REFUSED(sample_relu, t[0].rank = 5, ERR_UNSUPPORTED, "5 dimensions");
    REFUSED(sample_relu, t[0].dim[0] = 0, ERR_FORMAT, "tensor 0 (x): dimension 0 is 0");
    REFUSED(sample_relu, t[0].dim[0] = -5, ERR_FORMAT, "dimension 0 is -5");
    REFUSED(sample_relu, t[0].dim[0] = -1, ERR_UNSUPPORTED, "tensor 0 (x): dynamic shapes");
    REFUSED(sample_relu, (t[0].signature_rank = 1, t[0].signature[0] = -1), ERR_UNSUPPORTED, "dynamic shapes");
    REFUSED(sample_relu, t[0].signature_rank = 2, ERR_FORMAT, "differ in rank");
    REFUSED(sample_relu, t[0].dim[0] = 1 << 27, ERR_LIMIT, "tensor 0 (x): more than 67108864 elements");
    REFUSED(sample_relu, (t[0].rank = 4, t[0].dim[0] = t[0].dim[1] = t[0].dim[2] = t[0].dim[3] = 0x40000000), ERR_LIMIT, "more than");
    REFUSED(sample_relu, t[0].buffer = 3, ERR_FORMAT, "tensor 0 (x): buffer 3 of 3");
    REFUSED(sample_relu, t[0].variable = true, ERR_UNSUPPORTED, "variable and sparse");
    REFUSED(sample_relu, t[0].sparse = true, ERR_UNSUPPORTED, "variable and sparse");
    REFUSED(sample_relu, m.buffer_offset = 1000, ERR_UNSUPPORTED, "data behind the FlatBuffer");
    REFUSED(sample_conv_same, t[1].bytes = 17, ERR_FORMAT, "its buffer holds 17 bytes, its shape needs 18");
    REFUSED(sample_conv_same, t[1].dim[0] = 1 << 20, ERR_FORMAT, "its buffer holds 18 bytes, its shape needs 18874368");
    REFUSED(sample_conv_same, t[3].bytes = 0, ERR_FORMAT, "operation 1 (CONV_2D): input 2, tensor 3 (b), is not written");
}

static void order(void **state) {
    (void)state;
    REFUSED(sample_relu, o->in[0] = 1, ERR_FORMAT, "operation 0 (RELU): input 0, tensor 1 (y), is not written by an operation before");
    REFUSED(sample_relu, o->out[0] = 0, ERR_FORMAT, "operation 0 (RELU): tensor 0 (x) is written a second time");
    REFUSED(sample_concat, o[1].out[0] = 1, ERR_FORMAT, "operation 1 (CONCATENATION): tensor 1 (a) is written a second time");
    REFUSED(sample_concat, (o[0].in[0] = 2, o[0].out[0] = 1), ERR_FORMAT, "operation 0 (RELU): input 0, tensor 2 (y), is not written");
    REFUSED(sample_conv_same, o[1].out[0] = 2, ERR_FORMAT, "tensor 2 (widened) is written a second time");
    REFUSED(sample_conv_same, o[1].out[0] = 1, ERR_FORMAT, "tensor 1 (w) is written a second time");
    REFUSED(sample_relu, o->in[0] = 7, ERR_FORMAT, "input 0 is tensor 7 of 2");
    REFUSED(sample_relu, o->in[0] = -2, ERR_FORMAT, "input 0 is tensor -2 of 2");
    REFUSED(sample_relu, o->in[0] = -1, ERR_FORMAT, "input 0 is missing");
    REFUSED(sample_relu, o->n_in = 2, ERR_UNSUPPORTED, "2 inputs; 1 to 1");
    REFUSED(sample_relu, o->n_in = 0, ERR_UNSUPPORTED, "0 inputs; 1 to 1");
    REFUSED(sample_concat, last->n_in = 9, ERR_UNSUPPORTED, "9 inputs; 2 to 8");
    REFUSED(sample_relu, o->n_out = 2, ERR_UNSUPPORTED, "2 outputs; 1 is supported");
    REFUSED(sample_relu, o->n_out = 0, ERR_UNSUPPORTED, "0 outputs");
    REFUSED(sample_relu, o->out[0] = 2, ERR_FORMAT, "the output is tensor 2 of 2");
    REFUSED(sample_relu, o->out[0] = -1, ERR_FORMAT, "the output is tensor -1 of 2");
    REFUSED(sample_relu, t[1].dim[0] = 7, ERR_FORMAT, "operation 0 (RELU): the file says 7 for its output, it computes 6");
}

static void unknown_operations(void **state) {
    (void)state;
    REFUSED(sample_relu, o->code = SOFTMAX, ERR_UNSUPPORTED, "operation 0 (SOFTMAX): this operation (25) is not supported");
    REFUSED(sample_relu, o->code = 150, ERR_UNSUPPORTED, "operation 0 (GELU)");
    REFUSED(sample_relu, o->code = 100000, ERR_UNSUPPORTED, "operation 0 (unknown): this operation (100000)");
    REFUSED(sample_relu, o->version = 2, ERR_UNSUPPORTED, "operation 0 (RELU): version 2 is not supported; 1 to 1 are");
    REFUSED(sample_relu, o->version = 0, ERR_UNSUPPORTED, "version 0");
    REFUSED(sample_relu, o->version = -1, ERR_UNSUPPORTED, "version -1");
    REFUSED(sample_custom, o->custom = "Narrow", ERR_UNSUPPORTED, "operation 0 (Narrow): this custom operation, version 2, is not supported");
    REFUSED(sample_custom, o->custom = NULL, ERR_UNSUPPORTED, "operation 0 (): this custom operation");
    REFUSED(sample_custom, o->version = 1, ERR_UNSUPPORTED, "operation 0 (Widen): this custom operation, version 1, is not supported");
    REFUSED(sample_custom, o->custom_bytes = 0, ERR_FORMAT, "operation 0 (Widen): Widen wants 1 input and 1 byte, not 1 and 0");
    REFUSED(sample_custom, o->custom_options = "\2", ERR_FORMAT, "operation 0 (Widen): the file says 2x2 for its output, it computes 2x3");
}

static void settings(void **state) {
    (void)state;
    REFUSED(sample_conv_same, last->option[0] = 2, ERR_FORMAT, "operation 1 (CONV_2D): unknown padding 2");
    REFUSED(sample_conv_same, last->option[1] = 1, ERR_UNSUPPORTED, "stride 2 x 1");
    REFUSED(sample_conv_same, last->option[1] = last->option[2] = 0, ERR_UNSUPPORTED, "stride 0 x 0");
    REFUSED(sample_conv_same, last->option[1] = last->option[2] = -1, ERR_UNSUPPORTED, "stride -1 x -1");
    REFUSED(sample_conv_same, last->option[1] = last->option[2] = 1025, ERR_UNSUPPORTED, "stride 1025");
    REFUSED(sample_conv_same, last->option[3] = 3, ERR_UNSUPPORTED, "operation 1 (CONV_2D): fused activation RELU6 (3)");
    REFUSED(sample_conv_same, last->option[3] = 99, ERR_UNSUPPORTED, "fused activation unknown (99)");
    REFUSED(sample_conv_same, last->option[4] = 2, ERR_UNSUPPORTED, "dilation 1 x 2");
    REFUSED(sample_conv_same, last->options_type = 2, ERR_FORMAT, "its options are of another operation (2)");
    REFUSED(sample_conv_same, last->n_options = 0, ERR_UNSUPPORTED, "stride 0 x 0");
    REFUSED(sample_conv_same, last->in[1] = 0, ERR_UNSUPPORTED, "input 1, tensor 0 (x), is not a constant");
    REFUSED(sample_conv_same, last->in[0] = 2, ERR_UNSUPPORTED, "input 0, tensor 2 (widened), is a constant");
    REFUSED(sample_conv_same, last->in[1] = 1, ERR_UNSUPPORTED, "tensor 1 (w): a constant of type FLOAT16 where float32 is needed");
    REFUSED(sample_conv_same, last->in[1] = 3, ERR_FORMAT, "its weights have 1 dimensions, not 4");
    REFUSED(sample_conv_valid, (t[0].rank = 2, t[0].dim[0] = 5), ERR_FORMAT, "its input has 2 dimensions, not 4");
    REFUSED(sample_conv_valid, t[0].dim[3] = 2, ERR_FORMAT, "operation 1 (CONV_2D): conv2d: the kernel wants 1 channels, the picture has 2");
    REFUSED(sample_conv_valid, t[0].dim[1] = 2, ERR_FORMAT, "a 3x3 kernel does not fit into 2x4");
    REFUSED(sample_depthwise, last->option[3] = 2, ERR_UNSUPPORTED, "operation 0 (DEPTHWISE_CONV_2D): depth multiplier 2");
    REFUSED(sample_depthwise, last->option[6] = 3, ERR_UNSUPPORTED, "dilation 3 x 1");
    REFUSED(sample_pool_valid, last->option[3] = 3, ERR_UNSUPPORTED, "window 2 x 3");
    REFUSED(sample_pool_valid, last->option[3] = last->option[4] = 5000, ERR_UNSUPPORTED, "kernel 5000 x 5000");
    REFUSED(sample_pool_valid, last->option[0] = SAME, ERR_UNSUPPORTED, "operation 0 (MAX_POOL_2D): padding is not supported here");
    REFUSED(sample_prelu, t[1].dim[2] = t[2].dim[2] = 1, ERR_FORMAT, "its buffer holds 4 bytes");
    REFUSED(sample_add_and_mul, (o[2].in[0] = o[2].in[1] = 2), ERR_UNSUPPORTED, "operation 2 (MUL): both inputs are constants");
    REFUSED(sample_add_and_mul, o[2].option[0] = 4, ERR_UNSUPPORTED, "fused activation TANH");
    REFUSED(sample_conv_same, o[0].in[0] = 0, ERR_UNSUPPORTED, "operation 0 (DEQUANTIZE): only constants of type FLOAT16 are supported, tensor 0 is FLOAT32");
    REFUSED(sample_conv_same, t[2].dim[1] = 4, ERR_FORMAT, "its input and output differ in shape");
}

static void set_numbers(model_tensor *t, int32_t a, int32_t b) {
    memcpy(t->data, &a, 4);
    memcpy(t->data + 4, &b, 4);
}

static void shapes(void **state) {
    (void)state;
    REFUSED(sample_pad, t[1].data[0] = 1, ERR_UNSUPPORTED, "operation 0 (PAD): padding before or of dimension 0");
    REFUSED(sample_pad, t[1].data[24] = 1, ERR_UNSUPPORTED, "dimension 3");
    REFUSED(sample_pad, t[1].data[28] = 0, ERR_UNSUPPORTED, "padding of 0 channels");
    REFUSED(sample_pad, t[1].data[31] = 0x80, ERR_UNSUPPORTED, "padding of -2147483646 channels");
    REFUSED(sample_pad, (t[1].dim[0] = 3, t[1].bytes = 24), ERR_FORMAT, "6 paddings for 4 dimensions");
    REFUSED(sample_pad, (t[1].dim[0] = 5, t[1].bytes = 40), ERR_UNSUPPORTED, "is not a constant of up to 8 int32");
    REFUSED(sample_pad, t[1].type = T_F32, ERR_UNSUPPORTED, "is not a constant of up to 8 int32");
    REFUSED(sample_pad, t[1].bytes = 0, ERR_UNSUPPORTED, "is not a constant of up to 8 int32");
    REFUSED(sample_reshapes, set_numbers(&t[1], 3, 3), ERR_FORMAT, "operation 0 (RESHAPE): 3 is asked for dimension 1, its output has 2");
    REFUSED(sample_reshapes, set_numbers(&t[1], -1, -1), ERR_FORMAT, "-1 is asked for dimension 1");
    REFUSED(sample_reshapes, set_numbers(&t[1], 3, 0), ERR_FORMAT, "0 is asked for dimension 1");
    REFUSED(sample_reshapes, (set_numbers(&t[1], 3, 3), t[2].dim[1] = 3), ERR_FORMAT, "reshape: 1x6 cannot become 3x3");
    REFUSED(sample_reshapes, last->n_options = 1, ERR_FORMAT, "1 dimensions are asked for, its output has 2");
    REFUSED(sample_reshapes, o->in[1] = 0, ERR_UNSUPPORTED, "input 1, tensor 0 (x), is not a constant of up to 8 int32");
    REFUSED(sample_concat, last->option[0] = 2, ERR_FORMAT, "operation 1 (CONCATENATION): axis 2 of 2 dimensions");
    REFUSED(sample_concat, last->option[0] = -3, ERR_FORMAT, "axis -3 of 2 dimensions");
    REFUSED(sample_concat, last->option[0] = 0, ERR_FORMAT, "the file says 2x6 for its output, it computes 6x2");
    for (int mask = 2; mask < 5; mask++) REFUSED(sample_slice, o->option[mask] = 1, ERR_UNSUPPORTED, "ellipsis, new axis and shrink axis");
    REFUSED(sample_slice, o->option[5] = 1, ERR_UNSUPPORTED, "ends as offsets");
    REFUSED(sample_slice, t[3].data[4] = 2, ERR_UNSUPPORTED, "operation 0 (STRIDED_SLICE): stride 2");
    REFUSED(sample_slice, t[3].data[4] = 0, ERR_UNSUPPORTED, "stride 0");
    REFUSED(sample_slice, t[2].data[4] = 1, ERR_FORMAT, "nothing is left of dimension 1");   /* its end was -1 and is now -255 */
    REFUSED(sample_slice, o->option[1] = 2, ERR_FORMAT, "the file says 1x2x2x1 for its output, it computes 1x3x2x1");
    REFUSED(sample_slice, (t[1].dim[0] = 3, t[1].bytes = 12), ERR_UNSUPPORTED, "3 numbers in input 1 for 4 dimensions");
}

/* ---- limits ---------------------------------------------------------------------------------------------------------- */

/* A vector's count and a reference can be changed to anything; here, operations without end that share one table. */
static void too_many_operations(void **state) {
    (void)state;
    uint8_t *bytes = calloc(1, 1 << 16);
    model m = sample_relu();
    size_t size = model_write(&m, bytes, 1 << 16), grown = size + 4 + 4 * 5000;
    /* Find the subgraph's reference to its operators: field 3 of its table, which the one vector with count 1 that
     * points at a table of 6 fields is. The builder writes fields of 8 bytes. */
    size_t found = 0;
    for (size_t at = 8; at + 4 < size && !found; at += 4) {
        uint32_t to, count, op;
        memcpy(&to, bytes + at, 4);
        if (to < 4 || to + at + 8 > size) continue;
        memcpy(&count, bytes + at + to, 4);
        memcpy(&op, bytes + at + to + 4, 4);
        if (count != 1 || op < 4 || at + to + 4 + op + 4 > size) continue;
        int32_t vtable;
        memcpy(&vtable, bytes + at + to + 4 + op, 4);
        size_t target = at + to + 4 + op;
        if (vtable <= 0 || (size_t)vtable > target || bytes[target - (size_t)vtable] != 16) continue;
        found = at;
        uint32_t far = (uint32_t)(size - at), n = 5000;
        memcpy(bytes + at, &far, 4);
        memcpy(bytes + size, &n, 4);
    }
    assert_true(found);
    graph *g;
    tflite_io io;
    int rc = read_bytes(bytes, grown, &g, &io);
    assert_string_equal(error_message(), "5000 operations; at most 4096 are supported");
    assert_int_equal(rc, ERR_LIMIT);
    graph_free(g);
    free(bytes);
}

/* x + c + c + ..., every c a tensor of its own with the same buffer. */
static void too_much_sharing(void **state) {
    (void)state;
    static const uint8_t zeros[4096];
    model m = model_new();
    int x = model_input(&m, "x", 1024, 0), c = model_constant(&m, "c", T_F32, zeros, sizeof zeros, 1024, 0);
    for (int i = 0; i < 10; i++) {
        int y = model_value(&m, "y", 1024, 0);
        model_options(model_apply(&m, ADD, y, x, c, -2), 11, 1, 0);
        int shared = c + 1;   /* its buffer's number */
        x = y;
        if (i == 9) break;
        c = model_value(&m, "c", 1024, 0);
        m.tensors[c].buffer = i ? m.tensors[c - 2].buffer : shared;
    }
    model_output(&m, x);
    expect("ten constants in one buffer", &m, ERR_LIMIT, "(ADD): tensors share buffers: the constants come to more than 4 times the file");
    m.n_operations = 4;
    m.outputs[0] = m.operations[3].out[0];
    uint8_t bytes[ROOM];
    graph *g;
    tflite_io io;
    if (read_bytes(bytes, model_write(&m, bytes, sizeof bytes), &g, &io)) fail_msg("%s", error_message());
    graph_free(g);
}

/* ---- broken bytes ---------------------------------------------------------------------------------------------------- */

static void survive(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);   /* of exactly this size, for AddressSanitizer */
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    graph *g;
    tflite_io io;
    int rc = read_bytes(copy, size, &g, &io);
    if (rc && !error_message()[0]) fail_msg("refused without a word");
    if (!rc) assert_int_equal(graph_check(g), 0);
    graph_free(g);
    free(copy);
}

static void broken_bytes(void **state) {
    (void)state;
    static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
    for (int i = 0; i < N_SMALL; i++) {
        uint8_t bytes[ROOM];
        model m = small[i].make();
        size_t size = model_write(&m, bytes, sizeof bytes);
        for (size_t cut = 0; cut < size; cut++) survive(bytes, cut);
        for (size_t at = 0; at < size; at++)
            for (size_t v = 0; v < sizeof values; v++) {
                uint8_t before = bytes[at];
                bytes[at] = values[v];
                survive(bytes, size);
                bytes[at] = before;
            }
    }
}

static void truncated_is_refused(void **state) {
    (void)state;
    uint8_t bytes[ROOM];
    model m = sample_block();
    size_t size = model_write(&m, bytes, sizeof bytes);
    for (size_t cut = 0; cut < 256 && cut < size; cut++) {
        graph *g;
        tflite_io io;
        assert_int_equal(read_bytes(bytes, cut, &g, &io), ERR_FORMAT);
        graph_free(g);
    }
    assert_true(size > 256);
}

static int write_seed(const char *folder, const char *name, const model *m) {
    uint8_t bytes[ROOM];
    char path[1024];
    size_t size = model_write(m, bytes, sizeof bytes);
    snprintf(path, sizeof path, "%s/%s.tflite", folder, name);
    if (file_save(path, bytes, size) == 0) return 0;
    fprintf(stderr, "%s\n", error_message());
    return 1;
}

static int write_seeds(const char *folder) {
    model m = sample_face();
    int rc = write_seed(folder, "face", &m);
    for (int i = 0; i < N_SMALL && !rc; i++) {
        m = small[i].make();
        rc = write_seed(folder, small[i].name, &m);
    }
    return rc;
}

int main(int argc, char **argv) {
    if (argc > 1) return write_seeds(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_models_compute),
        cmocka_unit_test(constants_stay_in_the_file),
        cmocka_unit_test(face_operations),
        cmocka_unit_test(names_are_made_safe),
        cmocka_unit_test(headers),
        cmocka_unit_test(tensors),
        cmocka_unit_test(order),
        cmocka_unit_test(unknown_operations),
        cmocka_unit_test(settings),
        cmocka_unit_test(shapes),
        cmocka_unit_test(too_many_operations),
        cmocka_unit_test(too_much_sharing),
        cmocka_unit_test(broken_bytes),
        cmocka_unit_test(truncated_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
