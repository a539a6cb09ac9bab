/* SPDX-License-Identifier: Apache-2.0
 *
 * Every step around the two networks, from the recorded outputs of the networks. */
#include "faces.h"

#include <math.h>

#include "face/landmarks.h"

/* "box" and "keypoints" are fractions; all must be equal bit for bit. */
static void expect_detection(const char *what, const detection *got, const json_t *want) {
    const json_t *box = json_object_get(want, "box"), *keys = json_object_get(want, "keypoints");
    detection w = { fixture_number(want, "score", 0), fixture_number(box, NULL, 0), fixture_number(box, NULL, 1), fixture_number(box, NULL, 2),
                    fixture_number(box, NULL, 3), { { 0, 0 } } };
    for (size_t k = 0; k < DETECTOR_KEYS; k++)
        w.key[k] = (face_xy){ fixture_number(json_array_get(keys, k), NULL, 0), fixture_number(json_array_get(keys, k), NULL, 1) };
    expect_equal_bits(what, &got->score, &w.score, sizeof w / sizeof(float));
}

static void expect_detections(const char *what, const detection *got, int n, const json_t *want) {
    assert_int_equal(n, json_array_size(want));
    for (int i = 0; i < n; i++) expect_detection(what, &got[i], json_array_get(want, (size_t)i));
}

static void expect_roi(const char *what, const face_roi *got, const json_t *want) {
    static const char *const keys[] = { "x_center", "y_center", "width", "height", "rotation" };
    float w[5];
    for (size_t i = 0; i < 5; i++) w[i] = fixture_number(want, json_is_array(want) ? NULL : keys[i], i);
    expect_equal_bits(what, &got->cx, w, 5);
}

static void test_detector_stages(void **state) {
    (void)state;
    fixtures_or_skip();
    for (int s = 0; s < FIXTURE_STAGES; s++) {
        const char *name = fixture_stages[s];
        json_t *j = fixture_json(fixture_path("faces/stages/%s/stages.json", name));
        float *regressors = fixture_f32(fixture_path("faces/stages/%s/regressors_896x16.f32", name), DETECTOR_ANCHORS * DETECTOR_NUMBERS);
        float *logits = fixture_f32(fixture_path("faces/stages/%s/classificators_896.f32", name), DETECTOR_ANCHORS);
        image photo = fixture_photo(name);
        detection d[DETECTOR_ANCHORS];
        int n = detector_decode(regressors, logits, 0.5f, d);
        expect_detections("above threshold", d, n, json_object_get(j, "above_threshold"));
        n = detector_suppress(d, n);
        expect_detections("after suppression", d, n, json_object_get(j, "after_nms"));
        detector_to_picture(d, n, photo.width, photo.height);
        expect_detections("in the picture", d, n, json_object_get(j, "projected"));
        for (int k = 0; k < n; k++) {
            face_roi r = roi_from_detection(&d[k], photo.width, photo.height);
            expect_roi("roi", &r, json_array_get(json_object_get(j, "rois"), (size_t)k));
        }
        image_free(&photo);
        free(regressors);
        free(logits);
        json_decref(j);
    }
}

static void test_landmark_stages(void **state) {
    (void)state;
    fixtures_or_skip();
    static const char *const names[LANDMARKS_OUTPUTS] = { "mesh", "lips", "left_eye", "right_eye", "left_iris", "right_iris", "flag" };
    int faces_seen = 0;
    for (int s = 0; s < FIXTURE_STAGES; s++)
        for (int k = 0; k < 2; k++) {
            const char *stage = fixture_stages[s];
            if (access(fixture_path("faces/stages/%s/crop%d.png", stage, k), R_OK) != 0) continue;
            float *out[LANDMARKS_OUTPUTS];
            for (int i = 0; i < LANDMARKS_OUTPUTS; i++)
                out[i] = fixture_f32(fixture_path("faces/stages/%s/crop%d_out_%s.f32", stage, k, names[i]), (size_t)landmarks_count[i]);
            float *refined = fixture_f32(fixture_path("faces/stages/%s/crop%d_refined_478x3.f32", stage, k), FACE_LANDMARKS * 3);
            float *final = fixture_f32(fixture_path("faces/stages/%s/crop%d_final_478x3.f32", stage, k), FACE_LANDMARKS * 3);
            json_t *j = fixture_json(fixture_path("faces/stages/%s/stages.json", stage)), *roi = json_array_get(json_object_get(j, "rois"), (size_t)k);
            face_roi r = { fixture_number(roi, NULL, 0), fixture_number(roi, NULL, 1), fixture_number(roi, NULL, 2), fixture_number(roi, NULL, 3),
                           fixture_number(roi, NULL, 4) };
            face_point points[FACE_LANDMARKS];
            landmarks_merge((const float *const *)out, points);
            expect_equal_bits("refined", &points[0].x, refined, FACE_LANDMARKS * 3);
            landmarks_to_picture(points, &r);
            expect_equal_bits("final", &points[0].x, final, FACE_LANDMARKS * 3);
            assert_true(landmarks_presence(out[OUT_FLAG]) > landmarks_presence_limit);
            for (int i = 0; i < LANDMARKS_OUTPUTS; i++) free(out[i]);
            free(refined);
            free(final);
            json_decref(j);
            faces_seen++;
        }
    assert_int_equal(faces_seen, 5);
}

