/* SPDX-License-Identifier: Apache-2.0
 *
 * UNet and ControlNet of small models against diffusers (tests/reference/models_golden.py): SD 1.x's and 2.x's forms, latents whose
 * sides 2 does not divide, one and two pictures, with and without control. Promise: close. f32: relative error 5e-6 (2e-7 to
 * 2.5e-6 was measured: the order of summation differs); bf16: 4% (1.3 to 1.8% was measured). */
#include "models.h"

#include "model/unet.h"

static weights *goldens;

typedef struct {
    checkpoint *c;
    graph *g;
    unet_config unet, control;
    feed feeds[160];
    int n_feeds, family;
    cpu_level level;
    nn_type type;
} bench;

static bench begin(int family, cpu_level level, nn_type type) {
    bench b = { .g = graph_new(), .family = family, .level = level, .type = type };
    b.c = model_opened(model_made(family == 1 ? "sd1" : "sd2", family == 1 ? "sd1" : "sd2", "--parts unet,vae,control --type mixed"), NULL, CHECKPOINT_UNET | CHECKPOINT_CONTROL);
    if (unet_configure(b.c, "unet", &b.unet) < 0 || unet_configure(b.c, "control", &b.control) < 0) fail_msg("%s", error_message());
    return b;
}
static void end(bench *b) {
    graph_free(b->g);
    checkpoint_close(b->c);
}

static tensor *feed_in(bench *b, const char *name, nn_type type, nn_shape shape, float *x) {
    tensor *t = graph_input(b->g, name, type, shape);
    b->feeds[b->n_feeds++] = (feed){ t, x };
    return t;
}
static tensor *given(bench *b, const char *name, nn_type type, nn_shape shape) { return feed_in(b, name, type, shape, numbers(name, shape_elements(shape))); }
static tensor *numbers_in(bench *b, const char *name, size_t n, const float x[]) {
    float *copy = malloc(n * sizeof *copy);
    memcpy(copy, x, n * sizeof *copy);
    return feed_in(b, name, NN_F32, shape1(n), copy);
}
static cross_context context_of(bench *b, const unet_config *f, size_t n) {
    cross_context kv;
    tensor *context = graph_find(b->g, "context");
    if (!context) context = given(b, "context", b->type, shape3(n, 7, f->context_width));
    unet_context_build(b->g, b->c, f, context, &kv);
    return kv;
}
static void check(bench *b, const char *name, tensor *out, size_t every) {
    char golden[64];
    float *got;
    model_compute(b->g, b->level, b->feeds, b->n_feeds, &out, 1, &got);
    snprintf(golden, sizeof golden, "sd%d.%s", b->family, name);
    expect_golden(goldens, golden, got, shape_elements(out->shape), every, b->type == NN_F32 ? 5e-6 : 0.04);
    free(got);
    end(b);
}

static void check_even(int family, cpu_level level, nn_type type) {
    bench b = begin(family, level, type);
    tensor *x = given(&b, "latent", type, shape4(1, 16, 8, 4)), *t = numbers_in(&b, "time", 1, (float[]){ 999 });
    cross_context kv = context_of(&b, &b.unet, 1);
    check(&b, "even", unet_build(b.g, b.c, &b.unet, x, t, &kv, NULL, NULL, false), 1);
}

static void check_odd(int family, cpu_level level, nn_type type) {
    bench b = begin(family, level, type);
    tensor *x = given(&b, "latent", type, shape4(2, 9, 11, 4)), *t = numbers_in(&b, "time", 1, (float[]){ 500.25f });
    cross_context kv = context_of(&b, &b.unet, 2);
    check(&b, "odd", unet_build(b.g, b.c, &b.unet, x, t, &kv, NULL, NULL, false), 1);
}

