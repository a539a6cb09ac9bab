/* SPDX-License-Identifier: Apache-2.0 */
#include "fixtures.h"

#include "image/label.h"
#include "image/label_glyphs.h"

static const label_style plain = { { 255, 255, 255 }, 1, false };

#define TEXT(s) (s), sizeof(s) - 1

/* The dots of a text as lines of '#' and '.', cut to where there are any; the caller frees it. */
static char *picture_of(const char *s, size_t size) {
    image img;
    assert_int_equal(image_new(400, LABEL_LINE, &img), 0);
    int right = label_draw(&img, 0, 0, &plain, s, size) - 1;
    char *out = calloc(1, (size_t)(right + 1) * LABEL_LINE + 1), *p = out;
    for (int y = 0; y < LABEL_LINE; y++) {
        for (int x = 0; x < right; x++) *p++ = img.rgb[(y * 400 + x) * 3] ? '#' : '.';
        *p++ = '\n';
    }
    image_free(&img);
    return out;
}

static void expect_picture(const char *s, size_t size, const char *want) {
    char *got = picture_of(s, size);
    if (strcmp(got, want) != 0) fail_msg("\"%s\" is drawn as\n%s", s, got);
    free(got);
}

static const char box[] = ".....\n.....\n.....\n#####\n#...#\n#...#\n#...#\n#...#\n#...#\n#...#\n#...#\n#####\n.....\n.....\n.....\n.....\n";

static void test_letters(void **state) {
    (void)state;
    expect_picture(TEXT("A"), ".......\n.......\n.......\n...#...\n...#...\n..#.#..\n..#.#..\n..#.#..\n.#...#.\n.#####.\n#.....#\n#.....#\n"
                              ".......\n.......\n.......\n.......\n");
    expect_picture(TEXT("É"), "..#..\n.#...\n.....\n#####\n#....\n#....\n#....\n####.\n#....\n#....\n#....\n#####\n.....\n.....\n.....\n.....\n");
    expect_picture(TEXT("ç"), ".....\n.....\n.....\n.....\n.....\n.###.\n#...#\n#....\n#....\n#....\n#...#\n.###.\n..#..\n...#.\n.##..\n.....\n");
}

/* Each character of ASCII, Latin-1 and ours has its own picture, none is the box. */
static void test_every_letter_is_its_own(void **state) {
    (void)state;
    char *seen[0x200] = { 0 };
    int n = 0;
    for (uint32_t code = 0x21; code < 0x100; code++) {
        if ((code >= 0x7f && code <= 0xa0) || code == 0xad) continue;
        char s[3] = { (char)code, 0, 0 };
        if (code >= 0x80) s[0] = (char)(0xc0 | code >> 6), s[1] = (char)(0x80 | (code & 0x3f));
        seen[n] = picture_of(s, strlen(s));
        if (strcmp(seen[n], box) == 0) fail_msg("U+%04X is a box", code);
        for (int i = 0; i < n; i++)
            if (strcmp(seen[i], seen[n]) == 0) fail_msg("U+%04X is drawn as another: %s", code, s);
        n++;
    }
    assert_int_equal(n, 94 + 94);
    while (n--) free(seen[n]);
    for (const label_block *b = label_blocks; b->codes; b++)
        for (int r = 0; r < LABEL_ROWS && b->rows[r]; r++) {
            assert_true(strlen(b->rows[r]) <= LABEL_BLOCK * LABEL_CELL);
            assert_int_equal(strspn(b->rows[r], "# "), strlen(b->rows[r]));
        }
}

static void test_boxes(void **state) {
    (void)state;
    static const char *const boxes[] = {
        "\x01", "\n", "\t", "\x1b", "\x7f", "\xc2\x85", "\xc2\xad", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x80\x8b", "\xcc\x81", "\xd7\x90",
        "\xf0\x9f\x98\x80", "\xef\xbf\xbd", "\xff", "\x80", "\xc3",
    };
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) expect_picture(boxes[i], strlen(boxes[i]), box);
    expect_picture("\0", 1, box);
    /* What is no UTF-8 is a box a byte: cut short, too long a form, half of a pair, beyond the last. */
    assert_int_equal(label_count(TEXT("a\xe2\x80")), 3);
    assert_int_equal(label_count(TEXT("\xc0\xaf")), 2);
    assert_int_equal(label_count(TEXT("\xe0\x80\x80")), 3);
    assert_int_equal(label_count(TEXT("\xed\xa0\x80")), 3);
    assert_int_equal(label_count(TEXT("\xf4\x90\x80\x80")), 4);
    assert_int_equal(label_count(TEXT("\xf4\x8f\xbf\xbf")), 1);
    assert_int_equal(label_count(TEXT("")), 0);
    /* Marks of direction change no order: each letter stands where it would with a box before it. */
    assert_int_equal(label_width(&plain, TEXT("\xe2\x80\xae" "ab")), label_width(&plain, TEXT("\xff" "ab")));
}