/* Detections to ROIs in all reference files. */
static void test_rois_of_references(void **state) {
    (void)state;
    fixtures_or_skip();
    static const char *const files[] = { "ref/collage9", "ref/screaming_rot270", "ref/neutral_rot90", "ref/wide", "ref_conf010/assoc2", "ref_conf001_5/collage9" };
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        json_t *j = fixture_json(fixture_path("faces/%s.json", files[f])), *list = json_object_get(j, "detections");
        for (size_t i = 0; i < json_array_size(list); i++) {
            json_t *e = json_array_get(list, i), *box = json_object_get(e, "box"), *keys = json_object_get(e, "keypoints");
            detection d = { 0, fixture_number(box, NULL, 0), fixture_number(box, NULL, 1), fixture_number(box, NULL, 2), fixture_number(box, NULL, 3), { { 0, 0 } } };
            for (size_t k = 0; k < DETECTOR_KEYS; k++)
                d.key[k] = (face_xy){ fixture_number(json_array_get(keys, k), NULL, 0), fixture_number(json_array_get(keys, k), NULL, 1) };
            face_roi r = roi_from_detection(&d, (int)fixture_number(j, "width", 0), (int)fixture_number(j, "height", 0));
            expect_roi(files[f], &r, json_array_get(json_object_get(j, "rois"), i));
        }
        json_decref(j);
    }
}

/* The later, weaker ROI wins. In assoc2 at confidence 0.1 that removes the first of two. */
static void test_association(void **state) {
    (void)state;
    face_roi r[] = { { 0.5f, 0.5f, 0.4f, 0.4f, 0 }, { 0.1f, 0.1f, 0.1f, 0.1f, 1 }, { 0.51f, 0.5f, 0.4f, 0.4f, 2 }, { 0.9f, 0.9f, 0.1f, 0.1f, 3 } };
    assert_int_equal(roi_associate(r, 4), 3);
    assert_true(r[0].rotation == 1 && r[1].rotation == 2 && r[2].rotation == 3);
    face_roi apart[] = { { 0.3f, 0.5f, 0.3f, 0.3f, 0 }, { 0.41f, 0.5f, 0.3f, 0.3f, 1 } };   /* overlap 0.46 */
    assert_int_equal(roi_associate(apart, 2), 2);
    assert_int_equal(roi_associate(apart, 0), 0);
}

static detection box(float score, float x, float y, float w, float h) {
    detection d = { score, x, y, w, h, { { 0, 0 } } };
    for (int k = 0; k < DETECTOR_KEYS; k++) d.key[k] = (face_xy){ x + (float)k, y - (float)k };
    return d;
}

static void test_suppression(void **state) {
    (void)state;
    detection d[] = { box(0.5f, 0, 0, 2, 2), box(0.75f, 8, 8, 2, 2), box(0.25f, 1, 0, 2, 2), box(0.125f, 1.5f, 0, 2, 2) };
    /* 0.25's IoU with the 0.5 box is 1/3: a candidate. 0.125's is 1/7, whatever it is with the mean. */
    assert_int_equal(detector_suppress(d, 4), 3);
    assert_true(d[0].score == 0.75f && d[0].xmin == 8 && d[0].width == 2);
    float mean = (0 * 0.5f + 1 * 0.25f) / 0.75f;
    assert_true(d[1].score == 0.5f && d[1].xmin == mean && d[1].width == (2 * 0.5f + 3 * 0.25f) / 0.75f - mean && d[1].key[2].x == (2 * 0.5f + 3 * 0.25f) / 0.75f);
    assert_true(d[2].score == 0.125f && d[2].xmin == 1.5f);
    detection flat[] = { box(0.5f, 0, 0, 2, 2), box(0.75f, 8, 8, 0, 2), box(0.25f, 5, 5, 1, 1) };   /* no area: output, and stop */
    assert_int_equal(detector_suppress(flat, 3), 1);
    assert_true(flat[0].score == 0.75f && flat[0].xmin == 8);
    assert_int_equal(detector_suppress(flat, 0), 0);
}

/* Hostile numbers decode to nothing or to something, never to a crash. */
static void test_odd_numbers(void **state) {
    (void)state;
    static float regressors[DETECTOR_ANCHORS * DETECTOR_NUMBERS], logits[DETECTOR_ANCHORS];
    static detection d[DETECTOR_ANCHORS];
    const float odd[] = { NAN, INFINITY, -INFINITY, 0, 1e38f, -1e38f, 3 };
    dice r = { 5 };
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < DETECTOR_ANCHORS * DETECTOR_NUMBERS; i++) regressors[i] = odd[dice_u32(&r) % 7];
        for (int i = 0; i < DETECTOR_ANCHORS; i++) logits[i] = odd[dice_u32(&r) % 7];
        int n = detector_suppress(d, detector_decode(regressors, logits, 0.5f, d));
        assert_in_range(n, 0, DETECTOR_ANCHORS);
        detector_to_picture(d, n, 640, 480);
        for (int i = 0; i < n; i++) {
            face_roi roi = roi_from_detection(&d[i], 640, 480);
            roi_associate(&roi, 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detector_stages), cmocka_unit_test(test_landmark_stages), cmocka_unit_test(test_rois_of_references),
        cmocka_unit_test(test_association), cmocka_unit_test(test_suppression), cmocka_unit_test(test_odd_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