static tensor *hint(bench *b) {
    nn_shape shape = shape4(1, 72, 88, 3);
    size_t n = shape_elements(shape);
    float *map = numbers("map", n);
    for (size_t i = 0; i < n; i++) map[i] = map[i] / 4 + 0.5f;
    return controlnet_hint_build(b->g, b->c, &b->control, feed_in(b, "map", b->type, shape, map));
}

static void check_outputs(int family, cpu_level level, nn_type type) {
    bench b = begin(family, level, type);
    tensor *x = given(&b, "latent", type, shape4(1, 9, 11, 4)), *t = numbers_in(&b, "time", 1, (float[]){ 20 });
    cross_context kv = context_of(&b, &b.control, 1);
    control_outputs out;
    controlnet_build(b.g, b.c, &b.control, x, hint(&b), t, &kv, &out);
    float *got[UNET_MAX_SKIPS + 1];
    model_compute(b.g, level, b.feeds, b.n_feeds, out.out, out.n, got);
    for (int i = 0; i < out.n; i++) {
        char name[64];
        snprintf(name, sizeof name, "sd%d.control.%d", family, i);
        expect_golden(goldens, name, got[i], shape_elements(out.out[i]->shape), 29, type == NN_F32 ? 5e-6 : 0.04);
        free(got[i]);
    }
    end(&b);
}

/* Each picture at a time of its own; one hint for both. */
static void check_controlled(int family, cpu_level level, nn_type type) {
    bench b = begin(family, level, type);
    tensor *x = given(&b, "latent", type, shape4(2, 9, 11, 4)), *t = numbers_in(&b, "time", 2, (float[]){ 1, 777 });
    cross_context kv = context_of(&b, &b.unet, 2), control_kv = context_of(&b, &b.control, 2);
    control_outputs control;
    controlnet_build(b.g, b.c, &b.control, x, hint(&b), t, &control_kv, &control);
    check(&b, "controlled", unet_build(b.g, b.c, &b.unet, x, t, &kv, &control, NULL, false), 1);
}

/* Keys and values computed by one graph and handed to the next. */
static cross_context carried(bench *b, const unet_config *f) {
    cross_context made, inputs;
    graph *g = graph_new();
    tensor *outs[2 * UNET_MAX_CROSS], *context = graph_input(g, "context", b->type, shape3(2, 7, f->context_width));
    float *got[2 * UNET_MAX_CROSS];
    unet_context_build(g, b->c, f, context, &made);
    for (int i = 0; i < made.n; i++) outs[2 * i] = made.k[i], outs[2 * i + 1] = made.v[i];
    model_compute(g, b->level, &(feed){ context, numbers("context", shape_elements(context->shape)) }, 1, outs, 2 * made.n, got);
    unet_context_inputs(b->g, b->c, f, 2, 7, b->type, &inputs);
    assert_int_equal(inputs.n, made.n);
    for (int i = 0; i < made.n; i++) {
        assert_true(shape_equal(inputs.k[i]->shape, made.k[i]->shape));
        b->feeds[b->n_feeds++] = (feed){ inputs.k[i], got[2 * i] };
        b->feeds[b->n_feeds++] = (feed){ inputs.v[i], got[2 * i + 1] };
    }
    graph_free(g);
    return inputs;
}

static void check_scaled(int family, cpu_level level, nn_type type, bool only_mid) {
    bench b = begin(family, level, type);
    tensor *x = given(&b, "latent", type, shape4(2, 9, 11, 4)), *t = numbers_in(&b, "time", 1, (float[]){ 300 }), *scales[UNET_MAX_SKIPS + 1];
    cross_context kv = carried(&b, &b.unet), control_kv = carried(&b, &b.control);
    control_outputs control;
    controlnet_build(b.g, b.c, &b.control, x, hint(&b), t, &control_kv, &control);
    for (int i = 0; i < control.n; i++) scales[i] = numbers_in(&b, "scale", 2, (float[]){ 0.1f * (float)i, 1.5f - 0.1f * (float)i });
    check(&b, only_mid ? "only_mid" : "scaled", unet_build(b.g, b.c, &b.unet, x, t, &kv, &control, scales, only_mid), 1);
}

