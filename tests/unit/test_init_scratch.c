/* SPDX-License-Identifier: Apache-2.0
 *
 * mien init --scratch: how what is drawn is spread, that numbers depend on seed, name and place alone, and that whatever configs are
 * accepted make a model that fits together. (Beside PyTorch's own: bench/scratch_exact.py.) */
#include "models.h"

#include <stdarg.h>
#include <sys/stat.h>

#include "mien.h"
#include "model/shapes.h"
#include "weights/scratch_config.h"
#include "weights/tensor_draw.h"

/* ---- numbers -------------------------------------------------------------------------------------------------------------------- */

enum { MANY = 200000 };

typedef struct { double mean, deviation, skew, kurtosis, most; } moments;

static moments of(const float *x, size_t n) {
    moments m = { 0 };
    for (size_t i = 0; i < n; i++) m.mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - m.mean;
        m.deviation += d * d / (double)n;
        m.skew += d * d * d / (double)n;
        m.kurtosis += d * d * d * d / (double)n;
        m.most = fmax(m.most, fabs((double)x[i]));
    }
    m.kurtosis /= m.deviation * m.deviation;
    m.skew /= pow(m.deviation, 1.5);
    m.deviation = sqrt(m.deviation);
    return m;
}

/* Bounds are five standard errors of so many draws. */
static void spread(void **state) {
    (void)state;
    float *x = malloc(MANY * sizeof *x);
    double n = MANY;
    for (uint64_t seed = 0; seed < 4; seed++) {
        draw_normal(draw_begin(seed, "a"), 0, 0.25, x, MANY);
        moments m = of(x, MANY);
        assert_true(fabs(m.mean) < 5 * 0.25 / sqrt(n));
        assert_true(fabs(m.deviation / 0.25 - 1) < 5 / sqrt(2 * n));
        assert_true(fabs(m.skew) < 5 * sqrt(6 / n) && fabs(m.kurtosis - 3) < 5 * sqrt(24 / n));
        assert_true(m.most > 4 * 0.25 && m.most < 6.5 * 0.25);
        draw_uniform(draw_begin(seed, "a"), 0, 0.25, x, MANY);
        m = of(x, MANY);
        assert_true(fabs(m.mean) < 5 * 0.25 / sqrt(3 * n) && m.most <= 0.25 && m.most > 0.2499);
        assert_true(fabs(m.deviation / 0.25 * sqrt(3) - 1) < 5 / sqrt(n) && fabs(m.kurtosis - 1.8) < 0.02);
    }
    free(x);
}

static void places(void **state) {
    (void)state;
    enum { N = 1000 };
    float x[N], y[N];
    uint64_t start = draw_begin(7, "model.diffusion_model.input_blocks.0.0.weight");
    draw_normal(start, 0, 1, x, N);
    for (size_t i = 0; i < N; i += 10) draw_normal(start, i, 1, y + i, 10);
    assert_memory_equal(x, y, sizeof x);
    draw_uniform(start, 0, 1, x, N);
    for (size_t i = 0; i < N; i += 8) draw_uniform(start, i, 1, y + i, N - i < 8 ? N - i : 8);
    assert_memory_equal(x, y, sizeof x);
    assert_true(draw_begin(7, "control_model.a") == draw_begin(7, "a") && draw_begin(7, "a") != draw_begin(8, "a") && draw_begin(7, "a") != draw_begin(7, "b"));
    /* As the formulae give them in Python, with its own logarithm: other machines have the same. */
    const float normals[] = { 2.10956025f, -0.463787377f, 0.593457401f, 1.22070134f }, uniforms[] = { 0.162447765f, 0.528594553f, 0.563677073f, 0.620189428f };
    draw_normal(draw_begin(1, "a"), 0, 1, x, 4);
    draw_uniform(draw_begin(1, "a"), 0, 1, y, 4);
    for (int i = 0; i < 4; i++)
        if (x[i] < normals[i] || x[i] > normals[i] || y[i] < uniforms[i] || y[i] > uniforms[i]) fail_msg("number %d is %.9g and %.9g", i, (double)x[i], (double)y[i]);
}

