/* SPDX-License-Identifier: Apache-2.0
 *
 * --search auto: turned and small faces are found where they are, nothing is claimed in pictures without any, and what
 * the first look finds upright stays as it is. bench/search.c measures the same on hundreds of pictures. */
#include "faces.h"

#include "face/mesh.h"

static face_mesh *mesh;

static int open_mesh(void **state) {
    (void)state;
    const char *folder = getenv("MODELS_DIR");
    if (face_mesh_open(folder ? folder : "third_party/models", CPU_BEST, &mesh) < 0) fail_msg("%s", error_message());
    return 0;
}

static int close_mesh(void **state) {
    (void)state;
    face_mesh_close(mesh);
    return 0;
}

static faces look(const image *img, mien_search search, face_times *times) {
    face_settings s = { 5, 0.5f, search };
    faces out;
    if (face_mesh_find(mesh, img, &s, times, &out) < 0) fail_msg("%s", error_message());
    return out;
}

static image blank(int w, int h) {
    image img;
    assert_int_equal(image_new(w, h, &img), 0);
    return img;
}

static uint8_t *at(const image *img, int x, int y) { return img->rgb + ((size_t)y * (size_t)img->width + (size_t)x) * 3; }

/* Clockwise. */
static image turned(const image *img, int quarters) {
    int w = img->width, h = img->height;
    image out = quarters & 1 ? blank(h, w) : blank(w, h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int u = quarters == 0 ? x : quarters == 1 ? h - 1 - y : quarters == 2 ? w - 1 - x : y;
            int v = quarters == 0 ? y : quarters == 1 ? x : quarters == 2 ? h - 1 - y : w - 1 - x;
            memcpy(at(&out, u, v), at(img, x, y), 3);
        }
    return out;
}

/* Mean distance of the points, in widths of the face. x' = c*x - s*y (about the middle), as the turn does. */
static double error_after_turn(const face *want, const face *got, int quarters) {
    static const double cosine[] = { 1, 0, -1, 0 }, sine[] = { 0, 1, 0, -1 };
    double sum = 0, left = 9, right = -9;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        double x = want->landmarks[i].x - 0.5, y = want->landmarks[i].y - 0.5;
        double u = cosine[quarters] * x - sine[quarters] * y + 0.5, v = sine[quarters] * x + cosine[quarters] * y + 0.5;
        sum += hypot(u - got->landmarks[i].x, v - got->landmarks[i].y);
        left = fmin(left, want->landmarks[i].x), right = fmax(right, want->landmarks[i].x);
    }
    return sum / FACE_LANDMARKS / (right - left);
}

static void test_turned(void **state) {
    (void)state;
    fixtures_or_skip();
    static const char *const stems[] = { "neutral_source", "happy_source", "screaming_source" };   /* square pictures */
    for (int s = 0; s < 3; s++) {
        image photo = fixture_photo(stems[s]);
        assert_int_equal(photo.width, photo.height);
        faces want = look(&photo, MIEN_SEARCH_NONE, NULL);
        assert_int_equal(want.count, 1);
        for (int quarters = 1; quarters <= 3; quarters++) {
            image img = turned(&photo, quarters);
            faces got = look(&img, MIEN_SEARCH_AUTO, NULL);
            if (got.count != 1) fail_msg("%s turned by %d: %d faces", stems[s], quarters * 90, got.count);
            double e = error_after_turn(&want.face[0], &got.face[0], quarters);
            if (!(e < 0.08)) fail_msg("%s turned by %d: %g face widths off", stems[s], quarters * 90, e);
            free(got.face);
            image_free(&img);
        }
        free(want.face);
        image_free(&photo);
    }
}

/* The drawn face, by every quarter, and at 5% of the picture. Needs no fixtures. */
static void test_drawn_face(void **state) {
    (void)state;
    image face_image = drawn_face(), small, wide = blank(1000, 700);
    faces want = look(&face_image, MIEN_SEARCH_NONE, NULL);
    assert_int_equal(want.count, 1);
    for (int quarters = 0; quarters <= 3; quarters++) {
        image img = turned(&face_image, quarters);
        faces got = look(&img, MIEN_SEARCH_AUTO, NULL);
        assert_int_equal(got.count, 1);
        double e = error_after_turn(&want.face[0], &got.face[0], quarters);
        if (!(e < 0.08)) fail_msg("turned by %d: %g face widths off", quarters * 90, e);
        free(got.face);
        image_free(&img);
    }
    memset(wide.rgb, 190, 1000 * 700 * 3);
    assert_int_equal(image_resize(&face_image, 106, 106, RESIZE_LANCZOS, CPU_REFERENCE, &small), 0);
    for (int y = 0; y < 106; y++) memcpy(at(&wide, 333, 222 + y), at(&small, 0, y), 106 * 3);
    faces none = look(&wide, MIEN_SEARCH_NONE, NULL), got = look(&wide, MIEN_SEARCH_AUTO, NULL);
    assert_int_equal(none.count, 0);
    assert_int_equal(got.count, 1);
    assert_true(fabs(got.face[0].landmarks[468].x * 1000 - (333 + 128 * 106 / 320.0)) < 2);
    assert_true(fabs(got.face[0].landmarks[468].y * 700 - (222 + 147 * 106 / 320.0)) < 2);
    free(got.face);
    free(want.face);
    image_free(&small);
    image_free(&wide);
    image_free(&face_image);
}

