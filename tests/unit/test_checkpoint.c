/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoint_open: parameters under canonical names, settings, and what is refused. The models are make_model's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "mien.h"
#include "weights/checkpoint.h"
#include "weights/safetensors_write.h"
#include "scratch.h"

static char folder[64];

static int begin(void **state) {
    (void)state;
    return scratch_new(folder);
}

static int end(void **state) {
    (void)state;
    return scratch_delete(folder);
}

/* A model in the test's folder; its path lives until the fourth from now. */
__attribute__((format(printf, 2, 3))) static const char *model(const char *kind, const char *format, ...) {
    static char ring[4][128];
    static int next;
    char *path = ring[next++ & 3], options[256], command[1024];
    const char *build = getenv("BUILD");
    va_list args;
    va_start(args, format);
    vsnprintf(options, sizeof options, format, args);
    va_end(args);
    snprintf(path, sizeof *ring, "%s/%d.safetensors", folder, next);
    snprintf(command, sizeof command, "'%s/tests/make_model' %s '%s' %s", build ? build : "build", kind, path, options);
    if (system(command) != 0) fail_msg("%s", command);
    return path;
}

static checkpoint *opened(const char *base, const char *control, unsigned needs) {
    checkpoint *c;
    if (checkpoint_open(base, control, needs, &c) < 0) fail_msg("%s", error_message());
    return c;
}

static void refused(const char *base, const char *control, unsigned needs, const char *why) {
    checkpoint *c;
    assert_true(checkpoint_open(base, control, needs, &c) < 0);
    if (!strstr(error_message(), why)) fail_msg("\"%s\" does not say \"%s\"", error_message(), why);
}

static void test_sd1(void **state) {
    (void)state;
    const char *base = model("sd1", "--type mixed --metadata license=openrail"), *control = model("control1", "--metadata mien.only_mid_control=true");
    checkpoint *c = opened(base, control, 15);
    assert_int_equal(checkpoint_has(c), 15);
    const parameter *p = checkpoint_find(c, "unet.input_blocks.1.1.proj_in.weight");
    assert_true(p && p->shape.rank == 2 && p->shape.dim[0] == 32 && p->shape.dim[1] == 32);
    p = checkpoint_find(c, "vae.decoder.mid.attn_1.q.weight");
    assert_true(p && p->shape.rank == 2);
    assert_non_null(checkpoint_find(c, "text.encoder.layers.1.self_attn.v_proj.bias"));
    assert_non_null(checkpoint_find(c, "control.zero_convs.11.0.bias"));
    assert_null(checkpoint_find(c, "text.embeddings.position_ids"));
    for (size_t i = 1; i < checkpoint_count(c); i++) assert_true(strcmp(checkpoint_parameter(c, i - 1)->name, checkpoint_parameter(c, i)->name) < 0);
    const checkpoint_settings *s = checkpoint_settings_of(c);
    assert_true(s->family == 1 && s->heads == 8 && s->groups == 32 && s->text_quick_gelu && s->text_skip == 0 && s->pad_token == 49407);
    assert_true(s->prediction == PREDICT_EPSILON && s->only_mid_control);
    assert_string_equal(s->licence, "openrail");
    char hex[65];
    assert_int_equal(checkpoint_hash(c, true, NULL, hex), 0);
    assert_int_equal(strlen(hex), 64);
    const int stopped = 1;
    assert_int_equal(checkpoint_hash(c, true, &stopped, hex), ERR_CANCELLED);
    checkpoint_close(c);
}

static void test_sd2(void **state) {
    (void)state;
    const char *base = model("sd2", "--parts unet,vae,text,control");
    checkpoint *c = opened(base, NULL, 15);
    const parameter *q = checkpoint_find(c, "text.encoder.layers.0.self_attn.q_proj.weight"), *k = checkpoint_find(c, "text.encoder.layers.0.self_attn.k_proj.weight"),
                    *v = checkpoint_find(c, "text.encoder.layers.0.self_attn.v_proj.bias");
    assert_true(q && k && v && q->shape.dim[0] == 1024 && q->shape.dim[1] == 1024 && v->shape.rank == 1 && v->shape.dim[0] == 1024);
    assert_ptr_equal((const char *)q->data + 1024 * 1024 * 2, k->data);
    assert_string_equal(k->stored_name, "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight");
    const checkpoint_settings *s = checkpoint_settings_of(c);
    assert_true(s->family == 2 && s->heads == 0 && s->head_width == 64 && !s->text_quick_gelu && s->text_skip == 1 && s->pad_token == 0);
    assert_int_equal(s->prediction, PREDICT_UNKNOWN);
    checkpoint_close(c);
}