/* ---- models ---------------------------------------------------------------------------------------------------------------------- */

/* Writes folder/name. */
__attribute__((format(printf, 3, 4)))
static void write_config(const char *folder, const char *name, const char *format, ...) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *strrchr(path, '/') = 0;
    mkdir(folder, 0755);
    mkdir(path, 0755);
    path[strlen(path)] = '/';
    FILE *f = fopen(path, "w");
    va_list a;
    va_start(a, format);
    vfprintf(f, format, a);
    va_end(a);
    fclose(f);
}

static const char *const small_unet = "{\"block_out_channels\":[32,64],\"layers_per_block\":1,\"cross_attention_dim\":48,\"attention_head_dim\":4,"
                                      "\"down_block_types\":[\"DownBlock2D\",\"CrossAttnDownBlock2D\"]}",
                  *const small_vae = "{\"block_out_channels\":[32,32,64,64],\"layers_per_block\":1}",
                  *const small_text = "{\"hidden_size\":48,\"intermediate_size\":80,\"num_hidden_layers\":3,\"num_attention_heads\":3,\"vocab_size\":700}";

/* As many tokens as the text encoder has room for, of captions that have enough pairs for that. */
static int made(const char *folder, const char *output, uint64_t seed, mien_dtype dtype) {
    char captions[128];
    mien_init_options o = mien_init_defaults();
    snprintf(captions, sizeof captions, "%s/captions.txt", models_folder);
    FILE *f = fopen(captions, "w");
    for (int i = 0; i < 26 * 26; i++) fprintf(f, "%c%c %c%c\n", 'a' + i / 26, 'a' + i % 26, 'a' + i / 26, 'a' + i % 26);
    fclose(f);
    o.scratch = folder, o.output = output, o.seed = seed, o.dtype = dtype, o.force = 1, o.captions = captions;
    return mien_init(&o, NULL);
}

static moments of_tensor(const weights *w, const char *name, size_t count) {
    const stored_tensor *t = weights_find(w, name);
    if (!t || t->type != STORED_F32 || t->bytes / 4 != count) fail_msg("%s is not there, or not of %zu numbers", name, count);
    float *x = malloc(t->bytes);
    memcpy(x, t->data, t->bytes);
    moments m = of(x, count);
    free(x);
    return m;
}

static void expect_uniform(const weights *w, const char *name, size_t count, size_t fan_in) {
    moments m = of_tensor(w, name, count);
    double bound = 1 / sqrt((double)fan_in);
    if (!(m.most <= bound * (1 + 1e-6) && m.most > 0.9 * bound && fabs(m.deviation * sqrt(3) / bound - 1) < 5 / sqrt((double)count)))
        fail_msg("%s: within %g, deviation %g; %g was expected", name, m.most, m.deviation, bound);
}

static void expect_normal(const weights *w, const char *name, size_t count, double deviation) {
    moments m = of_tensor(w, name, count);
    if (!(fabs(m.deviation / deviation - 1) < 5 / sqrt(2 * (double)count) && m.most > 2.5 * deviation)) fail_msg("%s: deviation %g; %g was expected", name, m.deviation, deviation);
}

static void expect_all(const weights *w, const char *name, double value) {
    const stored_tensor *t = weights_find(w, name);
    if (!t) fail_msg("no %s", name);
    for (size_t i = 0; i < t->bytes / 4; i++) {
        float x;
        memcpy(&x, (const char *)t->data + 4 * i, 4);
        if ((double)x < value || (double)x > value) fail_msg("%s has a %g", name, (double)x);
    }
}

#define UNET "model.diffusion_model."
#define TEXT "cond_stage_model.transformer.text_model."

