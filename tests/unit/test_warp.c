/* SPDX-License-Identifier: Apache-2.0 */
#include "fixtures.h"

#include <math.h>

#include "image/warp.h"

static const char *const stages[] = { "neutral_source", "collage4", "neutral_rot20", "wide" };

static image stage_photo(const char *stage) {
    const char *path = fixture_path("faces/photos/%s.jpg", stage);
    return fixture_image(access(path, R_OK) == 0 ? path : fixture_path("faces/photos/%s.png", stage));
}

/* The letterboxes and crops of the staged photos, from their own rectangles. */
static void test_stages(void **state) {
    (void)state;
    fixtures_or_skip();
    uint8_t *got = malloc(192 * 192 * 3);
    int crops = 0;
    for (int s = 0; s < 4; s++) {
        image photo = stage_photo(stages[s]), want = fixture_image(fixture_path("faces/stages/%s/detector_input.png", stages[s]));
        float w = (float)photo.width, h = (float)photo.height, side = w > h ? w : h;
        image_warp_u8(&photo, (warp_rect){ w / 2, h / 2, side, side, 0 }, WARP_ZERO, 128, 128, got);
        expect_equal_bytes(stages[s], got, want.rgb, 128 * 128 * 3);
        image_free(&want);
        json_t *j = fixture_json(fixture_path("faces/stages/%s/stages.json", stages[s])), *rois = json_object_get(j, "rois");
        for (size_t k = 0; k < json_array_size(rois); k++, crops++) {
            const char *names[] = { "x_center", "y_center", "width", "height", "rotation" };
            float v[5];
            for (int i = 0; i < 5; i++) {
                json_t *roi = json_array_get(rois, k), *x = json_is_array(roi) ? json_array_get(roi, (size_t)i) : json_object_get(roi, names[i]);
                assert_true(json_is_number(x));
                v[i] = (float)json_number_value(x);
            }
            const char *path = fixture_path("faces/stages/%s/crop%zu.png", stages[s], k);
            if (access(path, R_OK) != 0) break;   /* the first two of collage4 alone */
            want = fixture_image(path);
            image_warp_u8(&photo, (warp_rect){ v[0] * w, v[1] * h, v[2] * w, v[3] * h, v[4] }, WARP_REPLICATE, 192, 192, got);
            expect_equal_bytes(stages[s], got, want.rgb, 192 * 192 * 3);
            image_free(&want);
        }
        json_decref(j);
        image_free(&photo);
    }
    assert_int_equal(crops, 5);
    free(got);
}

static image random_picture(dice *d, int most) {
    int kind = dice_between(d, 0, 9);
    int w = kind == 0 ? dice_between(d, 1, 4) : dice_between(d, 1, kind < 3 ? most : 300);
    int h = kind == 1 ? dice_between(d, 1, 4) : dice_between(d, 1, kind < 3 ? most : 300);
    image img = { w, h, malloc((size_t)w * (size_t)h * 3) };
    for (size_t i = 0; i < (size_t)w * (size_t)h * 3; i++) img.rgb[i] = (uint8_t)dice_u32(d);
    return img;
}

static warp_rect random_rect(dice *d, const image *img) {
    float w = (float)img->width, h = (float)img->height, side = w > h ? w : h;
    if (dice_between(d, 0, 5) == 0) return (warp_rect){ w / 2, h / 2, side, side, 0 };
    float size = side * (float)(dice_unit(d) * dice_unit(d) * 3);
    warp_rect r = { w * (float)(dice_unit(d) * 2 - 0.5), h * (float)(dice_unit(d) * 2 - 0.5), size, size, (float)(dice_unit(d) * 7 - 3.5) };
    if (dice_between(d, 0, 9) == 0) r.height = size * (float)dice_unit(d);
    if (dice_between(d, 0, 9) == 0) r.rotation = (float)(M_PI / 2) * (float)dice_between(d, -2, 2);
    const float odd[] = { NAN, INFINITY, -INFINITY, 0, 1e30f, -1e9f };
    float *field[] = { &r.cx, &r.cy, &r.width, &r.height, &r.rotation };
    if (dice_between(d, 0, 19) == 0) *field[dice_between(d, 0, 4)] = odd[dice_between(d, 0, 5)];
    return r;
}

