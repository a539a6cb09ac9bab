/* SPDX-License-Identifier: Apache-2.0
 *
 * What a picture is made by: sizes, settings as text and back, lines of a batch, which steps have control. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "generate/engine.h"
#include "generate/job_line.h"
#include "generate/parameters.h"
#include "generate/size.h"
#include "generate/window.h"

static void expect_size(picture_size asked, int usual, int w, int h, bool hold, int want_w, int want_h) {
    picture_size s;
    if (size_choose(asked, usual, w, h, hold, &s) < 0) fail_msg("%d x %d: %s", w, h, error_message());
    if (s.width != want_w || s.height != want_h) fail_msg("%d x %d became %d x %d, not %d x %d", w, h, s.width, s.height, want_w, want_h);
}

static void test_sizes(void **state) {
    (void)state;
    const picture_size none = { 0, 0 };
    expect_size(none, 512, 512, 512, false, 512, 512);
    expect_size(none, 512, 4000, 3000, false, 704, 512);      /* 682.7: as the original's resize_image rounds */
    expect_size(none, 512, 3000, 4000, false, 512, 704);
    expect_size(none, 512, 1000, 667, false, 768, 512);
    expect_size(none, 768, 512, 512, false, 768, 768);
    expect_size(none, 512, 10, 9, false, 576, 512);
    expect_size(none, 512, 8000, 1000, false, 1024, 512);     /* no further by itself */
    expect_size(none, 512, 1, 1000, false, 512, 1024);
    expect_size((picture_size){ 520, 520 }, 512, 512, 512, false, 520, 520);
    expect_size((picture_size){ 384, 0 }, 512, 300, 200, false, 576, 384);
    expect_size((picture_size){ 520, 0 }, 512, 300, 200, false, 784, 520);   /* the short side is no multiple of 64, so the other need not be */
    /* A map keeps its aspect within 2%: 704 would be 3.1% off. */
    expect_size(none, 512, 4000, 3000, true, 680, 512);
    expect_size(none, 512, 512, 512, true, 512, 512);
    expect_size(none, 512, 768, 512, true, 768, 512);
    expect_size((picture_size){ 512, 512 }, 512, 522, 512, true, 512, 512);  /* 1.95% */
    picture_size s;
    assert_int_equal(size_choose((picture_size){ 512, 512 }, 512, 523, 512, true, &s), ERR_USAGE);
    assert_non_null(strstr(error_message(), "the aspects differ by 2.1%"));
    assert_int_equal(size_choose((picture_size){ 512, 512 }, 512, 640, 480, true, &s), ERR_USAGE);
    assert_int_equal(size_choose((picture_size){ 512, 512 }, 512, 640, 480, false, &s), 0);
}

/* A face whose landmarks lie on the diagonal of a box, in pixels of a photo. */
static mien_face face_in(double x0, double y0, double x1, double y1, int width, int height) {
    mien_face f = { 0 };
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        double t = (double)i / (FACE_LANDMARKS - 1);
        f.landmarks[i].x = (float)((x0 + t * (x1 - x0)) / width);
        f.landmarks[i].y = (float)((y0 + t * (y1 - y0)) / height);
    }
    return f;
}

static void expect_window(double x0, double y0, double x1, double y1, picture_size size, double x, double y, double width, double height) {
    mien_face one = face_in(x0, y0, x1, y1, 600, 400);
    faces f = { .face = &one, .count = 1, .width = 600, .height = 400 };
    photo_window w = window_choose(&f, size);
    if (fabs(w.x - x) + fabs(w.y - y) + fabs(w.width - width) + fabs(w.height - height) > 0.01)
        fail_msg("%g x %g from %g, %g, not %g x %g from %g, %g", w.width, w.height, w.x, w.y, width, height, x, y);
    window_apply(w, &f);   /* the face is where it was, as the window sees it */
    double got = (double)one.landmarks[FACE_LANDMARKS - 1].x * width + x, up = (double)one.landmarks[0].y * height + y;
    if (fabs(got - x1) + fabs(up - y0) > 0.01) fail_msg("a face from %g to %g came to be from %g to %g", y0, x1, up, got);
}

static void test_windows(void **state) {
    (void)state;
    expect_window(250, 100, 350, 200, (picture_size){ 512, 512 }, 100, 0, 400, 400);        /* the middle */
    expect_window(20, 100, 120, 200, (picture_size){ 512, 512 }, 10, 0, 400, 400);          /* as far to the left as the face and a tenth of it */
    expect_window(5, 100, 105, 200, (picture_size){ 512, 512 }, 0, 0, 400, 400);            /* but not beyond the photo */
    expect_window(500, 100, 600, 200, (picture_size){ 512, 512 }, 200, 0, 400, 400);
    expect_window(250, 300, 350, 390, (picture_size){ 512, 128 }, 0, 249, 600, 150);
    expect_window(100, 100, 500, 300, (picture_size){ 256, 512 }, 60, -280, 480, 960);      /* a face too wide: beyond the photo */
    assert_true(size_stretches((picture_size){ 0, 0 }, (picture_size){ 704, 512 }, 4000, 3000));       /* 3%: the original's rounding */
    assert_false(size_stretches((picture_size){ 704, 512 }, (picture_size){ 704, 512 }, 4000, 3000));
    assert_true(size_stretches((picture_size){ 680, 512 }, (picture_size){ 680, 512 }, 4000, 3000));
}

