/* SPDX-License-Identifier: Apache-2.0 */
#include "faces.h"

#include "data/preview_plan.h"
#include "data/preview_statistics.h"

enum { WIDTH = 600, HEIGHT = 400 };
static const double radian = 3.14159265358979323846 / 180;

typedef struct { double x, y, z; } vector;

/* Points of a made-up head that looks at the camera, in pixels from its middle; the person's right is at negative x. */
static const struct { int number; vector at; } head[] = {
    { 33, { -60, -30, 10 } }, { 133, { -20, -30, 0 } }, { 362, { 20, -30, 0 } }, { 263, { 60, -30, 10 } },
    { 468, { -40, -30, 4 } }, { 473, { 40, -30, 4 } }, { 105, { -50, -50, 0 } }, { 334, { 50, -50, 0 } }, { 70, { -70, -45, 12 } }, { 300, { 70, -45, 12 } },
    { 61, { -30, 45, 5 } }, { 291, { 30, 45, 5 } }, { 127, { -80, -20, 60 } }, { 356, { 80, -20, 60 } }, { 234, { -82, 0, 62 } }, { 454, { 82, 0, 62 } },
    { 132, { -75, 30, 60 } }, { 361, { 75, 30, 60 } }, { 172, { -55, 70, 40 } }, { 397, { 55, 70, 40 } },
    { 78, { -25, 45, 4 } }, { 308, { 25, 45, 4 } }, { 13, { 0, 40, -2 } }, { 14, { 0, 50, -2 } },
};

/* The head turned to the image's right by yaw, then clockwise by roll, in a 600 x 400 picture. */
static face turned(double yaw, double roll, vector look) {
    face f = { 0 };
    for (int i = 0; i < FACE_LANDMARKS; i++) f.landmarks[i] = (face_point){ 0.5f, 0.5f, 0 };
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        vector p = head[i].at;
        if (head[i].number >= 468) p = (vector){ p.x + look.x, p.y + look.y, p.z };
        double x = p.x * cos(yaw * radian) - p.z * sin(yaw * radian), z = p.x * sin(yaw * radian) + p.z * cos(yaw * radian);
        double u = x * cos(roll * radian) - p.y * sin(roll * radian), v = x * sin(roll * radian) + p.y * cos(roll * radian);
        f.landmarks[head[i].number] = (face_point){ (float)(0.5 + u / WIDTH), (float)(0.5 + v / HEIGHT), (float)(z / WIDTH) };
    }
    return f;
}

