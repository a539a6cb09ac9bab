/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole pictures of small models beside those of diffusers (tests/golden/generate.bin, made by tests/reference/generate_golden.py): within 1/255 on 99.9%
 * of the values. And what must not change a picture: the way guidance's halves are run (nearly), control of strength 0. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "generate/engine_inside.h"
#include "mien.h"

enum { EVERY = 5 };

static char folder[64];

static void command(const char *format, ...) {
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (system(line) != 0) fail_msg("%s", line);
}

static const char *in_folder(const char *name) {
    static char ring[4][256];
    static int next;
    char *out = ring[next++ & 3];
    snprintf(out, sizeof *ring, "%s/%s", folder, name);
    return out;
}

static int make_models(void **state) {
    (void)state;
    const char *build = getenv("BUILD"), *clip = getenv("CLIP_DIR");
    setenv("MIEN_MODELS", clip ? clip : "third_party/clip", 1);   /* the vocabulary: no photo is looked at */
    strcpy(folder, "/tmp/mien-test-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    for (int k = 1; k <= 2; k++) {
        command("%s/tests/make_model sd%d %s/sd%d.safetensors", build ? build : "build", k, folder, k);
        command("%s/tests/make_model control%d %s/control%d.safetensors", build ? build : "build", k, folder, k);
    }
    return 0;
}

static int remove_models(void **state) {
    (void)state;
    command("rm -r %s", folder);
    return 0;
}

/* As in generate_golden.py. */
static void save_map(int width, int height) {
    mien_image m;
    assert_int_equal(mien_image_new(width, height, &m), 0);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = m.rgb + 3 * (y * width + x);
            if ((x / 8 + y / 8) % 3 == 0) continue;
            p[0] = (uint8_t)(x / 8 * 37 + y / 8 * 11);
            p[1] = (uint8_t)(x / 4 * 5 + y / 16 * 71);
            p[2] = (uint8_t)(x / 16 * 101 + y / 4 * 3);
        }
    assert_int_equal(mien_image_save_png(in_folder("map.png"), &m), 0);
    mien_image_free(&m);
}

static mien_generate_options options_of(int family) {
    static char base[256], control[256], map[256], out[256];
    snprintf(base, sizeof base, "%s/sd%d.safetensors", folder, family);
    snprintf(control, sizeof control, "%s/control%d.safetensors", folder, family);
    snprintf(map, sizeof map, "%s/map.png", folder);
    snprintf(out, sizeof out, "%s/out.png", folder);
    mien_generate_options o = { .base = base, .control = control, .map = map, .output = out, .picture = mien_picture_defaults(), .dtype = MIEN_DTYPE_F32,
                                .jobs = 1, .force = 1, .no_metadata = 1 };
    o.picture.prompt = "a portrait, smiling";
    o.picture.negative = "lowres, bad anatomy";
    return o;
}

static mien_image picture_of(const mien_generate_options *o) {
    mien_image got;
    if (mien_generate(o, NULL) < 0) fail_msg("%s", mien_error());
    assert_int_equal(mien_image_load(o->output, 0, 0, &got), 0);
    return got;
}

/* ---- goldens --------------------------------------------------------------------------------------------------------- */

typedef struct {
    char name[16], sampler[32], prediction[16];
    int family, steps, width, height, seed, count;
    double cfg, strength, start, end;
} golden;

/* How many of the values are off by more than 1; and how many differ at all: a small random model makes little of what goes in, so that much that would be wrong
 * hides in a 255th. */
static int far_off(const mien_image *got, const uint8_t *want, int count, int *unequal, int *worst) {
    int off = 0;
    *worst = *unequal = 0;
    for (int i = 0; i < count; i++) {
        int d = abs(got->rgb[i * EVERY] - want[i]);
        off += d > 1;
        *unequal += d > 0;
        if (d > *worst) *worst = d;
    }
    return off;
}

static void compare(const golden *k, const uint8_t *want) {
    mien_generate_options o = options_of(k->family);
    mien_picture_settings *s = &o.picture;
    int sampler = 0, worst, unequal;
    while (mien_sampler_names()[sampler] && strcmp(mien_sampler_names()[sampler], k->sampler) != 0) sampler++;
    assert_true(sampler < MIEN_SAMPLERS);
    s->sampler = (mien_sampler)sampler;
    s->steps = k->steps, s->cfg = k->cfg, s->strength = k->strength, s->start = k->start, s->end = k->end, s->seed = k->seed;
    s->width = k->width, s->height = k->height;
    s->guess = strcmp(k->name, "guess") == 0;
    s->only_mid_control = strcmp(k->name, "mid") == 0;
    o.prediction = strcmp(k->prediction, "v") == 0 ? MIEN_PREDICTION_V : MIEN_PREDICTION_EPSILON;
    save_map(k->width, k->height);
    mien_image got = picture_of(&o);
    assert_true(got.width == k->width && got.height == k->height && (got.width * got.height * 3 + EVERY - 1) / EVERY == k->count);
    int off = far_off(&got, want, k->count, &unequal, &worst);
    print_message("%-9s of %d values %d differ, %d by more than 1, worst %d\n", k->name, k->count, unequal, off, worst);
    if (off * 1000 > k->count || unequal * 100 > k->count) fail_msg("%s: of %d values %d differ, %d by more than 1, worst %d", k->name, k->count, unequal, off, worst);
    mien_image_free(&got);
}