/* Guess mode under guidance: a ControlNet of the conditional half alone serves both pictures, the first with a factor of 0. */
static void check_guess(int family, cpu_level level, nn_type type) {
    bench b = begin(family, level, type);
    tensor *x = given(&b, "latent", type, shape4(2, 9, 11, 4)), *t = numbers_in(&b, "time", 1, (float[]){ 300 }), *scales[UNET_MAX_SKIPS + 1];
    cross_context kv = context_of(&b, &b.unet, 2), half;
    tensor *second = slice(b.g, graph_find(b.g, "context"), (size_t[NN_MAX_RANK]){ 1 }, shape3(1, 7, b.unet.context_width));
    unet_context_build(b.g, b.c, &b.control, second, &half);
    control_outputs control;
    controlnet_build(b.g, b.c, &b.control, slice(b.g, x, (size_t[NN_MAX_RANK]){ 1 }, shape4(1, 9, 11, 4)), hint(&b), t, &half, &control);
    for (int i = 0; i < control.n; i++) scales[i] = numbers_in(&b, "scale", 2, (float[]){ 0, powf(0.825f, (float)(control.n - 1 - i)) });
    check(&b, "guess", unet_build(b.g, b.c, &b.unet, x, t, &kv, &control, scales, false), 1);
}

static void check_all(int family, cpu_level level, nn_type type) {
    check_even(family, level, type);
    check_odd(family, level, type);
    check_outputs(family, level, type);
    check_controlled(family, level, type);
    check_scaled(family, level, type, false);
    check_scaled(family, level, type, true);
    check_guess(family, level, type);
}

static void sd1(void **state) { (void)state; check_all(1, CPU_BEST, NN_F32); }
static void sd2(void **state) { (void)state; check_all(2, CPU_BEST, NN_F32); }
/* The rest of the cases would tell nothing new there, slowly. */
static void by_reference(void **state) {
    (void)state;
    check_scaled(1, CPU_REFERENCE, NN_F32, false);
    check_odd(2, CPU_REFERENCE, NN_F32);
}
static void avx2(void **state) {
    (void)state;
    if (cpu_level_here() < CPU_AVX2) {
        print_message("skipped: no AVX2 here\n");
        skip();
    }
    for (int family = 1; family <= 2; family++) check_controlled(family, CPU_AVX2, NN_F32);
}
static void bf16(void **state) {
    (void)state;
    cpu_level level = cpu_level_here() >= CPU_AVX512_BF16 ? CPU_BEST : CPU_REFERENCE;
    for (int family = 1; family <= 2; family++) {
        check_odd(family, level, NN_BF16);
        check_controlled(family, level, NN_BF16);
    }
}

static void expect_message(const char *message) {
    if (strcmp(error_message(), message) != 0) fail_msg("\"%s\", not \"%s\"", error_message(), message);
}
static void expect_failure(graph *g, const char *message) {
    assert_true(graph_check(g) < 0);
    expect_message(message);
    graph_free(g);
}

