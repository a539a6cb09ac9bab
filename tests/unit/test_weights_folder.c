/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders of weights: which file is taken, under which names, and what is refused. */
#define _GNU_SOURCE
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
#include "weights/index.h"
#include "weights/weights.h"
#include "scratch.h"
#include "weights_samples.h"

static char root[] = "/tmp/mien-folder-XXXXXX";
static char model[64];   /* a folder in it, new for each test */

static int begin(void **state) {
    (void)state;
    snprintf(model, sizeof model, "%s/model", root);
    return folder_make(model);
}

static int end(void **state) {
    (void)state;
    return scratch_delete(model);
}

static void put_bytes(const char *name, const void *data, size_t size) {
    char path[512], *slash;
    snprintf(path, sizeof path, "%s/%s", model, name);
    slash = strrchr(path, '/');
    *slash = 0;
    assert_int_equal(folder_make(path), 0);
    *slash = '/';
    assert_int_equal(file_save(path, data, size), 0);
}

static void put(const char *name, const char *content) { put_bytes(name, content, strlen(content)); }

/* A file with one tensor of one byte, which says where it is from. */
static void put_tensor(const char *name, const char *tensor, uint8_t value) {
    static uint8_t file[SAMPLE_ROOM];
    char header[256];
    snprintf(header, sizeof header, "{\"__metadata__\":{\"from\":\"%s\"},\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", name, tensor);
    size_t size = sample_safetensors(file, header, 1);
    file[size - 1] = value;
    put_bytes(name, file, size);
}

static void need_value(const weights *w, const char *name, int value) {
    const stored_tensor *t = weights_find(w, name);
    if (!t) fail_msg("no tensor %s", name);
    assert_int_equal(*(const uint8_t *)t->data, value);
}

static weights *open_model(void) {
    weights *w;
    int rc = weights_open(model, &w);
    if (rc < 0) fail_msg("%s", error_message());
    assert_int_equal(weights_format_of(w), WEIGHTS_FOLDER);
    return w;
}

static void expect_refusal(int code, const char *said) {
    weights *w;
    assert_int_equal(weights_open(model, &w), code);
    if (!strstr(error_message(), said)) fail_msg("\"%s\", and not \"%s\"", error_message(), said);
}

static void test_pipeline(void **state) {
    (void)state;
    put("model_index.json", "{\"_class_name\":\"StableDiffusionControlNetPipeline\"}");
    put("scheduler/scheduler_config.json", "{\"prediction_type\":\"v_prediction\"}");
    put("tokenizer/tokenizer_config.json", "{\"pad_token\":\"!\"}");
    put("safety_checker/config.json", "broken");
    put("unet/config.json", "{\"attention_head_dim\":8}");
    put_tensor("unet/diffusion_pytorch_model.safetensors", "conv_in.weight", 1);
    put_tensor("vae/diffusion_pytorch_model.safetensors", "x", 2);
    put_tensor("text_encoder/model.safetensors", "x", 3);
    put_tensor("controlnet/diffusion_pytorch_model.safetensors", "x", 4);
    weights *w = open_model();
    assert_int_equal(weights_count(w), 4);
    need_value(w, "unet/conv_in.weight", 1);
    need_value(w, "vae/x", 2);
    need_value(w, "text_encoder/x", 3);
    need_value(w, "controlnet/x", 4);
    json_at scheduler = json_root(weights_json(w, "scheduler/scheduler_config.json")), prediction;
    assert_true(json_field(&scheduler, "prediction_type", &prediction));
    assert_non_null(weights_json(w, "unet/config.json"));
    assert_non_null(weights_json(w, "tokenizer/tokenizer_config.json"));
    assert_null(weights_json(w, "vae/config.json"));
    assert_string_equal(weights_metadata(w, "from"), "unet/diffusion_pytorch_model.safetensors");
    assert_int_equal(weights_files(w), 4);
    assert_non_null(strstr(weights_file_of(w, weights_find(w, "vae/x")), "/vae/diffusion_pytorch_model.safetensors"));
    assert_int_equal(weights_notes(w), 0);
    weights_close(w);
}

