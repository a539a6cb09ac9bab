/* SPDX-License-Identifier: Apache-2.0
 *
 * Maps against faces: the same, moved, missing, one more, compressed as JPEG, mirrored. The face is the drawn one of the
 * goldens, 320 x 320, put anywhere and scaled. */
#include <math.h>
#include <string.h>

#include "data/face_match.h"
#include "face/map.h"
#include "face/topology.h"
#include "fixtures.h"

enum { SIDE = 320 };
static face_point drawn[FACE_LANDMARKS];

static int load_face(void **unused) {
    (void)unused;
    float *p = fixture_f32("tests/golden/drawn_face.f32", 3 * FACE_LANDMARKS);
    for (int i = 0; i < FACE_LANDMARKS; i++) drawn[i] = (face_point){ p[3 * i], p[3 * i + 1], p[3 * i + 2] };
    free(p);
    return 0;
}

/* The face in a picture of some size: its own 320 pixels become `scale` times as many, moved by dx, dy pixels. */
static face face_at(int width, int height, double scale, double dx, double dy) {
    face f = { .score = 1 };
    for (int i = 0; i < FACE_LANDMARKS; i++)
        f.landmarks[i] = (face_point){ (float)((drawn[i].x * SIDE * scale + dx) / width), (float)((drawn[i].y * SIDE * scale + dy) / height),
                                       (float)(drawn[i].z * SIDE * scale / width) };
    return f;
}

static image map_of(const faces *f, int width, int height) {
    image map;
    assert_int_equal(image_new(width, height, &map), 0);
    face_map_draw(f, 0, &map);
    return map;
}

static image as_jpeg(const image *map) {
    uint8_t *data;
    size_t size;
    image out;
    assert_int_equal(image_encode_jpeg(map, 75, &data, &size), 0);
    assert_int_equal(image_decode(data, size, NULL, &out), 0);
    free(data);
    return out;
}

static void test_landmarks(void **unused) {
    (void)unused;
    face two[2] = { face_at(800, 600, 1, 20, 30), face_at(800, 600, 0.5, 500, 300) }, swapped[2] = { two[1], two[0] };
    faces map = { 800, 600, 2, two }, found = { 800, 600, 2, swapped };
    face_match m;
    face_match_landmarks(&map, 0, &found, &m);
    assert_true(m.mapped == 2 && m.missing == 0 && m.more == 0 && m.off == 0);
    double eyes = face_eye_distance(&two[1], 800, 600);
    for (int percent = -8; percent <= 8; percent += 4) {   /* the small one moves */
        swapped[0] = face_at(800, 600, 0.5, 500 + eyes * percent / 100, 300);
        face_match_landmarks(&map, 0, &found, &m);
        assert_int_equal(m.missing, abs(percent) > 4);
        assert_true(fabs(m.off - abs(percent) / 100.0) < 0.001);
        assert_int_equal(m.more, abs(percent) > 4);
    }
    double small = face_size(&two[1], 800, 600);
    face_match_landmarks(&map, small + 1, &found, &m);     /* it was not drawn */
    assert_true(m.mapped == 1 && m.missing == 0 && m.off == 0);
    found.count = 1;
    swapped[0] = two[0];
    face_match_landmarks(&map, 0, &found, &m);
    assert_true(m.mapped == 2 && m.missing == 1 && m.more == 0 && m.off > 2);
    found.count = 0;
    face_match_landmarks(&map, 0, &found, &m);
    assert_true(m.mapped == 2 && m.missing == 2 && m.more == 0 && isinf(m.off));
    map.count = 0;
    found.count = 2;
    face_match_landmarks(&map, 0, &found, &m);
    assert_true(m.mapped == 0 && m.missing == 0 && m.more == 2);
}

/* A photo at half its size: landmarks are fractions. */
static void test_rescaled(void **unused) {
    (void)unused;
    face one = face_at(800, 600, 1, 20, 30), half = face_at(400, 300, 0.5, 10, 15);
    faces map = { 800, 600, 1, &one }, found = { 400, 300, 1, &half };
    face_match m;
    face_match_landmarks(&map, 0, &found, &m);
    assert_true(m.missing == 0 && m.off < 1e-4);
    image drawn_map = map_of(&map, 800, 600);
    assert_int_equal(face_match_map(&drawn_map, false, &found, &m), 0);
    assert_true(m.mapped == 2 && m.missing == 0);
    image_free(&drawn_map);
}

/* At any place, size and turn of the chroma's grid; then moved by more than is allowed. */
static void test_pupils(void **unused) {
    (void)unused;
    dice d = { 42 };
    int seen_pupils = 0;
    for (int i = 0; i < 150; i++) {
        int width = dice_between(&d, 300, 500), height = dice_between(&d, 300, 500);
        double scale = 0.5 + 0.5 * dice_unit(&d), dx = 60 * dice_unit(&d), dy = 40 * dice_unit(&d);
        face one = face_at(width, height, scale, dx, dy);
        faces f = { width, height, 1, &one };
        double eyes = face_eye_distance(&one, width, height);
        image map = map_of(&f, width, height), jpeg = as_jpeg(&map);
        for (int lossy = 0; lossy < 2; lossy++) {
            const image *seen = lossy ? &jpeg : &map;
            face_match m;
            assert_int_equal(face_match_map(seen, lossy, &f, &m), 0);
            seen_pupils += m.mapped;
            if (m.missing || m.more || m.unknown || (!lossy && m.mapped != 2))
                fail_msg("%d: %dx%d, eyes %.1f, lossy %d: %d pupils, %d missing, off %.3f", i, width, height, eyes, lossy, m.mapped, m.missing, m.off);
            double far = 0.05 * eyes + 4;
            one = face_at(width, height, scale, dx + (i % 2 ? far : 0), dy + (i % 2 ? 0 : -far));
            assert_int_equal(face_match_map(seen, lossy, &f, &m), 0);
            if (lossy ? !m.missing && !m.unknown : m.missing != 2 || m.more != 1)
                fail_msg("%d: %dx%d, eyes %.1f, lossy %d: moved, but only %d of %d pupils are missing", i, width, height, eyes, lossy, m.missing, m.mapped);
            one = face_at(width, height, scale, dx, dy);
        }
        image_free(&map);
        image_free(&jpeg);
    }
    assert_in_range(seen_pupils, 4 * 150 * 9 / 10, 4 * 150);   /* JPEG may hide one */
}

