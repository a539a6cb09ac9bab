/* SPDX-License-Identifier: Apache-2.0
 *
 * Training of a base and of VAEs beside PyTorch's (tests/reference/training_targets_golden.py): ten losses within 1e-3. And which weights are trained. */
#include "models.h"

#include "train/trainer.h"

enum { HEIGHT = 8, WIDTH = 6, TOKENS_HERE = 7, BATCH = 2, STEPS = 10 };

typedef struct { double loss, divergence; } golden;

static void goldens_of(const char *target, golden out[STEPS]) {
    FILE *f = fopen("tests/golden/training_targets.txt", "r");
    char line[256], name[16];
    int n = 0, step;
    golden g;
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%15s %d %lf %lf", name, &step, &g.loss, &g.divergence) == 4 && !strcmp(name, target) && n < STEPS) out[n++] = g;
    fclose(f);
    assert_int_equal(n, STEPS);
}

static checkpoint *opened(trainer_target what) {
    bool vae = what == TRAINER_VAE;
    return model_opened(model_made(vae ? "vae" : "base", vae ? "sd1" : "sd2", vae ? "--parts vae --type f32" : "--parts unet,text --type f32 --vocabulary 500 --context 192"), NULL,
                        vae ? CHECKPOINT_VAE : CHECKPOINT_UNET | CHECKPOINT_TEXT);
}

static trainer_options options_of(trainer_target what) {
    return (trainer_options){ .what = what, .batch = BATCH, .height = HEIGHT, .width = WIDTH, .tokens = TOKENS_HERE, .kl_weight = 1e-6, .absolute = true,
                              .adamw = { 0.9f, 0.999f, 1e-8f, 0.01f }, .threads = 1 };
}

static trainer *started(checkpoint *c, const trainer_options *o, cpu_level level) {
    trainer *t;
    if (trainer_open(o, c, level, &t) < 0) fail_msg("%s", error_message());
    return t;
}

static void put(trainer *t, trainer_input which, const char *name, int i, float factor) {
    char whole[32];
    size_t n = trainer_input_count(t, which);
    if (!n) return;
    snprintf(whole, sizeof whole, "%s%d", name, i);
    float *x = numbers(whole, n);
    for (size_t k = 0; k < n; k++) x[k] *= factor;
    trainer_set(t, which, x);
    free(x);
}

/* Inputs by formula, as training_targets_golden.py has them. */
static void fill(trainer *t, trainer_target what, int i) {
    static const float ones[BATCH] = { 1, 1 };
    const float times[BATCH] = { (float)(37 * i % 1000), (float)(911 * i % 1000) };
    int32_t ids[BATCH * TOKENS_HERE];
    trainer_set(t, TRAINER_WEIGHT, ones);
    put(t, TRAINER_LATENT, "latent", i, 1);
    put(t, TRAINER_CONTEXT, "context", i, 1);
    put(t, TRAINER_PICTURE, "picture", i, 0.5f);
    put(t, TRAINER_TARGET, what == TRAINER_VAE ? "picture" : "target", i, what == TRAINER_VAE ? 0.5f : 1);
    put(t, TRAINER_POSTERIOR, "posterior", i, 1);
    if (trainer_input_count(t, TRAINER_TIME)) trainer_set(t, TRAINER_TIME, times);
    for (int k = 0; k < BATCH * TOKENS_HERE; k++) ids[k] = ((k % TOKENS_HERE * 7919 + 13 + 31 * (k / TOKENS_HERE)) % 500 + 11 * i) % 500;
    if (trainer_input_count(t, TRAINER_IDS)) trainer_set_ids(t, ids);
}

static trainer_report step(trainer *t, trainer_target what, int i) {
    trainer_report r;
    fill(t, what, i);
    if (trainer_step(t, &(trainer_now){ .rate = 1e-4, .step = (uint64_t)i + 1, .average = 0.5 }, 0, &r) < 0) fail_msg("%s", error_message());
    return r;
}

static void beside_pytorch(const char *name, const trainer_options *o) {
    golden want[STEPS];
    double worst = 0;
    goldens_of(name, want);
    checkpoint *c = opened(o->what);
    trainer *t = started(c, o, CPU_BEST);
    for (int i = 0; i < STEPS; i++) {
        trainer_report r = step(t, o->what, i);
        double e = fabs((double)r.loss - want[i].loss) / want[i].loss;
        if (want[i].divergence > 0) e = fmax(e, fabs((double)r.divergence - want[i].divergence) / want[i].divergence);
        if (!(e <= 1e-3)) fail_msg("%s, step %d: loss %.7g instead of %.7g, divergence %.7g instead of %.7g", name, i + 1, (double)r.loss, want[i].loss, (double)r.divergence, want[i].divergence);
        worst = fmax(worst, e);
    }
    if (getenv("MODEL_ERRORS")) print_message("%s: worst %.2e\n", name, worst);
    trainer_close(t);
    checkpoint_close(c);
}

static void test_base(void **state) {
    (void)state;
    trainer_options o = options_of(TRAINER_BASE);
    beside_pytorch("base", &o);
}
static void test_vae_l1(void **state) {
    (void)state;
    trainer_options o = options_of(TRAINER_VAE);
    beside_pytorch("l1", &o);
}
static void test_vae_mse(void **state) {
    (void)state;
    trainer_options o = options_of(TRAINER_VAE);
    o.absolute = false;
    o.kl_weight = 100;
    beside_pytorch("mse", &o);
}

static int count_below(const trainer *t, const char *root) {
    int n = 0;
    for (size_t i = 0; i < trainer_states(t); i++) n += !strncmp(trainer_state_at(t, i).name, root, strlen(root)) && !strcmp(trainer_state_at(t, i).kind, "weight");
    return n;
}

