/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: every picture of tests/golden/image/ against what Pillow made of it, the fixture photos, and the limits. */
#include "fixtures.h"

#include "base/hash.h"

#define GOLDEN "tests/golden/"

static void expect_sha(const char *name, const image *img, const char *want) {
    uint8_t digest[32];
    char hex[65];
    sha256(img->rgb, (size_t)img->width * (size_t)img->height * 3, digest);
    sha256_hex(digest, hex);
    if (strcmp(hex, want)) fail_msg("%s: other pixels than Pillow's: %s, not %s", name, hex, want);
}

static int decode_golden(const char *name, const image_options *options, image *img) {
    char path[256];
    size_t size;
    uint8_t *data;
    snprintf(path, sizeof path, GOLDEN "image/%s", name);
    data = fixture_bytes(path, &size);
    int rc = image_decode(data, size, options, img);
    free(data);
    return rc;
}

static void goldens(void **state) {
    (void)state;
    char name[100], verdict[4], want[65];
    int width, height, taken = 0, refused = 0;
    FILE *table = fopen(GOLDEN "images.txt", "r");
    assert_non_null(table);
    while (fscanf(table, "%99s %3s", name, verdict) == 2) {
        image img = { 0 };
        int rc = decode_golden(name, NULL, &img);
        if (!strcmp(verdict, "no")) {
            if (rc == 0) fail_msg("%s: taken, and Pillow refuses it", name);
            if (img.rgb) fail_msg("%s: refused, but something was filled in", name);
            if (!error_message()[0]) fail_msg("%s: refused without a reason", name);
            refused++;
            continue;
        }
        if (rc < 0) fail_msg("%s: %s", name, error_message());
        assert_int_equal(fscanf(table, "%d %d %64s", &width, &height, want), 3);
        if (img.width != width || img.height != height) fail_msg("%s: %dx%d, not %dx%d", name, img.width, img.height, width, height);
        expect_sha(name, &img, want);
        image_free(&img);
        taken++;
    }
    fclose(table);
    assert_true(taken > 90 && refused > 30);
}

static void orientation(void **state) {
    (void)state;
    char name[100], want[65];
    int width, height, n = 0;
    FILE *table = fopen(GOLDEN "oriented.txt", "r");
    assert_non_null(table);
    for (; fscanf(table, "%99s %d %d %64s", name, &width, &height, want) == 4; n++) {
        image img;
        if (decode_golden(name, &(image_options){ .apply_exif = true }, &img) < 0) fail_msg("%s: %s", name, error_message());
        if (img.width != width || img.height != height) fail_msg("%s: %dx%d, not %dx%d", name, img.width, img.height, width, height);
        expect_sha(name, &img, want);
        image_free(&img);
    }
    fclose(table);
    assert_true(n >= 13);
}

/* What a file claims is checked before memory is taken for it. */
static void limits(void **state) {
    (void)state;
    static const char *const claims[] = { "wide_claim.jpg", "claim.png", "claim.webp", "claim.bmp", "claim.gif" };
    image img;
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        int rc = decode_golden(claims[i], NULL, &img);
        if (rc != ERR_LIMIT) fail_msg("%s: %d %s", claims[i], rc, error_message());
    }
    static const char *const whole[] = { "420.jpg", "rgb8.png", "lossy.webp", "24.bmp", "plain.gif" };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        image_options options = { .max_pixels = 0 };
        assert_int_equal(decode_golden(whole[i], &options, &img), 0);
        options.max_pixels = (size_t)img.width * (size_t)img.height;
        image_free(&img);
        assert_int_equal(decode_golden(whole[i], &options, &img), 0);
        image_free(&img);
        options.max_pixels--;
        assert_int_equal(decode_golden(whole[i], &options, &img), ERR_LIMIT);
    }
}

/* Every beginning of every golden: no crash (the sanitizers look on), and a reason whenever it is refused. */
static void beginnings(void **state) {
    (void)state;
    static const char *const names[] = { "progressive.jpg", "cmyk.jpg", "exif6.jpg", "mpo.jpg", "palette4i.png", "rgb16i.png", "apng.png", "xmp.png",
        "alpha.webp", "animated.webp", "rle4.bmp", "fields1.bmp", "os2.bmp", "interlaced.gif", "small_frame.gif" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        size_t size;
        snprintf(path, sizeof path, GOLDEN "image/%s", names[i]);
        uint8_t *data = fixture_bytes(path, &size);
        for (size_t n = 0; n < size; n++) {
            uint8_t *part = malloc(n ? n : 1);   /* of exactly that size, so that reading on is seen */
            memcpy(part, data, n);
            image img = { 0 };
            error_set(0, "%s", "");
            int rc = image_decode(part, n, &(image_options){ .apply_exif = true, .max_pixels = 1 << 20 }, &img);
            if (rc < 0 && !error_message()[0]) fail_msg("%s, %zu bytes: refused without a reason", names[i], n);
            image_free(&img);
            free(part);
        }
        free(data);
    }
}

