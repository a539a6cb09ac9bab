/* SPDX-License-Identifier: Apache-2.0
 *
 * Pillow 13's Image.resize for 8-bit RGB (libImaging/Resample.c): two passes, with coefficients in fixed point and the
 * picture rounded to 8 bits between them, so their order shows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "image/image.h"

/* 8 bits for the value; kernels have negative lobes, so 2 more for sums below 0 and above 1. */
#define PRECISION (32 - 8 - 2)
#define HALF (1 << (PRECISION - 1))

static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static double sinc(double x) {
    if (x == 0) return 1;
    x *= M_PI;
    return sin(x) / x;
}

static double lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

static const struct { double (*weight)(double x), support; } kernels[] = {
    [RESIZE_BICUBIC] = { bicubic, 2 },
    [RESIZE_LANCZOS] = { lanczos, 3 },
};

/* For each output position: the first input position, how many, and their weights (`taps` places each). */
typedef struct { int taps; int *first, *count; int32_t *weight; } coefficients;

static void coefficients_free(coefficients *c) {
    free(c->first);
    free(c->count);
    free(c->weight);
}

/* The weights of one output position, as doubles in w. The casts truncate on purpose, as the reference's do. */
static void coefficients_one(coefficients *c, int at, int in, double scale, resize_filter filter, double *w) {
    double stretch = scale < 1 ? 1 : scale, support = kernels[filter].support * stretch, inverse = 1 / stretch;
    double centre = (at + 0.5) * scale, sum = 0;
    int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
    if (first < 0) first = 0;
    if (end > in) end = in;
    int n = end - first;
    for (int i = 0; i < n; i++) {
        w[i] = kernels[filter].weight((i + first - centre + 0.5) * inverse);
        sum += w[i];
    }
    int32_t *fixed = c->weight + (size_t)at * (size_t)c->taps;
    for (int i = 0; i < n; i++) {
        double v = (sum != 0 ? w[i] / sum : w[i]) * (1 << PRECISION);
        fixed[i] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5);
    }
    c->first[at] = first;
    c->count[at] = n;
}

static int coefficients_new(int in, int out, resize_filter filter, coefficients *c) {
    double scale = (double)(float)in / out, support = kernels[filter].support * (scale < 1 ? 1 : scale);
    *c = (coefficients){ .taps = (int)ceil(support) * 2 + 1 };
    c->first = malloc((size_t)out * sizeof *c->first);
    c->count = malloc((size_t)out * sizeof *c->count);
    c->weight = calloc((size_t)out * (size_t)c->taps, sizeof *c->weight);
    double *w = malloc((size_t)c->taps * sizeof *w);
    if (!c->first || !c->count || !c->weight || !w) {
        free(w);
        coefficients_free(c);
        return error_memory((size_t)out * (size_t)c->taps * sizeof *c->weight);
    }
    for (int i = 0; i < out; i++) coefficients_one(c, i, in, scale, filter, w);
    free(w);
    return 0;
}

static inline uint8_t clip(int32_t sum) {
    int v = sum >> PRECISION;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* in, out: one row of RGB; out has c's positions. */
static void row_horizontal(const coefficients *c, int width, const uint8_t *in, uint8_t *out) {
    for (int x = 0; x < width; x++, out += 3) {
        const uint8_t *p = in + (size_t)c->first[x] * 3;
        const int32_t *w = c->weight + (size_t)x * (size_t)c->taps;
        int32_t r = HALF, g = HALF, b = HALF;
        for (int i = 0; i < c->count[x]; i++, p += 3) {
            r += p[0] * w[i];
            g += p[1] * w[i];
            b += p[2] * w[i];
        }
        out[0] = clip(r);
        out[1] = clip(g);
        out[2] = clip(b);
    }
}

/* One output row from `count` rows of `bytes` each, the first at `in`. In blocks, so that the sums stay in registers. */
static void row_vertical(const int32_t *weight, int count, const uint8_t *in, size_t bytes, uint8_t *out) {
    enum { BLOCK = 32 };
    size_t at = 0;
    for (; at + BLOCK <= bytes; at += BLOCK) {
        int32_t sum[BLOCK];
        for (int i = 0; i < BLOCK; i++) sum[i] = HALF;
        for (int y = 0; y < count; y++) {
            const uint8_t *row = in + (size_t)y * bytes + at;
            for (int i = 0; i < BLOCK; i++) sum[i] += row[i] * weight[y];
        }
        for (int i = 0; i < BLOCK; i++) out[at + (size_t)i] = clip(sum[i]);
    }
    for (; at < bytes; at++) {
        int32_t sum = HALF;
        for (int y = 0; y < count; y++) sum += in[(size_t)y * bytes + at] * weight[y];
        out[at] = clip(sum);
    }
}

/* Rows [first, first + rows) of the input, made `width` wide. */
static int pass_horizontal(const image *in, int first, int rows, int width, resize_filter filter, image *out) {
    coefficients c;
    int rc = coefficients_new(in->width, width, filter, &c);
    if (rc < 0) return rc;
    rc = image_new(width, rows, out);
    if (rc == 0)
        for (int y = 0; y < rows; y++)
            row_horizontal(&c, width, in->rgb + (size_t)(first + y) * (size_t)in->width * 3, out->rgb + (size_t)y * (size_t)width * 3);
    coefficients_free(&c);
    return rc;
}

/* `first`: the row of the picture that in's row 0 is. */
static int pass_vertical(const image *in, int first, int height, const coefficients *c, image *out) {
    int rc = image_new(in->width, height, out);
    size_t bytes = (size_t)in->width * 3;
    if (rc == 0)
        for (int y = 0; y < height; y++)
            row_vertical(c->weight + (size_t)y * (size_t)c->taps, c->count[y], in->rgb + (size_t)(c->first[y] - first) * bytes, bytes, out->rgb + (size_t)y * bytes);
    return rc;
}

static int both_passes(const image *in, int width, int height, const coefficients *c, resize_filter filter, image *out) {
    image middle = { 0 };
    int rc;
    /* Pillow 13's rule (12 and before: always horizontal first; there the 8-bit rounding in between falls otherwise). */
    if (in->height > height && (int64_t)in->height - height > 2 * ((int64_t)in->width - width)) {
        rc = pass_vertical(in, 0, height, c, &middle);
        if (rc == 0) rc = pass_horizontal(&middle, 0, height, width, filter, out);
    } else {
        int first = c->first[0], rows = c->first[height - 1] + c->count[height - 1] - first;
        rc = pass_horizontal(in, first, rows, width, filter, &middle);
        if (rc == 0) rc = pass_vertical(&middle, first, height, c, out);
    }
    image_free(&middle);
    return rc;
}

static int copy(const image *in, image *out) {
    int rc = image_new(in->width, in->height, out);
    if (rc == 0) memcpy(out->rgb, in->rgb, (size_t)in->width * (size_t)in->height * 3);
    return rc;
}

int image_resize(const image *in, int width, int height, resize_filter filter, image *out) {
    if (width < 1 || height < 1) return error_set(ERR_USAGE, "a picture cannot be resized to %dx%d", width, height);
    if (width == in->width && height == in->height) return copy(in, out);   /* a pass that changes nothing is left out */
    if (height == in->height) return pass_horizontal(in, 0, height, width, filter, out);

    coefficients c;
    int rc = coefficients_new(in->height, height, filter, &c);
    if (rc < 0) return rc;
    rc = width == in->width ? pass_vertical(in, 0, height, &c, out) : both_passes(in, width, height, &c, filter, out);
    coefficients_free(&c);
    return rc;
}