/* What is computed by one graph and handed to another has one shape in both, whatever the weights are. */
static void values_wider_than_keys(void **state) {
    (void)state;
    const char *at = "unet.input_blocks.1.1.transformer_blocks.0.attn2";
    char options[256];
    snprintf(options, sizeof options, "--parts unet --shape %s.to_v.weight=2048,768", at);
    checkpoint *c = model_opened(model_made("wide", "sd1", options), NULL, CHECKPOINT_UNET);
    unet_config f;
    assert_int_equal(unet_configure(c, "unet", &f), 0);
    cross_context made, inputs;
    graph *g = graph_new();
    unet_context_build(g, c, &f, graph_input(g, "context", NN_F32, shape3(2, 7, f.context_width)), &made);
    unet_context_inputs(g, c, &f, 2, 7, NN_F32, &inputs);
    assert_int_equal(graph_check(g), 0);
    for (int i = 0; i < made.n; i++) assert_true(shape_equal(made.k[i]->shape, inputs.k[i]->shape) && shape_equal(made.v[i]->shape, inputs.v[i]->shape));
    assert_int_equal(inputs.v[0]->shape.dim[2], 2048);
    assert_null(unet_build(g, c, &f, graph_input(g, "x", NN_F32, shape4(2, 8, 8, 4)), graph_input(g, "time", NN_F32, shape1(1)), &inputs, NULL, NULL, false));
    assert_true(graph_check(g) < 0);
    graph_free(g);
    checkpoint_close(c);
}

static void refused_hint(const char *name, const char *options, const char *message) {
    checkpoint *c = model_opened(model_made(name, "control1", options), NULL, CHECKPOINT_CONTROL);
    unet_config f;
    assert_int_equal(unet_configure(c, "control", &f), 0);
    graph *g = graph_new();
    assert_null(controlnet_hint_build(g, c, &f, graph_input(g, "map", NN_F32, shape4(1, 64, 48, 3))));
    expect_failure(g, message);
    checkpoint_close(c);
}

/* The step's graph takes features of an eighth of the map's sides. */
static void hints_of_another_size(void **state) {
    (void)state;
    char options[1024] = "--prefix --without control.input_hint_block.2. --without control.input_hint_block.4. --without control.input_hint_block.6. "
                         "--without control.input_hint_block.8. --without control.input_hint_block.10. --without control.input_hint_block.12. "
                         "--without control.input_hint_block.14. --shape control.input_hint_block.0.weight=32,3,3,3 --shape control.input_hint_block.0.bias=32";
    refused_hint("one_layer", options, "control.input_hint_block: its weights make 1x64x48x32 of what should become 1x8x6x32");
    snprintf(options, sizeof options, "--prefix --without control.input_hint_block.12. --without control.input_hint_block.14. "
             "--shape control.input_hint_block.10.weight=32,32,3,3 --shape control.input_hint_block.10.bias=32");
    refused_hint("halved_twice", options, "control.input_hint_block: its weights make 1x16x12x32 of what should become 1x8x6x32");
}

static void expect_close(const float *a, const float *b, size_t n) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        difference += d * d;
        size += (double)b[i] * (double)b[i];
    }
    assert_true(size > 0 && sqrt(difference / size) < 5e-6);
}

/* One picture for n prompts is computed once as far as no prompt is asked, and gives what n copies of it do. A ControlNet may serve the
 * last alone. */
static void one_picture_for(size_t n, int family, bool guess) {
    bench b = begin(family, CPU_BEST, NN_F32);
    float *got[2], *weights = numbers("scale", n);
    tensor *t = numbers_in(&b, "time", 1, (float[]){ 300 }), *x = given(&b, "latent", NN_F32, shape4(1, 9, 11, 4)), *features = hint(&b), *copies[8], *outs[2];
    tensor *scale = feed_in(&b, "scale", NN_F32, shape1(n), weights), *scales[UNET_MAX_SKIPS + 1];
    for (size_t i = 0; i < n; i++) copies[i] = x, weights[i] = i + 1 < n && guess ? 0 : 0.5f + 0.1f * (float)i;
    for (int i = 0; i <= b.unet.input_blocks; i++) scales[i] = scale;
    for (int both = 0; both < 2; both++) {
        tensor *in = both ? concat(b.g, copies, (int)n, 0) : x;
        cross_context kv = context_of(&b, &b.unet, n), control_kv = context_of(&b, &b.control, n);
        if (guess && !both) {
            tensor *last = slice(b.g, graph_find(b.g, "context"), (size_t[NN_MAX_RANK]){ n - 1 }, shape3(1, 7, b.control.context_width));
            unet_context_build(b.g, b.c, &b.control, last, &control_kv);
        }
        control_outputs control;
        controlnet_build(b.g, b.c, &b.control, in, features, t, &control_kv, &control);
        outs[both] = unet_build(b.g, b.c, &b.unet, in, t, &kv, &control, scales, false);
    }
    model_compute(b.g, b.level, b.feeds, b.n_feeds, outs, 2, got);
    expect_close(got[0], got[1], n * 9 * 11 * 4);
    free(got[0]);
    free(got[1]);
    end(&b);
}
static void one_picture_for_all_prompts(void **state) {
    (void)state;
    one_picture_for(2, 2, false);
    one_picture_for(2, 2, true);
    one_picture_for(3, 1, false);
    one_picture_for(1, 1, false);
}

