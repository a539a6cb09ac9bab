/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of whole small models beside PyTorch's (tests/reference/gradients_golden.py): every parameter of UNet and ControlNet together, of the
 * autoencoder and of the text encoder trained at once. For each, the gradient's length and its sum along a fixed direction. Promise: within 1e-3 of
 * that length in f32; in bf16, with weights and activations rounded to 8 bits over a hundred layers, 0.12 of it in the root mean square over a model's
 * parameters (measured: 0.007 to 0.075), and 0.45 of any one's (0.29, in the autoencoder's narrow first layers) (docs/exactness.md). */
#include "models.h"

#include "model/clip.h"
#include "model/unet.h"
#include "model/vae.h"
#include "nn/gradient.h"

enum { MOST = 1200 };
static const double BF16_WORST = 0.45, BF16_MEAN = 0.12;   /* of the worst parameter, and over those of a model */
static weights *goldens;

typedef struct {
    checkpoint *c;
    graph *g;
    nn_type type;           /* of activations, and of weights that are matrices; vectors are f32 */
    tensor *leaf[MOST];     /* in the order of their names */
    int n;
    feed feeds[8];
    int n_feeds;
} bench;

static int by_name(const void *a, const void *b) { return strcmp((*(tensor *const *)a)->name, (*(tensor *const *)b)->name); }

/* Every parameter below the roots as a trainable state: model code finds it by its name. */
static bench begin(int family, nn_type type, const char *name, const char *options, unsigned needs, const char *const roots[], int n_roots) {
    bench b = { .g = graph_new(), .type = type };
    b.c = model_opened(model_made(name, family == 1 ? "sd1" : "sd2", options), NULL, needs);
    for (size_t i = 0; i < checkpoint_count(b.c); i++) {
        const parameter *p = checkpoint_parameter(b.c, i);
        bool wanted = false;
        for (int k = 0; k < n_roots; k++) wanted |= strncmp(p->name, roots[k], strlen(roots[k])) == 0;
        if (!wanted) continue;
        size_t count = shape_elements(p->shape);
        nn_type stored = p->shape.rank > 1 ? type : NN_F32;
        float *x = malloc(count * sizeof *x);
        void *memory = aligned_alloc(64, (count * nn_type_bytes(stored) + 127) / 64 * 64);
        assert_true(x && memory && b.n < MOST);
        nn_widen(x, p->data, p->type, count);
        nn_narrow(memory, stored, x, count);
        free(x);
        tensor *t = graph_state(b.g, p->name, stored, p->shape, memory);
        t->trainable = true;
        b.leaf[b.n++] = t;
    }
    qsort(b.leaf, (size_t)b.n, sizeof *b.leaf, by_name);
    return b;
}

static tensor *feed_in(bench *b, const char *name, nn_type type, nn_shape shape, float *x) {
    tensor *t = graph_input(b->g, name, type, shape);
    b->feeds[b->n_feeds++] = (feed){ t, x };
    return t;
}
static tensor *given(bench *b, const char *name, nn_shape shape) { return feed_in(b, name, b->type, shape, numbers(name, shape_elements(shape))); }

static const float *golden_of(const char *name, size_t n) {
    const stored_tensor *t = weights_find(goldens, name);
    if (!t || t->bytes != n * sizeof(float)) fail_msg("%s: no golden of %zu numbers", name, n);
    return t->data;
}

/* Frees b. */
static void check(bench *b, int family, const char *what, tensor *y) {
    tensor *outs[MOST + 1], *target = feed_in(b, "target", NN_F32, y ? y->shape : shape1(1), numbers("target", y ? shape_elements(y->shape) : 1));
    tensor *loss = mse(b->g, y, target, NULL);
    static float *got[MOST + 1];
    char name[64];
    double worst = 0, squares = 0, most = b->type == NN_F32 ? 1e-3 : BF16_WORST;
    if (graph_backward(b->g, loss, NULL, NULL) < 0) fail_msg("%s", error_message());
    outs[0] = loss;
    int n = 0;
    for (int i = 0; i < b->n; i++)
        if (b->leaf[i]->grad) outs[++n] = b->leaf[i]->grad, b->leaf[n - 1] = b->leaf[i];
        else free(b->leaf[i]->state);
    model_compute(b->g, CPU_BEST, b->feeds, b->n_feeds, outs, n + 1, got);
    snprintf(name, sizeof name, "sd%d.%s.loss", family, what);
    assert_float_equal(got[0][0], *golden_of(name, 1), (b->type == NN_F32 ? 2e-6f : 1e-2f) * *golden_of(name, 1));
    snprintf(name, sizeof name, "sd%d.%s", family, what);
    const float *want = golden_of(name, 2 * (size_t)n);
    for (int i = 0; i < n; i++) {
        const tensor *t = b->leaf[i];
        size_t count = shape_elements(t->shape);
        float *direction = numbers(t->name, count);
        double length = 0, along = 0, scale = want[2 * i];
        for (size_t k = 0; k < count; k++) {
            length += (double)got[i + 1][k] * (double)got[i + 1][k];
            along += (double)got[i + 1][k] * (double)direction[k];
        }
        /* A direction of numbers of variance 1 sees an error of e as one of about e. */
        double e = scale > 1e-12 ? fmax(fabs(sqrt(length) - scale), fabs(along - (double)want[2 * i + 1])) / scale : sqrt(length);
        if (!(e <= most)) fail_msg("%s: length %.7g instead of %.7g, along its direction %.7g instead of %.7g", t->name, sqrt(length), scale, along, (double)want[2 * i + 1]);
        if (e > worst) worst = e;
        squares += e * e;
        free(direction);
        free(got[i + 1]);
        free(t->state);
    }
    double mean = sqrt(squares / n);
    if (getenv("MODEL_ERRORS")) print_message("%s %s: %d parameters, worst %.2e, root mean square %.2e\n", name, nn_type_name(b->type), n, worst, mean);
    if (b->type == NN_BF16 && !(mean <= BF16_MEAN)) fail_msg("%s: root mean square error %.2e", name, mean);
    free(got[0]);
    graph_free(b->g);
    checkpoint_close(b->c);
}

