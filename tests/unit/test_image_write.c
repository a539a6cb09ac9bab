/* SPDX-License-Identifier: Apache-2.0
 *
 * Resizing and saving, against what Pillow recorded (tests/reference/golden_images.py). */
#include "fixtures.h"

#include "base/cpu.h"
#include "base/hash.h"
#include "image/resize_rows.h"

static image pattern(int width, int height, uint32_t seed) {
    image img;
    assert_int_equal(image_new(width, height, &img), 0);
    for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++) {
        seed = seed * 1664525u + 1013904223u;
        img.rgb[i] = (uint8_t)(seed >> 24);
    }
    return img;
}

static bool has_sha(const void *data, size_t size, const char *want) {
    uint8_t digest[32];
    char hex[65];
    sha256(data, size, digest);
    sha256_hex(digest, hex);
    return !strcmp(hex, want);
}

static void resize(void **state) {
    (void)state;
    char filter[10], want[65];
    int w, h, w2, h2, n = 0;
    FILE *table = fopen("tests/golden/resize.txt", "r");
    assert_non_null(table);
    for (; fscanf(table, "%d %d %d %d %9s %64s", &w, &h, &w2, &h2, filter, want) == 6; n++) {
        image in = pattern(w, h, (uint32_t)(w * h)), out;
        for (cpu_level cpu = CPU_REFERENCE; cpu <= cpu_level_here() && cpu <= CPU_AVX2; cpu++) {
            assert_int_equal(image_resize(&in, w2, h2, filter[0] == 'b' ? RESIZE_BICUBIC : RESIZE_LANCZOS, cpu, &out), 0);
            assert_int_equal(out.width, w2);
            assert_int_equal(out.height, h2);
            if (!has_sha(out.rgb, (size_t)w2 * (size_t)h2 * 3, want))
                fail_msg("%dx%d to %dx%d, %s, %s: other bytes than Pillow's", w, h, w2, h2, filter, cpu_level_name(cpu));
            image_free(&out);
        }
        image_free(&in);
    }
    fclose(table);
    assert_int_equal(n, 24);
    image in = pattern(2, 2, 1), out = { 0 };
    assert_int_equal(image_resize(&in, 0, 2, RESIZE_BICUBIC, CPU_REFERENCE, &out), ERR_USAGE);
    assert_null(out.rgb);
    image_free(&in);
}

/* Every window has the bytes of the whole. */
static void resize_windows(void **state) {
    (void)state;
    dice d = { 5 };
    for (int round = 0; round < 400; round++) {
        int w = dice_between(&d, 1, 50), h = dice_between(&d, 1, 50), w2 = round % 5 ? dice_between(&d, 1, 60) : w, h2 = round % 7 ? dice_between(&d, 1, 60) : h;
        image in = pattern(w, h, dice_u32(&d)), all, part;
        resize_filter filter = round % 2 ? RESIZE_BICUBIC : RESIZE_LANCZOS;
        cpu_level cpu = round % 3 ? cpu_level_here() : CPU_REFERENCE;
        image_window at = { .width = dice_between(&d, 1, w2), .height = dice_between(&d, 1, h2) };
        at.x = dice_between(&d, 0, w2 - at.width);
        at.y = dice_between(&d, 0, h2 - at.height);
        assert_int_equal(image_resize(&in, w2, h2, filter, cpu, &all), 0);
        assert_int_equal(image_resize_window(&in, w2, h2, &at, filter, cpu, &part), 0);
        assert_int_equal(part.width, at.width);
        assert_int_equal(part.height, at.height);
        for (int y = 0; y < at.height; y++)
            expect_equal_bytes("window", part.rgb + (size_t)y * (size_t)at.width * 3, all.rgb + ((size_t)(at.y + y) * (size_t)w2 + (size_t)at.x) * 3, (size_t)at.width * 3);
        image_free(&part);
        at.x = w2 - at.width + 1;
        assert_int_equal(image_resize_window(&in, w2, h2, &at, filter, cpu, &part), ERR_USAGE);
        image_free(&in);
        image_free(&all);
    }
}