static void test_goldens(void **state) {
    (void)state;
    uint8_t *data;
    size_t size, at = 0;
    int cases = 0;
    if (file_load("tests/golden/generate.bin", 1 << 20, &data, &size) < 0) fail_msg("%s", error_message());
    while (at < size) {
        golden k;
        const uint8_t *end = memchr(data + at, '\n', size - at);
        char line[256];
        assert_true(end && (size_t)(end - data - at) < sizeof line);
        memcpy(line, data + at, (size_t)(end - data) - at);
        line[(size_t)(end - data) - at] = 0;
        assert_int_equal(sscanf(line, "%15s %d %31s %15s %d %d %d %lf %lf %lf %lf %d %d", k.name, &k.family, k.sampler, k.prediction, &k.steps, &k.width, &k.height, &k.cfg,
                                &k.strength, &k.start, &k.end, &k.seed, &k.count), 13);
        at = (size_t)(end - data) + 1;
        assert_true(k.count > 0 && (size_t)k.count <= size - at);
        compare(&k, data + at);
        at += (size_t)k.count;
        cases++;
    }
    assert_true(cases >= 15);
    free(data);
}

/* ---- what must not matter, and what must ----------------------------------------------------------------------------- */

static mien_generate_options short_run(void) {
    mien_generate_options o = options_of(1);
    o.picture.steps = 2, o.picture.seed = 5, o.picture.width = o.picture.height = 64;
    save_map(64, 64);
    return o;
}

static int differing(const mien_image *a, const mien_image *b, int *worst) {
    int n = 0;
    *worst = 0;
    for (int i = 0; i < a->width * a->height * 3; i++) {
        int d = abs(a->rgb[i] - b->rgb[i]);
        n += d > 0;
        if (d > *worst) *worst = d;
    }
    return n;
}

static void expect_differ(const mien_generate_options *a, const mien_generate_options *b, bool differ) {
    int worst;
    mien_image x = picture_of(a), y = picture_of(b);
    int n = differing(&x, &y, &worst);
    if ((n > 0) != differ) fail_msg("%d of %d values differ, by up to %d", n, x.width * x.height * 3, worst);
    mien_image_free(&x);
    mien_image_free(&y);
}

static void test_strength_zero_is_no_control(void **state) {
    (void)state;
    mien_generate_options a = short_run(), b = a;
    a.picture.strength = 0;
    b.picture.end = 0;               /* before any step ends */
    expect_differ(&a, &b, false);
    b = a;
    b.picture.strength = 1;
    expect_differ(&a, &b, true);
}

static void test_guess_mode(void **state) {
    (void)state;
    mien_generate_options a = short_run(), b = a;
    b.picture.guess = 1;
    expect_differ(&a, &b, true);
    /* Without guidance there is no half to be spared: only the weights differ; with the middle alone, which keeps its full weight, nothing. */
    a.picture.cfg = b.picture.cfg = 1;
    expect_differ(&a, &b, true);
    a.picture.only_mid_control = b.picture.only_mid_control = 1;
    expect_differ(&a, &b, false);
}

static void test_unguided_ignores_negative(void **state) {
    (void)state;
    mien_generate_options a = short_run(), b = a;
    a.picture.cfg = b.picture.cfg = 1;
    b.picture.negative = "something else";
    expect_differ(&a, &b, false);
    a.picture.cfg = b.picture.cfg = 2;
    expect_differ(&a, &b, true);
}

enum { SIDE = 64, VALUES = SIDE / 8 * (SIDE / 8) * 4 };

