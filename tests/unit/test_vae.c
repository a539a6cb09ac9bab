/* SPDX-License-Identifier: Apache-2.0
 *
 * Both halves of small autoencoders against diffusers (tests/reference/models_golden.py). Promise: close, relative error 5e-6 in f32
 * (2e-6 was measured), 4% in bf16. */
#include "models.h"

#include "model/vae.h"

static weights *goldens;

static checkpoint *opened(int family) {
    const char *kind = family == 1 ? "sd1" : "sd2";
    return model_opened(model_made(kind, kind, "--parts vae --type mixed"), NULL, CHECKPOINT_VAE);
}

static vae_config configured(const checkpoint *c) {
    vae_config f;
    if (vae_configure(c, &f) < 0) fail_msg("%s", error_message());
    assert_int_equal(f.factor, 8);
    assert_int_equal(f.latent_channels, 4);
    return f;
}

static void check(graph *g, int family, const char *name, feed f, tensor *out, cpu_level level, size_t every) {
    char golden[64];
    float *got;
    model_compute(g, level, &f, 1, &out, 1, &got);
    snprintf(golden, sizeof golden, "sd%d.%s", family, name);
    expect_golden(goldens, golden, got, shape_elements(out->shape), every, f.t->type == NN_F32 ? 5e-6 : 0.04);
    free(got);
    graph_free(g);
}

static void check_decoder(int family, cpu_level level, nn_type type) {
    checkpoint *c = opened(family);
    vae_config f = configured(c);
    graph *g = graph_new();
    tensor *x = graph_input(g, "latent", type, shape4(2, 5, 3, 4)), *y = vae_decode_build(g, c, &f, x);
    assert_true(y && shape_equal(y->shape, shape4(2, 40, 24, 3)));
    check(g, family, "decoded", (feed){ x, numbers("latent", 2 * 5 * 3 * 4) }, y, level, 11);
    checkpoint_close(c);
}

static void check_encoder(int family, cpu_level level, nn_type type) {
    checkpoint *c = opened(family);
    vae_config f = configured(c);
    graph *g = graph_new();
    size_t n = 2 * 40 * 24 * 3;
    float *picture = numbers("picture", n);
    for (size_t i = 0; i < n; i++) picture[i] /= 2;
    tensor *x = graph_input(g, "picture", type, shape4(2, 40, 24, 3)), *y = vae_encode_build(g, c, &f, x);
    assert_true(y && shape_equal(y->shape, shape4(2, 5, 3, 8)));
    check(g, family, "encoded", (feed){ x, picture }, y, level, 1);
    checkpoint_close(c);
}

static void check_all(cpu_level level, nn_type type) {
    for (int family = 1; family <= 2; family++) {
        check_decoder(family, level, type);
        check_encoder(family, level, type);
    }
}

static void f32(void **state) { (void)state; check_all(CPU_BEST, NN_F32); }
static void by_reference(void **state) { (void)state; check_decoder(1, CPU_REFERENCE, NN_F32), check_encoder(2, CPU_REFERENCE, NN_F32); }
static void avx2(void **state) {
    (void)state;
    if (cpu_level_here() < CPU_AVX2) {
        print_message("skipped: no AVX2 here\n");
        skip();
    }
    check_all(CPU_AVX2, NN_F32);
}
static void bf16(void **state) { (void)state; check_all(cpu_level_here() >= CPU_AVX512_BF16 ? CPU_BEST : CPU_REFERENCE, NN_BF16); }

static void expect_failure(graph *g, const char *message) {
    assert_true(graph_check(g) < 0);
    if (strcmp(error_message(), message) != 0) fail_msg("\"%s\", not \"%s\"", error_message(), message);
    graph_free(g);
}

/* The layer that does not fit, and the parameter that is not there, are named. */
static void named(void **state) {
    (void)state;
    checkpoint *c = opened(1);
    vae_config f = configured(c);
    graph *g = graph_new();
    assert_null(vae_encode_build(g, c, &f, graph_input(g, "picture", NN_F32, shape4(1, 16, 16, 4))));
    expect_failure(g, "vae.encoder.conv_in: conv2d: the kernel wants 3 channels, the picture has 4");
    g = graph_new();
    f.encoder_blocks++;
    assert_null(vae_encode_build(g, c, &f, graph_input(g, "picture", NN_F32, shape4(1, 16, 16, 3))));
    expect_failure(g, "the model has no vae.encoder.down.0.block.1.norm1.weight");
    checkpoint_close(c);
}

/* A model whose VAE has tensors of other shapes or lacks some, by make_model's options. */
static checkpoint *odd_one(const char *name, const char *options) {
    char all[512];
    snprintf(all, sizeof all, "--parts vae %s", options);
    return model_opened(model_made(name, "sd1", all), NULL, CHECKPOINT_VAE);
}

static void expect_refused(const char *name, const char *options, const char *message) {
    checkpoint *c = odd_one(name, options);
    vae_config f;
    assert_true(vae_configure(c, &f) < 0);
    if (strcmp(error_message(), message) != 0) fail_msg("\"%s\", not \"%s\"", error_message(), message);
    checkpoint_close(c);
}

/* Latents and pictures are sized by what a VAE is known to have, never by what a file claims. */
static void ends(void **state) {
    (void)state;
    expect_refused("latent64", "--shape vae.post_quant_conv.weight=64,64,1,1 --shape vae.post_quant_conv.bias=64 --shape vae.decoder.conv_in.weight=64,64,3,3",
                   "the VAE's decoder begins with weights 64x64x3x3: a latent of 4 channels was expected");
    expect_refused("picture300", "--shape vae.decoder.conv_out.weight=300,32,3,3 --shape vae.decoder.conv_out.bias=300",
                   "the VAE's decoder ends with weights 300x32x3x3: pictures of 3 channels were expected");
    /* Moments of another number are not seen before the encoder is built. */
    checkpoint *c = odd_one("moments", "--shape vae.quant_conv.weight=80,8,1,1 --shape vae.quant_conv.bias=80");
    vae_config f = configured(c);
    graph *g = graph_new();
    assert_null(vae_encode_build(g, c, &f, graph_input(g, "picture", NN_F32, shape4(1, 16, 16, 3))));
    expect_failure(g, "vae.encoder: its weights make 1x2x2x80 of what should become 1x2x2x8");
    checkpoint_close(c);
}

/* Generating needs no encoder. */
static void decoder_alone(void **state) {
    (void)state;
    checkpoint *c = odd_one("decoder", "--without vae.encoder. --without vae.quant_conv.");
    vae_config f = configured(c);
    assert_int_equal(f.encoder_blocks, 0);
    graph *g = graph_new();
    assert_non_null(vae_decode_build(g, c, &f, graph_input(g, "latent", NN_F32, shape4(1, 2, 3, 4))));
    graph_free(g);
    g = graph_new();
    assert_null(vae_encode_build(g, c, &f, graph_input(g, "picture", NN_F32, shape4(1, 16, 16, 3))));
    expect_failure(g, "the model has no vae.encoder.conv_in.weight");
    checkpoint_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32), cmocka_unit_test(by_reference), cmocka_unit_test(avx2), cmocka_unit_test(bf16), cmocka_unit_test(named),
        cmocka_unit_test(ends), cmocka_unit_test(decoder_alone),
    };
    goldens = goldens_opened("tests/golden/models.safetensors");
    int failed = cmocka_run_group_tests(tests, models_begin, models_end);
    weights_close(goldens);
    return failed;
}