static void test_pupils_tell_left_from_right(void **unused) {
    (void)unused;
    face one = face_at(400, 300, 1, 10, 0), mirrored = one;
    face_point swap = mirrored.landmarks[TOPOLOGY_LEFT_PUPIL];
    mirrored.landmarks[TOPOLOGY_LEFT_PUPIL] = mirrored.landmarks[TOPOLOGY_RIGHT_PUPIL];
    mirrored.landmarks[TOPOLOGY_RIGHT_PUPIL] = swap;
    faces f = { 400, 300, 1, &mirrored }, found = { 400, 300, 1, &one };
    image map = map_of(&f, 400, 300);
    face_match m;
    assert_int_equal(face_match_map(&map, false, &found, &m), 0);
    assert_true(m.mapped == 2 && m.missing == 2 && m.more == 1);
    image_free(&map);
}

static void test_many_and_none(void **unused) {
    (void)unused;
    face three[3] = { face_at(900, 700, 1, 20, 30), face_at(900, 700, 0.5, 500, 300), face_at(900, 700, 0.6, 400, 20) };
    faces f = { 900, 700, 3, three }, found = f;
    image map = map_of(&f, 900, 700), jpeg = as_jpeg(&map), empty;
    face_match m;
    assert_int_equal(face_match_map(&jpeg, true, &found, &m), 0);
    assert_true(m.mapped == 6 && m.missing == 0 && m.more == 0);
    found.count = 2;
    assert_int_equal(face_match_map(&jpeg, true, &found, &m), 0);
    assert_true(m.mapped == 6 && m.missing == 2 && m.more == 0);
    f.count = 2;
    found.count = 3;
    image fewer = map_of(&f, 900, 700);
    assert_int_equal(face_match_map(&fewer, false, &found, &m), 0);
    assert_true(m.mapped == 4 && m.missing == 0 && m.more == 1);
    found.count = 0;
    assert_int_equal(face_match_map(&fewer, false, &found, &m), 0);
    assert_true(m.mapped == 4 && m.missing == 4 && isinf(m.off));
    assert_int_equal(image_new(900, 700, &empty), 0);
    found.count = 1;
    assert_int_equal(face_match_map(&empty, false, &found, &m), 0);
    assert_true(m.mapped == 0 && m.missing == 0 && m.more == 1 && !m.unknown);
    memset(empty.rgb, 200, 3000);                           /* something, but no pupil */
    assert_int_equal(face_match_map(&empty, false, &found, &m), 0);
    assert_true(m.mapped == 0 && m.unknown);
    image_free(&empty);
    image_free(&map);
    image_free(&jpeg);
    image_free(&fewer);
    for (int side = 1; side < 6; side++) {                  /* smaller than a pupil */
        assert_int_equal(image_new(side, 6 - side, &empty), 0);
        memset(empty.rgb, 255, (size_t)(side * (6 - side) * 3));
        assert_int_equal(face_match_map(&empty, false, &found, &m), 0);
        image_free(&empty);
    }
}

static void test_drawn(void **unused) {
    (void)unused;
    face two[2] = { face_at(800, 600, 1, 20, 30), face_at(800, 600, 0.5, 500, 300) };
    faces f = { 800, 600, 2, two };
    bool same;
    image map = map_of(&f, 800, 600), jpeg = as_jpeg(&map), small = map_of(&f, 400, 300);
    assert_int_equal(face_match_drawn(&map, false, &f, 0, &same), 0);
    assert_true(same);
    assert_int_equal(face_match_drawn(&jpeg, true, &f, 0, &same), 0);
    assert_true(same);
    assert_int_equal(face_match_drawn(&small, false, &f, 0, &same), 0);
    assert_true(same);
    double size = face_size(&two[1], 800, 600);
    assert_int_equal(face_match_drawn(&map, false, &f, size + 1, &same), 0);   /* one is drawn that should not be */
    assert_false(same);
    two[0] = face_at(800, 600, 1, 21, 30);                                     /* a pixel aside */
    for (int lossy = 0; lossy < 2; lossy++) {
        assert_int_equal(face_match_drawn(lossy ? &jpeg : &map, lossy, &f, 0, &same), 0);
        assert_false(same);
    }
    image_free(&map);
    image_free(&jpeg);
    image_free(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_landmarks), cmocka_unit_test(test_rescaled), cmocka_unit_test(test_pupils),
        cmocka_unit_test(test_pupils_tell_left_from_right), cmocka_unit_test(test_many_and_none), cmocka_unit_test(test_drawn),
    };
    return cmocka_run_group_tests(tests, load_face, NULL);
}
