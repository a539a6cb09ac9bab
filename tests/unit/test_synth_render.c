/* SPDX-License-Identifier: Apache-2.0
 *
 * The rendered head: the same bytes on any thread and level, truth where the paint is, hostile parameters refused or held. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "base/error.h"
#include "synth/head.h"
#include "synth/render_scene.h"

/* A face that shows something of everything, by number. */
static synth_face some_face(int i) {
    synth_face f = synth_face_default();
    f.hair = i % SYNTH_HAIRS, f.beard = i % SYNTH_BEARDS, f.glasses = i % SYNTH_GLASSES_KINDS;
    f.background = i % SYNTH_BACKGROUNDS, f.clothes = i % SYNTH_CLOTHES_KINDS;
    f.age = 0.13f * (float)(i % 7), f.sex = i % 2 ? 0.7f : -0.7f, f.freckles = 0.5f;
    f.mouth = 0.2f * (float)(i % 5), f.smile = 0.3f * (float)(i % 4) - 0.2f;
    f.eyes[0] = 0.4f + 0.2f * (float)(i % 4), f.brows[1] = (float)(i % 3 - 1);
    f.yaw = 9 * (float)(i % 7 - 3), f.pitch = 6 * (float)(i % 5 - 2), f.roll = 11 * (float)(i % 5 - 2);
    f.gaze_x[0] = f.gaze_x[1] = 10 * (float)(i % 5 - 2), f.grain = 0.01f, f.seed = 77u * (uint32_t)i;
    return f;
}

static image rendered(const synth_face *f, int width, int height, cpu_level cpu) {
    image img;
    assert_int_equal(synth_render(f, width, height, cpu, &img), 0);
    assert_true(img.width == width && img.height == height);
    return img;
}

static uint64_t bytes_of(const image *img) {   /* FNV-1a */
    uint64_t h = 14695981039346656037ull;
    for (size_t i = 0; i < (size_t)img->width * (size_t)img->height * 3; i++) h = (h ^ img->rgb[i]) * 1099511628211ull;
    return h;
}

/* ---- the same bytes ----------------------------------------------------------------------------------------------------- */

enum { FACES = 8 };

typedef struct { int from, step; uint64_t hash[FACES]; } share;

static void *render_share(void *context) {
    share *s = context;
    for (int i = s->from; i < FACES; i += s->step) {
        synth_face f = some_face(i);
        image img;
        if (synth_render(&f, 96, 80, cpu_level_here(), &img) < 0) return context;
        s->hash[i] = bytes_of(&img);
        image_free(&img);
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    uint64_t one[FACES];
    for (int threads = 1; threads <= 3; threads++) {
        pthread_t thread[3];
        share part[3];
        for (int i = 0; i < threads; i++) {
            part[i] = (share){ .from = i, .step = threads };
            assert_int_equal(pthread_create(&thread[i], NULL, render_share, &part[i]), 0);
        }
        for (int i = 0; i < threads; i++) {
            void *failed;
            pthread_join(thread[i], &failed);
            assert_null(failed);
        }
        for (int i = 0; i < FACES; i++) {
            uint64_t h = part[i % threads].hash[i];
            if (threads == 1) one[i] = h;
            assert_true(h == one[i]);
            for (int k = 0; k < i; k++) assert_true(one[i] != one[k]);
        }
    }
}

static void test_levels(void **state) {
    (void)state;
    for (int i = 0; i < FACES; i++) {
        synth_face f = some_face(i);
        int size = i % 2 ? 61 : 120;   /* few pixels take several rays each */
        image plain = rendered(&f, size, 77, CPU_REFERENCE);
        for (cpu_level level = CPU_AVX2; level <= cpu_level_here() && level <= CPU_AVX512; level++) {
            image fast = rendered(&f, size, 77, level);
            assert_memory_equal(plain.rgb, fast.rgb, (size_t)size * 77 * 3);
            image_free(&fast);
        }
        image_free(&plain);
    }
}

/* The renderer's own sines, since libm's bits belong to a machine. */
static void test_sines(void **state) {
    (void)state;
    for (int i = -720; i <= 720; i++) {
        double s, c;
        scene_sincos(0.5 * i, &s, &c);
        assert_true(fabs(s - sin(0.5 * i * acos(-1) / 180)) < 1e-9 && fabs(c - cos(0.5 * i * acos(-1) / 180)) < 1e-9);
    }
}

/* ---- truth ---------------------------------------------------------------------------------------------------------------- */

enum { SIDE = 512 };

/* A big face, evenly lit, without what could lie before it. */
static synth_face plain_face(void) {
    synth_face f = synth_face_default();
    f.size = 0.8f, f.grain = 0, f.key = 0.4f, f.ambient = 0.6f, f.key_azimuth = 0, f.key_elevation = 10;
    f.skin = (synth_colour){ 0.85f, 0.7f, 0.6f };
    return f;
}
static synth_truth truth_of(const synth_face *f) {
    synth_truth t;
    assert_int_equal(synth_truth_find(f, SIDE, SIDE, &t), 0);
    return t;
}
/* The mean of a few pixels about a place, as a grey. */
static double grey_at(const image *img, double x, double y, int reach) {
    double sum = 0;
    int n = 0;
    for (int v = (int)y - reach; v <= (int)y + reach; v++)
        for (int u = (int)x - reach; u <= (int)x + reach; u++, n++) {
            assert_true(u >= 0 && v >= 0 && u < img->width && v < img->height);
            const uint8_t *p = img->rgb + ((size_t)v * (size_t)img->width + (size_t)u) * 3;
            sum += (p[0] + p[1] + p[2]) / 3.0;
        }
    return sum / n;
}

/* The pupil is the darkest spot thereabouts, wherever head and eyes turn. */
static void test_pupils(void **state) {
    (void)state;
    static const float turns[][6] = { { 0, 0, 0, 0, 0, 0 }, { 20, 0, 0, -15, 5, 0 }, { -25, 10, 20, 10, 8, 0 }, { 10, -10, -30, -20, -5, 0 } };
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        synth_face f = plain_face();
        f.yaw = turns[i][0], f.pitch = turns[i][1], f.roll = turns[i][2];
        for (int k = 0; k < 2; k++) f.gaze_x[k] = turns[i][3], f.gaze_y[k] = turns[i][4], f.eyes[k] = 1.2f;
        f.iris = (synth_colour){ 0.55f, 0.6f, 0.65f };
        f.key_azimuth = -80;   /* the catch light beside the pupil */
        synth_truth t = truth_of(&f);
        image img = rendered(&f, SIDE, SIDE, cpu_level_here());
        for (int mark = 468; mark <= 473; mark += 5) {
            const synth_point *p = synth_truth_point(&t, mark);
            assert_non_null(p);
            double pupil = grey_at(&img, p->x, p->y, 1), iris = 0;
            /* A ring within the iris, but beyond the pupil. */
            for (int s = -1; s <= 1; s += 2) iris += grey_at(&img, p->x + s * 0.40 * t.cm * cos(f.roll * 0.01745), p->y + s * 0.40 * t.cm * sin(f.roll * 0.01745), 0) / 2;
            assert_true(pupil < 70 && iris > pupil + 25);
        }
        image_free(&img);
    }
}