static void test_settings(void **state) {
    (void)state;
    picture_settings s = settings_defaults();
    assert_int_equal(settings_check(&s), 0);
    s.width = 500;
    assert_int_equal(settings_check(&s), ERR_USAGE);
    assert_non_null(strstr(error_message(), "such as 496 or 504"));
    s = settings_defaults();
    s.sampler = MIEN_EULER, s.eta = 0.5;
    assert_int_equal(settings_check(&s), ERR_USAGE);
    s = settings_defaults();
    s.start = 0.6, s.end = 0.5;
    assert_int_equal(settings_check(&s), ERR_USAGE);
    s = settings_defaults();
    s.strength = 2.01;
    assert_int_equal(settings_check(&s), ERR_USAGE);
    s = settings_defaults();
    s.cfg = 0.0 / 0.0;
    assert_int_equal(settings_check(&s), ERR_USAGE);
}

/* ---- the text in a picture ------------------------------------------------------------------------------------------- */

static picture_record sample_record(void) {
    picture_record r = { .how = settings_defaults(), .map = "0011223344" };
    r.how.dtype = MIEN_DTYPE_BF16;
    r.how.prompt = "a portrait, \"smiling\": yes";
    r.how.seed = 4294967295;
    r.how.width = 512;
    r.how.height = 704;
    strcpy(r.how.base_hash, "0123456789");
    strcpy(r.how.control_hash, "abcdef0123");
    return r;
}

static void test_parameters_text(void **state) {
    (void)state;
    picture_record r = sample_record();
    r.how.negative = "bad";
    text t = { 0 };
    parameters_write(&r, &t);
    assert_string_equal(t.data,
                        "a portrait, \"smiling\": yes, best quality, extremely detailed\n"
                        "Negative prompt: bad\n"
                        "Steps: 20, Sampler: DDIM, CFG scale: 9, Seed: 4294967295, Size: 512x704, Model hash: 0123456789, RNG: CPU, Precision: bf16, "
                        "ControlNet 0: \"Module: mediapipe_face, Model: control [abcdef0123], Weight: 1, Guidance Start: 0, Guidance End: 1, "
                        "Control Mode: Balanced, Map: 0011223344\", Version: mien " MIEN_VERSION);
    text_free(&t);
}

/* Every sampler, odd numbers, prompts of every kind: what comes back is what went in, and says the same again. */
static void test_parameters_round_trip(void **state) {
    (void)state;
    static const char *const prompts[] = { "", "one", "Steps: 3, Sampler: DDIM", "a\n\x1b[1mb", "\xc3\xa4\xe2\x82\xac \\ \"", "x, Negative prompt: y" };
    for (int sampler = 0; sampler < MIEN_SAMPLERS; sampler++)
        for (size_t p = 0; p < sizeof prompts / sizeof *prompts; p++) {
            picture_record r = sample_record(), back;
            r.how.sampler = (mien_sampler)sampler;
            r.how.prompt = prompts[p];
            r.how.added = p % 2 ? "" : "added";
            r.how.negative = prompts[5 - p];
            r.how.eta = sampler < MIEN_EULER ? 0.25 : 0;
            r.how.cfg = 7.1, r.how.strength = 0.1 * sampler, r.how.start = 0.125, r.how.end = 0.7;
            r.how.guess = sampler & 1, r.how.only_mid_control = sampler & 2 ? 1 : 0;
            r.how.rng = sampler & 1 ? MIEN_RNG_TORCH_CUDA : MIEN_RNG_TORCH_CPU;
            r.how.dtype = sampler & 2 ? MIEN_DTYPE_BF16 : MIEN_DTYPE_F32;
            r.how.prediction = (mien_prediction)(sampler % 3);
            text first = { 0 }, second = { 0 };
            parameters_write(&r, &first);
            if (parameters_read(first.data, first.size, &back) < 0) fail_msg("%s: %s", first.data, error_message());
            assert_null(back.how.note);
            assert_int_equal(back.how.sampler, sampler);
            assert_true(back.how.cfg == r.how.cfg && back.how.strength == r.how.strength && back.how.start == r.how.start && back.how.end == r.how.end);
            assert_true(back.how.eta == r.how.eta && back.how.seed == r.how.seed && back.how.width == 512 && back.how.height == 704);
            assert_true(back.how.guess == r.how.guess && back.how.only_mid_control == r.how.only_mid_control && back.how.rng == r.how.rng);
            assert_true(back.how.dtype == r.how.dtype && back.how.prediction == r.how.prediction);
            assert_string_equal(back.how.base_hash, r.how.base_hash);
            assert_string_equal(back.how.control_hash, r.how.control_hash);
            assert_string_equal(back.map, r.map);
            parameters_write(&back, &second);
            assert_string_equal(first.data, second.data);
            text_free(&first);
            text_free(&second);
            mien_picture_settings_free(&back.how);
        }
}

