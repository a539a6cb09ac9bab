/* SPDX-License-Identifier: Apache-2.0
 *
 * convert, transfer and init: nothing is lost on the way there and back, folders are what diffusers makes (goldens), a transfer is
 * what numpy computes (golden), a new ControlNet is drawn as PyTorch draws. The models are make_model's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "mien.h"
#include "model/tokenizer.h"
#include "nn/tensor.h"
#include "weights/convert_tokenizer.h"
#include "weights/merges.h"
#include "weights/tensor_list.h"
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

static const char *path(const char *name) {
    static char ring[64][256];
    static int next;
    char *p = ring[next++ & 63];
    snprintf(p, sizeof *ring, "%s/%s", folder, name);
    return p;
}

__attribute__((format(printf, 3, 4))) static const char *model(const char *name, const char *kind, const char *format, ...) {
    char options[256], command[1024];
    const char *build = getenv("BUILD"), *at = path(name);
    va_list args;
    va_start(args, format);
    vsnprintf(options, sizeof options, format, args);
    va_end(args);
    snprintf(command, sizeof command, "'%s/tests/make_model' %s '%s' %s", build ? build : "build", kind, at, options);
    if (system(command) != 0) fail_msg("%s", command);
    return at;
}

static weights *opened(const char *at) {
    weights *w;
    if (weights_open(at, &w) < 0) fail_msg("%s", mien_error());
    return w;
}

static void convert(const char *from, const char *to, mien_layout layout, const char *prediction) {
    mien_convert_options o = { .input = from, .output = to, .to = layout, .prediction = !prediction ? MIEN_PREDICTION_AUTO : *prediction == 'v' ? MIEN_PREDICTION_V : MIEN_PREDICTION_EPSILON };
    if (mien_convert(&o, NULL) < 0) fail_msg("%s", mien_error());
}

/* Each tensor of a but those of the moving average is in b, the same; and how many there are. */
static size_t expect_same(const char *a_path, const char *b_path) {
    weights *a = opened(a_path), *b = opened(b_path);
    size_t n = 0;
    for (size_t i = 0; i < weights_count(a); i++) {
        const stored_tensor *t = weights_tensor(a, i);
        if (strncmp(t->name, "model_ema.", 10) == 0) continue;
        const stored_tensor *u = weights_find(b, t->name);
        if (!u) fail_msg("%s is gone", t->name);
        if (u->type != t->type || u->rank != t->rank || memcmp(u->dim, t->dim, (size_t)t->rank * sizeof *t->dim) != 0) fail_msg("%s has another type or shape", t->name);
        if (t->bytes != u->bytes || (t->bytes && memcmp(t->data, u->data, t->bytes) != 0)) fail_msg("%s has other bytes", t->name);
        n++;
    }
    assert_int_equal(n, weights_count(b));
    weights_close(a);
    weights_close(b);
    return n;
}

/* Names, shapes and types of a folder, as diffusers' own classes have them (the golden's first two columns). */
static void expect_listed(const char *golden, const char *at) {
    char command[128], line[512], name[256], shape[128];
    weights *w = opened(at);
    size_t n = 0;
    snprintf(command, sizeof command, "gzip -dc tests/golden/names/%s.txt.gz", golden);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%255s %127s", name, shape) != 2) fail_msg("%s", line);
        const stored_tensor *t = weights_find(w, name);
        if (!t) fail_msg("%s is not there", name);
        char own[128] = "";
        for (int i = 0; i < t->rank; i++) snprintf(own + strlen(own), sizeof own - strlen(own), "%s%zu", i ? "x" : "", t->dim[i]);
        if (strcmp(own, shape) != 0 || t->type != STORED_F16) fail_msg("%s is %s %s, not %s F16", name, own, stored_type_name(t->type), shape);
        n++;
    }
    assert_int_equal(pclose(f), 0);
    assert_true(n > 200);
    assert_int_equal(n, weights_count(w));
    weights_close(w);
}

