/* SPDX-License-Identifier: Apache-2.0 */
#include "faces.h"

#include "face/landmarks.h"
#include "face/ops.h"
#include "face/sample.h"
#include "face/topology.h"
#include "nn/plan.h"

/* Runs a graph by reference: inputs in order, one output. */
static void run(graph *g, tensor *out, tensor *const in[], const float *const data[], int n, float *got) {
    assert_int_equal(graph_check(g), 0);
    graph_output(g, out);
    device *d = device_cpu(CPU_REFERENCE);
    params *weights = params_new();
    plan *p = plan_new(g, d, weights, NULL);
    if (!p) fail_msg("%s", error_message());
    workspace *w = workspace_new(plan_bytes(p));
    for (int i = 0; i < n; i++) memcpy(plan_tensor(p, w, in[i]), data[i], shape_elements(in[i]->shape) * sizeof(float));
    plan_run(p, w, NULL);
    memcpy(got, plan_tensor(p, w, out), shape_elements(out->shape) * sizeof(float));
    workspace_free(w);
    plan_free(p);
    params_free(weights);
    device_free(d);
    graph_free(g);
}

static void matrix_of(const float *mesh, int left, int right, const int16_t *list, int n, float got[16]) {
    landmarks_matrix_attr a = { left, right, n, { 0 }, 16, 16, 1.5f, 1.5f, 0 };
    for (int i = 0; i < n; i++) a.subset[i] = list[i];
    graph *g = graph_new();
    tensor *in = graph_input(g, "mesh", NN_F32, shape3(1, TOPOLOGY_MESH, 3));
    run(g, landmarks_matrix(g, in, &a), &in, &mesh, 1, got);
}

/* From the recorded mesh to the recorded matrices, and from the ends' own coordinates to the outputs. */
static void test_stages(void **state) {
    (void)state;
    fixtures_or_skip();
    static const struct { const char *matrix, *local, *out; int left, right, n; const int16_t *list; int count; } parts[] = {
        { "t196_matrix_lips", "t684_lips_local_160", "lips", 61, 291, TOPOLOGY_LIPS, topology_lips, 160 },
        { "t197_matrix_left", "t687_left_eye_local_142", "left_eye", 33, 133, TOPOLOGY_EYE, topology_left_eye, 142 },
        { "t197_matrix_left", "t690_left_iris_local_10", "left_iris", 33, 133, TOPOLOGY_EYE, topology_left_eye, 10 },
        { "t198_matrix_right", "t693_right_eye_local_142", "right_eye", 362, 263, TOPOLOGY_EYE, topology_right_eye, 142 },
        { "t198_matrix_right", "t696_right_iris_local_10", "right_iris", 362, 263, TOPOLOGY_EYE, topology_right_eye, 10 },
    };
    for (int s = 0; s < FIXTURE_STAGES; s++) {
        const char *stage = fixture_stages[s];
        float *mesh = fixture_f32(fixture_path("faces/stages/%s/t186_mesh_1404.f32", stage), TOPOLOGY_MESH * 3);
        for (int i = 0; i < TOPOLOGY_MESH * 3; i++) mesh[i] *= 0.25f;
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            float got[16], points[160];
            float *want = fixture_f32(fixture_path("faces/stages/%s/%s.f32", stage, parts[k].matrix), 16);
            matrix_of(mesh, parts[k].left, parts[k].right, parts[k].list, parts[k].n, got);
            expect_equal_bits(parts[k].matrix, got, want, 16);
            for (int i = 0; i < 16; i++) got[i] *= i < 8 ? (i % 4 < 2 ? 1 : 4) : i % 4 < 2 ? 0.25f : 1;
            free(want);
            float *local = fixture_f32(fixture_path("faces/stages/%s/%s.f32", stage, parts[k].local), (size_t)parts[k].count);
            want = fixture_f32(fixture_path("faces/stages/%s/crop0_out_%s.f32", stage, parts[k].out), (size_t)parts[k].count);
            graph *g = graph_new();
            tensor *in[] = { graph_input(g, "points", NN_F32, shape3(1, (size_t)parts[k].count / 2, 2)), graph_input(g, "matrix", NN_F32, shape3(1, 4, 4)) };
            run(g, transform_landmarks(g, in[0], in[1]), in, (const float *[]){ local, got }, 2, points);
            expect_equal_bits(parts[k].out, points, want, (size_t)parts[k].count);
            free(local);
            free(want);
        }
        free(mesh);
    }
}

