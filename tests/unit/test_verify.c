/* SPDX-License-Identifier: Apache-2.0
 *
 * image_verify says what image_decode would say: of every golden picture, of what the fuzzers found, and of thousands of
 * damaged files. The seed of the damage is printed; VERIFY_SEED and VERIFY_ROUNDS set it and how often each file is damaged. */
#include "fixtures.h"

#include <dirent.h>
#include <limits.h>
#include <time.h>

#define GOLDEN "tests/golden/image"
static const size_t most = 1 << 22;   /* pixels: what claims more is refused at once */

typedef struct { unsigned files, taken, refused; } tally;

/* Both, on a copy of exactly that size so that reading on is seen. */
static void compare(const char *what, const uint8_t *bytes, size_t size, tally *t) {
    uint8_t *data = malloc(size ? size : 1);
    memcpy(data, bytes, size);
    image_options options = { .max_pixels = most };
    image img = { 0 };
    int width = -1, height = -1;
    error_set(0, "%s", "");
    int want = image_decode(data, size, &options, &img);
    char why[1024];
    snprintf(why, sizeof why, "%s", error_message());
    error_set(0, "%s", "");
    int got = image_verify(data, size, false, &options, &width, &height);
    if (got != want) fail_msg("%s: verified as %d (%s), decoded as %d (%s)", what, got, error_message(), want, why);
    if (want < 0 && strcmp(why, error_message())) fail_msg("%s: verified: %s; decoded: %s", what, error_message(), why);
    if (want == 0 && (width != img.width || height != img.height)) fail_msg("%s: %dx%d, not %dx%d", what, width, height, img.width, img.height);
    int w = -1, h = -1, header = image_verify(data, size, true, &options, &w, &h);
    if (want == 0 && (header < 0 || w != width || h != height)) fail_msg("%s: its header alone: %s, %dx%d", what, header < 0 ? error_message() : "taken", w, h);
    t->files++;
    if (want == 0) t->taken++;
    else t->refused++;
    image_free(&img);
    free(data);
}

static void each_file(const char *folder, void (*look)(const char *path, void *context), void *context) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[PATH_MAX];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        look(path, context);
    }
    closedir(dir);
}

static void compare_file(const char *path, void *t) {
    size_t size;
    uint8_t *data = fixture_bytes(path, &size);
    compare(path, data, size, t);
    free(data);
}

static void goldens(void **state) {
    (void)state;
    tally t = { 0 };
    each_file(GOLDEN, compare_file, &t);
    assert_true(t.taken > 90 && t.refused > 30);
}

static void corpora(void **state) {
    (void)state;
    static const char *const names[] = { "jpeg", "png", "webp", "bmp", "gif" };
    tally t = { 0 };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[100];
        snprintf(folder, sizeof folder, "tests/fuzz/corpus/image_%s", names[i]);
        each_file(folder, compare_file, &t);
    }
    assert_true(t.files > 300);
}

static void photos(void **state) {
    (void)state;
    fixtures_or_skip();
    tally t = { 0 };
    each_file(fixture_path("faces/photos"), compare_file, &t);
    assert_true(t.taken > 30);
}

/* Bits that flip, bytes that change, pieces that are missing, doubled or lost at the end. */
static size_t damage(dice *d, uint8_t *data, size_t size) {
    for (int n = dice_between(d, 1, 3); n > 0 && size > 4; n--) {
        size_t at = dice_u32(d) % size, length = 1 + dice_u32(d) % 40;
        if (at + length > size) length = size - at;
        switch (dice_between(d, 0, 6)) {
        case 0: case 1: data[at] ^= (uint8_t)(1 << dice_between(d, 0, 7)); break;
        case 2: data[at] = (uint8_t)dice_u32(d); break;
        case 3: data[at] = 0xff; break;
        case 4: size = at; break;
        case 5: memmove(data + at, data + at + length, size - at - length); size -= length; break;
        default: memset(data + at, dice_between(d, 0, 255), length);
        }
    }
    return size;
}

typedef struct { dice d; int rounds; tally t; } trial;

static void damage_file(const char *path, void *context) {
    trial *t = context;
    size_t size;
    uint8_t *data = fixture_bytes(path, &size), *copy = malloc(size + 1);
    for (int i = 0; i < t->rounds; i++) {
        char what[PATH_MAX + 64];
        dice begin = t->d;
        memcpy(copy, data, size);
        size_t left = damage(&t->d, copy, size);
        snprintf(what, sizeof what, "%s, damaged from state 0x%llx", path, (unsigned long long)begin.s);
        compare(what, copy, left, &t->t);
    }
    free(copy);
    free(data);
}

static void damaged(void **state) {
    (void)state;
    const char *seed = getenv("VERIFY_SEED"), *rounds = getenv("VERIFY_ROUNDS");
    trial t = { .d = { seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) << 16 | 1 }, .rounds = rounds ? atoi(rounds) : 60 };
    print_message("VERIFY_SEED=0x%llx\n", (unsigned long long)t.d.s);
    each_file(GOLDEN, damage_file, &t);
    print_message("%u damaged files, %u of them taken\n", t.t.files, t.t.taken);
    assert_true(t.t.taken > t.t.files / 50 && t.t.refused > t.t.files / 50);
}

/* Broken data behind a sound header passes if only headers are looked at; what is no picture doesn't. */
static void headers(void **state) {
    (void)state;
    static const char *const names[] = { "cut_half.jpg", "cut.png", "cut.gif", "rle8_short.bmp" };
    int width, height;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[100];
        size_t size;
        snprintf(path, sizeof path, GOLDEN "/%s", names[i]);
        uint8_t *data = fixture_bytes(path, &size);
        if (image_verify(data, size, true, NULL, &width, &height) < 0) fail_msg("%s: %s", names[i], error_message());
        if (image_verify(data, size, false, NULL, &width, &height) != ERR_FORMAT) fail_msg("%s: taken", names[i]);
        free(data);
    }
    assert_int_equal(image_verify((const uint8_t *)"<html>", 6, true, NULL, &width, &height), ERR_FORMAT);
    assert_int_equal(image_verify(NULL, 0, true, NULL, &width, &height), ERR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens), cmocka_unit_test(corpora), cmocka_unit_test(photos), cmocka_unit_test(damaged), cmocka_unit_test(headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
