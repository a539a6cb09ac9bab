/* SPDX-License-Identifier: Apache-2.0
 *
 * What generated pictures say of themselves: read from tests/golden/png_text/ (tests/reference/make_png_text.py), and written and read
 * again. */
#define _GNU_SOURCE   /* memmem */
#include "fixtures.h"

#include "image/png_text.h"

#define WORDS "a face, smiling\nNegative prompt: blurry\nSteps: 20, Sampler: DDIM, CFG scale: 9, Seed: 7, Size: 512x512"
#define FOREIGN "ein Gesicht, l\xc3\xa4""chelnd, \xe5\xbe\xae\xe7\xac\x91, \xf0\x9f\x99\x82\nSteps: 20"

static const struct { const char *file; int rc; const char *words; } readings[] = {
    { "ascii", 1, WORDS },
    { "latin1", 1, "caf\xc3\xa9, \xc3\x84rger\nSteps: 1" },
    { "itxt", 1, FOREIGN },
    { "itxt_packed", 1, FOREIGN },
    { "ztxt", 1, WORDS },
    { "two", 1, "first" },
    { "empty", 1, "" },
    { "utf8_in_text", 1, "l\xc3\xa4""chelnd" },
    { "bad_utf8", 1, "a\xef\xbf\xbd\xef\xbf\xbd" "b" },
    { "behind", 1, "behind the pixels" },
    { "xmp", 0, NULL },
    { "none", 0, NULL },
    { "after_end", 0, NULL },
    { "short_itxt", 0, NULL },
    { "nul", ERR_FORMAT, "a NUL in the text of its tEXt chunk" },
    { "crc", ERR_FORMAT, "the checksum of its tEXt chunk is wrong" },
    { "cut", ERR_FORMAT, "truncated in its tEXt chunk" },
    { "lies", ERR_FORMAT, "truncated in its tEXt chunk" },
    { "bomb", ERR_LIMIT, "its zTXt chunk swells to more than 1048576 bytes" },
    { "broken_zip", ERR_FORMAT, "the text of its zTXt chunk is broken" },
};

static uint8_t *golden(const char *name, size_t *size) {
    char path[256];
    snprintf(path, sizeof path, "tests/golden/png_text/%s.png", name);
    return fixture_bytes(path, size);
}

static void test_reading(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        size_t size;
        uint8_t *data = golden(readings[i].file, &size);
        text found = { 0 };
        int rc = png_text_find(data, size, PNG_PARAMETERS, &found);
        if (rc != readings[i].rc) fail_msg("%s: %d, not %d", readings[i].file, rc, readings[i].rc);
        if (rc == 1) assert_string_equal(found.data, readings[i].words);
        else assert_null(found.data);
        if (rc < 0 && !strstr(error_message(), readings[i].words)) fail_msg("%s: %s", readings[i].file, error_message());
        text_free(&found);
        free(data);
    }
    text found = { 0 };
    assert_int_equal(png_text_find((const uint8_t *)"\x89PNG\r\n\x1a", 7, PNG_PARAMETERS, &found), ERR_FORMAT);
    assert_int_equal(png_text_find((const uint8_t *)"\xff\xd8\xff\xe0 a JPEG", 12, PNG_PARAMETERS, &found), ERR_FORMAT);
}

static void test_mark(void **state) {
    (void)state;
    static const struct { const char *file; bool made; } marks[] = { { "xmp", true }, { "photo", false }, { "ascii", false }, { "cut", false } };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t size;
        uint8_t *data = golden(marks[i].file, &size);
        if (png_is_machine_made(data, size) != marks[i].made) fail_msg("%s", marks[i].file);
        free(data);
    }
}

/* What is in the file, in bytes: the chunk's type before its key. */
static bool has(const uint8_t *data, size_t size, const char *bytes, size_t n) { return memmem(data, size, bytes, n) != NULL; }

static void expect_back(const char *parameters, const char *want, bool mark) {
    image img, again;
    assert_int_equal(image_new(3, 2, &img), 0);
    for (int i = 0; i < 18; i++) img.rgb[i] = (uint8_t)(i * 14);
    uint8_t *data;
    size_t size;
    text found = { 0 };
    assert_int_equal(image_encode_generated(&img, parameters, mark, &data, &size), 0);
    assert_int_equal(png_text_find(data, size, PNG_PARAMETERS, &found), parameters ? 1 : 0);
    if (parameters) assert_string_equal(found.data, want);
    text_free(&found);
    assert_true(png_is_machine_made(data, size) == mark);
    assert_int_equal(image_decode(data, size, NULL, &again), 0);
    assert_memory_equal(again.rgb, img.rgb, 18);
    bool ascii = true;
    for (const char *s = parameters ? parameters : ""; *s; s++) ascii = ascii && (unsigned char)*s < 0x80;
    assert_true(has(data, size, "tEXtparameters", 15) == (parameters && ascii));
    assert_true(has(data, size, "iTXtparameters\0\0\0\0", 19) == (parameters && !ascii));
    assert_true(has(data, size, "iTXtXML:com.adobe.xmp\0\0\0\0\0<?xpacket", 35) == mark);
    /* One wrong bit, anywhere: the right answer or none. */
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 8;
        if (png_text_find(data, size, PNG_PARAMETERS, &found) == 1) assert_string_equal(found.data, want);
        text_free(&found);
        data[i] ^= 8;
    }
    image_free(&again);
    image_free(&img);
    free(data);
}

static void test_both_ways(void **state) {
    (void)state;
    expect_back(WORDS, WORDS, true);
    expect_back(FOREIGN, FOREIGN, true);
    expect_back(WORDS, WORDS, false);
    expect_back(NULL, NULL, true);
    expect_back(NULL, NULL, false);
    expect_back("", "", true);
    expect_back("cut \xc3", "cut \xef\xbf\xbd", false);
    expect_back("\x1b[31m \xff\xfe", "\x1b[31m \xef\xbf\xbd\xef\xbf\xbd", false);
}

static void test_file(void **state) {
    (void)state;
    char folder[] = "/tmp/mien-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out.png", folder);
    image img;
    assert_int_equal(image_new(2, 2, &img), 0);
    assert_int_equal(image_write_png(path, &img, "one", true, false), 0);
    assert_int_equal(image_write_png(path, &img, "two", true, false), ERR_EXISTS);
    assert_int_equal(image_write_png(path, &img, "three", true, true), 0);
    size_t size;
    uint8_t *data = fixture_bytes(path, &size);
    text found = { 0 };
    assert_int_equal(png_text_find(data, size, PNG_PARAMETERS, &found), 1);
    assert_string_equal(found.data, "three");
    text_free(&found);
    free(data);
    unlink(path);
    rmdir(folder);
    assert_true(image_write_png(path, &img, "no folder", true, true) < 0);
    char *long_text = malloc((1 << 20) + 2);
    memset(long_text, 'a', (1 << 20) + 1);
    long_text[(1 << 20) + 1] = 0;
    assert_int_equal(image_encode_generated(&img, long_text, true, &data, &size), ERR_USAGE);
    free(long_text);
    image_free(&img);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_reading), cmocka_unit_test(test_mark), cmocka_unit_test(test_both_ways), cmocka_unit_test(test_file) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
