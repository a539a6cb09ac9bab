/* SPDX-License-Identifier: Apache-2.0
 *
 * The two face models, read into graphs: inputs, outputs, how many operations of each kind, and every constant in place.
 * Their custom operations are stubs here; what the real ones compute is face/'s business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "nn/ops.h"
#include "tflite/tflite.h"

static int fixed_shape(node *n) {
    n->out[0]->type = NN_F32;
    n->out[0]->shape = *(const nn_shape *)n->attr;
    return 0;
}

static const op op_given = { .name = "given", .attr_bytes = sizeof(nn_shape), .shape = fixed_shape };

static tensor *given(graph *g, tensor *const in[], int n_in, nn_shape shape) {
    return graph_apply(g, &op_given, &shape, in, n_in, 0);
}

static tensor *stub_matrix(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t size) {
    return n_in == 1 && options && size ? given(g, in, n_in, shape3(1, 4, 4)) : NULL;
}

static tensor *stub_patch(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t size) {
    return n_in == 2 && options && size ? given(g, in, n_in, shape4(1, 16, 16, 32)) : NULL;
}

static tensor *stub_points(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t size) {
    return n_in == 2 && !options && !size ? given(g, in, n_in, in[0]->shape) : NULL;
}

static const tflite_custom stubs[] = {
    { "Landmarks2TransformMatrix", 2, stub_matrix }, { "TransformTensorBilinear", 2, stub_patch }, { "TransformLandmarks", 2, stub_points },
};

typedef struct { const char *name; nn_shape shape; } named;

static void check_model(const char *file, named input, const named *outputs, int n_outputs, size_t params, const op *const *ops, const size_t *counts, int n_ops) {
    char path[1024];
    const char *folder = getenv("MODELS_DIR");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "third_party/models", file);
    file_map map;
    if (file_map_open(path, &map) < 0) {
        printf("%s\n", error_message());
        skip();
    }
    graph *g = graph_new();
    tflite_io io;
    if (tflite_read(map.data, map.size, stubs, 3, g, &io) < 0) fail_msg("%s: %s", path, error_message());
    assert_int_equal(io.n_inputs, 1);
    assert_string_equal(io.inputs[0]->name, input.name);
    assert_true(shape_equal(io.inputs[0]->shape, input.shape));
    assert_int_equal(io.n_outputs, n_outputs);
    for (int i = 0; i < n_outputs; i++) {
        assert_string_equal(io.outputs[i]->name, outputs[i].name);
        assert_true(shape_equal(io.outputs[i]->shape, outputs[i].shape) && io.outputs[i]->output);
    }
    size_t total = 0, found_params = 0;
    for (int k = 0; k < n_ops; k++) {
        size_t n = 0;
        for (size_t i = 0; i < graph_nodes(g); i++) n += graph_node(g, i)->op == ops[k];
        if (n != counts[k]) fail_msg("%s: %zu of %s, not %zu", file, n, ops[k]->name, counts[k]);
        total += n;
    }
    assert_int_equal(total, graph_nodes(g));
    for (size_t i = 0; i < graph_tensors(g); i++) {
        const tensor *t = graph_tensor(g, i);
        if (t->kind != TENSOR_PARAM) continue;
        found_params++;
        assert_int_equal(t->type, NN_F16);
        assert_true((const uint8_t *)t->data > map.data && (const uint8_t *)t->data < map.data + map.size);
    }
    assert_int_equal(found_params, params);
    graph_free(g);
    file_map_close(&map);
}

static void detector(void **state) {
    (void)state;
    static const named outputs[] = { { "regressors", { 3, { 1, 896, 16 } } }, { "classificators", { 3, { 1, 896, 1 } } } };
    static const op *const ops[] = { &op_conv2d, &op_depthwise_conv2d, &op_relu, &op_add, &op_pad_channels, &op_max_pool2d, &op_reshape, &op_concat };
    static const size_t counts[] = { 21, 16, 17, 16, 11, 3, 4, 2 };
    check_model("face_detection_short_range.tflite", (named){ "input", { 4, { 1, 128, 128, 3 } } }, outputs, 2, 74, ops, counts, 8);
}

static void landmarks(void **state) {
    (void)state;
    static const named outputs[] = {
        { "output_mesh_identity", { 4, { 1, 1, 1, 1404 } } }, { "output_lips", { 4, { 1, 1, 1, 160 } } }, { "output_left_eye", { 4, { 1, 1, 1, 142 } } },
        { "output_right_eye", { 4, { 1, 1, 1, 142 } } }, { "output_left_iris", { 4, { 1, 1, 1, 10 } } }, { "output_right_iris", { 4, { 1, 1, 1, 10 } } },
        { "conv_faceflag", { 4, { 1, 1, 1, 1 } } },
    };
    static const op *const ops[] = { &op_conv2d, &op_depthwise_conv2d, &op_prelu, &op_add, &op_pad_channels, &op_max_pool2d, &op_reshape, &op_mul, &op_slice, &op_given };
    static const size_t counts[] = { 80, 66, 73, 66, 9, 16, 13, 6, 1, 11 };
    check_model("face_landmark_with_attention.tflite", (named){ "input_1", { 4, { 1, 192, 192, 3 } } }, outputs, 7, 371, ops, counts, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(detector),
        cmocka_unit_test(landmarks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