/* The latent of one picture, by the engine alone. */
static void latent_of(const mien_generate_options *o, bool halves, float *latent) {
    mien_image m;
    assert_int_equal(mien_image_load(o->map, 0, 0, &m), 0);
    image map = { m.width, m.height, m.rgb };
    engine_options how = { .base = o->base, .control = o->control, .cpu = CPU_BEST, .threads = 1, .dtype = MIEN_DTYPE_F32, .prediction = MIEN_PREDICTION_EPSILON };
    engine_shape shape = { .width = SIDE, .height = SIDE, .guidance = true, .guess = o->picture.guess, .with = true, .without = true };
    const char *texts[] = { o->picture.negative, o->picture.prompt };
    sample_request r = { .how = &o->picture, .seed = o->picture.seed };
    engine *e;
    if (engine_open(&how, &e) < 0 || engine_texts(e, texts, 2) < 0) fail_msg("%s", error_message());
    shape.halves = halves;
    if (engine_begin(e, &shape, o->picture.prompt, o->picture.negative, &map) < 0 || engine_sample(e, &r, latent) < 0) fail_msg("%s", error_message());
    if (halves) {   /* a job of the other kind has plans of its own */
        assert_int_equal(e->with.n, 1);
        shape.halves = false;
        assert_int_equal(engine_begin(e, &shape, o->picture.prompt, o->picture.negative, &map), 0);
        assert_int_equal(e->with.n, 2);
    }
    engine_close(e);
    mien_image_free(&m);
}

static void expect_close(const char *what, const float *got, const float *want, double bound) {
    double worst = 0, most = 0;
    for (int i = 0; i < VALUES; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!(d <= worst)) worst = d;
        if (fabs((double)want[i]) > most) most = fabs((double)want[i]);
    }
    print_message("%s: worst difference %g of %g\n", what, worst, most);
    if (!(most > 0.5 && worst <= bound * most)) fail_msg("%s: worst difference %g of %g", what, worst, most);
}

/* A picture's 256 levels hide what a small model makes little of, such as a map that is darker by a 256th. */
static void test_latent(void **state) {
    (void)state;
    static float got[VALUES];
    uint8_t *want;
    size_t size;
    mien_generate_options o = options_of(1);
    save_map(SIDE, SIDE);
    o.picture.prompt = "a portrait, smiling, best quality, extremely detailed";
    o.picture.steps = 4, o.picture.seed = 1, o.picture.strength = 2;
    latent_of(&o, false, got);
    if (file_load("tests/golden/generate_latent.f32", 1 << 20, &want, &size) < 0) fail_msg("%s", error_message());
    assert_int_equal(size, sizeof got);
    expect_close("latent", got, (const float *)want, 1.5e-5);
    free(want);
}

/* One after the other or together, guidance's halves are the same numbers but for rounding; without the memory for both the picture must not change. */
static void test_halves(void **state) {
    (void)state;
    static float latent[2][VALUES];
    mien_generate_options o = options_of(2);
    save_map(SIDE, SIDE);
    o.picture.steps = 4, o.picture.start = 0.5, o.picture.guess = 1, o.picture.seed = 3;
    latent_of(&o, false, latent[0]);
    latent_of(&o, true, latent[1]);
    expect_close("halves", latent[0], latent[1], 2e-4);
}

/* From here on this process gets so many bytes more. */
static void limit_data(size_t more, struct rlimit *before) {
    unsigned long kilobytes = 0;
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (!kilobytes && fgets(line, sizeof line, f)) sscanf(line, "VmData: %lu", &kilobytes);
    fclose(f);
    assert_int_equal(getrlimit(RLIMIT_DATA, before), 0);
    struct rlimit less = *before;
    less.rlim_cur = kilobytes * 1024 + more;
    assert_int_equal(setrlimit(RLIMIT_DATA, &less), 0);
}

/* A job is judged by what was free before any was begun: what is held since is there for it as well. */
static void test_limit_is_of_the_opening(void **state) {
    (void)state;
    mien_generate_options o = options_of(1);
    engine_options how = { .base = o.base, .control = o.control, .cpu = CPU_BEST, .threads = 1, .dtype = MIEN_DTYPE_F32, .prediction = MIEN_PREDICTION_EPSILON };
    engine_shape shape = { .width = SIDE, .height = SIDE, .guidance = true, .with = true, .many = true };
    struct rlimit before;
    engine *e;
    if (engine_open(&how, &e) < 0) fail_msg("%s", error_message());
    limit_data(100 * 1000 * 1000, &before);
    int rc = engine_fit(e, &shape);
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    if (rc < 0) fail_msg("%s", error_message());
    engine_close(e);
}

/* The map is black. */
static int begin_job(engine *e, const mien_generate_options *o, int side) {
    engine_shape shape = { .width = side, .height = side, .guidance = true, .with = true, .many = true };
    image map;
    assert_int_equal(image_new(side, side, &map), 0);
    int rc = engine_begin(e, &shape, o->picture.prompt, o->picture.negative, &map);
    image_free(&map);
    return rc;
}

static image picture_by(engine *e, const mien_generate_options *o) {
    static float latent[VALUES];
    sample_request r = { .how = &o->picture, .seed = 1 };
    image out = { 0 };
    if (begin_job(e, o, SIDE) < 0 || engine_sample(e, &r, latent) < 0 || engine_decode(e, latent, &out) < 0) fail_msg("%s", error_message());
    return out;
}