/* A folder that is one component, and which. */
static void test_alone(void **state) {
    (void)state;
    static const struct { const char *config, *file, *prefix; } kinds[] = {
        { "{\"_class_name\":\"ControlNetModel\"}", "diffusion_pytorch_model.safetensors", "controlnet/" },
        { "{\"_class_name\":\"UNet2DConditionModel\"}", "diffusion_pytorch_model.safetensors", "unet/" },
        { "{\"_class_name\":\"AutoencoderKL\"}", "diffusion_pytorch_model.safetensors", "vae/" },
        { "{\"architectures\":[\"CLIPTextModel\"],\"_class_name\":7}", "model.safetensors", "text_encoder/" },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[64];
        put("config.json", kinds[i].config);
        put_tensor(kinds[i].file, "x", 9);
        weights *w = open_model();
        snprintf(name, sizeof name, "%sx", kinds[i].prefix);
        need_value(w, name, 9);
        snprintf(name, sizeof name, "%sconfig.json", kinds[i].prefix);
        assert_non_null(weights_json(w, name));
        assert_null(weights_json(w, "config.json"));
        weights_close(w);
    }
}

/* The better name wins, and what was left out is told. */
static void test_which(void **state) {
    (void)state;
    static const char *const order[] = { "diffusion_pytorch_model.non_ema.safetensors", "diffusion_pytorch_model.fp16.bin",
                                         "diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors" };
    put("config.json", "{\"_class_name\":\"UNet2DConditionModel\"}");
    for (uint8_t i = 0; i < 5; i++) {
        put_tensor(order[i], "x", i);
        weights *w = open_model();
        need_value(w, "unet/x", i);
        assert_int_equal(weights_notes(w), i > 0);
        if (i) assert_non_null(strstr(weights_note(w, 0), order[i - 1]));
        weights_close(w);
    }
}

static void test_shards(void **state) {
    (void)state;
    put("config.json", "{\"_class_name\":\"UNet2DConditionModel\"}");
    put("diffusion_pytorch_model.safetensors.index.json", "{\"metadata\":{\"total_size\":2},\"weight_map\":{\"a\":\"s-1.safetensors\",\"b\":\"s-2.safetensors\"}}");
    expect_refusal(ERR_IO, "diffusion_pytorch_model.safetensors.index.json: names s-1.safetensors, which is not there");
    put_tensor("s-1.safetensors", "a", 1);
    put_tensor("s-2.safetensors", "b", 2);
    weights *w = open_model();
    need_value(w, "unet/a", 1);
    need_value(w, "unet/b", 2);
    assert_int_equal(weights_files(w), 2);
    weights_close(w);
    put_tensor("s-1.safetensors", "b", 1);
    put_tensor("s-2.safetensors", "a", 2);
    expect_refusal(ERR_FORMAT, "tensor \"a\" is not in s-1.safetensors, where it should be");
    put_tensor("s-1.safetensors", "a", 1);
    put_tensor("s-2.safetensors", "c", 2);
    expect_refusal(ERR_FORMAT, "tensor \"b\" is not in s-2.safetensors, where it should be");
    put_tensor("s-2.safetensors", "a", 2);
    expect_refusal(ERR_FORMAT, "tensor \"unet/a\" is there twice");
}

/* The index's fp16 form, as diffusers names it. */
static void test_variant_shards(void **state) {
    (void)state;
    put("config.json", "{\"_class_name\":\"UNet2DConditionModel\"}");
    put("diffusion_pytorch_model.safetensors.index.fp16.json", "{\"weight_map\":{\"a\":\"s.fp16-1.safetensors\"}}");
    put_tensor("s.fp16-1.safetensors", "a", 1);
    weights *w = open_model();
    need_value(w, "unet/a", 1);
    weights_close(w);
}