static void test_refused(void **state) {
    (void)state;
    const char *parts = "--parts unet";
    const char *one = model("sd1", "%s", parts), *two = model("sd2", "%s", parts);
    const char *other = model("control1", "--context 1024"), *control = model("control1", "--prefix");
    refused(one, other, CHECKPOINT_UNET | CHECKPOINT_CONTROL, "this ControlNet is for Stable Diffusion 2.x (context width 1024), but the base");
    refused(two, control, CHECKPOINT_UNET | CHECKPOINT_CONTROL, "this ControlNet is for Stable Diffusion 1.x (context width 768), but the base");
    refused(one, NULL, CHECKPOINT_VAE, "there is no VAE in it, only: UNet");
    refused(NULL, control, CHECKPOINT_UNET, "there is no UNet in it, only: ControlNet");
    refused(NULL, NULL, 0, "neither");
    checkpoint_close(opened(NULL, control, CHECKPOINT_CONTROL));
    checkpoint_close(opened(one, control, CHECKPOINT_UNET | CHECKPOINT_CONTROL));
    refused(model("control2", "--context 768"), NULL, CHECKPOINT_UNET, "no UNet");
    other = model("control2", "--context 768 --prefix");
    one = model("sd1", "%s", parts);
    refused(one, other, CHECKPOINT_UNET | CHECKPOINT_CONTROL, "its encoder has 6 blocks, the base's 12");
}

static void test_missing(void **state) {
    (void)state;
    static const struct { const char *part, *canonical, *stored; unsigned need; } lost[] = {
        { "unet", "unet.input_blocks.0.0.bias", "model.diffusion_model.input_blocks.0.0.bias", CHECKPOINT_UNET },
        { "unet", "unet.input_blocks.4.0.skip_connection.weight", "", 0 },   /* there is none: the widths are equal */
        { "unet", "unet.input_blocks.7.0.skip_connection.weight", "model.diffusion_model.input_blocks.7.0.skip_connection.weight", CHECKPOINT_UNET },
        { "unet", "unet.input_blocks.6.0.op.weight", "model.diffusion_model.input_blocks.6.0.op.weight", CHECKPOINT_UNET },
        { "unet", "unet.middle_block.1.transformer_blocks.0.attn2.to_v.weight", "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v.weight", CHECKPOINT_UNET },
        { "unet", "unet.output_blocks.11.1.proj_out.bias", "model.diffusion_model.output_blocks.11.1.proj_out.bias", CHECKPOINT_UNET },
        { "unet", "unet.output_blocks.5.2.conv.weight", "model.diffusion_model.output_blocks.5.2.conv.weight", CHECKPOINT_UNET },
        { "vae", "vae.decoder.up.1.upsample.conv.bias", "first_stage_model.decoder.up.1.upsample.conv.bias", CHECKPOINT_VAE },
        { "vae", "vae.post_quant_conv.weight", "first_stage_model.post_quant_conv.weight", CHECKPOINT_VAE },
        { "control", "control.zero_convs.11.0.weight", "control_model.zero_convs.11.0.weight", CHECKPOINT_CONTROL },
        { "control", "control.input_hint_block.14.bias", "control_model.input_hint_block.14.bias", CHECKPOINT_CONTROL },
        { "control", "control.input_hint_block.2.weight", "control_model.input_hint_block.2.weight", CHECKPOINT_CONTROL },
    };
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        const char *path = model("sd1", "--parts %s --without %s", lost[i].part, lost[i].canonical);
        char why[256];
        snprintf(why, sizeof why, "the tensor \"%s\" is missing", lost[i].stored);
        if (lost[i].need) refused(path, NULL, lost[i].need, why);
        checkpoint_close(opened(path, NULL, 0));
        unlink(path);
    }
}