/* The config files; whether there is a tokenizer depends on where CLIP's vocabulary is. */
static void expect_configs(const char *golden, const char *at) {
    char command[1024];
    snprintf(command, sizeof command, "without() { sed '/\"tokenizer\": \\[/,/\\]/d' \"$@\"; }; (cd '%s' && cat unet/config.json controlnet/config.json vae/config.json text_encoder/config.json "
             "scheduler/scheduler_config.json model_index.json) | without >'%s.configs'; without tests/golden/names/%s.configs | diff '%s.configs' - >&2", at, at, golden, at);
    if (system(command) != 0) fail_msg("the config files are not those of %s", golden);
}

static void there_and_back(const char *kind, const char *prediction, const char *golden) {
    const char *base = model("base.safetensors", kind, "--parts unet,vae,text,control --type f16");
    convert(base, path("there"), MIEN_LAYOUT_DIFFUSERS, prediction);
    expect_listed(golden, path("there"));
    expect_configs(golden, path("there"));
    convert(path("there"), path("back.safetensors"), MIEN_LAYOUT_LDM, NULL);
    assert_true(expect_same(base, path("back.safetensors")) > 700);
    if (prediction) {   /* one suffices: the way back is one too */
        convert(path("back.safetensors"), path("again"), MIEN_LAYOUT_DIFFUSERS, NULL);
        expect_same(path("there"), path("again"));
    }
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'/*", folder);
    assert_int_equal(system(command), 0);
}

static void test_sd1(void **state) { (void)state, there_and_back("sd1", NULL, "small1"); }
static void test_sd2(void **state) { (void)state, there_and_back("sd2", "v", "small2"); }

static void test_control(void **state) {
    (void)state;
    const char *control = model("c.safetensors", "control1", "--type mixed --metadata mien.only_mid_control=true");
    convert(control, path("c"), MIEN_LAYOUT_DIFFUSERS, NULL);
    convert(path("c"), path("c2.safetensors"), MIEN_LAYOUT_CONTROL, NULL);
    assert_int_equal(expect_same(control, path("c2.safetensors")), 338);
    convert(path("c2.safetensors"), path("c3.safetensors"), MIEN_LAYOUT_LDM, NULL);
    convert(path("c3.safetensors"), path("c4.safetensors"), MIEN_LAYOUT_CONTROL, NULL);
    expect_same(control, path("c4.safetensors"));
    weights *w = opened(path("c3.safetensors"));
    assert_non_null(weights_find(w, "control_model.zero_convs.0.0.weight"));
    assert_string_equal(weights_metadata(w, "mien.only_mid_control"), "true");
    for (size_t i = 0; i < weights_count(w); i++) {
        const stored_tensor *t = weights_tensor(w, i);
        assert_int_equal((uintptr_t)t->data % stored_type_bytes(t->type), 0);
        if (i == 0) assert_int_equal((uintptr_t)t->data % 64, 0);   /* files are mapped at pages */
    }
    weights_close(w);
}

