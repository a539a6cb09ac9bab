/* SPDX-License-Identifier: Apache-2.0
 *
 * Duplicates against a search that compares each picture with all that were kept; and what hashes say of copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "data/duplicates.h"
#include "data/picture_hash.h"
#include "image/image.h"

static uint64_t state = 88172645463325252u;
static uint64_t dice(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * 0x2545f4914f6cdd1du;
}

typedef struct { uint64_t bytes, hash; bool plain; } picture;

/* ---- finding ------------------------------------------------------------------------------------------------------- */

typedef struct { uint8_t *kind; uint64_t *earlier, last; } told;

static int note(void *context, uint64_t number, uint64_t earlier, duplicate_kind kind) {
    told *t = context;
    assert_true(earlier < number && (t->last == UINT64_MAX || number > t->last));   /* in order, each once */
    t->kind[number] = (uint8_t)(1 + kind);
    t->earlier[number] = earlier;
    t->last = number;
    return 0;
}

/* What is kept, the slow way. */
static void keep(const picture *p, size_t n, uint8_t *kind) {
    for (size_t k = 0; k < n; k++) {
        kind[k] = 0;
        for (size_t i = 0; i < k && !kind[k]; i++)
            if (p[i].bytes == p[k].bytes) kind[k] = 1 + DUPLICATE_SAME;
        for (size_t i = 0; i < k && !kind[k]; i++)
            if (!kind[i] && !p[i].plain && !p[k].plain && __builtin_popcountll(p[i].hash ^ p[k].hash) <= PICTURE_HASH_NEAR) kind[k] = 1 + DUPLICATE_NEAR;
    }
}

static void expect_found(const char *what, const picture *p, size_t n) {
    uint8_t *want = malloc(n + 1), *got = calloc(1, n + 1), digest[32] = { 0 };
    uint64_t *earlier = calloc(n + 1, sizeof *earlier);
    told t = { got, earlier, UINT64_MAX };
    duplicates *d;
    size_t *order = malloc((n + 1) * sizeof *order);
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) {   /* workers end in any order */
        size_t k = dice() % i, swap = order[i - 1];
        order[i - 1] = order[k], order[k] = swap;
    }
    keep(p, n, want);
    assert_int_equal(duplicates_new("/tmp", &d), 0);
    for (size_t i = 0; i < n; i++) {
        const picture *one = &p[order[i]];
        memcpy(digest + 12, &one->bytes, 8);
        assert_int_equal(duplicates_add(d, order[i], digest, one->plain ? NULL : &one->hash), 0);
    }
    assert_int_equal(duplicates_find(d, n, note, &t), 0);
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (got[i] != want[i]) fail_msg("%s: picture %zu of %zu is %d, not %d", what, i, n, got[i], want[i]);
        found += got[i] != 0;
        if (got[i] == 1 + DUPLICATE_SAME) assert_int_equal(p[i].bytes, p[earlier[i]].bytes);
        if (got[i] == 1 + DUPLICATE_NEAR) assert_true(__builtin_popcountll(p[i].hash ^ p[earlier[i]].hash) <= PICTURE_HASH_NEAR);
    }
    print_message("%s: %zu of %zu\n", what, found, n);
    duplicates_free(d);
    free(want), free(got), free(earlier), free(order);
}

/* Around some centres, up to `most` bits away, within the bits of a mask. */
static picture *make_pictures(size_t n, size_t centres, int most, uint64_t mask) {
    picture *p = calloc(n, sizeof *p);
    uint64_t *centre = malloc(centres * sizeof *centre);
    for (size_t i = 0; i < centres; i++) centre[i] = dice() & mask;
    for (size_t i = 0; i < n; i++) {
        p[i].hash = centre[dice() % centres];
        for (int k = (int)(dice() % (uint64_t)(most + 1)); k > 0; k--) p[i].hash ^= (uint64_t)1 << dice() % 64 & mask;
        p[i].bytes = dice() % 20 ? dice() : i ? p[dice() % i].bytes : 0;
        p[i].plain = dice() % 10 == 0;
    }
    free(centre);
    return p;
}

static void test_against_all_pairs(void **unused) {
    (void)unused;
    static const struct { const char *name; size_t n, centres; int most; uint64_t mask; } trial[] = {
        { "none", 0, 1, 0, ~0ull }, { "one", 1, 1, 0, ~0ull }, { "clusters", 3000, 300, 8, ~0ull }, { "strangers", 3000, 3000, 0, ~0ull },
        { "one cluster", 3000, 1, 12, ~0ull }, { "equal in a band", 4000, 2000, 5, ~0xffffull }, { "equal in two", 4000, 3000, 5, 0xffff00000000ffffull },
        { "crowded in 20 bits", 3000, 3000, 3, 0xfffff }, { "crowded in spread bits", 3000, 2000, 3, 0x8421842184218421ull }, { "two looks", 3000, 2, 0, ~0ull },
    };
    for (size_t i = 0; i < sizeof trial / sizeof *trial; i++) {
        picture *p = make_pictures(trial[i].n, trial[i].centres, trial[i].most, trial[i].mask);
        expect_found(trial[i].name, p, trial[i].n);
        free(p);
    }
}

static int count(void *context, uint64_t number, uint64_t earlier, duplicate_kind kind) {
    (void)number, (void)earlier, (void)kind;
    return ++*(int *)context, 0;
}