__attribute__((format(printf, 1, 0))) static void shell(const char *format, const char *folder_name, const char *more) {
    char command[1024], full[256];
    snprintf(full, sizeof full, "%s/%s", folder, folder_name);
    snprintf(command, sizeof command, format, full, more);
    if (system(command) != 0) fail_msg("%s", command);
}

/* The same model as a file and as a folder: the same parameters, and what its config files say. */
static void test_folder(void **state) {
    (void)state;
    char path[256], back[256];
    snprintf(path, sizeof path, "%s/folder", folder);
    snprintf(back, sizeof back, "%s/back.safetensors", folder);
    const char *base = model("sd1", "--parts unet,vae,control --type f32");
    mien_convert_options o = { .input = base, .output = path, .to = MIEN_LAYOUT_DIFFUSERS, .prediction = MIEN_PREDICTION_V };
    if (mien_convert(&o, NULL) < 0) fail_msg("%s", error_message());
    const unsigned all = CHECKPOINT_UNET | CHECKPOINT_VAE | CHECKPOINT_CONTROL;
    checkpoint *a = opened(base, NULL, all), *b = opened(path, NULL, all);
    assert_int_equal(checkpoint_count(a), checkpoint_count(b));
    for (size_t i = 0; i < checkpoint_count(a); i++) {
        const parameter *p = checkpoint_parameter(a, i), *q = checkpoint_parameter(b, i);
        assert_string_equal(p->name, q->name);
        assert_true(p->type == q->type && shape_equal(p->shape, q->shape));
        assert_memory_equal(p->data, q->data, shape_elements(p->shape) * 4);
    }
    assert_string_equal(checkpoint_find(b, "unet.input_blocks.1.0.in_layers.0.weight")->stored_name, "unet/down_blocks.0.resnets.0.norm1.weight");
    assert_int_equal(checkpoint_settings_of(b)->prediction, PREDICT_V);
    assert_string_equal(checkpoint_settings_of(b)->prediction_source, "scheduler_config.json");
    char first[65], second[65];
    assert_int_equal(checkpoint_hash(b, false, NULL, first), 0);
    assert_int_equal(checkpoint_hash(b, true, NULL, second), 0);
    assert_string_not_equal(first, second);
    checkpoint_close(a);
    checkpoint_close(b);

    /* What configs say, and that it goes through a file and back. */
    shell("sed -i 's/\"attention_head_dim\": 8/\"attention_head_dim\": 4/; s/\"norm_num_groups\": 32/\"norm_num_groups\": 16/' '%s/%s/config.json'", "folder", "unet");
    shell("sed -i 's/\"beta_end\": 0.012/\"beta_end\": 0.02, \"timestep_spacing\": \"trailing\"/' '%s/%s/scheduler_config.json'", "folder", "scheduler");
    o = (mien_convert_options){ .input = path, .output = back, .to = MIEN_LAYOUT_LDM };
    if (mien_convert(&o, NULL) < 0) fail_msg("%s", error_message());
    for (int i = 0; i < 2; i++) {
        b = opened(i ? back : path, NULL, all);
        const checkpoint_settings *s = checkpoint_settings_of(b);
        assert_true(s->heads == 4 && s->head_width == 0 && s->groups == 16 && s->spacing == SPACING_TRAILING && s->prediction == PREDICT_V && s->sample_size == 64);
        assert_true(s->beta_end > 0.0199 && s->beta_end < 0.0201 && s->steps_offset == 1);
        checkpoint_close(b);
    }
    shell("echo '{\"attention_head_dim\": [4, \"x\"], \"block_out_channels\": [1]}' >'%s/%s/config.json'", "folder", "unet");
    refused(path, NULL, CHECKPOINT_UNET, "unet/config.json: block_out_channels: 2 values were expected, there are 1");
}

/* ---- the files that are read ------------------------------------------------------------------------------------------ */

