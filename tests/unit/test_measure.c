/* SPDX-License-Identifier: Apache-2.0
 *
 * What is measured between two faces, where the answer was planted: points moved, irises swapped, heads turned, lids and lips
 * opened by so much. The face is the drawn one of the goldens, 320 x 320. */
#include <math.h>
#include <string.h>

#include "eval/measure.h"
#include "face/topology.h"
#include "fixtures.h"

enum { SIDE = 320, WIDTH = 800, HEIGHT = 600 };
static face plain;              /* in WIDTH x HEIGHT */

static int load_face(void **unused) {
    (void)unused;
    float *p = fixture_f32("tests/golden/drawn_face.f32", 3 * FACE_LANDMARKS);
    for (int i = 0; i < FACE_LANDMARKS; i++)
        plain.landmarks[i] = (face_point){ (p[3 * i] * SIDE + 200) / WIDTH, (p[3 * i + 1] * SIDE + 100) / HEIGHT, p[3 * i + 2] * SIDE / WIDTH };
    free(p);
    return 0;
}

static void expect_near(const char *what, double got, double want, double most) {
    if (!(fabs(got - want) <= most)) fail_msg("%s: %.9g, not %.9g", what, got, want);
}

static void expect_all(const double *error, double landmarks, double rest, double most) {
    for (int i = 0; i < ERRORS; i++) expect_near(measure_errors[i].key, error[i], i <= ERROR_IRISES ? landmarks : rest, most);
}

/* ---- pixels, x right, y down, z away: the face's own coordinates in WIDTH x HEIGHT ------------------------------------ */

typedef struct { double v[3]; } spot;

static spot spot_of(const face *f, int i) {
    face_point p = f->landmarks[i];
    return (spot){ { (double)p.x * WIDTH, (double)p.y * HEIGHT, (double)p.z * WIDTH } };
}

static void put(face *f, int i, spot s) {
    f->landmarks[i] = (face_point){ (float)(s.v[0] / WIDTH), (float)(s.v[1] / HEIGHT), (float)(s.v[2] / WIDTH) };
}

static void move(face *f, int i, double x, double y, double z) {
    spot s = spot_of(f, i);
    s.v[0] += x, s.v[1] += y, s.v[2] += z;
    put(f, i, s);
}

static double between(const face *f, int i, int j) {
    spot a = spot_of(f, i), b = spot_of(f, j);
    double x = a.v[0] - b.v[0], y = a.v[1] - b.v[1], z = a.v[2] - b.v[2];
    return sqrt(x * x + y * y + z * z);
}

static double iod(const face *f) { return between(f, 33, 263); }

/* About the middle of the points; r is for x right, y up, z to the camera. */
static face rotated(const face *f, const double r[3][3]) {
    spot c = { { 0 } };
    face out = *f;
    for (int i = 0; i < FACE_LANDMARKS; i++)
        for (int k = 0; k < 3; k++) c.v[k] += spot_of(f, i).v[k] / FACE_LANDMARKS;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        spot s = spot_of(f, i);
        double a[3] = { s.v[0] - c.v[0], -(s.v[1] - c.v[1]), -(s.v[2] - c.v[2]) }, b[3];
        for (int k = 0; k < 3; k++) b[k] = r[k][0] * a[0] + r[k][1] * a[1] + r[k][2] * a[2];
        put(&out, i, (spot){ { c.v[0] + b[0], c.v[1] - b[1], c.v[2] - b[2] } });
    }
    return out;
}

static void turned_about(int axis, double degrees, double r[3][3]) {
    double a = degrees * M_PI / 180, c = cos(a), s = sin(a);
    int u = (axis + 1) % 3, v = (axis + 2) % 3;
    memset(r, 0, 9 * sizeof r[0][0]);
    r[axis][axis] = 1;
    r[u][u] = r[v][v] = c;
    r[v][u] = s;
    r[u][v] = -s;
}

/* The face with its head straight ahead. */
static face straight(void) {
    head_pose p;
    double back[3][3];
    assert_true(measure_pose(&plain, WIDTH, HEIGHT, &p));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) back[i][j] = p.rotation[j][i];
    return rotated(&plain, back);
}

/* ---- tests ----------------------------------------------------------------------------------------------------------- */

static void test_same(void **unused) {
    (void)unused;
    face_measure m;
    measure_faces(&plain, &plain, WIDTH, HEIGHT, &m);
    expect_all(m.error, 0, 0, 1e-12);
    for (int i = 0; i < READINGS; i++) assert_true(isfinite(m.wanted.value[i]) && m.wanted.value[i] == m.found.value[i]);
    assert_true(fabs(m.wanted.value[READ_YAW]) < 10 && fabs(m.wanted.value[READ_ROLL]) < 5 && fabs(m.wanted.value[READ_PITCH]) < 20);
    assert_true(m.wanted.value[READ_EYE_OPEN_0] > measure_closed);
}