/* Each kind of layer as ldm and transformers leave it. */
static void layers(void **state) {
    (void)state;
    char folder[96], file[96];
    snprintf(folder, sizeof folder, "%s/small", models_folder);
    snprintf(file, sizeof file, "%s/small.safetensors", models_folder);
    write_config(folder, "unet/config.json", "%s", small_unet);
    write_config(folder, "vae/config.json", "%s", small_vae);
    write_config(folder, "text_encoder/config.json", "%s", small_text);
    if (made(folder, file, 1, MIEN_DTYPE_AUTO) < 0) fail_msg("%s", mien_error());
    weights *w;
    assert_int_equal(weights_open(file, &w), 0);
    expect_uniform(w, UNET "input_blocks.0.0.weight", 32 * 36, 36);
    expect_uniform(w, UNET "time_embed.0.weight", 128 * 32, 32);
    expect_uniform(w, UNET "time_embed.0.bias", 128, 32);
    expect_uniform(w, UNET "input_blocks.3.0.in_layers.2.weight", 64 * 288, 288);
    expect_uniform(w, UNET "input_blocks.3.0.skip_connection.weight", 64 * 32, 32);
    expect_uniform(w, UNET "input_blocks.3.1.proj_in.weight", 64 * 64, 64);
    expect_uniform(w, UNET "input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight", 64 * 48, 48);
    expect_uniform(w, UNET "output_blocks.1.2.conv.weight", 64 * 576, 576);
    assert_null(weights_find(w, UNET "input_blocks.3.1.transformer_blocks.0.attn2.to_k.bias"));
    assert_null(weights_find(w, UNET "input_blocks.1.1.proj_in.weight"));
    static const char *const zeros[] = { "input_blocks.3.0.out_layers.3.weight", "input_blocks.3.0.out_layers.3.bias", "input_blocks.3.1.proj_out.weight", "middle_block.1.proj_out.bias", "out.2.weight", "out.2.bias", "out.0.bias" };
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        char name[96];
        snprintf(name, sizeof name, UNET "%s", zeros[i]);
        expect_all(w, name, 0);
    }
    expect_all(w, UNET "input_blocks.3.1.transformer_blocks.0.norm3.weight", 1);
    expect_uniform(w, "first_stage_model.encoder.mid.attn_1.q.weight", 64 * 64, 64);
    expect_uniform(w, "first_stage_model.decoder.up.1.block.0.conv2.weight", 32 * 288, 288);
    expect_normal(w, TEXT "embeddings.token_embedding.weight", 700 * 48, 0.02);
    expect_normal(w, TEXT "embeddings.position_embedding.weight", 77 * 48, 0.02);
    expect_normal(w, TEXT "encoder.layers.2.self_attn.k_proj.weight", 48 * 48, 1 / sqrt(48) / sqrt(6));
    expect_normal(w, TEXT "encoder.layers.2.self_attn.out_proj.weight", 48 * 48, 1 / sqrt(48));
    expect_normal(w, TEXT "encoder.layers.0.mlp.fc1.weight", 80 * 48, 1 / sqrt(96));
    expect_normal(w, TEXT "encoder.layers.0.mlp.fc2.weight", 80 * 48, 1 / sqrt(48) / sqrt(6));
    expect_all(w, TEXT "encoder.layers.0.mlp.fc2.bias", 0);
    expect_all(w, TEXT "final_layer_norm.weight", 1);
    assert_string_equal(weights_metadata(w, "mien.text_heads"), "3");
    assert_string_equal(weights_metadata(w, "mien.pad_token"), "699");
    weights_close(w);
}

/* ---- configs of all kinds --------------------------------------------------------------------------------------------------------- */

static uint64_t chance;
static size_t below(size_t n) {
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(chance >> 33) % n;
}
static size_t one_of(const size_t *list, size_t n) { return list[below(n)]; }
#define ONE_OF(...) one_of((const size_t[]){ __VA_ARGS__ }, sizeof((const size_t[]){ __VA_ARGS__ }) / sizeof(size_t))