/* The AVX2 loops against the plain ones, to the last pixel of the picture; weights of every size there can be. */
static void resize_levels(void **state) {
    (void)state;
    if (cpu_level_here() < CPU_AVX2) {
        print_message("skipped: no AVX2 here\n");
        skip();
    }
    dice d = { 1 };
    for (int round = 0; round < 300; round++) {
        int width = dice_between(&d, 1, 90), height = dice_between(&d, 1, 9), out = dice_between(&d, 1, 40), taps = dice_between(&d, 1, 5) * 4;
        image img = pattern(width, height, dice_u32(&d));
        int first[40], count[40];
        int32_t weight[40 * 20] = { 0 };
        int16_t split[40 * 40];
        for (int i = 0; i < out; i++) {
            first[i] = dice_between(&d, 0, width - 1);
            count[i] = dice_between(&d, 1, width - first[i] < taps ? width - first[i] : taps);
            for (int k = 0; k < count[i]; k++) weight[i * taps + k] = dice_between(&d, -(1 << 20), 1 << 22) / count[i];
        }
        for (int i = 0; i < out * taps; i++) {
            split[i / 4 * 8 + i % 4] = (int16_t)(weight[i] & 0x7fff);
            split[i / 4 * 8 + i % 4 + 4] = (int16_t)(weight[i] >> 15);
        }
        resize_coefficients c = { taps, first, count, weight, split };
        uint8_t a[40 * 3], b[40 * 3], rows_a[90 * 3], rows_b[90 * 3];
        size_t bytes = (size_t)width * 3;
        for (int y = 0; y < height; y++) {
            const uint8_t *in = img.rgb + (size_t)y * bytes, *end = img.rgb + (size_t)height * bytes;
            resize_horizontal_plain(&c, out, in, end, a);
            resize_horizontal_avx2(&c, out, in, end, b);
            expect_equal_bytes("horizontal", b, a, (size_t)out * 3);
        }
        resize_vertical_plain(weight, height < taps ? height : taps, img.rgb, bytes, bytes, rows_a);
        resize_vertical_avx2(weight, height < taps ? height : taps, img.rgb, bytes, bytes, rows_b);
        expect_equal_bytes("vertical", rows_b, rows_a, bytes);
        image_free(&img);
    }
}

/* libjpeg-turbo's encoder has been giving the same bytes for years; one that does not fails here, and only here. */
static void jpeg(void **state) {
    (void)state;
    char want[65];
    int w, h, quality, n = 0;
    FILE *table = fopen("tests/golden/jpeg.txt", "r");
    assert_non_null(table);
    for (; fscanf(table, "%d %d %d %64s", &w, &h, &quality, want) == 4; n++) {
        image in = pattern(w, h, (uint32_t)(w * h)), out;
        uint8_t *data;
        size_t size;
        assert_int_equal(image_encode_jpeg(&in, quality, &data, &size), 0);
        if (!has_sha(data, size, want)) fail_msg("%dx%d at quality %d: other bytes than Pillow's", w, h, quality);
        assert_int_equal(image_decode(data, size, NULL, &out), 0);
        free(data);
        image_free(&in);
        image_free(&out);
    }
    fclose(table);
    assert_int_equal(n, 9);
    image in = { 70000, 1, NULL };
    uint8_t *data = NULL;
    size_t size;
    assert_int_equal(image_encode_jpeg(&in, 75, &data, &size), ERR_LIMIT);
    assert_int_equal(image_encode_jpeg(&in, 0, &data, &size), ERR_USAGE);
    assert_null(data);
}

static void expect_round_trip(const image *in, const image_text *text, int n_text) {
    uint8_t *data;
    size_t size;
    image out;
    assert_int_equal(image_encode_png(in, text, n_text, &data, &size), 0);
    if (image_decode(data, size, NULL, &out) < 0) fail_msg("%dx%d: %s", in->width, in->height, error_message());
    assert_int_equal(out.width, in->width);
    assert_int_equal(out.height, in->height);
    expect_equal_bytes("png", out.rgb, in->rgb, (size_t)in->width * (size_t)in->height * 3);
    for (int i = 0; i < n_text; i++) {
        char value[64];
        assert_true(image_png_text(data, size, text[i].key, value, sizeof value));
        assert_string_equal(value, text[i].value);
    }
    image_free(&out);
    free(data);
}