/* Between the lips' truth an open mouth is dark, beyond them it is not; closed, both fall together. */
static void test_mouth(void **state) {
    (void)state;
    synth_face f = plain_face();
    f.mouth = 0.8f, f.pitch = 5, f.yaw = 12;
    synth_truth t = truth_of(&f);
    const synth_point *upper = synth_truth_point(&t, 13), *lower = synth_truth_point(&t, 14);
    image img = rendered(&f, SIDE, SIDE, cpu_level_here());
    assert_true(lower->y - upper->y > 0.8 * 3.3 * t.cm * 0.8 && lower->y - upper->y < 0.8 * 3.3 * t.cm * 1.1);
    double inside = grey_at(&img, 0.5 * (upper->x + lower->x), upper->y + 0.6 * (lower->y - upper->y), 2);
    double above = grey_at(&img, upper->x, upper->y - 0.4 * t.cm, 2), below = grey_at(&img, lower->x, lower->y + 0.4 * t.cm, 2);
    assert_true(inside < 60 && above > 100 && below > 100);
    image_free(&img);
    f.mouth = 0;
    t = truth_of(&f);
    assert_true(fabsf(synth_truth_point(&t, 13)->y - synth_truth_point(&t, 14)->y) < 0.01f);
}

/* The upper lid's line is dark, and comes down as the eye closes; the white beside the iris is between the lids. */
static void test_lids(void **state) {
    (void)state;
    float gap = 1e9f;
    for (int i = 0; i <= 5; i++) {
        synth_face f = plain_face();
        f.eyes[0] = f.eyes[1] = 1.2f - 0.24f * (float)i;
        synth_truth t = truth_of(&f);
        image img = rendered(&f, SIDE, SIDE, cpu_level_here());
        for (int side = 0; side < 2; side++) {
            const synth_point *up = synth_truth_point(&t, side ? 386 : 159), *low = synth_truth_point(&t, side ? 374 : 145);
            assert_true(grey_at(&img, up->x, up->y - 0.07 * t.cm, 0) < grey_at(&img, up->x, up->y - 0.5 * t.cm, 0) - 40);
            if (side) {
                assert_true(low->y - up->y < gap);
                gap = low->y - up->y;
                if (i <= 2) assert_true(grey_at(&img, up->x + 0.75 * t.cm, 0.35 * up->y + 0.65 * low->y, 0) > 130);
            }
        }
        image_free(&img);
    }
    assert_true(gap > -0.01f && gap < 0.5f);
}