static void test_moved(void **unused) {
    (void)unused;
    face_measure m;
    face f = plain;
    for (int i = 0; i < FACE_LANDMARKS; i++) move(&f, i, 3, -4, 0);
    measure_faces(&plain, &f, WIDTH, HEIGHT, &m);
    expect_all(m.error, 5 / iod(&plain), 0, 1e-4);
    expect_near("distance", measure_distance(&plain, &f, WIDTH, HEIGHT), 5 / iod(&plain), 1e-4);
}

/* Larger by a tenth about its middle: the readings are free of scale. */
static void test_scaled(void **unused) {
    (void)unused;
    face_measure m;
    double r[3][3] = { { 1.1, 0, 0 }, { 0, 1.1, 0 }, { 0, 0, 1.1 } };
    face f = rotated(&plain, r);
    measure_faces(&plain, &f, WIDTH, HEIGHT, &m);
    for (int i = ERROR_GAZE_X; i < ERRORS; i++) expect_near(measure_errors[i].key, m.error[i], 0, 1e-4);
    assert_true(m.error[ERROR_OVAL] > m.error[ERROR_EYES] && m.error[ERROR_EYES] > 0);
}

static void test_parts(void **unused) {
    (void)unused;
    static const struct { measure_error part; int group[2], points; } parts[] = {
        { ERROR_OVAL, { 0, 0 }, 36 }, { ERROR_BROWS, { 2, 4 }, 20 }, { ERROR_EYES, { 1, 3 }, 32 }, { ERROR_MOUTH, { 5, 5 }, 40 },
    };
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        face f = plain;
        bool done[FACE_LANDMARKS] = { false };
        int n = 0;
        for (int g = 0; g < 2; g++) {
            const int16_t *p = topology_groups[parts[k].group[g]].points;
            for (int i = 0; p[i] != TOPOLOGY_END || p[i + 1] != TOPOLOGY_END; i++)
                if (p[i] != TOPOLOGY_END && !done[p[i]]) move(&f, p[i], 0, 2, 0), done[p[i]] = true, n++;
        }
        assert_int_equal(n, parts[k].points);
        face_measure m;
        measure_faces(&plain, &f, WIDTH, HEIGHT, &m);
        for (int e = ERROR_OVAL; e <= ERROR_IRISES; e++)
            expect_near(measure_errors[e].key, m.error[e], e == (int)parts[k].part ? 2 / iod(&plain) : 0, 1e-4);
        expect_near("whole", m.error[ERROR_LANDMARKS], n * 2 / iod(&plain) / FACE_LANDMARKS, 1e-4);
    }
}

/* Of the pictures' sizes nothing but the aspect counts. */
static void test_other_size(void **unused) {
    (void)unused;
    face_measure a, b;
    face f = plain;
    for (int i = 0; i < FACE_LANDMARKS; i++) move(&f, i, i % 3, 0, 0);
    measure_faces(&plain, &f, WIDTH, HEIGHT, &a);
    measure_faces(&plain, &f, 2 * WIDTH, 2 * HEIGHT, &b);
    for (int i = 0; i < ERRORS; i++) expect_near(measure_errors[i].key, b.error[i], a.error[i], 1e-9);
    measure_faces(&plain, &f, WIDTH, 2 * HEIGHT, &b);
    assert_true(fabs(a.error[ERROR_EYE_OPEN] - b.error[ERROR_EYE_OPEN]) > 1e-3 || fabs(a.error[ERROR_LANDMARKS] - b.error[ERROR_LANDMARKS]) > 1e-3);
}

static void test_turned(void **unused) {
    (void)unused;
    face f = straight();
    static const struct { int axis; double degrees; measure_reading read; double sign; } turns[] = {
        { 1, 30, READ_YAW, 1 }, { 1, -12.5, READ_YAW, 1 }, { 0, 20, READ_PITCH, -1 }, { 0, -7, READ_PITCH, -1 }, { 2, 25, READ_ROLL, -1 }, { 2, -60, READ_ROLL, -1 },
        { 1, 0.01, READ_YAW, 1 },
    };
    for (size_t k = 0; k < sizeof turns / sizeof *turns; k++) {
        double r[3][3];
        face_measure m;
        turned_about(turns[k].axis, turns[k].degrees, r);
        face g = rotated(&f, r);
        measure_faces(&f, &g, WIDTH, HEIGHT, &m);
        expect_near("pose", m.error[ERROR_POSE], fabs(turns[k].degrees), 1e-3);
        for (int a = 0; a < 3; a++) {
            double want = a == (int)turns[k].read ? turns[k].sign * turns[k].degrees : 0;
            expect_near(measure_readings[a].key, m.wanted.value[a], 0, 1e-3);
            expect_near(measure_readings[a].key, m.found.value[a], want, 1e-3);
            expect_near(measure_errors[ERROR_YAW + a].key, m.error[ERROR_YAW + a], fabs(want), 1e-3);
        }
        for (int e = ERROR_EYE_OPEN; e < ERRORS; e++) expect_near(measure_errors[e].key, m.error[e], 0, 1e-4);   /* they turn along */
        expect_near("gaze", m.error[ERROR_GAZE_X] + m.error[ERROR_GAZE_Y], 0, 1e-4);
    }
}