/* A face 4% of the picture wide, in two places. */
static void test_small(void **state) {
    (void)state;
    fixtures_or_skip();
    image photo = fixture_photo("neutral_source"), small;
    faces want = look(&photo, MIEN_SEARCH_NONE, NULL);
    double left = 9, right = -9;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        left = fmin(left, want.face[0].landmarks[i].x);
        right = fmax(right, want.face[0].landmarks[i].x);
    }
    image img = blank(1000, 800);
    for (int y = 0; y < 800; y++)
        for (int x = 0; x < 1000; x++) at(&img, x, y)[0] = (uint8_t)(x / 8), at(&img, x, y)[1] = (uint8_t)(y / 5), at(&img, x, y)[2] = 90;
    int side = (int)(40 / (right - left) + 0.5);
    assert_int_equal(image_resize(&photo, side, side, RESIZE_LANCZOS, CPU_REFERENCE, &small), 0);
    const int places[2][2] = { { 137, 61 }, { 640, 500 } };
    for (int p = 0; p < 2; p++)
        for (int y = 0; y < side; y++) memcpy(at(&img, places[p][0], places[p][1] + y), at(&small, 0, y), (size_t)side * 3);
    faces none = look(&img, MIEN_SEARCH_NONE, NULL), got = look(&img, MIEN_SEARCH_AUTO, NULL);
    assert_int_equal(none.count, 0);
    assert_int_equal(got.count, 2);
    for (int p = 0; p < 2; p++) {
        double best = 9;
        for (int g = 0; g < 2; g++) {
            const face_point *a = got.face[g].landmarks, *b = want.face[0].landmarks;
            double sum = 0;
            for (int i = 0; i < FACE_LANDMARKS; i++)
                sum += hypot(a[i].x * 1000 - (places[p][0] + b[i].x * side), a[i].y * 800 - (places[p][1] + b[i].y * side));
            best = fmin(best, sum / FACE_LANDMARKS / 40);
        }
        assert_true(best < 0.08);
    }
    free(got.face);
    free(want.face);
    image_free(&img);
    image_free(&small);
    image_free(&photo);
}

/* What the first look finds upright is the same with it, to the bit. */
static void test_upright_stay(void **state) {
    (void)state;
    fixtures_or_skip();
    static const char *const stems[] = { "neutral_source", "happy_source", "sideways_source", "collage4", "wide", "pupil_top2", "dark" };
    for (size_t s = 0; s < sizeof stems / sizeof *stems; s++) {
        image photo = fixture_photo(stems[s]);
        faces none = look(&photo, MIEN_SEARCH_NONE, NULL), all = look(&photo, MIEN_SEARCH_AUTO, NULL);
        assert_int_equal(all.count, none.count);
        assert_true(none.count > 0);
        expect_equal_bytes(stems[s], all.face, none.face, (size_t)none.count * sizeof *none.face);
        free(none.face);
        free(all.face);
        image_free(&photo);
    }
}

/* Needs no fixtures: nothing there, nothing claimed, and the price is bounded. */
static void test_faceless(void **state) {
    (void)state;
    dice d = { 8 };
    const int sizes[][2] = { { 640, 480 }, { 1, 1 }, { 3, 900 }, { 700, 700 }, { 1200, 90 } };
    for (int k = 0; k < 10; k++) {
        image img = blank(sizes[k % 5][0], sizes[k % 5][1]);
        int cell = dice_between(&d, 1, 9);
        for (int y = 0; y < img.height; y++)
            for (int x = 0; x < img.width; x++)
                for (int c = 0; c < 3; c++)
                    at(&img, x, y)[c] = k < 5 ? (uint8_t)((x / cell * 37) ^ (y / cell * 91) ^ (c * 50)) : (uint8_t)(x * (c + 1) / 9 + y / 7);
        face_times times = { 0 };
        faces got = look(&img, MIEN_SEARCH_AUTO, &times);
        assert_int_equal(got.count, 0);
        assert_null(got.face);
        assert_in_range(times.detections, 4, 66);
        image_free(&img);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turned), cmocka_unit_test(test_drawn_face), cmocka_unit_test(test_small), cmocka_unit_test(test_upright_stay), cmocka_unit_test(test_faceless),
    };
    return cmocka_run_group_tests(tests, open_mesh, close_mesh);
}