/* tests/golden/transfer.txt: the number of tensors, and the SHA-256 of all their bytes in the order of their names. */
static void test_transfer(void **state) {
    (void)state;
    char golden[128] = "", got[128], hex[65];
    FILE *f = fopen("tests/golden/transfer.txt", "r");
    assert_true(f && fgets(golden, sizeof golden, f));
    fclose(f);
    const char *p = model("p.safetensors", "sd1", "--parts unet,vae,control --type f32 --seed 1"), *old = model("old.safetensors", "sd1", "--parts unet,vae --type f32 --seed 2"),
               *new = model("new.safetensors", "sd1", "--parts unet,vae --type f32 --seed 3");
    mien_transfer_options o = { .controlled = p, .from = old, .onto = new, .output = path("t.safetensors") };
    mien_convert_result r;
    if (mien_transfer(&o, &r) < 0) fail_msg("%s", mien_error());
    assert_int_equal(r.tensors, 1205);
    weights *w = opened(path("t.safetensors"));
    const stored_tensor **sorted = calloc(weights_count(w), sizeof *sorted);
    assert_non_null(sorted);
    for (size_t i = 0; i < weights_count(w); i++) {   /* few enough */
        size_t at = i;
        const stored_tensor *t = weights_tensor(w, i);
        while (at && strcmp(sorted[at - 1]->name, t->name) > 0) sorted[at] = sorted[at - 1], at--;
        sorted[at] = t;
    }
    sha256_state s;
    uint8_t digest[32];
    sha256_begin(&s);
    for (size_t i = 0; i < weights_count(w); i++) sha256_add(&s, sorted[i]->data, sorted[i]->bytes);
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    snprintf(got, sizeof got, "%zu %s\n", weights_count(w), hex);
    assert_string_equal(got, golden);
    free(sorted);
    weights_close(w);
    unlink(path("t.safetensors"));
    o.from = path("nowhere");
    assert_int_equal(mien_transfer(&o, NULL), MIEN_ERR_USAGE);
    o.from = model("odd.safetensors", "sd1", "--parts unet --type f32 --context 512");
    assert_int_equal(mien_transfer(&o, NULL), MIEN_ERR_USAGE);
    assert_non_null(strstr(mien_error(), "has another shape"));
}

/* ---- init -------------------------------------------------------------------------------------------------------------------- */

static void expect_drawn(const weights *w, int layer, size_t fan_in) {
    char name[64];
    double bound = 1 / sqrt((double)fan_in);
    for (int k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "input_hint_block.%d.%s", layer, k ? "bias" : "weight");
        const stored_tensor *t = weights_find(w, name);
        assert_true(t && t->type == STORED_F32);
        size_t n = t->bytes / 4;
        double sum = 0, squares = 0, most = 0;
        for (size_t i = 0; i < n; i++) {
            float x;
            memcpy(&x, (const char *)t->data + 4 * i, 4);
            sum += (double)x;
            squares += (double)x * (double)x;
            most = fmax(most, fabs((double)x));
        }
        /* Uniform: a standard deviation of bound / sqrt(3); of n draws the mean is off by 5 times its own at most, practically always. */
        assert_true(most <= bound * (1 + 1e-6) && most > bound * (n > 100 ? 0.95 : 0.6));
        assert_true(fabs(sum / (double)n) < 5 * bound / sqrt(3.0 * (double)n));
        assert_true(fabs(sqrt(squares / (double)n) * sqrt(3) / bound - 1) < 5 / sqrt((double)n));
    }
}

static void init(const char *base, const char *output, uint64_t seed, mien_layout layout, mien_init_result *r) {
    mien_init_options o = { .base = base, .output = output, .seed = seed, .layout = layout };
    if (mien_init(&o, r) < 0) fail_msg("%s", mien_error());
}