static void steered(int family, nn_type type) {
    bench b = begin(family, type, family == 1 ? "sd1" : "sd2", "--parts unet,vae,control --type f32", CHECKPOINT_UNET | CHECKPOINT_CONTROL, (const char *const[]){ "unet.", "control." }, 2);
    unet_config unet, control;
    if (unet_configure(b.c, "unet", &unet) < 0 || unet_configure(b.c, "control", &control) < 0) fail_msg("%s", error_message());
    tensor *context = given(&b, "context", shape3(2, 7, unet.context_width)), *x = given(&b, "latent", shape4(2, 9, 11, 4));
    float *times = malloc(2 * sizeof *times), *map = numbers("map", 72 * 88 * 3);
    times[0] = 1, times[1] = 777;
    for (size_t i = 0; i < 72 * 88 * 3; i++) map[i] = map[i] / 4 + 0.5f;
    tensor *t = feed_in(&b, "time", NN_F32, shape1(2), times), *hint = controlnet_hint_build(b.g, b.c, &control, feed_in(&b, "map", type, shape4(1, 72, 88, 3), map));
    cross_context kv, control_kv;
    unet_context_build(b.g, b.c, &unet, context, &kv);
    unet_context_build(b.g, b.c, &control, context, &control_kv);
    control_outputs out;
    controlnet_build(b.g, b.c, &control, x, hint, t, &control_kv, &out);
    check(&b, family, "steered", unet_build(b.g, b.c, &unet, x, t, &kv, &out, NULL, false));
}

static void encoded(int family, nn_type type) {
    bench b = begin(family, type, family == 1 ? "sd1" : "sd2", "--parts unet,vae,control --type f32", CHECKPOINT_UNET | CHECKPOINT_VAE, (const char *const[]){ "vae." }, 1);
    vae_config f;
    if (vae_configure(b.c, &f) < 0) fail_msg("%s", error_message());
    float *x = numbers("picture", 2 * 40 * 24 * 3);
    for (size_t i = 0; i < 2 * 40 * 24 * 3; i++) x[i] /= 2;
    tensor *moments = vae_encode_build(b.g, b.c, &f, feed_in(&b, "picture", type, shape4(2, 40, 24, 3), x));
    tensor *mean = slice(b.g, moments, (size_t[NN_MAX_RANK]){ 0 }, shape4(2, 5, 3, 4));
    check(&b, family, "encoded", vae_decode_build(b.g, b.c, &f, mean));
}

static void written(int family, nn_type type) {
    bench b = begin(family, type, family == 1 ? "text1" : "text2", "--parts text --type f32 --vocabulary 500 --context 192", CHECKPOINT_TEXT, (const char *const[]){ "text." }, 1);
    clip_config f;
    if (clip_configure(b.c, &f) < 0) fail_msg("%s", error_message());
    int32_t *ids = malloc(18 * sizeof *ids);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 9; i++) ids[9 * k + i] = (i * 7919 + 13 + 31 * k) % 500;
    check(&b, family, "written", clip_build(b.g, b.c, &f, feed_in(&b, "ids", NN_I32, shape2(2, 9), (float *)ids), type));
}

static void test_steered(void **state) { (void)state; steered(1, NN_F32), steered(2, NN_F32); }
static void test_encoded(void **state) { (void)state; encoded(1, NN_F32), encoded(2, NN_F32); }
static void test_written(void **state) { (void)state; written(1, NN_F32), written(2, NN_F32); }

static void test_bf16(void **state) {
    (void)state;
    if (cpu_level_here() < CPU_AVX512_BF16) {
        print_message("no bf16 products here\n");
        skip();
    }
    for (int family = 1; family <= 2; family++) steered(family, NN_BF16), encoded(family, NN_BF16), written(family, NN_BF16);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_steered), cmocka_unit_test(test_encoded), cmocka_unit_test(test_written), cmocka_unit_test(test_bf16) };
    goldens = goldens_opened("tests/golden/gradients.safetensors");
    int rc = cmocka_run_group_tests(tests, models_begin, models_end);
    weights_close(goldens);
    return rc;
}
