/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures judged: a real photo against its own landmarks, resized, cut as generate cuts it, and in which a face moved; what is wanted, and how many judgements
 * are summed up. */
#include <math.h>

#include "eval/judge.h"
#include "eval/summary.h"
#include "eval/wanted.h"
#include "face/faces_json.h"
#include "fixtures.h"
#include "generate/window.h"

static const char photo_path[] = "third_party/demo/astronaut.png";
static mien *m;
static image photo;
static mien_faces seen;

static int begin(void **unused) {
    (void)unused;
    uint8_t *data;
    size_t size;
    if (access(photo_path, R_OK) < 0 || mien_open(NULL, &m) < 0 || file_load(photo_path, IMAGE_MAX_BYTES, &data, &size) < 0) return 0;
    int rc = image_decode(data, size, NULL, &photo);
    free(data);
    return rc < 0 ? -1 : mien_find_faces(m, photo.rgb, photo.width, photo.height, NULL, &seen);
}

static int end(void **unused) {
    (void)unused;
    image_free(&photo);
    mien_faces_free(&seen);
    mien_close(m);
    return 0;
}

static void need_photo(void) {
    if (m && seen.count) return;
    print_message("skipped: no %s, or no models (make setup)\n", photo_path);
    skip();
}

static mien_judgement judged(const mien_faces *wanted, const image *picture) {
    mien_judgement j;
    mien_image img = { picture->width, picture->height, picture->rgb };
    if (mien_judge(m, wanted, &img, &j) < 0) fail_msg("%s", mien_error());
    return j;
}

static image part_of(const image *from, int x, int y, int width, int height) {
    image out;
    assert_int_equal(image_new(width, height, &out), 0);
    for (int row = 0; row < height; row++)
        memcpy(out.rgb + (size_t)row * (size_t)width * 3, from->rgb + ((size_t)(y + row) * (size_t)from->width + (size_t)x) * 3, (size_t)width * 3);
    return out;
}

static void test_as_many_are_looked_for_as_are_wanted(void **state) {
    (void)state;
    static const int most[][2] = { { 0, 5 }, { 1, 5 }, { 4, 5 }, { 5, 6 }, { 8, 9 }, { 99, 100 }, { 100, 100 }, { 300, 100 } };
    for (size_t i = 0; i < sizeof most / sizeof *most; i++)
        assert_int_equal(judge_search(&(faces){ .count = most[i][0] }).max_faces, most[i][1]);
}

static faces copy_of(const faces *f) {
    faces out = *f;
    out.face = malloc((size_t)f->count * sizeof *out.face);
    assert_non_null(out.face);
    memcpy(out.face, f->face, (size_t)f->count * sizeof *out.face);
    return out;
}

static void test_itself(void **unused) {
    (void)unused;
    need_photo();
    mien_judgement j = judged(&seen, &photo);
    assert_true(j.wanted == 1 && j.found == 1 && j.matched == 1 && j.score == 0 && j.face[0].answer == 0);
    for (int i = 0; i < MIEN_MEASURES; i++) assert_true(j.error[i] == 0);
    for (int i = 0; i < MIEN_READINGS; i++) assert_true(j.face[0].wanted[i] == j.face[0].found[i]);
    mien_judgement_free(&j);
}

/* Smaller, and stretched: landmarks come back nearly where they were. */
static void test_resized(void **unused) {
    (void)unused;
    need_photo();
    static const int sizes[][2] = { { 300, 300 }, { 384, 400 } };
    for (int k = 0; k < 2; k++) {
        image small;
        assert_int_equal(image_resize_nearest(&photo, sizes[k][0], sizes[k][1], &small), 0);
        mien_judgement j = judged(&seen, &small);
        assert_int_equal(j.matched, 1);
        assert_true(j.error[ERROR_LANDMARKS] > 0 && j.error[ERROR_LANDMARKS] < 0.05 && j.error[ERROR_POSE] < 4 && j.score < 1);
        mien_judgement_free(&j);
        image_free(&small);
    }
}

/* The part of the photo that generate would show in a picture of 320 x 512. */
static void test_cut(void **unused) {
    (void)unused;
    need_photo();
    faces wanted = copy_of(&seen);
    photo_window w = window_choose(&seen, (picture_size){ 320, 512 });
    image part = part_of(&photo, (int)w.x, (int)w.y, 320, 512);
    assert_true(wanted_fit(&wanted, 320, 512));
    assert_true(wanted.width == 320 && wanted.height == 512);
    mien_judgement j = judged(&wanted, &part);
    assert_int_equal(j.matched, 1);
    assert_true(j.error[ERROR_LANDMARKS] < 0.05);
    mien_judgement_free(&j);
    free(wanted.face);
    image_free(&part);

    wanted = copy_of(&seen);
    assert_false(wanted_fit(&wanted, 256, 256));
    assert_false(wanted_fit(&wanted, 512, 512));
    wanted.width = 500, wanted.height = 530;      /* 6% off: what rounding to multiples of 64 does */
    assert_false(wanted_fit(&wanted, 512, 512));
    wanted.width = 500, wanted.height = 600;
    assert_true(wanted_fit(&wanted, 512, 512));
    free(wanted.face);
}