/* Many that look the same, and many that agree in a quarter of their hash, must not take forever. */
static void test_large_groups(void **unused) {
    (void)unused;
    enum { SAME = 200000, BAND = 60000 };
    duplicates *d;
    uint8_t digest[32] = { 0 };
    int found = 0;
    assert_int_equal(duplicates_new("/tmp", &d), 0);
    for (uint64_t i = 0; i < SAME + BAND; i++) {
        uint64_t hash = i < SAME ? 0x123456789abcdef0u : dice() << 16 | 0x5555;
        memcpy(digest, &i, sizeof i);
        assert_int_equal(duplicates_add(d, i, digest, &hash), 0);
    }
    assert_int_equal(duplicates_find(d, SAME + BAND, count, &found), 0);
    assert_int_equal(found, SAME - 1);
    duplicates_free(d);
}

static int refuse(void *context, uint64_t number, uint64_t earlier, duplicate_kind kind) {
    (void)context, (void)number, (void)earlier, (void)kind;
    return error_set(ERR_CANCELLED, "enough");
}

static void test_ends_early(void **unused) {
    (void)unused;
    duplicates *d;
    uint8_t digest[32] = { 0 };
    assert_int_equal(duplicates_new("/tmp", &d), 0);
    assert_int_equal(duplicates_add(d, 0, digest, NULL), 0);
    assert_int_equal(duplicates_add(d, 1, digest, NULL), 0);
    assert_int_equal(duplicates_find(d, 2, refuse, NULL), ERR_CANCELLED);
    duplicates_free(d);
    duplicates_free(NULL);
}

/* ---- hashes -------------------------------------------------------------------------------------------------------- */

/* Smooth noise. */
static image scene(int width, int height, uint64_t seed) {
    image small, out;
    state = seed * 2 + 1;
    for (int i = 0; i < 20; i++) dice();
    assert_int_equal(image_new(14, 12, &small), 0);
    for (int i = 0; i < 14 * 12 * 3; i++) small.rgb[i] = (uint8_t)(dice() >> 56);
    assert_int_equal(image_resize(&small, width, height, RESIZE_BICUBIC, CPU_BEST, &out), 0);
    image_free(&small);
    return out;
}

static int distance(const image *a, const image *b) {
    uint64_t p, q;
    assert_true(picture_hash(a, &p));
    assert_true(picture_hash(b, &q));
    return __builtin_popcountll(p ^ q);
}

static void test_copies_are_near(void **unused) {
    (void)unused;
    static const int size[][2] = { { 640, 480 }, { 333, 500 }, { 97, 61 }, { 1000, 211 } }, scaled[][2] = { { 320, 240 }, { 512, 512 }, { 64, 48 }, { 1001, 333 } };
    for (uint64_t seed = 0; seed < 12; seed++) {
        image img = scene(size[seed % 4][0], size[seed % 4][1], seed), other = scene(300, 200, seed + 100), copy;
        for (int quality = 95; quality >= 30; quality -= 13) {
            uint8_t *data;
            size_t bytes;
            assert_int_equal(image_encode_jpeg(&img, quality, &data, &bytes), 0);
            assert_int_equal(image_decode(data, bytes, NULL, &copy), 0);
            assert_in_range(distance(&img, &copy), 0, PICTURE_HASH_NEAR);
            image_free(&copy);
            free(data);
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(image_resize(&img, scaled[i][0], scaled[i][1], RESIZE_LANCZOS, CPU_BEST, &copy), 0);
            assert_in_range(distance(&img, &copy), 0, PICTURE_HASH_NEAR);
            image_free(&copy);
        }
        assert_true(distance(&img, &other) > 8);
        image_free(&img);
        image_free(&other);
    }
}

/* Each field's mean, by hand. */
static void test_hash_by_hand(void **unused) {
    (void)unused;
    image img;
    uint64_t hash;
    assert_int_equal(image_new(9, 8, &img), 0);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 9; x++) memset(img.rgb + (y * 9 + x) * 3, y % 2 ? 10 * x : 100 - 10 * x, 3);
    assert_true(picture_hash(&img, &hash));
    assert_int_equal(hash, 0x00ff00ff00ff00ffu);
    image_free(&img);
    assert_int_equal(image_new(1, 1, &img), 0);   /* fields smaller than a pixel */
    assert_false(picture_hash(&img, &hash));
    image_free(&img);
    assert_int_equal(image_new(3, 2, &img), 0);   /* a pixel is three fields wide and four rows high */
    for (int i = 0; i < 6; i++) memset(img.rgb + i * 3, 60 * (i % 3) + 5, 3);
    assert_true(picture_hash(&img, &hash));
    assert_int_equal(hash, 0x2424242424242424u);
    image_free(&img);
}

static void test_plain(void **unused) {
    (void)unused;
    image img;
    uint64_t hash;
    assert_int_equal(image_new(300, 200, &img), 0);
    assert_false(picture_hash(&img, &hash));
    for (int i = 0; i < 300 * 200 * 3; i++) img.rgb[i] = (uint8_t)(200 + dice() % 3);   /* noise */
    assert_false(picture_hash(&img, &hash));
    for (int y = 80; y < 120; y++) memset(img.rgb + (y * 300 + 120) * 3, 0, 60 * 3);    /* a logo */
    assert_false(picture_hash(&img, &hash));
    image_free(&img);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_all_pairs), cmocka_unit_test(test_large_groups), cmocka_unit_test(test_ends_early),
        cmocka_unit_test(test_copies_are_near), cmocka_unit_test(test_hash_by_hand), cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