/* Each faster level against the scalar loop; the picture stands at the very end of its block, so that the sanitizers see
 * a load that leaves it. WARP_CASES=10000 for the long form. */
static void test_levels_agree(void **state) {
    (void)state;
    const char *text = getenv("WARP_CASES");
    int cases = text ? atoi(text) : 600;
    float *want = malloc(192 * 192 * 3 * sizeof *want), *got = malloc(192 * 192 * 3 * sizeof *got);
    dice d = { 77 };
    for (int k = 0; k < cases; k++) {
        uint64_t seed = d.s;
        image img = random_picture(&d, 3000);
        for (int n = 0; n < (img.width > 1000 ? 4 : 1); n++, k++) {
            warp_rect r = random_rect(&d, &img);
            warp_border border = dice_between(&d, 0, 1) ? WARP_REPLICATE : WARP_ZERO;
            const int sizes[] = { 128, 192, 8, 72 };
            warp_target t = { sizes[dice_between(&d, 0, 9) % 4], 0, 2 / 255.0f, -1 };
            t.height = t.width == 128 || t.width == 192 ? t.width : dice_between(&d, 1, 40);
            size_t count = (size_t)t.width * (size_t)t.height * 3;
            image_warp(&img, r, border, t, CPU_REFERENCE, want);
            for (cpu_level cpu = CPU_AVX2; cpu <= CPU_AVX512 && cpu <= cpu_level_here(); cpu++) {
                memset(got, 0xff, count * sizeof *got);
                image_warp(&img, r, border, t, cpu, got);
                char what[200];
                snprintf(what, sizeof what, "%s, seed %llu, case %d: %dx%d, rect %g %g %g %g %g, border %d, target %dx%d", cpu_level_name(cpu),
                         (unsigned long long)seed, k, img.width, img.height, (double)r.cx, (double)r.cy, (double)r.width, (double)r.height,
                         (double)r.rotation, border, t.width, t.height);
                expect_equal_bits(what, got, want, count);
            }
        }
        image_free(&img);
    }
    free(want);
    free(got);
}

/* The scalar loop's own sum over 60 random warps, recorded when it equalled all fixtures: works without them. */
static void test_golden(void **state) {
    (void)state;
    dice d = { 4242 };
    uint64_t sum = 0;
    uint8_t *out = malloc(192 * 192 * 3);
    for (int k = 0; k < 60; k++) {
        image img = random_picture(&d, 500);
        warp_rect r = { (float)(img.width * dice_unit(&d)), (float)(img.height * dice_unit(&d)), 0, 0, (float)(dice_unit(&d) * 6 - 3) };
        r.width = r.height = (float)img.width * (float)dice_unit(&d) + 1;
        image_warp_u8(&img, r, k & 1 ? WARP_REPLICATE : WARP_ZERO, 128, 128, out);
        sum = sum * 31 + fnv1a(out, 128 * 128 * 3);
        image_free(&img);
    }
    free(out);
    assert_int_equal(sum, 0x879cf0a10106b051ULL);
}

/* 255 becomes the reference's 1.0000001 for the detector. */
static void test_range(void **state) {
    (void)state;
    image white = { 9, 9, malloc(9 * 9 * 3) };
    memset(white.rgb, 255, 9 * 9 * 3);
    float out[16 * 16 * 3];
    for (cpu_level cpu = CPU_REFERENCE; cpu <= CPU_AVX512 && cpu <= cpu_level_here(); cpu++) {
        image_warp(&white, (warp_rect){ 4, 4, 4, 4, 0.3f }, WARP_ZERO, (warp_target){ 16, 16, 2 / 255.0f, -1 }, cpu, out);
        for (int i = 0; i < 16 * 16 * 3; i++) assert_true(out[i] == fmaf(255, 2 / 255.0f, -1) && out[i] > 1);
    }
    image_free(&white);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages), cmocka_unit_test(test_levels_agree), cmocka_unit_test(test_golden), cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