/* The last layer of an OpenCLIP encoder is not computed, so nothing of it is trained; a frozen encoder has no states, and its prompts come encoded. */
static void test_what_is_trained(void **state) {
    (void)state;
    trainer_options o = options_of(TRAINER_BASE);
    checkpoint *c = opened(TRAINER_BASE);
    trainer *t = started(c, &o, CPU_BEST);
    assert_true(count_below(t, "text.encoder.layers.1.") > 0);
    assert_int_equal(count_below(t, "text.encoder.layers.2."), 0);
    assert_true(count_below(t, "text.embeddings.token_embedding.") == 1 && count_below(t, "text.final_layer_norm.") == 2);
    assert_true(trainer_input_count(t, TRAINER_IDS) == BATCH * TOKENS_HERE && !trainer_input_count(t, TRAINER_CONTEXT) && !trainer_input_count(t, TRAINER_HINT));
    int unet = count_below(t, "unet.");
    trainer_close(t);
    o.freeze_text = true;
    t = started(c, &o, CPU_BEST);
    assert_int_equal(count_below(t, "text."), 0);
    assert_int_equal(count_below(t, "unet."), unet);
    assert_true(trainer_input_count(t, TRAINER_CONTEXT) == (size_t)BATCH * TOKENS_HERE * 192 && !trainer_input_count(t, TRAINER_IDS));
    double first = (double)step(t, TRAINER_BASE, 0).loss, second = (double)step(t, TRAINER_BASE, 0).loss;
    assert_true(second < first);
    trainer_close(t);
    checkpoint_close(c);
    c = opened(TRAINER_VAE);
    o = options_of(TRAINER_VAE);
    o.average = true;
    t = started(c, &o, CPU_BEST);
    assert_true(count_below(t, "vae.encoder.") > 0 && count_below(t, "vae.decoder.") > 0 && count_below(t, "vae.quant_conv.") == 2 && count_below(t, "vae.post_quant_conv.") == 2);
    trainer_close(t);
    checkpoint_close(c);
}

/* What is behind the loss is there for every level of the processor, and computed again where memory is short: the same bits. */
static void test_recomputed(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        trainer_target what = k ? TRAINER_VAE : TRAINER_BASE;
        trainer_options o = options_of(what);
        checkpoint *c = opened(what);
        trainer *whole = started(c, &o, CPU_BEST);
        o.memory = trainer_planned(whole).activations * 3 / 4;
        trainer *short_ = started(c, &o, CPU_BEST);
        assert_true(trainer_planned(short_).activations <= o.memory && trainer_planned(short_).flops_again > 0);
        for (int i = 0; i < 2; i++) assert_true(step(whole, what, i).loss == step(short_, what, i).loss);
        trainer_close(whole), trainer_close(short_);
        checkpoint_close(c);
    }
}

/* Two micro-batches of one are one of two: the same losses and weights, but for the order of sums. */
static void test_accumulated(void **state) {
    (void)state;
    enum { PIXELS = 8 * HEIGHT * 8 * WIDTH * 3, LATENTS = HEIGHT * WIDTH * 4 };
    checkpoint *c = opened(TRAINER_VAE), *d = opened(TRAINER_VAE);
    trainer_options o = options_of(TRAINER_VAE);
    o.kl_weight = 100;
    trainer *whole = started(c, &o, CPU_BEST);
    o.batch = 1, o.accumulate = 2;
    trainer *parts = started(d, &o, CPU_BEST);
    const float one = 1;
    for (int i = 0; i < 2; i++) {
        char name[32];
        trainer_report all = step(whole, TRAINER_VAE, i), part;
        double loss = 0, divergence = 0;
        snprintf(name, sizeof name, "picture%d", i);
        float *picture = numbers(name, 2 * PIXELS);
        snprintf(name, sizeof name, "posterior%d", i);
        float *posterior = numbers(name, 2 * LATENTS);
        for (int k = 0; k < 2 * PIXELS; k++) picture[k] *= 0.5f;
        for (int micro = 0; micro < 2; micro++) {
            trainer_set(parts, TRAINER_WEIGHT, &one);
            trainer_set(parts, TRAINER_PICTURE, picture + micro * PIXELS);
            trainer_set(parts, TRAINER_TARGET, picture + micro * PIXELS);
            trainer_set(parts, TRAINER_POSTERIOR, posterior + micro * LATENTS);
            if (trainer_step(parts, &(trainer_now){ .rate = 1e-4, .step = (uint64_t)i + 1 }, micro, &part) < 0) fail_msg("%s", error_message());
            loss += (double)part.loss / 2, divergence += (double)part.divergence / 2;
        }
        assert_true(fabs(loss - (double)all.loss) <= 1e-4 * loss && fabs(divergence - (double)all.divergence) <= 1e-4 * divergence);
        free(picture), free(posterior);
    }
    trainer_close(whole), trainer_close(parts);
    checkpoint_close(c), checkpoint_close(d);
}

/* A VAE without its encoder, and a text encoder that does not fit. */
static void test_refused(void **state) {
    (void)state;
    trainer_options o = options_of(TRAINER_VAE);
    trainer *t;
    checkpoint *c = model_opened(model_made("half", "sd1", "--parts vae --type f32 --without vae.encoder."), NULL, 0);
    assert_true(trainer_open(&o, c, CPU_BEST, &t) < 0);
    assert_non_null(strstr(error_message(), "no encoder"));
    checkpoint_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_base),            cmocka_unit_test(test_vae_l1),     cmocka_unit_test(test_vae_mse),
                                        cmocka_unit_test(test_what_is_trained), cmocka_unit_test(test_recomputed), cmocka_unit_test(test_accumulated), cmocka_unit_test(test_refused) };
    return cmocka_run_group_tests(tests, models_begin, models_end);
}