/* Signs: as head.h has them, in a picture. */
static void test_signs(void **state) {
    (void)state;
    synth_face f = plain_face();
    synth_truth t0 = truth_of(&f), t;
    f.yaw = 20, t = truth_of(&f), f.yaw = 0;
    assert_true(t.point[16].landmark == 1 && t.point[16].x > t0.point[16].x + 10);
    f.pitch = 15, t = truth_of(&f), f.pitch = 0;
    assert_true(t.point[16].y < t0.point[16].y - 10);
    f.roll = 20, t = truth_of(&f), f.roll = 0;
    assert_true(synth_truth_point(&t, 263)->y > synth_truth_point(&t, 33)->y + 20);
    assert_true(synth_truth_point(&t0, 263)->x > synth_truth_point(&t0, 33)->x);
    f.gaze_x[0] = 20, f.gaze_y[1] = 15, t = truth_of(&f);
    assert_true(synth_truth_point(&t, 468)->x > t.ahead[0].x + 5 && synth_truth_point(&t, 473)->y < t.ahead[1].y - 5);
    f = plain_face(), f.offset_x = 0.1f, f.offset_y = 0.1f, t = truth_of(&f);
    assert_true(t.point[16].x > t0.point[16].x + 40 && t.point[16].y < t0.point[16].y - 40);
    f = plain_face(), f.brows[1] = 1, t = truth_of(&f);
    assert_true(synth_truth_point(&t, 334)->y < synth_truth_point(&t0, 334)->y - 10 && fabsf(synth_truth_point(&t, 105)->y - synth_truth_point(&t0, 105)->y) < 1);
    assert_null(synth_truth_point(&t, 2));
}

/* ---- hostile parameters ----------------------------------------------------------------------------------------------------- */

static void test_refused(void **state) {
    (void)state;
    size_t n;
    const synth_parameter *p = synth_parameters(&n);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        image img = { 0 };
        synth_truth t;
        assert_true(p[i].offset == at);   /* every member is in the table, in order */
        at += 4 * (size_t)p[i].count;
        for (int k = 0; k < p[i].count; k++) {
            const float numbers[] = { NAN, INFINITY, -INFINITY };
            for (int j = 0; j < 3 && p[i].type == SYNTH_FLOAT; j++) {
                synth_face f = synth_face_default();
                memcpy((char *)&f + p[i].offset + 4 * (size_t)k, &numbers[j], 4);
                assert_int_equal(synth_render(&f, 64, 64, CPU_BEST, &img), ERR_USAGE);
                assert_non_null(strstr(error_message(), p[i].name));
                assert_int_equal(synth_truth_find(&f, 64, 64, &t), ERR_USAGE);
            }
            for (int kind = -1; kind <= (int)p[i].most + 1 && p[i].type == SYNTH_KIND; kind += (int)p[i].most + 2) {
                synth_face f = synth_face_default();
                memcpy((char *)&f + p[i].offset, &kind, 4);
                assert_int_equal(synth_render(&f, 64, 64, CPU_BEST, &img), ERR_USAGE);
            }
        }
        assert_null(img.rgb);
    }
    assert_true(at == sizeof(synth_face));
    static const int sizes[][2] = { { 0, 64 }, { 64, -1 }, { 15, 64 }, { 64, 4097 }, { INT32_MAX, INT32_MAX } };
    for (size_t i = 0; i < 5; i++) {
        synth_face f = synth_face_default();
        image img = { 0 };
        synth_truth t;
        assert_int_equal(synth_render(&f, sizes[i][0], sizes[i][1], CPU_BEST, &img), ERR_USAGE);
        assert_int_equal(synth_truth_find(&f, sizes[i][0], sizes[i][1], &t), ERR_USAGE);
    }
}

/* Far beyond a limit is the same as at it, and all limits at once still make a picture. */
static void test_held(void **state) {
    (void)state;
    size_t n;
    const synth_parameter *p = synth_parameters(&n);
    for (int high = 0; high < 2; high++) {
        synth_face far = synth_face_default(), limit = far;
        for (size_t i = 0; i < n; i++)
            for (int k = 0; k < p[i].count && p[i].type == SYNTH_FLOAT; k++) {
                float beyond = high ? 1e30f : -1e30f, at = high ? p[i].most : p[i].least;
                memcpy((char *)&far + p[i].offset + 4 * (size_t)k, &beyond, 4);
                memcpy((char *)&limit + p[i].offset + 4 * (size_t)k, &at, 4);
            }
        image a = rendered(&far, 48, 40, CPU_BEST), b = rendered(&limit, 48, 40, CPU_REFERENCE);
        assert_memory_equal(a.rgb, b.rgb, 48 * 40 * 3);
        image_free(&a), image_free(&b);
        synth_truth t;
        assert_int_equal(synth_truth_find(&far, 48, 40, &t), 0);
        for (int i = 0; i < SYNTH_POINTS; i++) assert_true(isfinite(t.point[i].x) && isfinite(t.point[i].y) && t.point[i].depth > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads), cmocka_unit_test(test_levels), cmocka_unit_test(test_sines), cmocka_unit_test(test_pupils),
        cmocka_unit_test(test_mouth), cmocka_unit_test(test_lids), cmocka_unit_test(test_signs), cmocka_unit_test(test_refused), cmocka_unit_test(test_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