static void test_init(void **state) {
    (void)state;
    static const size_t fan_in[] = { 27, 144, 144, 288, 288, 864, 864 };
    const char *base = model("sd2.safetensors", "sd2", "--parts unet --type f32 --metadata license=openrail");
    mien_init_result r;
    init(base, path("init1.safetensors"), 5, MIEN_LAYOUT_CONTROL, &r);
    assert_true(r.copied == 140 && r.zero == 16 && r.drawn == 14);
    init(base, path("init2.safetensors"), 5, MIEN_LAYOUT_LDM, &r);
    init(base, path("init3.safetensors"), 6, MIEN_LAYOUT_CONTROL, &r);
    convert(path("init2.safetensors"), path("init4.safetensors"), MIEN_LAYOUT_CONTROL, NULL);
    assert_int_equal(expect_same(path("init1.safetensors"), path("init4.safetensors")), 170);
    weights *w = opened(path("init1.safetensors")), *b = opened(base), *c = opened(path("init3.safetensors"));
    assert_string_equal(weights_metadata(w, "license"), "openrail");
    size_t copied = 0, zero = 0;
    for (size_t i = 0; i < weights_count(w); i++) {
        const stored_tensor *t = weights_tensor(w, i);
        char name[256];
        snprintf(name, sizeof name, "model.diffusion_model.%s", t->name);
        const stored_tensor *u = weights_find(b, name);
        if (u) copied += u->bytes == t->bytes && memcmp(u->data, t->data, t->bytes) == 0;
        else {
            size_t k = 0;
            while (k < t->bytes && ((const char *)t->data)[k] == 0) k++;
            zero += k == t->bytes;
        }
    }
    assert_true(copied == 140 && zero == 16);
    for (int i = 0; i < 7; i++) expect_drawn(w, 2 * i, fan_in[i]);
    assert_memory_not_equal(weights_find(w, "input_hint_block.0.weight")->data, weights_find(c, "input_hint_block.0.weight")->data, 64);
    weights_close(w);
    weights_close(b);
    weights_close(c);
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------------- */

static void test_numbers(void **state) {
    (void)state;
    size_t beyond = 0;
    /* every f16 goes to f32 and back; what lies between two goes to the nearer, and in the middle to the even one */
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint16_t in = (uint16_t)h, out;
        float x, mid;
        stored_convert(&x, STORED_F32, &in, STORED_F16, 1, &beyond);
        stored_convert(&out, STORED_F16, &x, STORED_F32, 1, &beyond);
        if (isnan(x)) assert_true((out & 0x7fff) > 0x7c00);
        else assert_int_equal(out, in);
        if ((h & 0x7fff) >= 0x7bff) continue;
        uint16_t above = (uint16_t)(h + 1);
        float y;
        stored_convert(&y, STORED_F32, &above, STORED_F16, 1, &beyond);
        mid = (x + y) / 2;
        stored_convert(&out, STORED_F16, &mid, STORED_F32, 1, &beyond);
        assert_int_equal(out, h & 1 ? above : in);
        double close = nextafter((double)mid, (double)y);   /* twice rounded, this would be the middle */
        stored_convert(&out, STORED_F16, &close, STORED_F64, 1, &beyond);
        assert_int_equal(out, above);
        close = nextafter((double)mid, (double)x);
        stored_convert(&out, STORED_F16, &close, STORED_F64, 1, &beyond);
        assert_int_equal(out, in);
    }
    assert_int_equal(beyond, 0);
    const float large[] = { 65519.996f, 65520, -1e9f, INFINITY, -INFINITY, NAN };
    uint16_t got[6];
    stored_convert(got, STORED_F16, large, STORED_F32, 6, &beyond);
    assert_true(got[0] == 0x7bff && got[1] == 0x7c00 && got[2] == 0xfc00 && got[3] == 0x7c00 && got[4] == 0xfc00 && (got[5] & 0x7fff) > 0x7c00);
    assert_int_equal(beyond, 2);
    const float bf[] = { 1.00390625f, 1.01171875f, 3.4e38f };
    stored_convert(got, STORED_BF16, bf, STORED_F32, 3, &beyond);
    assert_true(got[0] == 0x3f80 && got[1] == 0x3f82 && got[2] == 0x7f80);
    assert_int_equal(beyond, 3);
}