/* Two turns one after the other: the angle between the heads is that of the rotation from one to the other, not a sum. */
static void test_turned_twice(void **unused) {
    (void)unused;
    double a[3][3], b[3][3];
    face f = straight();
    turned_about(1, 20, a);
    turned_about(0, 35, b);
    face g = rotated(&f, a), h = rotated(&g, b);
    face_measure m;
    measure_faces(&g, &h, WIDTH, HEIGHT, &m);
    expect_near("pose", m.error[ERROR_POSE], 35, 1e-3);
    measure_faces(&f, &h, WIDTH, HEIGHT, &m);
    double half = cos(20 * M_PI / 360) * cos(35 * M_PI / 360);   /* of quaternions about axes at right angles */
    expect_near("pose", m.error[ERROR_POSE], 2 * acos(half) * 180 / M_PI, 1e-3);
    measure_compare(&m.wanted, &m.found, m.error);
    expect_near("pose", m.error[ERROR_POSE], 2 * acos(half) * 180 / M_PI, 1e-3);
    assert_true(isnan(m.error[ERROR_LANDMARKS]));
}

static void move_irises(face *f, double x0, double y0, double x1, double y1) {
    for (int i = 0; i < TOPOLOGY_IRIS; i++) {
        move(f, TOPOLOGY_LEFT_PUPIL + i, x0, -y0, 0);
        move(f, TOPOLOGY_RIGHT_PUPIL + i, x1, -y1, 0);
    }
}

static void test_gaze(void **unused) {
    (void)unused;
    face f = straight(), g = f;
    double w0 = between(&f, 33, 133), w1 = between(&f, 362, 263);
    face_measure m;
    move_irises(&g, 0.2 * w0, 0.1 * w0, -0.1 * w1, 0.04 * w1);
    measure_faces(&f, &g, WIDTH, HEIGHT, &m);
    expect_near("gaze across", m.error[ERROR_GAZE_X], 0.15, 1e-3);
    expect_near("gaze up", m.error[ERROR_GAZE_Y], 0.07, 1e-3);
    expect_near("reading", m.found.value[READ_GAZE_X_0] - m.wanted.value[READ_GAZE_X_0], 0.2, 1e-3);
    expect_near("reading", m.found.value[READ_GAZE_Y_1] - m.wanted.value[READ_GAZE_Y_1], 0.04, 1e-3);
    expect_near("pose", m.error[ERROR_POSE], 0, 1e-9);
}

/* Someone who looks left, and one who looks right by as much. */
static void test_gaze_swapped(void **unused) {
    (void)unused;
    face f = straight();
    face_reading r;
    measure_read(&f, WIDTH, HEIGHT, &r);
    double w0 = between(&f, 33, 133), w1 = between(&f, 362, 263), *v = r.value;
    move_irises(&f, -v[READ_GAZE_X_0] * w0, -v[READ_GAZE_Y_0] * w0, -v[READ_GAZE_X_1] * w1, -v[READ_GAZE_Y_1] * w1);   /* straight ahead */
    face left = f, right = f;
    move_irises(&left, -0.12 * w0, 0, -0.12 * w1, 0);
    move_irises(&right, 0.12 * w0, 0, 0.12 * w1, 0);
    face_measure m;
    measure_faces(&left, &right, WIDTH, HEIGHT, &m);
    expect_near("gaze across", m.error[ERROR_GAZE_X], 0.24, 1e-3);
    expect_near("gaze up", m.error[ERROR_GAZE_Y], 0, 1e-3);
    for (int e = 0; e < MEASURE_EYES; e++) {
        expect_near("left", m.wanted.value[READ_GAZE_X_0 + e], -0.12, 1e-3);
        expect_near("right", m.found.value[READ_GAZE_X_0 + e], 0.12, 1e-3);
    }
}

