/* SPDX-License-Identifier: Apache-2.0
 *
 * Help for tests that read ../shared/fixtures: paths, whole files, pictures, a random generator that prints its seed. */
#ifndef TESTS_FIXTURES_H
#define TESTS_FIXTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/error.h"
#include "base/file.h"
#include "image/image.h"

/* "<shared>/fixtures/<printf>" in a buffer that lives until the fourth call from now. */
__attribute__((format(printf, 1, 2))) static inline const char *fixture_path(const char *format, ...) {
    static char ring[4][1024];
    static int next;
    char *out = ring[next++ & 3];
    const char *shared = getenv("MIEN_SHARED");
    int n = snprintf(out, sizeof *ring, "%s/fixtures/", shared ? shared : "../shared");
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, sizeof *ring - (size_t)n, format, args);
    va_end(args);
    return out;
}

/* Skips the calling test, saying why, when the fixtures are not there. */
static inline void fixtures_or_skip(void) {
    if (access(fixture_path("faces/README.md"), R_OK) == 0) return;
    print_message("skipped: no fixtures in %s (MIEN_SHARED says where)\n", fixture_path(" "));
    skip();
}

static inline uint8_t *fixture_bytes(const char *path, size_t *size) {
    uint8_t *data;
    if (file_load(path, IMAGE_MAX_BYTES, &data, size) < 0) fail_msg("%s", error_message());
    return data;
}

static inline json_t *fixture_json(const char *path) {
    json_error_t e;
    json_t *j = json_load_file(path, 0, &e);
    if (!j) fail_msg("%s:%d: %s", path, e.line, e.text);
    return j;
}

/* Exactly n floats. */
static inline float *fixture_f32(const char *path, size_t n) {
    size_t size;
    float *data = (float *)fixture_bytes(path, &size);
    if (size != n * sizeof *data) fail_msg("%s: %zu bytes, not %zu", path, size, n * sizeof *data);
    return data;
}

static inline image fixture_image(const char *path) {
    size_t size;
    uint8_t *data = fixture_bytes(path, &size);
    image img;
    if (image_decode(data, size, NULL, &img) < 0) fail_msg("%s: %s", path, error_message());
    free(data);
    return img;
}

static inline void expect_equal_bytes(const char *what, const void *got, const void *want, size_t n) {
    const uint8_t *a = got, *b = want;
    size_t different = 0, first = 0;
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && different++ == 0) first = i;
    if (different) fail_msg("%s: %zu of %zu bytes differ, first at %zu: %d, not %d", what, different, n, first, a[first], b[first]);
}

/* Equal bits (so -0 is not 0, and a NaN equals itself); shows the worst element otherwise. */
static inline void expect_equal_bits(const char *what, const float *got, const float *want, size_t n) {
    size_t different = 0, worst = 0;
    double most = -1;
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&got[i], &want[i], sizeof *got) == 0) continue;
        double d = (double)got[i] - (double)want[i];
        if (d < 0) d = -d;
        different++;
        if (!(d <= most)) most = d, worst = i;
    }
    if (different)
        fail_msg("%s: %zu of %zu numbers differ, worst at %zu: %.9g, not %.9g", what, different, n, worst, (double)got[worst], (double)want[worst]);
}

static inline uint64_t fnv1a(const void *data, size_t n) {
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3ULL;
    return h;
}

/* xorshift64*: the same numbers everywhere. */
typedef struct { uint64_t s; } dice;
static inline uint32_t dice_u32(dice *d) {
    d->s ^= d->s >> 12, d->s ^= d->s << 25, d->s ^= d->s >> 27;
    return (uint32_t)(d->s * 0x2545f4914f6cdd1dULL >> 32);
}
static inline int    dice_between(dice *d, int low, int high) { return low + (int)(dice_u32(d) % (uint32_t)(high - low + 1)); }
static inline double dice_unit(dice *d) { return dice_u32(d) / 4294967296.0; }

#endif