/* A ControlNet of one picture beside more pictures than a node has inputs. */
static void one_control_for_nine(void **state) {
    (void)state;
    bench b = begin(1, CPU_BEST, NN_F32);
    float *got[2];
    tensor *t = numbers_in(&b, "time", 1, (float[]){ 300 }), *x = given(&b, "latent", NN_F32, shape4(9, 8, 8, 4)), *scales[UNET_MAX_SKIPS + 1];
    tensor *first = slice(b.g, x, (size_t[NN_MAX_RANK]){ 0 }, shape4(1, 8, 8, 4)), *last = slice(b.g, x, (size_t[NN_MAX_RANK]){ 8 }, shape4(1, 8, 8, 4));
    tensor *map = given(&b, "map", NN_F32, shape4(1, 64, 64, 3));
    cross_context nine = context_of(&b, &b.unet, 9), one, control_kv;
    tensor *context = slice(b.g, graph_find(b.g, "context"), (size_t[NN_MAX_RANK]){ 8 }, shape3(1, 7, b.unet.context_width));
    unet_context_build(b.g, b.c, &b.unet, context, &one);
    unet_context_build(b.g, b.c, &b.control, context, &control_kv);
    control_outputs control;
    controlnet_build(b.g, b.c, &b.control, first, controlnet_hint_build(b.g, b.c, &b.control, map), t, &control_kv, &control);
    for (int i = 0; i < control.n; i++) scales[i] = numbers_in(&b, "scale", 1, (float[]){ 0.5f });
    tensor *outs[2] = { unet_build(b.g, b.c, &b.unet, x, t, &nine, &control, scales, false), unet_build(b.g, b.c, &b.unet, last, t, &one, &control, scales, false) };
    model_compute(b.g, b.level, b.feeds, b.n_feeds, outs, 2, got);
    expect_close(got[0] + 8 * 256, got[1], 256);
    free(got[0]);
    free(got[1]);
    end(&b);
}

static void heads_that_do_not_fill(void **state) {
    (void)state;
    checkpoint *c = model_opened(model_made("heads", "sd2", "--parts unet --shape unet.middle_block.1.transformer_blocks.0.attn1.to_q.weight=96,128"), NULL, CHECKPOINT_UNET);
    unet_config f;
    assert_true(unet_configure(c, "unet", &f) < 0);
    expect_message("unet.middle_block.1.transformer_blocks.0.attn1.to_q.weight is 96 wide, which can't be split into heads of 64");
    checkpoint_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sd1), cmocka_unit_test(sd2), cmocka_unit_test(by_reference), cmocka_unit_test(avx2), cmocka_unit_test(bf16),
        cmocka_unit_test(values_wider_than_keys), cmocka_unit_test(one_control_for_nine),
        cmocka_unit_test(one_picture_for_all_prompts), cmocka_unit_test(hints_of_another_size), cmocka_unit_test(heads_that_do_not_fill),
    };
    goldens = goldens_opened("tests/golden/models.safetensors");
    int failed = cmocka_run_group_tests(tests, models_begin, models_end);
    weights_close(goldens);
    return failed;
}
