/* SPDX-License-Identifier: Apache-2.0
 *
 * The compressor of nearly empty pictures: what it writes must be what zlib (under spng) reads. */
#include "fixtures.h"

#include "image/deflate_runs.h"
#include "image/draw.h"

static uint32_t seed = 1;

static int below(int n) {
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (uint32_t)n);
}

/* Lines of several colours, and a few lone pixels of any colour. */
static image scribble(int width, int height, int lines) {
    image img;
    assert_int_equal(image_new(width, height, &img), 0);
    for (int i = 0; i < lines; i++) {
        image_colour c = { (uint8_t)below(256), (uint8_t)(below(2) ? 200 : 10), (uint8_t)(below(2) ? 180 : 0) };
        int x = below(width), y = below(height);
        draw_line2(&img, x, y, x + below(60) - 30, y + below(60) - 30, c);
        img.rgb[(size_t)below(width) * 3 + (size_t)below(height) * (size_t)width * 3 + (size_t)below(3)] = (uint8_t)below(256);
    }
    return img;
}

static void pictures_come_back(void **state) {
    (void)state;
    static const int sizes[][2] = { { 512, 512 }, { 1, 20000 }, { 20000, 3 }, { 10922, 4 }, { 10923, 4 }, { 5461, 9 }, { 333, 517 }, { 86, 64 } };
    int small = 0;
    for (int round = 0; round < 64; round++) {
        int w = sizes[round % 8][0], h = sizes[round % 8][1];
        image img = scribble(w, h, round / 8 * 3), out;
        uint8_t *data;
        size_t size, bytes = ((size_t)w * 3 + 1) * (size_t)h;
        assert_int_equal(image_encode_png(&img, NULL, 0, &data, &size), 0);
        small += size < bytes / 32 + 600;
        if (image_decode(data, size, NULL, &out) < 0) fail_msg("%dx%d: %s", w, h, error_message());
        expect_equal_bytes("scribble", out.rgb, img.rgb, (size_t)w * (size_t)h * 3);
        free(data);
        image_free(&img);
        image_free(&out);
    }
    assert_true(small > 40);
}

/* A stream that has no room is given up, never written past the room. */
static void room_is_kept(void **state) {
    (void)state;
    image img = scribble(200, 100, 40);
    size_t bytes = 200 * 3 * 100, whole;
    uint8_t out[40000];
    whole = deflate_runs(img.rgb, bytes, 600, out, sizeof out);
    assert_true(whole > 0);
    for (size_t room = 0; room < whole + 16; room++) {
        memset(out, 0xa5, sizeof out);
        size_t n = deflate_runs(img.rgb, bytes, 600, out, room);
        assert_true(n == 0 || n == whole);
        for (size_t i = room; i < room + 64; i++) assert_int_equal(out[i], 0xa5);
    }
    image_free(&img);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(pictures_come_back), cmocka_unit_test(room_is_kept) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