/* The face is a quarter of its width aside: it is found, and by how much it is off is told. */
static void test_moved(void **unused) {
    (void)unused;
    need_photo();
    faces wanted = copy_of(&seen);
    const face *f = &seen.face[0];
    double dx = 0.25 * fabs((double)f->landmarks[263].x - (double)f->landmarks[33].x);
    for (int i = 0; i < FACE_LANDMARKS; i++) wanted.face[0].landmarks[i].x += (float)dx;
    mien_judgement j = judged(&wanted, &photo);
    double z = (double)(f->landmarks[263].z - f->landmarks[33].z), x = (double)(f->landmarks[263].x - f->landmarks[33].x);
    double y = (double)(f->landmarks[263].y - f->landmarks[33].y) * photo.height / photo.width;
    double want = dx / sqrt(x * x + y * y + z * z);
    assert_true(fabs(j.error[ERROR_LANDMARKS] - want) < 1e-3 && fabs(j.error[ERROR_MOUTH] - want) < 1e-3 && j.error[ERROR_POSE] < 1e-3);
    mien_judgement_free(&j);
    free(wanted.face);
}

static void test_choose(void **unused) {
    (void)unused;
    face three[3] = { { .score = 0.1f }, { .score = 0.2f }, { .score = 0.3f } };
    faces f = { 10, 10, 3, three };
    assert_int_equal(wanted_choose(&f, 0, 0), 0);
    assert_int_equal(f.count, 3);
    assert_int_equal(wanted_choose(&f, 0, 2), 0);
    assert_int_equal(f.count, 2);
    assert_int_equal(wanted_choose(&f, 3, 0), ERR_USAGE);
    assert_int_equal(wanted_choose(&f, 2, 0), 0);
    assert_true(f.count == 1 && three[0].score > 0.15f);
    f.count = 0;
    assert_int_equal(wanted_choose(&f, 0, 1), 0);
    assert_int_equal(f.count, 0);
}

static void test_summary(void **unused) {
    (void)unused;
    summary_item items[4] = {
        { .cluster = 1, .wanted = 1, .found = 1, .matched = 1 }, { .cluster = 1, .wanted = 1, .found = 2, .matched = 1 },
        { .cluster = 2, .wanted = 2, .found = 2, .matched = 1 }, { .cluster = 3, .wanted = 1, .found = 0, .matched = 0 },
    };
    for (int i = 0; i < 4; i++)
        for (int e = 0; e < ERRORS; e++) items[i].error[e] = i == 3 ? NAN : i + 1;
    summary s;
    assert_int_equal(summarize(items, 4, NULL, &s), 0);
    assert_true(s.pictures == 4 && s.wanted == 5 && s.found == 5 && s.matched == 3);
    assert_true(fabs(s.detection.value - 0.6) < 1e-12 && s.detection.n == 5 && s.detection.clusters == 3);
    assert_true(s.agreement.value == 0.5 && s.agreement.n == 4);
    assert_true(fabs(s.mean[ERROR_POSE].value - 2) < 1e-12 && s.mean[ERROR_POSE].n == 3 && s.mean[ERROR_POSE].clusters == 2);
    assert_true(s.median[ERROR_SMILE].value == 2);
    assert_int_equal(summarize(items, 0, NULL, &s), 0);
    assert_true(s.pictures == 0 && isnan(s.detection.value) && isnan(s.mean[0].value));
}

/* Numbers that are none are null, and the text is JSON. */
static void test_json(void **unused) {
    (void)unused;
    mien_face_judgement one = { .answer = -1 };
    mien_judgement j = { .wanted = 1, .found = 0, .score = JUDGE_MISSED, .face = &one };
    for (int i = 0; i < MIEN_MEASURES; i++) j.error[i] = one.error[i] = NAN;
    for (int i = 0; i < MIEN_READINGS; i++) one.wanted[i] = i / 3.0, one.found[i] = NAN;
    char *text;
    json_error_t e;
    assert_int_equal(mien_judgement_json(&j, &text), 0);
    json_t *doc = json_loads(text, 0, &e);
    if (!doc) fail_msg("%s: %s", e.text, text);
    const json_t *face = json_array_get(json_object_get(doc, "faces"), 0), *wanted = json_object_get(face, "wanted");
    assert_true(json_is_null(json_object_get(face, "answer")) && json_object_size(json_object_get(doc, "errors")) == MIEN_MEASURES);
    for (int i = 0; i < MIEN_READINGS; i++) {
        assert_true(json_number_value(json_object_get(wanted, mien_reading_at(i)->key)) == i / 3.0);
        assert_true(json_is_null(json_object_get(json_object_get(face, "found"), mien_reading_at(i)->key)));
    }
    assert_null(mien_reading_at(MIEN_READINGS));
    assert_null(mien_measure_at(-1));
    json_decref(doc);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_many_are_looked_for_as_are_wanted), cmocka_unit_test(test_itself), cmocka_unit_test(test_resized), cmocka_unit_test(test_cut), cmocka_unit_test(test_moved),
        cmocka_unit_test(test_choose), cmocka_unit_test(test_summary), cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