static int read_words(const char *words, picture_record *r) { return parameters_read(words, strlen(words), r); }

static void test_parameters_of_others(void **state) {
    (void)state;
    picture_record r;
    /* As AUTOMATIC1111's program writes it. */
    assert_int_equal(read_words("masterpiece,\nportrait\nNegative prompt: lowres,\nugly\nSteps: 25, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 42, Size: 640x512, "
                                "Model hash: 6ce0161689, Model: v1-5-pruned, Denoising strength: 0.7, ControlNet 0: \"Module: canny, Model: control_v11p_sd15_canny "
                                "[d14c016b], Weight: 0.8, Resize Mode: Crop and Resize, Guidance Start: 0.1, Guidance End: 0.9, Control Mode: Balanced\", "
                                "Version: v1.9.0\n", &r), 0);
    assert_string_equal(r.how.prompt, "masterpiece, portrait");
    assert_string_equal(r.how.negative, "lowres, ugly");
    assert_string_equal(r.how.added, "");
    assert_int_equal(r.how.sampler, MIEN_DPMPP_2M_KARRAS);
    assert_true(r.how.steps == 25 && r.how.cfg == 7.5 && r.how.seed == 42 && r.how.width == 640 && r.how.height == 512);
    assert_true(r.how.strength == 0.8 && r.how.start == 0.1 && r.how.end == 0.9);
    assert_string_equal(r.how.base_hash, "6ce0161689");
    assert_string_equal(r.how.control_hash, "d14c016b");
    assert_null(r.how.note);
    mien_picture_settings_free(&r.how);

    assert_int_equal(read_words("x\nSteps: 30, Sampler: DPM++ SDE, CFG scale: 1000, Seed: -5, Size: 513x512", &r), 0);
    assert_string_equal(r.how.note, "its sampler \"DPM++ SDE\", its \"CFG scale: 1000\", its \"Seed: -5\", its \"Size: 513x512\"");
    assert_int_equal(r.how.sampler, MIEN_DDIM);
    assert_true(r.how.steps == 30 && r.how.cfg == 9 && r.how.seed == -1 && r.how.width == 0);
    mien_picture_settings_free(&r.how);

    assert_int_equal(read_words("Negative prompt: n\nSteps: 1, Sampler: Euler a, Schedule type: Automatic", &r), 0);
    assert_string_equal(r.how.prompt, "");
    assert_string_equal(r.how.negative, "n");
    assert_int_equal(r.how.sampler, MIEN_EULER_A);
    mien_picture_settings_free(&r.how);

    assert_int_equal(read_words("just a prompt", &r), ERR_FORMAT);
    assert_int_equal(read_words("", &r), ERR_FORMAT);
}

/* ---- lines of a batch ------------------------------------------------------------------------------------------------ */

static generate_job batch_defaults(void) { return (generate_job){ .how = settings_defaults(), .count = 1, .max_faces = 1 }; }

static int read_line(const char *line, generate_job *out) {
    generate_job d = batch_defaults();
    return job_line_read("jobs:7", line, strlen(line), &d, out);
}

static void test_job_line(void **state) {
    (void)state;
    generate_job j;
    assert_int_equal(read_line("{\"photo\":\"a/b.jpg\",\"prompt\":\"p\",\"added\":\"\",\"negative\":null,\"seed\":7,\"steps\":3,\"sampler\":\"euler_a\",\"rng\":\"torch-cuda\","
                               "\"cfg\":4.5,\"strength\":0.5,\"start\":0.1,\"end\":0.9,\"guess\":true,\"only_mid_control\":false,\"size\":\"640x512\",\"count\":2,"
                               "\"face\":3,\"max_faces\":4,\"allow_empty\":true,\"out\":\"first.png\"}", &j), 0);
    assert_string_equal(j.photo, "a/b.jpg");
    assert_string_equal(j.how.prompt, "p");
    assert_string_equal(j.how.added, "");
    assert_string_equal(j.how.negative, settings_defaults().negative);
    assert_true(j.how.seed == 7 && j.how.steps == 3 && j.how.sampler == MIEN_EULER_A && j.how.rng == MIEN_RNG_TORCH_CUDA && j.how.cfg == 4.5);
    assert_true(j.how.strength == 0.5 && j.how.start == 0.1 && j.how.end == 0.9 && j.how.guess && !j.how.only_mid_control);
    assert_true(j.how.width == 640 && j.how.height == 512 && j.count == 2 && j.face == 3 && j.max_faces == 4 && j.allow_empty);
    assert_string_equal(j.name, "first");
    job_free(&j);
    assert_int_equal(read_line("{\"map\":\"m.png\",\"size\":512}", &j), 0);
    assert_true(j.how.width == 512 && j.how.height == 0 && !*j.name);
    job_free(&j);

    generate_job d = batch_defaults();
    d.photo = "default.jpg";
    assert_int_equal(job_line_read("jobs:7", "{}", 2, &d, &j), 0);
    assert_string_equal(j.photo, "default.jpg");
    job_free(&j);
    assert_int_equal(job_line_read("jobs:7", "{\"faces\":\"f.json\"}", 18, &d, &j), 0);
    assert_null(j.photo);
    job_free(&j);
}