static void png(void **state) {
    (void)state;
    static const int sizes[][2] = { { 1, 1 }, { 1, 300 }, { 300, 1 }, { 17, 23 }, { 512, 512 }, { 1000, 77 } };
    static const image_text text[] = { { "mien", "{\"format\":1}" }, { "Software", "" }, { "x", "y" } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        image img = pattern(sizes[i][0], sizes[i][1], 5);
        expect_round_trip(&img, text, (int)(i % 4));
        for (size_t k = 0; k < (size_t)img.width * (size_t)img.height * 3; k++) img.rgb[k] = k % 977 < 9 ? img.rgb[k] : 0;   /* much like a map */
        expect_round_trip(&img, NULL, 0);
        image_free(&img);
        assert_int_equal(image_new(sizes[i][0], sizes[i][1], &img), 0);
        expect_round_trip(&img, text, 1);
        memset(img.rgb, 200, (size_t)img.width * (size_t)img.height * 3);
        expect_round_trip(&img, text, 3);
        image_free(&img);
    }
}

static void png_text(void **state) {
    (void)state;
    image img = pattern(5, 5, 1);
    uint8_t *data;
    size_t size;
    char value[8] = "?";
    assert_int_equal(image_encode_png(&img, (image_text[]){ { "key", "1234567" }, { "other", "x" } }, 2, &data, &size), 0);
    assert_false(image_png_text(data, size, "ke", value, sizeof value));
    assert_false(image_png_text(data, size, "key", value, 7));   /* would not fit */
    assert_string_equal(value, "?");
    assert_true(image_png_text(data, size, "key", value, 8));
    assert_string_equal(value, "1234567");
    for (size_t n = 0; n < size; n++) image_png_text(data, n, "other", value, sizeof value);
    for (size_t i = 0; i < size; i++) {   /* one wrong bit, anywhere: the right answer or none */
        data[i] ^= 4;
        if (image_png_text(data, size, "key", value, sizeof value)) assert_string_equal(value, "1234567");
        data[i] ^= 4;
    }
    free(data);
    char key[81];
    memset(key, 'k', 80);
    key[80] = 0;
    assert_int_equal(image_encode_png(&img, &(image_text){ key, "" }, 1, &data, &size), ERR_USAGE);
    assert_int_equal(image_encode_png(&img, &(image_text){ "", "" }, 1, &data, &size), ERR_USAGE);
    image_free(&img);
}

/* FNV-1a of what Pillow 13's resize(..., Image.NEAREST) gives of the same pixels; 400 random sizes more were compared. */
static void test_nearest_is_pillows(void **state) {
    (void)state;
    static const struct { int w, h, width, height; uint64_t fnv; } cases[] = {
        { 18, 73, 109, 103, 0x9edac01aa17f5d2c }, { 640, 480, 680, 512, 0x3ad3bd00af7eeaea }, { 500, 333, 768, 512, 0x405e88e9e7d66453 }, { 7, 7, 1, 1, 0xd87eec1c621463de },
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        image a, b;
        assert_int_equal(image_new(cases[k].w, cases[k].h, &a), 0);
        for (size_t i = 0; i < (size_t)a.width * (size_t)a.height * 3; i++) a.rgb[i] = (uint8_t)((i * 2654435761u) >> 13);
        assert_int_equal(image_resize_nearest(&a, cases[k].width, cases[k].height, &b), 0);
        uint64_t got = fnv1a(b.rgb, (size_t)b.width * (size_t)b.height * 3);
        if (got != cases[k].fnv) fail_msg("%d x %d to %d x %d: %016lx", a.width, a.height, b.width, b.height, (unsigned long)got);
        image_free(&a);
        image_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_nearest_is_pillows),
        cmocka_unit_test(resize), cmocka_unit_test(resize_windows), cmocka_unit_test(resize_levels), cmocka_unit_test(jpeg), cmocka_unit_test(png), cmocka_unit_test(png_text) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