static void test_widths(void **state) {
    (void)state;
    assert_int_equal(label_width(&plain, TEXT("")), 0);
    assert_int_equal(label_width(&plain, TEXT("A")), 8);
    assert_int_equal(label_width(&(label_style){ .scale = 3 }, TEXT("A")), 24);
    assert_int_equal(label_width(&(label_style){ .bold = true }, TEXT("A")), 9);
    assert_int_equal(label_fit(&plain, TEXT("AAAA"), 31), 3);
    assert_int_equal(label_fit(&plain, TEXT("AAAA"), 32), 4);
    assert_int_equal(label_fit(&plain, TEXT("\xc3\x84\xc3\x84"), 15), 2);   /* whole characters */
    assert_int_equal(label_fit(&plain, TEXT("A"), -5), 0);
}

/* Each line between bars; "~" where the text is cut. */
static void expect_wrap(const char *s, size_t size, int width, int most, const char *want) {
    label_line lines[8];
    char got[512] = "";
    int n = label_wrap(&plain, s, size, width, lines, most);
    for (int i = 0; i < n; i++)
        sprintf(got + strlen(got), "%.*s%s|", (int)lines[i].size, s + lines[i].from, lines[i].cut ? "~" : "");
    assert_string_equal(got, want);
}

static void test_wrapping(void **state) {
    (void)state;
    expect_wrap(TEXT("AA AA AA"), 40, 3, "AA AA|AA|");         /* A: 8, blank: 4 */
    expect_wrap(TEXT("AA AA AA"), 36, 3, "AA AA|AA|");
    expect_wrap(TEXT("AA AA AA"), 35, 3, "AA|AA|AA|");
    expect_wrap(TEXT("AA AA AA"), 60, 3, "AA AA AA|");
    expect_wrap(TEXT("AA AA AA"), 36, 2, "AA AA|AA|");
    expect_wrap(TEXT("AA AA AA AA AA"), 36, 2, "AA AA|AA A~|");  /* the ellipsis: 8 */
    expect_wrap(TEXT("AAAAAAAAAA"), 36, 3, "AAAA|AAAA|AA|");
    expect_wrap(TEXT("A AAAAAAAAA"), 36, 3, "A|AAAA|AAA~|");
    expect_wrap(TEXT("  AA   AA  "), 20, 3, "AA|AA|");
    expect_wrap(TEXT("    "), 40, 3, "");
    expect_wrap(TEXT(""), 40, 3, "");
    expect_wrap(TEXT("AAA"), 7, 3, "");
    expect_wrap(TEXT("AAA"), -1, 3, "");
    expect_wrap(TEXT("AAA"), 40, 0, "");
    expect_wrap(TEXT("AA AA"), 8, 1, "~|");
    expect_wrap(TEXT("A\nA"), 40, 3, "A\nA|");                  /* a line end ends no line */
}

/* Random bytes, random places: nothing outside the canvas is touched (the sanitizers see it), lines keep to their width,
 * nothing is shown twice, and it ends. */
static void test_anything(void **state) {
    (void)state;
    dice d = { 77 };
    static const char *const parts[] = { "a", " ", "W", "\xe2\x80\xae", "\xf0\x9f\x98\x80", "\xff", "\n", "\xc3\xa9", "    ", "word" };
    for (int k = 0; k < 2000; k++) {
        char s[256] = "";
        size_t size = 0;
        for (int n = dice_between(&d, 0, 40); n > 0; n--) {
            const char *part = parts[dice_between(&d, 0, 9)];
            memcpy(s + size, part, strlen(part));
            size += strlen(part);
        }
        for (int n = dice_between(&d, 0, 3); n > 0 && size; n--) s[dice_between(&d, 0, (int)size - 1)] = (char)dice_between(&d, 0, 255);
        label_style style = { { 1, 2, 3 }, dice_between(&d, 0, 3), k & 1 };
        image canvas;
        assert_int_equal(image_new(dice_between(&d, 1, 90), dice_between(&d, 1, 50), &canvas), 0);
        int width = dice_between(&d, -3, 120), most = dice_between(&d, 0, 5);
        label_line lines[5];
        int n = label_wrap(&style, s, size, width, lines, most);
        assert_true(n <= most);
        size_t end = 0;
        for (int i = 0; i < n; i++) {
            assert_true(lines[i].from >= end && lines[i].from + lines[i].size <= size);
            assert_true(label_width(&style, s + lines[i].from, lines[i].size) <= width || lines[i].size == 0);
            assert_true(!lines[i].cut || i == n - 1);
            end = lines[i].from + lines[i].size;
        }
        label_paragraph(&canvas, dice_between(&d, -60, 100), dice_between(&d, -60, 60), width, most, &style, s, size);
        image_free(&canvas);
    }
}

/* A prompt of 64 MB takes no longer than its first lines. (If it did, this test would run out of time.) */
static void test_endless(void **state) {
    (void)state;
    size_t size = 64 << 20;
    char *s = malloc(size);
    memset(s, 'a', size);
    label_line lines[3];
    for (int k = 0; k < 4000; k++) assert_int_equal(label_wrap(&plain, s, size, 300, lines, 3), 3);
    image canvas;
    assert_int_equal(image_new(100, 20, &canvas), 0);
    for (int k = 0; k < 4000; k++) label_draw(&canvas, 0, 0, &plain, s, size);
    assert_true(label_width(&plain, s, size) >= 1000000);
    image_free(&canvas);
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters), cmocka_unit_test(test_every_letter_is_its_own), cmocka_unit_test(test_boxes), cmocka_unit_test(test_widths),
        cmocka_unit_test(test_wrapping), cmocka_unit_test(test_anything), cmocka_unit_test(test_endless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