/* Every second tensor of a UNet's folder, under its name there. */
static void save_half(const weights *w, size_t first, const char *path, FILE *index) {
    safetensors_writer *out;
    assert_int_equal(safetensors_create(path, &out), 0);
    for (size_t i = first; i < weights_count(w); i += 2) {
        stored_tensor t = *weights_tensor(w, i);
        t.name += strlen("unet/");
        assert_int_equal(safetensors_declare(out, &t), 0);
        fprintf(index, "%s\"%s\": \"%s\"", i ? ", " : "", t.name, strrchr(path, '/') + 1);
    }
    assert_int_equal(safetensors_begin(out), 0);
    for (size_t i = 0; first + 2 * i < weights_count(w); i++) {
        const stored_tensor *t = weights_tensor(w, first + 2 * safetensors_at(out, i));
        assert_int_equal(safetensors_write(out, t->data, t->bytes), 0);
    }
    assert_int_equal(safetensors_commit(out, false), 0);
}

/* The UNet's one file as two, under an index of .bin: what they are, their bytes tell. */
static void make_shards(const char *unet) {
    char path[2][400], index[400];
    weights *w;
    snprintf(index, sizeof index, "%s/diffusion_pytorch_model.bin.index.json", unet);
    for (int i = 0; i < 2; i++) snprintf(path[i], sizeof path[i], "%s/shard-%d.bin", unet, i);
    if (weights_open(unet, &w) < 0) fail_msg("%s", error_message());
    FILE *f = fopen(index, "w");
    assert_non_null(f);
    fprintf(f, "{\"weight_map\": {");
    for (size_t i = 0; i < 2; i++) save_half(w, i, path[i], f);
    fprintf(f, "}}\n");
    assert_int_equal(fclose(f), 0);
    weights_close(w);
}

static void expect_read(const char *path, bool control, size_t n, const char *ending) {
    checkpoint *c = opened(path, NULL, CHECKPOINT_UNET | CHECKPOINT_CONTROL);
    char hex[65], of_file[65];
    assert_int_equal(checkpoint_files(c, control), n);
    const char *last = checkpoint_file(c, control, n - 1);
    assert_true(strlen(last) > strlen(ending));
    assert_string_equal(last + strlen(last) - strlen(ending), ending);
    if (checkpoint_hash(c, control, NULL, hex) < 0) fail_msg("%s", error_message());
    assert_int_equal(file_hash(last, of_file), 1);
    assert_int_equal(strcmp(hex, of_file) == 0, n == 1);
    checkpoint_close(c);
}

static void test_files(void **state) {
    (void)state;
    char path[256], unet[300];
    snprintf(path, sizeof path, "%s/files", folder);
    snprintf(unet, sizeof unet, "%s/unet", path);
    mien_convert_options o = { .input = model("sd1", "--parts unet,control"), .output = path, .to = MIEN_LAYOUT_DIFFUSERS, .prediction = MIEN_PREDICTION_EPSILON };
    if (mien_convert(&o, NULL) < 0) fail_msg("%s", error_message());
    expect_read(path, false, 1, "/unet/diffusion_pytorch_model.safetensors");
    expect_read(path, true, 1, "/controlnet/diffusion_pytorch_model.safetensors");
    make_shards(unet);
    expect_read(path, false, 1, "/unet/diffusion_pytorch_model.safetensors");
    shell("cd '%s/%s' && mv diffusion_pytorch_model.safetensors aside", "files/unet", "");
    expect_read(path, false, 2, "/unet/shard-1.bin");
    shell("cd '%s/%s' && mv aside diffusion_pytorch_model.bf16.safetensors", "files/unet", "");
    expect_read(path, false, 2, "/unet/shard-1.bin");
    shell("cd '%s/%s' && rm *.bin*", "files/unet", "");
    expect_read(path, false, 1, "/unet/diffusion_pytorch_model.bf16.safetensors");
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_folder), cmocka_unit_test(test_sd1), cmocka_unit_test(test_sd2), cmocka_unit_test(test_refused), cmocka_unit_test(test_missing),
                                        cmocka_unit_test(test_files) };
    return cmocka_run_group_tests(tests, begin, end);
}