static void test_refused(void **state) {
    (void)state;
    expect_refusal(ERR_UNSUPPORTED, "is no diffusers folder");
    put("b.ckpt", "x");
    put("a.safetensors", "x");
    expect_refusal(ERR_UNSUPPORTED, "; did you mean the file a.safetensors in it?");
    put("config.json", "{\"_class_name\":\"T2IAdapter\"}");
    expect_refusal(ERR_UNSUPPORTED, "config.json says it is a T2IAdapter, which mien does not use");
    put("config.json", "{}");
    expect_refusal(ERR_UNSUPPORTED, "config.json says not what it is");
    put("config.json", "[]");
    expect_refusal(ERR_UNSUPPORTED, "config.json says not what it is");
    put("config.json", "{");
    expect_refusal(ERR_FORMAT, "model/config.json: line 1");
    put("config.json", "{\"_class_name\":\"ControlNetModel\"}");
    expect_refusal(ERR_FORMAT, "model: there are no weights (diffusion_pytorch_model.safetensors or diffusion_pytorch_model.bin)");
    put("diffusion_pytorch_model.safetensors", "version https://git-lfs.github.com/spec/v1\n");
    expect_refusal(ERR_FORMAT, "model/diffusion_pytorch_model.safetensors: is a Git LFS pointer");
    put("unet/config.json", "{}");
    expect_refusal(ERR_FORMAT, "model/unet: there are no weights");
}

/* A component without weights does not keep the others from being used; it is told. */
static void test_incomplete(void **state) {
    (void)state;
    put("unet/config.json", "{}");
    put_tensor("vae/diffusion_pytorch_model.safetensors", "x", 2);
    weights *w = open_model();
    need_value(w, "vae/x", 2);
    assert_int_equal(weights_notes(w), 1);
    assert_non_null(strstr(weights_note(w, 0), "unet: there are no weights"));
    weights_close(w);
}

static const struct { const char *json; int code; const char *said; } indexes[] = {
    { "{\"weight_map\":{\"a\":\"../x.safetensors\"}}", ERR_FORMAT, "i: weight_map.a: \"../x.safetensors\" is no name of a file in this folder" },
    { "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", ERR_FORMAT, "is no name of a file in this folder" },
    { "{\"weight_map\":{\"a\":\"sub/x.safetensors\"}}", ERR_FORMAT, "is no name of a file in this folder" },
    { "{\"weight_map\":{\"a\":\"..\"}}", ERR_FORMAT, "is no name of a file in this folder" },
    { "{\"weight_map\":{\"a\":\"\"}}", ERR_FORMAT, "is no name of a file in this folder" },
    { "{\"weight_map\":{\"a\":\"x\",\"a\":\"x\"}}", ERR_FORMAT, "duplicate" },
    { "{\"weight_map\":{\"a\":7}}", ERR_FORMAT, "i: weight_map.a: a string was expected" },
    { "{\"weight_map\":{}}", ERR_FORMAT, "no tensors" },
    { "{\"weight_map\":[]}", ERR_FORMAT, "an object {...} was expected" },
    { "{}", ERR_FORMAT, "\"weight_map\" is missing" },
    { "[]", ERR_FORMAT, "an object {...} was expected" },
    { "", ERR_FORMAT, "i: line 1" },
};

static void test_indexes(void **state) {
    (void)state;
    weights_index x;
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        int rc = weights_index_read("i", (const uint8_t *)indexes[i].json, strlen(indexes[i].json), &x);
        if (rc != indexes[i].code || !strstr(error_message(), indexes[i].said))
            fail_msg("%s: %d \"%s\", and not %d \"%s\"", indexes[i].json, rc, rc ? error_message() : "", indexes[i].code, indexes[i].said);
    }
    static const char good[] = "{\"weight_map\":{\"a\":\"x\",\"b\":\"y\",\"c\":\"x\"}}";
    assert_int_equal(weights_index_read("i", (const uint8_t *)good, sizeof good - 1, &x), 0);
    assert_true(x.files == 2 && x.tensors == 3);
    assert_string_equal(x.tensor[2].name, "c");
    assert_string_equal(x.file[x.tensor[2].file], "x");
    weights_index_free(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pipeline, begin, end), cmocka_unit_test_setup_teardown(test_alone, begin, end),
        cmocka_unit_test_setup_teardown(test_which, begin, end),    cmocka_unit_test_setup_teardown(test_shards, begin, end),
        cmocka_unit_test_setup_teardown(test_variant_shards, begin, end), cmocka_unit_test_setup_teardown(test_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_incomplete, begin, end), cmocka_unit_test(test_indexes),
    };
    if (!mkdtemp(root)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(root);
    return failed;
}