/* No plan outlives a workspace: one that could not be had for a large job leaves none for the small one that comes next to run in. */
static void test_workspace_that_cannot_be_had(void **state) {
    (void)state;
    mien_generate_options o = options_of(1);
    engine_options how = { .base = o.base, .control = o.control, .cpu = CPU_BEST, .threads = 1, .dtype = MIEN_DTYPE_F32, .prediction = MIEN_PREDICTION_EPSILON };
    const char *texts[] = { o.picture.negative, o.picture.prompt };
    struct rlimit before;
    engine *e;
    o.picture.steps = 1;
    if (engine_open(&how, &e) < 0 || engine_texts(e, texts, 2) < 0) fail_msg("%s", error_message());
    image first = picture_by(e, &o);
    limit_data(100 * 1000 * 1000, &before);
    int rc = begin_job(e, &o, 2048);
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    assert_int_equal(rc, ERR_MEMORY);
    assert_null(e->ws);
    assert_true(!e->with.net.p && !e->without.net.p && !e->decode.net.p);
    image again = picture_by(e, &o);
    assert_memory_equal(first.rgb, again.rgb, (size_t)SIDE * SIDE * 3);
    image_free(&first);
    image_free(&again);
    engine_close(e);
}

/* Of many lines of one shape the first alone is counted for. Counting can be stopped, and remembering is not: so they are told apart. */
static void test_verdict_is_remembered(void **state) {
    (void)state;
    mien_generate_options o = options_of(1);
    int stop = 0;
    engine_options how = { .base = o.base, .control = o.control, .cpu = CPU_BEST, .threads = 1, .dtype = MIEN_DTYPE_F32, .prediction = MIEN_PREDICTION_EPSILON,
                           .memory = 50000000, .stop = &stop };
    const engine_shape one = { .width = 64, .height = 64, .guidance = true, .with = true, .guess = true }, other = { .width = 64, .height = 64, .with = true };
    engine_shape shape = one;
    char why[512];
    engine *e;
    if (engine_open(&how, &e) < 0) fail_msg("%s", error_message());
    assert_int_equal(engine_fit(e, &shape), ERR_LIMIT);
    snprintf(why, sizeof why, "%s", error_message());
    stop = 1;
    error_set(ERR_USAGE, "nothing");
    shape = one;
    assert_int_equal(engine_fit(e, &shape), ERR_LIMIT);
    assert_string_equal(error_message(), why);
    shape = other;
    assert_int_equal(engine_fit(e, &shape), ERR_CANCELLED);
    stop = 0;
    shape = other;
    assert_int_equal(engine_fit(e, &shape), ERR_LIMIT);
    engine_close(e);
}

static void test_zeroed_settings_are_refused(void **state) {
    (void)state;
    mien_generate_options o = options_of(1);
    o.picture = (mien_picture_settings){ .prompt = "x" };
    assert_int_equal(mien_generate(&o, NULL), MIEN_ERR_USAGE);
    assert_non_null(strstr(mien_error(), "mien_generate_defaults"));
}

static int warned;

/* Takes the preview's place while the picture is made. */
static void block_preview(void *context, const mien_progress *p) {
    (void)p;
    mkdir(context, 0755);
}

static void count_warnings(void *context, mien_log_kind kind, const char *path, const char *message) {
    (void)path;
    warned += kind == MIEN_LOG_WARNING && strncmp(message, context, strlen(context)) == 0;
}

static void test_preview_that_cannot_be_written(void **state) {
    (void)state;
    mien_generate_options o = options_of(1);
    char preview[256];
    snprintf(preview, sizeof preview, "%s/out.preview.png", folder);
    o.picture.width = o.picture.height = 64;
    o.picture.steps = 3;
    o.preview = 1;
    o.hooks = (mien_hooks){ .progress = block_preview, .log = count_warnings, .context = preview };
    save_map(64, 64);
    remove(o.output);
    if (mien_generate(&o, NULL) < 0) fail_msg("%s", mien_error());
    assert_int_equal(access(o.output, R_OK), 0);
    assert_int_equal(warned, 1);
    assert_int_equal(rmdir(preview), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens), cmocka_unit_test(test_latent), cmocka_unit_test(test_strength_zero_is_no_control), cmocka_unit_test(test_guess_mode),
        cmocka_unit_test(test_unguided_ignores_negative), cmocka_unit_test(test_halves), cmocka_unit_test(test_limit_is_of_the_opening),
        cmocka_unit_test(test_verdict_is_remembered), cmocka_unit_test(test_workspace_that_cannot_be_had),
        cmocka_unit_test(test_preview_that_cannot_be_written), cmocka_unit_test(test_zeroed_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