static void test_openings(void **unused) {
    (void)unused;
    static const int lids[2][3] = { { 160, 159, 158 }, { 385, 386, 387 } }, lips[3] = { 82, 13, 312 };
    face f = straight(), g = f;
    double w0 = between(&f, 33, 133), w1 = between(&f, 362, 263);
    for (int i = 0; i < 3; i++) {
        move(&g, lids[0][i], 0, -0.1 * w0, 0);
        move(&g, lids[1][i], 0, 0.05 * w1, 0);
        move(&g, lips[i], 0, -0.2 * iod(&f), 0);
    }
    move(&g, 61, 0, -0.06 * iod(&f), 0);
    move(&g, 291, 0, -0.02 * iod(&f), 0);
    for (int i = 0; i < 5; i++) move(&g, (int[]){ 70, 63, 105, 66, 107 }[i], 0, -0.08 * iod(&f), 0);   /* of ten points */
    face_measure m;
    measure_faces(&f, &g, WIDTH, HEIGHT, &m);
    expect_near("eyes", m.error[ERROR_EYE_OPEN], 0.075, 1e-3);
    expect_near("left eye", m.found.value[READ_EYE_OPEN_0] - m.wanted.value[READ_EYE_OPEN_0], 0.1, 1e-3);
    expect_near("mouth", m.error[ERROR_MOUTH_OPEN], 0.2, 1e-3);
    expect_near("corners", m.error[ERROR_SMILE], 0.06, 1e-3);   /* up by 0.04, and the middle of the lips by 0.1 */
    expect_near("brows", m.error[ERROR_BROW], 0.02, 1e-3);
    expect_near("brow", m.found.value[READ_BROW_0] - m.wanted.value[READ_BROW_0], 0.04, 1e-3);
    expect_near("gaze", m.error[ERROR_GAZE_X] + m.error[ERROR_GAZE_Y], 0, 1e-9);
}

/* A closed eye has no gaze: the other one counts alone. */
static void test_closed(void **unused) {
    (void)unused;
    static const int upper[2][3] = { { 160, 159, 158 }, { 385, 386, 387 } }, lower[2][3] = { { 144, 145, 153 }, { 380, 374, 373 } };
    face f = straight(), g;
    face_measure m;
    for (int i = 0; i < 3; i++) put(&f, upper[0][i], spot_of(&f, lower[0][i]));
    g = f;
    move_irises(&g, 0.3 * between(&f, 33, 133), 0, 0.1 * between(&f, 362, 263), 0);
    measure_faces(&f, &g, WIDTH, HEIGHT, &m);
    expect_near("opening", m.wanted.value[READ_EYE_OPEN_0], 0, 1e-6);
    expect_near("gaze across", m.error[ERROR_GAZE_X], 0.1, 1e-3);
    for (int i = 0; i < 3; i++) put(&f, upper[1][i], spot_of(&f, lower[1][i]));
    measure_faces(&f, &g, WIDTH, HEIGHT, &m);
    assert_true(isnan(m.error[ERROR_GAZE_X]) && isnan(m.error[ERROR_GAZE_Y]) && isfinite(m.error[ERROR_EYE_OPEN]));
}

/* Faces that are none: no number, and no harm. */
static void test_degenerate(void **unused) {
    (void)unused;
    face spot_face = { .score = 1 }, line = plain, flat = plain, broken = plain;
    face_measure m;
    measure_faces(&spot_face, &plain, WIDTH, HEIGHT, &m);
    for (int i = 0; i < ERRORS; i++) assert_true(isnan(m.error[i]));
    assert_true(measure_distance(&spot_face, &plain, WIDTH, HEIGHT) == HUGE_VAL);
    measure_faces(&plain, &spot_face, WIDTH, HEIGHT, &m);
    assert_true(isnan(m.error[ERROR_POSE]) && isnan(m.error[ERROR_GAZE_X]) && isfinite(m.error[ERROR_LANDMARKS]));
    for (int i = 0; i < FACE_LANDMARKS; i++) line.landmarks[i].y = line.landmarks[i].z = 0, flat.landmarks[i].z = 0;
    measure_faces(&line, &plain, WIDTH, HEIGHT, &m);
    assert_true(isnan(m.error[ERROR_POSE]));
    measure_faces(&flat, &flat, WIDTH, HEIGHT, &m);      /* landmarks from elsewhere may lack depth */
    expect_all(m.error, 0, 0, 1e-12);
    broken.landmarks[10].x = NAN;
    measure_faces(&broken, &plain, WIDTH, HEIGHT, &m);
    assert_true(isnan(m.error[ERROR_LANDMARKS]) && isnan(m.error[ERROR_POSE]) && isfinite(m.error[ERROR_MOUTH]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same), cmocka_unit_test(test_moved), cmocka_unit_test(test_scaled), cmocka_unit_test(test_parts),
        cmocka_unit_test(test_other_size), cmocka_unit_test(test_turned), cmocka_unit_test(test_turned_twice), cmocka_unit_test(test_gaze),
        cmocka_unit_test(test_gaze_swapped), cmocka_unit_test(test_openings), cmocka_unit_test(test_closed), cmocka_unit_test(test_degenerate),
    };
    return cmocka_run_group_tests(tests, load_face, NULL);
}