static void fixture_photos(void **state) {
    (void)state;
    fixtures_or_skip();
    FILE *list = popen("ls $( [ -n \"$MIEN_SHARED\" ] && echo \"$MIEN_SHARED\" || echo ../shared )/fixtures/faces/ref/*.json", "r");
    assert_non_null(list);
    char path[1024];
    int n = 0;
    for (; fgets(path, sizeof path, list); n++) {
        path[strcspn(path, "\n")] = 0;
        json_t *j = fixture_json(path);
        const char *photo = json_string_value(json_object_get(j, "photo"));
        image img = fixture_image(fixture_path("faces/photos/%s", photo));
        assert_int_equal(img.width, json_integer_value(json_object_get(j, "width")));
        assert_int_equal(img.height, json_integer_value(json_object_get(j, "height")));
        expect_sha(photo, &img, json_string_value(json_object_get(j, "rgb_sha256")));
        image_free(&img);
        json_decref(j);
    }
    pclose(list);
    assert_true(n >= 57);
}

static void names(void **state) {
    (void)state;
    static const char *const known[] = { "a.jpg", "A.JPG", "x/y.jpeg", "a.jpe", "a.jfif", "a.PnG", "a.webp", "a.bmp", "a.gif", ".jpg" };
    static const char *const unknown[] = { "a", "", "a.txt", "jpg", "a.jpg/b", "a.jpg.txt", "a.", "a.tif", "x.png/" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) assert_true(image_name_known(known[i]));
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) assert_false(image_name_known(unknown[i]));
    assert_string_equal(image_format_name((const uint8_t *)"GIF89a", 6), "GIF");
    assert_null(image_format_name((const uint8_t *)"GIF89", 5));
    assert_null(image_format_name(NULL, 0));
}

static void memory(void **state) {
    (void)state;
    image img = { 0 };
    image_free(&img);
    image_free(NULL);
    assert_int_equal(image_new(0, 5, &img), ERR_USAGE);
    assert_int_equal(image_new(INT32_MAX, INT32_MAX, &img), ERR_MEMORY);
    assert_null(img.rgb);
    assert_int_equal(image_new(3, 2, &img), 0);
    for (int i = 0; i < 18; i++) assert_int_equal(img.rgb[i], 0);
    image_free(&img);
    assert_null(img.rgb);
}

/* A progressive JPEG of that size, of n scans without data, and filled up so that its size is no reason to refuse it. */
static int decode_scans(int width, int height, int n) {
    image small, out;
    uint8_t *data;
    size_t size, at = 0, room = (1 << 18) + 64 * (size_t)n;
    assert_int_equal(image_new(8, 8, &small), 0);
    assert_int_equal(image_encode_jpeg(&small, 75, &data, &size), 0);
    image_free(&small);
    uint8_t *file = calloc(1, room);
    assert_non_null(file);
    while (memcmp(data + at, "\xff\xda", 2) != 0) at++;
    memcpy(file, data, at);
    free(data);
    uint8_t *frame = file;
    while (memcmp(frame, "\xff\xc0", 2) != 0) frame++;
    const uint8_t other[] = { 0xff, 0xc2, 0, 17, 8, (uint8_t)(height >> 8), (uint8_t)height, (uint8_t)(width >> 8), (uint8_t)width };
    memcpy(frame, other, sizeof other);
    static const uint8_t scan[] = { 0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 0, 0 };
    for (int i = 0; i < n; i++, at += sizeof scan) memcpy(file + at, scan, sizeof scan);
    memcpy(file + room - 2, "\xff\xd9", 2);
    int rc = image_decode(file, room, NULL, &out);
    if (rc == 0) image_free(&out);
    free(file);
    return rc;
}

static void jpeg_scans(void **state) {
    (void)state;
    assert_int_equal(decode_scans(16, 16, 1), 0);
    assert_int_equal(decode_scans(16, 16, 100), 0);
    assert_int_equal(decode_scans(16, 16, 101), ERR_LIMIT);
    assert_string_equal(error_message(), "JPEG: more than 100 scans");
    assert_int_equal(decode_scans(16000, 16000, 26), ERR_LIMIT);
    assert_string_equal(error_message(), "JPEG: 26 scans of 256000000 pixels are too many");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens), cmocka_unit_test(orientation), cmocka_unit_test(limits), cmocka_unit_test(beginnings),
        cmocka_unit_test(fixture_photos), cmocka_unit_test(names), cmocka_unit_test(jpeg_scans), cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
