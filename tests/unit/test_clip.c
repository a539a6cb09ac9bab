/* SPDX-License-Identifier: Apache-2.0
 *
 * Small text encoders of both families against transformers (tests/reference/clip_golden.py). Promise: close, relative error
 * 5e-6 in f32, 4% in bf16. */
#include "models.h"

#include "model/clip.h"

enum { VOCABULARY = 500, WIDTH = 192 };
static weights *goldens;

static checkpoint *opened(int family) {
    const char *kind = family == 1 ? "sd1" : "sd2";
    return model_opened(model_made(kind, kind, "--parts text --type mixed --vocabulary 500 --context 192"), NULL, CHECKPOINT_TEXT);
}

static clip_config configured(const checkpoint *c, int family) {
    clip_config f;
    if (clip_configure(c, &f) < 0) fail_msg("%s", error_message());
    assert_int_equal(f.vocabulary, VOCABULARY);
    assert_int_equal(f.positions, 77);
    assert_int_equal(f.width, WIDTH);
    assert_int_equal(f.heads, 3);
    assert_int_equal(f.layers, 2);                 /* of SD 2.x's three the last is not computed */
    assert_int_equal(f.quick_gelu, family == 1);
    return f;
}

static feed made_ids(graph *g, size_t n, size_t count) {
    int32_t *ids = malloc(n * count * sizeof *ids);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < count; i++) ids[k * count + i] = (int32_t)((i * 7919 + 13 + 31 * k) % VOCABULARY);
    return (feed){ graph_input(g, "ids", NN_I32, shape2(n, count)), (float *)ids };
}

static void check(int family, cpu_level level, nn_type type, size_t count) {
    checkpoint *c = opened(family);
    clip_config f = configured(c, family);
    graph *g = graph_new();
    feed ids = made_ids(g, 2, count);
    tensor *y = clip_build(g, c, &f, ids.t, type);
    char golden[64];
    float *got;
    if (!y) fail_msg("%s", error_message());
    assert_true(shape_equal(y->shape, shape3(2, count, WIDTH)) && y->type == type);
    model_compute(g, level, &ids, 1, &y, 1, &got);
    snprintf(golden, sizeof golden, "sd%d.text.%zu", family, count);
    expect_golden(goldens, golden, got, 2 * count * WIDTH, 37, type == NN_F32 ? 5e-6 : 0.04);
    free(got);
    graph_free(g);
    checkpoint_close(c);
}

static void check_all(cpu_level level, nn_type type) {
    for (int family = 1; family <= 2; family++) {
        check(family, level, type, 77);
        check(family, level, type, 9);
    }
}

static void f32(void **state) { (void)state; check_all(CPU_BEST, NN_F32); }
static void by_reference(void **state) { (void)state; check(1, CPU_REFERENCE, NN_F32, 77), check(2, CPU_REFERENCE, NN_F32, 9); }
static void avx2(void **state) {
    (void)state;
    if (cpu_level_here() < CPU_AVX2) {
        print_message("skipped: no AVX2 here\n");
        skip();
    }
    check_all(CPU_AVX2, NN_F32);
}
static void bf16(void **state) { (void)state; check_all(cpu_level_here() >= CPU_AVX512_BF16 ? CPU_BEST : CPU_REFERENCE, NN_BF16); }

static void refused(void **state) {
    (void)state;
    checkpoint *c = opened(1);
    clip_config f = configured(c, 1);
    graph *g = graph_new();
    assert_null(clip_build(g, c, &f, graph_input(g, "ids", NN_I32, shape2(1, 78)), NN_F32));
    assert_true(graph_check(g) < 0);
    assert_string_equal(error_message(), "a prompt has 78 tokens, the text encoder takes 77");
    graph_free(g);
    g = graph_new();
    f.layers++;
    assert_null(clip_build(g, c, &f, graph_input(g, "ids", NN_I32, shape2(1, 77)), NN_F32));
    assert_true(graph_check(g) < 0);
    assert_non_null(strstr(error_message(), "the model has no text.encoder.layers.2."));
    graph_free(g);
    checkpoint_close(c);

    c = model_opened(model_made("vae", "sd1", "--parts vae"), NULL, CHECKPOINT_VAE);
    assert_int_equal(clip_configure(c, &f), ERR_FORMAT);
    assert_string_equal(error_message(), "the model has no text encoder");
    checkpoint_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32), cmocka_unit_test(by_reference), cmocka_unit_test(avx2), cmocka_unit_test(bf16), cmocka_unit_test(refused),
    };
    goldens = goldens_opened("tests/golden/clip.safetensors");
    int failed = cmocka_run_group_tests(tests, models_begin, models_end);
    weights_close(goldens);
    return failed;
}