static void random_unet(const char *folder, size_t context) {
    char widths[128] = "", kinds[256] = "", heads[128] = "";
    size_t levels = 1 + below(4), list = below(3);
    for (size_t i = 0; i < levels; i++) {
        const char *comma = i ? "," : "";
        size_t width = ONE_OF(16, 32, 48, 64, 96);
        sprintf(widths + strlen(widths), "%s%zu", comma, width);
        sprintf(kinds + strlen(kinds), "%s\"%sDownBlock2D\"", comma, below(2) ? "CrossAttn" : "");
        sprintf(heads + strlen(heads), "%s%zu", comma, list == 1 ? width / 8 : ONE_OF(1, 2, 3));
    }
    char one[16];
    snprintf(one, sizeof one, "%zu", ONE_OF(1, 2, 4, 5));
    write_config(folder, "unet/config.json",
                 "{\"_x\":1,\"block_out_channels\":[%s],\"down_block_types\":[%s],\"layers_per_block\":%zu,\"cross_attention_dim\":%zu,\"norm_num_groups\":%zu,"
                 "\"attention_head_dim\":%s%s%s,\"use_linear_projection\":%s,\"transformer_layers_per_block\":%zu}",
                 widths, kinds, 1 + below(2), context, ONE_OF(8, 16, 32), list ? "[" : "", list ? heads : one, list ? "]" : "", below(2) ? "true" : "false", 1 + below(2));
}

static void random_vae(const char *folder) {
    write_config(folder, "vae/config.json", "{\"block_out_channels\":[%zu,%zu,%zu,%zu],\"layers_per_block\":%zu,\"norm_num_groups\":%zu}", ONE_OF(16, 32), ONE_OF(32, 48),
                 ONE_OF(32, 64), ONE_OF(32, 64), 1 + below(2), ONE_OF(8, 16, 32));
}

static void random_text(const char *folder, size_t width) {
    write_config(folder, "text_encoder/config.json", "{\"hidden_size\":%zu,\"num_hidden_layers\":%zu,\"num_attention_heads\":%zu,\"intermediate_size\":%zu,\"vocab_size\":%zu,\"hidden_act\":\"%s\"}",
                 width, 1 + below(3), ONE_OF(1, 2, 3, 4), ONE_OF(10, 64, 96), ONE_OF(514, 549, 600), below(2) ? "gelu" : "quick_gelu");
}

static void accepted_fits(void **state) {
    (void)state;
    char folder[96], file[96];
    int accepted = 0, refused = 0;
    snprintf(folder, sizeof folder, "%s/random", models_folder);
    snprintf(file, sizeof file, "%s/random.safetensors", models_folder);
    for (uint64_t seed = 0; seed < 120; seed++) {
        chance = seed;
        size_t context = ONE_OF(24, 32, 60, 64);
        random_unet(folder, context);
        random_vae(folder);
        random_text(folder, context);
        int rc = made(folder, file, seed, MIEN_DTYPE_BF16);
        if (rc < 0) {
            if (rc != MIEN_ERR_FORMAT && rc != MIEN_ERR_UNSUPPORTED) fail_msg("seed %d: %s", (int)seed, mien_error());
            refused++;
            continue;
        }
        checkpoint *c;
        unsigned all = CHECKPOINT_UNET | CHECKPOINT_VAE | CHECKPOINT_TEXT;
        if (checkpoint_open(file, NULL, all, &c) < 0 || shapes_check(c, all) < 0) fail_msg("seed %d was accepted, but: %s", (int)seed, error_message());
        checkpoint_close(c);
        accepted++;
    }
    assert_true(accepted >= 20 && refused >= 20);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(spread), cmocka_unit_test(places), cmocka_unit_test(layers), cmocka_unit_test(accepted_fits) };
    return cmocka_run_group_tests(tests, models_begin, models_end);
}
