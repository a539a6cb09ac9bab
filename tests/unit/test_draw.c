/* SPDX-License-Identifier: Apache-2.0 */
#include "fixtures.h"

#include "image/draw.h"

/* 400 segments, many crossing the edge, each alone on its 48x48 canvas: as OpenCV 4.11 drew them. */
static void test_lines_of_opencv(void **state) {
    (void)state;
    fixtures_or_skip();
    json_t *j = fixture_json(fixture_path("draw/lines.json")), *segments = json_object_get(j, "segments");
    image want = fixture_image(fixture_path("draw/lines.png"));
    int cell = (int)json_integer_value(json_object_get(j, "cell")), columns = (int)json_integer_value(json_object_get(j, "cols"));
    size_t n = json_array_size(segments), bad = 0;
    assert_int_equal(n, 400);
    image got = { cell, cell, malloc((size_t)cell * (size_t)cell * 3) };
    for (size_t k = 0; k < n; k++) {
        int v[7], x0 = (int)k % columns * cell, y0 = (int)k / columns * cell;
        for (size_t i = 0; i < 7; i++) v[i] = (int)json_integer_value(json_array_get(json_array_get(segments, k), i));
        memset(got.rgb, 0, (size_t)cell * (size_t)cell * 3);
        draw_line2(&got, v[0], v[1], v[2], v[3], (image_colour){ (uint8_t)v[4], (uint8_t)v[5], (uint8_t)v[6] });
        for (int y = 0; y < cell; y++)
            if (memcmp(got.rgb + (size_t)(y * cell) * 3, want.rgb + (size_t)((y0 + y) * want.width + x0) * 3, (size_t)cell * 3)) {
                if (bad++ == 0) print_message("segment %zu (%d,%d)-(%d,%d) differs in row %d\n", k, v[0], v[1], v[2], v[3], y);
                break;
            }
    }
    assert_int_equal(bad, 0);
    free(got.rgb);
    image_free(&want);
    json_decref(j);
}

/* One number for 3,000 random lines on small canvases, from far outside too. The code that gives it was compared with
 * OpenCV 4.11.0 on the same lines: see tests/reference/lines_opencv.py. */
static void test_lines_golden(void **state) {
    (void)state;
    dice d = { 20240607 };
    uint64_t sum = 0;
    for (int k = 0; k < 3000; k++) {
        int w = dice_between(&d, 1, 60), h = dice_between(&d, 1, 60), reach = k % 4 == 0 ? 40000 : k % 4 == 1 ? 100 : 8;
        int x0 = dice_between(&d, -reach, w + reach), y0 = dice_between(&d, -reach, h + reach);
        int x1 = dice_between(&d, -reach, w + reach), y1 = dice_between(&d, -reach, h + reach);
        image canvas = { w, h, calloc((size_t)w * (size_t)h, 3) };
        draw_line2(&canvas, x0, y0, x1, y1, (image_colour){ 255, 7, 99 });
        sum = sum * 31 + fnv1a(canvas.rgb, (size_t)w * (size_t)h * 3);
        free(canvas.rgb);
    }
    assert_int_equal(sum, 0xa48353f489a43891ULL);
}

/* The far corners of what is allowed: nothing outside the canvas is touched (the sanitizers see it), and it ends. */
static void test_far_ends(void **state) {
    (void)state;
    image canvas = { 7, 5, calloc(7 * 5, 3) };
    const int far[] = { -(1 << 20), -1, 0, 3, 6, 1 << 20 };
    for (int i = 0; i < 6 * 6 * 6 * 6; i++)
        draw_line2(&canvas, far[i % 6], far[i / 6 % 6], far[i / 36 % 6], far[i / 216], (image_colour){ 1, 2, 3 });
    for (int i = 0; i < 7 * 5; i++) assert_int_equal(canvas.rgb[i * 3 + 2], 3);
    free(canvas.rgb);
}

static void test_rectangle(void **state) {
    (void)state;
    image canvas = { 6, 4, calloc(6 * 4, 3) };
    draw_rectangle(&canvas, 4, -3, 9, 2, (image_colour){ 9, 8, 7 });
    draw_rectangle(&canvas, 2, 2, 2, 4, (image_colour){ 1, 1, 1 });
    draw_rectangle(&canvas, 3, 2, 1, 4, (image_colour){ 1, 1, 1 });
    draw_rectangle(&canvas, -8, 0, 0, 4, (image_colour){ 1, 1, 1 });
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 6; x++) assert_int_equal(canvas.rgb[(y * 6 + x) * 3], x >= 4 && y < 2 ? 9 : 0);
    free(canvas.rgb);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_opencv), cmocka_unit_test(test_lines_golden), cmocka_unit_test(test_far_ends),
        cmocka_unit_test(test_rectangle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