#define expect_near(got, want, within) \
    do { double g_ = (got), w_ = (want); if (!(fabs(g_ - w_) <= (within))) fail_msg("%s is %g, not %g", #got, g_, w_); } while (0)

static void test_yaw_and_roll(void **state) {
    (void)state;
    for (int yaw = -80; yaw <= 80; yaw += 20)
        for (int roll = -170; roll <= 170; roll += 34) {
            face f = turned(yaw, roll, (vector){ 0 });
            face_measures m = preview_measure(&f, WIDTH, HEIGHT);
            expect_near(m.yaw, yaw, 0.01);
            expect_near(m.roll, roll, 0.01);
        }
}

static void test_gaze(void **state) {
    (void)state;
    for (int roll = -180; roll < 180; roll += 45) {
        face f = turned(0, roll, (vector){ 8, -4, 0 });   /* the eyes are 40 wide */
        face_measures m = preview_measure(&f, WIDTH, HEIGHT);
        expect_near(m.gaze_x, 0.2, 1e-4);
        expect_near(m.gaze_y, -0.1, 1e-4);
    }
    face straight = turned(0, 0, (vector){ 0 });
    face_measures m = preview_measure(&straight, WIDTH, HEIGHT);
    expect_near(m.gaze_x, 0, 1e-5);
    expect_near(m.gaze_y, 0, 1e-5);
}

static void test_sizes_and_mouth(void **state) {
    (void)state;
    face f = turned(0, 0, (vector){ 0 });
    face_measures m = preview_measure(&f, WIDTH, HEIGHT);
    expect_near(m.size, 120, 0.01);             /* 164 wide, 120 high */
    expect_near(m.share, 30, 0.01);
    expect_near(m.mouth, 0.2, 1e-4);
    f = turned(60, 20, (vector){ 0 });
    m = preview_measure(&f, WIDTH, HEIGHT);
    expect_near(m.mouth, 0.2, 1e-4);            /* however the head is turned */
}

/* All points in one place: nothing can be told, and nothing is counted. */
static void test_no_extent(void **state) {
    (void)state;
    face f = { 0 };
    face_measures m = preview_measure(&f, WIDTH, HEIGHT);
    assert_true(isnan(m.yaw) && isnan(m.roll) && isnan(m.gaze_x) && isnan(m.gaze_y) && isnan(m.mouth));
    statistics *s = statistics_new();
    mien_statistics out;
    statistics_add_face(s, &m);
    statistics_finish(s, &out);
    assert_int_equal(out.histogram[MIEN_YAW].count, 0);
    assert_int_equal(out.histogram[MIEN_FACE_SIZE].count, 1);
    statistics_free(s);
}

/* A photo and its mirror picture look and turn to opposite sides. */
static void test_mirror(void **state) {
    (void)state;
    fixtures_or_skip();
    double yaw[2], gaze[2];
    for (int i = 0; i < 2; i++) {
        json_t *j = fixture_json(fixture_path("faces/ref/sideways_%s.json", i ? "mirror" : "source"));
        faces f = fixture_faces(j);
        face_measures m = preview_measure(&f.face[0], f.width, f.height);
        yaw[i] = m.yaw;
        gaze[i] = m.gaze_x;
        free(f.face);
        json_decref(j);
    }
    expect_near(yaw[0], 52, 3);
    expect_near(yaw[1], -52, 3);
    assert_true(gaze[0] > 0.05 && gaze[1] < -0.05);
    json_t *j = fixture_json(fixture_path("faces/ref/screaming_source.json"));
    faces f = fixture_faces(j);
    face_measures m = preview_measure(&f.face[0], f.width, f.height);
    assert_true(fabs(m.yaw) < 5 && m.mouth > 0.8);
    free(f.face);
    json_decref(j);
}

/* ---- histograms ----------------------------------------------------------------------------------------------------- */

static uint64_t total(const mien_histogram *h) {
    uint64_t n = h->below + h->above;
    for (int i = 0; i < h->bins; i++) n += h->bin[i];
    return n;
}

static void test_histogram(void **state) {
    (void)state;
    statistics *s = statistics_new();
    static const double sides[] = { 512, 512, 512, 640, 384, 100000, 0, 511, 512 };
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) statistics_add(s, MIEN_SHORT_SIDE, sides[i]);
    static const double yaws[] = { -1, 1, -89, 89, 0, -500, 500, NAN };
    for (size_t i = 0; i < sizeof yaws / sizeof *yaws; i++) statistics_add(s, MIEN_YAW, yaws[i]);
    for (int i = 0; i < 12; i++) statistics_add(s, MIEN_FACES, i);
    mien_statistics out;
    statistics_finish(s, &out);
    const mien_histogram *h = &out.histogram[MIEN_SHORT_SIDE];
    assert_string_equal(h->name, "short_side");
    assert_int_equal(h->count, 9);
    assert_int_equal(h->above, 1);
    assert_int_equal(h->bin[512 / 32], 4);
    assert_int_equal(h->bin[511 / 32], 1);
    assert_true(h->median == 512 && h->least == 0 && h->most == 100000);
    expect_near(h->mean, (512. * 4 + 640 + 384 + 100000 + 511) / 9, 1e-6);
    h = &out.histogram[MIEN_YAW];
    assert_int_equal(h->count, 7);
    assert_int_equal(h->below, 1);
    assert_int_equal(h->above, 1);
    expect_near(h->median, 0, 4. / 16);
    h = &out.histogram[MIEN_FACES];
    assert_int_equal(h->bin[0], 1);
    assert_int_equal(h->bin[10], 1);
    assert_int_equal(h->above, 1);
    assert_true(h->median == 5);
    for (int k = 0; k < MIEN_HISTOGRAMS; k++) {
        assert_int_equal(total(&out.histogram[k]), out.histogram[k].count);
        assert_true(out.histogram[k].bins > 0 && out.histogram[k].bins <= MIEN_BINS);
    }
    statistics_free(s);
}

/* Threads bring their items in any order: the same numbers, to the last bit. */
static void test_any_order(void **state) {
    (void)state;
    enum { N = 5000 };
    static double value[N];
    dice d = { 4711 };
    mien_statistics out[2];
    for (int i = 0; i < N; i++) value[i] = dice_between(&d, -1000000, 1000000) * 1e-4 / 3;
    for (int k = 0; k < 2; k++) {
        statistics *s = statistics_new();
        for (int i = 0; i < N; i++) statistics_add(s, MIEN_YAW, value[k ? i : (i * 7 + 13) % N]);
        statistics_finish(s, &out[k]);
        statistics_free(s);
    }
    const mien_histogram *a = &out[0].histogram[MIEN_YAW], *b = &out[1].histogram[MIEN_YAW];
    expect_equal_bytes("bins", a->bin, b->bin, sizeof a->bin);
    assert_true(a->count == N && b->count == N && a->mean == b->mean && a->median == b->median && a->least == b->least && a->most == b->most);
}

/* ---- the draw ------------------------------------------------------------------------------------------------------- */

static void test_draw(void **state) {
    (void)state;
    uint64_t got[100], again[100], seen[100] = { 0 };
    for (uint64_t seed = 0; seed < 2000; seed++) {
        preview_draw(100, 24, seed, got);
        for (int i = 0; i < 24; i++) {
            assert_true(got[i] < 100 && (i == 0 || got[i] > got[i - 1]));
            seen[got[i]]++;
        }
    }
    for (int i = 0; i < 100; i++)
        if (seen[i] < 380 || seen[i] > 580) fail_msg("%d was drawn %u times, about 480 were expected", i, (unsigned)seen[i]);   /* 5 sigma */
    preview_draw(100, 24, 5, got);
    preview_draw(100, 24, 5, again);
    expect_equal_bytes("the same seed", got, again, 24 * sizeof *got);
    preview_draw(100, 24, 6, again);
    assert_memory_not_equal(got, again, 24 * sizeof *got);
    preview_draw(100, 100, 1, got);
    for (uint64_t i = 0; i < 100; i++) assert_int_equal(got[i], i);
    preview_draw(7, 0, 1, got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaw_and_roll), cmocka_unit_test(test_gaze), cmocka_unit_test(test_sizes_and_mouth), cmocka_unit_test(test_no_extent),
        cmocka_unit_test(test_mirror), cmocka_unit_test(test_histogram), cmocka_unit_test(test_any_order), cmocka_unit_test(test_draw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