/* Random matrices, also ones that lead outside, and layouts with borders: every level against the reference. */
static void test_sampling_levels(void **state) {
    (void)state;
    dice d = { 31 };
    for (int k = 0; k < 300; k++) {
        size_t h = (size_t)dice_between(&d, 1, 50), w = (size_t)dice_between(&d, 1, 50), c = (size_t)dice_between(&d, 1, 40);
        size_t pixel = c + (size_t)dice_between(&d, 0, 5), row = w * pixel + (size_t)dice_between(&d, 0, 9);
        sample_view in = { h, w, c, row, pixel }, out = { (size_t)dice_between(&d, 1, 17), 16, c, 16 * c, c };
        float *x = malloc(h * row * sizeof *x), *want = malloc(out.height * out.row * sizeof *want), *got = malloc(out.height * out.row * sizeof *got);
        for (size_t i = 0; i < h * row; i++) x[i] = (float)(dice_unit(&d) * 8 - 4);
        float m[16] = { 0 };
        for (int i = 0; i < 8; i++) m[i] = (float)((dice_unit(&d) * 2 - (i == 1 || i == 4)) * (double)w / 20);
        m[3] = (float)(dice_unit(&d) * (double)w * 0.6 - 2), m[7] = (float)(dice_unit(&d) * (double)h * 0.6 - 2);
        if (k % 7 == 0) m[0] = m[5] = 1, m[1] = m[4] = 0, m[3] = m[7] = -0.0f;   /* whole coordinates, to the last pixel */
        if (k % 50 == 1) m[k % 8] = NAN;
        if (k % 50 == 2) m[k % 8] = INFINITY;
        sample_run(sample_pixel, x, in, m, want, out);
        if (cpu_level_here() >= CPU_AVX2) {
            sample_run(sample_pixel_avx2, x, in, m, got, out);
            expect_equal_bits("avx2", got, want, out.height * out.row);
        }
        if (cpu_level_here() >= CPU_AVX512) {
            sample_run(sample_pixel_avx512, x, in, m, got, out);
            expect_equal_bits("avx512", got, want, out.height * out.row);
        }
        free(x);
        free(want);
        free(got);
    }
}

/* A whole-pixel shift needs no blending: the formula's pixel centres by hand. Recorded from nobody. */
static void test_sampling_by_hand(void **state) {
    (void)state;
    float x[4 * 5], got[3 * 3];
    for (int i = 0; i < 4 * 5; i++) x[i] = (float)(i * i);
    const float shift[16] = { 1, 0, 0, 2, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1 };
    sample_run(sample_pixel, x, (sample_view){ 4, 5, 1, 5, 1 }, shift, got, (sample_view){ 3, 3, 1, 3, 1 });
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++) assert_true(got[j * 3 + i] == x[(j + 1) * 5 + i + 2]);
    const float half[16] = { 1, 0, 0, 0.5f, 0, 1, 0, 0.5f };
    sample_run(sample_pixel, x, (sample_view){ 4, 5, 1, 5, 1 }, half, got, (sample_view){ 3, 3, 1, 3, 1 });
    assert_true(got[0] == (0 + 1 + 25 + 36) / 4.0f && got[4] == (36 + 49 + 121 + 144) / 4.0f);
}

/* The lips' options as the model has them, then each byte changed and the end cut: refused or accepted, never a crash. */
static void test_options(void **state) {
    (void)state;
    static const uint8_t options[] = {
        'o', 'u', 't', 'p', 'u', 't', '_', 'h', 'e', 'i', 'g', 'h', 't', 0, 'o', 'u', 't', 'p', 'u', 't', '_', 'w', 'i', 'd', 't', 'h', 0,
        2, 0x1c, 0x0f, 2, 1, 2, 16, 16, 4, 4, 4, 0x24, 1,
    };
    const tflite_custom *c = &face_customs[1];
    for (int k = -1; k < (int)sizeof options * 256; k++) {
        uint8_t *copy = malloc(sizeof options);
        memcpy(copy, options, sizeof options);
        if (k >= 0) copy[k / 256] = (uint8_t)k;
        for (size_t cut = 0; cut <= (k < 0 ? sizeof options : 0); cut++) {
            uint8_t *exact = malloc(sizeof options - cut + 1);
            memcpy(exact, copy + cut, sizeof options - cut);
            graph *g = graph_new();
            tensor *in[] = { graph_input(g, "x", NN_F32, shape4(1, 8, 8, 3)), graph_input(g, "m", NN_F32, shape3(1, 4, 4)) };
            tensor *out = c->build(g, in, 2, exact, sizeof options - cut);
            assert_true((out != NULL) == (graph_check(g) == 0));
            if (k < 0 && cut == 0) assert_true(out && shape_equal(out->shape, shape4(1, 16, 16, 3)));
            if (k < 0 && cut == sizeof options) assert_null(out);
            graph_free(g);
            free(exact);
        }
        free(copy);
    }
}

static void test_refusals(void **state) {
    (void)state;
    graph *g = graph_new();
    landmarks_matrix_attr a = { 1, 9, 1, { 3 }, 16, 16, 1, 1, 0 };   /* 9 of 9 landmarks */
    assert_null(landmarks_matrix(g, graph_input(g, "p", NN_F32, shape3(1, 9, 3)), &a));
    assert_int_equal(graph_check(g), ERR_FORMAT);
    graph_free(g);
    g = graph_new();
    tensor *m = graph_input(g, "m", NN_F32, shape3(1, 4, 4));
    assert_null(sample_patch(g, graph_input(g, "x", NN_F32, shape3(8, 8, 3)), m, 4, 4));
    graph_free(g);
    g = graph_new();
    m = graph_input(g, "m", NN_F32, shape3(1, 4, 3));
    assert_null(transform_landmarks(g, graph_input(g, "p", NN_F32, shape3(1, 8, 2)), m));
    graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages), cmocka_unit_test(test_sampling_levels), cmocka_unit_test(test_sampling_by_hand),
        cmocka_unit_test(test_options), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