static void expect_wrong(const char *line, const char *message) {
    generate_job j;
    if (read_line(line, &j) == 0) fail_msg("%s was taken", line);
    if (!strstr(error_message(), message)) fail_msg("%s: \"%s\" does not say \"%s\"", line, error_message(), message);
}

static void test_job_line_wrong(void **state) {
    (void)state;
    expect_wrong("{\"promt\":\"x\",\"photo\":\"p\"}", "jobs:7: promt: there is no such setting");
    expect_wrong("{}", "one of photo, map and faces is needed");
    expect_wrong("{\"photo\":\"a\",\"map\":\"b\"}", "one of photo, map and faces was expected");
    expect_wrong("{\"photo\":\"\"}", "photo: a path was expected");
    expect_wrong("{\"photo\":\"a\",\"steps\":1.5}", "steps: ");
    expect_wrong("{\"photo\":\"a\",\"sampler\":\"dim\"}", "sampler: ddim, ");
    expect_wrong("{\"photo\":\"a\",\"size\":\"512x\"}", "size: ");
    expect_wrong("{\"photo\":\"a\",\"size\":\"500x500\"}", "multiples of 8");
    expect_wrong("{\"photo\":\"a\",\"strength\":3}", "strength: ");
    expect_wrong("{\"photo\":\"a\",\"start\":0.9,\"end\":0.1}", "behind its end");
    expect_wrong("{\"photo\":\"a\",\"out\":\"../x\"}", "out: a name of up to 200");
    expect_wrong("{\"photo\":\"a\",\"out\":\".hidden\"}", "out: a name of up to 200");
    expect_wrong("{\"photo\":\"a\",\"out\":\"\"}", "out: a name of up to 200");
    expect_wrong("[1]", "jobs:7");
    expect_wrong("{\"photo\":\"a\"", "jobs:7");
}

/* ---- control --------------------------------------------------------------------------------------------------------- */

/* diffusers: keep = 1 - (i / n < start or (i + 1) / n > end). */
static void test_control_steps(void **state) {
    (void)state;
    picture_settings s = settings_defaults();
    for (int i = 0; i < 20; i++) assert_true(control_acts(&s, i, 20));
    s.start = 0.25, s.end = 0.75;
    for (int i = 0; i < 20; i++) assert_int_equal(control_acts(&s, i, 20), i >= 5 && i < 15);
    s.start = 0.3, s.end = 0.55;   /* between steps: 0.3 of 7 is 2.1, 0.55 of 7 is 3.85 */
    for (int i = 0; i < 7; i++) assert_int_equal(control_acts(&s, i, 7), i == 3 ? false : i > 2.1 && i + 1 <= 3.85);
    s.start = 0, s.end = 0.5;
    assert_true(control_acts(&s, 0, 2));
    assert_false(control_acts(&s, 1, 2));
    s.end = 0;
    assert_false(control_acts(&s, 0, 2));
    s.end = 1, s.strength = 0;
    assert_false(control_acts(&s, 0, 2));
    s.strength = 1;
    assert_true(control_scale(&s, 0, 13) == 1 && control_scale(&s, 12, 13) == 1);
    s.guess = 1, s.strength = 0.5;
    assert_true(control_scale(&s, 12, 13) == 0.5f);
    assert_true(control_scale(&s, 11, 13) == (float)(0.5 * 0.825));
    assert_true(control_scale(&s, 0, 13) > 0.0497f && control_scale(&s, 0, 13) < 0.0498f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_windows), cmocka_unit_test(test_settings), cmocka_unit_test(test_parameters_text),
        cmocka_unit_test(test_parameters_round_trip), cmocka_unit_test(test_parameters_of_others), cmocka_unit_test(test_job_line),
        cmocka_unit_test(test_job_line_wrong), cmocka_unit_test(test_control_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
