/* SPDX-License-Identifier: Apache-2.0
 *
 * Which found face answers which wanted one, and what is judged of them: permuted, missing, additional, too far; against every
 * assignment there is. */
#include <math.h>
#include <string.h>

#include "eval/judge.h"
#include "fixtures.h"

enum { SIDE = 320, WIDTH = 1600, HEIGHT = 900, MOST = 5 };
static face_point drawn[FACE_LANDMARKS];

static int load_face(void **unused) {
    (void)unused;
    float *p = fixture_f32("tests/golden/drawn_face.f32", 3 * FACE_LANDMARKS);
    for (int i = 0; i < FACE_LANDMARKS; i++) drawn[i] = (face_point){ p[3 * i], p[3 * i + 1], p[3 * i + 2] };
    free(p);
    return 0;
}

static face face_at(double scale, double dx, double dy) {
    face f = { .score = 1 };
    for (int i = 0; i < FACE_LANDMARKS; i++)
        f.landmarks[i] = (face_point){ (float)((drawn[i].x * SIDE * scale + dx) / WIDTH), (float)((drawn[i].y * SIDE * scale + dy) / HEIGHT),
                                       (float)(drawn[i].z * SIDE * scale / WIDTH) };
    return f;
}

/* The least price of rows i.. over the columns that are left, by trying all. */
static double least(const double *d, int n, int m, double most, int i, unsigned taken) {
    if (i == n) return 0;
    double best = most + least(d, n, m, most, i + 1, taken);
    for (int j = 0; j < m; j++)
        if (!(taken >> j & 1) && d[i * m + j] <= most) best = fmin(best, d[i * m + j] + least(d, n, m, most, i + 1, taken | 1u << j));
    return best;
}

static void test_best(void **unused) {
    (void)unused;
    dice dice = { 0x1234567 };
    for (int trial = 0; trial < 3000; trial++) {
        int n = dice_between(&dice, 0, MOST), m = dice_between(&dice, 0, MOST), pair[MOST], answered = 0;
        double d[MOST * MOST], most = 1, price = 0;
        for (int i = 0; i < n * m; i++) d[i] = dice_between(&dice, 0, 9) ? 2 * dice_unit(&dice) : dice_between(&dice, 0, 1) ? HUGE_VAL : NAN;
        int rc = match_distances(d, n, m, most, pair);
        unsigned taken = 0;
        for (int i = 0; i < n; i++) {
            if (pair[i] < 0) {
                price += most;
                continue;
            }
            assert_true(pair[i] < m && !(taken >> pair[i] & 1) && d[i * m + pair[i]] <= most);
            taken |= 1u << pair[i];
            price += d[i * m + pair[i]];
            answered++;
        }
        assert_int_equal(rc, answered);
        double want = least(d, n, m, most, 0, 0);
        if (fabs(price - want) > 1e-9) fail_msg("trial %d, %d x %d: %g, but %g can be had", trial, n, m, price, want);
    }
}

static void test_permuted(void **unused) {
    (void)unused;
    face wanted[MOST], found[MOST];
    static const int order[MOST] = { 3, 0, 4, 1, 2 };
    for (int i = 0; i < MOST; i++) {
        wanted[i] = face_at(0.8, 300 * i, 40 * i);
        found[order[i]] = face_at(0.8, 300 * i + 2, 40 * i);
    }
    faces w = { WIDTH, HEIGHT, MOST, wanted }, f = { WIDTH / 2, HEIGHT / 2, MOST, found };
    int pair[MOST];
    assert_int_equal(match_faces(&w, &f, match_most, pair), MOST);
    for (int i = 0; i < MOST; i++) assert_int_equal(pair[i], order[i]);
    judgement j;
    assert_int_equal(judge_faces(&w, &f, &j), 0);
    assert_true(j.wanted == MOST && j.found == MOST && j.matched == MOST);
    for (int i = 0; i < MOST; i++) {
        assert_int_equal(j.face[i].answer, order[i]);
        assert_true(fabs(j.face[i].error[ERROR_LANDMARKS] - j.error[ERROR_LANDMARKS]) < 1e-4 && j.error[ERROR_POSE] < 1e-2);
    }
    judgement_free(&j);
}

/* One that is too far is none; what nobody wanted is counted. */
static void test_far(void **unused) {
    (void)unused;
    face wanted[2] = { face_at(1, 0, 0), face_at(1, 700, 0) }, found[3] = { face_at(1, 705, 0), face_at(1, 1200, 400), face_at(1, 300, 0) };
    faces w = { WIDTH, HEIGHT, 2, wanted }, f = { WIDTH, HEIGHT, 3, found };
    judgement j;
    assert_int_equal(judge_faces(&w, &f, &j), 0);
    assert_true(j.wanted == 2 && j.found == 3 && j.matched == 1 && j.face[0].answer == -1 && j.face[1].answer == 0);
    assert_true(isnan(j.face[0].error[ERROR_LANDMARKS]) && isfinite(j.face[0].wanted[READ_YAW]) && isnan(j.face[0].found[READ_YAW]));
    assert_true(j.error[ERROR_LANDMARKS] == j.face[1].error[ERROR_LANDMARKS]);
    assert_true(j.score > (JUDGE_MISSED + 2 * JUDGE_MISSED) / 2.0 - 1e-9 && j.score < (JUDGE_MISSED + 2 * JUDGE_MISSED) / 2.0 + 1);
    judgement_free(&j);

    f.count = 0;
    assert_int_equal(judge_faces(&w, &f, &j), 0);
    assert_true(j.matched == 0 && isnan(j.error[ERROR_LANDMARKS]) && j.score == JUDGE_MISSED);
    judgement_free(&j);
    w.count = 0;
    assert_int_equal(judge_faces(&w, &f, &j), 0);
    assert_true(j.wanted == 0 && j.score == 0);
    judgement_free(&j);
}

/* The more it obeys, the lower. */
static void test_score(void **unused) {
    (void)unused;
    face wanted = face_at(1, 100, 100), found;
    faces w = { WIDTH, HEIGHT, 1, &wanted }, f = { WIDTH, HEIGHT, 1, &found };
    double before = -1;
    for (int k = 0; k < 5; k++) {
        judgement j;
        found = face_at(1, 100 + 4 * k, 100);
        for (int i = 468; i < FACE_LANDMARKS; i++) found.landmarks[i].x += 0.002f * (float)k;
        assert_int_equal(judge_faces(&w, &f, &j), 0);
        assert_true(j.score > before && (k > 0 || j.score == 0));
        before = j.score;
        judgement_free(&j);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best), cmocka_unit_test(test_permuted), cmocka_unit_test(test_far), cmocka_unit_test(test_score),
    };
    return cmocka_run_group_tests(tests, load_face, NULL);
}