/* The tokenizer that a folder gets splits a text as CLIP's own vocabulary does. */
static void test_tokenizer(void **state) {
    (void)state;
    static const char vocabulary[] = "third_party/clip", prompt[] = "a photo of an astronaut's \xc3\x89t\xc3\xa9, \xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x99\x82 1999!!";
    char file[256];
    uint8_t *data;
    size_t size;
    text made[2] = { { 0 } };
    snprintf(file, sizeof file, "%s/bpe_simple_vocab_16e6.txt", vocabulary);
    if (access(file, R_OK) != 0) {
        print_message("skipped: no %s (make setup)\n", file);
        skip();
    }
    assert_int_equal(file_load(file, 64 << 20, &data, &size), 0);
    assert_int_equal(vocabulary_files((const char *)data, size, CLIP_MERGES, &made[0], &made[1]), 0);
    tokenizer *a, *b;
    tokens x, y;
    assert_int_equal(tokenizer_open(vocabulary, &a), 0);
    assert_int_equal(tokenizer_read(made[0].data, made[0].size, made[1].data, made[1].size, &b), 0);
    assert_int_equal(tokenizer_encode(a, prompt, 0, &x), 0);
    assert_int_equal(tokenizer_encode(b, prompt, 0, &y), 0);
    assert_true(x.count == y.count && x.count > 15);
    assert_memory_equal(x.ids, y.ids, x.count * sizeof *x.ids);
    assert_int_equal(tokenizer_end(b), TOKEN_END);
    tokens_free(&x);
    tokens_free(&y);
    tokenizer_close(a);
    tokenizer_close(b);
    text cut[2] = { { 0 } };
    size_t few = size / 100;
    while (data[few - 1] != '\n') few--;
    assert_true(vocabulary_files((const char *)data, few, CLIP_MERGES, &cut[0], &cut[1]) < 0);
    assert_non_null(strstr(mien_error(), "ends after"));
    text_free(&cut[0]);
    text_free(&cut[1]);
    /* No model need carry CLIP's own; another of as many tokens must be carried. */
    char path[128];
    text carried = { 0 }, other[2] = { { 0 } };
    char *first = strchr(made[1].data, '\n') + 1;
    for (int swapped = 0; swapped < 2; swapped++) {
        const text *t = swapped ? other : made;
        snprintf(path, sizeof path, "%s/vocab.json", folder);
        assert_int_equal(file_save(path, t[0].data, t[0].size), 0);
        snprintf(path, sizeof path, "%s/merges.txt", folder);
        assert_int_equal(file_save(path, t[1].data, t[1].size), 0);
        assert_int_equal(merges_of_folder(folder, &carried), swapped ? MERGES_FOLLOW : MERGES_ARE_CLIPS);
        if (swapped) break;
        assert_null(carried.data);
        assert_memory_equal(first, "i n\nt h\n", 8);
        memcpy(first, "t h\ni n\n", 8);
        assert_int_equal(vocabulary_files(made[1].data, made[1].size, CLIP_MERGES, &other[0], &other[1]), 0);
    }
    assert_string_equal(carried.data, other[1].data);
    text_free(&carried);
    text_free(&other[0]);
    text_free(&other[1]);
    text_free(&made[0]);
    text_free(&made[1]);
    free(data);
}

/* Of mien.h: numbers that are none of the enums', and what zeroes mean. */
static void test_options(void **state) {
    (void)state;
    mien_convert_options c = { .input = "a", .output = "b", .prediction = (mien_prediction)3 };
    assert_int_equal(mien_convert(&c, NULL), MIEN_ERR_USAGE);
    assert_non_null(strstr(mien_error(), "prediction 3"));
    c = (mien_convert_options){ .input = "a", .output = "b", .dtype = (mien_dtype)4 };
    assert_int_equal(mien_convert(&c, NULL), MIEN_ERR_USAGE);
    assert_non_null(strstr(mien_error(), "dtype 4"));
    mien_generate_options g = mien_generate_defaults();
    g.base = "a", g.dtype = MIEN_DTYPE_F16;
    assert_int_equal(mien_generate(&g, NULL), MIEN_ERR_USAGE);
    assert_non_null(strstr(mien_error(), "bf16 or f32"));
    assert_int_equal(mien_init_defaults().layout, MIEN_LAYOUT_CONTROL);
    assert_true(mien_draw_defaults().min_face < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer), cmocka_unit_test(test_options),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_sd1), cmocka_unit_test(test_sd2), cmocka_unit_test(test_control), cmocka_unit_test(test_transfer), cmocka_unit_test(test_init),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
